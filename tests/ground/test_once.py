"""A job of a day is done once, whoever comes at the same time, and again after a kill."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier, Event

import pytest

from predelinquency.ground.core import StoreError
from predelinquency.ground.ledger import Ledger
from predelinquency.ground.once import Came, OfDay, at_it_alone, job_runs, once

DIGEST, AT = OfDay("digest", "2026-03-02"), datetime(2026, 3, 2, 0, 5, tzinfo=UTC)
AT_WORK = """
import sys, time
from datetime import UTC, datetime
from predelinquency.ground.ledger import Ledger
from predelinquency.ground.once import OfDay, once

def work():
    print("at it", flush=True)
    time.sleep(600)

once(Ledger.open(sys.argv[1]), OfDay("digest", "2026-03-02"), work, "night-1-77", lambda: datetime.now(UTC))
"""


def asked(ledger: Ledger, work: Callable[[], str] = lambda: "12 alerts", of: OfDay = DIGEST, **how: int) -> Came:
    return once(ledger, of, work, "night-2-80", lambda: AT, **how)


def test_of_eight_at_once_one_does_it(ledger_url: str) -> None:
    begun, there, calls = Event(), Barrier(8), []

    def work() -> str:
        calls.append(1)
        assert begun.wait(60)
        return "12 alerts"

    def one(_: int) -> str:
        with Ledger.open(ledger_url) as ledger:
            there.wait(60)
            state = asked(ledger, work).state
        if state != "done":
            elsewhere.append(state)
            if len(elsewhere) == 7:  # the others have all been turned away while it was at work
                begun.set()
        return state

    elsewhere: list[str] = []
    Ledger.open(ledger_url).close()
    with ThreadPoolExecutor(8) as callers:
        states = list(callers.map(one, range(8)))
    assert sorted(states) == ["done", *["elsewhere"] * 7] and calls == [1]
    with Ledger.open(ledger_url) as ledger:
        assert asked(ledger, work) == Came(*DIGEST, "before", "12 alerts") and calls == [1]
        assert [(run.nth, run.state, run.said) for run in job_runs(ledger)] == [(1, "done", "12 alerts")]


def test_one_whose_process_was_killed_is_begun_again_at_once(ledger_url: str) -> None:
    with Ledger.open(ledger_url) as ledger:
        process = subprocess.Popen([sys.executable, "-c", AT_WORK, ledger_url], stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout and process.stdout.readline() == "at it\n"
            came = asked(ledger)
            assert came.state == "elsewhere" and came.said.startswith("night-1-77 has been at it since ")
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        while asked(ledger, of=OfDay("digest", "2026-03-01")).state == "elsewhere":
            pass  # a server may learn a moment later that a connection is gone
        with pytest.raises(StoreError, match=r"was killed 1 times.*\n.*by hand"):
            asked(ledger, most_lost=1)
        assert asked(ledger, most_lost=2).state == "done"
        runs = job_runs(ledger, *DIGEST)
    assert {run.nth: (run.state, run.begun_by) for run in runs} == {
        1: ("lost", "night-1-77"),
        2: ("done", "night-2-80"),
    }


def test_what_failed_says_why_and_is_begun_again(ledger_url: str) -> None:
    def fail() -> str:
        raise StoreError("the plan is of no day", remedy="make one")

    with Ledger.open(ledger_url) as ledger:
        with pytest.raises(StoreError, match="make one"):
            asked(ledger, fail)
        with pytest.raises(KeyboardInterrupt):
            asked(ledger, lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        assert asked(ledger).state == "done"
        told = {run.nth: (run.state, run.said) for run in job_runs(ledger, *DIGEST)}
    assert told == {
        1: ("failed", "the plan is of no day"),
        2: ("failed", "KeyboardInterrupt"),
        3: ("done", "12 alerts"),
    }


def test_other_jobs_and_other_days_are_others(ledger_url: str) -> None:
    with Ledger.open(ledger_url) as ledger, at_it_alone(ledger, "plan") as mine:
        assert mine and asked(ledger).state == asked(ledger, of=OfDay("digest", "2026-03-03")).state == "done"
        assert asked(ledger, of=OfDay("plan", "2026-03-02")) == Came(
            "plan", "2026-03-02", "elsewhere", "it has just begun"
        )
        assert [run.day for run in job_runs(ledger, most=1)] == ["2026-03-03"]
