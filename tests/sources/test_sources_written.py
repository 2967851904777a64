"""Numbers and times as banks write them: read as they are meant by declaration, or refused; never read as something else."""

from pathlib import Path

import pytest

from predelinquency.ground import params
from predelinquency.ground.core import CURRENCY_DIGITS, ParamsError, SchemaError
from predelinquency.sources import formats
from predelinquency.sources.mapping import parse_mapping

BASE = params.load(Path(__file__).parents[2] / "params.yaml").base
MAPPING = """
source: small
currency: GBP
time_zone: Europe/London
files:
  book: {path: book.csv, delimiter: ";", columns: {id: integer, said: KIND}EXTRA}
tables:
  customers: {from: book, columns: {customer: id, joined_on: "timestamp '2020-01-01'"}}
"""


def read(folder: Path, kind: str, *texts: str, before: str = "", after: str = "", **keys: str) -> list:
    "The texts as the file's typed column."
    extra = "".join(f", {k}: {v}" for k, v in keys.items())
    mapping = parse_mapping(MAPPING.replace("KIND", kind).replace("EXTRA", extra), "small.yaml")
    rows = "".join(f"{i};{t}\n" for i, t in enumerate(texts, 1))
    (folder / "book.csv").write_text(f"{before}id;said\n{rows}{after}", encoding="utf-8")
    with formats._database() as db:
        formats._read_file(db, mapping, mapping.files["book"], folder)
        return [str(v) for (v,) in db.execute("select said from book order by id").fetchall()]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("time", "2024-07-01T10:00:00Z", "2024-07-01 11:00:00"),
        ("time", "2024-01-01T10:00:00Z", "2024-01-01 10:00:00"),
        ("time", "2024-07-01T10:00:00-05:00", "2024-07-01 16:00:00"),
        ("time", "2024-07-01T23:30:00-0500", "2024-07-02 05:30:00"),
        ("time", "2024-07-01 10:00:00.250+02", "2024-07-01 09:00:00.250000"),
        ("time", "2024-07-01 10:00:00", "2024-07-01 10:00:00"),
        ("time", "2024-07-01", "2024-07-01 00:00:00"),
        ("time %d.%m.%Y %H:%M %z", "01.07.2024 10:00 +0000", "2024-07-01 11:00:00"),
        ("date", "2024-07-01T00:00:00+01:00", "2024-07-01"),
        ("date", "2024-06-30T23:00:00Z", "2024-07-01"),
        ("date", "2024-07-01 00:00:00", "2024-07-01"),
        ("date %d/%m/%y", "01/07/24", "2024-07-01"),
    ],
)
def test_a_time_with_an_offset_is_told_in_the_banks_own_zone(tmp_path: Path, kind: str, text: str, value: str):
    assert read(tmp_path, kind, text) == [value]


def test_an_offset_is_stronger_than_the_zone_of_the_file(tmp_path: Path):
    found = read(tmp_path, "time", "2024-07-01T10:00:00Z", "2024-07-01T10:00:00", time_zone="America/New_York")
    assert found == ["2024-07-01 11:00:00", "2024-07-01 15:00:00"]


def test_the_hour_that_comes_twice_keeps_its_order(tmp_path: Path):
    utc = [f"2024-10-27T{h:02d}:{m:02d}:00Z" for h in (0, 1, 2) for m in (5, 25, 45)]
    found = read(tmp_path, "time", *utc)
    assert found == sorted(found) and len(set(found)) == len(found)
    assert found[0] == "2024-10-27 01:05:00" and found[-1] == "2024-10-27 02:45:00"
    assert all(t.startswith("2024-10-27 01:59:59") for t in found[3:6])


@pytest.mark.parametrize("text", ["2024-07-01 13:45:00", "2024-07-01T13:45:00Z", "2024-07-01T00:00:00Z"])
def test_a_date_column_does_not_lose_a_time_of_day(tmp_path: Path, text: str):
    with pytest.raises(SchemaError, match="without a time of day in Europe/London; 1 broken: line 2"):
        read(tmp_path, "date", text)


