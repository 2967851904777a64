"""Mappings and files with mistakes at random: understood, or refused with place and remedy; never a traceback, nothing half-written."""

import csv
import io
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import exports
import hypothesis.strategies as st
import pandas as pd
import pytest
import small_bank
import yaml
from mistakes import TEXTS, damaged, held, nothing_left, odd_texts, refusal, sweep, whole, with_mistakes
from typer.testing import CliRunner

from predelinquency.ground import params
from predelinquency.ground.core import package_folder
from predelinquency.ops import cli
from predelinquency.sources import ingest
from predelinquency.sources.mapping import load_mapping

BASE = params.load(Path(__file__).parents[2] / "params.yaml").base
pytestmark, LONG = pytest.mark.slow, pytest.mark.long


class Bank(NamedTuple):
    "A mapping that works and the files it reads."

    mapping: str
    files: Path


BERKA = {
    "account.asc": "account_id;district_id;frequency;date\n1;18;MONTHLY;930101\n2;1;MONTHLY;930226\n",
    "disp.asc": "disp_id;client_id;account_id;type\n1;1;1;OWNER\n2;2;2;OWNER\n3;3;2;DISPONENT\n",
    "loan.asc": "loan_id;account_id;date;amount;duration;payments;status\n7;1;970705;96396;12;8033.00;B\n8;2;970711;36000;6;6000.00;A\n",
    "trans_preloan_354.csv": "trans_id;account_id;date;type;operation;amount;balance;k_symbol;bank;account\n"
    "1;1;970101;credit;credit in cash;1000;1000;;;\n2;1;970201;withdrawal;withdrawal in cash;200;800;household;;\n"
    "3;2;970301;credit;collection from another bank;500;500;;AB;41403269\n",
}
LENDER = """customerid,systemloanid,approveddate,loanamount,totaldue,termdays,closeddate,firstduedate,firstrepaiddate
a1,301,2016-08-15 18:22:40.000000,10000,13000,30,2016-09-01 16:06:48.000000,2016-09-14 00:00:00.000000,2016-09-01 15:51:43.000000
a1,302,2017-04-28 18:39:07.000000,10000,13000,60,2017-07-28 14:44:18.000000,2017-05-30 00:00:00.000000,2017-06-26 00:00:00.000000
b2,303,2017-03-05 10:56:19.000000,20000,23800,30,2017-04-26 22:18:56.000000,2017-04-04 00:00:00.000000,2017-04-26 22:03:47.000000
"""
EXPORTS = {
    "plaid": exports.plaid,
    "open_banking_uk": exports.open_banking_uk,
    "berlin_group": exports.berlin_group,
    "camt053": exports.camt053,
    "workbook": exports.loan_book,
    "card_panel": exports.card_panel,
}
ENDINGS = (".csv", ".jsonl", ".json", ".parquet", ".xlsx", ".csv.gz")


