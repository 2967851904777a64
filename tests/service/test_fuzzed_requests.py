"""Requests with mistakes at random: answered, or refused with the field and a remedy, by the engine and on the command line."""

import json
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from mistakes import NUMBERS, TEXTS, damaged, odd_texts, odd_values, sweep, with_mistakes
from served import example
from typer.testing import CliRunner

from predelinquency.ops import cli
from predelinquency.service import scoring, wire

pytestmark, LONG = pytest.mark.slow, pytest.mark.long
DAYS = ("1970-01-01", "2099-12-31", "2024-02-30", "2025-06-31", "2025-07-01", "2025-06-30", "1969-12-31", "2100-01-01")
TIMES = (*DAYS, "2025-06-30T23:59:59.999", "2025-06-30 12:00", "2025-06-30T24:00:00", "2025-03-30T01:30:00", "1970-01-01T00:00:00",
"2025-06-30T10:00:00Z")  # fmt: skip
ZONES = ("Europe", "Europe/London", "/etc/passwd", "../x", "x" * 200, "localtime", "Factory", "UTC", "\0", "é", "Etc/GMT+14", "Pacific/Apia",
"zone.tab", ".", "right/UTC")  # fmt: skip


def shortened(body: dict[str, Any], rows: int) -> dict[str, Any]:
    "The same request with the last rows of each table."
    tables = {name: t for name, t in body.items() if isinstance(t, dict) and name != "circumstances"}

    def plain(column: Any) -> list[Any]:
        return [column["words"][i] for i in column["at"]] if isinstance(column, dict) else column

    return body | {name: {c: plain(v)[-rows:] for c, v in t.items()} for name, t in tables.items()}


def likely(way: tuple[Any, ...]) -> tuple[Any, ...]:
    "What might be sent by mistake at a place of a request."
    name = next((str(key) for key in reversed(way) if isinstance(key, str)), "")
    if name == "time_zone":
        return ZONES
    if name.endswith(("_on", "_at", "as_of", "_from")) and name != "arrived_after_ms":
        return (
            TIMES
            if isinstance(way[-1], int) or name in ("as_of", "joined_on", "recorded_from")
            else (list(TIMES), [], {}, TIMES[0])
        )
    if name == "holidays":
        return ("ECB", "GB-ENG", "US", "XX", "", "none", "__init__", "GB-", "JP", "DE-BY", "\0")
    return (
        NUMBERS
        if isinstance(way[-1], int)
        else ([], {}, {"words": [], "at": []}, {"words": [1], "at": [0, 5]}, [None], [1] * 30, *NUMBERS, *TEXTS[:30])
    )


FURTHER: dict[str, tuple[Any, ...]] = {
    "holidays": ("ECB", "GB-ENG", "XX", "none", 5),
    "recorded_from": TIMES,
    "joined_on": TIMES,
    "as_of": TIMES,
    "time_zone": ZONES,
    "source_id": TEXTS,
    "features": (True, 1, "yes"),
    "currency": ("JPY", "KWD", "XXX", "gbp", None),
    "preferences": ([], [{"channel": "app", "purpose": "service"}] * 2, [{"channel": "app", "purpose": "marketing", "recorded_at": "2025-02-30"}], {},
        [None]),
    "contacts": ([], [{"contacted_at": "2025-02-30", "direction": "in", "channel": "app"}], [{"contacted_at": "2099-01-01", "direction": "out",
        "channel": "call", "action": "x", "answered": False}]),
    "circumstances": ({}, {"dispute": True}, {"dispute": 1}, None, []),
    "requests": ([], [{}], [{"customer_id": 1}], None, "x"),
}  # fmt: skip


