"""Full disks, servers that go and come back, clocks that are wrong: service and worker say so, and go on as if nothing had been."""

import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import live_bank
import pytest
import sqlalchemy as sa
from databases import Postgres
from guests import HOUSE_KEY, NOW, asker, desk_of
from live_events import account, everything, ids, payment, whole
from live_processes import wall_ms
from live_server import Server

from predelinquency.ground.core import DAY_MS
from predelinquency.ground.ledger import Ledger
from predelinquency.ground.outages import Outage
from predelinquency.live import staying as live_staying
from predelinquency.live.archive import Archive
from predelinquency.live.door import open_log
from predelinquency.live.events import PARTITIONS, Event
from predelinquency.live.lives import Lives
from predelinquency.live.places import holders, progress
from predelinquency.live.staying import read_through, staying
from predelinquency.live.worker import Worker, read_on
from predelinquency.ops import live
from predelinquency.ops.cli import app
from predelinquency.reasons.scorer import Scorer
from predelinquency.service.doors import _bank_ms

BANK_NOW = _bank_ms(NOW)


class Bank(NamedTuple):
    archive: Archive
    judge: Scorer
    told: list[tuple[int, Event]]
    rows: dict[str, list]  # what a worker writes that nobody disturbs

    def worker(self, log: Any, ledger: Ledger, owner: str = "anna", **how: Any) -> Worker:
        rules = live_bank.worker(log, ledger, self.archive, self.judge).judge if not how else how.pop("rules")
        return Worker(log, ledger, Lives(self.archive), rules, owner, **how)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    folder, tables = tmp_path_factory.mktemp("bank"), live_bank.bank(5, 16)
    kept, judge, told = live_bank.archive(folder, tables), live_bank.scorer(tables), live_bank.sent(tables, 6)
    log = open_log(f"sqlite:///{folder}/log.db", keep_days=live_bank.KEEP_DAYS)
    live_bank.append(log, told)
    with Ledger.open(f"sqlite:///{folder}/ledger.db") as ledger:
        live_bank.read_all(live_bank.worker(log, ledger, kept, judge))
        rows = live_bank.written(ledger)
    log.close()
    assert len(rows["live_scores"]) > 100
    return Bank(kept, judge, told, rows)


def log_at(url: str, bank: Bank) -> Any:
    log = open_log(url, keep_days=live_bank.KEEP_DAYS)
    live_bank.append(log, bank.told)
    return log


# --- the command


def work(bank: Bank, url: str, ledger_url: str, said: Path) -> None:
    "`predelinquency live work`, with the model of the tests, in a process of its own."
    live.require = lambda *_: None  # type: ignore[assignment]
    live.worker_of = lambda root, log, book, *_: live_bank.worker(  # type: ignore[assignment]
        log, book, bank.archive, bank.judge, owner=f"worker-{os.getpid()}"
    )
    os.environ["COLUMNS"] = "400"
    with said.open("w") as out:
        os.dup2(out.fileno(), 2)
        sys.stderr = open(2, "w", buffering=1, closefd=False)
        app(["live", "work", "--log", url, "--ledger", ledger_url], standalone_mode=False)


