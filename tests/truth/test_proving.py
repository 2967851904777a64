"""What a proof says: every sentence has its figure, and a weak figure is not dressed up."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from predelinquency.truth import forks, proving

pytestmark = pytest.mark.fast
BOUND = dict(rows=300, positives=4, stands_for=1200, replays=300, not_below_model=True, last_doubling=0.002)
BOUND |= dict(latent_auc=0.84, latent_auc_se=0.09, model_auc=0.74, model_auc_se=0.1, share_of_latent=0.7)
BOUND |= dict(latent_soft_auc=0.96, latent_soft_auc_se=0.01, soft_auc=0.9, soft_auc_se=0.02, share_of_latent_soft=0.87)
SEEN = dict(visible_auc=0.8, visible_auc_se=0.1, visible_soft_auc=0.93, visible_soft_auc_se=0.02)
SEEN |= dict(share_of_visible=0.8, share_of_visible_soft=0.93)


def reasons(rate, high, **more):
    found = dict(pairs=300, perturb_cases=40, jaccard=None) | more
    for word in ("hit_rate", "own_group", "first_declared"):
        found |= {f"perturb_{word}": rate, f"perturb_{word}_shuffled_low": 0.1, f"perturb_{word}_shuffled_high": high}
    return found


@pytest.mark.parametrize(
    ("change", "same", "part"),
    [
        ({}, True, "**every one** of them"),
        ({}, False, "the bound is not to be trusted"),
        ({}, True, "**70%** of what was achievable above chance"),
        (dict(latent_auc=None), True, "too few misses here"),
        (dict(latent_soft_auc=None), True, "Nothing can be missed"),
        ({}, True, "was not estimated in this run"),
        (SEEN, True, "with 9,000 more customers reaches 0.8 ± 0.1"),
        ({}, True, "**not** above the bound"),
        (dict(not_below_model=None), True, "cannot be asked of these rows"),
        (dict(not_below_model=False), True, "**Alarm.**"),
    ],
)
def test_the_bound_is_said_as_it_was_found(change, same, part):
    assert part in " ".join(proving.bound_in_words(BOUND | change, same, 9_000))


def test_nothing_is_said_of_a_bias_that_is_not_known():
    section = SimpleNamespace(replays=400, bootstrap=100)
    assert proving.sureness(BOUND | dict(last_doubling=None), section) == []
    bias, error = proving.sureness(BOUND, section)
    assert "from 100 to 200 moved the bound by +0.0020" in bias and "100 times" in error


def test_a_share_of_hits_within_the_habit_is_no_evidence():
    weak, strong = (" ".join(proving.reasons_in_words(reasons(rate, 0.5))) for rate in (0.5, 0.51))
    assert "**This is not evidence that the model knows the cause**" in weak and "No more than a habit earns" in weak
    assert "That is more than a habit earns." in strong and "More than a habit earns, so" in strong
    none = proving.reasons_in_words(reasons(0.5, 0.5, perturb_cases=0))
    assert "There were no cases to judge by." in none and not any("hit_rate" in said for said in none)


def test_seeds_are_said_where_there_were_several_and_other_customers_where_they_were_compared():
    more = dict(jaccard=0.6, jaccard_low=0.5, jaccard_high=0.7, models=3, jaccard_rows=80)
    alone = " ".join(proving.reasons_in_words(reasons(0.5, 0.5, **more, jaccard_others=None)))
    both = " ".join(proving.reasons_in_words(reasons(0.5, 0.5, **more, jaccard_others=0.3)))
    assert "models share **60%** (50%–70%; Jaccard, 3 models, 80 scores" in alone and "Two different" not in alone
    assert "Two different customers share 30% in one model" in both


def test_replays_reproduce_the_labels_only_when_every_one_agrees():
    target = np.array([1, 0, 0])
    assert proving.labels_again(np.array([forks.MISSED, 0, 0]), target)
    assert not proving.labels_again(np.array([forks.MISSED, forks.MISSED, 0]), target)
    assert not proving.labels_again(np.array([forks.MISSED, 0, forks.IMMINENT]), target)


def test_each_tenth_is_the_mean_of_what_its_rows_stand_for():
    rng = np.random.default_rng(1)
    rows = pd.DataFrame(
        dict(probability=np.sort(rng.random(200)), target=rng.integers(0, 2, 200), weight=rng.integers(1, 9, 200))
    )
    share = rng.random(200)
    found = proving.by_tenth(rows, share)
    last = slice(180, 200)
    assert len(found) == 10
    assert found.futures.iloc[-1] == pytest.approx(np.average(share[last], weights=rows.weight[last]), abs=1e-12)
    assert found["what happened"].iloc[-1] == pytest.approx(np.average(rows.target[last], weights=rows.weight[last]))


def test_a_short_proof_shows_no_other_worlds():
    assert proving.worlds_shown(dict(sweep=[], transfer={})) == [proving.LEFT_OUT]
