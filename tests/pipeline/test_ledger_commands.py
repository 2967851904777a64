"""`predelinquency ledger`: from the owner of a database to the login that removes, by what is typed."""

import json
from pathlib import Path

import pytest
from records import one_of_each, score
from typer.testing import CliRunner, Result

from predelinquency.ground.ledger import Ledger
from predelinquency.ground.records import Score
from predelinquency.ops.cli import app


def typed(*words: str) -> Result:
    return CliRunner().invoke(app, ["ledger", *words])


def test_a_database_gets_its_roles_loses_what_is_over_and_is_drilled(ledger_url: str, tmp_path: Path) -> None:
    at = ("--ledger", ledger_url)
    with Ledger.open(ledger_url) as ledger:
        ledger.append([*one_of_each(), score(as_of="2019-12-31")], "2026-03-02T10:00:00+00:00")
    made = typed("roles", *at, "--json")
    if ledger_url.startswith("postgresql"):
        assert json.loads(made.stdout)["app"] == "postgres_app"
    else:
        assert made.exit_code == 1 and "SQLite has no roles" in made.stderr
    over = ("--who", "anna", "--why", "its time is over", *at)
    assert "first of a month" in typed("remove", "--before", "2020-01-02", *over).stderr
    assert "kept for" in typed("remove", "--before", "2099-01-01", *over).stderr
    gone = json.loads(typed("remove", "--before", "2020-01-01", *over, "--json").stdout)["removed"]
    assert {name: n for name, n in gone.items() if n} == dict(scores=1)
    assert typed("migrate", *at).exit_code == 0
    held = json.loads(typed("drill", *at, "--json").stdout)["tables"]
    assert (held["scores"], held["notes"], held["removals"]) == (1, 1, len(gone))
    assert json.loads(typed("backup", str(tmp_path / "a.zip"), *at, "--json").stdout)["tables"] == held
    with Ledger.open(ledger_url) as ledger:
        assert [s.as_of for s in ledger.of(Score)] == ["2026-03-02"]


@pytest.mark.parametrize(
    "words", [("drill",), ("backup", "a.zip"), ("restore", "none.zip", "--into", "sqlite:///new.db")]
)
def test_where_nothing_is_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = typed(*words)
    assert done.exit_code == 1 and "to fix: " in done.stderr and not [p for p in tmp_path.rglob("*") if p.is_file()]
