"""A backup is restored in a new place and is, row for row, what was saved; also while others write."""

import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from records import AT, one_of_each, score

from predelinquency.ground import backup as ground_backup
from predelinquency.ground.backup import _snapshot, backup, contents, drill, first_difference, restore
from predelinquency.ground.core import StoreError
from predelinquency.ground.following import FEED, LOG_PLACES
from predelinquency.ground.ledger import LEDGER_METADATA, Ledger, migrate, revision
from predelinquency.ground.records import Score


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with Ledger.open(ledger_url) as book:
        book.append([*one_of_each(), *(score(customer_id=n) for n in range(100, 300))], AT)
        with book.engine.begin() as connection:
            connection.execute(sa.insert(LOG_PLACES).values(partition=3, position=7, fence=2, owner="Ä", until=1))
            connection.execute(
                sa.insert(FEED).values(n=1, kind="score", customer_id=None, said_at=5, body=dict(b=[1, None], a="ü"))
            )
        yield book


@pytest.fixture
def place(ledger: Ledger, tmp_path: Path) -> Iterator[str]:
    "Somewhere new, on the same kind of database."
    if ledger.engine.dialect.name == "sqlite":
        yield f"sqlite:///{tmp_path}/new/ledger.db"
        return
    server = ledger.engine.execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sa.text("CREATE DATABASE again TEMPLATE template0"))
    yield ledger.engine.url.set(database="again").render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(sa.text("DROP DATABASE again WITH (FORCE)"))


def differences(one: Ledger, other: Ledger) -> str:
    with _snapshot(one.engine) as left, _snapshot(other.engine) as right:
        return first_difference(left, right)


def test_what_is_restored_is_row_for_row_what_was_saved_and_lives_on(
    ledger: Ledger, place: str, tmp_path: Path
) -> None:
    held = backup(ledger.engine, tmp_path / "deep/monday.zip")
    assert held["scores"].rows == 201 and held["log_places"].rows == held["feed"].rows == 1
    assert restore(tmp_path / "deep/monday.zip", place) == held
    with Ledger.open(place) as again:
        assert differences(ledger, again) == "" and again.of(Score) == ledger.of(Score)
        assert again.append([score(customer_id=999)], AT) == 1
        assert differences(ledger, again).startswith("scores, row 202: nothing became")
        with pytest.raises(Exception, match="append-only"), again.engine.begin() as book:
            book.execute(sa.text("UPDATE scores SET probability = 0"))


