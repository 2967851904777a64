"""The score of a due: its order at every lead, its level, and its rivals on the same rows."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as peer

from predelinquency.features import catalogue
from predelinquency.judge import due_rivals, due_scores, intervals, report
from predelinquency.model.champion import RIVALS
from predelinquency.model.labels import LEADS

PEOPLE = np.arange(500)


def made(seed=1):
    "A cohort at five leads and four weeks of dues, better ranked the nearer they are."
    rng, missed = np.random.default_rng(seed), np.arange(500) % 8 == 0
    one = pd.DataFrame(dict(customer_id=PEOPLE, obligation_id=1, instalment=1, missed=missed, expected=False))

    def scored(lead, split):
        noise = {name: missed + rng.normal(0, 2, 500) for name in (*RIVALS, "challenger")}
        p = 1 / (1 + np.exp(-(missed * 30 / (lead + 10) - 3 + rng.normal(size=500))))
        when = pd.Timestamp("2025-03-03") - pd.Timedelta(days=lead)
        return one.assign(lead_days=lead, split=split, probability=p, as_of=when, **noise)

    weekly = [scored(lead, "test") for lead in (4, 11, 18, 25)]
    return pd.concat([*(scored(lead, "cohort") for lead in LEADS), *weekly], ignore_index=True)


def measured(due, people=PEOPLE):
    plan = due_scores.plan_dues(due, people)
    found = intervals.estimate(plan.statistics, len(people), 100, 3, plan.differences)
    return report.nested(found, plan.absent)["due"]


@pytest.fixture(scope="module")
def due():
    return made()


@pytest.fixture(scope="module")
def found(due):
    return measured(due)


def test_the_order_at_each_lead_and_that_of_each_rival_are_those_of_a_peer(due, found):
    for lead in LEADS:
        some = due[(due.split == "cohort") & (due.lead_days == lead)]
        own = peer.roc_auc_score(some.missed, some.probability)
        assert found["auc"][str(lead)] == pytest.approx(own, abs=1e-4)
        for rival in RIVALS:
            other = peer.roc_auc_score(some.missed, some[rival])
            assert found["rivals"][rival][str(lead)] == pytest.approx(other, abs=1e-4)
        gain = found["gain_over_five_columns"][str(lead)]
        assert gain["auc"] == pytest.approx(own - peer.roc_auc_score(some.missed, some.five_columns), abs=1e-4)
        assert gain["low"] < gain["auc"] < gain["high"]


def test_the_level_is_that_of_the_weekly_dues_of_a_band(due, found):
    level = found["calibration"]["observed_expected"]
    weekly = due[due.split == "test"]
    assert level["pooled"] == pytest.approx(weekly.missed.sum() / weekly.probability.sum(), rel=1e-3)
    near = weekly[weekly.lead_days <= 7]
    assert level["1_7"] == pytest.approx(near.missed.sum() / near.probability.sum(), rel=1e-3)


def test_a_rival_that_is_unknown_of_some_dues_has_a_figure_and_no_gain(due):
    holes = due.assign(five_columns=due.five_columns.where(due.customer_id % 9 != 0))
    some = measured(holes)
    assert some["rivals"]["five_columns"]["14"] and "gain_over_five_columns" not in some


def test_a_source_without_a_schedule_says_so():
    for nothing in (None, made().iloc[:0]):
        block = due_scores.arranged(measured(nothing))
        assert block["auc"].pop("why") == due_scores.NOTHING and set(block["auc"].values()) == {None}
        assert "not known" in str(due_scores.shown(dict(due=block))[0])


def test_a_cohort_in_which_nobody_missed_says_so(due):
    block = measured(due.assign(missed=False))
    assert block["auc"]["14"] is None and block["auc"]["why"] == due_scores.ONE_SIDED
    assert block["calibration"]["slope"]["pooled"] is None


def test_bounds_stand_in_blocks_of_their_own(found):
    block = due_scores.arranged(found)
    for name in ("auc", "auc_low", "auc_high"):
        assert set(block[name]) == {str(lead) for lead in LEADS}
    assert all(block["auc_low"][d] < block["auc"][d] < block["auc_high"][d] for d in block["auc"])


def test_what_was_measured_on_is_counted_once_a_due(due):
    counted = due_scores.evidence(due)
    assert counted["cohort"] == dict(dues=500, missed=63, customers=500, rows=500 * len(LEADS), expected_rows=0)
    assert counted["weekly"]["rows"] == 2000 and counted["weekly"]["dues"] == 500


def test_no_rival_reads_more_than_it_is_said_to_know():
    known = set(catalogue.names())
    for name, inputs in due_rivals.INPUTS.items():
        assert set(inputs) <= known and len(set(inputs)) == len(inputs), name
    calendar, record = (set(due_rivals.INPUTS[n]) for n in ("collected_calendar", "own_lateness"))
    assert calendar < record and len(due_rivals.INPUTS["five_columns"]) == 5
    beyond = ("days_late", "late_share", "overdue", "projected", "_over_", "_trend")
    assert not [name for name in due_rivals.plain() if any(word in name for word in beyond)]


def test_the_model_that_answers_is_asked_of_strangers_beside_five_columns_that_learned_as_much(due):
    rng = np.random.default_rng(7)
    said = dict(
        shipped=due.missed * 2 + rng.normal(size=len(due)), shipped_five_columns=due.missed + rng.normal(size=len(due))
    )
    own = due.customer_id < 200
    with_it = due.assign(**{name: values.where(~own) for name, values in said.items()})
    found, strangers = measured(with_it)["shipped"], with_it[~own & (due.split == "cohort")]
    for lead in LEADS:
        some = strangers[strangers.lead_days == lead]
        auc, rival, judged = (peer.roc_auc_score(some.missed, some[c]) for c in (*said, "probability"))
        assert found["auc"][str(lead)] == pytest.approx(auc, abs=1e-4)
        assert found["gain_over_five_columns"][str(lead)]["auc"] == pytest.approx(auc - rival, abs=1e-4)
        assert found["gain"][str(lead)]["auc"] == pytest.approx(auc - judged, abs=1e-4)
    assert "shipped" not in measured(due)
