"""What was achievable for a due: the future that did happen gives its outcome, and a bound that nobody can pass by luck."""

import numpy as np
import pandas as pd
import pytest

from predelinquency.ground import params
from predelinquency.model import champion
from predelinquency.truth import forks, oracle, oracle_of_dues


def asked(trained):
    manifest = champion.load_champion(trained / "model").manifest
    base = params.section(params.Base, manifest["params"]["base"])
    dues = pd.read_parquet(trained / "model/due_predictions.parquet").query("split == 'cohort'")
    world = forks.ground(forks.made_by(trained / "truth", base))
    return world, dues[dues.missed.notna()].reset_index(drop=True), base


def test_the_future_that_did_happen_gives_every_due_its_outcome(trained):
    world, dues, base = asked(trained)
    rows = dues.assign(due_on=dues.as_of + pd.to_timedelta(dues.lead_days, unit="D"))
    did = forks.futures(world, rows, 1, base, first=-1)[:, 0]
    assert len(rows) > 100 and rows.missed.any()
    assert ((did == forks.MISSED) == rows.missed.astype(bool)).all() and set(did) == {forks.PAID, forks.MISSED}


def test_a_due_is_followed_whatever_else_is_missed_on_the_way(trained):
    world, dues, base = asked(trained)
    rows = dues.assign(due_on=dues.as_of + pd.to_timedelta(dues.lead_days, unit="D")).head(60)
    of_due, of_window = (
        forks.futures(world, rows, 40, base),
        forks.futures(world, rows[["customer_id", "as_of"]], 40, base),
    )
    assert forks.IMMINENT not in of_due and (of_due != of_window).any()
    assert np.array_equal(of_due, forks.futures(world, rows[::-1], 40, base)[::-1])


def test_the_bound_of_every_distance_stands_on_the_same_dues(trained):
    world, dues, base = asked(trained)
    found = oracle_of_dues.at_each_lead(world, dues, base, 40, 80, replicates=5)
    assert list(found) == ["28", "21", "14", "7", "3"] and len({one["rows"] for one in found.values()}) == 1
    assert all(one["latent_soft_auc"] > 0.5 and one["replays"] == 80 for one in found.values())
    assert oracle_of_dues.at_each_lead(world, None, base, 40, 80) == {}
    assert oracle_of_dues.at_each_lead(world, dues.assign(missed=False), base, 40, 80) == {}


@pytest.mark.fast
def test_a_due_is_taken_with_all_its_moments_and_stands_for_its_like():
    rng, n = np.random.default_rng(1), 5_000
    each = dict(customer_id=np.arange(n), obligation_id=np.arange(n) * 64, instalment=1)
    missed, score = rng.random(n) < 0.02, rng.random(n) ** 8
    frames = [
        pd.DataFrame(each | dict(as_of=pd.Timestamp("2025-05-01") - pd.Timedelta(days=d), lead_days=d, missed=missed))
        for d in (28, 7)
    ]
    cohort = pd.concat([f.assign(probability=score) for f in frames], ignore_index=True)
    some = oracle_of_dues.sampled(cohort, 500, seed=3)
    assert some.groupby("customer_id").size().eq(2).all() and some.missed.sum() == 2 * missed.sum()
    assert some.weight.sum() == pytest.approx(2 * n, rel=0.1) and (some.due_on == pd.Timestamp("2025-05-01")).all()
    assert (some[some.missed].weight == 1).all()


@pytest.mark.fast
def test_a_score_of_chance_has_nothing_of_what_was_achievable_and_the_truth_has_all():
    rng, n = np.random.default_rng(4), 1_000
    true = rng.beta(0.4, 4, n)
    outcomes = np.where(rng.random((n, 2_000)) < true[:, None], forks.MISSED, forks.PAID).astype(np.int8)
    o = oracle.Oracle(outcomes, np.ones(n, bool))
    rows = pd.DataFrame(dict(customer_id=np.arange(n), weight=1.0, five_columns=true))
    none, best = (oracle_of_dues.bound(rows.assign(probability=p), o, replicates=20) for p in (rng.random(n), true))
    assert abs(none["share"]) < 0.1 and best["share"] == pytest.approx(1, abs=0.05)
    assert best["soft_auc"] == best["soft_auc_five_columns"] and best["share_se"] > 0
