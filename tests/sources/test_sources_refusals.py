"""Bad input is refused with its place and a remedy, before anything is written."""

import errno
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from small_bank import BOOK, MAPPING, bank

from predelinquency.ground import disk as ground_disk
from predelinquency.ground import params
from predelinquency.ground.core import ParamsError, PredelinquencyError, SchemaError, StoreError
from predelinquency.sources import formats, ingest, tables
from predelinquency.sources import mapping as sources_mapping

ROOT = Path(__file__).parents[2]
BASE = params.load(ROOT / "params.yaml").base

FILES = {
    "unknown currency": (
        BOOK.replace("HY,EUR", "HY,EUX"),
        ("book.csv", "line 4", "money", "'EUX'", "did you mean EUR?"),
    ),
    "duplicate id": (
        BOOK.replace("3,Béla", "2,Béla"),
        ("book.csv", "line 3", "line 4", "number must be unique", "duplicate"),
    ),
    "impossible date": (
        BOOK.replace("2024-03-01", "2024-02-30"),
        ("book.csv", "line 3", "due", "'2024-02-30'", "correct"),
    ),
    "missing column": (
        BOOK.replace("due,paid", "duedate,paid"),
        ("book.csv", "lacks column due", "did you mean duedate?"),
    ),
    "column twice": (BOOK.replace("money", "sum"), ("book.csv", "lacks column money")),
    "empty file": (b"\n", ("book.csv", "is empty", "export it again")),
    "only a header": (BOOK.splitlines()[0], ("book.csv", "holds no row", "export it again")),
    "wrong delimiter": (BOOK.replace(",", ";"), ("book.csv", "delimiter ','", 'set delimiter: ";"')),
    "another encoding": (BOOK.encode("latin-1"), ("book.csv", "line 4 is not utf-8", "latin-1")),
    "mixed encodings": (
        BOOK.encode() + "4,Zoë,2024-02-01,,1.00,KR,EUR\n".encode("cp1252"),
        ("book.csv", "line 5 is not utf-8", "mixed encodings"),
    ),
    "a zero byte": (BOOK.replace("2,Anna", "2,An\0na"), ("book.csv", "line 3", "repair this line")),
    "a year of two digits": (
        BOOK.replace("2,Anna,2024", "2,Anna,0024"),
        ("small.yaml", "'0023-11-22", "years 1900 to 2100", "Anna"),
    ),
    "a far future": (
        BOOK.replace("2024-03-09", "2924-03-09"),
        ("small.yaml", "paid_at", "'2924-03-09", "years 1900 to 2100"),
    ),
    "a number a spreadsheet wrote": (BOOK.replace("1180.50", "1.18E+03"), ("book.csv", "line 4", "sum", "'1.18E+03'")),
    "unmapped code": (BOOK.replace("HY", "HX"), ("book.csv", "line 4", "kind", "'HX'", "codes.kind")),
    "a line too short": (
        BOOK.replace("KR,EUR\n2", "KR\n2"),
        ("book.csv", "line 2", "6 fields instead of 7", "repair the line"),
    ),
    "an open quote": (BOOK.replace("3,Béla", '3,"Béla'), ("book.csv", "line 4", "quote")),
    "a thousands comma": (
        BOOK.replace("1180.50", '"1,180.50"'),
        ("book.csv", "line 4", "sum", "'1,180.50'", "decimal mark"),
    ),
    "a fraction of a cent": (
        BOOK.replace("1180.50", "1180.505"),
        ("small.yaml", "tables.obligations.columns.amount", "'1180.505'", "'Béla'", "keep"),
    ),
    "a negative due": (
        BOOK.replace("1180.50", "-1"),
        ("small.yaml", "tables.obligations.columns.amount", "'-1'", "at least 1 minor unit"),
    ),
    "nobody's row": (BOOK.replace("Béla", ""), ("small.yaml", "tables.customers.columns.customer", "nothing", "keep")),
    "after blank and broken lines": (
        BOOK.replace("2,Anna", '\n2,"An\nna"').replace("1180.50", "x"),
        ("book.csv", "line 6", "sum", "'x'"),
    ),
}

