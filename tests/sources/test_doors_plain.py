"""The same bank in every kind of file: CSV, Parquet, JSON, JSON lines and a workbook, packed or not, give the same tables."""

import gzip
import json
import zipfile
from pathlib import Path

import exports
import pandas as pd
import pytest

from predelinquency.ground import params
from predelinquency.ground.core import ParamsError, SchemaError
from predelinquency.sources import ingest, packed
from predelinquency.sources.mapping import parse_mapping

BASE = params.load(Path(__file__).parents[2] / "params.yaml").base
ENDINGS = [
    ".csv",
    ".csv.gz",
    ".csv.zip",
    ".parquet",
    ".parquet.gz",
    ".jsonl",
    ".jsonl.gz",
    ".json",
    ".json.zip",
    ".xlsx",
]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_bank_comes_back_whatever_its_files_are(tmp_path: Path, few: dict[str, pd.DataFrame], ending: str):
    mapping = parse_mapping(exports.write(tmp_path, few, ending), "bank.yaml")
    report = ingest.ingest(mapping, tmp_path, tmp_path / "raw", BASE)
    exports.assert_same(tmp_path / "raw", few)
    assert report.unused == {} and "customer_id" in report.files["moves"]["left"]


SMALL = """
source: small
currency: EUR
time_zone: Europe/Vienna
files:
  book:
    path: PATH
    format: FORMAT
    columns: {id: text, sum: decimal, when: date}
tables:
  customers: {from: book, columns: {customer: id, joined_on: '"when"'}}
"""


