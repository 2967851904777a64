"""A bank's own files, mapped to the canonical tables."""

from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from small_bank import BOOK, MAPPING, bank

from predelinquency.ground import disk, params, schema
from predelinquency.ground.core import ParamsError
from predelinquency.sources import ingest

BASE = params.load(Path(__file__).parents[2] / "params.yaml").base
TABLES = list(schema.TABLES)


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    return {name: disk.read(folder, name) for name in TABLES}


def same(one: Path, other: Path) -> bool:
    return all(a.equals(b) for a, b in zip(tables(one).values(), tables(other).values()))


def test_a_mapping_gives_the_canonical_tables(tmp_path: Path):
    report = ingest.ingest(bank(tmp_path), tmp_path, tmp_path / "raw", BASE)
    t = tables(tmp_path / "raw")
    assert t["customers"].source_id.tolist() == ["Anna", "Béla"]
    assert t["obligations"].amount_minor.tolist() == [25_000, 25_000, 118_050]
    assert t["obligations"].kind.tolist() == ["loan", "loan", "mortgage"]
    assert t["payments"][["customer_id", "obligation_id", "amount_minor"]].to_numpy().tolist() == [
        [0, 1, 25_000],
        [0, 2, 25_000],
    ]
    assert t["payments"].due_on.tolist() == [pd.Timestamp("2024-02-01"), pd.Timestamp("2024-03-01")]
    assert report.tables["payments"].dropped == {"it was paid": 1}
    assert len(t["transactions"]) == 0 and "transactions" not in report.tables


def test_what_a_source_lacks_is_reported_and_never_invented(tmp_path: Path):
    report = ingest.ingest(bank(tmp_path), tmp_path, tmp_path / "raw", BASE)
    assert {"income", "liquidity", "savings", "spending", "credit", "shocks"} <= set(report.missing)
    assert "payment" not in report.missing and "obligations" not in report.missing
    assert disk.read(tmp_path / "raw", "customers").segment.isna().all()


