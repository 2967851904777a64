"""Wherever a sender ends: nobody is written to of whom the ledger does not know it, none after a stop, none twice.

One schedule again: `CRASH_SEED=17 python -m pytest -n0 tests/service/test_sending_crashes.py -k one_schedule`, with a
fault `CRASH_FAULT='contact recorded after sending'`.
"""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import pytest
from live_crashes import Books
from live_faults import changed
from sending_crashes import first_wrong_sending, wrong_sending

from predelinquency.service import outbox

AGAIN = "CRASH_SEED={} CRASH_FAULT='{}' python -m pytest -n0 tests/service/test_sending_crashes.py -k one_schedule\n{}"
QUEUES = "(barred := _in_turn(ledger, decision, clock)) is not None"
TURN = "    with alone(ledger, decision.customer_id) as book:  # the step `queued` is in the ledger for good\n"
NOW_STOPPED = "stopped = decision.customer_id in heard(book, (), decision.customer_id)[1]"
FAULTS: dict[str, tuple[str, Mapping[str, str]]] = {
    "outbox sent before commit": (
        "send_one",
        {QUEUES: "None", TURN: TURN + '        _write(book, decision, "queued", clock())\n'},
    ),
    "contact recorded after sending": (
        "send_one",
        {
            QUEUES: "None",
            "_write(book, decision, fate, clock())": '[_write(book, decision, s, clock()) for s in ("queued", fate)]',
        },
    ),
    "a stop read before the turn": ("_barred", {NOW_STOPPED: "stopped = False"}),
    "a lost answer taken for a refusal": ("_called", {"status in AGAIN or status >= 500": "status >= 500"}),
}


@pytest.fixture(scope="module")
def books() -> Books:
    return Books()


def planted(name: str | None) -> AbstractContextManager[None]:
    return changed(outbox, *FAULTS[name]) if name else nullcontext()


@pytest.mark.parametrize("many", [150, pytest.param(5_000, marks=pytest.mark.long)], ids=["some", "many"])
def test_nothing_is_sent_that_should_not_be(books: Books, many: int) -> None:
    found = first_wrong_sending(books, range(many))
    assert found is None, AGAIN.format(found[0], "", found[1])


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_sending_is_noticed_within_two_thousand_schedules(books: Books, name: str) -> None:
    with planted(name):
        found = first_wrong_sending(books, range(2_000))
    assert found is not None, name
    assert wrong_sending(books, found[0]) == "", "without the fault the same schedule is as it should be"
    print(AGAIN.format(found[0], name, found[1]))


def test_one_schedule(books: Books) -> None:
    "That of `CRASH_SEED`, with `CRASH_FAULT` in it; without either, the same seed gives the same schedule."
    with planted(os.environ.get("CRASH_FAULT")):
        told = wrong_sending(books, int(os.environ.get("CRASH_SEED", 1)))
    assert told == "", told