@st.composite
def rows_that_lie(draw: st.DrawFn, body: dict[str, Any]) -> dict[str, Any]:
    "Columns of the right kind whose values contradict each other: times out of order, ids twice, amounts turned."
    for _ in range(draw(st.integers(1, 3))):
        table = body[
            draw(st.sampled_from([t for t in ("transactions", "obligations", "payments", "accounts") if body.get(t)]))
        ]
        name = draw(st.sampled_from(sorted(table)))
        column = table[name]
        n = len(column)
        if not n:
            continue
        at, kind = (
            draw(st.integers(0, n - 1)),
            draw(st.sampled_from(["same", "swap", "times", "turn", "none", "lost", "few", "big"])),
        )
        if kind == "same":
            table[name] = [column[at]] * n
        elif kind == "swap":
            table[name] = column[::-1]
        elif kind == "turn" and all(isinstance(v, int) for v in column):
            table[name] = [-v for v in column]
        elif kind == "none":
            column[at] = None
        elif kind == "lost":
            del table[name]
        elif kind == "few":
            for other in table:
                table[other] = table[other][:at]
        elif kind == "big" and all(isinstance(v, int) for v in column):
            column[at] = draw(st.sampled_from([10**12, 10**12 - 1, -(10**12), 2**31 - 1, 2**53, 2**63 - 1, 0, 1]))
        elif kind == "times":
            column[at] = draw(st.sampled_from(TIMES))
    further = draw(st.sampled_from([None, "takes_back", "payment_id", "instalment", "fact", "seq"]))
    if further == "fact" and "obligations" in body:
        n = len(next(iter(body["obligations"].values()), []))
        body["obligations"]["fact"] = draw(
            st.lists(st.sampled_from(["announced", "moved", "cancelled", "waived", "unseen"]), min_size=n, max_size=n)
        )
    elif further == "seq" and "transactions" in body:
        body["transactions"]["seq"] = [*range(len(next(iter(body["transactions"].values()), [])))][
            :: draw(st.sampled_from([1, -1]))
        ]
    elif further and body.get("payments"):
        n = len(next(iter(body["payments"].values()), []))
        body["payments"][further] = draw(st.lists(st.none() | st.integers(1, 4), min_size=n, max_size=n))
    return body


@st.composite
def requests(draw: st.DrawFn, bodies: list[str]) -> bytes:
    "A body with mistakes."
    body = json.loads(draw(st.sampled_from(bodies)))
    kind = draw(st.sampled_from(["tree"] * 4 + ["more"] * 2 + ["lies"] * 3 + ["bytes"] * 2 + ["odd"]))
    if kind == "bytes":
        return draw(damaged(json.dumps(body).encode()))
    if kind == "odd":
        body = draw(odd_values)
    elif kind == "lies":
        body = draw(rows_that_lie(body))
    elif kind == "more":
        for key in draw(st.lists(st.sampled_from(sorted(FURTHER)), min_size=1, max_size=3)):
            body[key] = draw(st.sampled_from(FURTHER[key]))
        if draw(st.integers(0, 3)) == 0:
            body[draw(odd_texts)] = draw(odd_values)
    else:
        body = draw(with_mistakes(body, likely))
    if draw(st.integers(0, 5)) == 0:
        body = {"requests": [body] * draw(st.integers(0, 2))}
    return json.dumps(body, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


def refused(ask: Any, *asked: Any) -> bool:
    "Whether a request is refused; with the field and what to do where it is. Anything else breaks the test."
    try:
        ask(*asked)
    except wire.Refused as e:
        assert e.status in (404, 422) and e.where and e.remedy and e.detail and e.errors, e
        assert all(field and problem for field, problem in e.errors), e.errors
        return True
    return False


@pytest.mark.parametrize("examples", [250, pytest.param(10_000, marks=LONG)])
def test_a_request_with_mistakes_is_answered_or_refused(examples: int, trained: Path, tmp_path: Path) -> None:
    engine, count = scoring.load_scoring(trained / "model"), 0
    bodies = [json.dumps(shortened(example(), rows)) for rows in (1, 6, 12)]
    bodies.append(json.dumps(json.loads(bodies[1]) | {"payments": None, "accounts": None}))
    path = tmp_path / "request.json"

    def answered(body: bytes) -> None:
        plain = json.loads(body) if body[:12] == b'{"requests":' else None
        for one in wire.parse_batch(body).requests if plain else [wire.parse_request(body)]:
            answer = engine.score(one)
            assert (
                0 <= answer.probability <= 1 if answer.eligible else answer.probability is None
            ) and answer.model_dump_json()

    def holds(body: bytes) -> None:
        nonlocal count
        count += 1
        no = refused(answered, body)
        refused(scoring.check_requests, engine, body)
        if count % 10 == 0:
            path.write_bytes(body)
            command = (
                ["check", str(path), "--root", str(trained)]
                if count % 20
                else ["score", "--file", str(path), "--root", str(trained)]
            )
            said = CliRunner().invoke(cli.app, [*command, *["--json"][count % 30 == 0 :]])
            assert said.exit_code in (0, 1) and isinstance(said.exception, SystemExit | None), said.exception
            assert "Traceback" not in said.output and "nobody foresaw" not in said.output, said.output
            assert not (no and said.exit_code == 0 and command[0] == "score"), said.output
            assert said.exit_code == 0 or "to fix" in said.output or "refuse" in said.output, said.output
        assert {p.name for p in tmp_path.iterdir()} <= {"request.json"}

    sweep(examples, requests(bodies), holds)
