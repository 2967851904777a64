"""A panel, with status, bill and payment by month, becomes dues and payments: nothing is guessed, and the status decides."""

from pathlib import Path

import exports
import pandas as pd
import pytest

from predelinquency.ground import disk, params
from predelinquency.ground.core import ParamsError, SchemaError
from predelinquency.sources import ingest
from predelinquency.sources.mapping import load_mapping, parse_mapping

BASE = params.load(Path(__file__).parents[2] / "params.yaml").base


def by_month(raw: Path, name: str, time: str) -> pd.DataFrame:
    "Amounts of a table by customer and month."
    who = disk.read(raw, "customers").set_index("customer_id").source_id
    table = disk.read(raw, name)
    table = table.assign(who=table.customer_id.map(who).astype(str), month=table[time].dt.strftime("%Y-%m"))
    found = table.groupby(["who", "month"]).amount_minor.sum().reset_index(name="minor")
    return found.sort_values(["who", "month"], ignore_index=True)


def test_the_cards_of_a_bank_come_back_month_by_month_out_of_a_wide_panel(tmp_path: Path, few: dict[str, pd.DataFrame]):
    said = exports.card_panel(tmp_path, few)
    report = ingest.ingest("card_panel", tmp_path, tmp_path / "raw", BASE)
    assert len(said["dues"]) > 20 and report.files["card"]["left"] == ["SEX"]
    whole = said["dues"].merge(said["paid"], on=["who", "month"], how="left", suffixes=("", "_paid"))
    late = whole.minor_paid.fillna(0) < whole.minor
    found = by_month(tmp_path / "raw", "obligations", "due_on")
    pd.testing.assert_frame_equal(found, said["dues"].sort_values(["who", "month"], ignore_index=True))
    paid = by_month(tmp_path / "raw", "payments", "paid_at")
    told = report.tables["payments"].dropped.get("its contract had no due for it", 0)
    assert paid.minor.sum() <= said["paid"].minor.sum() and (told or paid.minor.sum() == said["paid"].minor.sum())
    dates = disk.read(tmp_path / "raw", "payments")
    assert (dates.paid_at > dates.due_on).sum() <= late.sum() + told


LONG = """
source: long
currency: EUR
time_zone: Europe/Vienna
files:
  loan:
    path: loans.csv
    format: panel
    key: [id, month]
    columns: {id: text, month: date %Y-%m}
    panel: {month: month, bill: bill, payment: paid, status: state, on_time: C, due_day: 10, lag: 0, share: 1}
tables:
  customers: {from: (select distinct id from loan), columns: {customer: id, joined_on: "date '2024-01-01'"}}
  obligations:
    from: loan_dues
    columns: {customer: id, obligation: id, instalment: instalment, kind: "'loan'", announced_at: announced_on, due_on: due_on, amount: amount}
  payments:
    from: loan_payments
    columns: {customer: id, obligation: id, instalment: instalment, paid_at: paid_on, amount: amount}
"""
ROWS = "id,month,state,bill,paid\n" + "".join(
    f"{who},2024-0{month},{state},100,{paid}\n"
    for who, month, state, paid in (
        ("Ann", 1, "C", 100), ("Ann", 2, "C", 80), ("Ann", 3, "C", 0), ("Bea", 1, "C", 100), ("Bea", 2, "30", 0), ("Bea", 3, "30", 200),
    )
)  # fmt: skip


def test_the_status_of_a_long_panel_decides_whether_a_due_was_met(tmp_path: Path):
    (tmp_path / "loans.csv").write_text(ROWS)
    ingest.ingest(parse_mapping(LONG), tmp_path, tmp_path / "raw", BASE)
    dues, paid = (disk.read(tmp_path / "raw", name) for name in ("obligations", "payments"))
    assert dues[["customer_id", "due_on", "amount_minor"]].to_numpy().tolist() == [
        [0, pd.Timestamp("2024-01-10"), 10_000],
        [0, pd.Timestamp("2024-02-10"), 8_000],
        [1, pd.Timestamp("2024-01-10"), 10_000],
        [1, pd.Timestamp("2024-02-10"), 10_000],
        [1, pd.Timestamp("2024-03-10"), 10_000],
    ]
    assert paid[["customer_id", "due_on", "paid_at", "amount_minor"]].astype(str).to_numpy().tolist() == [
        ["0", "2024-01-10", "2024-01-10", "10000"],
        ["0", "2024-02-10", "2024-02-10", "8000"],
        ["1", "2024-01-10", "2024-01-10", "10000"],
        ["1", "2024-02-10", "2024-03-31", "10000"],
        ["1", "2024-03-10", "2024-03-31", "10000"],
    ]


def test_a_panel_may_be_packed_or_a_workbook(tmp_path: Path, few: dict[str, pd.DataFrame]):
    exports.card_panel(tmp_path, few)
    ingest.ingest("card_panel", tmp_path, tmp_path / "raw", BASE)
    frame = pd.read_csv(tmp_path / "cards.csv", dtype={"ID": str})
    rows = [[*frame], *frame.astype(object).to_numpy().tolist()]
    (tmp_path / "book").mkdir()
    exports.workbook(tmp_path / "book/cards.xlsx", {"Data": rows})
    text = (Path(ingest.__file__).parents[1] / "mappings/card_panel.yaml").read_text()
    mapping = parse_mapping(text.replace("cards.csv\n    format", "cards.xlsx\n    format"))
    ingest.ingest(mapping, tmp_path / "book", tmp_path / "other", BASE)
    for name in ("obligations", "payments"):
        assert disk.read(tmp_path / "raw", name).equals(disk.read(tmp_path / "other", name))


SLIPS = {
    "no share": ((", share: 1", ""), "missing key share"),
    "no day": (("due_day: 10", "due_day: 31"), "due_day is '31'"),
    "too much": (("share: 1}", "share: 1.5}"), "share is '1.5'"),
    "no words": ((" on_time: C,", ""), "missing key on_time"),
    "both": (("{month: month,", "{month: month, months: 2024-01,"), "either months or month"),
    "no contract": (("    key: [id, month]\n", ""), "key is missing"),
    "a key of its own": (("lag: 0", "lags: 0"), "unknown key 'lags'"),
    "two columns": (("bill: bill", "bill: [bill, paid]"), "bill names 2 columns for 1 months"),
    "another ending": (("loans.csv", "loans.dat"), "says not what file it is"),
    "a panel that is none": (("format: panel", "format: csv"), "panel is not read of such a file"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_what_a_panel_does_not_say_is_never_guessed(tmp_path: Path, slip: str):
    edit, words = SLIPS[slip]
    assert edit[0] in LONG
    (tmp_path / "loans.csv").write_text(ROWS)
    with pytest.raises(ParamsError, match=words) as refusal:
        ingest.check_source(parse_mapping(LONG.replace(*edit), "long.yaml"), tmp_path)
    assert refusal.value.where.startswith("long.yaml, files.loan") and refusal.value.remedy


def test_a_bad_value_of_a_panel_is_refused_with_its_line_and_a_missing_column_by_name(tmp_path: Path):
    for edit, words in (
        (("100,80", "100,x"), "column paid must be an amount; 1 broken: line 3"),
        (("paid", "payd"), "lacks column paid"),
    ):
        (tmp_path / "loans.csv").write_text(ROWS.replace(*edit))
        with pytest.raises(SchemaError, match=words):
            ingest.check_source(parse_mapping(LONG), tmp_path)
    assert len(load_mapping("card_panel").files["card"].panel) == 8
