"""How often people decided otherwise, and what came of it: numbers that one can count by hand."""

from datetime import datetime, timedelta

import pytest
from records import AT, decision, milestone, note, outcome

from predelinquency.decide.overrides import WORD_DAYS, count_overrides, wilson, words_of
from predelinquency.ground.ledger import Ledger

SINCE = "2026-01-01"


def later(days: float) -> str:
    return (datetime.fromisoformat(AT) + timedelta(days=days)).isoformat()


def rejected(customer: int, by: str = "carla", **other: object) -> object:
    return milestone(customer_id=customer, kind="rejected", said_by=by, why="has paid", **other)


def put_off(customer: int, days: float, **other: object) -> object:
    fixed = dict(kind="put_off", said_by="ben", why="sold a car", until_on="2026-04-20", obligation_id=3, instalment=12)
    return note(**(dict(customer_id=customer, said_at=later(days)) | fixed | other))


def proposed(customer: int, **other: object) -> object:
    return decision(customer_id=customer, obligation_id=3, instalment=12, approval="team_lead", **other)


def test_each_word_counts_once_by_action_person_and_outcome(ledger_url: str) -> None:
    approved = [milestone(customer_id=n, kind="approved", said_by="anna") for n in (1, 2, 5)]
    rows = [
        *(proposed(n) for n in (1, 2, 3, 5, 6, 7, 8)),
        proposed(4, action="call", channel="phone"),
        *approved,
        rejected(3),
        rejected(4),
        put_off(4, 1),  # refused, too: that counts
        put_off(5, WORD_DAYS),  # approved, and then put off
        put_off(6, WORD_DAYS + 0.1),  # too late to be about this decision
        put_off(7, 1, said_by="customer", kind="cannot_pay", until_on=None),
        put_off(8, 1, instalment=13),  # another due
        outcome(customer_id=1, missed=True),
        outcome(customer_id=2, missed=None),
        outcome(customer_id=3, observed_on="2026-04-05", missed=None),
        outcome(customer_id=3, observed_on="2026-04-20", missed=False),
        outcome(customer_id=4, missed=True),
    ]
    with Ledger.open(ledger_url) as ledger:
        ledger.append(rows, AT)
        found = words_of(ledger, SINCE)
        assert not words_of(ledger, "2026-03-03"), "of decisions before that day nothing is told"
    said = {one.customer_id: (one.verdict, one.said_by, one.missed) for one in found}
    assert said == {
        1: ("agreed", "anna", True),
        2: ("agreed", "anna", None),
        3: ("refused", "carla", False),
        4: ("refused", "carla", True),
        5: ("changed", "ben", None),
    }
    told = count_overrides(found)
    assert (told["looked_at"], told["otherwise"]["count"], told["otherwise"]["share"]) == (5, 3, 0.6)
    assert told["by_action"] == dict(call=dict(refused=1), due_date=dict(agreed=2, changed=1, refused=1))
    assert sorted(map(str, told["by_person"].values())) == ["{'agreed': 2}", "{'changed': 1}", "{'refused': 2}"]
    assert not {"anna", "ben", "carla"} & set(told["by_person"])
    of = told["came_of"]
    assert {way: (one["decisions"], one["not_known"], one["paid"], one["missed"]) for way, one in of.items()} == dict(
        agreed=(2, 1, 0, 1), changed=(1, 1, 0, 0), refused=(2, 0, 1, 1)
    )
    assert of["refused"]["share"] == 0.5 and of["changed"]["share"] is of["changed"]["low"] is None


def test_a_word_is_about_the_newest_decision_before_it(ledger_url: str) -> None:
    with Ledger.open(ledger_url) as ledger:
        days = ("2026-03-02", "2026-03-09", "2026-03-16")
        made = [proposed(7, as_of=day, decided_at=f"{day}T10:00:00+00:00") for day in days]
        ledger.append([*made, put_off(7, 9)], AT)
        assert [(one.as_of, one.verdict) for one in words_of(ledger, SINCE)] == [("2026-03-09", "changed")]


def test_an_empty_ledger_has_no_rate() -> None:
    told = count_overrides([])
    assert told["otherwise"] == dict(count=0, share=None, low=None, high=None) and not told["by_person"]


@pytest.mark.parametrize("k, n", [(0, 7), (3, 10), (40, 40), (250, 1_000)])
def test_the_interval_is_wilsons(k: int, n: int) -> None:
    from scipy.stats import binomtest

    known = binomtest(k, n).proportion_ci(0.95, "wilson")
    assert wilson(k, n) == pytest.approx((known.low, known.high), abs=1e-6)
