"""What came of a decision, from the tables of a bank."""

import pandas as pd
import pytest

from predelinquency.decide import outcomes
from predelinquency.ground import params
from predelinquency.ground.core import SchemaError, project_folder

DAY = pd.to_datetime
END = DAY("2025-12-01")


@pytest.fixture(scope="module")
def base():
    return params.load(project_folder() / "params.yaml").base


def owed(*rows, kind="loan"):
    "announced on, instalment, due on, fact, amount"
    names = ("announced_at", "instalment", "due_on", "fact", "amount_minor")
    frame = pd.DataFrame([dict(zip(names, r, strict=True)) for r in rows])
    frame = frame.assign(announced_at=DAY(frame["announced_at"]), due_on=DAY(frame["due_on"]), kind=kind)
    return frame.assign(customer_id=1, obligation_id=64, enough_minor=frame["amount_minor"])


def paid(*rows):
    "instalment, on, amount"
    frame = pd.DataFrame(rows, columns=["instalment", "paid_at", "amount_minor"])
    when = DAY(frame["paid_at"])
    return frame.assign(customer_id=1, obligation_id=64, paid_at=when, arrived_at=when)


ASKED = pd.DataFrame(dict(customer_id=[1], as_of=DAY(["2025-03-01"])))
FIRST, SECOND = ("2025-01-05", 1, "2025-03-10", "announced", 100), ("2025-01-05", 2, "2025-04-10", "announced", 100)
NOTHING = paid((9, "2020-01-01", 1)).iloc[:0]


def missing(dues, payments, end=END):
    return outcomes.overdue_later(ASKED, dues, payments, end)[0]


def test_what_was_added_to_a_later_instalment_and_paid_with_it_is_made_good():
    spread = owed(
        FIRST, ("2025-03-12", 1, "2025-03-10", "cancelled", 100), SECOND, ("2025-03-12", 2, "2025-04-10", "moved", 200)
    )
    assert missing(spread, paid((2, "2025-04-10", 200))) == 0
    assert missing(spread, paid((2, "2025-04-10", 100))) == 100


def test_more_than_is_asked_makes_up_for_nothing():
    assert missing(owed(FIRST, SECOND), paid((2, "2025-04-10", 200))) == 100


def test_an_instalment_that_was_lowered_is_missing_by_the_difference():
    lower = owed(FIRST, ("2025-03-02", 1, "2025-03-10", "moved", 65))
    assert missing(lower, paid((1, "2025-03-10", 65))) == 35


def test_what_is_announced_later_or_due_later_or_paid_later_is_left_out():
    later = owed(
        FIRST, ("2025-03-05", 2, "2025-04-10", "announced", 100), ("2025-01-05", 3, "2025-07-05", "announced", 100)
    )
    assert missing(later, paid((1, "2025-03-10", 100))) == 0
    assert missing(owed(FIRST), paid((1, "2025-07-05", 100))) == 100


def test_who_owes_nothing_misses_nothing_and_an_early_end_is_not_known(base):
    other = ASKED.assign(customer_id=2)
    assert outcomes.overdue_later(other, owed(FIRST), NOTHING, END)[0] == 0
    assert not outcomes.in_arrears(other, owed(FIRST), NOTHING, base, END)[0]
    assert outcomes.in_arrears(other, owed(FIRST), NOTHING, base, DAY("2025-04-01")).isna()[0]
    assert missing(owed(FIRST), NOTHING, DAY("2025-06-01")) is pd.NA


@pytest.mark.parametrize(
    ("due", "late"), [("2025-02-22", False), ("2025-02-24", True), ("2025-04-07", True), ("2025-04-08", False)]
)
def test_arrears_count_from_the_day_after_the_decision_until_the_forty_second(base, due, late):
    "Five days of grace: the due of 24 February is late from 2 March on, that of 7 April from 13 April on."
    dues = owed(("2025-01-05", 1, due, "announced", 100))
    assert outcomes.in_arrears(ASKED, dues, NOTHING, base, END)[0] == late


def test_a_bill_that_is_no_target_is_no_arrears(base):
    assert not outcomes.in_arrears(ASKED, owed(FIRST, kind="utility"), NOTHING, base, END)[0]


@pytest.mark.parametrize("column", ["customer_id", "as_of"])
def test_a_decision_without_a_customer_or_a_midnight_is_refused(base, column):
    with pytest.raises(SchemaError, match=f"no column {column}"):
        outcomes.came_of(ASKED.drop(columns=column), owed(FIRST), NOTHING, base, END)
