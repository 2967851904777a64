"""`predelinquency keys`: what is typed where the ledger is opens the service."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from guests import asker, desk_of
from typer.testing import CliRunner, Result

from predelinquency.ops.cli import app
from predelinquency.service import desk as service_desk


def opened(folder: Path) -> service_desk.Desk:
    "The service beside that ledger, by the clock by which the commands go."
    desk = desk_of(folder)
    desk.clock = lambda: datetime.now(UTC)
    return desk


def typed(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["keys", *words, "--root", str(folder)])


def listed(folder: Path) -> list[dict]:
    return json.loads(typed(folder, "list", "--json").stdout)


@pytest.fixture
def core(tmp_path: Path) -> str:
    "A key that was just made."
    return typed(tmp_path, "add", "core", "--role", "source", "--until", "2099-01-01").stdout.strip()


def test_a_key_stands_alone_on_the_output_and_opens_what_its_role_opens(core: str, tmp_path: Path) -> None:
    desk = opened(tmp_path)
    assert len(core.split()) == 1
    who = asker(desk, core)
    assert who.post("/v1/replies", {}).status_code == 422 and who.get("/v1/model").status_code == 403


def test_one_key_follows_another_and_both_are_taken_back(core: str, tmp_path: Path) -> None:
    new = typed(tmp_path, "rotate", "core", "--until", "2099-06-01", "--overlap-days", "2").stdout.strip()
    assert new != core and [(k["role"], k["in_force"]) for k in listed(tmp_path)] == [("source", True)] * 2
    gone = typed(tmp_path, "revoke", "core", "--json")
    assert json.loads(gone.stdout) == {"name": "core", "revoked": 2}
    assert [k["in_force"] for k in listed(tmp_path)] == [False, False]
    desk = opened(tmp_path)
    assert {asker(desk, key).post("/v1/replies", {}).status_code for key in (core, new)} == {401}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "core", "--role", "viewer", "--until", "2099-01-01"), "has a key already"),
        (("add", "anna", "--role", "director", "--until", "2099-01-01"), "no role"),
        (("add", "anna", "--role", "viewer", "--until", "tomorrow"), "no day"),
        (("add", "anna", "--role", "viewer", "--until", "2020-01-01"), "end before it begins"),
        (("rotate", "anna", "--until", "2099-01-01"), "no key that is in force"),
        (("revoke", "anna"), "no key that is in force"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(core: str, tmp_path: Path, words: tuple, said: str) -> None:
    done = typed(tmp_path, *words)
    assert done.exit_code == 1 and said in done.stderr and "to fix: " in done.stderr and not done.stdout.strip()
    assert [k["name"] for k in listed(tmp_path)] == ["core"]
