"""A ledger's tables grow by migrations that travel with the package."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory
from records import AT, case_step, one_of_each, score

from predelinquency.ground import ledger as ground_ledger
from predelinquency.ground import records
from predelinquency.ground.core import StoreError
from predelinquency.ground.entries import KINDS
from predelinquency.ground.ledger import LEDGER_METADATA
from predelinquency.ground.ledger import REVISION, Ledger, differences, migrate, revision


def described(engine: sa.Engine) -> dict:
    "Everything that the database says about its tables."
    look = sa.inspect(engine)

    def rules(table: str) -> list:
        return sorted(
            (c["name"], str(c["sqltext"]).count("'"), str(c["sqltext"]).count("IS NULL"))
            for c in look.get_check_constraints(table)
        )

    def columns(table: str) -> list:
        return sorted(
            (c["name"], str(c["type"]), getattr(c["type"], "timezone", None), c["nullable"])
            for c in look.get_columns(table)
        )

    return {
        t: (
            columns(t),
            look.get_pk_constraint(t)["constrained_columns"],
            look.get_pk_constraint(t)["name"],
            sorted((i["name"], tuple(i["column_names"])) for i in look.get_indexes(t)),
            sorted((u["name"], tuple(u["column_names"])) for u in look.get_unique_constraints(t)),
            [(f["name"], f["constrained_columns"], f["referred_columns"]) for f in look.get_foreign_keys(t)],
            rules(t),
        )
        for t in LEDGER_METADATA.tables
    }


def triggers(url: str, raw: Callable) -> object:
    return raw(
        url,
        "SELECT count(*) FROM sqlite_master WHERE type = 'trigger'"
        if url.startswith("sqlite")
        else "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal",
    )


def test_up_down_and_up_again_gives_the_same_tables(ledger_url: str, raw: Callable) -> None:
    with Ledger.open(ledger_url) as ledger:
        before, guards = described(ledger.engine), triggers(ledger_url, raw)
        migrate(ledger.engine, "base")
        assert (
            sa.inspect(ledger.engine).get_table_names() == ["ledger_version"]
            and triggers(ledger_url, raw) == 0
            and revision(ledger.engine) is None
        )
        migrate(ledger.engine)
        assert (described(ledger.engine), triggers(ledger_url, raw)) == (before, guards) and guards > 0
        assert ledger.append(one_of_each(), AT) == len(KINDS)


def test_the_migrations_make_what_the_records_ask_for(ledger_url: str) -> None:
    with Ledger.open(ledger_url) as ledger:
        assert differences(ledger.engine) == []


def test_a_field_without_a_migration_is_noticed(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = sa.MetaData(naming_convention=LEDGER_METADATA.naming_convention)
    for table in LEDGER_METADATA.tables.values():
        table.to_metadata(changed)
    changed.tables["scores"].append_column(sa.Column("mood", sa.Text()))
    monkeypatch.setattr(ground_ledger, "LEDGER_METADATA", changed)
    with Ledger.open(ledger_url) as ledger:
        assert [d[:3] for d in differences(ledger.engine)] == [("add_column", None, "scores")]


def test_the_migrations_make_the_same_rules_and_indexes_as_the_declarations(ledger_url: str) -> None:
    with Ledger.open(ledger_url) as ledger:
        migrated = described(ledger.engine)
        migrate(ledger.engine, "base")
        LEDGER_METADATA.create_all(ledger.engine)
        assert described(ledger.engine) == migrated


def test_the_newest_migration_is_the_revision_that_this_version_needs() -> None:
    config = Config()
    config.set_main_option("script_location", "predelinquency.ground:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_going_back_refuses_to_destroy_rows(ledger_url: str) -> None:
    with Ledger.open(ledger_url) as ledger:
        ledger.append(one_of_each(), AT)
        with pytest.raises(StoreError, match="holds 1 rows, which going back would destroy"):
            migrate(ledger.engine, "base")
        assert revision(ledger.engine) == REVISION and len(ledger.of(records.Score)) == 1


def test_a_ledger_of_five_tables_grows_and_keeps_its_rows(ledger_url: str, raw: Callable) -> None:
    with Ledger.open(ledger_url) as ledger:
        migrate(ledger.engine, "0001")
        assert not {"cases", "notes"} & set(sa.inspect(ledger.engine).get_table_names())
        ledger.append([score()], AT)
    with pytest.raises(StoreError, match="ledger migrate"):
        Ledger.open(ledger_url)
    with Ledger.open(ledger_url, upgrade=True) as ledger:
        assert len(ledger.of(records.Score)) == 1 and ledger.append([case_step()], AT) == 1
        with pytest.raises(StoreError, match="holds 1 rows"):
            migrate(ledger.engine, "0001")


def test_a_migration_that_fails_leaves_nothing_behind(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic.operations import Operations

    create, calls = Operations.create_index, []

    def stumble(self: Operations, *a: object, **k: object) -> object:
        calls.append(a)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return create(self, *a, **k)

    monkeypatch.setattr(Operations, "create_index", stumble)
    with pytest.raises(KeyboardInterrupt):
        Ledger.open(ledger_url)
    assert sa.inspect(ground_ledger._engine(ledger_url)).get_table_names() == []
    monkeypatch.undo()
    with Ledger.open(ledger_url) as ledger:
        assert ledger.append(one_of_each(), AT) == len(KINDS)


@pytest.mark.parametrize("stands_at, remedy", [("0000", "predelinquency ledger migrate"), ("9999", "newer version")])
def test_a_ledger_of_another_version_is_refused_with_the_way_out(
    ledger_url: str, raw: Callable, stands_at: str, remedy: str
) -> None:
    Ledger.open(ledger_url).close()
    raw(ledger_url, f"UPDATE ledger_version SET version_num = '{stands_at}'")
    with pytest.raises(
        StoreError, match=f"(?s)stands at revision {stands_at}, this version needs {REVISION}.*{remedy}"
    ):
        Ledger.open(ledger_url)
    with pytest.raises(StoreError, match="no way"):
        Ledger.open(ledger_url, upgrade=True)  # neither is a revision that ever was


def test_a_ledger_shares_a_database_with_other_tables(ledger_url: str, raw: Callable) -> None:
    raw(ledger_url, "CREATE TABLE alembic_version (version_num varchar(32))")
    raw(ledger_url, "INSERT INTO alembic_version VALUES ('somebody else')")
    with Ledger.open(ledger_url) as ledger:
        ledger.append(one_of_each(), AT)
    assert raw(ledger_url, "SELECT version_num FROM alembic_version") == "somebody else"


def test_opening_an_existing_ledger_does_not_load_the_migrations(tmp_path: Path) -> None:
    ledger_url = f"sqlite:///{tmp_path}/ledger.db"
    Ledger.open(ledger_url).close()
    code = f"import sys\nfrom predelinquency.ground.ledger import Ledger\nLedger.open({ledger_url!r}).close()\nprint('alembic' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        == "False"
    )