MAPPINGS = {
    "two statements": (
        ("first from book group by name)", "first from book group by name); use x"),
        ("tables.customers.from", "more than one statement", "without `;`"),
    ),
    "key": (("path: book", "pth: book"), ("files.book", "'pth'", "did you mean path?")),
    "table": (("  payments:", "  payment:"), ("tables", "'payment'", "did you mean payments?")),
    "column": (("due_on: due,", "due_no: due,"), ("tables.obligations.columns", "'due_no'", "did you mean due_on?")),
    "left out": (("due_on: due, ", ""), ("tables.obligations.columns", "due_on", "add it")),
    "type": (("sum: decimal", "sum: decimel"), ("files.book.columns.sum", "decimel", "did you mean decimal?")),
    "code table": (("code kind", "code kinds"), ("files.book.columns.kind", "'kinds'", "did you mean kind?")),
    "code twice": (("KR: loan,", "KR: loan, KR: loan,"), ("small.yaml", "'KR' is given twice, in lines 11 and 11")),
    "word": (("{KR: loan", "{KR: laon"), ("tables.obligations.columns.kind", "'laon'", "did you mean loan?")),
    "expression": (("due_on: due,", "due_on: deu,"), ("tables.obligations.columns.due_on", "'deu'", "due")),
    "rows": (("    from: book\n", "    from: bok\n"), ("from", "'bok'", "book")),
    "condition": (("paid is not null", "payd is not null"), ("tables.payments.keep", "it was paid", "paid")),
    "currency": (("currency: EUR", "currency: EURO"), ("currency", "'EURO'", "did you mean EUR?")),
    "currency of a row": (
        ("currency: money", "currency: \"'EUX'\""),
        ("tables.obligations.columns.currency", "'EUX'", "did you mean EUR?"),
    ),
    "zone": (("Europe/Vienna", "Europe/Viena"), ("time_zone", "did you mean Europe/Vienna?")),
    "a list in a list": (("path: book.csv", "path: [book.csv, [x]]"), ("files.book.path", "must be one text")),
    "date format": (("due: date,", "due: date %Q,"), ("files.book.columns", "%Q", "strptime")),
    "delimiter": (("path: book.csv", "path: book.csv\n    delimiter: tab"), ("files.book", "'tab'", "one character")),
    "encoding": (("path: book.csv", "path: book.csv\n    encoding: utf-9"), ("files.book", "'utf-9'", "utf-8")),
    "path": (("path: book.csv", "path: ../book.csv"), ("files.book", "leaves the data folder")),
    "no yaml": (("codes:", "codes: ["), ("is not valid YAML", "indentation")),
    "a list": (("files:\n  book:", "files:\n  - book:"), ("files", "must be a section")),
    "a comma": (
        ("joined_on: first - 100", "joined_on: greatest(first, first)"),
        ("tables.customers.columns", "quotes"),
    ),
    "without obligations": (("  obligations:", "  accounts:"), ("tables.accounts", "unknown key")),
    "dues that repeat": (
        ("obligation: number, instalment: 1, kind", "obligation: name, instalment: 1, kind"),
        ("tables.obligations", "must be unique", "Anna"),
    ),
    "a time with a zone that repeats": (
        ("{customer: name, joined_on", "{customer: now(), joined_on"),
        ("tables.customers", "must be unique", "(2 rows)"),
    ),
    "announced too late": (("due - 30", "due + 30"), ("tables.obligations", "announced", "2024-03-02")),
    "a number for a time": (
        ("paid_at: paid", "paid_at: number"),
        ("tables.payments.columns.paid_at", "a time of the years 1900 to 2100", "'1'", "correct"),
    ),
    "a time for a number": (
        ("instalment: 1, paid_at", "instalment: due, paid_at"),
        ("tables.payments.columns.instalment", "'2024-02-01'", "correct"),
    ),
    "codes that are numbers": (
        ("{KR: loan, HY: mortgage}", "{KR: 1, HY: 2}"),
        ("tables.obligations.columns.kind", "'1'", "known: loan"),
    ),
    "a currency that is a number": (
        ("currency: money}", "currency: number}"),
        ("tables.obligations.columns.currency", "'1'", "known: GBP"),
    ),
    "a text that is no number": (
        ("amount: sum}", "amount: cast(name as integer)}"),
        ("tables.payments.columns.amount", "'Anna'", "correct the SQL"),
    ),
    "no path": (("path: book.csv", "path: ''"), ("files.book", "path '' names no file", "data folder")),
    "a path of dots": (("path: book.csv", "path: [book.csv, .]"), ("files.book", "path '.' names no file")),
    "a path of glued stars": (("path: book.csv", "path: bo**ok.csv"), ("files.book", "names no file")),
    "an SQL word": (
        ("due_on: due,", "due_on: order,"),
        ("tables.obligations.columns.due_on", "SQL word", "double quotes", """'"order"'"""),
    ),
    "an SQL word in a step": (
        ("tables:", "steps: {late: select group from book}\ntables:"),
        ("steps.late", "SQL word", "double quotes"),
    ),
    "data in its place": (
        (MAPPING, BOOK),
        (
            "small.yaml: this is no mapping file: it begins 'number,name,due",
            "…\n  to fix: give a mapping file",
            "--data",
        ),
    ),
    "nobody left": (("group by name)", "where false group by name)"), ("tables.customers", "no customer is left")),
}


