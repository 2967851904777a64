"""What a bank's files say of a due's life: changes, payments that say not for what, a schedule older than the payments."""

from pathlib import Path

import as_files
import pandas as pd
import pytest

from predelinquency.ground import coverage, disk, params, schema
from predelinquency.ground.core import ParamsError, SchemaError
from predelinquency.model import labels
from predelinquency.sources import ingest
from predelinquency.sources.mapping import parse_mapping

BASE = params.load(Path(__file__).parents[2] / "params.yaml").base
CUT = pd.Timestamp("2024-05-01")
MAPPING = """
source: small
currency: GBP
time_zone: Europe/London
files:
  due: {path: due.csv, columns: {who: text, n: integer, known: date, due: date, sum: decimal, what: text}}
  paid: {path: paid.csv, columns: {who: text, n: integer, paid: date, sum: decimal, id: text, undoes: text}}
tables:
  customers: {from: (select distinct who from due), columns: {customer: who, joined_on: "timestamp '2020-01-01'"}}
  obligations:
    from: due
    columns:
      customer: who
      obligation: who
      instalment: n
      kind: "'loan'"
      announced_at: known
      due_on: due
      amount: sum
      fact: what
  payments:
    from: paid
    columns:
      customer: who
      obligation: who
      instalment: n
      paid_at: paid
      amount: sum
      payment: id
      takes_back: undoes
"""
DUE = """who,n,known,due,sum,what
Ann,1,2024-01-02,2024-03-03,100.00,announced
Ann,2,2024-01-02,2024-04-03,100.00,announced
Ann,3,2024-01-02,2024-05-03,100.00,announced
Ann,2,2024-03-20,2024-04-20,,moved
Ann,3,2024-03-20,,,waived
"""
PAID = """who,n,paid,sum,id,undoes
Ann,,2024-03-03,150.00,a,
Ann,,2024-03-10,50.00,,a
Ann,2,2024-04-20,80.00,b,
"""


def ingested(folder: Path, mapping: str = MAPPING, due: str = DUE, paid: str = PAID) -> dict[str, pd.DataFrame]:
    (folder / "due.csv").write_text(due)
    (folder / "paid.csv").write_text(paid)
    ingest.ingest(parse_mapping(mapping, "small.yaml"), folder, folder / "raw", BASE)
    return {name: disk.read(folder / "raw", name) for name in ("obligations", "payments")}


def test_a_change_carries_what_it_leaves_out_and_what_is_enough_follows_from_the_parameters(tmp_path: Path):
    dues = ingested(tmp_path)["obligations"]
    shown = dues[["instalment", "fact", "amount_minor", "enough_minor"]].astype({"fact": str})
    assert shown.values.tolist() == [
        [1, "announced", 10_000, 9_900],
        [2, "announced", 10_000, 9_900],
        [2, "moved", 10_000, 9_900],
        [3, "announced", 10_000, 9_900],
        [3, "waived", 10_000, 9_900],
    ]
    assert dues.due_on.dt.strftime("%m-%d").tolist() == ["03-03", "04-03", "04-20", "05-03", "05-03"]


def test_money_without_an_instalment_finds_its_dues_and_what_is_taken_back_leaves_them(tmp_path: Path):
    paid = ingested(tmp_path)["payments"].sort_values(["arrived_at", "instalment"])
    assert paid[["instalment", "amount_minor"]].values.tolist() == [[1, 10_000], [2, 5_000], [2, -5_000], [2, 8_000]]
    assert paid.paid_at.dt.strftime("%m-%d").tolist() == ["03-03", "03-03", "03-03", "04-20"]
    assert paid.arrived_at.dt.strftime("%m-%d").tolist() == ["03-03", "03-03", "03-10", "04-20"]
    agreed = [
        "03-03",
        "04-03",
        "04-03",
        "04-20",
    ]  # the date as it stood when the money moved: the last came after the move
    assert paid.due_on.dt.strftime("%m-%d").tolist() == agreed


