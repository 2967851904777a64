"""Events for the tests of the log, and writers that run in processes of their own."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

from predelinquency.ground.core import DAY_MS
from predelinquency.live.door import open_log
from predelinquency.live.events import PARTITIONS, Event, moment_of
from predelinquency.live.log import Answer, Entry, Log

NOW = 1_772_442_000_000  # 09:00 on 2 March 2026
HOUR_MS = 3_600_000


def payment(number: int, customer: int = 7, at: int = NOW - HOUR_MS, amount: int = 5_000) -> Event:
    "A payment, with its number as its id."
    row = {
        "amount_minor": amount,
        "due_on": NOW // DAY_MS * DAY_MS,
        "instalment": 4,
        "obligation_id": 3,
        "paid_at": at,
        "payment_id": number,
    }
    return Event("payment", customer, "core", f"p-{number}", row)


def account(number: int, customer: int = 7) -> Event:
    "An account that was opened years ago."
    row = {"account_id": number, "currency": "GBP", "kind": "current", "limit_minor": None, "opened_on": 0}
    return Event("account", customer, "core", f"a-{number}", row)


def of_every_kind(customer: int = 7, now: int = NOW) -> list[Event]:
    "One event of each kind, all of the last day."
    due = {
        "amount_minor": 5_000,
        "announced_at": now - DAY_MS,
        "autopay": False,
        "currency": "GBP",
        "due_on": now // DAY_MS * DAY_MS + 9 * DAY_MS,
        "enough_minor": 5_000,
        "fact": "announced",
        "instalment": 4,
        "kind": "loan",
        "obligation_id": 3,
    }
    move = {
        "account_id": 1,
        "amount_minor": -1_250,
        "balance_after_minor": None,
        "booked_at": now - HOUR_MS,
        "category": "groceries",
        "counterparty": "Corner shop",
        "currency": "GBP",
        "seq": 1,
        "status": "booked",
        "transaction_id": 1,
    }
    joined = {"joined_on": 0, "segment": None, "source_id": "c-7", "time_zone": "Europe/London"}
    return [
        Event("customer", customer, "core", "c-1", joined),
        account(1, customer),
        Event("due", customer, "core", "d-1", due),
        Event("transaction", customer, "core", "t-1", move),
        payment(1, customer, now - HOUR_MS),
    ]


def everything(log: Log, page: int = 50) -> dict[int, list[Entry]]:
    "All that lies in a log, by partition, read page by page."
    return {p: found for p in range(PARTITIONS) if (found := list(following(log, p, 0, page)))}


def following(log: Log, partition: int, after: int, page: int) -> Iterator[Entry]:
    "What stands after a position."
    while some := log.read(partition, after, page):
        yield from some
        after = some[-1].position


def ids(found: dict[int, list[Entry]]) -> list[str]:
    "The ids of all events."
    return [e.event.event_id for entries in found.values() for e in entries]


def whole(found: dict[int, list[Entry]]) -> bool:
    "Whether positions are 1, 2, 3 … and stamps rise with every event of a customer."
    for entries in found.values():
        if [e.position for e in entries] != list(range(1, len(entries) + 1)):
            return False
        last: dict[int, int] = {}
        for e in entries:
            if e.arrived_at <= last.get(e.event.customer_id, 0):
                return False
            last[e.event.customer_id] = e.arrived_at
    return True


class Model:
    "A log that anybody can check by eye: plain dictionaries, one event at a time."

    def __init__(self, keep_days: int):
        self.keep_ms, self.horizon = keep_days * DAY_MS, -(10**18)
        self.known: dict[str, tuple[Event, int, int, int | None]] = {}
        self.kept: dict[int, list[tuple[int, int, Event]]] = {}
        self.last: dict[int, int] = {}
        self.heads: dict[int, int] = {}

    def append(self, event: Event, partition: int, now: int) -> tuple[str, int, int]:
        "State, position and stamp."
        moment = moment_of(event)
        if moment is not None and moment < max(now - self.keep_ms, self.horizon):
            return "refused", 0, 0
        if event.event_id in self.known:
            first, position, at, _ = self.known[event.event_id]
            return ("repeated", position, at) if first == event else ("refused", 0, 0)
        earliest = event.row[{"payment": "paid_at", "account": "opened_on", "day": "began_at"}[event.kind]]
        if earliest > now + DAY_MS:
            return "refused", 0, 0
        at = max(now, self.last.get(event.customer_id, now - 1) + 1, self.last.get(-1 - partition, now), earliest)
        position = self.heads[partition] = self.heads.get(partition, 0) + 1
        self.last[event.customer_id] = at
        self.known[event.event_id] = (event, position, at, moment)
        self.kept.setdefault(partition, []).append((position, at, event))
        return "taken", position, at

    def trim(self, before: int) -> int:
        "How many went."
        newest, gone = max(self.last.values(), default=0), 0
        self.horizon = max(self.horizon, min(before, newest) - self.keep_ms)
        for entries in self.kept.values():
            while entries and entries[0][1] < before:
                entries.pop(0)
                gone += 1
        return gone


def batches(url: str, of: int, answered: Connection, first: int = 0, step: int = 1, many: int = 10**6) -> None:
    "Append batches until killed or done; its number goes out after each answer, and `~number` before each call."
    log = open_log(url)
    for batch in range(first, first + many * step, step):
        events = [payment(batch * of + i, customer=i % 9) for i in range(of)]
        answered.send(~batch)
        answers = log.append(events, NOW + batch)
        assert all(a.state in ("taken", "repeated") for a in answers)
        answered.send(batch)
    log.close()


class Writer:
    "`batches` in a process of its own."

    def __init__(self, url: str, of: int, **how: int):
        context = multiprocessing.get_context("fork")  # nothing is imported again: ten of them cost a second
        self.hears, answers = context.Pipe(duplex=False)
        self.process = context.Process(target=batches, args=(url, of, answers), kwargs=how, daemon=True)
        self.process.start()
        answers.close()

    def wait(self, many: int) -> list[int]:
        "The next numbers of batches that were answered."
        answered: list[int] = []
        while len(answered) < many:
            answered += [n for n in [self.hears.recv()] if n >= 0]
        return answered

    def kill(self, share: float) -> list[int]:
        "Kill it after a share of the time that an append takes; the numbers that it had answered by then."
        said, calls = [], []  # answered; when the first two calls began
        while len(calls) < 2:
            if (n := self.hears.recv()) >= 0:
                said.append(n)
            else:
                calls.append(time.perf_counter())
        before, begun = calls
        while time.perf_counter() < begun + share * (begun - before):
            pass
        os.kill(self.process.pid or 0, signal.SIGKILL)
        return said + self.end()

    def end(self) -> list[int]:
        "Wait until it is gone; the numbers that it had answered by then."
        self.process.join()
        return [n for n in iter(self._rest, None) if n >= 0]

    def _rest(self) -> int | None:
        try:
            return self.hears.recv() if self.hears.poll() else None
        except EOFError:
            return None


def states(answers: list[Answer]) -> list[str]:
    "What became of each."
    return [a.state for a in answers]