def check(folder: Path, path: str, format: str, content: bytes | str, **keys: str) -> ingest.Report:
    "What a mapping of one file understands of these bytes."
    extra = "".join(f"\n    {key}: {value}" for key, value in keys.items() if key != "columns")
    (folder / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    mapping = SMALL.replace("PATH", path).replace("FORMAT", format + extra)
    mapping = mapping.replace(
        "{id: text, sum: decimal, when: date}", keys.get("columns", "{id: text, sum: decimal, when: date}")
    )
    return ingest.check_source(parse_mapping(mapping), folder)


GOOD = '{"id": "a", "sum": 1.10, "when": "2024-05-01"}\n'
LINES = {
    "half a line": (GOOD + '{"id": "b"', "line 2, character 11: is not JSON", "repair the line"),
    "a key twice": (GOOD + '{"id": "b", "id": "c"}', "line 2: the key 'id' stands twice in one object", "correct it"),
    "no object": (GOOD + "[1]", "line 2: a record is '1' and no object", "correct it"),
    "no number": (GOOD + '{"sum": NaN}', "line 2: NaN is no number", "correct it"),
    "too deep": (GOOD + "[" * 100_000, "line 2: is nested too deeply", "correct it"),
    "half a character": (GOOD + '{"id": "\\ud800"}', "line 2: id holds half a character", "correct it"),
    "one path twice": (GOOD + '{"a": {"b": 1}, "a.b": 2}', "line 2: two fields are both called 'a.b'", "correct it"),
    "an amount in words": (GOOD + "\n" + GOOD.replace("1.10", '"1,10"'), "line 3: '1,10'", "decimal mark"),
    "an amount without end": (GOOD.replace("1.10", "1e999999"), "line 1: '1e999999'", "decimal mark"),
    "a field that is nowhere": (GOOD.replace("when", "then"), "lacks column when; it has id, sum, then", "correct"),
    "another encoding": (GOOD.replace('"a"', '"ä"').encode("cp1252"), "line 1 is not utf-8", "set the file's encoding"),
}


@pytest.mark.parametrize("slip", LINES)
def test_json_lines_that_cannot_be_meant_are_refused_with_file_and_line(tmp_path: Path, slip: str):
    content, words, remedy = LINES[slip]
    with pytest.raises(SchemaError) as refusal:
        check(tmp_path, "book.jsonl", "jsonl", content)
    assert refusal.value.where == "book.jsonl" and words in refusal.value.problem and remedy in refusal.value.remedy


PAGE = {
    "page": 1,
    "accounts": [{"id": "a", "in": {"rows": [{"sum": 1, "when": "2024-05-01"}]}}, {"id": "b", "in": {"rows": []}}],
}


@pytest.mark.parametrize(
    ("page", "keys", "words"),
    [
        (PAGE, {}, "is one object; lists there: accounts, accounts.in.rows"),
        (PAGE, dict(records="accounts.in.row"), "no records at 'accounts.in.row'; did you mean accounts.in.rows?"),
        (PAGE, dict(records="page"), "a record is '1' and no object"),
        (PAGE, dict(records="accounts.in.rows"), "lacks column id; it has .accounts.id, .page, sum, when"),
        ([], {}, "holds no row"),
        ("[1", {}, "line 1, character 3: is not JSON"),
    ],
)  # fmt: skip
def test_json_whose_records_are_not_where_they_should_be_is_refused_with_what_is_there(
    tmp_path: Path, page, keys: dict[str, str], words: str
):
    with pytest.raises(SchemaError) as refusal:
        check(tmp_path, "book.json", "json", page if isinstance(page, str) else json.dumps(page), **keys)
    assert words in refusal.value.problem and refusal.value.remedy


def test_numbers_of_json_are_never_rounded_and_fields_around_a_record_are_its_own(tmp_path: Path):
    text = '{"accounts": [{"id": 12345678901234567890, "rows": [{"n": 0.1, "s": 12e-1}, {"n": 1E2, "s": null}]}]}'
    mapping = SMALL.replace("PATH", "b.json").replace("FORMAT", "json\n    records: accounts.rows\n    optional: t")
    mapping = mapping.replace("{id: text, sum: decimal, when: date}", "{.accounts.id: text, n: text, s: text, t: text}")
    mapping = mapping.replace(
        "customer: id, joined_on: '\"when\"'",
        """customer: '".accounts.id" || n || coalesce(s, t, ''_'')', joined_on: "date '2024-05-01'" """,
    )
    (tmp_path / "b.json").write_text(text)
    ingest.ingest(parse_mapping(mapping), tmp_path, tmp_path / "raw", BASE)
    found = exports.disk.read(tmp_path / "raw", "customers").source_id.tolist()
    assert found == ["123456789012345678900.11.2", "12345678901234567890100_"]


def zipped(*names: str, locked: bool = False) -> bytes:
    "An archive with these files."
    held = exports.io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name in names:
            archive.writestr(name, "id,sum,when\na,1.10,2024-05-01\n")
    raw = bytearray(held.getvalue())
    if locked:
        raw[raw.index(b"PK\x01\x02") + 8] |= 1
    return bytes(raw)


BOOK = b"id,sum,when\na,1.10,2024-05-01\n"
PACKED = {
    "two files": ("book.zip", zipped("a.csv", "b.csv"), "holds 2 files: a.csv, b.csv"),
    "no file": ("book.zip", zipped(), "holds 0 files"),
    "a password": ("book.zip", zipped("a.csv", locked=True), "is locked by a password"),
    "no archive": ("book.zip", BOOK, "cannot be unpacked: File is not a zip file"),
    "no gzip": ("book.csv.gz", BOOK, "cannot be unpacked: Not a gzipped file"),
    "cut short": ("book.csv.gz", gzip.compress(BOOK)[:-9], "cannot be unpacked: Compressed file ended"),
    "damaged": ("book.csv.gz", gzip.compress(BOOK)[:-8] + bytes(8), "cannot be unpacked: CRC check failed"),
    "a folder": ("book.tar.gz", gzip.compress(BOOK), "is an archive of files"),
    "a bad value inside": ("book.csv.gz", gzip.compress(BOOK.replace(b"1.10", b"x")), "line 2: 'x'"),
}  # fmt: skip


@pytest.mark.parametrize("slip", PACKED)
def test_a_packed_file_that_cannot_be_read_is_refused_by_its_own_name(tmp_path: Path, slip: str):
    path, content, words = PACKED[slip]
    with pytest.raises(SchemaError) as refusal:
        check(tmp_path, path, "csv", content)
    assert refusal.value.where == path and words in refusal.value.problem and refusal.value.remedy


@pytest.mark.parametrize("ending", ["csv.gz", "zip"])
def test_a_file_that_swells_without_end_is_refused_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
):
    monkeypatch.setattr(packed, "FREE", 1000)
    bomb = b"id,sum,when\n" + b" " * 10_000_000
    exports._packed(tmp_path / f"bomb.{ending}", bomb)
    with pytest.raises(SchemaError, match="swells to more than 100 times"):
        check(tmp_path, f"book.{ending}", "csv", (tmp_path / f"bomb.{ending}").read_bytes())