def untouched(folder: Path, known: set[str]) -> bool:
    "No table, no draft: at most the empty folder itself."
    return {p.name for p in folder.rglob("*")} <= known | {"raw"} and not list((folder / "raw").glob("*"))


@pytest.mark.parametrize("fault", FILES)
def test_a_fault_in_a_file_is_refused_with_its_place_and_a_remedy(fault: str, tmp_path: Path):
    book, words = FILES[fault]
    mapping = bank(tmp_path, book=book)
    for action in (
        lambda: ingest.check_source(mapping, tmp_path),
        lambda: ingest.ingest(mapping, tmp_path, tmp_path / "raw", BASE),
    ):
        with pytest.raises(SchemaError) as told:
            action()
        assert [w for w in words if w not in str(told.value)] == []
        assert told.value.remedy
    assert untouched(tmp_path, {"book.csv"})


LATIN = {
    "utf-8": (BOOK.encode(), ("line 4 is hardly latin-1", "BÃ©la", "encoding: utf-8")),
    "the mark of utf-8": (BOOK.encode("utf-8-sig"), ("line 1 is hardly latin-1", "encoding: utf-8")),
    "the mark of utf-16": (BOOK.encode("utf-16"), ("line 1 is hardly latin-1", "encoding: utf-16")),
    "a letter of another table": (BOOK.encode("cp437"), ("line 4 is hardly latin-1", "cp850")),
}


@pytest.mark.parametrize("fault", LATIN)
def test_an_encoding_that_accepts_every_byte_does_not_hide_another_one(fault: str, tmp_path: Path):
    book, words = LATIN[fault]
    latin = MAPPING.replace("    key: number", "    key: number\n    encoding: latin-1")
    with pytest.raises(SchemaError) as told:
        ingest.check_source(bank(tmp_path, latin, book), tmp_path)
    assert [w for w in ("book.csv", *words) if w not in str(told.value)] == []
    assert ingest.check_source(bank(tmp_path, latin, BOOK.encode("latin-1")), tmp_path).tables["customers"].rows == 2


@pytest.mark.parametrize("typed", ["12.50", "1.1800,5", "1,180.50", "1180,50,0"])
def test_a_point_among_decimal_commas_only_parts_thousands(typed: str, tmp_path: Path):
    comma = MAPPING.replace("    key: number", '    key: number\n    delimiter: ";"\n    decimal: ","')
    book = BOOK.replace(",", ";").replace(".", ",")
    with pytest.raises(SchemaError, match=r"(?s)book\.csv: column sum.*line 4.*decimal mark"):
        ingest.check_source(bank(tmp_path, comma, book.replace("1180,50", typed)), tmp_path)
    ingest.ingest(bank(tmp_path, comma, book.replace("1180,50", "1.180,50")), tmp_path, tmp_path / "raw", BASE)
    assert ground_disk.read(tmp_path / "raw", "obligations").amount_minor.tolist() == [25_000, 25_000, 118_050]


