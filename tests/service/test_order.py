"""The order of rows is not the order of events: an answer does not hang on it, or the request is refused."""

import json
from typing import Any

import numpy as np
import pytest
from served import example

from predelinquency.ground import dues
from predelinquency.ground.core import to_day
from predelinquency.service import contents, wire

RULE = dues.Rule(5, 100, 100)


def rows(table: dict[str, Any], order: np.ndarray) -> dict[str, Any]:
    "A table of a request with its rows in another order; words stay, what points at them moves."
    return {
        c: {"words": v["words"], "at": [v["at"][i] for i in order]} if isinstance(v, dict) else [v[i] for i in order]
        for c, v in table.items()
    }


def asked(**orders: Any) -> dict[str, Any]:
    body = example()
    for name, order in orders.items():
        n = len(body[name]["amount_minor"])
        body[name] = rows(body[name], order(n))
    return body


def tables(body: dict[str, Any]) -> dict[str, dict[str, list]]:
    found = contents.request_tables(wire.parse_request(json.dumps(body).encode()), RULE).tables
    return {
        name: {c: list(v.tolist() if hasattr(v, "tolist") else v) for c, v in t.items() if c != "row"}
        for name, t in found.items()
    }


def backwards(n: int) -> np.ndarray:
    return np.arange(n)[::-1]


def shuffled(n: int) -> np.ndarray:
    return np.random.default_rng(3).permutation(n)


def same(one: dict, other: dict) -> bool:
    return json.dumps(one, default=str) == json.dumps(other, default=str)


@pytest.mark.parametrize("name", ["transactions", "obligations", "payments"])
def test_a_table_that_runs_backwards_is_read_as_if_it_ran_forwards(name: str):
    assert same(tables(asked(**{name: backwards})), tables(example()))


@pytest.mark.parametrize("name", ["obligations", "payments"])
def test_rows_in_any_order_are_the_same_rows(name: str):
    assert same(tables(asked(**{name: shuffled})), tables(example()))


def test_shuffled_movements_are_read_by_their_numbers():
    body = example()
    body["transactions"]["seq"] = list(range(len(body["transactions"]["amount_minor"])))
    whole = tables(body)
    body["transactions"] = rows(body["transactions"], shuffled(len(body["transactions"]["amount_minor"])))
    assert same(tables(body), whole)


def test_numbers_that_run_against_time_are_refused_with_their_row():
    body = example()
    body["transactions"]["seq"] = list(range(len(body["transactions"]["amount_minor"])))[::-1]
    with pytest.raises(wire.Refused, match=r"transactions\.seq\.\d+: runs against booked_at"):
        tables(body)


def test_balances_decide_between_two_readings_of_one_moment():
    body = example()
    for c in body["transactions"]:
        body["transactions"][c] = {"words": [], "at": []} if isinstance(body["transactions"][c], dict) else []
    noon = "2025-05-01T12:00:00"
    body["transactions"] = dict(
        booked_at=[noon, noon, "2025-05-02"],
        amount_minor=[-3000, 1000, 500],
        category=["groceries", "refund", "refund"],
        balance_after_minor=[7000, 10000, 7500],
    )
    assert tables(body)["transactions"]["amount_minor"] == [1000, -3000, 500]
    body["transactions"]["balance_after_minor"] = [7000, 8000, 8500]
    assert tables(body)["transactions"]["amount_minor"] == [-3000, 1000, 500]


@pytest.mark.parametrize(
    ("changes", "overdue"),
    [
        (dict(payments=dict(obligation_id=[], instalment=[], paid_at=[], amount_minor=[])), True),
        (dict(payments=None), False),
        (dict(recorded_from="2025-06-30"), False),
    ],
    ids=["payments are recorded and none came", "payments are not recorded", "the record begins later"],
)
def test_what_nobody_could_have_seen_paid_is_unknown_and_what_was_never_paid_is_owed(changes: dict, overdue: bool):
    asked = wire.parse_request(json.dumps(example() | changes).encode())
    days = dict(grace_days=5, horizon_from_days=15, horizon_to_days=28)
    stood = contents.standing(contents.request_tables(asked, RULE).tables, to_day(asked.as_of), days)
    assert stood.overdue == overdue


def test_a_refusal_names_the_row_as_it_was_sent():
    body = example()
    last = len(body["obligations"]["amount_minor"]) - 1
    body["obligations"] = rows(body["obligations"], backwards(last + 1))
    body["obligations"]["due_on"][0] = "2020-01-01"
    with pytest.raises(wire.Refused, match=r"obligations\.announced_at\.0: is after due_on"):
        tables(body)
    body = example()
    body["transactions"]["transaction_id"] = [*range(len(body["transactions"]["amount_minor"]) - 1), 0]
    body["transactions"] = rows(body["transactions"], backwards(len(body["transactions"]["transaction_id"])))
    with pytest.raises(
        wire.Refused, match=rf"transactions\.transaction_id\.{len(body['transactions']['transaction_id']) - 1}"
    ):
        tables(body)


def test_a_due_is_not_moved_into_the_past():
    body = example()
    d = {c: v["words"][v["at"][0]] if isinstance(v, dict) else v[0] for c, v in body["obligations"].items()}
    n = len(body["obligations"]["amount_minor"])
    plain = {c: [v["words"][i] for i in v["at"]] if isinstance(v, dict) else v for c, v in body["obligations"].items()}
    moved = d | dict(announced_at="2025-06-20", due_on="2025-06-01")
    body["obligations"] = {c: [*v, moved[c]] for c, v in plain.items()} | {"fact": ["announced"] * n + ["moved"]}
    with pytest.raises(wire.Refused, match=rf"obligations\.announced_at\.{n}: is after due_on"):
        tables(body)