def sheet(folder: Path, *rows: list, **keys: str) -> ingest.Report:
    "What is understood of a workbook whose first sheet holds these rows."
    exports.workbook(folder / "made.xlsx", {"Loans": [*rows], "Other": [["x"], [1]]})
    return check(folder, "book.xlsx", "xlsx", (folder / "made.xlsx").read_bytes(), **keys)


HEAD, ANN = ["id", "sum", "when"], ["Ann", 0.1 + 0.2, exports.date(2024, 5, 1)]
SHEETS = {
    "another sheet": (([HEAD, ANN], dict(sheet="Loan")), "has no sheet 'Loan'"),
    "an empty sheet": (([], {}), "is empty: it has no header row"),
    "the wrong sheet": (([HEAD, ANN], dict(sheet="Other")), "lacks column id"),
    "a column twice": (([["id", "sum", "id"], ANN], {}), "row 1: column 'id' stands twice"),
    "a formula that failed": (([[], HEAD, ANN, ["Bea", "#REF!"]], {}), "cell B4: sum is a formula that failed"),
    "a long number": (([HEAD, [4929123412341234, *ANN[1:]]], {}), "cell A2: id is a number of more than 15 digits"),
    "a text for a date": (([HEAD, ANN, [], ["Bea", 1, "soon"]], {}), "row 4: 'soon'"),
    "nothing but a header": (([HEAD], {}), "holds no row"),
}


@pytest.mark.parametrize("slip", SHEETS)
def test_a_workbook_that_lost_something_is_refused_with_its_cell(tmp_path: Path, slip: str):
    (rows, keys), words = SHEETS[slip]
    with pytest.raises(SchemaError) as refusal:
        sheet(tmp_path, *rows, **keys)
    assert refusal.value.where == "book.xlsx" and words in refusal.value.problem and refusal.value.remedy


@pytest.mark.parametrize("content", [b"", BOOK, b"PK\x03\x04junk", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)])
def test_what_is_no_workbook_is_refused(tmp_path: Path, content: bytes):
    with pytest.raises(SchemaError, match="cannot be read as a workbook"):
        check(tmp_path, "book.xlsx", "xlsx", content)


@pytest.mark.parametrize("every", [61, pytest.param(7, marks=pytest.mark.long)])
def test_a_damaged_workbook_is_refused_wherever_the_damage_is(tmp_path: Path, every: int):
    exports.workbook(tmp_path / "made.xlsx", {"Loans": [HEAD, ANN]})
    whole = (tmp_path / "made.xlsx").read_bytes()
    for at in range(0, len(whole), every):
        broken = bytearray(whole)
        broken[at] ^= 0x55
        try:
            check(tmp_path, "book.xlsx", "xlsx", bytes(broken))
        except SchemaError as refusal:
            assert refusal.where and refusal.remedy


def test_titles_totals_empty_rows_and_merged_cells_of_a_workbook_are_read_as_they_are_meant(tmp_path: Path):
    rows = [["Loans"], [], HEAD, ANN, [None, 7, exports.datetime(2024, 5, 1)], [], ["Total", 7.3]]
    mapping = SMALL.replace("PATH", "b.xlsx").replace("FORMAT", "xlsx\n    skip_rows: '2'\n    skip_last: '1'")
    mapping = mapping.replace("customer: id,", "customer: \"id || ' ' || sum\",")
    exports.workbook(tmp_path / "b.xlsx", {"Loans": rows}, ["A1:C1", "A4:A5"])
    ingest.ingest(parse_mapping(mapping), tmp_path, tmp_path / "raw", BASE)
    assert exports.disk.read(tmp_path / "raw", "customers").source_id.tolist() == ["Ann 0.30000000", "Ann 7.00000000"]


@pytest.mark.parametrize(
    ("format", "key", "words"),
    [
        ("csv", "records: a.b", "records is not read of such a file"),
        ("json", "sheet: Loans", "sheet is not read of such a file"),
        ("jsonl", "skip_rows: '1'", "skip_rows is not read of such a file"),
        ("jsno", "key: id", "unknown format 'jsno'"),
        ("json", "optional: ids", "optional names 'ids'"),
        ("json", "columns: {id: text, ID: text}", "'ID' differs from 'id' in nothing but capitals"),
    ],
)
def test_a_key_that_its_format_does_not_read_is_refused(tmp_path: Path, format: str, key: str, words: str):
    with pytest.raises(ParamsError, match=words):
        check(tmp_path, "book.json", format, "", **dict([key.split(": ", 1)]))
