"""Wherever a process ends, whoever goes on, whatever the clocks say: the ledger is that of an undisturbed run.

More of them: `CRASHES=200000 python -m pytest -n0 tests/live/test_crashes.py -m long`, some twenty in a second.
One schedule again: `CRASH_SEED=17 python -m pytest -n0 tests/live/test_crashes.py -k one_schedule`, with a fault
`CRASH_FAULT='lease without fencing'`.

A snapshot without its position is planted as an archive with that of another moment. What is sent has schedules of
its own: test_sending_crashes.py.
"""

import os
from contextlib import nullcontext

import pytest
from live_crashes import Bank, first_wrong, wrong
from live_faults import FAULTS

MANY = int(os.environ.get("CRASHES", 20_000))
AGAIN = "CRASH_SEED={} CRASH_FAULT='{}' python -m pytest -n0 tests/live/test_crashes.py -k one_schedule\n{}"


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    return Bank(tmp_path_factory.mktemp("crashes"))


@pytest.mark.parametrize("many", [150, pytest.param(MANY, marks=pytest.mark.long)], ids=["some", "many"])
def test_no_schedule_leaves_anything_else_than_an_undisturbed_run(bank: Bank, many: int) -> None:
    found = first_wrong(bank, range(many))
    assert found is None, AGAIN.format(found[0], "", found[1])


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_noticed_within_two_thousand_schedules(bank: Bank, name: str) -> None:
    with FAULTS[name].plant(bank):
        found = first_wrong(bank, FAULTS[name].seeds, FAULTS[name].seen)
    assert found is not None, name
    assert wrong(bank, found[0]) == "", "without the fault the same schedule is as it should be"
    print(AGAIN.format(found[0], name, found[1]))


def test_one_schedule(bank: Bank) -> None:
    "That of `CRASH_SEED`, with `CRASH_FAULT` in it; without either, the same seed gives the same schedule."
    seed, name = int(os.environ.get("CRASH_SEED", 1)), os.environ.get("CRASH_FAULT")
    with FAULTS[name].plant(bank) if name else nullcontext():
        told = wrong(bank, seed)
    assert told == "", told
