"""The tables of the world may be sorted, and may grow: what is asked of a row is a column of it."""

import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from predelinquency.ground import schema
from predelinquency.ground.core import ParamsError
from predelinquency.world import contacts, contracts, groups, personas, practice, street, stress, tables

PROJECT = Path(personas.__file__).parents[2]
TABLE = re.compile(r"^([A-Z_]+): tuple[^\n]*= (?:whole\(\s*)?table\(\s*(\w+),\s*\"\"\"\n(.*?)\n\s*\"\"\"", re.M | re.S)
ROOMS = (street, groups, personas, contracts, stress, contacts, practice)
NAMES = [
    "AGE_BANDS",
    "GROUPS",
    "HABITS",
    "HAZARDS",
    "HOURS",
    "KINDS",
    "LIVES",
    "PERSONAS",
    "PRICES",
    "SPENDING",
    "STRESSES",
    "TALK",
    "WAYS",
]


def texts() -> dict[str, tuple[Any, Any, str]]:
    "Every table that a person edits: its rows as read, its record, its text."
    return {
        name: (getattr(room, name), getattr(room, cls), text)
        for room in ROOMS
        for name, cls, text in TABLE.findall(Path(str(room.__file__)).read_text())
    }


def shuffled(text: str, seed: int) -> str:
    "The same rows in another order, and the columns too."
    header, *rows = [line.split() for line in text.splitlines()]
    draw = random.Random(seed)
    draw.shuffle(rows)
    columns = draw.sample(range(len(header)), len(header))
    return "\n".join(" ".join(row[c] for c in columns) for row in [header, *rows])


@pytest.mark.parametrize("name", NAMES)
def test_a_table_says_the_same_in_any_order(name: str) -> None:
    rows, cls, text = texts()[name]
    for seed in range(5):
        assert shuffled(text, seed).splitlines()[1:] != text.splitlines()[1:]
        assert tables.table(cls, shuffled(text, seed)) == rows


def test_every_table_of_the_world_is_looked_at() -> None:
    assert sorted(texts()) == NAMES
    read = "\n".join(Path(str(room.__file__)).read_text() for room in ROOMS)
    read_tables = re.findall(r"(?m)(?:= |\(|^ +)table\($", read)
    assert len(read_tables) == len(texts())


@pytest.mark.parametrize("name,column,value,says", [
    ("PERSONAS", "share", "1.2", "share of salaried_monthly is 1.2, expected a number from 0 to 1"),
    ("PERSONAS", "income", "nan", "income of salaried_monthly is nan, expected a number from 0 on"),
    ("PERSONAS", "rhythm", "daily", "rhythm of salaried_monthly is daily, expected one of monthly, fortnightly"),
    ("PERSONAS", "pays_as", "groceries", "pays_as of salaried_monthly is groceries, expected one of salary"),
    ("PERSONAS", "works", "1", "works of salaried_monthly is 1, expected yes or no"),
    ("PERSONAS", "number", "1.5", "number of salaried_monthly is 1.5, expected a whole number from 1"),
    ("PERSONAS", "number", "2", "number 2 stands in two rows"), ("PERSONAS", "name", "gig", "name gig stands in two rows"),
    ("SPENDING", "category", "food", "category of food is food, expected one of salary"),
    ("SPENDING", "category", "atm", "category atm stands in two rows"),
    ("SPENDING", "needs", "boat", "needs of groceries is boat, expected one of -, car, children"),
    ("STRESSES", "does", "flood", "does of late_salary is flood, expected one of late_salary"),
    ("STRESSES", "needs", "luck", "needs of late_salary is luck, expected one of -, works, late"),
    ("STRESSES", "days_low", "-1", "days_low of late_salary is -1, expected a number from 1 on"),
    ("WAYS", "channel", "fax", "channel of fax is fax, expected one of app, call, email, sms"),
    ("LIVES", "name", "moved", "name of moved is moved, expected one of vulnerable"),
    ("LIVES", "share", "-.1", "share of vulnerable is -.1, expected a number from 0 to 1"),
    ("TALK", "direction", "up", "direction of 1 is up, expected one of in, out"),
    ("TALK", "channel", "fax", "channel of 1 is fax, expected one of app, call, email, sms"),
])  # fmt: skip
def test_a_bad_cell_is_refused_by_its_name(name: str, column: str, value: str, says: str) -> None:
    _, cls, text = texts()[name]
    header, first, *rest = text.splitlines()
    cells = first.split()
    cells[header.split().index(column)] = value
    with pytest.raises(ParamsError, match=re.escape(says)) as refused:
        tables.table(cls, "\n".join([header, " ".join(cells), *rest]))
    assert cls.__name__ in str(refused.value)


def test_a_missing_column_a_short_row_and_shares_that_do_not_add_up_are_refused() -> None:
    rows, cls, text = texts()["PERSONAS"]
    with pytest.raises(ParamsError, match="columns .* do not match"):
        tables.table(cls, text.replace("hardship", ""))
    with pytest.raises(ParamsError, match=r"row 9 \(retired\) has 1 values"):
        tables.table(cls, text + "\nretired")
    with pytest.raises(ParamsError, match="share adds up to 0.930"):
        tables.whole(rows[:-1])


