"""The threshold that costs least, against slow sums, and the reasons why there is none."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from predelinquency.ground.schema import ROW, TARGET_KINDS, naming_dues
from predelinquency.judge import costs, evaluation, exhibits, front, intervals
from predelinquency.judge import report as ev
from predelinquency.judge.statistics import SAME

pytestmark = pytest.mark.fast
STAKES = costs.Stakes(
    8.0,
    0.04,
    dict(loan=2_500.0, card=2_500.0, mortgage=2_500.0, rent=0.0),
    dict(loan=0.9, card=3.75, mortgage=0.9, rent=0.0),
    "GBP",
    "a reminder, by app",
)


def judged(n=4_000, customers=1_000, seed=1, digits=3):
    "Rows whose probabilities can be taken at their word."
    rng = np.random.default_rng(seed)
    p = np.round(rng.beta(0.5, 25, n), digits)
    frame = pd.DataFrame(
        dict(
            customer_id=np.arange(n) % customers,
            as_of=pd.Timestamp("2025-03-03") + pd.to_timedelta(np.arange(n) // customers * 7, unit="D"),
            repeat=0,
            split="test",
            probability=p,
            y=(rng.random(n) < p) * 1.0,
        )
    )
    return naming_dues(frame), rng.uniform(5_000, 60_000, n)


def slowly(rows, loss, cut, stakes=STAKES):
    "Pounds a thousand rows, row by row."
    total = 0.0
    for p, y, lost in zip(rows.probability, rows.y, loss, strict=True):
        total += y * lost * (1 - stakes.uplift_low * (p >= cut)) + stakes.contact_minor * (p >= cut)
    return total / len(rows) * 1_000 / 100


def test_the_curve_is_the_slow_sum_at_every_cut_and_equal_risks_are_cut_together():
    rows, loss = judged(digits=2)
    curve = costs.cost_curve(rows, loss, STAKES)
    assert len(curve) == rows.probability.nunique() + 1 and curve.contacted.is_monotonic_increasing
    for at in (0, 1, 5, len(curve) // 2, len(curve) - 1):
        cut = curve.probability[at]
        assert curve.cost[at] == pytest.approx(slowly(rows, loss, cut))
        assert curve.contacted[at] == pytest.approx((rows.probability >= cut).mean())


def test_the_cheapest_threshold_is_where_the_policy_s_own_sum_turns():
    rows, _ = judged(400_000, 100_000, digits=4)
    loss = np.full(len(rows), 20_500.0)
    cut = costs.thresholds(costs.cost_curve(rows, loss, STAKES), 0.05)
    turns = STAKES.contact_minor / STAKES.uplift_low / 20_500
    assert cut["cheapest"]["probability"] == pytest.approx(turns, rel=0.35)
    assert cut["capacity"]["share"] == pytest.approx(0.05, abs=0.002)


def test_four_lists_cost_what_they_cost_and_savings_are_paired_against_nobody():
    rows, loss = judged()
    plan = costs.plan_costs(rows, loss, STAKES, 0.05, np.arange(1_000))
    found = intervals.estimate(plan.statistics, 1_000, 60, 1, plan.differences)
    cut = costs.thresholds(costs.cost_curve(rows, loss, STAKES), 0.05)
    for name in costs.LISTS:
        assert found[f"threshold.{name}.cost"].value == pytest.approx(slowly(rows, loss, cut[name]["probability"]))
    saved = found["threshold.cheapest.saves"]
    assert saved.value == pytest.approx(slowly(rows, loss, 2.0) - slowly(rows, loss, cut["cheapest"]["probability"]))
    assert saved.value >= max(0, found["threshold.capacity.saves"].value, found["threshold.all.saves"].value)
    wide = found["threshold.cheapest.cost"]
    assert saved.high - saved.low < 0.2 * (wide.high - wide.low)


def test_a_contact_that_costs_more_than_it_averts_is_made_to_nobody_and_the_words_say_so():
    rows, loss = judged()
    dear = evaluation.Weighed(rows, loss, replace(STAKES, contact_minor=50_000.0), "")
    plan, people = dear.plan(0.05, np.arange(1_000)), np.arange(1_000)
    report = ev.nested(intervals.estimate(plan.statistics, len(people), 40, 1, plan.differences))
    report["threshold"] |= dear.about(0.05)
    block = report["threshold"]
    assert block["cheapest"]["share"] == 0.0 and block["cheapest_from"] is None and block["capacity"]["saves"] < 0
    assert ev.without_reason(report) == []
    assert "The cheapest is to contact nobody." in front.beside_rivals(dict(baselines={}) | report)[0]


def test_the_loss_is_the_mean_over_what_falls_due():
    dues = pd.DataFrame(0, index=range(4), columns=[f"due_{w}_{k}" for w in ("count", "minor") for k in TARGET_KINDS])
    dues = dues.assign(
        due_count_loan=[1, 1, 0, 0],
        due_minor_loan=[20_000, 20_000, 0, 0],
        due_count_card=[0, 1, 0, 0],
        due_minor_card=[0, 4_000, 0, 0],
        due_count_rent=[0, 0, 0, 1],
        due_minor_rent=[0, 0, 0, 90_000],
    )
    found = costs.losses(dues, STAKES)
    assert found[:2].tolist() == [2_500 + 18_000, 2_500 + (18_000 + 15_000) / 2] and np.isnan(found[2])
    assert found[3] == 0, "a rent is not owed to the bank"


def test_what_stands_in_the_way_is_said_and_nothing_is_written_for_it(tmp_path):
    rows, loss = judged()
    assert costs.hindrance(rows, loss, STAKES, {"GBP"}) == ""
    assert "GBP" in costs.hindrance(rows, loss, STAKES, {"CZK"}) and "CZK" in costs.hindrance(
        rows, loss, STAKES, {"CZK"}
    )
    assert costs.hindrance(rows, np.full(len(rows), np.nan), STAKES, {"GBP"}).startswith("what falls due")
    assert costs.hindrance(rows.assign(probability=0.1), loss, STAKES, {"GBP"}) == SAME
    kinds = rows[list(ROW)].assign(**{f"due_{w}_{k}": 1 for w in ("count", "minor") for k in TARGET_KINDS})
    bank = evaluation.weigh(SimpleNamespace(raw=tmp_path), rows, kinds, STAKES)
    report = ev.nested({}, bank.plan(0.05, np.arange(1_000)).absent)
    report["threshold"] |= bank.about(0.05)
    assert bank.curve is None and report["threshold"]["all"] == dict(cost=None, why=bank.why)
    assert ev.without_reason(report) == [] and front.beside_rivals(dict(baselines={}) | report) == []
    told = exhibits._weighed(SimpleNamespace(report=report, cost=None))
    assert len(told) == 1 and "not known, because the costs are in GBP" in told[0]
