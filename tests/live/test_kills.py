"""Killed at any moment, sender and worker write together what an undisturbed run writes."""

from pathlib import Path

import live_bank
import live_processes
import pytest

from predelinquency.ground.ledger import Ledger
from predelinquency.live.archive import Archive
from predelinquency.live.door import open_log
from predelinquency.live.events import Event
from predelinquency.reasons.scorer import Scorer

Given = tuple[Archive, Scorer, list[tuple[int, Event]], dict[str, list]]


@pytest.fixture(scope="module", params=[400, pytest.param(4_000, marks=pytest.mark.long)], ids=["20,000", "200,000"])
def given(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Given:
    "An archive, a model, what is sent, and what an undisturbed run writes."
    folder = tmp_path_factory.mktemp("undisturbed")
    tables = live_bank.bank(7, request.param, most=130)
    archive, judge, told = live_bank.archive(folder, tables), live_bank.scorer(tables), live_bank.sent(tables, 8)
    assert len(told) > 50 * request.param
    live_processes.send(f"sqlite:///{folder}/log.db", told)
    log = open_log(f"sqlite:///{folder}/log.db")
    with Ledger.open(f"sqlite:///{folder}/ledger.db") as ledger:
        live_bank.read_all(live_bank.worker(log, ledger, archive, judge))
        rows = live_bank.written(ledger)
    log.close()
    return archive, judge, told, rows


def check(url: str, ledger_url: str, given: Given, kills: int) -> None:
    archive, judge, told, rows = given
    hit = live_processes.run(url, ledger_url, archive.folder.parent, judge, told, kills, seed=kills)
    with Ledger.open(ledger_url) as ledger:
        found = live_bank.written(ledger)
    for name in rows:
        assert found[name] == rows[name], name
    assert hit >= kills // 2 and len(rows["live_scores"]) > 1_000


def test_ten_kills_on_files(tmp_path: Path, given: Given) -> None:
    check(f"sqlite:///{tmp_path}/log.db", f"sqlite:///{tmp_path}/ledger.db", given, 10)


def test_ten_kills_on_servers(redis_log: live_bank.Log, postgres_url: str, given: Given) -> None:
    check(redis_log.url, postgres_url, given, 10)
