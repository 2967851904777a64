"A label is never made up: what an extract has not seen is unknown, and a period it does not cover is refused with one it does."

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_bank import ACCOUNTS, MAPPING, bank, extract

from predelinquency.ground import coverage, disk, params
from predelinquency.ground.core import ParamsError, SchemaError, to_day
from predelinquency.model import labels as lb
from predelinquency.ops import stages
from predelinquency.sources import ingest

ROOT = Path(__file__).parents[2]
BASE = params.load(ROOT / "params.yaml").base  # visible from 2024-01-01 to 2025-07-01, scored from 2024-07-01
LIVES = MAPPING + ACCOUNTS
WHOLE = ("2024-01-01", "2025-06-30")


def ingested(folder: Path, *days: str, **changes: str) -> Path:
    ingest.ingest(bank(folder, LIVES, extract(*days, **changes)), folder, folder / "raw", BASE)
    return folder / "raw"


def labelled(raw: Path, base: params.Base = BASE) -> pd.DataFrame:
    tables = [disk.read(raw, name) for name in ("customers", "accounts", "obligations", "payments")]
    return lb.label(lb.spine(tables[0], tables[1], base, 7), tables[0], *tables[2:], base, coverage.seen(raw))


def fitted(days: coverage.Seen, base: params.Base = BASE) -> params.Base:
    return replace(base, **lb.fitting_period(days, base))


@pytest.mark.parametrize(
    ("first", "last"), [WHOLE, ("2023-05-04", "2025-06-24"), ("2023-05-04", "2026-03-10"), ("2024-07-08", "2025-06-30")]
)
def test_an_extract_that_covers_the_scored_weeks_but_for_a_week_is_taken(tmp_path: Path, first: str, last: str):
    lb.check_period(coverage.seen(ingested(tmp_path, first, last)), BASE)


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("2024-01-01", "2025-02-20"),
        ("2024-01-01", "2025-06-20"),
        ("2024-07-20", "2025-06-28"),
        ("2022-01-03", "2023-09-16"),
        ("2026-02-01", "2027-03-05"),
    ],
)
def test_an_extract_that_ends_early_begins_late_or_lies_elsewhere_is_refused_with_the_period_that_fits(
    tmp_path: Path, first: str, last: str
):
    days = coverage.seen(ingested(tmp_path, first, last))
    with pytest.raises(ParamsError) as refusal:
        lb.check_period(days, BASE)
    fits = fitted(days)
    for words in (
        str(days),
        f"--set base.first_visible={fits.first_visible} --set base.warm_months={fits.warm_months} --set base.scored_months={fits.scored_months}",
    ):
        assert words in str(refusal.value)
    lb.check_period(days, fits)


@pytest.mark.parametrize("last", ["2025-01-27", "2025-01-28", "2025-01-30", "2025-02-27", "2025-02-28"])
@pytest.mark.parametrize("first", ["2020-02-29", "2024-01-01", "2024-03-31", "2024-04-27"])
def test_the_period_offered_lies_inside_the_data_ends_with_them_and_can_be_split(first: str, last: str):
    days = coverage.Seen(to_day(first), to_day(last) + 1)
    fits = fitted(days)
    assert to_day(fits.first_visible) >= days.first and 0 <= days.end - lb.visible_end(fits) <= 3
    assert len(lb.blocks(fits)) == 4 and fits.scored_months >= 6 and fits.warm_months >= 3


def test_an_extract_of_eight_months_is_too_short_and_says_so():
    days = coverage.Seen(to_day("2024-01-01"), to_day("2024-09-15"))
    assert lb.fitting_period(days, BASE) == {}
    with pytest.raises(ParamsError, match="at least 9 months of data"):
        lb.check_period(days, BASE)


@pytest.mark.parametrize("last", ["2025-02-20", "2025-06-24", "2025-06-30"])
def test_everybody_pays_so_nobody_has_a_target_however_early_the_extract_ends(tmp_path: Path, last: str):
    raw = ingested(tmp_path, "2024-01-01", last)
    rows, days = labelled(raw), coverage.seen(raw)
    assert 0 <= to_day(last) + 1 - days.end <= 2
    late = rows.as_of > pd.Timestamp(days.end - lb.gap_days(BASE), unit="D")
    assert rows.target[~late & rows.eligible].eq(0).all() and rows.target[late].isna().all()
    assert (rows.split == "live")[late].all() and not (rows.split == "live")[~late].any() and 0 < late.sum() < len(rows)


