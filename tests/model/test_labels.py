"The target, rule by rule."

import numpy as np
import pandas as pd
import pytest
from tables import asked, base, dues, payments, people, times

from predelinquency.ground.core import LeakageError, SchemaError
from predelinquency.ground.facts import outcomes
from predelinquency.ground.schema import NO_DUE, validate
from predelinquency.model import labels as lb

NOBODY_PAID = payments()


def one(as_of, obligations, paid=NOBODY_PAID, joined_on="2023-01-01", **changes):
    "The labels of one row."
    return lb.label(asked(as_of), people(0, joined_on=joined_on), obligations, paid, base(**changes)).iloc[0]


@pytest.mark.parametrize(
    ("day", "target", "imminent"),
    [
        (-6, None, False),
        (-5, 0, True),
        (-1, 0, True),
        (0, 0, True),
        (14, 0, True),
        (15, 1, False),
        (21, 1, False),
        (28, 1, False),
        (29, 0, False),
    ],
)
def test_only_a_first_miss_on_days_15_to_28_is_the_target(day, target, imminent):
    as_of = pd.Timestamp("2024-10-01")
    row = one(str(as_of.date()), dues(str((as_of + pd.Timedelta(days=day)).date())))
    assert (None if row.target is pd.NA else row.target, bool(row.imminent)) == (target, imminent)
    assert bool(row.eligible) == (target is not None)


def test_an_earlier_miss_takes_the_place_of_a_later_one():
    row = one("2024-10-01", dues("2024-10-10", "2024-10-20"))
    assert row.imminent and row.target == 0 and row.onset_in_days == 9


def test_a_due_inside_its_grace_leaves_the_customer_eligible_and_later_paid_is_no_onset():
    paid_on_the_fifth_day = payments((1, "2024-10-03 22:00", 100))
    row = one("2024-10-01", dues("2024-09-28"), paid_on_the_fifth_day)
    assert row.eligible and not row.imminent and row.target == 0


def test_paid_on_the_last_day_of_grace_is_paid_and_a_day_later_is_missed():
    frame = outcomes(
        dues("2024-09-28", "2024-10-28"), payments((1, "2024-10-03 23:59", 100), (2, "2024-11-03 00:00", 100)), 5
    )
    assert frame.missed.tolist() == [False, True]


def test_part_of_the_amount_is_not_paid_and_parts_that_add_up_are():
    frame = outcomes(
        dues("2024-09-28", "2024-10-28"),
        payments((1, "2024-09-28", 99), (2, "2024-10-28", 60), (2, "2024-10-30", 40)),
        5,
    )
    assert frame.missed.tolist() == [True, False]


def test_a_payment_that_was_taken_back_was_never_made_however_late_it_came_back():
    frame = outcomes(
        dues("2024-09-28", "2024-10-28"),
        payments((1, "2024-09-28", 100), (1, "2024-10-02", -100), (2, "2024-10-28", 100), (2, "2024-12-01", -100)),
        5,
    )
    assert frame.missed.tolist() == [True, True]


def test_what_was_paid_in_time_but_arrived_late_is_no_miss_yet_the_bank_did_not_know():
    late_news = payments((1, "2024-10-03", 100, "2024-10-06"))
    assert not outcomes(dues("2024-09-28"), late_news, 5).missed.any()
    assert not one("2024-10-05", dues("2024-09-28"), late_news).eligible
    assert one("2024-10-07", dues("2024-09-28"), late_news).eligible


def test_a_payment_that_arrives_at_as_of_itself_is_not_known():
    at_midnight = payments((1, "2024-10-05", 100, "2024-10-07 00:00"))
    assert not one("2024-10-07", dues("2024-09-28"), at_midnight).eligible


def test_a_customer_in_arrears_is_not_eligible_until_the_debt_is_settled():
    settled = payments((1, "2024-11-20", 100))
    rows = lb.label(
        asked("2024-10-03", "2024-10-04", "2024-11-20", "2024-11-21"), people(0), dues("2024-09-28"), settled, base()
    )
    assert rows.eligible.tolist() == [True, False, False, True]


def test_utilities_and_other_signs_are_never_the_target_and_never_arrears():
    row = one("2024-10-01", dues("2024-09-01", "2024-10-20", kind="utility"))
    assert row.eligible and row.target == 0 and not row.exposed


