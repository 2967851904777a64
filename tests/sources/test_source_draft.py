"""A drafted mapping fills in what the files decide, and leaves open, by name, what they do not."""

from pathlib import Path

import exports
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from predelinquency.ground import params
from predelinquency.ground.core import ParamsError, SchemaError
from predelinquency.ops.cli import app
from predelinquency.sources import ingest
from predelinquency.sources.draft import draft_mapping
from predelinquency.sources.mapping import parse_mapping

BASE = params.load(Path(__file__).parents[2] / "params.yaml").base


def drafted(folder: Path, *values: str, head: str = "x", name: str = "book.csv", encoding: str = "utf-8") -> dict:
    "The draft's file for one column of these values."
    rows = [f"{head};n", *(f"{v};{n}" for n, v in enumerate(values))]
    (folder / name).write_text("\n".join(rows) + "\n", encoding=encoding)
    return yaml.safe_load(draft_mapping(folder))["files"][name.split(".")[0]]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["2024-01-31"], "date"),
        (["2024-01-31 10:00:00", "2024-01-31T10:00:00+02:00"], "time"),
        (["31/01/2024", "03/04/2024"], "date %d/%m/%Y"),
        (["03/04/2024", "04/31/2024"], "date %m/%d/%Y"),
        (["31.01.24"], "date %d.%m.%y"),
        (["31.01.2024 10:30"], "time %d.%m.%Y %H:%M"),
        (["03/04/2024", "12/11/2024"], "DECIDE"),
        (["03.04.24"], "DECIDE"),
        (["31/01/2024", "01/31/2024"], "text"),
        (["20240131"], "DECIDE"),
        (["12", "-7"], "integer"),
        (["007", "12"], "text"),
        (["EUR", "GBP"], "currency"),
        (["12.50", "7"], "decimal"),
        (["1.180,50"], "decimal"),
        (["(£12.50)"], "decimal"),
        (["Ann", "12"], "text"),
    ],
)
def test_a_column_has_the_type_that_its_values_decide_or_none(tmp_path: Path, values: list[str], kind: str):
    assert drafted(tmp_path, *values)["columns"]["x"] == kind


@pytest.mark.parametrize(
    ("values", "decimal", "thousands"),
    [
        (["12,50"], ",", None),
        (["1.180,50"], ",", "."),
        (["1,180.50"], ".", ","),
        (["1 180,5"], ",", " "),
        (["1,234", "2.50"], ".", None),
        (["1,234", "5,678"], None, "DECIDE"),
        (["1.250", "3.500"], None, "DECIDE"),
        (["12.5", "7"], ".", None),
    ],
)
def test_the_marks_of_amounts_are_told_only_where_a_value_tells_them(tmp_path: Path, values, decimal, thousands):
    found = drafted(tmp_path, *values)
    assert (found.get("decimal"), found.get("thousands")) == (decimal, thousands)


def test_delimiter_and_encoding_are_detected_or_asked_for(tmp_path: Path):
    assert drafted(tmp_path, "Müller")["encoding"] == "utf-8"
    assert drafted(tmp_path, "Müller", encoding="cp1252")["encoding"] == "DECIDE"
    assert drafted(tmp_path, "Müller", encoding="utf-16")["encoding"] == "utf-16"
    assert (
        drafted(tmp_path, "a", "b")["delimiter"] == ";"
        and drafted(tmp_path, "a,b", head="x,y")["delimiter"] == "DECIDE"
    )


def test_which_date_is_the_due_date_is_asked_where_two_may_be(tmp_path: Path):
    (tmp_path / "loans.csv").write_text("client,loan,due_first,due_last,sum\nC1,L1,2024-05-01,2024-06-01,2.50\n")
    text = draft_mapping(tmp_path)
    assert "due_on: DECIDE  # due_first or due_last" in text and "customer: client" in text
    (tmp_path / "loans.csv").write_text("client,loan,when,paid,sum\nC1,L1,2024-05-01,2024-06-01,2.50\n")
    assert "due_on: DECIDE  # when or paid" in draft_mapping(tmp_path)


