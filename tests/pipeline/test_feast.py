"""What Feast is given: a repository from the catalogue, rows from a run, and one question at a time."""

import ast
import json
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from feature_rows import write_results

from predelinquency.features.catalogue import BY_NAME, names
from predelinquency.features.offline import panel_contract
from predelinquency.ground import disk
from predelinquency.ground.core import ParamsError, StoreError
from predelinquency.ops import feast


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("results"))


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    feast.write_repository(tmp_path / "bank", feast.repository())
    return tmp_path / "bank"


def fields(text: str) -> list[dict[str, object]]:
    "What is said of each feature in a file of definitions."
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Field":
            said = {k.arg: ast.literal_eval(k.value) for k in node.keywords if k.arg != "dtype"}
            found.append(said | {k.arg: k.value.id for k in node.keywords if k.arg == "dtype"})
    return found


def test_every_feature_of_the_catalogue_stands_in_the_repository_once_with_what_is_known_of_it() -> None:
    made = feast.repository()
    assert made == feast.repository(), "the same catalogue gives the same files"
    for name in (n for n in made if n.endswith(".py")):
        compile(made[name], name, "exec")
    found = fields(made["definitions.py"])
    assert Counter(f["name"] for f in found) == Counter(names())
    assert {f["dtype"] for f in found} == {"Float32"} == {"Float32" for c in panel_contract("p").columns[4:]}
    for one in found:
        feature = BY_NAME[str(one["name"])]
        assert one["description"] == feature.formula
        assert one["tags"]["unit"] == feature.unit and one["tags"]["words"] == str(feature.analyst)
        assert all(isinstance(word, str) for word in one["tags"].values()), "Feast takes texts only"


def test_what_is_to_be_installed_is_named_with_its_version_and_with_nowhere_to_get_it() -> None:
    lines = feast.repository()["requirements.txt"].splitlines()
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[\w.]+( ; [^/@]+)?", line)] == []
    held = dict(line.split(" ;")[0].split("==") for line in lines)
    assert held["feast"] == "0.67.0" and held["pandas"] < "3" and held["redis"] < "8" and "duckdb" in held


@pytest.mark.parametrize(
    "url", ["postgresql://host/bank", "redis:///0", "redis://:secret@host", "redis://anna:se${X}cret@host"]
)
def test_an_address_that_cannot_be_used_or_would_tell_a_password_is_refused_without_saying_it(url: str) -> None:
    with pytest.raises(ParamsError, match="to fix: .*redis://") as refused:
        feast.online_store(url)
    assert "cret" not in str(refused.value)


def test_somebody_elses_repository_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "feature_store.yaml").write_text("project: ours\n")
    with pytest.raises(StoreError, match="somebody else"):
        feast.write_repository(tmp_path, feast.repository())
    assert [p.name for p in tmp_path.iterdir()] == ["feature_store.yaml"]