@pytest.mark.parametrize("kind", ["loan", "card", "mortgage", "rent"])
def test_every_debt_and_housing_due_can_be_the_target(kind):
    row = one("2024-10-01", dues("2024-10-20", kind=kind))
    assert row.target == 1 and row[f"due_count_{kind}"] == 1 and row[f"due_minor_{kind}"] == 100


def test_ninety_days_of_history_are_needed():
    assert not one("2024-10-01", dues("2024-10-20"), joined_on="2024-07-04").eligible
    assert one("2024-10-01", dues("2024-10-20"), joined_on="2024-07-03").eligible


def test_an_outcome_that_cannot_be_known_at_the_visible_end_is_no_target():
    "Visible until 1 July 2025; horizon 28, grace 5 and lag 2 make 27 May the last moment."
    last, after = one("2025-05-27", dues("2025-06-20")), one("2025-05-28", dues("2025-06-20"))
    assert last.target == 1 and last.split != "live"
    assert after.target is pd.NA and after.split == "live" and np.isnan(after.onset_in_days) and not after.imminent


def test_the_calendar_counts_only_what_was_announced_and_exposure_counts_what_came():
    row = one("2024-10-01", dues("2024-10-20", kind="card", announced_days=10))
    assert row.exposed and row.due_count_card == 0 and row.due_minor_card == 0


def test_a_due_announced_at_as_of_itself_is_not_in_the_calendar():
    assert one("2024-10-01", dues("2024-10-20", announced_days=19)).due_count_loan == 0
    assert one("2024-10-01", dues("2024-10-20", announced_days=20)).due_count_loan == 1


def test_a_straight_roller_missed_nothing_in_180_days():
    paid = payments((1, "2024-06-01", 100))
    assert not one("2024-11-01", dues("2024-05-06"), paid).straight_roller
    assert one("2024-11-03", dues("2024-05-06"), paid).straight_roller


def test_labels_do_not_depend_on_who_else_is_asked_about():
    obligations = pd.concat([dues("2024-10-20", customer=c) for c in range(5)], ignore_index=True)
    whole = lb.label(
        pd.concat([asked("2024-10-01", customer=c) for c in range(5)], ignore_index=True),
        people(*range(5)),
        obligations,
        NOBODY_PAID,
        base(),
    )
    alone = lb.label(asked("2024-10-01", customer=3), people(3), dues("2024-10-20", customer=3), NOBODY_PAID, base())
    pd.testing.assert_frame_equal(whole[whole.customer_id == 3].reset_index(drop=True), alone)


def test_what_happens_after_grace_changes_no_outcome():
    before, after = payments((1, "2024-10-20", 50)), payments((1, "2024-10-20", 50), (1, "2024-10-26", 50))
    assert (
        one("2024-10-01", dues("2024-10-20"), before).target == one("2024-10-01", dues("2024-10-20"), after).target == 1
    )


def test_a_payment_towards_an_unknown_due_is_refused_by_name():
    with pytest.raises(SchemaError, match="not in obligations.*'instalment': 7"):
        outcomes(dues("2024-10-20"), payments((7, "2024-10-20", 100)), 5)


def test_onsets_are_the_missed_target_dues_in_order():
    obligations = pd.concat(
        [dues("2024-10-20", "2024-11-20"), dues("2024-10-25", kind="utility", obligation=2)], ignore_index=True
    )
    found = lb.onsets(obligations, payments((2, "2024-11-20", 100)), 5)
    assert found[["obligation_id", "instalment"]].to_numpy().tolist() == [[1, 1]] and found.due_on.tolist() == [
        pd.Timestamp("2024-10-20")
    ]


def test_moments_are_midnights_counted_back_from_the_visible_end():
    grid = lb.moments(base(), 7)
    assert (
        grid[-1] == np.datetime64("2025-07-01")
        and grid[0] == np.datetime64("2024-07-02")
        and set(np.diff(grid).astype("timedelta64[D]").astype(int)) == {7}
    )


def test_a_customer_has_rows_from_the_first_moment_after_joining_and_opening_an_account():
    accounts = pd.DataFrame(dict(customer_id=[0, 1], opened_on=times(["2023-01-01", "2025-06-17"])))
    rows = lb.spine(pd.concat([people(0, joined_on="2025-06-10"), people(1, 2)]), accounts, base(), 7)
    assert rows[rows.customer_id == 0].as_of.min() == pd.Timestamp("2025-06-17")
    assert rows[rows.customer_id == 1].as_of.tolist() == [
        pd.Timestamp("2025-06-24"),
        pd.Timestamp("2025-07-01"),
    ] and 2 not in set(rows.customer_id)


