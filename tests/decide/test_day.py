"""The day in sentences and tables: everybody stands in one place, and nothing is said that was not counted."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from predelinquency.decide import day, engine

pytestmark = pytest.mark.fast
BOOK = engine.load_book()
LOW, *_, HIGH = [band.id for band in BOOK.policy.bands]
OFFER, OTHER = [a.id for a in BOOK.policy.actions.values() if a.channels][:2]


def plan(*rows):
    "Band, action, channel, rule, arm; the rest is the same for all."
    some = dict(
        approval="none",
        review=False,
        probability=0.2,
        kind="loan",
        amount_minor=5_000,
        value_minor=10.0,
        customer_minor=5.0,
    )
    columns = ["band", "action", "channel", "rule", "arm"]
    frame = pd.DataFrame([dict(zip(columns, row, strict=True)) for row in rows])
    return frame.assign(
        customer_id=range(len(frame)),
        because=frame.rule,
        intended=frame.action,
        subject="",
        message="Two\nlines.",
        **some,
    )


def snapshot(eligible=True, folder="nowhere"):
    scored = pd.DataFrame(
        dict(customer_id=[1, 2], as_of=pd.to_datetime(["2025-03-03", "2025-03-10"]), eligible=[True, eligible])
    )
    return day.Day(BOOK, Path(folder), Path(folder), None, scored, pd.DataFrame(), "v1")


def test_only_the_latest_moment_is_planned_for_and_only_the_eligible():
    assert snapshot().live.index.tolist() == [2] and len(snapshot(False).live) == 0
    nobody = snapshot()
    assert day.worked(replace(nobody, scored=nobody.scored[:0])).questions == [], "no moment, so no table is read"


def test_tables_that_are_not_there_are_named_and_said(tmp_path):
    (tmp_path / "contacts").mkdir()
    here = snapshot(folder=tmp_path)
    assert here.missing == ["preferences", "circumstances"]
    some = plan((HIGH, OFFER, "app", "", "treated"))
    said = day.day_in_words(here, some)
    assert "Not recorded: preferences, circumstances." in said[-1] and str(tmp_path / "preferences") in said[-1]


def test_the_control_group_is_not_among_those_above_the_average():
    some = plan(
        (HIGH, OFFER, "app", "", "treated"), (HIGH, "nothing", "", "x", "control"), (LOW, OFFER, "app", "", "treated")
    )
    assert day.above(BOOK, some).customer_id.tolist() == [0]
    said = " ".join(day.day_in_words(snapshot(), some))
    assert "**2 are offered something** (66.7%); 1 belong" in said and "Of the 1 customer clearly above" in said


def test_a_source_without_a_snapshot_says_so_and_nothing_else():
    assert len(said := day.day_in_words(snapshot(), plan(("", "", "", "", ""))[:0])) == 1
    assert "no latest snapshot" in said[0]


def test_the_quiet_are_counted_under_the_rule_that_had_the_last_word():
    rows = [(HIGH, "nothing", "", "cap_week", "treated")] * 2 + [(HIGH, "nothing", "", "cap_month", "treated")]
    found = day.quiet(
        BOOK, plan(*rows, (HIGH, OFFER, "app", "", "treated"), (LOW, "nothing", "", "due_known", "treated"))
    )
    assert found[HIGH].to_dict() == {"cap_week": 2, "cap_month": 1} and found.index[0] == "cap_week"


def test_the_desk_shows_the_most_worthwhile_case_of_each_action_with_its_reasons_for_staff_alone():
    some = plan(
        (HIGH, OFFER, "app", "", "treated"), (HIGH, OFFER, "app", "", "treated"), (HIGH, OTHER, "app", "", "treated")
    )
    best = day.best(some.assign(value_minor=[1.0, 9.0, 5.0]))
    assert best.customer_id.tolist() == [1, 2]
    said = day.desk(BOOK, best, {1: "pay came late"})
    assert "*For staff:* pay came late" in said and "*For staff:* no reason on file" in said
    assert "> Two\n> lines." in said and day.desk(BOOK, best[:0], {}) == "Nobody is contacted."


def test_reasons_for_staff_are_of_the_day_they_raise_the_score_and_the_strongest_come_first(tmp_path):
    on = pd.Timestamp("2025-03-10")
    rows = pd.DataFrame(
        dict(
            customer_id=1,
            as_of=[on, on, on, on - pd.Timedelta(days=7), on],
            rank=[1, 2, 3, 1, 4],
            analyst=["a", "b", "calms", "old", "fourth"],
            contribution=[0.5, 0.2, -0.1, 0.9, 0.1],
        )
    )
    rows.to_parquet(tmp_path / "reasons.parquet")
    assert day.strongest_reasons(tmp_path / "reasons.parquet", [1, 2], on) == {1: "a; b"}
    assert day.strongest_reasons(tmp_path / "reasons.parquet", [], on) == {}