def test_the_drill_says_what_it_held_and_leaves_nothing(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    with _snapshot(ledger.engine) as book:
        assert drill(ledger.engine) == contents(book)
    assert list((tmp_path / "tmp").iterdir()) == []
    if ledger.engine.dialect.name == "postgresql":
        with ledger.engine.connect() as book:
            assert book.execute(sa.text("SELECT datname FROM pg_database WHERE datname LIKE '%drill'")).all() == []


def test_a_backup_that_loses_or_changes_a_row_is_noticed_by_the_drill(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lossy(file: Path, url: str) -> object:
        held = restore(file, url)
        with Ledger.open(url) as again:
            again.append([score(customer_id=99)], AT)
        return held

    monkeypatch.setattr(ground_backup, "restore", lossy)
    with pytest.raises(StoreError, match="(?s)restored ledger differs: scores, row 2: .*became.*99"):
        drill(ledger.engine)


def test_a_backup_is_of_one_moment_while_a_writer_writes(ledger: Ledger, place: str, tmp_path: Path) -> None:
    "Each transaction adds a row to two tables: a copy of two moments would hold other numbers of them."
    end, first = threading.Event(), threading.Event()

    def write() -> None:
        n = 1000
        while not end.is_set():
            with ledger.engine.execution_options(writing=True).begin() as book:
                for name in ("waiting", "log_places"):
                    table = LEDGER_METADATA.tables[name]
                    more = dict(position=n, customer_id=7, arrived_at=1, fence=0, owner="", until=0)
                    book.execute(
                        sa.insert(table).values(partition=n, **{k: v for k, v in more.items() if k in table.c})
                    )
            n += 1
            first.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert first.wait(60)
        held = [backup(ledger.engine, tmp_path / f"{n}.zip") for n in range(2)]
    finally:
        end.set()
        writer.join()
    assert all(one["log_places"].rows == one["waiting"].rows + 1 for one in held)
    assert restore(tmp_path / "1.zip", place) == held[1]
    with ledger.engine.connect() as book:
        assert book.scalar(sa.text("SELECT count(*) FROM waiting")) >= held[1]["waiting"].rows > 0


def test_a_ledger_of_an_older_version_is_saved_and_comes_back_as_that(ledger_url: str, tmp_path: Path) -> None:
    with Ledger.open(ledger_url) as ledger:
        migrate(ledger.engine, "0002")
        ledger.append([score()], AT)
        held = backup(ledger.engine, tmp_path / "old.zip")
        assert held["scores"].rows == 1 and "live_scores" not in held
        if ledger_url.startswith("sqlite"):
            again = f"sqlite:///{tmp_path}/again.db"
            assert restore(tmp_path / "old.zip", again) == held
            with Ledger.open(again, upgrade=True) as book:
                assert len(book.of(Score)) == 1


def test_a_backup_never_goes_over_another_file_nor_a_ledger(ledger: Ledger, ledger_url: str, tmp_path: Path) -> None:
    file = tmp_path / "monday.zip"
    backup(ledger.engine, file)
    before = file.read_bytes()
    with pytest.raises(StoreError, match="there already"):
        backup(ledger.engine, file)
    with pytest.raises(StoreError, match="a ledger is there already"):
        restore(file, ledger_url)
    assert file.read_bytes() == before and len(ledger.of(Score)) == 201


@pytest.mark.parametrize("harm", ["cut", "counts", "row", "kind", "nothing"])
def test_a_backup_that_is_no_longer_whole_is_refused_and_nothing_is_made(tmp_path: Path, harm: str) -> None:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        ledger.append(one_of_each(), AT)
        backup(ledger.engine, tmp_path / "good.zip")
    good, bad, place = tmp_path / "good.zip", tmp_path / "bad.zip", tmp_path / "new.db"
    with zipfile.ZipFile(good) as box:
        told, rows = json.loads(box.read("contents.json")), box.read("rows")
    if harm == "counts":
        told["tables"]["scores"]["rows"] += 1
    if harm == "kind":
        told["backend"] = "postgresql"
    if harm == "row":
        assert rows.count(b"salary_gap_days") == 1
        rows = rows.replace(b"salary_gap_days", b"salary_gap_dayz")
    with zipfile.ZipFile(bad, "w") as box:
        box.writestr("contents.json", json.dumps(told))
        box.writestr("rows", rows)
    if harm == "cut":
        bad.write_bytes(good.read_bytes()[:-2000])
    if harm == "nothing":
        bad.unlink()
    with pytest.raises(StoreError, match="differs from what was saved in scores|is no whole backup|rows of postgresql"):
        restore(bad, f"sqlite:///{place}")
    assert not place.exists()


def test_without_the_programs_of_postgresql_the_remedy_is_named(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr(ground_backup.Path, "glob", lambda *_: iter(()))
    with (
        Ledger.open(postgres_url) as ledger,
        pytest.raises(StoreError, match="(?s)pg_dump is not here.*postgresql-client"),
    ):
        backup(ledger.engine, tmp_path / "monday.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_restore_that_fails_leaves_a_server_as_it_was(postgres_url: str, tmp_path: Path) -> None:
    with Ledger.open(postgres_url) as ledger:
        ledger.append(one_of_each(), AT)
        backup(ledger.engine, tmp_path / "good.zip")
        with zipfile.ZipFile(tmp_path / "good.zip") as box, zipfile.ZipFile(tmp_path / "bad.zip", "w") as bad:
            bad.writestr("contents.json", box.read("contents.json"))
            bad.writestr("rows", b"PGDMP nothing")
        with ledger.engine.begin() as book:
            book.execute(sa.text("DROP SCHEMA public CASCADE; CREATE SCHEMA public"))
        with pytest.raises(StoreError, match="pg_restore failed"):
            restore(tmp_path / "bad.zip", postgres_url)
        assert revision(ledger.engine) is None


def test_there_is_nothing_to_save_where_no_ledger_is(tmp_path: Path) -> None:
    engine = ground_backup._engine(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(StoreError, match="there is no ledger"):
        backup(engine, tmp_path / "monday.zip")
    assert not (tmp_path / "monday.zip").exists()