def tiny(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    "Two customers of a bank with the first rows of each."
    owed = tables["obligations"].query("kind == 'card' and fact == 'announced'")
    who = owed.customer_id.unique()[:2]
    mine = {
        name: t[t.customer_id.isin(who)]
        for name, t in tables.items()
        if name in ("customers", "accounts", "transactions")
    }
    dues = tables["obligations"][tables["obligations"].customer_id.isin(who)].query("fact == 'announced'")
    dues = dues.groupby("obligation_id").head(6)
    keys = dues[["obligation_id", "instalment"]].drop_duplicates()
    moves, paid = mine["transactions"].groupby("customer_id").head(12), tables["payments"].merge(keys)
    few = mine | {"transactions": moves, "obligations": dues, "payments": paid}
    return {name: t.reset_index(drop=True) for name, t in few.items()}


def written(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")


@pytest.fixture(scope="module")
def banks(bank_of: Callable[[int], dict[str, pd.DataFrame]], tmp_path_factory: pytest.TempPathFactory) -> list[Bank]:
    "Banks that are read without a fault, each through another door. Read only."
    home, few = tmp_path_factory.mktemp("banks"), tiny(bank_of(20))
    found = [Bank(small_bank.MAPPING, home / "small")]
    (home / "small").mkdir()
    written(home / "small", {"book.csv": small_bank.BOOK})
    for ending in ENDINGS:
        (folder := home / ending).mkdir()
        found.append(Bank(exports.write(folder, few, ending), folder))
    for name in ("berka", "superlender", *EXPORTS):
        (folder := home / name).mkdir()
        if name in EXPORTS:
            EXPORTS[name](folder, few)
        written(
            folder,
            BERKA
            if name == "berka"
            else {"trainprevloans.csv": LENDER, "testprevloans.csv": LENDER.replace(",30", ",50")}
            if name == "superlender"
            else {},
        )
        found.append(Bank((package_folder() / f"mappings/{name}.yaml").read_text("utf-8"), folder))
    (folder := home / "sql").mkdir()
    with sqlite3.connect(folder / "bank.db") as db:
        pd.read_csv(io.StringIO(small_bank.BOOK)).to_sql("book", db, index=False)
    asked = 'url: "sqlite:///{data}/bank.db"\n    query: select * from book'
    found.append(Bank(small_bank.MAPPING.replace("path: book.csv", asked), folder))
    return found


@pytest.fixture(scope="module")
def former(tmp_path_factory: pytest.TempPathFactory) -> Path:
    "The tables of an earlier ingest. Read only."
    folder = tmp_path_factory.mktemp("former")
    ingest.ingest(small_bank.bank(folder), folder, folder / "raw", BASE)
    return folder / "raw"


class Desk:
    "A place to work that is cleared before each example."

    def __init__(self, home: Path, former: Path):
        self.home, self.former, self.example = home, former, 0
        self.files, self.raw, self.mapping = home / "files", home / "raw", home / "bank.yaml"
        (home / "tmp").mkdir()

    def clear(self) -> None:
        self.example += 1
        for folder in (self.files, self.raw):
            shutil.rmtree(folder, ignore_errors=True)
        if self.example % 2:
            shutil.copytree(self.former, self.raw)

    def ask(self, data: Path) -> None:
        "Ingest, or check on the command line: it succeeds with whole tables, or is refused and nothing has changed."
        if self.example % 4 == 3:
            self.check(data)
        else:
            self.ingest(data)
        nothing_left()

    def ingest(self, data: Path) -> None:
        before = held(self.raw)
        if refusal(lambda: ingest.ingest(load_mapping(self.mapping), data, self.raw, BASE)):
            assert held(self.raw) == before
            assert not [p for p in self.raw.glob("*") if p.name.startswith(".")]
        else:
            whole(self.raw)
        assert {p.name for p in self.home.iterdir()} <= {"files", "raw", "bank.yaml", "tmp"}

    def check(self, data: Path) -> None:
        said = CliRunner().invoke(
            cli.app, ["source", "check", str(self.mapping), "--data", str(data), *["--json"][self.example % 8 == 3 :]]
        )
        assert said.exit_code in (0, 1) and isinstance(said.exception, SystemExit | None), said.exception
        assert "Traceback" not in said.output and "nobody foresaw" not in said.output, said.output
        assert said.exit_code == 0 or "to fix" in said.output or "refuse" in said.output, said.output


@pytest.fixture
def desk(tmp_path: Path, former: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    desk = Desk(tmp_path, former)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    yield desk


# --- mappings

SQL = (
    "1/0", "null", "1", "-1", "''", "'x'", "'", '"', ";", "1; select 2", "1; drop table book", "-- x", "/* x", "*", "book.*", "columns(*)", "1, 2",
    "1 as x", "a b c", "case when", "(select 1)",
    "(select name from book)", "(select 1 where false)", "unnest([1, 2])", "row_number() over ()", "sum(1)", "count(*)", "max(sum)", "{'a': 1}",
    "[1]", "map {1: 2}", "interval 1 day",
    "interval 1 month", "date 'infinity'", "timestamp '-infinity'", "'infinity'::date", "'nan'::double", "'inf'::double", "1e400", "9" * 50,
    "99999999999999999999", "true", "'\\x00'::blob", "blob",
    "date '0001-01-01'", "date '9999-12-31'", "date '2024-01-01'", "timestamp '294247-01-10'", "timestamptz '2024-01-01'", "time '10:00'", "uuid()",
    "random()", "now()", "error('x')", "chr(0)", "chr(55296)",
    "cast('x' as integer)", "cast(sum as tinyint)", "json '{}'", "'1010'::bit", "read_csv('/etc/passwd')",
    "(select content from read_text('/etc/hostname'))", "getenv('HOME')", "$1", "?", ":x", "{}", "{data}", "$currency",
    "rowid", "_row", "_file", "_dropped", "distinct 1", "try(1/0)", "list_transform([1], x -> x)", "generate_series(1, 3)", "exists (select 1)",
    "'x' collate nocase", "customer", "name", "due", "paid", "sum", "kind", "money",
    "repeat('x', 100000)", "interval '1000000 years'", "due - interval 3000 year", "2::hugeint ** 100", "(1, 2)", "1::decimal(38, 10)", "'x'::enum",
    "group by", "1 where false", "not", "order", "1 limit 0", "(name, due)", "name || due",
)  # fmt: skip
SOURCES = (
    "nowhere", "book, book", "book join", "book join book using (number)", "(select 1)", "(select 1) t", "_raw", "_mapped", "_full", "_seen",
    "_tried", "duckdb_tables()", "information_schema.tables", "range(3)", "(values (1))",
    "book limit 0", "book limit 1", "book where", "book where false", "customers", "accounts", "'/etc/passwd'", "read_text('/etc/hostname')",
    "book union all select * from book", "book; select 1", "book; begin transaction",
    "book; drop table customers", "book; drop table book", "book; rollback", "book; set threads = 1", "book; attach ':memory:' as x", "book; use x",
    "(delete from book returning *)", "book tablesample 1 rows", "", " ", "(", "book b", "book as \"x y\"",
    "book cross join book x", "select", "sqlite_master", "pragma_version()", "late", "book order by random()",
    "(select *, unnest([1,2]) as n from book)", "information_schema", "main.book", "book --", "book /*", "book positional join book x",
)  # fmt: skip
STEPS = (
    {"a": "select * from b", "b": "select * from a"}, {"a": "select * from a"}, {"book": "select * from book"}, {"a": "drop table book"},
    {"a": "select"}, {"a": "select 1; select 2"}, {"a": "copy book to 'x.csv'"},
    {"a": "select 1 as x, 2 as x"}, {"": "select 1"}, {"a b": "select 1"}, {'"': "select 1"}, {"customers": "select 1"}, {"_raw": "select 1"},
    {"_full": "select 1"}, {"_seen": "select 1"}, {"_ids_customers": "select 1"}, {"select": "select 1"}, {"a": ""},
    {"a": "select 1; begin transaction"}, {"a": "select 1; drop table _seen"}, {"a": "select * from read_csv('/etc/passwd')"},
    {"BOOK": "select 1 as x"}, {"a": "select 1; set schema 'information_schema'"}, {"obligations": "select * from book"},
)  # fmt: skip
WORDS = {
    "encoding": ("utf-16", "utf-32", "utf-16-le", "utf-7", "utf-8-sig", "latin-1", "cp1252", "cp037", "ascii", "rot13", "base64", "hex", "zlib",
        "bz2", "idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "charmap", "shift_jis", "hz", "iso2022_jp", "\0",
        "é", "", "uu", "palmos"),
    "delimiter": ('"', "'", "\n", "\r", "\0", "\\", "é", "€", "🦊", "", "ab", "\t", ";", "|", " ", "a", ",", ".", "0", "\x01", "\x7f", "\u2028"),
    "time_zone": ("", ".", "..", "/", "/etc/passwd", "../../etc/passwd", "Europe", "Europe/", "\0", "UTC\0", "x" * 400, "posixrules", "localtime",
        "GMT0", "Etc/GMT+99", "right/UTC", "posix/UTC", "Factory", "EST5EDT", "zone.tab", "tzdata.zi", "é", "utc", "europe/vienna", "Europe/Vienna",
        "+01:00", "Z", "CET", "Asia/Kathmandu", "leapseconds", "\ud7ff", "Europe/Vienna "),
    "holidays": ("", "none", "ECB", "GB", "GB-ENG", "US-XX", "US-", "-", "XX", "gb", "../x", "\0", "é", "DE-BY", "GB-ENG-X", "x" * 300, "None",
        "HolidayBase", "__init__", "country_holidays", "JP"),
    "currency": ("", "EURO", "eur", "XXX", "JPY", "KWD", "CLF", "money", "\0", "€", "x" * 300),
    "path": ("", " ", ".", "..", "/", "~", "*", "**", "**/*", "a\0b", "x" * 5000, "x" * 300, "[", "[!", "[]", "?", "*.csv", "sub", "sub/",
        "./book.csv", "book.csv/", "book.csv/x", "../book.csv", "/etc/passwd", "~/x", "nope.csv", "BOOK.CSV", "**x", "é", "\n", "*/*", "book.csv.gz",
        "bank.db", "{data}", [], ["book.csv", "book.csv"], ["*", "book.csv"], "\\", "C:\\x"),
    "format": ("csv", "json", "jsonl", "xlsx", "parquet", "sql", "camt.053", "panel", "CSV", "", "zip"),
    "decimal": ("", ",", ".", "x", "٫", "..", "\0"),
    "thousands": ("", "none", ".", ",", " ", "'", "x", "\0"),
    "amounts": ("parentheses", ["symbol", "exponent"], "exponent", ["trailing minus", "parentheses", "symbol"], "x", []),
    "skip_rows": ("0", "1", "3", "9999", "99999", "-1", "x", "", "1.0", "٣"), "skip_last": ("0", "1", "2", "3", "4", "9999", "-1", "x"),
    "empty": ("", "0", "x", ["", ""], ["'"], [], "\0"), "records": ("", ".", "..", "a.b", "transactions", "Data", "page", "0", ".x", "\0"),
    "url": ("", "x", "sqlite://", "sqlite:///", "sqlite:///{data}", "sqlite:///{data}/nope.db", "sqlite:////etc/passwd",
        "postgresql://u:p@127.0.0.1:1/x", "mysql://x", "sqlite:///:memory:", "${NOPE}", "$X{", "://", "duckdb:///x", "http://x",
        "sqlite:///{data}/bank.db?mode=ro", "sqlite:///file:{data}/bank.db?uri=true&mode=zz", "sqlite+aiosqlite:///x", "a+b://c", "sqlite:///\0",
        "postgresql://[x", "mssql://h:port/x"),
    "query": ("", "select", "select 1", "select * from nope", "select * from book; select 1", "drop table book", "select null as number", ":x",
        "select :x", "%s", "select '%s' as name", "pragma table_info(book)", "select * from book where 0", "select number, number from book",
        "select x'00ff' as name, 1e400 as sum", "with x as", "\0", "vacuum", "begin", "select 1 as \"\"", "select '2024-13-01' as due"),
    "sheet": ("", "nope", "Payments", "\0", "x" * 300), "key": ("number", "nope", ["number", "name"], ["number", "number"], [], ""),
        "optional": ("number", "nope", ["name", "due", "paid", "sum", "kind", "money", "number"], []),
    "from": SOURCES, "steps": STEPS, "source": ("", "[/red]", "x" * 500, "\0"), "about": ("[/red]", "DECIDE", "\x1b[2J", ""),
    "months": ("2005-04", "2005-04..2005-09", "0001-01", "1000-01..2999-12", "x..y", "..", "2005-13", ["2005-04", "2005-04"]), "month": ("ID", "nope",
        ""),
    "bill": ("BILL_AMT1..6", "BILL_AMT6..1", "x0..999999999999", "x..", "LIMIT_BAL", "ID", []), "payment": ("PAY_AMT1..6", "BILL_AMT1..6"),
        "status": ("PAY_0", ["PAY_0", "PAY_2..6"], []), "on_time": ("0", "'", [], ["-1", "x"]),
    "due_day": ("0", "1", "29", "x", [], ["1", "2"]), "lag": ("0", "3", "4", "x", []), "share": ("0", "1", "1.5", ".05", "0.", "x", "1e-3", []),
}  # fmt: skip
TYPES = (
    "text", "integer", "decimal", "currency", "date", "time", "code", "code nope", "code kind", "integer x", "text x", "date %Y", "date %d/%m/%Y",
    "date %Q", "date %", "date %Y-%m-%d %Y-%m-%d", "date %z", "time %z", "time %H", "time %Y-%m-%dT%H:%M:%S%z", "date %-d.%-m.%y",
    "date x", "time '", "date %j", "date %s", "time %f", "time %Z", "time %Y-%m-%d %H:%M:%S %Z", "date %%", "date \0", "DATE", "", " text",
    "date %U %w", "date %G-%V-%u", "time %n", "time %c", "date %Y-%m-%d %p", "decimal %Y",
)  # fmt: skip
ENTITY = b"""x: &a [1,1,1,1,1,1,1,1,1,1]
y: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]
z: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]
u: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]
v: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]
w: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]
s: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]
t: &h [*g,*g,*g,*g,*g,*g,*g,*g,*g,*g]
r: &i [*h,*h,*h,*h,*h,*h,*h,*h,*h,*h]
"""
YAML = (
    b"", b" ", b"\n", b"---", b"...", b"- a\n- b\n", b"a", b"5", b"null", b"~", b"!!null", b"{}", b"[]", b"{a: 1}", b"\t", b"a:\tb\n\tc: d",
    b"[" * 3000, b"{a: " * 3000, b"&a [*a]", b"&a {x: *a}", b"x: &a\n  y: *a\n", ENTITY, b"? {a: b}\n: c\n", b"? [a]\n: c\n", b"!!set {a}",
    b"!!python/object/apply:os.getcwd []", b"!!binary |\n  x", b"!!int x", b"!!float x", b"!!bool x", b"!!timestamp x", b"!!omap x", b"!!pairs [x]",
    b"!!str [a]", b"!!map a", b"!!seq a", b"!!merge a", b"<<: a", b"<<: [a]", b"<<: {a: 1}", b"---\na: 1\n---\nb: 2\n", b"%YAML 3.0\n---\na",
    b"\xff\xfe", b"\x00", b"\xed\xa0\x80",
    "source: x".encode("utf-16"), b"source: !!int 5\n", b"source: &s x\nabout: *s\n", b"a: *nope", b"!<x> a", b"! a", b"a: !!binary =",
        b"!!timestamp 2024-99-99", b"!!int 0x", b"!!float .", b"number,name\n1,2\n",
)  # fmt: skip


def likely(way: tuple[Any, ...]) -> Iterable[Any]:
    "What might be written by mistake at a place of a mapping."
    if way[0] == "steps" and len(way) == 2:
        return SQL + tuple(f"select {s}" for s in SOURCES)
    if way[0] == "tables" and len(way) > 3 and way[2] in ("columns", "keep"):
        return SQL
    if way[0] == "files" and len(way) == 4 and way[2] == "columns":
        return TYPES
    if way[0] in ("files", "tables") and len(way) == 2:
        return ({}, "x", [], {"path": "book.csv"}, {"columns": {}}, {"from": "book"})
    if way[0] == "codes" and len(way) == 3:
        return ("", "0", "-1", "1.5", "x", "'", "*", "loan")
    return WORDS.get(way[-1], TEXTS) if isinstance(way[-1], str) else TEXTS[:40]


FURTHER = {
    "files": [k for k in WORDS if k not in ("source", "about", "from", "steps", "holidays")],
    "": ["holidays", "steps", "about"],
}


@st.composite
def with_more(draw: st.DrawFn, tree: dict[str, Any]) -> dict[str, Any]:
    "A mapping with a key more, of those that it may have."
    key = draw(st.sampled_from(FURTHER["files"] + FURTHER[""]))
    where = tree if key in FURTHER[""] else tree["files"][draw(st.sampled_from(sorted(tree["files"])))]
    if key == "steps" and draw(st.booleans()):
        return tree | {"steps": tree.get("steps", {}) | draw(st.sampled_from(STEPS))}
    table = tree["tables"][draw(st.sampled_from(sorted(tree["tables"])))]
    if draw(st.integers(0, 3)) == 0:
        table["keep"] = {draw(odd_texts): draw(st.sampled_from(SQL))}
    else:
        where[key] = draw(st.sampled_from(WORDS[key]))
    return tree


@st.composite
def mappings(draw: st.DrawFn, banks: list[Bank]) -> tuple[bytes, Path]:
    "A mapping with mistakes, and the files it was made for."
    bank = draw(st.sampled_from([banks[0]] * 8 + banks))
    kind = draw(st.sampled_from(["tree"] * 5 + ["more"] * 4 + ["text"] * 3 + ["yaml"]))
    if kind == "yaml":
        return draw(st.sampled_from(YAML)) + (bank.mapping.encode() if draw(st.booleans()) else b""), bank.files
    if kind == "text":
        return draw(damaged(bank.mapping.encode())), bank.files
    tree = yaml.load(bank.mapping, yaml.BaseLoader)
    tree = draw(with_more(tree)) if kind == "more" else draw(with_mistakes(tree, likely))
    return yaml.safe_dump(tree, allow_unicode=True, sort_keys=False).encode(), bank.files


@pytest.mark.parametrize("examples", [100, pytest.param(6_000, marks=LONG)])
def test_a_mapping_with_mistakes_is_understood_or_refused(examples: int, banks: list[Bank], desk: Desk) -> None:
    def holds(drawn: tuple[bytes, Path]) -> None:
        desk.clear()
        desk.mapping.write_bytes(drawn[0])
        desk.ask(drawn[1])

    sweep(examples, mappings(banks), holds)


# --- files


@st.composite
def tables_of_text(draw: st.DrawFn, content: bytes) -> bytes:
    "A CSV file with odd cells, columns lost or doubled, rows too long or too short."
    mark = ";" if b";" in content.split(b"\n")[0] else ","
    rows = list(csv.reader(io.StringIO(content.decode()), delimiter=mark))
    for _ in range(draw(st.integers(1, 3))):
        n = draw(st.integers(0, len(rows) - 1))
        row = rows[n]
        c = draw(st.integers(0, max(len(row) - 1, 0)))
        kind = draw(st.sampled_from(["cell"] * 6 + ["more", "fewer", "twice", "row", "column"]))
        if kind == "cell" and row:
            row[c] = draw(odd_texts)
        elif kind == "more":
            row.insert(c, draw(odd_texts))
        elif kind == "fewer" and row:
            del row[c]
        elif kind == "twice":
            rows.insert(n, list(row))
        elif kind == "row":
            rows[n] = draw(st.lists(odd_texts, max_size=9))
        elif kind == "column":
            value = draw(odd_texts)
            for other in rows[1:]:
                if c < len(other):
                    other[c] = value
    told = io.StringIO()
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    csv.writer(told, delimiter=mark, quoting=quoting, lineterminator=draw(st.sampled_from(["\n", "\r\n"]))).writerows(
        rows
    )
    return told.getvalue().encode("utf-8", "surrogatepass")


@st.composite
def json_texts(draw: st.DrawFn, content: bytes) -> bytes:
    "JSON, or JSON lines, with odd values and shapes."
    lines = content.decode().splitlines()
    n = draw(st.integers(0, len(lines) - 1))
    tree = draw(with_mistakes(json.loads(lines[n])))
    lines[n] = json.dumps(tree, ensure_ascii=draw(st.booleans()))
    return "\n".join(lines).encode("utf-8", "surrogatepass")


@st.composite
def typed_tables(draw: st.DrawFn, content: bytes) -> bytes:
    "A Parquet file with a column of another type."
    frame = pd.read_parquet(io.BytesIO(content))
    column = draw(st.sampled_from(list(frame)))
    n = len(frame)
    odd = [
        lambda: [float("nan")] * n, lambda: [float("inf")] * n, lambda: [None] * n, lambda: [[1, 2]] * n, lambda: [{"a": 1}] * n,
            lambda: [b"\xff\x00"] * n, lambda: [b"ok"] * n,
        lambda: pd.Series([pd.Timestamp("2024-01-01", tz="Asia/Tokyo")] * n), lambda: [pd.Timedelta(1, "D")] * n, lambda: [2**63 - 1] * n,
            lambda: [1e300] * n, lambda: [True] * n, lambda: pd.Series(range(n)) / 3,
        lambda: [draw(odd_texts)] * n, lambda: pd.Categorical(["a"] * n), lambda: pd.Series([pd.Timestamp("2024-01-01").date()] * n),
            lambda: pd.Series(range(n)).astype("uint64") + 2**63,
    ]  # fmt: skip
    changed = frame.assign(**{column: draw(st.sampled_from(odd))()})
    told = io.BytesIO()
    changed.rename(
        columns={column: draw(st.just(column) | odd_texts)} if draw(st.integers(0, 4)) == 0 else {}
    ).to_parquet(told)
    return told.getvalue()


@st.composite
def databases(draw: st.DrawFn, content: bytes) -> bytes:
    "An SQLite file with odd cells, which may be of any type in any column."
    frame = pd.read_csv(io.StringIO(small_bank.BOOK)).astype(object)
    for _ in range(draw(st.integers(1, 3))):
        value = draw(
            odd_texts
            | st.sampled_from([None, -0.0, 1e300, float("inf"), 2**63 - 1, -(2**63), b"\xff", b"", b"a\0b", 0.1, 12.0])
        )
        frame.iat[draw(st.integers(0, 2)), draw(st.integers(0, 6))] = value
    names = [draw(odd_texts) or "x" if draw(st.integers(0, 9)) == 0 else name for name in frame]
    db = sqlite3.connect(":memory:")
    quoted = ", ".join('"' + n.replace('"', '""').replace("\0", "0") + '"' for n in names)
    try:
        db.execute(f"create table book ({quoted})")
    except sqlite3.OperationalError:
        db.execute("create table book (a, b, c, d, e, f, g)")
    db.executemany("insert into book values (?, ?, ?, ?, ?, ?, ?)", frame.where(frame.notna(), None).values.tolist())
    db.commit()
    return db.serialize()


@st.composite
def sheets(draw: st.DrawFn, content: bytes) -> bytes:
    "A workbook with odd cells."
    cell = odd_texts.filter(lambda t: all(c in "\t\n" or c >= " " for c in t)) | st.sampled_from(
        [None, True, 0, -1.5, 1e300, 2**63, 45_000, 1e-9]
    )
    head = ["Customer", "Contract", "No", "Kind", "Announced", "Due", "Amount", "Direct debit", "Paid", "Since"]
    rows = [["title"], head, ["A", "c1", 1, "loan", 45_000.5, 45_010, 12.5, True, 45_010.2, 44_000]]
    for _ in range(draw(st.integers(1, 4))):
        row = rows[draw(st.integers(0, 2))]
        row[draw(st.integers(0, len(row) - 1))] = draw(cell)
    with tempfile.TemporaryDirectory() as folder:
        exports.workbook(
            Path(folder) / "made.xlsx",
            {name: rows for name in ("Customers", "Instalments", "Payments")},
            draw(st.sampled_from([(), ("A3:B3",), ("A1:A9",)])),
        )
        return (Path(folder) / "made.xlsx").read_bytes()


SHAPES: dict[str, Callable[[bytes], st.SearchStrategy[bytes]]] = {
    ".csv": tables_of_text, ".asc": tables_of_text, ".json": json_texts, ".jsonl": json_texts, ".parquet": typed_tables, ".db": databases,
}  # fmt: skip


@st.composite
def files(draw: st.DrawFn, banks: list[Bank]) -> tuple[Bank, str, bytes]:
    "A file of a bank with mistakes in it."
    bank = draw(st.sampled_from([banks[0]] * 8 + banks))
    path = draw(st.sampled_from(sorted(bank.files.iterdir())))
    content = path.read_bytes()
    if path.name == "loans.xlsx" and draw(st.booleans()):
        return bank, path.name, draw(sheets(content))
    if path.suffix in SHAPES and draw(st.integers(0, 2)):
        return bank, path.name, draw(SHAPES[path.suffix](content))
    return bank, path.name, draw(damaged(content))


@pytest.mark.parametrize("examples", [60, pytest.param(4_000, marks=LONG)])
def test_files_with_mistakes_are_read_or_refused(examples: int, banks: list[Bank], desk: Desk) -> None:
    def holds(drawn: tuple[Bank, str, bytes]) -> None:
        bank, name, content = drawn
        desk.clear()
        shutil.copytree(bank.files, desk.files)
        (desk.files / name).write_bytes(content)
        desk.mapping.write_text(bank.mapping, "utf-8")
        desk.ask(desk.files)

    sweep(examples, files(banks), holds)


def test_the_banks_without_mistakes_are_read(banks: list[Bank], desk: Desk) -> None:
    for bank in banks:
        desk.example = 0
        desk.mapping.write_text(bank.mapping, "utf-8")
        assert refusal(lambda bank=bank: ingest.ingest(load_mapping(desk.mapping), bank.files, desk.raw, BASE)) is None
        whole(desk.raw)


@pytest.mark.parametrize("table", ["customers", "payments"])
def test_a_file_in_the_place_of_a_table_is_refused_before_any_table_is_written(table: str, desk: Desk) -> None:
    desk.clear()
    shutil.rmtree(desk.raw / table)
    (desk.raw / table).write_text("mine")
    before, bank = held(desk.raw), small_bank.bank(desk.home / "tmp")
    told = refusal(lambda: ingest.ingest(bank, desk.home / "tmp", desk.raw, BASE))
    assert told and told.where.endswith(table) and held(desk.raw) == before
