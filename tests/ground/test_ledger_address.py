"""Where a ledger may be, and what is said when it cannot be there."""

import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from records import AT, score

from predelinquency.ground.core import StoreError
from predelinquency.ground.ledger import Ledger, _said
from predelinquency.ground.records import Score


def test_a_missing_driver_is_one_line_that_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError) as refusal:
        Ledger.open("postgresql://bank/ledger")
    assert "\n" not in str(refusal.value) and "pip install 'predelinquency[postgres]'" in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:hunter2@bank/ledger",
        "postgresql://me:hunter2@127.0.0.1:1/ledger?connect_timeout=2",
        "postgresql+psycopg://me:hunter2@127.0.0.1:1/ledger?connect_timeout=2",
    ],
)
def test_a_password_never_comes_back_in_a_message(url: str) -> None:
    pytest.importorskip("psycopg", reason="pip install 'predelinquency[postgres]'")
    with pytest.raises(StoreError) as refusal:
        Ledger.open(url)
    assert "hunter2" not in "".join(__import__("traceback").format_exception(refusal.value))


@pytest.mark.parametrize(
    "url", ["", "ledger.db", "sqlite://", "sqlite:///:memory:", "http://bank/ledger", "oracle://bank/ledger"]
)
def test_an_address_that_cannot_hold_a_ledger_is_refused_with_one_that_can(url: str) -> None:
    with pytest.raises(StoreError, match="sqlite:///"):
        Ledger.open(url)


@pytest.mark.parametrize("name", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_opens_it(postgres_url: str, name: str) -> None:
    with Ledger.open(postgres_url.replace("postgresql", name, 1)) as ledger:
        assert ledger.engine.dialect.driver == "psycopg"


def test_a_new_ledger_makes_its_folder(tmp_path: Path) -> None:
    with Ledger.open(f"sqlite:///{tmp_path}/deep/down/ledger.db") as ledger:
        assert ledger.append([score()], AT) == 1
    assert (tmp_path / "deep/down/ledger.db").is_file()


def test_a_place_that_cannot_be_written_is_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="folder cannot be made"):
        Ledger.open(f"sqlite:///{tmp_path}/file/ledger.db")
    with pytest.raises(StoreError, match="cannot be opened"):
        Ledger.open(f"sqlite:///{tmp_path}")


def test_a_file_that_is_no_database_is_a_refusal_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("dear diary " * 500)
    with pytest.raises(StoreError, match="not a database"):
        Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    assert (tmp_path / "ledger.db").read_text() == "dear diary " * 500


def test_a_ledger_in_sqlite_waits_for_writers_keeps_references_and_survives_a_power_cut(tmp_path: Path) -> None:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger, ledger.engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == dict(journal_mode="wal", synchronous=2, foreign_keys=1, busy_timeout=60_000)


def test_a_ledger_that_another_program_holds_is_said_so() -> None:
    problem, remedy = _said(sa.exc.OperationalError("INSERT", {}, Exception("database is locked")))
    assert "another program" in problem and "nothing was written" in remedy


@pytest.mark.parametrize(
    "cause, remedy",
    [
        ("database is locked", "end what writes to it"),
        ("file is not a database", "name another file with --ledger"),
        ("database disk image is malformed", "from the last copy"),
        ("database or disk is full", "free disk space"),
        ("could not extend file: No space left on device", "free disk space"),
        ("attempt to write a readonly database", "get permission"),
        ("unable to open database file", "get permission"),
        ("disk I/O error", "look at the disk"),
        ("no such table: scores", "predelinquency ledger migrate"),
        ("connection refused", "predelinquency ledger state"),
    ],
)
def test_every_failure_of_a_ledger_has_its_own_remedy(cause: str, remedy: str) -> None:
    assert remedy in _said(sa.exc.OperationalError("INSERT", {}, Exception(cause)))[1]


def test_a_disk_that_fills_up_is_said_so_and_keeps_nothing_of_the_batch(tmp_path: Path) -> None:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        ledger.engine.dispose()

        @sa.event.listens_for(ledger.engine, "connect")
        def _full(connection: object, _: object) -> None:
            connection.execute("PRAGMA max_page_count=1").close()

        with pytest.raises(StoreError, match="(?s)no space left.*free disk space"):
            ledger.append([score(customer_id=i) for i in range(2000)], AT)
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        assert ledger.of(Score) == []