def test_a_fault_in_one_of_several_files_names_that_one(tmp_path: Path):
    several = MAPPING.replace("book.csv", "book*.csv").replace(
        "    key: number", "    key: number\n    encoding: cp1252"
    )
    (tmp_path / "book1.csv").write_text(BOOK, "cp1252")
    mapping, head = bank(tmp_path, several, ""), BOOK.splitlines()[0]
    (tmp_path / "book2.csv").write_text(f"{head}\n4,Zoë\n", "cp1252")
    with pytest.raises(SchemaError, match=r"^book2\.csv: line 2: 2 fields"):
        ingest.check_source(mapping, tmp_path)
    (tmp_path / "book2.csv").write_text(f"{head}\n2,Zoë,2024-02-01,,1.00,KR,EUR\n", "cp1252")
    with pytest.raises(SchemaError, match=r"found 2 in book1\.csv line 3, book2\.csv line 2"):
        ingest.check_source(mapping, tmp_path)


@pytest.mark.parametrize("fault", ["no file", "no database", "no table", "no column"])
def test_a_database_that_cannot_answer_is_named_and_none_is_made(fault: str, tmp_path: Path):
    asked = MAPPING.replace("path: book.csv", 'url: "sqlite:///{data}/bank.db"\n    query: select * from book')
    if fault == "no database":
        (tmp_path / "bank.db").write_text("no database at all, but long enough to look like a file of one" * 20)
    if table := {"no table": "books", "no column": "book"}.get(fault):
        pd.DataFrame(dict(number=[1])).to_sql(table, sa.create_engine(f"sqlite:///{tmp_path}/bank.db"), index=False)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SchemaError) as told:
        ingest.check_source(bank(tmp_path, asked, ""), tmp_path)
    said = {
        "no file": "there is no database",
        "no database": "not a database",
        "no table": "no such table: book",
        "no column": "lacks column name",
    }[fault]
    assert said in str(told.value) and "book" in str(told.value.where) and told.value.remedy
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("fault", MAPPINGS)
def test_a_fault_in_a_mapping_is_refused_with_the_nearest_name(fault: str, tmp_path: Path):
    change, words = MAPPINGS[fault]
    assert MAPPING.count(change[0]) >= 1
    for action in (ingest.check_source, lambda mapping, data: ingest.ingest(mapping, data, tmp_path / "raw", BASE)):
        with pytest.raises(PredelinquencyError) as told:
            action(bank(tmp_path, MAPPING.replace(*change)), tmp_path)
        assert [w for w in words if w not in str(told.value)] == []
        assert told.value.remedy and len(told.value.problem) < 300
    assert untouched(tmp_path, {"book.csv"})


def test_ids_and_amounts_beyond_64_bits_do_not_break_the_reading(tmp_path: Path):
    large = MAPPING.replace("obligation: number", "obligation: number + 99999999999999999999")
    assert ingest.check_source(bank(tmp_path, large), tmp_path).tables["payments"].rows == 2
    with pytest.raises(SchemaError, match=r"tables\.payments\.columns\.amount: amount must be an amount"):
        ingest.check_source(bank(tmp_path, MAPPING.replace("amount: sum}", "amount: 1e20}")), tmp_path)


@pytest.mark.parametrize(
    "part, where", [("_check_column", "tables.customers.columns.customer"), ("_complete", "tables.customers")]
)
def test_whatever_the_database_says_of_a_column_names_the_place(
    part: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tables, part, lambda db, *_: db.execute("select cast('x' as integer)"))
    with pytest.raises(SchemaError, match="a type that does not fit") as told:
        ingest.check_source(bank(tmp_path), tmp_path)
    assert told.value.where == f"small.yaml, {where}" and "cast(" in told.value.remedy


