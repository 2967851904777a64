"""What a worker tells Prometheus while it reads: what the ledger then holds, and nobody's number."""

import json
import socket
import urllib.request
from pathlib import Path

import live_bank
import pytest
import sqlalchemy as sa
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from predelinquency.ground.following import DEAD_LETTERS, LIVE_SCORES
from predelinquency.ground.ledger import Ledger
from predelinquency.live.door import open_log
from predelinquency.ops import instruments, live
from predelinquency.ops.cli import app

WORK = ["live", "work", "--once", "--json"]


def told(text: str) -> dict[tuple[str, str], float]:
    "Metric and label → number."
    families = text_string_to_metric_families(text)
    return {
        (s.name.removeprefix("predelinquency_worker_"), "".join(s.labels.values())): s.value
        for family in families
        for s in family.samples
    }


def test_a_worker_counts_what_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = live_bank.bank(5, 12)
    kept, judge, sent = live_bank.archive(tmp_path, tables), live_bank.scorer(tables), live_bank.sent(tables, 6)
    log_url, ledger_url = f"sqlite:///{tmp_path}/log.db", f"sqlite:///{tmp_path}/ledger.db"
    log = open_log(log_url, keep_days=live_bank.KEEP_DAYS)
    live_bank.append(log, sent)
    log.close()
    registries, begin = [], instruments.Meters.__init__

    def remembered(self: instruments.Meters, registry: object) -> None:
        registries.append(registry)
        begin(self, registry)

    monkeypatch.setattr(instruments.Meters, "__init__", remembered)
    monkeypatch.setattr(live, "require", lambda *_: None)
    monkeypatch.setattr(live, "worker_of", lambda root, log, book, *_: live_bank.worker(log, book, kept, judge))
    done = CliRunner().invoke(app, [*WORK, "--log", log_url, "--ledger", ledger_url, "--metrics", "0"])
    assert done.exit_code == 0 and "http://127.0.0.1:" in done.stderr, done.stderr
    text, events = generate_latest(registries[0]).decode(), json.loads(done.stdout)["events"]
    found = told(text)
    with Ledger.open(ledger_url) as ledger, ledger.engine.connect() as book:
        rows = {
            t: book.execute(sa.select(sa.func.count()).select_from(t)).scalar() for t in (LIVE_SCORES, DEAD_LETTERS)
        }
    assert found["events_total", ""] == events > 0 and found["scores_total", ""] == rows[LIVE_SCORES] > 0
    assert found["dead_letters_total", ""] == rows[DEAD_LETTERS] and found["partitions", ""] == 64
    assert found["model_info", "quick"] == 1 and found["lives", ""] == 12
    for part in ("fold", "score", "write"):
        assert found["seconds_count", part] == found["batches_total", ""] > 0 and found["seconds_sum", part] > 0
    assert instruments.METERS.get() is None and "customer" not in text.lower().replace("customers whose state", "")


def test_it_answers_while_it_works_and_not_afterwards() -> None:
    opened = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with instruments.telling_prometheus("0") as address:
        text = opened.open(address, timeout=10).read().decode()
    assert "predelinquency_worker_batches_total 0.0" in text and "process_resident_memory_bytes" in text
    with pytest.raises(OSError):
        opened.open(address, timeout=10)


def test_a_place_that_cannot_be_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for place, why in (("nine", "is no place"), ("70000", "is no place"), (port, "cannot be opened")):
            done = CliRunner().invoke(app, [*WORK, "--root", str(tmp_path), "--metrics", place])
            assert done.exit_code == 1 and why in done.stderr and "to fix: " in done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []
