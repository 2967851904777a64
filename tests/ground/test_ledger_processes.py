"""Several processes on one ledger lose nothing, and one that dies leaves whole batches."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from records import AT, score

from predelinquency.ground import ledger as ground_ledger
from predelinquency.ground.core import StoreError
from predelinquency.ground.ledger import Ledger, _writing
from predelinquency.ground.records import Score

FOLDER = Path(__file__).parent.parent / "kit"  # of `records`
OPENING = """
import sys
sys.path.insert(0, sys.argv[2])
from records import AT, score
from predelinquency.ground.core import StoreError
from predelinquency.ground.ledger import Ledger
print("here", flush=True)
sys.stdin.readline()
ledger = Ledger.open(sys.argv[1])
"""


def start(url: str, code: str, *words: object) -> subprocess.Popen:
    "A process of its own that opens the ledger when it is told to."
    return subprocess.Popen(
        [sys.executable, "-c", OPENING + code, url, str(FOLDER), *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def together(processes: list[subprocess.Popen]) -> list[str]:
    "Let them go at once; what each has printed."
    for p in processes:
        assert p.stdout.readline() == "here\n", p.stderr.read()
    for p in processes:
        p.stdin.write("go\n")
        p.stdin.flush()
    done = [p.communicate() for p in processes]
    for p, (_, complaint) in zip(processes, done, strict=True):
        assert p.returncode == 0, complaint
    return [said for said, _ in done]


def test_processes_that_open_a_new_ledger_at_once_all_get_it(ledger_url: str) -> None:
    said = together(
        [start(ledger_url, "print(ledger.append([score(customer_id=int(sys.argv[3]))], AT))", i) for i in range(3)]
    )
    assert said == ["1\n"] * 3
    with Ledger.open(ledger_url) as ledger:
        assert [s.customer_id for s in ledger.of(Score)] == [0, 1, 2]


def test_a_new_file_that_another_turns_at_this_moment_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, waits = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None), []
    other.execute("BEGIN EXCLUSIVE")

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            other.execute("COMMIT")

    monkeypatch.setattr(ground_ledger.time, "sleep", wait)
    opened = sqlite3.connect(tmp_path / "ledger.db", timeout=0)
    ground_ledger._to_wal(opened)
    assert len(waits) == 3 and opened.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_that_stays_locked_is_refused_after_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other, waits = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None), []
    other.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(ground_ledger.time, "sleep", waits.append)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        ground_ledger._to_wal(sqlite3.connect(tmp_path / "ledger.db", timeout=0))
    assert sum(waits) == pytest.approx(60)


def test_two_writers_with_overlapping_batches_lose_nothing_and_double_nothing(ledger_url: str) -> None:
    write = "first, step = int(sys.argv[3]), int(sys.argv[4])\nprint(sum(ledger.append([score(customer_id=c) for c in range(b, b + 50)][::step], AT) for b in range(first, first + 1000, 25)))"
    Ledger.open(ledger_url).close()
    added = together([start(ledger_url, write, 0, 1), start(ledger_url, write, 500, -1)])
    with Ledger.open(ledger_url) as ledger:
        kept = [s.customer_id for s in ledger.of(Score)]
    assert sorted(kept) == list(range(1525)) and sum(map(int, added)) == len(kept)


def test_of_two_writers_that_contradict_each_other_one_is_refused(ledger_url: str) -> None:
    write = """
won = refused = 0
for c in range(60):
    try: won += ledger.append([score(customer_id=c, probability=float(sys.argv[3]))], AT)
    except StoreError as e: refused += "differ" in str(e)
print(won, refused)"""
    Ledger.open(ledger_url).close()
    said = together([start(ledger_url, write, 0.1), start(ledger_url, write, 0.2)])
    with Ledger.open(ledger_url) as ledger:
        kept = [s.probability for s in ledger.of(Score)]
    won, refused = zip(*[map(int, s.split()) for s in said], strict=True)
    assert [kept.count(0.1), kept.count(0.2)] == list(won) and sum(won) == sum(refused) == 60


@pytest.mark.parametrize("batches", [1, 4, 9])
def test_a_writer_that_is_killed_leaves_whole_batches(ledger_url: str, batches: int) -> None:
    write = "for b in range(10_000): ledger.append([score(customer_id=b * 40 + i) for i in range(40)], AT), print(b, flush=True)"
    writer = start(ledger_url, write)
    assert writer.stdout.readline() == "here\n"
    writer.stdin.write("go\n")
    writer.stdin.flush()
    for _ in range(batches):
        assert writer.stdout.readline(), writer.stderr.read()
    os.kill(writer.pid, signal.SIGKILL)
    writer.communicate()
    with Ledger.open(ledger_url) as ledger:
        kept = sorted(s.customer_id for s in ledger.of(Score))
    assert kept == list(range(len(kept))) and len(kept) % 40 == 0 and len(kept) >= 40 * batches


def test_a_reader_does_not_wait_for_a_writer(ledger_url: str) -> None:
    with Ledger.open(ledger_url) as writer, Ledger.open(ledger_url) as reader:
        writer.append([score()], AT)
        with _writing(writer.engine) as connection:
            connection.exec_driver_sql("SELECT 1")
            assert reader.scores_of(7) == writer.scores_of(7) != []


def test_a_writer_does_not_wait_for_a_reader(ledger_url: str) -> None:
    with Ledger.open(ledger_url) as writer, Ledger.open(ledger_url) as reader, reader.engine.connect() as reading:
        assert reading.exec_driver_sql("SELECT count(*) FROM scores").scalar() == 0  # and its transaction stays open
        assert writer.append([score()], AT) == 1


def test_threads_share_a_ledger(ledger_url: str) -> None:
    with Ledger.open(ledger_url) as ledger:

        def write(first: int) -> None:
            for c in range(first, first + 30):
                ledger.append([score(customer_id=c)], AT)

        threads = [threading.Thread(target=write, args=(i * 20,)) for i in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert sorted(s.customer_id for s in ledger.of(Score)) == list(range(90))


def test_a_batch_refused_midway_leaves_nothing(ledger_url: str) -> None:
    with Ledger.open(ledger_url) as ledger:
        with pytest.raises(StoreError):
            ledger.append([*[score(customer_id=c) for c in range(700)], score(customer_id=700, probability=2.0)], AT)
        assert ledger.of(Score) == []
