"""Who sends, who takes in and who reads, in processes of their own that can be killed at any moment; so can their servers."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import httpx
import live_bank
import uvicorn
from served import HEADERS, KEY, free_port

from predelinquency.decide.policy import load_policy
from predelinquency.ground.core import StoreError
from predelinquency.ground.ledger import Ledger
from predelinquency.ground.outages import Outage
from predelinquency.live.alerts import load_alert_rules
from predelinquency.live.archive import open_archive
from predelinquency.live.door import open_log
from predelinquency.live.events import Event
from predelinquency.live.lives import Lives
from predelinquency.live.places import progress
from predelinquency.live.staying import read_through, staying
from predelinquency.live.worker import Judge, Worker
from predelinquency.reasons.scorer import Scorer
from predelinquency.service.desk import Desk
from predelinquency.service.http import app

BATCH = 250
REST = 0.05  # seconds
Told = list[tuple[int, Event]]
_CONTEXT = multiprocessing.get_context("fork")  # nothing is imported again


def pieces(told: Told) -> Iterator[tuple[int, list[Event]]]:
    "What is sent at once, with the clock's milliseconds then; beginnings of days stand alone."
    for at in range(0, len(told), BATCH):
        some, last = list[Event](), 0
        for now, event in told[at : at + BATCH]:
            if some and (event.kind == "day") != (some[-1].kind == "day"):
                yield last, some
                some = []
            some, last = [*some, event], now
        if some:
            yield last, some


def tell(url: str, told: Told) -> None:
    "All of it, into a log that nobody disturbs."
    log = open_log(url, keep_days=live_bank.KEEP_DAYS)
    for now, some in pieces(told):
        log.append(some, now)
    log.close()


def send(url: str, base: str, clock: Any, told: Told) -> None:
    "As a bank's systems do: events by HTTP, days into the log, each again until it is answered."
    with httpx.Client(base_url=base, headers=HEADERS, timeout=60) as client:
        for now, some in pieces(told):
            clock.value = now
            while not (_told_day(url, some, now) if some[0].kind == "day" else _posted(client, some)):
                time.sleep(REST)


def _posted(client: httpx.Client, some: list[Event]) -> bool:
    try:
        said = client.post("/v1/events", json=dict(events=[event._asdict() for event in some]))
    except httpx.TransportError:
        return False
    assert said.status_code in (200, 429, 503), said.text
    assert said.status_code != 200 or all(a["state"] != "refused" for a in said.json()["answers"]), said.text
    return said.status_code == 200


def _told_day(url: str, some: list[Event], now: int) -> bool:
    try:
        log = open_log(url, keep_days=live_bank.KEEP_DAYS)
        assert all(answer.state != "refused" for answer in log.append(some, now))
    except Outage:
        return False
    log.close()
    return True


def serve(url: str, ledger_url: str, port: int, clock: Any) -> None:
    "The service, by the sender's clock."

    def moment() -> datetime:
        return (datetime(1970, 1, 1) + timedelta(milliseconds=clock.value)).astimezone()

    log, ledger = open_log(url, keep_days=live_bank.KEEP_DAYS), Ledger.open(ledger_url)
    scoring: Any = SimpleNamespace(ledger=ledger)
    desk = Desk(KEY, scoring, ready=True, log=log, clock=moment, most_behind=50_000)
    uvicorn.Server(uvicorn.Config(app(desk), "127.0.0.1", port, log_config=None)).run()


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def read(url: str, ledger_url: str, folder: Path, judge: Scorer, heard: Callable[[Any], None] = print) -> None:
    "As the command does, in batches of any size, until somebody ends it."
    log, most = open_log(url, keep_days=live_bank.KEEP_DAYS), random.Random().choice([7, 60, 400])
    with Ledger.open(ledger_url) as ledger:
        rules = Judge(judge, live_bank.settings(), load_alert_rules(load_policy()))
        made = Worker(log, ledger, Lives(open_archive(folder)), rules, f"worker-{os.getpid()}")
        with staying(made, wall_ms):
            for many in read_through(made, wall_ms, heard, most):
                if not many:
                    time.sleep(0.01)


class Part(Protocol):
    "Something that runs, is killed, and is started again."

    def start(self) -> None: ...

    def kill(self) -> None: ...


class Process:
    "One of them, started again after each kill."

    def __init__(self, work: Callable[..., None], *how: object):
        self.work, self.how = work, how
        self.start()

    def start(self) -> None:
        self.process = _CONTEXT.Process(target=self.work, args=self.how, daemon=True)
        self.process.start()

    def kill(self) -> None:
        os.kill(self.process.pid or 0, signal.SIGKILL)
        self.process.join()

    @property
    def runs(self) -> bool:
        return self.process.is_alive()


class Bank:
    "A sender, a service and two workers, of which one stands by, on some log and ledger."

    def __init__(self, url: str, ledger_url: str, folder: Path, judge: Scorer, told: Told):
        self.url, self.ledger_url, port, clock = url, ledger_url, free_port(), _CONTEXT.Value("q", 0)
        self.service = Process(serve, url, ledger_url, port, clock)
        self.workers = [Process(read, url, ledger_url, folder, judge) for _ in range(2)]
        self.sender = Process(send, url, f"http://127.0.0.1:{port}", clock, told)

    def raise_up(self) -> None:
        "What watches over a bank's programs starts again what has ended."
        for one in (self.service, *self.workers):
            if not one.runs:
                one.start()

    def is_done(self) -> bool:
        "Whether everything was sent, and read."
        if self.sender.runs:
            return False
        assert self.sender.process.exitcode == 0
        try:
            log = open_log(self.url)
            with Ledger.open(self.ledger_url) as ledger:
                read_to = progress(ledger)
            ends = log.heads()
            log.close()
        except StoreError:
            return False
        return all(read_to[p] == n for p, n in ends.items())

    def end(self) -> None:
        for one in (self.sender, self.service, *self.workers):
            one.kill() if one.runs else one.process.join()


def run(bank: Bank, servers: Sequence[Part], kills: int, seed: int, patience: float = 120) -> int:
    "Kills at random, then to the end; how many of them came while there was something to do."
    dice, hit = random.Random(seed), 0
    try:
        for _ in range(kills):
            time.sleep(dice.uniform(0.05, 0.6))
            one = dice.choice([bank.service, *bank.workers, *servers])
            hit += not bank.is_done() if isinstance(one, Process) and one.runs else 1
            if not isinstance(one, Process) or one.runs:
                one.kill()
                time.sleep(dice.choice([0, 0, 0.3]))
            if not isinstance(one, Process):
                one.start()
            bank.raise_up()
        end = time.monotonic() + patience
        while not bank.is_done():
            assert time.monotonic() < end, "it does not come to its end"
            bank.raise_up()
            time.sleep(REST)
        return hit
    finally:
        bank.end()