def test_the_rows_are_those_of_the_run_to_the_bit(results: Path, tmp_path: Path) -> None:
    for one in feast.views():
        sent = feast.export_rows(results, one, tmp_path / "rows.parquet")
        theirs, ours = pd.read_parquet(tmp_path / "rows.parquet"), disk.read(results / "features", one.table)
        assert sent.rows == len(theirs) == len(ours) > 200
        assert str(theirs["as_of"].dtype) == "datetime64[us, UTC]"
        assert [sent.first_ms, sent.last_ms] == [int(at.value) // 10**6 for at in (ours.as_of.min(), ours.as_of.max())]
        assert (theirs["as_of"].dt.tz_localize(None) == ours["as_of"]).all()
        assert (theirs[list(one.keys)] == ours[list(one.keys)]).all(axis=None)
        assert feast.differing(ours, theirs, [f.name for f in one.features]) == 0
        assert disk.versions(tmp_path / "rows.parquet").keys() == {"catalogue"}


def test_a_customer_who_was_asked_about_several_payments_at_once_has_one_row_of_that_moment(tmp_path: Path) -> None:
    one = feast.views()[0]
    contract = panel_contract(one.table, catalogue=one.features)
    rows = pd.DataFrame(
        dict(
            customer_id=[1, 1, 1, 2],
            as_of=np.array(["2026-01-05", "2026-01-05", "2026-01-12", "2026-01-12"], "datetime64[ms]"),
            obligation_id=[7, 8, 7, 9],
            instalment=np.array([1, 1, 2, 1], "int32"),
        )
    )
    values = pd.DataFrame(1.0, rows.index, [f.name for f in one.features], "float32")
    disk.write(tmp_path / "features", contract, pd.concat([rows, values], axis=1))
    assert feast.export_rows(tmp_path, one, tmp_path / "rows.parquet").rows == 3


STAND_IN = """
import json, os, sys

asked, verb = json.load(sys.stdin), sys.argv[2]
with open("asked.jsonl", "a") as file:
    file.write(json.dumps([verb, asked, sorted(n for n in os.environ if n.startswith("PYTHON")), os.environ["TZ"]]) + "\\n")
if verb == "sync":
    if os.path.exists("broken"):
        sys.exit("trouble\\nConnectionError: no server")
    json.dump(dict(written=3, older=1, seconds=0.5), sys.stdout)
    sys.exit()
import numpy as np, pandas as pd
customer, due = (pd.read_parquet(f"data/{n}.parquet").sort_values("as_of", ascending=False) for n in ("customer", "due"))
def known(rows, when, **keys):
    for name, value in keys.items():
        rows = rows[rows[name] == value]
    return rows[rows["as_of"] <= when].iloc[0].drop(["as_of", *keys])
if verb == "rows":
    said = []
    for row in pd.read_parquet(asked["spine"]).sample(frac=1, random_state=0).itertuples():
        when, who = row.event_timestamp, dict(customer_id=row.customer_id)
        one = known(due, when, obligation_id=row.obligation_id, instalment=row.instalment, **who)
        said.append(dict(row=row.row) | known(customer, when, **who).to_dict() | one.to_dict())
else:
    said = [dict(customer_id=who) | known(customer, customer.as_of.max(), customer_id=who).to_dict() for who in asked["customers"][::-1]]
found = pd.DataFrame(said)
bits = found["balance"].to_numpy("float32").view("int32")
bits[np.flatnonzero(found["balance"].notna())[0]] ^= 1
found["balance"] = bits.view("float32")
found.to_parquet(asked["out"])
json.dump(dict(rows=len(found), seconds=0.5), sys.stdout)
"""


@pytest.fixture
def stand_in(bank: Path) -> str:
    "A program that is asked as Feast is, and looks up rows one by one."
    (bank / "stand_in.py").write_text(STAND_IN)
    program = bank / "python"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} stand_in.py "$@"\n')
    program.chmod(0o755)
    return str(program)


def asked_of(bank: Path) -> list[list]:
    return [json.loads(line) for line in (bank / "asked.jsonl").read_text().splitlines()]


def test_a_synchronisation_hands_over_the_rows_and_says_what_came_of_it(
    results: Path, bank: Path, stand_in: str, capsys: pytest.CaptureFixture[str]
) -> None:
    feast.sync_feast(str(bank), root=str(results), python=stand_in, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said == dict(rows=dict(customer=224, due=448), online=dict(written=3, older=1, seconds=0.5))
    [(verb, asked, names_of_python, zone)] = asked_of(bank)
    assert (verb, names_of_python, zone) == ("sync", [], "UTC"), "nothing of this process's Python goes along"
    assert asked["rows"] == 224 and asked["last_ms"] - asked["first_ms"] == 5 * 7 * 86_400_000
    feast.sync_feast(str(bank), root=str(results), python=stand_in)
    assert "of 1 a newer row stood there and stays" in capsys.readouterr().out


def test_where_feast_fails_its_last_word_is_said_and_the_next_command_gets_in(
    results: Path, bank: Path, stand_in: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (bank / "broken").touch()
    with pytest.raises(typer.Exit):
        feast.sync_feast(str(bank), root=str(results), python=stand_in)
    assert "Feast failed: ConnectionError: no server" in capsys.readouterr().err
    (bank / "broken").unlink()
    feast.sync_feast(str(bank), root=str(results), python=stand_in)


def test_two_commands_are_not_at_work_in_one_repository(
    results: Path, bank: Path, stand_in: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with feast.alone_in(bank), pytest.raises(typer.Exit):
        feast.sync_feast(str(bank), root=str(results), python=stand_in)
    assert "another command is at work here" in capsys.readouterr().err
    assert not (bank / "data").exists() and not (bank / "asked.jsonl").exists()


def test_a_single_bit_that_differs_is_found_and_nothing_else(
    results: Path, bank: Path, stand_in: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for one in feast.views():
        feast.export_rows(results, one, bank / f"data/{one.name}.parquet")
    with pytest.raises(typer.Exit):
        feast.compare_feast(str(bank), 40, root=str(results), python=stand_in, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert (said["differ"], said["differ_online"]) == (1, 1) and said["rows"] == 40
    assert 20 < said["customers"] <= 40
