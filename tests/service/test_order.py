"""The order of rows is not the order of events: an answer does not hang on it, or the request is refused."""

import json
from typing import Any

import numpy as np
import pytest
from served import example

from predelinquency.ground import dues
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
    found = contents.request_tables(wire.parse_request(json.dumps(body).encode()), RULE)
    return {
        name: {c: list(v.tolist() if hasattr(v, "tolist") else v) for c, v in t.items()} for name, t in found.items()
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
