"""Each role of the database does what its work needs, and is refused everything else by the database itself."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa
from records import AT, message, one_of_each, score

from predelinquency.ground.core import StoreError
from predelinquency.ground.ledger import LEDGER_METADATA, REVISION, Ledger, migrate, revision
from predelinquency.ground.removing import AGED_BY, Removal, remove
from predelinquency.ground.roles import CHANGING, make_roles, roles_of
from predelinquency.live import feed, places
from predelinquency.service import tickets

DAYS = dict.fromkeys(AGED_BY, 1096)
LOGINS = dict(app="service", migrator="builder", reader="auditor", remover="archivist")
NOW = datetime(2026, 11, 28, 9, tzinfo=UTC)
RECORDS = sorted(set(LEDGER_METADATA.tables) - set(CHANGING))


@pytest.fixture(scope="module")
def ledgers(postgres: str) -> dict[str, str]:
    "A ledger with something in it and its roles, in a database of its own, as the address of one login of each."
    import psycopg

    url = postgres.replace("/postgres?", "/bank?")
    with psycopg.connect(postgres, autocommit=True) as server:
        server.execute("CREATE DATABASE bank")
        with Ledger.open(url) as ledger:
            ledger.append(one_of_each(), AT)
            roles = make_roles(ledger.engine, DAYS)
        for role, login in LOGINS.items():
            server.execute(f"CREATE ROLE {login} LOGIN IN ROLE {getattr(roles, role)}")
    return {role: url.replace("keeper@", f"{login}@") for role, login in LOGINS.items()} | dict(owner=url)


@pytest.fixture(scope="module")
def raw() -> Iterator[Callable[[str, str], object]]:
    "`raw(url, statement)`: straight to the database, through one connection of each login; the first value of the answer."
    import psycopg

    open_ones: dict[str, psycopg.Connection] = {}

    def ask(url: str, statement: str) -> object:
        connection = open_ones.get(url) or open_ones.setdefault(url, psycopg.connect(url, autocommit=True))
        cursor = connection.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None

    yield ask
    for one in open_ones.values():
        one.close()


def refused(url: str, statement: str, raw: Callable) -> str:
    "What the database says to a statement that it must not do."
    with pytest.raises(Exception) as said:
        raw(url, statement)
    return str(said.value)


def test_the_service_works_with_what_its_role_may(ledgers: dict[str, str]) -> None:
    with Ledger.open(ledgers["app"]) as ledger:
        assert ledger.append([score(customer_id=8), *one_of_each()], AT) == 1
        assert len(ledger.contacts_since(7, "2026-01-01")) == 1
        claim = places.claim(ledger, 0, "a", 0, 1000)
        assert claim
        places.release(ledger, [claim])
        with ledger.engine.begin() as book:
            assert feed.publish(book, [feed.Message("score", 7, 1, {})] * 3) == 3
        assert len(feed.read_feed(ledger, 0)) == 3 and feed.prune_feed(ledger, 5) == 3
        assert tickets.redeem(ledger, tickets.give_ticket(ledger, 1, "ann").ticket, 2)
        with pytest.raises(StoreError, match="no decision of the ledger"):
            ledger.append([message(customer_id=99)], AT)


@pytest.mark.parametrize("name", RECORDS)
def test_the_service_cannot_change_or_remove_what_was_recorded(
    ledgers: dict[str, str], raw: Callable, name: str
) -> None:
    column = LEDGER_METADATA.tables[name].columns.keys()[0]
    for statement in (
        f"UPDATE {name} SET {column} = {column}",
        f"DELETE FROM {name}",
        f"TRUNCATE {name}",
        f"SELECT 1 FROM {name} FOR UPDATE",
    ):
        assert "permission denied" in refused(ledgers["app"], statement, raw)
    for statement in (
        f"ALTER TABLE {name} DISABLE TRIGGER ALL",
        f"DROP TRIGGER {name}_append_only ON {name}",
        f"DROP TABLE {name}",
    ):
        assert "must be owner" in refused(ledgers["app"], statement, raw)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE scores SET probability = 0",
        "DELETE FROM contacts",
        "CREATE TABLE mine (a int)",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
        "INSERT INTO removals VALUES (now(), 'scores', '2020-01-01', 1, 'me', 'because')",
        "SELECT remove_before('scores', '2020-01-01', 'me', 'because')",
        "UPDATE ledger_version SET version_num = '0001'",
        "SET session_replication_role = replica",
        "SET ROLE bank_migrator",
        "GRANT DELETE ON scores TO service",
    ],
)
def test_the_service_finds_no_way_around(ledgers: dict[str, str], raw: Callable, statement: str) -> None:
    if statement.startswith("GRANT"):  # PostgreSQL warns and grants nothing
        with pytest.raises(Exception, match="permission denied"):
            raw(ledgers["app"], statement)
            raw(ledgers["app"], "DELETE FROM scores")
        return
    said = refused(ledgers["app"], statement, raw)
    assert "permission denied" in said or "must be owner" in said, said


@pytest.mark.parametrize(
    "column",
    [
        "contacts.message", "contacts.subject", "decisions.message", "decisions.subject", "decisions.because", "replies.text", "notes.why", "milestones.why",
        "access_keys.digest", "tickets.digest", "feed.body", "alerts.body", "scores.reasons", "live_scores.reasons",
    ],
)  # fmt: skip
def test_a_reader_sees_nobodys_words_and_no_fingerprint_of_a_key(
    ledgers: dict[str, str], raw: Callable, column: str
) -> None:
    table, name = column.split(".")
    assert "permission denied" in refused(ledgers["reader"], f"SELECT {name} FROM {table}", raw)
    assert "permission denied" in refused(ledgers["reader"], f"SELECT * FROM {table}", raw)
    assert "permission denied" in refused(ledgers["reader"], f"SELECT row_to_json(t) FROM {table} t", raw)


def test_a_reader_counts_and_writes_nothing(ledgers: dict[str, str], raw: Callable) -> None:
    assert raw(ledgers["reader"], "SELECT count(*) FROM scores WHERE customer_id = 7") == 1
    assert raw(ledgers["reader"], "SELECT action FROM decisions WHERE arm = 'treated'") == "due_date"
    assert raw(ledgers["reader"], "SELECT state FROM contacts") == "queued"
    for name in LEDGER_METADATA.tables:
        for statement in (f"INSERT INTO {name} DEFAULT VALUES", f"DELETE FROM {name}", f"TRUNCATE {name}"):
            assert "permission denied" in refused(ledgers["reader"], statement, raw)


def test_the_remover_removes_by_the_function_alone_and_reads_no_customer(
    ledgers: dict[str, str], raw: Callable
) -> None:
    for name in RECORDS:
        assert "permission denied" in refused(ledgers["remover"], f"DELETE FROM {name}", raw)
        if name != "removals":
            assert "permission denied" in refused(ledgers["remover"], f"SELECT 1 FROM {name}", raw)
    assert "permission denied" in refused(
        ledgers["remover"], "INSERT INTO removals VALUES (now(), 'scores', '2020-01-01', 1, 'me', 'x')", raw
    )
    for words, why in (
        ("'scores', (now() - interval '1000 days')::date", "only whole months"),
        ("'scores', date_trunc('month', now() - interval '1000 days')::date", "is kept for 1096 days"),
        ("'removals', '2020-01-01'", "is kept for ever"),
        ("'access_keys', '2020-01-01'", "is kept for ever"),
    ):
        assert why in refused(ledgers["remover"], f"SELECT remove_before({words}, 'me', 'because')", raw)
    for words in ("'', 'because'", "'me', ''"):
        assert "check constraint" in refused(
            ledgers["remover"], f"SELECT remove_before('scores', '2020-01-01', {words})", raw
        )


def test_what_is_over_goes_with_an_entry_and_nothing_else_does(ledgers: dict[str, str], raw: Callable) -> None:
    old = [score(customer_id=n, as_of=day) for n, day in enumerate(["2019-12-31", "2020-01-31", "2020-02-01"], 100)]
    with Ledger.open(ledgers["app"]) as ledger:
        ledger.append(old, AT)
    with Ledger.open(ledgers["remover"]) as ledger:
        asked = Removal(date(2020, 2, 1), "anna", "its time is over", ("scores",))
        assert remove(ledger.engine, asked, DAYS, NOW) == dict(scores=2)
    with Ledger.open(ledgers["app"]) as ledger:
        assert {s.as_of for s in ledger.of(type(old[0]))} == {"2020-02-01", "2026-03-02"}
        with ledger.engine.connect() as book:
            (entry,) = book.execute(
                sa.text(
                    "SELECT from_table, before_on::text, row_count, said_by, why FROM removals WHERE said_by = 'anna'"
                )
            )
    assert tuple(entry) == ("scores", "2020-02-01", 2, "anna", "its time is over")


def test_even_the_owner_deletes_nothing_without_an_entry_in_the_same_transaction(
    ledgers: dict[str, str], raw: Callable
) -> None:
    raw(ledgers["remover"], "SELECT remove_before('scores', '2020-01-01', 'me', 'an entry of another transaction')")
    for login in ("owner", "migrator"):
        assert "append-only: DELETE" in refused(ledgers[login], "DELETE FROM scores", raw)
        assert "append-only: UPDATE" in refused(ledgers[login], "UPDATE scores SET probability = 0", raw)
        assert "append-only: TRUNCATE" in refused(ledgers[login], "TRUNCATE scores", raw)
        assert "append-only: DELETE" in refused(ledgers[login], "DELETE FROM removals", raw)


def test_a_login_of_the_migrator_brings_a_ledger_up_and_gives_rights_again(
    ledgers: dict[str, str], raw: Callable
) -> None:
    raw(ledgers["owner"], "REVOKE SELECT ON scores FROM bank_app")
    with Ledger.open(ledgers["migrator"]) as ledger:
        make_roles(ledger.engine, DAYS)
        assert revision(ledger.engine) == REVISION
        migrate(ledger.engine)
    assert raw(ledgers["app"], "SELECT count(*) FROM scores") > 0


def test_every_table_that_no_trigger_guards_is_known_to_change(ledgers: dict[str, str]) -> None:
    with Ledger.open(ledgers["owner"]) as ledger, ledger.engine.connect() as book:
        guarded = set(
            book.exec_driver_sql("SELECT tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal").scalars()
        )
    assert set(LEDGER_METADATA.tables) - guarded == set(CHANGING)


def test_a_login_without_rights_is_told_where_to_get_them(ledgers: dict[str, str]) -> None:
    with Ledger.open(ledgers["reader"]) as ledger, pytest.raises(StoreError, match="(?s)may not do that.*ledger roles"):
        ledger.append([score(customer_id=9)], AT)


def test_two_ledgers_on_one_server_share_no_role() -> None:
    assert not set(roles_of("bank")) & set(roles_of("trial"))
