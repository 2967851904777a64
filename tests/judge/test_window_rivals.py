"""Easier scores of the window: what they may read, from whom they learn, and on which rows they are beaten or not."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as peer

from predelinquency.features import catalogue
from predelinquency.ground import params
from predelinquency.ground.core import project_folder
from predelinquency.judge import due_rivals, evaluation, statistics, window_rivals
from predelinquency.judge import report as ev
from predelinquency.model.learners import Recipe
from predelinquency.model.rows import Rows

PARAMS = params.load(project_folder() / "params.yaml")
TRAIN = replace(PARAMS.train, trees=20, min_child_weight=1.0)
BASE, FEW = replace(PARAMS.base, seed=11), replace(PARAMS.evaluate, bootstrap=40)
NAMES = catalogue.names()
HAND = NAMES.index(window_rivals.FIVE[1])
MONDAYS = np.array(["2025-03-03", "2025-03-10", "2025-03-17"], "datetime64[ms]")


def rows(first, customers=200, seed=1):
    "Three weeks of customers; whoever pays by hand misses every third time."
    rng, n = np.random.default_rng(seed), customers * len(MONDAYS)
    x = rng.random((n, len(NAMES))).astype(np.float32)
    missed = (x[:, HAND] > 0.5) & (rng.random(n) < 0.33)
    labels = pd.DataFrame(
        dict(
            customer_id=first + np.repeat(np.arange(customers), len(MONDAYS)),
            as_of=np.tile(MONDAYS, customers),
            obligation_id=-1,
            instalment=0,
            target=pd.array(missed.astype(int), dtype="Int32"),
            eligible=True,
            imminent=False,
        )
    )
    return Rows(labels, x)


def predictions(some, split="test", seed=5):
    "What a score says that sees the risk through noise."
    noise = np.random.default_rng(seed).normal(size=len(some.y))
    said = 1 / (1 + np.exp(2 - (some.x[:, HAND] - 0.5) - noise))
    return some.labels.assign(repeat=0, split=split, probability=said, exposed=True, onset_in_days=20.0)


def run(**more):
    recipe = Recipe(NAMES, TRAIN, {}, 1)
    return SimpleNamespace(
        own_moments=False, recipe=recipe, inputs=dict(train=rows(0), test=rows(1000, seed=2)), **more
    )


def test_the_five_columns_are_the_five_that_are_named_and_the_plain_ones_have_no_ratio_and_no_record():
    assert window_rivals.FIVE == (
        "due_15_28d",
        "manual_due_15_28d_over_due_15_28d",
        "days_late_max",
        "headroom_over_due_30d",
        "visible_money_over_monthly_outgoings",
    )
    plain = window_rivals.READS["plain_aggregates"]
    assert set(plain) | set(window_rivals.FIVE) <= set(NAMES) and "manual_count_15_28d" in plain
    assert [name for name in plain if "_over_" in name or "days_late" in name or "projected" in name] == []
    assert {catalogue.BY_NAME[name].group for name in plain}.isdisjoint({"payment", "asked"})


def test_the_rivals_of_a_due_read_what_they_read_before():
    assert due_rivals.INPUTS["plain_aggregates"] == due_rivals.plain(due_rivals.CALENDAR)
    assert "asked_lead_days" in due_rivals.plain() and "due_15_28d" not in due_rivals.plain()


def test_the_judged_rows_of_bank_and_strangers_are_scored_and_no_others():
    bank, some = run(), rows(5000, 50, seed=3)
    live = rows(1000, seed=2).where(np.arange(600) < 30)
    live.labels["as_of"] += pd.Timedelta(days=70)
    many = [predictions(bank.inputs["test"]), predictions(live, "live"), predictions(some)]
    many = pd.concat(many, ignore_index=True)
    found = evaluation.with_rivals(many, bank, evaluation.Extra(inputs=dict(rows=some)))
    assert found[many.columns].equals(many) and set(found.columns) - set(many.columns) == set(window_rivals.READS)
    assert (found.five_columns.notna() == (found.split == "test")).all()
    alone = window_rivals.window_scores(
        due_rivals.learn(bank.inputs["train"], bank.recipe, window_rivals.READS), some, NAMES
    )
    assert found.plain_aggregates[found.customer_id >= 5000].tolist() == alone.plain_aggregates.tolist()
    assert set(bank.inputs) == {"train", "test"}  # others need them still


def test_a_rival_reads_its_own_columns_and_learns_from_the_rows_that_taught():
    bank = run()
    test, many = bank.inputs["test"], predictions(bank.inputs["test"])
    found = evaluation.with_rivals(many, bank, evaluation.Extra())
    other = test.x.copy()
    others = [k for k, name in enumerate(NAMES) if name not in window_rivals.FIVE]
    other[:, others] = 0.5
    bank.inputs["test"] = Rows(test.labels.assign(target=1), other)
    again = evaluation.with_rivals(many, bank, evaluation.Extra())
    assert again.five_columns.tolist() == found.five_columns.tolist()
    assert again.plain_aggregates.tolist() != found.plain_aggregates.tolist()
    bank.inputs["train"].labels["target"] = bank.inputs["train"].labels.target.sample(frac=1, random_state=1).to_numpy()
    assert evaluation.with_rivals(many, bank, evaluation.Extra()).five_columns.tolist() != found.five_columns.tolist()


def test_the_gain_over_five_columns_is_paired_on_the_same_rows_and_may_be_a_loss():
    bank = run()
    found = evaluation.with_rivals(predictions(bank.inputs["test"]), bank, evaluation.Extra())
    report = ev.report(found, BASE, FEW)
    judged = statistics.judged(statistics.checked(found))
    five, model = (peer.roc_auc_score(judged.y, judged[c]) for c in ("five_columns", "probability"))
    assert report["baselines"]["five_columns"]["auc"] == pytest.approx(five, abs=1e-4)
    assert report["baselines"]["five_columns"]["known_share"] == 1.0
    gain = report["gain_over_five_columns"]
    assert gain["auc"] == pytest.approx(model - five, abs=1e-4) and gain["high"] < 0  # the noisy score is beaten
    assert set(report["gain_over_plain_aggregates"]) >= {"auc", "low", "high"}


def test_a_source_with_moments_of_its_own_says_why_it_has_no_such_rival():
    own = SimpleNamespace(own_moments=True)
    many = predictions(rows(0), "fold")
    assert evaluation.with_rivals(many, own, evaluation.Extra()) is many
    report = ev.report(many, BASE, FEW)
    for block in (report["baselines"]["five_columns"], report["gain_over_plain_aggregates"]):
        assert block["auc"] is None and "weekly moments" in block["why"]
