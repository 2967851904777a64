"""The two real banks whose mappings are shipped. Their files are no part of this project; without them these tests are skipped."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from predelinquency.ground import disk, params, words
from predelinquency.sources import ingest, mapping

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
BASE = params.load(ROOT / "params.yaml").base


@pytest.fixture(scope="module")
def read(once: Callable[..., Path]) -> Callable[[str, str], pd.DataFrame]:
    "`read(bank, table)`, ingested once."

    def table(bank: str, name: str) -> pd.DataFrame:
        if not (DATA / bank).is_dir():
            pytest.skip(f"put the files of {bank} into {DATA / bank} to include this test")
        return disk.read(
            once(f"raw-{bank}", lambda folder: ingest.ingest(bank, DATA / bank, folder / "raw", BASE)) / "raw", name
        )

    return table


@pytest.mark.parametrize("name", ["berka", "superlender"])
def test_a_shipped_mapping_can_be_read_without_its_files(name: str):
    assert mapping.load_mapping(name).source == name


def test_berka_is_354_loans_of_which_30_went_badly(read: Callable[..., pd.DataFrame]):
    moments = read("berka", "moments")
    assert (len(moments), moments.target.sum(), moments.customer_id.nunique()) == (354, 30, 354)
    assert (len(read("berka", "transactions")), len(read("berka", "payments"))) == (30_200, 0)


def test_berka_knows_only_what_was_booked_before_the_grant(read: Callable[..., pd.DataFrame]):
    known = read("berka", "transactions").merge(read("berka", "moments"), on="customer_id")
    assert (known.arrived_at < known.as_of).all()


def test_berka_shows_the_schedule_of_the_loan_and_never_the_date_of_its_grant(read: Callable[..., pd.DataFrame]):
    moments = read("berka", "moments")[["customer_id", "obligation_id", "as_of"]]
    dues = read("berka", "obligations").merge(moments, on=["customer_id", "obligation_id"])
    assert (dues.announced_at == dues.as_of - pd.Timedelta(seconds=1)).all()  # the same distance for every loan
    assert dues.groupby("obligation_id").instalment.max().isin([12, 24, 36, 48, 60]).all()
    first = dues[dues.instalment == 1]
    assert (first.due_on == first.as_of + pd.DateOffset(months=1)).all()


def test_berkas_balances_follow_from_its_amounts(read: Callable[..., pd.DataFrame]):
    t = read("berka", "transactions")
    before = t.groupby("account_id").balance_after_minor.shift()
    agrees = (before + t.amount_minor - t.balance_after_minor).abs()[before.notna()] <= 100
    assert agrees.mean() > 0.95  # the source has no times within a day, so some days cannot be put in order


def test_berkas_signs_and_categories_are_the_banks(read: Callable[..., pd.DataFrame]):
    t = read("berka", "transactions")
    per = t.groupby("category", observed=True).amount_minor.agg(["count", "min", "max"])
    assert (per.loc[["atm", "fee", "utility", "insurance", "transfer_out"], "max"] < 0).all()
    assert (per.loc[["salary", "cash_deposit"], "min"] > 0).all()
    assert ((t.category == "interest") & (t.amount_minor < 0)).sum() == 43  # sanction interest
    assert words.money(t.balance_after_minor.max(), "CZK").endswith("CZK")


def test_superlender_ends_where_the_open_loans_are_missing(read: Callable[..., pd.DataFrame]):
    moments = read("superlender", "moments")
    assert moments.as_of.max() == pd.Timestamp("2017-06-12")  # the midnight after the last approval of 11 June
    assert len(moments) == 20_190 and 0.09 < moments.target.mean() < 0.093
    assert moments.seen_before.mean() == pytest.approx(0.76, abs=0.05)


def test_superlender_labels_count_calendar_days_after_the_first_due_date(read: Callable[..., pd.DataFrame]):
    moments = read("superlender", "moments").assign(obligation_id=lambda d: d.reference.astype(int))
    first = moments.merge(read("superlender", "payments").query("instalment == 1"), on=["customer_id", "obligation_id"])
    assert len(first) == len(moments)
    late = (first.paid_at.dt.normalize() - first.due_on).dt.days
    assert ((late > 5) == (first.target == 1)).all()


def test_superlenders_outcomes_lie_after_the_moment_and_their_loans_before(read: Callable[..., pd.DataFrame]):
    moments = read("superlender", "moments").assign(obligation_id=lambda d: d.reference.astype(int))
    own = moments.merge(read("superlender", "payments"), on=["customer_id", "obligation_id"])
    assert (own.arrived_at >= own.as_of).all()
    announced = moments.merge(read("superlender", "obligations"), on=["customer_id", "obligation_id"])
    assert (announced.announced_at < announced.as_of).all()
    assert (announced.as_of - announced.announced_at <= pd.Timedelta(days=1)).all()


def test_superlenders_instalments_add_up_to_what_is_owed(read: Callable[..., pd.DataFrame]):
    dues = (
        read("superlender", "obligations")
        .groupby("obligation_id")
        .agg(total=("amount_minor", "sum"), parts=("instalment", "max"))
    )
    owed = (
        pd.concat([pd.read_csv(DATA / "superlender" / f) for f in ("trainprevloans.csv", "testprevloans.csv")])
        .set_index("systemloanid")
        .totaldue
    )
    assert (dues.total == (owed * 100).round().astype(int).reindex(dues.index)).all()
    assert set(dues.parts) == {1, 2, 3}


def test_nothing_about_the_person_becomes_a_table(read: Callable[..., pd.DataFrame]):
    for bank in ("berka", "superlender"):
        read(bank, "customers")
        used = {c for f in mapping.load_mapping(bank).files.values() for c in f.columns}
        assert (
            used
            & {
                "birth_number",
                "district_id",
                "birthdate",
                "longitude_gps",
                "latitude_gps",
                "employment_status_clients",
                "bank_name_clients",
            }
            == set()
        )