@pytest.mark.parametrize(
    ("due", "paid", "words"),
    [
        (DUE, PAID.replace("50.00,,a", "50.00,,c"), "take back a payment that is not there"),
        (DUE, PAID.replace("50.00,,a", "151.00,,a"), "or less was paid"),
        (DUE.replace("2,2024-01-02,2024-04-03,100.00,announced", "9,2024-01-02,2024-04-03,100.00,announced").replace("04-20,,", "04-20,9.00,"), PAID, "moved"),
        (DUE.replace("2024-04-20,,moved", "2024-03-01,,moved"), PAID, "announced or moved on or before its date"),
        (DUE.replace("waived", "forgiven"), PAID, "fact must be one of announced"),
        (DUE + "Ann,1,2024-01-02,2024-03-04,100.00,moved\n", PAID, "must be unique"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused_and_nothing_is_written(tmp_path: Path, due: str, paid: str, words: str):
    with pytest.raises(SchemaError) as refusal:
        ingested(tmp_path, due=due, paid=paid)
    assert words in str(refusal.value) or words in refusal.value.problem, str(refusal.value)
    assert not any((tmp_path / "raw").glob("*")) and refusal.value.remedy


def test_due_dates_keep_to_the_working_days_of_the_calendar_that_is_named(tmp_path: Path):
    days = ingested(tmp_path, MAPPING.replace("files:", "holidays: GB-ENG\nfiles:", 1))["obligations"].due_on
    assert days.dt.strftime("%m-%d").tolist() == ["03-04", "04-03", "04-22", "05-03", "05-03"]
    with pytest.raises(ParamsError, match="unknown calendar 'GB-XX'"):
        parse_mapping(MAPPING.replace("files:", "holidays: GB-XX\nfiles:", 1))


@pytest.fixture
def bank(world: Path) -> dict[str, pd.DataFrame]:
    return {name: disk.read(world / "raw", name) for name in schema.TABLES}


def labelled(raw: Path) -> pd.DataFrame:
    t = {name: disk.read(raw, name) for name in ("customers", "accounts", "obligations", "payments")}
    spine = labels.spine(t["customers"], t["accounts"], BASE, 7)
    return labels.label(spine, t["customers"], t["obligations"], t["payments"], BASE, coverage.seen(raw))


def test_what_a_bank_exports_of_the_world_comes_back_as_the_worlds_own_tables(
    tmp_path: Path, bank: dict[str, pd.DataFrame]
):
    as_files.write(tmp_path, bank)
    ingest.ingest(parse_mapping(as_files.MAPPING), tmp_path, tmp_path / "raw", BASE)
    for name, table in bank.items():
        words = {c: str for c in table if isinstance(table[c].dtype, pd.CategoricalDtype)}
        by = ["customer_id", "obligation_id", "instalment", "paid_at", "amount_minor"] if name == "payments" else None
        pair = [t.astype(words) for t in (disk.read(tmp_path / "raw", name), table)]
        pd.testing.assert_frame_equal(*(t.sort_values(by, ignore_index=True) if by else t for t in pair), obj=name)


def test_a_schedule_older_than_the_payments_leaves_its_customers_eligible(
    tmp_path: Path, bank: dict[str, pd.DataFrame]
):
    cut = dict(
        transactions=bank["transactions"].query("booked_at >= @CUT"), payments=bank["payments"].query("paid_at >= @CUT")
    )
    as_files.write(tmp_path, bank | cut)
    ingest.ingest(parse_mapping(as_files.MAPPING), tmp_path, tmp_path / "raw", BASE)
    dues = disk.read(tmp_path / "raw", "obligations")
    assert (dues.due_on[dues.fact == "unseen"] < CUT).all() and (dues.fact == "unseen").any()
    rows = labelled(tmp_path / "raw")
    rows = rows[rows.as_of >= CUT + pd.Timedelta(days=BASE.min_history_days + 2)]
    taught = rows[(rows.split == "train") & rows.eligible]
    assert rows.eligible.mean() >= 0.85 and taught.target.sum() > 0


def test_money_for_which_no_due_is_open_is_told_and_not_lost_without_a_word(tmp_path: Path):
    for name, text in (("due", DUE), ("paid", PAID + "Ann,,2024-06-01,20.00,d,\nAnn,,2024-06-02,30.00,e,\n")):
        (tmp_path / f"{name}.csv").write_text(text)
    report = ingest.check_source(parse_mapping(MAPPING), tmp_path)
    assert report.tables["payments"].dropped == {"its contract had no due for it": 1}, (
        "20.00 pays the rest of the second"
    )
    assert "its contract had no due for it" in report._repr_markdown_()
