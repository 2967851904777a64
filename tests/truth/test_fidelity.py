"""A world beside a real bank: alike is told as alike, what gives a world away is named, and nothing of it is kept but figures."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from predelinquency.ground import disk, schema
from predelinquency.ground.core import SchemaError, StoreError
from predelinquency.ops import cli, results
from predelinquency.truth import fidelity, forks, shapes, sides

KINDS = ["income", "cash", "collected"]
DAY = pd.Timedelta(days=1)


def tables(folder: Path, rows: pd.DataFrame) -> Path:
    "A folder of results that holds these movements."
    who, day = np.unique(rows["customer_id"]), pd.Timestamp("2024-01-01")
    people = pd.DataFrame(dict(customer_id=who, source_id=who.astype(str), joined_on=day, segment="x", time_zone="UTC"))
    accounts = pd.DataFrame(
        dict(account_id=who, customer_id=who, kind="current", opened_on=day, currency="GBP", limit_minor=0)
    )
    disk.write(folder / "raw", schema.CUSTOMERS, people.astype({"joined_on": "datetime64[ms]"}))
    words = dict(opened_on="datetime64[ms]", kind="category", currency="category")
    disk.write(folder / "raw", schema.ACCOUNTS, accounts.astype(words))
    disk.write(folder / "raw", schema.TRANSACTIONS, rows)
    return folder


def made(folder: Path, rows: pd.DataFrame, base: dict, customers: int = 60) -> Path:
    "The same, as a simulated world leaves it."
    (folder / "truth").mkdir(parents=True)
    recipe = dict(base=base, simulate=dict(customers=customers))
    (folder / "truth" / forks.RECIPE).write_text(json.dumps(recipe))
    return tables(folder, rows)


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    "Fewer trees and halves: what is asked here shows with few."
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fidelity, "HALVINGS", 1)
        patch.setattr(fidelity, "DETECTOR", replace(fidelity.DETECTOR, trees=25))
        yield


@pytest.fixture(scope="module")
def base(settings) -> dict:
    return vars(settings.base)


@pytest.fixture(scope="module")
def halves(tmp_path_factory, base) -> tuple[Path, Path]:
    "Two samples of one bank; the real one in another year and currency."
    folder = tmp_path_factory.mktemp("halves")
    real = sides.made_up(60, 2, start="2024-01-01", currency="CZK")
    return made(folder / "world", sides.made_up(60, 1), base), tables(folder / "real", real)


@pytest.fixture(scope="module")
def found(halves) -> dict:
    return fidelity.fidelity_of(*halves, progress=False)


def asked(**other) -> fidelity.Detected:
    "Is a bank that differs in this told from one that does not?"
    rows = (sides.made_up(60, 1).assign(**other), sides.made_up(60, 2))
    levels = [fidelity.of_movements(sides.marks(sides.side_of(r), KINDS), KINDS, 1) for r in rows]
    return fidelity.detect(*levels, seed=1, replicates=40)


def test_two_samples_of_one_bank_are_not_told_apart(found):
    for name, level in found["detect"].items():
        assert abs(level["auc"] - 0.5) < 0.15 and level["low"] < 0.56, (name, level)
        assert abs(level["floor"] - 0.5) < 0.15, (name, level)
    ratios = [one["ratio"] for one in (found["ratio"] | found["js"]).values() if one["ratio"] is not None]
    assert len(ratios) > 10 and 0.7 < np.median(ratios) < 1.5 and max(ratios) < 3
    assert found["tstr"] == dict(why="the real bank's tables hold no moments with an outcome")


def test_round_amounts_and_shifted_days_are_told_and_named():
    alike = asked()
    rounded = asked(amount_minor=lambda d: d["amount_minor"].round(-3))
    later = asked(booked_at=lambda d: d["booked_at"] + 11 * DAY)
    assert alike.auc.low < 0.55
    assert rounded.auc.low > alike.auc.high + 0.05 and next(iter(rounded.gains)) == "digits"
    assert later.auc.low > 0.7 and {"day_of_month", "days_to_month_end"} & set(list(later.gains)[:2])


def test_what_is_unlike_has_a_high_ratio_and_the_rest_stays_near_one():
    real, world = (sides.side_of(sides.made_up(60, seed)) for seed in (2, 1))
    marked = [sides.marks(side, KINDS) for side in (world, real)]
    odd = [marked[0].assign(weekday=6, digits=1), marked[1]]
    ratios = {name: shapes.ratio(one, 1)["ratio"] for name, one in shapes.shapes_of(world, real, odd, KINDS).items()}
    assert ratios["weekday"] > 10 and ratios["round_amounts"] > 10
    assert ratios["gap"] < 3 and ratios["js day given cash"] < 3


def test_figures_are_the_same_to_the_byte_and_hold_no_row_and_no_place(halves, found):
    root, real = halves
    fidelity.write_fidelity(found, root)
    first = (root / "reports" / fidelity.FILE).read_bytes()
    fidelity.write_fidelity(fidelity.fidelity_of(root, real, progress=False), root)
    assert (root / "reports" / fidelity.FILE).read_bytes() == first and len(first) < 20_000
    assert str(root).encode() not in first and str(real).encode() not in first


def test_units_and_years_do_not_matter():
    pounds = sides.side_of(sides.made_up(20, 3))
    other = sides.made_up(20, 3, currency="CZK").assign(
        **{name: (lambda d, n=name: d[n] * 30) for name in ("amount_minor", "balance_after_minor")}
    )
    one, two = (
        sides.marks(side, KINDS)[["size", "level", "repeated", "gap"]] for side in (pounds, sides.side_of(other))
    )
    pd.testing.assert_frame_equal(one, two)


def test_both_sides_are_seen_equally_long_and_too_few_are_refused():
    long, short = sides.side_of(sides.made_up(50, 1, months=14)), sides.side_of(sides.made_up(60, 2, months=6))
    world, real = sides.matched(long, short, 1)
    assert world.customers == real.customers == 50 and (world.spans == real.spans).all()
    assert world.spans.max() <= short.spans.max() < long.spans.min()
    for side in (world, real):
        days, at = side.moves["day"].to_numpy(), side.days[side.moves["customer"]]
        assert ((days >= at[:, 0]) & (days < at[:, 1])).all()
    with pytest.raises(SchemaError, match="too few customers to compare: 50 simulated and 12 real"):
        sides.matched(long, sides.part_of(short, np.arange(12)), 1)


def test_a_folder_without_tables_is_refused_and_nothing_is_written(halves, tmp_path, base):
    root = made(tmp_path / "world", sides.made_up(45, 1), base)
    done = CliRunner().invoke(cli.app, ["fidelity", "--against", str(tmp_path / "none"), "--root", str(root)])
    assert done.exit_code == 1 and "there are no tables here" in done.output and "stage ingest --root" in done.output
    assert not (root / "reports").exists()
    with pytest.raises(StoreError, match="no simulated world is here"):
        fidelity.fidelity_of(halves[1], halves[1], progress=False)


def test_figures_of_another_world_are_not_shown_and_stay_as_its_rival(tmp_path, found, base, monkeypatch):
    monkeypatch.setattr(fidelity.kept, "code", lambda modules: f"code of {len(modules)} rooms")
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for customers, folder in zip((60, 61, 62), folders, strict=True):
        made(folder, sides.made_up(3, 1), base, customers)
    first = fidelity.write_fidelity(found, folders[0])
    assert "was" not in first and "told from 60 real customers" in results._faithful(str(folders[0]))[0]
    kept = (folders[0] / "reports" / fidelity.FILE).read_text()
    for folder in folders[1:]:
        (folder / "reports").mkdir()
        (folder / "reports" / fidelity.FILE).write_text(kept)
        (said,) = results._faithful(str(folder))
        assert (
            said == f"fidelity not measured for this world: `predelinquency fidelity --against FOLDER --root {folder}`"
        )
        later = fidelity.write_fidelity(found, folder)
        assert later["was"]["world"] == first["belongs_to"]["version"] != later["belongs_to"]["version"]
        assert later["was"]["auc"] == {name: level["auc"] for name, level in found["detect"].items()}
        kept = (folder / "reports" / fidelity.FILE).read_text()


def moments(folder: Path, bad: np.ndarray, as_of: pd.Timestamp) -> None:
    rows = pd.DataFrame(dict(customer_id=np.arange(len(bad)), as_of=as_of, target=bad.astype("int32")))
    empty = dict(obligation_id=pd.NA, instalment=pd.NA, known_on=pd.NaT, seen_before=False, reference=None)
    kinds = dict(as_of="datetime64[ms]", known_on="datetime64[ms]", obligation_id="Int64", instalment="Int32")
    disk.write(folder / "raw", schema.MOMENTS, rows.assign(**empty).astype(kinds)[schema.MOMENTS.names])


def dues(folder: Path, late: np.ndarray, on: pd.Timestamp) -> None:
    "A loan's single instalment for everybody, which those who are late never paid."
    who = np.arange(len(late))
    row = dict(customer_id=who, obligation_id=who, instalment=1, kind="loan", announced_at=on - 9 * DAY, due_on=on)
    row |= dict(amount_minor=900, currency="GBP", autopay=False, fact="announced", enough_minor=900)
    times = dict.fromkeys(("announced_at", "due_on"), "datetime64[ms]")
    words = dict.fromkeys(("kind", "currency", "fact"), "category")
    disk.write(folder / "raw", schema.OBLIGATIONS, pd.DataFrame(row).astype({**times, **words, "instalment": "int32"}))
    paid = dict(customer_id=who, obligation_id=who, instalment=1, paid_at=on, arrived_at=on, due_on=on)
    paid = pd.DataFrame(paid | dict(amount_minor=900, payment_id=who))[~late]
    times = dict.fromkeys(("paid_at", "arrived_at", "due_on"), "datetime64[ms]")
    disk.write(folder / "raw", schema.PAYMENTS, paid.astype({**times, "instalment": "int32"}))


def test_what_a_world_teaches_is_asked_of_real_loans_without_what_came_after(tmp_path, settings):
    world, real = sides.made_up(80, 1, months=12), sides.made_up(80, 2)
    wages = [rows[rows.category == "salary"].groupby("customer_id").amount_minor.median() for rows in (world, real)]
    rents = [rows[rows.category == "rent"].groupby("customer_id").amount_minor.median() for rows in (world, real)]
    poor = [(wage / -rent < 3.5).to_numpy() for wage, rent in zip(wages, rents, strict=True)]
    tables(tmp_path / "world", world), tables(tmp_path / "real", real)
    as_of = pd.Timestamp("2024-07-01")
    moments(tmp_path / "real", poor[1], as_of)
    ids, ours, theirs = np.arange(80), *(sides.side_of(rows) for rows in (world, real))
    loans = fidelity.real_loans(tmp_path / "real/raw", ids, theirs)
    before = fidelity.real_loans(tmp_path / "real/raw", ids, sides.side_of(real[real.booked_at < as_of]))
    assert loans.side.moves.equals(before.side.moves) and (loans.bad == poor[1]).all()
    lives = {}
    for when, on in dict(inside="2024-10-01", long_before="2024-02-01").items():
        dues(tmp_path / "world", poor[0], pd.Timestamp(on))
        if when == "inside":
            lives[when] = fidelity.world_loans(tmp_path / "world/raw", ids, ours, theirs.spans, settings.base)
        else:
            with pytest.raises(SchemaError, match="no customer of this world"):
                fidelity.world_loans(tmp_path / "world/raw", ids, ours, theirs.spans, settings.base)
    end = int(ours.moves.day.max()) + 1 - fidelity.OUTLOOK
    assert (lives["inside"].bad == poor[0]).all() and lives["inside"].side.moves.day.max() < end
    told = fidelity.taught(lives["inside"], loans, KINDS, 1)
    assert told["auc"]["low"] > 0.6 and told["own"]["low"] > 0.6 and told["bad"] == poor[1].sum()
    assert told["gap"]["low"] <= told["own"]["value"] - told["auc"]["value"] <= told["gap"]["high"]