def test_what_would_hang_or_overflow_the_world_is_refused() -> None:
    often, backwards = list(stress.STRESSES), list(stress.STRESSES)
    often[0] = _with(often[0], per_year=30.0)
    backwards[2] = _with(backwards[2], size_low=2.0)
    with pytest.raises(ParamsError, match="per_year adds up"):
        stress.stress_matrix(tuple(often))
    with pytest.raises(ParamsError, match="size_low of job_loss is 2, expected at most its size_high, 1"):
        stress.stress_matrix(tuple(backwards))
    with pytest.raises(ParamsError, match="28 rows, expected at most 16"):
        stress.stress_matrix(stress.STRESSES * 2)
    with pytest.raises(ParamsError, match="category of fee has no counterparties"):
        street.spending_matrix((*street.SPENDING, _with(street.SPENDING[0], category="fee")))


def _with(record: Any, **changes: Any) -> Any:
    from dataclasses import replace

    return replace(record, **changes)


LIVE = """
import sys
from predelinquency.ground import params
from predelinquency.world import world
p = params.load(sys.argv[1], {"simulate.customers": 150, "base.customers_per_part": 75})
world.simulate(p, sys.argv[2] + "/raw", sys.argv[2] + "/truth", progress=False)
"""


def lived(folder: Path, edit: Any) -> Path:
    "The world of a copy of the package in which each table's text was edited."
    shutil.copytree(PROJECT / "predelinquency", folder / "predelinquency", ignore=shutil.ignore_patterns("__pycache__"))
    for room in ROOMS:
        path = folder / "predelinquency/world" / Path(str(room.__file__)).name
        path.write_text(TABLE.sub(lambda m: m[0].replace(m[3], edit(m[1], m[3])), path.read_text()))
    ran = subprocess.run(
        [sys.executable, "-c", LIVE, PROJECT / "params.yaml", folder],
        cwd=folder,
        text=True,
        capture_output=True,
        env=os.environ | dict(PYTHONPATH=str(folder), NUMBA_CACHE_DIR=str(folder / "cache")),
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    "Every table of a world, as bytes."
    return {
        str(f.relative_to(folder)): f.read_bytes()
        for kind in ("raw", "truth")
        for f in (folder / kind).rglob("*.parquet")
    }


@pytest.mark.slow
@pytest.mark.long
def test_every_table_shuffled_gives_the_same_world_to_the_byte(tmp_path: Path) -> None:
    usual = contents(lived(tmp_path / "usual", lambda name, text: text))
    assert len(usual) > 9 and contents(lived(tmp_path / "shuffled", lambda name, text: shuffled(text, 1))) == usual


ROWS = {  # a row more, and what makes room for it
    "PERSONAS": (
        "seasonal 9 .20 1400 .4 .5 .5 weekly salary yes yes working .2 .1 .1 .6 .3 .4 .4 .4 20 .7 .02 .3 .2 .2 1.3",
        (" .38 ", " .18 "),
    ),
    "SPENDING": ("gambling .010 12 .6 1.0 1.0 1.0 1.0 0 - 1.0 evening round", ("groceries   .215", "groceries   .205")),
    "STRESSES": ("plant_closes 15 job_loss works yes no 1.5 60 90 .9 1.0 share_of_pay", ("late_salary", "late_salary")),
    "TALK": ("7 out sms .5 0", ("1 ", "1 ")),
}


def longer(name: str, text: str) -> str:
    "A table with its new row first."
    if name not in ROWS:
        return text
    row, (old, new) = ROWS[name]
    assert old in text
    header, *rows = text.replace(old, new, 1).splitlines()
    return "\n".join([header, row, *rows])


@pytest.mark.slow
@pytest.mark.long
def test_a_row_more_in_every_table_lives(tmp_path: Path) -> None:
    made = lived(tmp_path / "longer", longer)
    people, tx = pd.read_parquet(made / "truth/latent"), pd.read_parquet(made / "raw/transactions")
    new = people[people["persona"] == "seasonal"]
    assert 10 < len(new) < 60
    paid = tx[tx["customer_id"].isin(new["customer_id"]) & (tx["category"] == "salary")]
    assert paid["customer_id"].nunique() > 0.8 * (new["hidden_pay_share"] < 1).sum()
    assert "plant_closes" in set(pd.read_parquet(made / "truth/episodes")["stress"])
    assert (pd.read_parquet(made / "raw/contacts")["channel"] == "sms").sum() > 20
    booked = tx[tx["status"] != "failed"].sort_values(["account_id", "seq"])
    before = booked.groupby("account_id")["balance_after_minor"].shift()
    assert (booked["balance_after_minor"] - before == booked["amount_minor"])[before.notna()].all()
    assert np.isin(tx["category"].unique(), schema.CATEGORIES).all()
