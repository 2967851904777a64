"""Rows that leave the ledger: all that was asked for, none besides, and each customer written down first."""

import csv
import io
import json
from math import nan
from pathlib import Path

import pytest
import sqlalchemy as sa
from guests import HOUSE_KEY, NOW, asker, desk_of, grant
from records import AT, assignment, case_step, decision, note, one_of_each, outcome, reply, score

from predelinquency.ground.core import StoreError
from predelinquency.ground.entries import KINDS, brought, plain_values, restore
from predelinquency.ground.guests import VIEWS
from predelinquency.service import desk as service_desk
from predelinquency.service import extracts
from predelinquency.service.keys import add_key


@pytest.fixture
def desk(ledger_url: str, tmp_path: Path) -> service_desk.Desk:
    return desk_of(tmp_path, ledger_url)


def views(desk: service_desk.Desk) -> list[tuple]:
    v = VIEWS.c
    with desk.book.engine.connect() as book:
        return [tuple(row) for row in book.execute(sa.select(v.key_name, v.customer_id, v.route).order_by(*VIEWS.c))]


def lines_of(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_kind_of_record_can_leave_the_ledger() -> None:
    assert set(extracts.RECORDS.values()) == set(KINDS)


def test_a_customers_rows_are_all_told_as_they_were_recorded(desk: service_desk.Desk) -> None:
    desk.book.append([*one_of_each(), score(customer_id=8), reply(customer_id=8)], AT)
    told = asker(desk, HOUSE_KEY).post("/v1/exports", {"customer_id": 7})
    rows = lines_of(told.text)
    assert told.headers["content-type"] == "application/x-ndjson" and len(rows) == len(KINDS)
    back = [restore(extracts.RECORDS[row.pop("record")], row) for row in rows]
    assert sorted(map(repr, back)) == sorted(map(repr, one_of_each()))
    assert views(desk) == [("environment", 7, "POST /v1/exports")]


def test_a_days_rows_are_all_told_however_they_are_cut(
    desk: service_desk.Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extracts, "_PIECE", 2)
    same = [note(customer_id=who, said_at=AT, said_by=by) for who in (9, 7, 8) for by in ("anna", "ben")]
    late = [note(said_at="2026-03-02T23:59:59.999999+00:00"), note(said_at="2026-03-03T00:00:00+00:00", said_by="c")]
    desk.book.append([*same, *late, note(said_at="2026-03-01T23:59:59+00:00"), score(), score(as_of="2026-03-03")], AT)
    told = asker(desk, HOUSE_KEY).post("/v1/exports", {"day": "2026-03-02"})
    rows = lines_of(told.text)
    notes = [restore(extracts.RECORDS["note"], row) for row in rows if row["record"] == "note"]
    assert sorted(map(repr, notes)) == sorted(map(repr, [*same, late[0]])) and notes[-1] == late[0]
    assert [row["as_of"] for row in rows if row["record"] == "score"] == ["2026-03-02"]
    assert [who for _, who, _ in views(desk)] == [7, 8, 9], "once each, however many rows"


def test_what_leaves_as_json_lines_can_be_recorded_again(tmp_path: Path) -> None:
    desk = desk_of(tmp_path)
    desk.book.append([note(), reply(text="stop\nplease \u2028 ☂"), outcome(missed=True)], AT)
    told = asker(desk, HOUSE_KEY).post("/v1/exports", {"customer_id": 7})
    assert sorted(map(repr, brought(told.text.split("\n")))) == sorted(map(repr, desk_records(desk)))


def desk_records(desk: service_desk.Desk) -> list[object]:
    return [one for record in KINDS for one in desk.book.of(record)]


def test_a_table_has_one_head_and_no_formula(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extracts, "_PIECE", 1)
    desk = desk_of(tmp_path)
    desk.book.append(
        [decision(message='=HYPERLINK("x"), "y"\nz', value_minor=-5.5), decision(customer_id=8, value_minor=nan)], AT
    )
    told = asker(desk, HOUSE_KEY).post("/v1/exports", {"day": "2026-03-02", "record": "decision", "form": "csv"})
    first, second = csv.DictReader(io.StringIO(told.text, newline=""))
    assert list(first) == list(plain_values(decision())) and told.headers["content-type"] == "text/csv; charset=utf-8"
    assert first["message"] == '\'=HYPERLINK("x"), "y"\nz' and (first["value_minor"], second["value_minor"]) == (
        "-5.5",
        "",
    )
    assert json.loads(first["refusals"])[0]["rule"] == "quiet_hours" and (first["review"], second["customer_id"]) == (
        "false",
        "8",
    )


def test_what_asks_for_too_much_or_for_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = desk_of(tmp_path)
    desk.book.append([case_step(), assignment(), score()], AT)
    here = asker(desk, HOUSE_KEY)
    monkeypatch.setattr(extracts, "MOST_EXTRACTED", 2)
    for asked, field in (
        ({}, "day"),
        ({"day": "2026-03-02", "customer_id": 7}, "day"),
        ({"day": "2026-02-30"}, "day"),
        ({"customer_id": 7, "form": "csv"}, "record"),
        ({"customer_id": 7, "record": "key"}, "record"),
        ({"customer_id": 7, "form": "xlsx"}, "form"),
        ({"customer_id": 7}, "record"),
    ):
        refused = here.post("/v1/exports", asked)
        assert refused.status_code == 422 and refused.json()["errors"][0]["field"] == field, (asked, refused.text)
    assert views(desk) == []
    assert len(lines_of(here.post("/v1/exports", {"customer_id": 7, "record": "case"}).text)) == 1
    assert here.post("/v1/exports", {"customer_id": 8}).text == "" and len(views(desk)) == 1


def test_no_row_leaves_before_its_customer_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extracts, "_PIECE", 1)
    desk = desk_of(tmp_path)
    desk.book.append([reply(customer_id=who, received_at=f"2026-03-03T0{who}:00:00+00:00") for who in (1, 2, 3)], AT)
    key = add_key(desk.book, grant("risk-1", "risk"), NOW)
    kept, wrote = extracts.record_views, []

    def until_full(*said: object) -> None:
        if len(wrote) >= most:
            raise StoreError("no space left on the disk")
        wrote.append(said[3])
        kept(*said)

    monkeypatch.setattr(extracts, "record_views", until_full)
    most = 0
    refused = asker(desk, key).post("/v1/exports", {"day": "2026-03-03"})
    assert refused.status_code == 503 and "email" not in refused.text and views(desk) == []
    most = 2
    asked, left = extracts.Extract(day="2026-03-03"), []
    with pytest.raises(StoreError, match="no space left"):
        for piece in extracts.extract(
            desk.book, asked, lambda who: until_full(desk.book, grant("a", "risk"), "r", who, NOW)
        ):
            left += lines_of(piece.decode())
    assert [row["customer_id"] for row in left] == [1, 2] == [who for _, who, _ in views(desk)]