def test_the_sign_of_a_movement_is_never_chosen(tmp_path: Path):
    (tmp_path / "transactions.csv").write_text("id,account,date,amount\n1,A,2024-05-01,2.50\n")
    assert "amount: DECIDE  # amount has no minus: what says out?" in draft_mapping(tmp_path)
    (tmp_path / "transactions.csv").write_text("id,account,date,amount\n1,A,2024-05-01,-2.50\n")
    assert "amount: DECIDE  # amount, with minus for money out; or -amount" in draft_mapping(tmp_path)


def test_a_draft_is_refused_until_everything_is_decided(tmp_path: Path):
    (tmp_path / "customers.csv").write_text("client,since,kind\nC1,2024-05-01,x\n")
    text = draft_mapping(tmp_path)
    with pytest.raises(ParamsError, match="2 things are still to be decided: currency, time_zone") as refusal:
        parse_mapping(text, "draft.yaml")
    assert "DECIDE" in refusal.value.remedy
    decided = text.replace("currency: DECIDE", "currency: EUR").replace("time_zone: DECIDE", "time_zone: Europe/Vienna")
    assert ingest.check_source(parse_mapping(decided), tmp_path).tables["customers"].rows == 1


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".jsonl", ".json.zip", ".parquet"])
def test_a_draft_of_a_whole_bank_needs_a_few_answers_and_reads_it(
    tmp_path: Path, few: dict[str, pd.DataFrame], ending: str
):
    exports.write(tmp_path, few, ending)
    text = draft_mapping(tmp_path)
    for question, answer in (
        ("time_zone: DECIDE", "time_zone: Europe/London"), ("customer: DECIDE", "customer: who"), ("amount: DECIDE", "amount: amount"),
        ("balance_after: DECIDE", "balance_after: balance"), ("    instalment: DECIDE", "    instalment: instalment"),
    ):  # fmt: skip
        text = text.replace(question, answer)
    report = ingest.check_source(parse_mapping(text), tmp_path)
    assert {n: t.rows for n, t in report.tables.items()} == {n: len(t) for n, t in few.items()}


def test_every_sheet_of_a_workbook_is_a_file_and_lists_of_json_are_asked_about(tmp_path: Path):
    exports.workbook(tmp_path / "b.xlsx", {"Customers": [["who"], ["Ann"]], "Paid 1": [["sum"], [2.5]]})
    (tmp_path / "p.json").write_text('{"a": [{"x": 1}], "b": [{"y": 2}]}')
    (tmp_path / "q.json").write_text('{"a": {"b": [{"x": 1.5}]}}')
    files = yaml.safe_load(draft_mapping(tmp_path))["files"]
    assert (files["b_customers"]["sheet"], files["b_paid_1"]["sheet"]) == ("Customers", "Paid 1")
    assert files["b_paid_1"]["columns"] == {"sum": "decimal"} and files["p"]["records"] == "DECIDE"
    assert (files["q"]["records"], files["q"]["columns"]) == ("a.b", {"x": "decimal"})


def test_a_folder_without_files_and_a_broken_one_are_refused_by_name(tmp_path: Path):
    for name, content, words in (
        ("x.docx", b"", "holds no file that can be read"), ("x.json", b'{"a": [', "line 1, character 8: is not JSON"),
        ("x.xlsx", b"no", "cannot be read as a workbook"), ("x.csv.gz", b"no", "cannot be unpacked"), ("x.parquet", b"no", "cannot be looked at"),
        ("x.jsonl", b"{", "line 1, character 2"), ("x.csv", b"\xff\xfea", "cannot be looked at"),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SchemaError) as refusal:
            draft_mapping(tmp_path)
        assert words in refusal.value.problem and refusal.value.remedy, name
        (tmp_path / name).unlink()


def test_the_command_prints_a_draft_or_writes_it_and_never_over_another(tmp_path: Path):
    data, out = tmp_path / "data", tmp_path / "my.yaml"
    data.mkdir()
    (data / "customers.csv").write_text("client,since\nC1,2024-05-01\n")
    run = CliRunner().invoke
    assert run(app, ["source", "draft", str(data)]).stdout == draft_mapping(data)
    assert run(app, ["source", "draft", str(data), "--out", str(out)]).exit_code == 0
    assert out.read_text() == draft_mapping(data)
    out.write_text("mine")
    again = run(app, ["source", "draft", str(data), "--out", str(out)])
    assert again.exit_code != 0 and "is there already" in again.output and out.read_text() == "mine"
