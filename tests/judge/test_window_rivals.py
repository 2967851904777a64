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
from predelinquency.model import train
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


@pytest.fixture
def small(monkeypatch):
    def suited(p, positives):
        return replace(p, max_depth=2, trees=20, min_child_weight=1.0, colsample=0.3), 2

    monkeypatch.setattr(train, "suited", suited)


def source(customers=150, known=(), same=()):
    "A source's own moments, three loans a customer; who pays by hand, or owes much, goes bad every third time."
    found = rows(0, customers, seed=4)
    x = np.full_like(found.x, np.nan)
    for name in known:
        x[:, NAMES.index(name)] = found.x[:, HAND]
    for name in same:
        x[:, NAMES.index(name)] = 1.0
    labels = found.labels.assign(obligation_id=np.arange(len(x)) + 7, instalment=1)
    labels = labels.assign(target=labels.target.astype("int32"))
    return SimpleNamespace(
        own_moments=True, recipe=Recipe(NAMES, TRAIN, {}, 1), inputs=dict(test=Rows(labels, x.astype(np.float32)))
    )


def folded(own, repeats=2, seed=8):
    "Two folds, dealt twice by customer; and the latest moments once more, judged out of time."
    some, found = own.inputs["test"], []
    for repeat in range(repeats):
        fold = np.random.default_rng(seed + repeat).permutation(np.arange(150) % 2)[some.labels.customer_id]
        noise = np.random.default_rng(repeat).normal(size=len(fold))
        said = 1 / (1 + np.exp(2 - some.y - noise))
        found.append(some.labels.assign(repeat=repeat, fold=fold, split="fold", probability=said, exposed=False))
    later = found[0][found[0].as_of == found[0].as_of.max()].assign(repeat=-1, fold=pd.NA, split="out_of_time")
    return pd.concat([*found, later], ignore_index=True).assign(onset_in_days=np.nan)


def test_rivals_of_a_sources_own_moments_answer_for_the_fold_from_which_they_have_not_learned(small):
    own = source(known=("asked_due", "visible_money_over_monthly_outgoings"))
    many, test = folded(own), own.inputs["test"]
    found = evaluation.with_rivals(many, own, evaluation.Extra())
    assert found[many.columns].equals(many)
    for rival in window_rivals.READS:
        assert (found[rival].notna() == (found.split == "fold")).all()
        deals = [found.loc[found.repeat == r, rival].tolist() for r in (0, 1)]
        assert deals[0] != deals[1], "each deal of the folds has its own teachers"
        assert all(peer.roc_auc_score(test.y, said) > 0.6 for said in deals)
    held = (many.split == "fold") & (many.repeat == 0) & (many.fold == 1)
    lies = test.labels.customer_id.isin(many[held].customer_id).to_numpy()
    own.inputs["test"] = Rows(test.labels.assign(target=np.where(lies, 1 - test.y, test.y).astype("int32")), test.x)
    again = evaluation.with_rivals(many, own, evaluation.Extra())
    for rival in window_rivals.READS:
        assert again.loc[held, rival].tolist() == found.loc[held, rival].tolist()
        others = (many.split == "fold") & (many.repeat == 0) & ~held
        assert again.loc[others, rival].tolist() != found.loc[others, rival].tolist()


def test_what_the_score_adds_on_a_sources_own_moments_is_paired_over_every_deal(small):
    own = source(known=("asked_due", "balance"))
    many = evaluation.with_rivals(folded(own), own, evaluation.Extra())
    report = ev.report(many, BASE, FEW)
    judged = statistics.judged(statistics.checked(many))
    for rival in window_rivals.READS:
        deals = [
            [peer.roc_auc_score(deal.y, deal[column]) for column in ("probability", rival)]
            for _, deal in judged.groupby("repeat")
        ]
        model, other = np.mean(deals, axis=0)
        block, gain = report["baselines"][rival], report[f"gain_over_{rival}"]
        assert block["auc"] == pytest.approx(other, abs=1e-4) and block["low"] < block["auc"] < block["high"]
        assert gain["auc"] == pytest.approx(model - other, abs=1e-4) and gain["low"] < gain["auc"] < gain["high"]
        assert block["known_share"] == 1.0


def test_a_rival_says_which_of_its_columns_a_source_has():
    some = source(known=("asked_due", "payers_90d"), same=("asked_autopay",)).inputs["test"]
    some.x[:400, NAMES.index("payers_90d")] = np.nan
    some.x[400:, NAMES.index("payers_90d")] = 2.0  # known of some rows only: that tells them from the others
    five, plain = window_rivals.readings(some).values()
    assert (five.used, five.same) == (("asked_due",), ("asked_autopay",)) and "days_late_max" in five.never
    assert five.words == (
        "1 of 5 columns: “what is still to pay of the due asked about”. The same in every row: “1 when the bank "
        "collects the due asked about itself, 0 when not”. Never known: “most days late of any closed due”, “balance + "
        "overdraft limit / loan, card and housing dues still to pay on days 0–30”, “balance + savings / outgoings of "
        "the last 90 days, per 30 days of them that are known”"
    )
    assert set(plain.used) == {"asked_due", "payers_90d"} and "of liquidity" in plain.words
    nameless = Rows(some.labels.assign(obligation_id=-1, instalment=0), some.x)
    assert window_rivals.readings(nameless)["five_columns"].never[0] == "due_15_28d", "no due is named: the window's"


def test_where_a_source_has_none_of_its_columns_a_rival_says_so_and_has_no_figure(small):
    own = source(known=("asked_left",), same=("asked_autopay",))
    many = evaluation.with_rivals(folded(own), own, evaluation.Extra())
    report = ev.report(many, BASE, FEW)
    told = window_rivals.with_readings(report["baselines"], own.inputs["test"])
    for rival in window_rivals.READS:
        assert report[f"gain_over_{rival}"] == dict(auc=None, why=statistics.LACKED[rival])
        assert told[rival]["auc"] is None and told[rival]["columns"] == 0 and told[rival]["reads"].startswith("0 of ")
    assert "reads" not in told["balance"]
    both = window_rivals.told_reading(told)
    assert [text.rpartition(". ")[2] for text in both] == [
        "Not known, because none of its columns tells one row from another here."
    ] * 2
    assert window_rivals.told_reading(report["baselines"]) == [], "weekly rivals read everything"
