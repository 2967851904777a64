"""Full disks, locked files, servers that are gone: a log says so, takes nothing by half, and goes on afterwards."""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from live_events import NOW, Writer, everything, ids, payment, states, whole
from live_server import Server

from predelinquency.ground.core import StoreError
from predelinquency.live import log as live_log
from predelinquency.live.door import open_log
from predelinquency.live.log import open_file

BATCH = [payment(n, customer=n % 5) for n in range(400)]


def test_a_full_disk_takes_nothing_of_a_batch_and_all_of_it_later(tmp_path: Path) -> None:
    log = open_file(tmp_path / "log.db")
    log.append(BATCH[:1], NOW)
    (pages,) = log.connection.execute("PRAGMA page_count").fetchone()
    log.connection.execute(f"PRAGMA max_page_count={pages + 3}")
    with pytest.raises(StoreError, match=r"no space left[\s\S]*nothing of it was taken"):
        log.append(BATCH, NOW)
    assert ids(everything(log)) == ["p-0"]
    log.connection.execute("PRAGMA max_page_count=100000")
    assert states(log.append(BATCH, NOW)) == ["repeated"] + ["taken"] * 399
    assert whole(everything(log))


def test_a_failure_halfway_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, write = open_file(tmp_path / "log.db"), live_log._write

    def fails(*what: object) -> None:
        write(*what)
        raise KeyboardInterrupt

    monkeypatch.setattr(live_log, "_write", fails)
    with pytest.raises(KeyboardInterrupt):
        log.append(BATCH, NOW)
    monkeypatch.undo()
    assert everything(log) == {} and log.counts["taken"] == 0
    assert states(log.append(BATCH, NOW)) == ["taken"] * 400


def test_a_log_that_another_holds_is_waited_for_and_then_refused(tmp_path: Path) -> None:
    log = open_file(tmp_path / "log.db", wait_s=0.05)
    other = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"another program holds the log[\s\S]*to fix"):
        log.append(BATCH, NOW)
    assert everything(log) == {}  # reading goes on meanwhile
    other.execute("COMMIT")
    assert states(log.append(BATCH, NOW)) == ["taken"] * 400


def test_threads_of_one_service_share_a_log(tmp_path: Path) -> None:
    log, failed = open_file(tmp_path / "log.db"), []

    def work(first: int) -> None:
        try:
            for n in range(first, 400, 4):
                log.append([BATCH[n]], NOW)
                log.read(0, 0, 10)
        except Exception as e:
            failed.append(e)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failed == [] and sorted(ids(everything(log))) == sorted(e.event_id for e in BATCH)


@pytest.mark.parametrize("content", [b"no database, only a letter" * 100, None], ids=["letter", "folder"])
def test_a_file_that_is_no_log_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "log.db"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(StoreError, match="to fix"):
        open_log(f"sqlite:///{path}")


def test_a_log_survives_what_was_written_to_disk_before_a_power_cut(tmp_path: Path) -> None:
    log = open_file(tmp_path / "log.db")
    asked = [log.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert asked == ["wal", 2]  # 2: every commit waits for the disk


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--appendonly", "no"], "set `appendonly yes`"),
        (["--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"], "set `maxmemory-policy noeviction`"),
    ],
    ids=["snapshots", "eviction"],
)
def test_a_server_that_would_lose_events_is_refused(
    redis_server: Callable[..., Server], words: list[str], says: str
) -> None:
    server = redis_server(*words)
    with pytest.raises(StoreError, match=says):
        open_log(server.url)


def test_a_server_whose_memory_is_full_takes_nothing_of_a_batch(redis_log: Server) -> None:
    log = open_log(redis_log.url)
    log.append(BATCH[:1], NOW)
    redis_log.ask("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(StoreError, match=r"memory is full[\s\S]*maxmemory"):
            log.append(BATCH, NOW)
    finally:
        redis_log.ask("CONFIG", "SET", "maxmemory", "0")
    assert ids(everything(log)) == ["p-0"]
    assert states(log.append(BATCH, NOW)) == ["repeated"] + ["taken"] * 399
    log.close()


@pytest.mark.parametrize(
    ("user", "says"),
    [("writer:wrong@", "user and password"), ("reader:right@", "does not allow this user")],
)
def test_a_user_who_may_not_write_hears_what_to_change(redis_log: Server, user: str, says: str) -> None:
    redis_log.ask("ACL", "SETUSER", "reader", "on", ">right", "~*", "+info", "+@read")
    redis_log.ask("ACL", "SETUSER", "writer", "on", ">right", "~*", "+@all")
    with pytest.raises(StoreError, match=says) as refusal:
        open_log(redis_log.url.replace("//", f"//{user}")).append(BATCH, NOW)
    assert "wrong" not in str(refusal.value) and "right" not in str(refusal.value)


def test_a_server_that_is_gone_is_said_and_one_that_was_killed_has_all_that_was_acknowledged(redis_log: Server) -> None:
    log, said = open_log(redis_log.url), set()
    for turn in range(3):
        writer = Writer(redis_log.url, 40, first=max(said, default=-1) + 1)
        said |= set(writer.wait(3))
        redis_log.kill()
        with pytest.raises(StoreError, match="does not answer"):
            log.append([payment(10**6 + turn)], NOW)
        said |= set(writer.end())
        redis_log.start()
    found = everything(log, page=500)
    kept = sorted(int(i[2:]) for i in ids(found))
    assert whole(found) and len(kept) == len(set(kept)) and len(kept) % 40 == 0
    assert said <= {n // 40 for n in kept}
    log.close()
