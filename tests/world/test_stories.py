"""Customers told in words say what led to the first missed payment."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from predelinquency.ground import disk, schema
from predelinquency.ground.facts import settlements
from predelinquency.world import calibration


@pytest.fixture(scope="module")
def misses(world: Path) -> pd.DataFrame:
    "The first missed loan, card or housing due of everybody who missed one."
    dues, paid = disk.read(world / "raw", "obligations"), disk.read(world / "raw", "payments")
    end = disk.read(world / "raw", "transactions").booked_at.max()
    late = dues[
        ~settlements(dues, paid, 5).in_time
        & dues.kind.isin(schema.TARGET_KINDS)
        & (dues.due_on < end - pd.Timedelta(days=6))
    ]
    return late.sort_values(["customer_id", "due_on"]).drop_duplicates("customer_id")


def test_every_story_reaches_the_first_missed_payment(world: Path, misses: pd.DataFrame):
    assert len(misses) > 10
    for due in misses.head(12).itertuples():
        told = calibration.told(int(due.customer_id), world / "raw", world / "truth")
        assert f"{due.due_on.day} {due.due_on:%b} missed {due.kind} of £{due.amount_minor / 100:,.0f}" in told
        assert f"**{due.due_on:%B %Y}**" in told


def test_a_story_begins_with_who_it_is_and_leaves_out_what_happens_every_month(world: Path, misses: pd.DataFrame):
    for customer in misses.customer_id.head(12):
        told, story = (
            calibration.told(int(customer), world / "raw", world / "truth"),
            calibration.story(int(customer), world / "raw", world / "truth"),
        )
        assert told.startswith(f"Customer {customer} (") and "_" not in told
        often = story.groupby("what")["on"].apply(lambda on: on.dt.to_period("M").nunique()).loc[lambda n: n > 8].index
        assert [what for what in often if what in told] == []


def test_a_quiet_customer_has_a_story_too(world: Path, misses: pd.DataFrame):
    quiet = next(
        c
        for c in disk.read(world / "raw", "customers").customer_id
        if not len(calibration.story(int(c), world / "raw", world / "truth"))
    )
    assert "Nothing went wrong" in calibration.told(int(quiet), world / "raw", world / "truth")


def test_the_report_tells_five_customers_drawn_by_lot(trained: Path):
    cells = json.loads((trained / "reports/simulate.ipynb").read_text())["cells"]
    told = next(
        "".join(o["data"]["text/markdown"])
        for c in cells
        for o in c.get("outputs", [])
        if "chronicle.by_lot(" in "".join(c["source"])
    )
    people = set(disk.read(trained / "raw", "customers").customer_id)
    assert len(drawn := {int(n) for n in re.findall(r"^Customer (\d+) \(", told, re.M)}) == 5 and drawn <= people
