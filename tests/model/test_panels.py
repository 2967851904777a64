"""Panels: whose life is told, what moved, and what is known of nobody."""

import numpy as np
import pandas as pd
import pytest

from predelinquency.features import catalogue
from predelinquency.ground import coverage
from predelinquency.model import labels, panels

pytestmark = pytest.mark.fast
WEEK = pd.Timestamp("2025-03-03")


def frame(**columns):
    rows = dict(customer_id=[1, 2, 3], as_of=WEEK, eligible=True, imminent=False, target=0) | columns
    return pd.DataFrame(rows)


def test_the_life_that_is_told_is_the_first_with_a_target_that_counts():
    assert panels.first_with_target(frame(target=[0, 1, 1])).customer_id.tolist() == [2]
    assert panels.first_with_target(frame(target=[0, 1, 1], imminent=[False, True, False])).customer_id.tolist() == [3]
    none = panels.first_with_target(frame(target=pd.array([None, 0, None], dtype="Int32")))
    assert none.customer_id.tolist() == [1] and not none.hit.any()


def test_features_that_move_are_measured_in_spreads_of_the_book():
    names = catalogue.names()
    lie = pd.DataFrame({"1 %": 0.0, "25 %": 1.0, "75 %": 2.0, "99 %": 10.0}, index=names)
    lie.loc[names[1], ["25 %", "75 %"]] = 1.0  # half the book has one value: its outer spread counts
    pair = pd.DataFrame({"a quarter before": 0.0, "at the moment": 0.0}, index=names)
    pair.loc[names[:2], "at the moment"] = [3.0, 20.0]
    found = panels.moved_most(pair, lie, 2)
    assert found.index.tolist() == list(names[:2]), "three spreads of one are more than two of the other"


def test_a_source_of_its_own_moments_has_no_cohort_of_dues():
    seen = coverage.Seen(0, 100)
    own, weekly = (panels.Source(None, None, 7, known) for known in (None, seen))
    assert [t.name for t in own.contracts] == ["panel", "labels"]
    assert [t.name for t in weekly.contracts] == ["panel", "labels", "dues", "due_panel"]
    assert [c.name for c in weekly.contracts[3].columns[2:6]] == ["obligation_id", "instalment", "lead_days", "missed"]


def test_figures_of_a_panel_have_no_rate_where_nothing_can_be_judged():
    counted = labels.counted(frame(split="train", target=pd.array([None] * 3, dtype="Int32")))
    missing = pd.Series(0, index=catalogue.names())
    missing.iloc[0] = 3
    some = panels.Summed(3, 3, 3, missing, pd.DataFrame(), counted, None)
    report = panels.panel_figures(some)
    assert report["target_rate"] is None and report["empty_for_everybody"] == [catalogue.names()[0]]
    assert report["missing_share"][catalogue.names()[0]] == 1 and report["eligible_rows"] == 3
    judged = labels.counted(frame(split="train", target=pd.array([1, 0, 0], dtype="Int32")))
    assert panels.panel_figures(panels.Summed(3, 3, 3, missing, None, judged, None))["target_rate"] == pytest.approx(
        1 / 3, abs=1e-6
    )
    assert np.isclose(panels.by_outcome(judged).rate.iloc[0], 1 / 3)
