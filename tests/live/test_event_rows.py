"""What a bank may tell, and how it hears what is wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from live_events import of_every_kind

from predelinquency.ground import disk, schema
from predelinquency.ground.core import SchemaError
from predelinquency.live.events import (
    KINDS,
    OUTSIDE,
    Event,
    canonical,
    parse_event,
    parse_events,
    partition_of,
    parse_canonical,
)

EACH = {e.kind: e for e in of_every_kind()}
COLUMNS = [(kind, c) for kind, table in KINDS.items() for c in table.columns if c.name not in OUTSIDE]


def plain(kind: str, /, **row: object) -> dict:
    "A good event as a bank sends it, with some fields of its row changed."
    e = EACH[kind]
    return {**e._asdict(), "row": {**e.row, **row}}


def heard(told: object) -> str:
    with pytest.raises(SchemaError) as refusal:
        parse_event(told)
    assert "to fix: " in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_comes_back_from_json_and_from_its_bytes(kind: str) -> None:
    event = parse_event(json.loads(json.dumps(plain(kind))))
    assert event == EACH[kind] and parse_canonical([canonical(event)]) == [event]
    assert list(event.row) == sorted(c.name for c in KINDS[kind].columns if c.name not in OUTSIDE)


@pytest.mark.parametrize("kind", KINDS)
def test_the_bytes_are_sorted_json_whatever_the_order_of_the_fields(kind: str) -> None:
    event = EACH[kind]
    turned = event._replace(row=dict(reversed(event.row.items())))
    text = json.dumps(event._asdict(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert canonical(event) == canonical(turned) == text.encode()


def test_letters_of_every_kind_are_written_as_json_writes_them() -> None:
    name = 'é\x7f\x1f\b\f/"\\\u2028😀'
    event = parse_event(plain("transaction", counterparty=name))
    assert json.loads(canonical(event))["row"]["counterparty"] == name
    assert json.dumps(name, ensure_ascii=False).encode() in canonical(event)


@pytest.mark.parametrize(("kind", "column"), COLUMNS, ids=lambda x: getattr(x, "name", x))
def test_a_column_that_is_missing_is_unknown_or_refused_by_its_name(kind: str, column: schema.Column) -> None:
    told = plain(kind)
    del told["row"][column.name]
    if column.nullable:
        assert parse_event(told).row[column.name] is None
        assert parse_event(told) == parse_event(plain(kind, **{column.name: None}))
    else:
        assert heard(told).startswith(f"event: row.{column.name}: is missing")


@pytest.mark.parametrize(("kind", "column"), COLUMNS, ids=lambda x: getattr(x, "name", x))
def test_a_value_of_another_type_is_refused_by_its_column_and_not_quoted(kind: str, column: schema.Column) -> None:
    for wrong in (12.5, [1], {"secret77": 1}, "" if column.kind != "bool" else "secret77", "x" * 201, -(2**70)):
        said = heard(plain(kind, **{column.name: wrong}))
        assert said.startswith(f"event: row.{column.name}: ") and "secret77" not in said and "xxx" not in said
    if column.kind != "bool":
        assert f"row.{column.name}" in heard(plain(kind, **{column.name: True}))


@pytest.mark.parametrize(
    ("kind", "row", "says"),
    [
        ("transaction", {"amount_minor": 12.5}, "minor units: 1250 for 12.50"),
        ("transaction", {"amount_minor": 1250.0}, "minor units"),
        ("transaction", {"amount_minor": 10**13}, "look at its unit"),
        ("transaction", {"booked_at": 1_772_443_800}, "milliseconds and not seconds"),
        ("transaction", {"booked_at": 1_772_443_800_000_000}, "between 1900 and 2099"),
        ("account", {"opened_on": -(10**6) * 86_400_000}, "between 1900 and 2099"),
        ("transaction", {"booked_at": "2026-03-02T09:30Z"}, "without a time zone"),
        ("transaction", {"booked_at": "20260302"}, "YYYY-MM-DDTHH:MM:SS"),
        ("transaction", {"booked_at": "2026-02-30"}, "no date that exists"),
        ("transaction", {"category": "grocery"}, "one of salary"),
        ("transaction", {"counterparty": "\ud800"}, "not valid Unicode"),
        ("transaction", {"seq": 2**31}, "is not between 0 and"),
        ("transaction", {"arrived_at": "2026-03-02T09:31"}, "the log stamps it"),
        ("transaction", {"colour": "red"}, "a field that a transaction does not have"),
        ("due", {"due_on": "2026-03-02T09:30"}, "no midnight"),
        ("due", {"enough_minor": 6_000}, "more than the amount"),
        ("due", {"due_on": "2026-02-27"}, "announced after its date"),
        ("due", {"instalment": 0}, "is not between 1 and"),
        ("payment", {"due_on": "2026-03-02 00:00:01"}, "no midnight"),
        ("account", {"limit_minor": -1}, "is not between 0 and"),
    ],
)
def test_the_usual_mistakes_are_told_with_what_to_do(kind: str, row: dict, says: str) -> None:
    assert says in heard(plain(kind, **row))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "rumour"}, "use one of customer, account, due, transaction, payment"),
        ({"kind": ["due"]}, "its kind is not known"),
        ({"customer_id": "7"}, "customer_id"),
        ({"customer_id": True}, "customer_id"),
        ({"customer_id": -1}, "customer_id"),
        ({"source": ""}, "source is no name"),
        ({"source": " core"}, "source is no name"),
        ({"event_id": None}, "event_id is no name"),
        ({"event_id": "a\nb"}, "event_id is no name"),
        ({"row": []}, "row is no object"),
        ({"arrived_at": 1}, "a field that is not known"),
    ],
)
def test_what_stands_around_the_row_is_checked_too(change: dict, says: str) -> None:
    assert says in heard(plain("due") | change)


def test_a_due_that_has_ended_may_be_told_of_after_its_date() -> None:
    assert parse_event(plain("due", fact="waived", due_on="2026-01-02")).row["fact"] == "waived"


def test_a_time_is_the_same_in_each_of_its_forms() -> None:
    forms = ["2026-03-02", "2026-03-02T00:00", "2026-03-02 00:00:00", "2026-03-02T00:00:00.000", 1_772_409_600_000]
    assert {parse_event(plain("payment", paid_at=f)).row["paid_at"] for f in forms} == {1_772_409_600_000}
    early = parse_event(plain("account", opened_on="1955-01-01")).row["opened_on"]
    assert parse_event(plain("account", opened_on=early)).row["opened_on"] == early < 0


def test_an_event_without_an_id_gets_one_from_what_it_says_and_always_the_same() -> None:
    told = {k: v for k, v in plain("payment").items() if k != "event_id"}
    turned = {**told, "row": dict(reversed(told["row"].items()))}
    assert parse_event(told) == parse_event(turned)
    assert parse_event(told).event_id == "ba338977-6cfa-5682-a2f7-3a238c030abf"
    others = [told | {"source": "cards"}, told | {"customer_id": 8}, told | {"row": told["row"] | {"amount_minor": 1}}]
    assert len({parse_event(o).event_id for o in (told, *others)}) == 4


def test_partitions_stay_what_they_are() -> None:
    assert [partition_of(c) for c in (0, 1, 7, 2**63 - 1)] == [24, 56, 4, 6]


def test_each_row_of_a_batch_is_answered_in_its_place() -> None:
    found = parse_events([plain("due"), 7, plain("payment"), None])
    assert [type(f) for f in found] == [Event, SchemaError, Event, SchemaError]
    assert str(found[1]).startswith("event 1: ") and str(found[3]).startswith("event 3: ")


def told_of(kind: str, table: pd.DataFrame) -> list[dict]:
    "Rows of a table as a bank would tell them."
    times = [c for c in table if table[c].dtype.kind == "M"]
    text = table.assign(**{c: table[c].dt.strftime("%Y-%m-%dT%H:%M:%S.%f").str[:-3] for c in times})
    rows = json.loads(text.drop(columns="arrived_at", errors="ignore").to_json(orient="records", double_precision=0))
    return [{"kind": kind, "source": "world", "customer_id": r.pop("customer_id"), "row": r} for r in rows]


def test_every_row_of_a_simulated_world_is_a_good_event(world: Path, once: Callable) -> None:
    seen = 0
    for kind, table in KINDS.items():
        rows = disk.read(world / "raw", table.name)
        rows = rows[rows.customer_id < rows.customer_id.min() + 20]
        found = parse_events(told_of(kind, rows[table.names]))
        assert [str(f) for f in found if isinstance(f, SchemaError)][:3] == []
        seen += len(found)
    assert seen > 5_000