class Command:
    "That process, ended with the block."

    def __init__(self, bank: Bank, url: str, ledger_url: str, folder: Path):
        self.bank, self.ledger_url, self.said = bank, ledger_url, folder / "said.txt"
        how = bank, url, ledger_url, self.said
        self.process = multiprocessing.get_context("fork").Process(target=work, args=how, daemon=True)

    def __enter__(self) -> "Command":
        self.process.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.is_alive():
            self.process.kill()
        self.process.join()

    def lines(self, holds: str) -> list[str]:
        return [line for line in self.said.read_text().splitlines() if holds in line] if self.said.exists() else []

    def until(self, what: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not what():
            assert self.process.is_alive() and time.monotonic() < end, self.said.read_text()
            time.sleep(0.02)

    def has_read(self) -> bool:
        with Ledger.open(self.ledger_url) as ledger:
            return list(progress(ledger).items()) == self.bank.rows["log_places"]

    def end(self) -> dict[str, list]:
        "As an operator ends it; what it has written."
        self.until(self.has_read)
        os.kill(self.process.pid or 0, signal.SIGTERM)
        self.process.join(60)
        assert self.process.exitcode == 0, self.said.read_text()
        with Ledger.open(self.ledger_url) as ledger:
            assert {owner for owner, _ in holders(ledger).values()} == {""}, "its claims were given back"
            return live_bank.written(ledger)


WAITS, AGAIN = "waits and goes on by itself", "it is there again"


@pytest.fixture(scope="module")
def mortal(postgres_server: Callable[..., Postgres]) -> Postgres:
    return postgres_server()


@pytest.fixture
def ledger_there(mortal: Postgres) -> str:
    import psycopg

    with psycopg.connect(mortal.url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return mortal.url


def test_the_command_waits_for_servers_that_are_gone(
    bank: Bank, redis_log: Server, mortal: Postgres, ledger_there: str, tmp_path: Path
) -> None:
    log, half = open_log(redis_log.url, keep_days=live_bank.KEEP_DAYS), len(bank.told) // 400 * 200
    live_bank.append(log, bank.told[:half])
    with Command(bank, redis_log.url, ledger_there, tmp_path) as command:
        command.until(lambda: _has_places(ledger_there))
        mortal.kill()
        live_bank.append(log, bank.told[half:])
        command.until(lambda: len(command.lines(WAITS)) == 1)
        mortal.start()
        command.until(lambda: len(command.lines(AGAIN)) == 1)
        redis_log.kill()
        command.until(lambda: len(command.lines(WAITS)) == 2)
        redis_log.start()
        command.until(lambda: len(command.lines(AGAIN)) == 2)
        assert command.end() == bank.rows
        first, second = command.lines(WAITS)
        assert "the database does not answer" in first and "keeper@/postgres" in first
        assert second.startswith("redis://") and "the server does not answer" in second
        assert len(command.lines("")) == 5, command.said.read_text()  # and how many events were read
    log.close()


def _has_places(url: str) -> bool:
    try:
        with Ledger.open(url) as ledger:
            return any(progress(ledger).values())
    except Exception:
        return False


def test_the_command_waits_for_a_disk_that_is_full(bank: Bank, tmp_path: Path) -> None:
    "A limit on the size of files stands for the end of the disk, and is lifted from outside."
    log, ledger_url = log_at(f"sqlite:///{tmp_path}/log.db", bank), f"sqlite:///{tmp_path}/ledger.db"
    Ledger.open(ledger_url).close()
    least = max(p.stat().st_size for p in tmp_path.glob("ledger.db*"))
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    command = Command(bank, f"sqlite:///{tmp_path}/log.db", ledger_url, tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (least, most))  # the process is born with it
    try:
        command.process.start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    try:
        command.until(lambda: len(command.lines(WAITS)) == 1)
        with Ledger.open(ledger_url) as ledger:
            found = live_bank.written(ledger)
        for name in ("live_scores", "dead_letters"):
            assert set(map(str, found[name])) < set(map(str, bank.rows[name])), "whole batches, or nothing of them"
        resource.prlimit(command.process.pid or 0, resource.RLIMIT_FSIZE, (most, most))
        assert command.end() == bank.rows
        assert len(command.lines(WAITS)) == len(command.lines(AGAIN)) == 1
    finally:
        command.__exit__()
        log.close()


# --- the worker


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_staying, "REST_SECONDS", 0.0)


def test_a_worker_goes_on_after_a_full_disk_from_where_it_stood(bank: Bank, tmp_path: Path, unhurried: None) -> None:
    "Full again and again, at any page."
    log, said, tries = log_at(f"sqlite:///{tmp_path}/log.db", bank), list[Outage | None](), 0
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        made = live_bank.worker(log, ledger, bank.archive, bank.judge)

        def pages(most: int) -> None:
            with ledger.engine.connect() as book:
                book.execute(sa.text(f"PRAGMA max_page_count={most}"))

        with ledger.engine.connect() as book:
            there = book.execute(sa.text("PRAGMA page_count")).scalar_one()
        pages(there + 1)
        for many in read_through(made, lambda: 0, said.append, 40):
            if said and said[-1] is not None:
                tries += 1
                pages(there + 1 + 4 * tries)
            elif not many:
                break
        assert live_bank.written(ledger) == bank.rows
    problems = [e.problem if e else "" for e in said]
    assert problems == ["no space left on the disk", ""] and tries > 1, "said once"
    log.close()


def test_what_was_read_again_by_half_is_forgotten(bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    "The log goes away while a worker takes in what another has read: it begins that anew, and counts nothing twice."
    log = log_at(f"sqlite:///{tmp_path}/log.db", bank)
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        first = live_bank.worker(log, ledger, bank.archive, bank.judge)
        for p in range(PARTITIONS):
            first.step(p, 0, 30)
        second, real, calls = (
            live_bank.worker(log, ledger, bank.archive, bank.judge),
            type(log).read,
            iter(range(10**6)),
        )

        def sometimes(*how: Any) -> Any:
            if next(calls) % 3 == 1:
                raise Outage("the server does not answer")
            return real(*how)

        monkeypatch.setattr("predelinquency.live.lives._AT_ONCE", 16)
        monkeypatch.setattr(type(log), "read", sometimes)
        second.held.clear()
        second.lives.told.clear()
        for p in range(PARTITIONS):
            for _ in range(50):
                try:
                    if second.adopt(p, 0):
                        break
                except Outage:
                    assert p not in second.held
        monkeypatch.undo()
        assert len(second.held) == PARTITIONS
        for kept in second.lives.told.values():
            positions = [n for some in kept for n in some.positions.tolist()]
            assert len(positions) == len(set(positions))
        live_bank.read_all(second)
        assert live_bank.written(ledger) == bank.rows
    log.close()


class Watch:
    "Seconds that pass when a test says so."

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize("ahead", [3_600_000, 365 * DAY_MS], ids=["back an hour", "on a year"])
def test_who_waits_takes_over_from_a_worker_that_is_gone_whatever_its_clock_said(
    bank: Bank, tmp_path: Path, ahead: int
) -> None:
    "Her clock was ahead of his, or both have gone back since; while she moves, he waits."
    log, now, watch = log_at(f"sqlite:///{tmp_path}/log.db", bank), BANK_NOW, Watch()
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        rules = live_bank.worker(log, ledger, bank.archive, bank.judge, owner="").judge
        anna = bank.worker(log, ledger, "anna", rules=rules)
        ben = bank.worker(log, ledger, "ben", rules=rules, watch=watch)
        anna.tend(now + ahead)
        for passed in range(500, 4_000, 500):  # she works on: his watch alone does not let him in
            anna.tend(now + passed + ahead)
            for p in range(PARTITIONS):
                anna.step(p, now + passed + ahead, 3)
            watch.seconds += 0.5
            ben.tend(now + passed)
            assert not ben.held
        for _ in range(3):  # she was killed
            watch.seconds += 0.5
            passed += 500
            ben.tend(now + passed)
        assert len(ben.held) == PARTITIONS
        live_bank.read_all(ben)
        assert live_bank.written(ledger) == bank.rows
    log.close()


@pytest.mark.parametrize("wrong", [-3_600_000, 365 * DAY_MS], ids=["back an hour", "on a year"])
def test_a_worker_whose_clock_is_set_writes_the_same(bank: Bank, tmp_path: Path, wrong: int) -> None:
    "Also beside another one whose clock is right, and from whom it takes what it must not write to."
    log, now = log_at(f"sqlite:///{tmp_path}/log.db", bank), [BANK_NOW, BANK_NOW]
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        rules = live_bank.worker(log, ledger, bank.archive, bank.judge, owner="").judge
        rounds = [
            read_on(bank.worker(log, ledger, name, rules=rules, watch=Watch()), lambda at=at: now[at], 5)
            for at, name in enumerate(("anna", "ben"))
        ]
        for turn in range(14):
            now[0] += 400 + (wrong if turn == 4 else -wrong if turn == 9 else 0)
            now[1] += 400
            for one in rounds:
                next(one)
        now[0] = now[1] = now[0] + 400 * DAY_MS  # every claim has ended
        while sum(next(one) for one in rounds):
            pass
        assert live_bank.written(ledger) == bank.rows
    log.close()


def test_a_worker_that_is_busy_keeps_what_it_has_and_one_that_hangs_does_not(bank: Bank, tmp_path: Path) -> None:
    log, watch = open_log(f"sqlite:///{tmp_path}/log.db"), Watch()
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        rules = live_bank.worker(log, ledger, bank.archive, bank.judge, owner="").judge
        anna = bank.worker(log, ledger, "anna", rules=rules, watch=watch, hold_ms=80)
        anna.tend(wall_ms())
        with staying(anna, wall_ms, patience=1.0):
            ends = _ends(ledger)
            while _ends(ledger) <= ends:  # it is in the midst of a batch
                time.sleep(0.005)
            watch.seconds = 2.0  # and does not come out of it
            while wall_ms() <= _ends(ledger):
                time.sleep(0.005)
            ben = bank.worker(log, ledger, "ben", rules=rules)
            ben.tend(wall_ms())
            assert len(ben.held) == PARTITIONS
    log.close()


def _ends(ledger: Ledger) -> int:
    return max(end for _, end in holders(ledger).values())


# --- the service


def events_of(told: list[Event]) -> dict[str, Any]:
    return dict(events=[event._asdict() for event in told])


SOME = [payment(n, customer=n % 5, at=BANK_NOW - 3_600_000) for n in range(40)]
BUT_ONE = [account(900, customer=3)]


def refused(desk: Any) -> str:
    "What a sender hears while a store is away; nothing of it was taken."
    answer = asker(desk, HOUSE_KEY).post("/v1/events", events_of(SOME))
    assert answer.status_code == 503 and answer.headers["Retry-After"] == "5"
    return str(answer.json()["detail"])


def taken(desk: Any) -> list[str]:
    answer = asker(desk, HOUSE_KEY).post("/v1/events", events_of(SOME))
    assert answer.status_code == 200, answer.text
    return [one["state"] for one in answer.json()["answers"]]


def test_the_service_refuses_while_its_disk_is_full(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    desk = desk_of(tmp_path)
    (pages,) = desk.log.connection.execute("PRAGMA page_count").fetchone()
    desk.log.connection.execute(f"PRAGMA max_page_count={pages + 2}")
    assert refused(desk) == "What is kept cannot be read or written now."
    assert "what is kept cannot be read or written: no space left on the disk" in caplog.messages
    assert everything(desk.log) == {}
    desk.log.connection.execute("PRAGMA max_page_count=100000")
    assert taken(desk) == ["taken"] * 40 and whole(everything(desk.log))


def test_the_service_refuses_while_its_servers_are_gone(
    redis_log: Server, mortal: Postgres, ledger_there: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = desk_of(tmp_path, ledger_there, redis_log.url)
    redis_log.kill()
    refused(desk)
    redis_log.start()
    mortal.kill()
    refused(desk)
    mortal.start()
    assert [line.partition(": ")[2][:28] for line in caplog.messages if "is kept" in line] == [
        "the server does not answer",
        "the database does not answer",
    ]
    assert taken(desk) == ["taken"] * 40 and sorted(ids(everything(desk.log))) == sorted(e.event_id for e in SOME)


def test_a_clock_that_is_set_back_an_hour_takes_everything_in_its_order(tmp_path: Path) -> None:
    desk = desk_of(tmp_path)
    taken(desk)
    desk.clock.at = NOW - timedelta(hours=1)
    more = [payment(100 + n, customer=n % 5, at=BANK_NOW - 7_200_000) for n in range(10)]
    answer = asker(desk, HOUSE_KEY).post("/v1/events", events_of(more))
    assert {one["state"] for one in answer.json()["answers"]} == {"taken"}
    assert whole(everything(desk.log)) and desk.log.counts["clock_back"] == 10


@pytest.fixture(params=["sqlite", "redis"])
def log_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "" if request.param == "sqlite" else request.getfixturevalue("redis_log").url


def test_a_clock_that_is_set_on_by_a_year_takes_nothing_until_it_is_right(tmp_path: Path, log_url: str) -> None:
    desk = desk_of(tmp_path, log_url=log_url)
    taken(desk)
    was = everything(desk.log)
    desk.clock.at = NOW + timedelta(days=365)
    news = [payment(100, at=BANK_NOW), *BUT_ONE]
    answers = asker(desk, HOUSE_KEY).post("/v1/events", events_of(news)).json()["answers"]
    assert [one["state"] for one in answers] == ["refused", "refused"]
    assert (
        "more than 90 days ago" in answers[0]["reason"] and "look at the clock of this machine" in answers[1]["reason"]
    )
    began = desk.log.append(live_bank.day_events(BANK_NOW // DAY_MS + 365), BANK_NOW + 365 * DAY_MS)
    assert {a.state for a in began} == {"refused"} and everything(desk.log) == was
    desk.clock.at = NOW + timedelta(minutes=1)
    answers = asker(desk, HOUSE_KEY).post("/v1/events", events_of(news)).json()["answers"]
    assert [one["state"] for one in answers] == ["taken", "taken"]


def test_after_a_year_of_silence_what_happened_lately_opens_the_log_again(tmp_path: Path, log_url: str) -> None:
    desk = desk_of(tmp_path, log_url=log_url)
    taken(desk)
    desk.clock.at = NOW + timedelta(days=365)
    told = [*BUT_ONE, payment(100, at=BANK_NOW + 364 * DAY_MS)]
    answers = asker(desk, HOUSE_KEY).post("/v1/events", events_of(told)).json()["answers"]
    assert [one["state"] for one in answers] == ["taken", "taken"]