def test_counts_of_parts_add_up_to_the_counts_of_all():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        dict(
            customer_id=np.repeat(np.arange(40), 6),
            as_of=np.tile(pd.date_range("2025-01-06", periods=6, freq="7D"), 40),
            eligible=rng.random(240) < 0.9,
            imminent=rng.random(240) < 0.1,
            target=pd.array(rng.integers(0, 2, 240), dtype="Int32"),
            split=pd.Categorical(rng.choice(["test", "train", "live"], 240), categories=lb.SPLIT_WORDS),
        )
    )
    frame.loc[frame.split == "live", "target"] = pd.NA
    whole, parts = (
        lb.counted(frame),
        pd.concat([lb.counted(frame[frame.customer_id < 13]), lb.counted(frame[frame.customer_id >= 13])]),
    )
    assert parts.groupby(level="split", sort=False).agg(lb.COUNTED).loc[whole.index].equals(
        whole
    ) and whole.index.tolist() == ["train", "test", "live"]
    usable = frame[frame.eligible & ~frame.imminent & frame.target.notna()]
    assert (
        whole.usable.sum() == len(usable)
        and whole.hits.sum() == usable.target.sum()
        and whole.loc["live", "usable"] == 0
    )


def test_a_source_s_own_moments_are_all_eligible_with_their_own_target():
    known = np.array(["2024-10-26", "NaT"], "datetime64[ms]")
    moments = asked("2024-10-01", "2024-12-01").assign(target=np.array([1, 0], np.int32), known_on=known)
    rows = lb.given(moments, dues("2024-10-20"), NOBODY_PAID, base())
    assert rows.known_on.equals(moments.known_on) and (rows.obligation_id == NO_DUE).all()
    assert (
        rows.eligible.all()
        and not rows.imminent.any()
        and rows.target.tolist() == [1, 0]
        and rows.exposed.tolist() == [True, False]
        and set(rows.split) == {"test"}
    )


def test_two_contracts_of_one_day_are_two_rows_each_with_its_own_answer():
    moments = asked("2024-10-01", "2024-10-01").assign(
        target=np.array([1, 0], np.int32),
        known_on=np.datetime64("2024-12-01", "ms"),
        obligation_id=[4, 9],
        instalment=1,
    )
    rows = validate(lb.LABELS, lb.given(moments, dues("2024-10-20"), NOBODY_PAID, base()), "labels")
    assert rows[["obligation_id", "instalment", "target"]].to_numpy().tolist() == [[4, 1, 1], [9, 1, 0]]


def test_a_moment_whose_answer_was_known_before_it_is_refused_and_one_that_is_known_at_it_is_not():
    moments = asked("2024-10-01", "2024-12-01").assign(target=np.array([1, 0], np.int32))
    at = np.array(["2024-10-01", "2024-11-30"], "datetime64[ms]")
    with pytest.raises(LeakageError, match="1 of 2 moments were known before they are asked.* 2024-12-01"):
        lb.given(moments.assign(known_on=at), dues("2024-10-20"), NOBODY_PAID, base())
    assert len(lb.given(moments.assign(known_on=moments.as_of), dues("2024-10-20"), NOBODY_PAID, base())) == 2


def test_the_cohort_of_dues_is_the_same_at_every_lead():
    tester = next(c for c in range(100) if lb.SPLITS[lb.split(np.array([c]), base())[0]] == "test")
    obligations = pd.concat(
        [dues("2025-05-05", "2025-06-05", customer=tester), dues("2025-05-20", customer=tester, obligation=2)],
        ignore_index=True,
    )
    paid = payments((1, "2025-05-05", 100)).assign(customer_id=tester)
    rows = lb.due_spine(people(tester), obligations, paid, base())
    cohorts = {
        lead: set(map(tuple, part[["obligation_id", "instalment", "missed"]].to_numpy().tolist()))
        for lead, part in rows.groupby("lead_days")
    }
    assert set(cohorts) == {28, 21, 14, 7, 3} and len(set(map(frozenset, cohorts.values()))) == 1
    assert cohorts[28] == {(1, 1, False), (2, 1, True)}, (
        "the due of 5 June is left out: seven days before, the miss of 20 May is past its grace"
    )


def test_only_test_customers_are_in_the_cohort():
    trainer = next(c for c in range(100) if lb.SPLITS[lb.split(np.array([c]), base())[0]] == "train")
    assert len(lb.due_spine(people(trainer), dues("2025-05-05", customer=trainer), NOBODY_PAID, base())) == 0
