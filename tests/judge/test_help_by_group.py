"""Fairness that can be read: calibration and help by need, no figure without enough misses, and verdicts that can fail."""

import numpy as np
import pandas as pd
import pytest

from predelinquency.judge import evaluation, groups, intervals
from predelinquency.judge import report as ev
from predelinquency.judge.adverse import need_tables
from predelinquency.judge.costs import Stakes

STAKES = Stakes(8.0, 0.04, {}, {}, "GBP", "a reminder, by app")


def bank(customers=4_000, seed=1, more=1.0, places=None):
    "Two sides of one bank; `more` times as many of the left miss as is said, and `places` of it are contacted."
    rng = np.random.default_rng(seed)
    who = np.arange(customers)
    left, p = who % 2 == 0, rng.beta(1.0, 12, customers)
    y = (rng.random(customers) < np.clip(p * np.where(left, more, 1.0), 0, 1)) * 1.0
    taken = p > 0.12
    if places is not None:
        taken &= ~left | (rng.random(customers) < places)
    frame = pd.DataFrame(
        dict(customer_id=who, as_of=pd.Timestamp("2025-03-03"), repeat=0, split="test", onset_in_days=20.0)
    ).assign(probability=p, y=y, contacted=taken * 1.0, imminent=False)
    people = pd.DataFrame(
        dict(customer_id=who, side=np.where(left, "left", "right"), age_band=(who // 2 % 3).astype(str))
    )
    return frame, people


def told(frame, people, uplift=STAKES):
    "The report's blocks, as an evaluation makes them."
    n = len(frame)
    plans = [
        groups.fairness(frame, people, np.arange(n)),
        *evaluation.needs_of_groups(frame, people, np.arange(n), uplift),
    ]
    found, absent, paired = {}, {}, {}
    for plan in plans:
        found, absent, paired = found | plan.statistics, absent | plan.absent, paired | plan.differences
    report = ev.nested(intervals.estimate(found, n, 120, 3, paired), absent)
    return evaluation.judged_groups(report, evaluation.by_group(frame, people))


def test_the_figures_of_a_group_are_those_counted_by_hand():
    frame, people = bank()
    one, left = told(frame, people)["fairness"]["side"]["groups"]["left"], frame[frame.customer_id % 2 == 0]
    expected = left.probability.sum()
    assert one["misses"] == left.y.sum() and one["observed_expected"] == pytest.approx(
        left.y.sum() / expected, rel=1e-3
    )
    assert one["offers_per_expected"] == pytest.approx(left.contacted.sum() / expected, rel=1e-3)
    found = (left.contacted * left.y).sum() / expected
    assert one["found_per_expected"] == pytest.approx(found, rel=1e-3)
    assert one["averted_per_expected"] == pytest.approx(0.04 * found, rel=1e-3)
    assert one["observed_expected_low"] < one["observed_expected"] < one["observed_expected_high"]


def test_where_nobody_says_what_a_contact_averts_nothing_is_averted_in_the_report():
    frame, people = bank()
    one = told(frame, people, None)["fairness"]["side"]["groups"]["left"]
    assert "averted_per_expected" not in one and one["found_per_expected"] > 0


def test_rows_whose_miss_is_too_near_are_not_asked():
    frame, people = bank()
    more = frame.assign(customer_id=frame.customer_id, as_of=pd.Timestamp("2025-03-10"), y=0.0, imminent=True)
    both = told(pd.concat([frame, more], ignore_index=True), people)["fairness"]["side"]["groups"]["left"]
    assert both["observed_expected"] == told(frame, people)["fairness"]["side"]["groups"]["left"]["observed_expected"]


def test_alike_groups_hold_and_a_group_that_misses_more_than_was_said_fails():
    fair = told(*bank())["fairness"]["side"]
    assert {one["verdict"] for one in fair["groups"].values()} == {"holds"} and fair["verdict"] == "holds"
    worse = told(*bank(more=1.6))["fairness"]["side"]["groups"]
    assert worse["left"]["verdict"] == "fails: more missed than was said" and worse["right"]["verdict"] == "holds"
    better = told(*bank(more=0.5))["fairness"]["side"]["groups"]
    assert better["left"]["verdict"] == "more was said than missed"


def test_help_that_passes_one_side_by_fails_and_one_that_may_be_luck_does_not():
    fails = told(*bank(places=0.4))["fairness"]["side"]
    assert fails["verdict"] == "fails: the whole interval lies below the limit" and fails["impact_ratio_high"] < 0.8
    few = told(*bank(900, places=0.8))["fairness"]["side"]
    assert few["verdict"] in ("below the limit, which may be chance", "holds")
    assert fails["groups"]["left"]["offers_per_expected"] < 0.6 * fails["groups"]["right"]["offers_per_expected"]


def test_a_group_with_fewer_than_thirty_misses_has_its_count_and_no_ratio_and_no_verdict():
    frame, people = bank()
    few = people.assign(side=people.side.where(people.customer_id >= 300, "new"))
    report = told(frame, few)
    one = report["fairness"]["side"]["groups"]["new"]
    n = int(frame.y[:300].sum())
    assert 5 < n < 30 == groups.FEWEST and one["misses"] == n and one["verdict"] == "not known"
    assert [one[key] for key in (*groups.NEED, "found")] == [None] * 5 and str(n) in one["why"]
    unhelped = frame.assign(contacted=frame.contacted.where(frame.customer_id >= 300, 0.0))
    assert told(unhelped, few)["fairness"]["side"]["impact_ratio"] > 0.5  # a group of few is in no ratio
    assert ev.without_reason(report) == []
    shown = need_tables(dict(metrics=report))["side"]
    assert f"Too few missed payments for a figure: new {n}." in shown and "| new |" not in shown


def test_a_ratio_needs_two_groups_and_says_how_many_missed_in_each():
    frame, people = bank()
    one = people.assign(side=np.where(people.customer_id < 200, "few", "many"))
    block = told(frame, one)["fairness"]["side"]
    n = int(frame.y[:200].sum())
    assert block["impact_ratio"] is None and f"few {n}" in block["why"] and block["verdict"] == "not known"


def test_two_weeks_that_warn_of_one_miss_are_one_miss():
    frame, _ = bank(300)
    twice = pd.concat([frame, frame.assign(as_of=pd.Timestamp("2025-03-10"), onset_in_days=13.0)], ignore_index=True)
    assert groups.distinct(frame) == groups.distinct(twice) == frame.y.sum()


def test_a_group_may_hold_by_each_attribute_and_fail_by_both():
    frame, people = bank(12_000)
    odd = (people.side == "left") & (people.age_band == "1")
    other = (people.side == "right") & (people.age_band == "1")
    rng = np.random.default_rng(4)
    p = frame.probability * np.where(odd, 1.6, np.where(other, 0.4, 1.0))
    report = told(frame.assign(y=(rng.random(len(frame)) < p) * 1.0), people)
    crossed = report["intersections"]["side and age_band"]["groups"]
    assert set(crossed) == {f"{side}, {band}" for side in ("left", "right") for band in "012"}
    assert crossed["left, 1"]["verdict"].startswith("fails") and crossed["right, 0"]["verdict"] == "holds"
    assert report["fairness"]["age_band"]["groups"]["1"]["verdict"] == "holds"


def test_where_no_attribute_is_known_there_is_no_group_and_nothing_breaks():
    frame, _ = bank(300)
    assert evaluation.needs_of_groups(frame, None, np.arange(300), STAKES) == []
    report = ev.nested({}, groups.fairness(frame, None, np.arange(300)).absent)
    assert evaluation.judged_groups(report, {}) == report and need_tables(dict(metrics=report)) == {}
    assert need_tables({}) == {} == need_tables(dict(metrics=report), "intersections")


def test_an_attribute_that_is_not_known_of_somebody_leaves_them_out():
    frame, people = bank()
    holes = people.assign(side=people.side.where(people.customer_id >= 1_000, None))
    report = told(frame, holes)
    assert set(report["fairness"]["side"]["groups"]) == {"left", "right"}
    assert groups.crossed(holes)["side and age_band"].isna().sum() == 1_000
