"""Killed at any moment, service, workers and servers write together what an undisturbed run writes.

More of them: `KILLS=1000 CUSTOMERS=20000 python -m pytest -n0 tests/live/test_kills.py -m long` (`make chaos`).
"""

import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import live_bank
import live_processes
import pytest
from databases import Postgres
from live_server import Server

from predelinquency.ground.ledger import Ledger
from predelinquency.live.archive import Archive
from predelinquency.live.door import open_log
from predelinquency.live.events import Event
from predelinquency.reasons.scorer import Scorer

KILLS, CUSTOMERS = (int(os.environ.get(name, n)) for name, n in (("KILLS", 100), ("CUSTOMERS", 4_000)))
Given = tuple[Archive, Scorer, list[tuple[int, Event]], dict[str, list]]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Given]:
    "For so many customers: an archive, a model, what is sent, and what an undisturbed run writes."

    @cache
    def made(customers: int) -> Given:
        folder = tmp_path_factory.mktemp("undisturbed")
        tables = live_bank.bank(7, customers, most=130)
        archive, judge, told = live_bank.archive(folder, tables), live_bank.scorer(tables), live_bank.sent(tables, 8)
        assert len(told) > 50 * customers
        live_processes.tell(f"sqlite:///{folder}/log.db", told)
        log = open_log(f"sqlite:///{folder}/log.db")
        with Ledger.open(f"sqlite:///{folder}/ledger.db") as ledger:
            live_bank.read_all(live_bank.worker(log, ledger, archive, judge))
            rows = live_bank.written(ledger)
        log.close()
        return archive, judge, told, rows

    return made


def check(url: str, ledger_url: str, given: Given, kills: int, servers: tuple[live_processes.Part, ...] = ()) -> None:
    archive, judge, told, rows = given
    began = time.monotonic()
    bank = live_processes.Bank(url, ledger_url, archive.folder.parent, judge, told)
    hit = live_processes.run(bank, servers, kills, seed=kills, patience=120 + len(told) / 200)
    print(f"{hit} of {kills} kills while {len(told):,} events went through, {time.monotonic() - began:.0f} s")
    with Ledger.open(ledger_url) as ledger:
        found = live_bank.written(ledger)
    for name in rows:
        assert found[name] == rows[name], name
    assert hit >= kills // 2 and len(rows["live_scores"]) > 1_000


def test_ten_kills_on_files(tmp_path: Path, given: Callable[[int], Given]) -> None:
    check(f"sqlite:///{tmp_path}/log.db", f"sqlite:///{tmp_path}/ledger.db", given(400), 10)


def test_ten_kills_on_servers(redis_log: Server, postgres_url: str, given: Callable[[int], Given]) -> None:
    check(redis_log.url, postgres_url, given(400), 10)


@pytest.mark.long
def test_kills_of_everything_with_the_servers(
    redis_server: Callable[..., Server], postgres_server: Callable[..., Postgres], given: Callable[[int], Given]
) -> None:
    redis, postgres = redis_server("--appendonly", "yes", "--appendfsync", "always"), postgres_server()
    check(redis.url, postgres.url, given(CUSTOMERS), KILLS, (redis, postgres))