def test_a_missing_file_and_a_missing_folder_are_named(tmp_path: Path):
    (tmp_path / "books.csv").write_text(BOOK)
    with pytest.raises(SchemaError, match=r"(?s)no file 'book\.csv'.*did you mean books\.csv\?"):
        ingest.check_source(bank(tmp_path, book=""), tmp_path)
    with pytest.raises(SchemaError, match="no such folder"):
        ingest.check_source(bank(tmp_path), tmp_path / "elsewhere")
    with pytest.raises(ParamsError, match="berka, .*superlender"):
        sources_mapping.load_mapping("berca")


def test_a_refused_ingest_leaves_the_last_good_one(tmp_path: Path):
    ingest.ingest(bank(tmp_path), tmp_path, tmp_path / "raw", BASE)
    before = {p: p.read_bytes() for p in (tmp_path / "raw").rglob("*.parquet")}
    with pytest.raises(SchemaError):
        ingest.ingest(bank(tmp_path, book=BOOK.replace("HY", "HX")), tmp_path, tmp_path / "raw", BASE)
    assert {p: p.read_bytes() for p in (tmp_path / "raw").rglob("*.parquet")} == before


def test_a_disk_that_fills_up_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    mapping = bank(tmp_path)
    monkeypatch.setattr(ground_disk, "_write_file", full)
    with pytest.raises(StoreError, match=r"(?s)No space left.*free disk space"):
        ingest.ingest(mapping, tmp_path, tmp_path / "raw", BASE)
    assert untouched(tmp_path, {"book.csv"})


def test_a_file_that_may_not_be_read_is_no_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    mapping = bank(tmp_path)
    for code, kind, words in (
        (errno.EACCES, SchemaError, r"book\.csv: cannot be read"),
        (errno.ENOSPC, StoreError, r"(?s)could not write.*TMPDIR"),
    ):

        def fails(*_: object, code: int = code) -> None:
            raise OSError(code, "it cannot be", "book.csv")

        monkeypatch.setattr(formats, "_as_utf8", fails)
        with pytest.raises(kind, match=words):
            ingest.check_source(mapping, tmp_path)


def test_without_a_folder_for_temporary_files_it_is_that_which_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def none(**_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(formats.tempfile, "TemporaryDirectory", none)
    with pytest.raises(SchemaError, match=r"(?s)TMPDIR: cannot be read: No usable.*that can be written"):
        ingest.check_source(bank(tmp_path), tmp_path)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    "A disk of 64 kB."
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True, check=False
    ).returncode:
        pytest.skip("mounting a small disk needs root; run the tests as root in a container to include this one")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_truly_full_disk_is_refused_in_words(tiny_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    mapping = bank(tmp_path)
    (tiny_disk / "ballast").write_bytes(bytes(60_000))
    with pytest.raises(StoreError, match=r"(?s)could not write.*free disk space"):
        ingest.ingest(mapping, tmp_path, tiny_disk / "raw", BASE)
    assert untouched(tiny_disk, {"ballast"})
    monkeypatch.setattr(tempfile, "tempdir", str(tiny_disk))
    with pytest.raises(StoreError, match=r"(?s)could not write.*TMPDIR"):
        ingest.ingest(mapping, tmp_path, tmp_path / "raw", BASE)


@pytest.mark.parametrize("fault", ["unknown currency", "mixed encodings", "empty file"])
def test_the_command_line_shows_the_refusal_without_a_traceback(fault: str, tmp_path: Path):
    bank(tmp_path, book=FILES[fault][0])
    (tmp_path / "small.yaml").write_text(MAPPING)
    done = subprocess.run(
        [
            Path(sys.executable).parent / "predelinquency",
            "source",
            "check",
            str(tmp_path / "small.yaml"),
            "--data",
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0 and "Traceback" not in said
    assert "book.csv" in said and "to fix" in said