def test_rows_before_the_extract_or_within_its_first_ninety_days_are_not_eligible(tmp_path: Path):
    raw = ingested(tmp_path, "2024-08-28", "2025-06-30")
    people = disk.read(raw, "customers").assign(joined_on=pd.Timestamp("2020-01-01"))
    rows = lb.label(
        lb.spine(people, disk.read(raw, "accounts").assign(opened_on=pd.Timestamp("2020-01-01")), BASE, 7),
        people,
        disk.read(raw, "obligations"),
        disk.read(raw, "payments"),
        BASE,
        coverage.seen(raw),
    )
    soon = rows.as_of < pd.Timestamp(coverage.seen(raw).first + BASE.min_history_days, unit="D")
    assert (
        rows.target[soon].isna().all() and not rows.eligible[soon].any() and rows.eligible[~soon].all() and soon.any()
    )


def test_payments_that_stop_while_dues_and_transactions_go_on_end_what_is_known():
    moved, due = np.arange(20_000, 20_400), np.arange(20_000, 20_600, 3)
    assert coverage.covered(moved, np.arange(20_000, 20_300), due) == (20_000, 20_300)
    assert coverage.covered(moved, np.arange(20_000, 20_395), due) == (20_000, 20_400), "a long weekend"
    assert coverage.covered(moved, np.arange(20_000, 20_300), due[due < 20_300]) == (20_000, 20_400), (
        "no due to be paid"
    )


def test_one_row_of_another_century_does_not_stretch_the_extract():
    assert coverage.stretch(np.r_[-9_000, np.arange(20_000, 20_400, 30), 47_481]) == (20_000, 20_391)


def test_a_source_without_a_payment_is_refused(tmp_path: Path):
    raw = ingested(tmp_path, *WHOLE, unpaid_from="2000-01-01")
    with pytest.raises(SchemaError, match="no payment towards a due"):
        coverage.seen(raw)


def test_the_cohort_of_dues_stays_inside_the_extract(tmp_path: Path):
    raw = ingested(tmp_path, "2024-01-01", "2025-06-24")
    people, dues, paid = (disk.read(raw, name) for name in ("customers", "obligations", "payments"))
    rows = lb.due_spine(people, dues, paid, BASE, dealt=False, seen=coverage.seen(raw))
    assert len(rows) and not rows.missed.any()
    cut = paid[paid.paid_at < "2025-05-20"]
    rows = lb.due_spine(
        people, dues, cut, BASE, dealt=False, seen=coverage.Seen(coverage.seen(raw).first, to_day("2025-05-20"))
    )
    assert len(rows) and not rows.missed.any(), "dues whose grace runs past the extract are left out"


# -- the stages -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def staged(once: Callable[..., Path]) -> Path:
    "A bank whose extract lies two years before the period."

    def make(folder: Path) -> None:
        bank(folder, LIVES, extract("2022-01-03", "2023-06-15"))
        (folder / "small.yaml").write_text(LIVES)
        stages.run(
            "ingest", folder / "out", {"ingest.mapping": str(folder / "small.yaml"), "ingest.data": str(folder)}, ROOT
        )

    return once("period", make)


def test_featurize_refuses_another_period_before_anything_is_written_and_takes_the_one_it_names(staged: Path):
    with pytest.raises(ParamsError, match="from 2022-01-03 to 2023-06-15.*") as refusal:
        stages.run("featurize", staged / "out", project=ROOT)
    assert not list((staged / "out").glob("features/*/*")) and not (staged / "out/reports/featurize.json").exists()
    changes = stages.overrides([word for word in str(refusal.value).split() if word.startswith("base.")])
    assert len(changes) == 3
    stages.run("featurize", staged / "out", changes, ROOT)
    rows = disk.read(staged / "out/features", "labels")
    assert (
        rows.target.notna().sum() > 100
        and not rows.target.fillna(0).any()
        and str(rows.as_of.max().date()) == "2023-06-16"
    )


def test_nobody_with_a_moment_is_a_refusal_that_names_the_data():
    days = coverage.Seen(to_day("2022-01-03"), to_day("2025-07-01"))
    with pytest.raises(SchemaError, match="no customer has joined.*2022-01-03 to 2025-06-30"):
        lb.check_asked(0, BASE, days)
    lb.check_asked(1, BASE, days)
