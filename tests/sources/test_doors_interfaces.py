"""What account interfaces and statements say comes back through the shipped mappings: Plaid, Open Banking UK, the Berlin Group's, camt.053, a workbook."""

from pathlib import Path

import exports
import pandas as pd

from predelinquency.ground import params
from predelinquency.sources import ingest

BASE = params.load(Path(__file__).parents[2] / "params.yaml").base
NOT_SAID = {
    "customers": {"joined_on", "segment", "time_zone"},
    "accounts": {"opened_on", "limit_minor"},
    "transactions": {"arrived_at"},
}


def test_what_plaid_answers_comes_back_with_its_sign_turned(tmp_path: Path, few: dict[str, pd.DataFrame]):
    said = exports.plaid(tmp_path, few)
    report = ingest.ingest("plaid", tmp_path, tmp_path / "raw", BASE)
    left = {"accounts": {"opened_on"}, "transactions": {"arrived_at", "balance_after_minor", "status"}}
    exports.assert_same(tmp_path / "raw", said, NOT_SAID | left)
    assert report.tables["transactions"].dropped == {"it is booked": few["customers"].customer_id.nunique()}
    assert report.tables["transactions"].unknown == ("balance_after_minor",)
    assert {"payment", "obligations"} <= set(report.missing) and ".request_id" in report.files["movement"]["left"]


def test_what_open_banking_in_the_uk_answers_comes_back_page_by_page(tmp_path: Path, few: dict[str, pd.DataFrame]):
    said = exports.open_banking_uk(tmp_path, few)
    report = ingest.ingest("open_banking_uk", tmp_path, tmp_path / "raw", BASE)
    left = {"accounts": {"limit_minor"}, "transactions": {"arrived_at", "status"}}
    exports.assert_same(tmp_path / "raw", said, NOT_SAID | left)
    assert report.tables["transactions"].dropped == {"it is booked": few["customers"].customer_id.nunique()}
    assert report.tables["accounts"].unknown == ("limit_minor",)


def test_what_the_berlin_groups_interface_answers_comes_back_by_the_day(tmp_path: Path, few: dict[str, pd.DataFrame]):
    said = exports.berlin_group(tmp_path, few)
    ingest.ingest("berlin_group", tmp_path, tmp_path / "raw", BASE)
    exports.assert_same(tmp_path / "raw", said, NOT_SAID | {"transactions": {"arrived_at", "status"}})


def test_statements_of_a_year_come_back_with_the_balance_after_every_movement(
    tmp_path: Path, few: dict[str, pd.DataFrame]
):
    said = exports.camt053(tmp_path, few)
    report = ingest.ingest("camt053", tmp_path, tmp_path / "raw", BASE)
    exports.assert_same(tmp_path / "raw", said, NOT_SAID | {"accounts": {"limit_minor"}})
    assert report.tables["transactions"].words["status"].keys() == {"booked", "reversed"}


def test_a_loan_book_in_a_workbook_comes_back_with_every_due_and_payment(tmp_path: Path, few: dict[str, pd.DataFrame]):
    said = exports.loan_book(tmp_path, few)
    report = ingest.ingest("workbook", tmp_path, tmp_path / "raw", BASE)
    exports.assert_same(tmp_path / "raw", said, {"payments": {"arrived_at"}})
    assert {"income", "liquidity"} <= set(report.missing)
