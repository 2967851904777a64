"""What is kept of all explained scores is what all of them would say."""

import numpy as np
import pandas as pd
import pytest

from predelinquency.features.catalogue import BY_NAME
from predelinquency.ground.schema import naming_dues
from predelinquency.reasons import bundles, overview
from predelinquency.reasons.tables import Explained

pytestmark = pytest.mark.fast


def batch(first, n, seed=0):
    rng = np.random.default_rng(seed)
    parts = rng.normal(size=(n, 4))
    keys = pd.DataFrame(dict(customer_id=np.arange(first, first + n), as_of=pd.Timestamp("2025-03-03")))
    keys = keys.assign(probability=rng.random(n), asked=np.arange(n) % 5 == 0, lends=np.arange(n) % 3 == 0)
    return Explained(naming_dues(keys), rng.normal(size=(n, 3)), parts, parts.sum(1), float(seed))


def test_sums_over_batches_are_those_over_all_rows_and_the_riskiest_customer_is_among_the_sample():
    parts = [batch(0, 50, 1), batch(50, 30, 2)]
    whole = overview.joined(parts)
    riskiest = whole.keys.nlargest(1, "probability").customer_id.iloc[0]
    told = []

    def write(one):
        told.append(len(one.keys))
        words = np.where(one.keys.customer_id % 2, "pay", None)
        return pd.DataFrame(dict(rank=np.r_[np.ones(len(words)), 2], customer=[*words, "second"]))

    found = overview.sum_up(parts, write, whole.keys, most=8)
    assert told == [50, 30] and found.rows == 80 and found.gap == 2.0
    assert found.push == pytest.approx(np.abs(whole.contributions[:, :-1]).mean(0), abs=1e-12)
    assert riskiest in set(found.sample.keys.customer_id) and len(found.sample.keys) <= 10
    assert found.first.to_dict()["pay"] == 40 and found.first.sum() == 80, "second reasons are not counted"
    marked = whole.keys[whole.keys.asked | whole.keys.lends]
    assert found.judged.keys.customer_id.tolist() == marked.customer_id.tolist()


def test_shares_of_the_groups_add_up_to_one_and_a_model_that_found_nothing_has_none():
    voices = bundles.bundles(tuple(BY_NAME)[:3])
    some = overview.strongest(overview.Summed(9, np.array([0.1, 0.3, 0.2]), 0.0, pd.Series(), None, None), voices)
    assert some.value.tolist() == [0.3, 0.2, 0.1] and overview.shares(some).sum() == pytest.approx(1)
    assert overview.shares(some.assign(value=0.0)).max() == 0


def test_three_customers_are_the_riskiest_one_at_the_threshold_and_one_in_the_middle_of_the_latest_moment():
    n = 41
    keys = pd.DataFrame(dict(as_of=["new"] * 30 + ["old"] * 11, probability=np.arange(n) / n))
    assert overview.three(keys, "new", 10 / n) == [29, 10, 14]
    assert overview.three(keys.assign(as_of=["new"] * 3 + ["old"] * 38), "new", 10 / n)[0] == 40, "too few: all rows"


def test_words_say_what_pushes_against_the_expert_and_leave_out_what_does_not():
    report = dict(rows=10, largest_gap=1e-7, tolerance=1e-5, used=2, features=3, groups=dict(income=0.7, savings=0.3))
    report |= dict(importance=dict(a=0.3, b=0.1), against_expectation=[])
    calm, odd = (overview.score_in_words(report | dict(against_expectation=names)) for names in ([], ["b"]))
    assert calm[3] == "0 features that matter push against what an expert expects."
    assert "`b`. Somebody should look at them." in odd[3] and "75% of everything" in odd[2]