@pytest.mark.parametrize(
    ("keys", "texts", "values"),
    [
        (dict(thousands='","'), ["1,234.50", "-12,345,678.00", "7.5", "1234.50"], ["1234.5", "-12345678", "7.5", "1234.5"]),
        (dict(decimal='","', thousands='"."'), ["1.234,50", "-1.234", "7,5"], ["1234.5", "-1234", "7.5"]),
        (dict(decimal='","', thousands='" "'), ["1 234,50", "1\u202f234\u00a0567,5"], ["1234.5", "1234567.5"]),
        (dict(thousands='"\'"'), ["1'234.50", "1’234.5"], ["1234.5", "1234.5"]),
        (dict(amounts="parentheses"), ["(12.50)", "12.50"], ["-12.5", "12.5"]),
        (dict(amounts="[trailing minus, symbol]"), ["12.50-", "£12.50", "-£12.50", "12.50 GBP", "EUR 3"], ["-12.5", "12.5", "-12.5", "12.5", "3"]),
        (dict(amounts="[parentheses, symbol]", thousands='","'), ["(£1,234.50)"], ["-1234.5"]),
        (dict(amounts="exponent"), ["1e+05", "1.5E3", "2"], ["100000", "1500", "2"]),
        (dict(thousands="none"), ["1.234", "2.500"], ["1.234", "2.5"]),
        ({}, ["1.234", "2.5"], ["1.234", "2.5"]),
    ],
)  # fmt: skip
def test_amounts_are_read_as_the_mapping_says_they_are_written(
    tmp_path: Path, keys: dict[str, str], texts: list[str], values: list[str]
):
    assert [float(v) for v in read(tmp_path, "decimal", *texts, **keys)] == [float(v) for v in values]


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({}, "1,234.50"), ({}, "(12.50)"), ({}, "£12.50"), ({}, "1e+05"), ({}, "12.50-"), ({}, "1 234.50"),
        (dict(thousands='","'), "1,23.50"), (dict(thousands='","'), "12,34"), (dict(decimal='","'), "12.50"),
        (dict(amounts="parentheses"), "(12.50"), (dict(amounts="exponent"), "1e"), (dict(amounts="symbol"), "£"),
    ],
)  # fmt: skip
def test_an_amount_written_otherwise_is_refused_with_its_line(tmp_path: Path, keys: dict[str, str], text: str):
    with pytest.raises(SchemaError, match="must be an amount; 1 broken: line 3"):
        read(tmp_path, "decimal", "1", text, **keys)


@pytest.mark.parametrize(("keys", "texts"), [({}, ["1.234", "12.000"]), (dict(decimal='","'), ["1,234", "7"])])
def test_three_digits_after_every_mark_are_asked_about(tmp_path: Path, keys: dict[str, str], texts: list[str]):
    with pytest.raises(SchemaError, match="each before its last three digits") as refusal:
        read(tmp_path, "decimal", *texts, **keys)
    assert "thousands: none" in refusal.value.remedy


@pytest.mark.parametrize("text", ["12.7", "1e3", "1,000", "12.0"])
def test_a_whole_number_is_never_rounded_into_one(tmp_path: Path, text: str):
    with pytest.raises(SchemaError, match="must be a whole number"):
        read(tmp_path, "integer", text)
    assert read(tmp_path, "integer", "+7", "-12") == ["7", "-12"]


def test_lines_before_the_header_and_totals_are_left_out_and_places_count_them(tmp_path: Path):
    around = dict(before="Account 7\nMay 2024;\n", after="Total;;3\nend\n", skip_rows='"2"', skip_last='"2"')
    assert read(tmp_path, "decimal", "1", "2", **around) == ["1.00000000", "2.00000000"]
    with pytest.raises(SchemaError, match="line 5: 'x'"):
        read(tmp_path, "decimal", "1", "x", **around)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (dict(thousands='"."'), "thousands is '.'"),
        (dict(thousands="x"), "thousands is 'x'"),
        (dict(decimal='"x"'), "decimal is 'x'"),
        (dict(amounts="brackets"), "amounts names 'brackets'"),
        (dict(skip_rows='"-1"'), "skip_rows is '-1'"),
    ],
)
def test_a_way_of_writing_that_cannot_be_is_refused_by_its_key(tmp_path: Path, keys: dict[str, str], words: str):
    with pytest.raises(ParamsError, match=words):
        read(tmp_path, "decimal", "1", **keys)


def test_every_currency_has_its_digits():
    assert {CURRENCY_DIGITS[c] for c in ("JPY", "CLP", "ISK")} == {0} and CURRENCY_DIGITS["CLF"] == 4
    assert len(CURRENCY_DIGITS) > 150 and all(len(c) == 3 and c.isupper() for c in CURRENCY_DIGITS)