def test_check_says_what_ingest_says_and_writes_nothing(tmp_path: Path):
    mapping = bank(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    checked = ingest.check_source(mapping, tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
    assert checked == ingest.ingest(mapping, tmp_path, tmp_path / "raw", BASE)


def test_csv_parquet_and_sql_give_the_same_tables(tmp_path: Path):
    for kind in ("csv", "parquet", "sql"):
        (tmp_path / kind).mkdir()
    ingest.ingest(bank(tmp_path / "csv"), tmp_path / "csv", tmp_path / "csv/raw", BASE)
    frame = pd.read_csv(tmp_path / "csv/book.csv", parse_dates=["due", "paid"])
    frame.to_parquet(tmp_path / "parquet/book.parquet")
    ingest.ingest(
        bank(tmp_path / "parquet", MAPPING.replace("path: book.csv", "path: book.parquet\n    format: parquet"), ""),
        tmp_path / "parquet",
        tmp_path / "parquet/raw",
        BASE,
    )
    frame.to_sql("book", sa.create_engine(f"sqlite:///{tmp_path}/sql/bank.db"), index=False)
    asked = MAPPING.replace("path: book.csv", 'url: "sqlite:///{data}/bank.db"\n    query: select * from book')
    ingest.ingest(bank(tmp_path / "sql", asked, ""), tmp_path / "sql", tmp_path / "sql/raw", BASE)
    assert same(tmp_path / "csv/raw", tmp_path / "parquet/raw")
    assert same(tmp_path / "csv/raw", tmp_path / "sql/raw")


def test_the_size_of_the_parts_changes_no_row(tmp_path: Path):
    from dataclasses import replace

    mapping = bank(tmp_path)
    ingest.ingest(mapping, tmp_path, tmp_path / "one", BASE)
    ingest.ingest(mapping, tmp_path, tmp_path / "many", replace(BASE, customers_per_part=1))
    assert len(disk.parts(tmp_path / "many", "customers")) == 2
    assert same(tmp_path / "one", tmp_path / "many")


def test_the_same_files_give_the_same_bytes(tmp_path: Path):
    mapping = bank(tmp_path)
    for name in ("one", "two"):
        ingest.ingest(mapping, tmp_path, tmp_path / name, BASE)
    files = [sorted((tmp_path / name).rglob("*.parquet")) for name in ("one", "two")]
    assert [f.read_bytes() for f in files[0]] == [f.read_bytes() for f in files[1]]


def test_several_files_of_one_layout_are_one_table(tmp_path: Path):
    head, *rows = BOOK.splitlines(keepends=True)
    mapping = bank(tmp_path, MAPPING.replace("path: book.csv", "path: book-*.csv"), "")
    (tmp_path / "book-1.csv").write_text(head + rows[0])
    swapped = pd.DataFrame([r.strip().split(",") for r in rows[1:]], columns=head.strip().split(","))[::-1].iloc[
        :, ::-1
    ]
    swapped.to_csv(tmp_path / "book-2.csv", index=False)  # other order of rows and columns
    ingest.ingest(mapping, tmp_path, tmp_path / "raw", BASE)
    (tmp_path / "whole").mkdir()
    ingest.ingest(bank(tmp_path / "whole"), tmp_path / "whole", tmp_path / "whole/raw", BASE)
    assert same(tmp_path / "raw", tmp_path / "whole/raw")


def test_codes_stay_as_they_were_typed(tmp_path: Path):
    mapping = bank(
        tmp_path,
        MAPPING.replace("{KR: loan, HY: mortgage}", "{010: loan, NO: mortgage}"),
        BOOK.replace("KR", "010").replace("HY", "NO"),
    )
    ingest.ingest(mapping, tmp_path, tmp_path / "raw", BASE)
    assert disk.read(tmp_path / "raw", "obligations").kind.tolist() == ["loan", "loan", "mortgage"]


def test_decimal_commas_other_encodings_and_blank_marks_are_read(tmp_path: Path):
    text = BOOK.replace(",", ";").replace("1180.50", "1.180,50").replace("250.00", "250,00").replace(";;", ";k.A.;")
    mapping = bank(
        tmp_path,
        MAPPING.replace(
            "path: book.csv",
            'path: book.csv\n    delimiter: ";"\n    decimal: ","\n    empty: k.A.\n    encoding: cp1250',
        ),
        text,
        "cp1250",
    )
    ingest.ingest(mapping, tmp_path, tmp_path / "raw", BASE)
    (tmp_path / "plain").mkdir()
    ingest.ingest(bank(tmp_path / "plain"), tmp_path / "plain", tmp_path / "plain/raw", BASE)
    assert same(tmp_path / "raw", tmp_path / "plain/raw")


def test_times_of_another_zone_become_local_times(tmp_path: Path):
    mapping = bank(tmp_path, MAPPING.replace("path: book.csv", "path: book.csv\n    time_zone: UTC"))
    ingest.ingest(mapping, tmp_path, tmp_path / "raw", BASE)
    assert disk.read(tmp_path / "raw", "payments").paid_at.iloc[0] == pd.Timestamp("2024-02-01 11:00")  # Vienna, winter


def test_a_currency_without_minor_units_is_not_multiplied(tmp_path: Path):
    mapping = bank(tmp_path, book=BOOK.replace("EUR", "JPY").replace(".50", ".00"))
    ingest.ingest(mapping, tmp_path, tmp_path / "raw", BASE)
    assert disk.read(tmp_path / "raw", "obligations").amount_minor.tolist() == [250, 250, 1180]
    assert disk.read(tmp_path / "raw", "payments").amount_minor.tolist() == [250, 250]


def test_rows_that_point_to_nobody_are_dropped_and_counted(tmp_path: Path):
    mapping = bank(tmp_path, MAPPING.replace("from book group by name", "from book where name <> 'Anna' group by name"))
    report = ingest.ingest(mapping, tmp_path, tmp_path / "raw", BASE)
    assert report.tables["obligations"].dropped == {"its customer is not there": 2}
    assert disk.read(tmp_path / "raw", "obligations").customer_id.tolist() == [0]


def test_a_condition_that_cannot_be_decided_keeps_nothing(tmp_path: Path):
    report = ingest.check_source(
        bank(
            tmp_path,
            MAPPING.replace(
                "amount: sum, currency: money}",
                "amount: sum, currency: money}\n    keep: {paid in 2024: paid >= '2024-01-01'}",
            ),
        ),
        tmp_path,
    )
    assert (report.tables["obligations"].rows, report.tables["obligations"].dropped) == (2, {"paid in 2024": 1})


def test_moments_of_an_earlier_ingest_do_not_outlive_their_mapping(tmp_path: Path):
    own = (
        MAPPING
        + '  moments:\n    from: book\n    columns: {customer: name, as_of: due, target: "case when paid is null then 1 else 0 end", seen_before: number > 1}\n'
    )
    ingest.ingest(bank(tmp_path, own), tmp_path, tmp_path / "raw", BASE)
    assert disk.read(tmp_path / "raw", "moments").target.tolist() == [0, 0, 1]
    ingest.ingest(bank(tmp_path), tmp_path, tmp_path / "raw", BASE)
    assert not (tmp_path / "raw/moments").exists()


def test_a_secret_of_the_environment_is_used_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = MAPPING.replace("path: book.csv", 'url: "${BANK_URL}"\n    query: select * from book')
    with pytest.raises(ParamsError, match="BANK_URL is not set"):
        ingest.check_source(bank(tmp_path, asked, ""), tmp_path)
    monkeypatch.setenv("BANK_URL", "postgresql+nodriver://reader:hunter2@nowhere/bank")
    with pytest.raises(Exception) as told:
        ingest.check_source(bank(tmp_path, asked, ""), tmp_path)
    assert "hunter2" not in str(told.value)


def test_the_sql_of_a_mapping_sees_only_the_mapped_files(tmp_path: Path):
    (tmp_path / "other.csv").write_text("a\n1\n")
    with pytest.raises(ParamsError, match="disabled"):
        ingest.check_source(
            bank(
                tmp_path,
                MAPPING.replace(
                    "source: small", f"source: small\nsteps: {{x: select * from read_csv('{tmp_path}/other.csv')}}"
                ),
            ),
            tmp_path,
        )
