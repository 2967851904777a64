"""What the service answers and what it refuses, without a server."""

import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import numpy as np
import pandas as pd
import pytest
from books import reminding
from served import HEADERS, KEY, Bank, example, said

from predelinquency.decide import engine
from predelinquency.features import catalogue
from predelinquency.ground import ledger as ground_ledger
from predelinquency.ground import dues, params, records
from predelinquency.ground.core import PredelinquencyError, StoreError
from predelinquency.model import champion
from predelinquency.reasons import tables
from predelinquency.service import bento, columns, contents, wire
from predelinquency.service import client as service_client
from predelinquency.service import desk as service_desk
from predelinquency.service import http as service_http
from predelinquency.service import reply
from predelinquency.service import scoring as service_scoring
from predelinquency.service import verdicts as service_verdicts

RULE = dues.Rule(5, 100, 100)
CANARY = "Xanthippe-31415926"
BOOKED = "transactions.booked_at"


@pytest.fixture(scope="session")
def bank(trained: Path) -> Bank:
    return Bank(trained)


@pytest.fixture(scope="session")
def ledger(trained: Path, once: Callable[..., Path]) -> str:
    "A ledger that holds the latest snapshot."

    def url(folder: Path) -> str:
        return f"sqlite:///{folder}/ledger.db"

    return url(once("service_ledger", lambda folder: service_verdicts.record(trained, url(folder))))


@pytest.fixture(scope="session")
def scoring(trained: Path, ledger: str) -> service_scoring.Scoring:
    return service_scoring.load_scoring(trained / "model", ledger)


@pytest.fixture(scope="session")
def desk(scoring: service_scoring.Scoring) -> service_desk.Desk:
    return service_desk.Desk(KEY, scoring, ready=True)


class Here:
    "The routes in this process."

    def __init__(self, desk: service_desk.Desk, client: tuple[str, int] = ("10.1.2.3", 5), host: str = "localhost"):
        self.transport, self.url = (
            httpx.ASGITransport(service_http.app(desk), raise_app_exceptions=False, client=client),
            f"http://{host}",
        )

    def __call__(self, method: str, path: str, content: Any = None, headers: Any = None) -> httpx.Response:
        import asyncio

        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self.transport, base_url=self.url) as http:
                return await http.request(
                    method, path, content=content, headers=HEADERS if headers is None else headers
                )

        return asyncio.run(ask())

    def post(self, body: Any, path: str = "/v1/score", **more: Any) -> httpx.Response:
        return self("POST", path, body if isinstance(body, bytes) else said(body), **more)


@pytest.fixture(scope="session")
def here(desk: service_desk.Desk) -> Here:
    return Here(desk)


def with_(path: str, value: Any) -> dict[str, Any]:
    "The example with something else at a dotted path."
    body = example()
    at: Any = body
    *way, last = path.split(".")
    for step in way:
        at = at[int(step) if isinstance(at, list) else step]
    at[int(last) if isinstance(at, list) else last] = value
    return body


# --- the same everywhere


@pytest.fixture(scope="module")
def answers(bank: Bank, scoring: service_scoring.Scoring) -> dict[int, Any]:
    "What every scored customer's history is answered with."
    return {int(c): scoring.score(wire.parse_request(said(bank.request(int(c))))) for c in bank.scored.index}


def test_a_request_gets_the_probability_of_the_nightly_run_to_the_last_bit(bank: Bank, answers: dict[int, Any]) -> None:
    for customer, row in bank.scored.iterrows():
        answer, said_then = answers[int(customer)], (row.probability, row.margin) if row.eligible else (None, None)
        assert (answer.probability, answer.margin, answer.eligible) == (*said_then, row.eligible), customer


def test_a_request_gets_the_reasons_of_the_nightly_run(answers: dict[int, Any], trained: Path) -> None:
    for score in tables.scores(trained):
        answer = answers[score.customer_id]
        assert [(r.feature, r.contribution, r.analyst, r.customer) for r in answer.reasons] == [
            (r.feature, r.contribution, r.analyst, r.customer) for r in score.reasons
        ]
        assert answer.feature_hash == score.feature_hash


def test_a_request_gets_the_decision_of_the_nightly_plan_but_for_its_capacity(
    bank: Bank, answers: dict[int, Any]
) -> None:
    for decision in engine.decisions(bank.plan.reset_index()):
        answer = answers[decision.customer_id].decision
        if decision.rule == "capacity":
            continue
        assert (answer.action, answer.channel, answer.message, answer.rule, answer.decided_at) == (
            decision.action,
            decision.channel,
            decision.message,
            decision.rule,
            decision.decided_at,
        )
        assert [(r.rule, r.action, r.channel) for r in answer.refusals] == [
            (r.rule, r.action, r.channel) for r in decision.refusals
        ]


def test_the_due_and_the_overdue_are_those_of_the_tables(bank: Bank, settings: params.Params) -> None:
    "The one thing the service works out for one customer that the nightly run works out for all: against both of its versions."
    from predelinquency.model import labels

    base = vars(settings.base)
    for as_of in pd.to_datetime(bank.as_of) - pd.to_timedelta([0, 100], unit="D"):
        spine = pd.DataFrame(dict(customer_id=bank.tables["customers"].customer_id[:200], as_of=as_of))
        coming = engine.coming(bank.tables["obligations"], bank.tables["payments"], as_of, 15, 28).set_index(
            "customer_id"
        )
        overdue = labels.look(spine, bank.tables["obligations"], bank.tables["payments"], settings.base)[0][:, 0] == 1
        for customer, late in zip(spine.customer_id, overdue, strict=True):
            found = contents.request_tables(
                wire.parse_request(said(bank.request(int(customer), str(as_of.date())))), RULE
            ).tables
            stood = contents.standing(found, as_of.to_datetime64().astype("datetime64[D]").astype(int), base)
            row, is_late = stood.row, stood.overdue
            due = (
                (found["obligations"]["obligation_id"][row], found["obligations"]["instalment"][row])
                if row >= 0
                else None
            )
            assert is_late == late and due == (
                (coming.obligation_id[customer], coming.instalment[customer]) if customer in coming.index else None
            ), customer


def test_over_http_an_answer_is_the_one_of_the_engine(here: Here, scoring: service_scoring.Scoring) -> None:
    assert here.post(example()).json() == scoring.score(wire.parse_request(said(example()))).model_dump()


def test_a_batch_answers_each_as_if_it_were_alone(here: Here, bank: Bank) -> None:
    asked = [a for a in (bank.request(int(c)) for c in bank.scored.index[:20]) if len(said(a)) <= wire.SINGLE_BYTES][
        :5
    ] + [example()]
    assert here.post({"requests": asked}, "/v1/score/batch").json()["answers"] == [here.post(a).json() for a in asked]


def test_a_known_customer_gets_what_was_recorded_and_it_is_what_would_be_computed(
    scoring: service_scoring.Scoring, bank: Bank
) -> None:
    for customer in bank.plan.index[:50]:
        known, fresh = (
            scoring.score(wire.parse_request(said(body))).model_dump()
            for body in ({"customer_id": int(customer)}, bank.request(int(customer)))
        )
        if bank.plan.rule[customer] != "capacity":
            there = dict(source="", quality=None, dues=[], changes=None)
            assert {**known, **there} == {**fresh, **there}


def test_recording_again_adds_nothing(trained: Path, ledger: str, bank: Bank) -> None:
    assert service_verdicts.record(trained, ledger) == dict(
        as_of=bank.as_of, scores=0, decisions=0, stood=0, cases=0, of=len(bank.plan)
    )


def test_eighteen_months_of_900_transactions_fit_in_one_request(bank: Bank) -> None:
    counts = bank.tables["transactions"].groupby("customer_id").size()
    close = counts[(counts > 700) & (counts <= 900)].index[:20]
    sizes = [len(said(bank.request(int(c)))) * 900 / counts[c] for c in close]
    assert len(close) >= 5 and np.median(sizes) <= wire.SINGLE_BYTES, sizes


def test_defaults_say_what_they_stand_for(scoring: service_scoring.Scoring) -> None:
    body = example()
    moves, n = body["transactions"], len(body["transactions"]["amount_minor"])
    explicit = with_(
        "transactions",
        {**moves, "seq": list(range(n)), "transaction_id": list(range(n)), "account_id": _plain(moves["account_id"])},
    )
    assert scoring.score(wire.parse_request(said(explicit))) == scoring.score(wire.parse_request(said(body)))


def _plain(column: Any) -> list[Any]:
    return [column["words"][i] for i in column["at"]] if isinstance(column, dict) else column


def test_coded_words_are_the_words(scoring: service_scoring.Scoring) -> None:
    body = example()
    plain = {k: _plain(v) for k, v in body["transactions"].items()}
    assert scoring.score(wire.parse_request(said({**body, "transactions": plain}))) == scoring.score(
        wire.parse_request(said(body))
    )


def test_features_come_when_asked_for(here: Here) -> None:
    assert here.post(example()).json()["features"] is None
    assert len(here.post({**example(), "features": True}).json()["features"]) == len(catalogue.BY_NAME)


def test_nobody_is_proposed_anything_while_an_older_payment_is_open(here: Here) -> None:
    body = example()
    body["payments"] = {
        k: {**v, "at": v["at"][:3]} if isinstance(v, dict) else v[:3] for k, v in body["payments"].items()
    }
    answer = here.post(body).json()
    assert answer["eligible"] is False and answer["decision"] is None


def test_what_is_not_known_stops_a_message(scoring: service_scoring.Scoring, bank: Bank) -> None:
    here = Here(service_desk.Desk(KEY, replace(scoring, book=reminding()), ready=True))
    riskiest = bank.scored.sort_values("probability", ascending=False).index[:40]
    small = (body for body in map(bank.request, riskiest) if len(said(body)) < wire.SINGLE_BYTES)
    asked = next(body for body in small if (here.post(body).json()["decision"] or {}).get("message"))
    for left_out, rule in (
        ("preferences", "consent"),
        ("circumstances", "circumstances_known"),
        ("contacts", "contact_history_known"),
        ("time_zone", "time_zone_known"),
        ("source_id", "identity_known"),
    ):
        decision = here.post({k: v for k, v in asked.items() if k != left_out}).json()["decision"]
        assert decision["message"] == "" and rule in [r["rule"] for r in decision["refusals"]], left_out


def test_the_model_says_what_it_is(here: Here, scoring: service_scoring.Scoring, trained: Path) -> None:
    about = here("GET", "/v1/model").json()
    manifest = champion.read_manifest(champion.in_use(trained / "model"))
    assert (
        about["model_version"] == manifest["version"] != about["judged_as"] == manifest["judged_as"]
        and about["features"] == manifest["features"]
        and about["data"] == manifest["data"]
    )
    assert about["metrics"] == json.loads((trained / "reports/metrics.json").read_text())["headline"]
    assert about["policy_version"] == scoring.book.version and about["calibration"]["kind"]


# --- the quick way and the strict one


def arrays(found: Any) -> Any:
    "Tables as plain lists, whichever way they were read."
    if isinstance(found, dict):
        return {k: arrays(v) for k, v in found.items()}
    plain = found if isinstance(found, list) else found.tolist()
    return [None if v is None or v != v else v for v in plain]


def word_by_word() -> Any:
    return mock.patch.object(columns, "_read_column", lambda values, read, strictly: strictly(values))


def told(body: bytes, read: Callable[[bytes], Any] = wire.parse_request) -> Any:
    "What is made of a body: tables and the rest, or what is refused."
    try:
        asked = read(body)
        return (
            (arrays(contents.request_tables(asked, RULE).tables), asked.model_dump(exclude={*contents._MODELS}))
            if isinstance(asked, wire.History)
            else asked
        )
    except wire.Refused as e:
        return e.status, e.detail, e.errors


def both(body: bytes, read: Callable[[bytes], Any] = wire.parse_request) -> tuple[Any, Any]:
    "The same with columns at once and word by word."
    quick = told(body, read)
    with word_by_word():
        return quick, told(body, read)


def test_what_is_usual_is_read_at_once(bank: Bank) -> None:
    "Else the strict way would do all the work, and nobody would see it but the clock."
    read = columns._read_column
    with mock.patch.object(
        columns,
        "_read_column",
        lambda values, at_once, strictly: read(values, at_once, lambda _: pytest.fail("read word by word")),
    ):
        for customer in bank.scored.index[:40]:
            wire.parse_request(said(bank.request(int(customer))))
        wire.parse_batch(said({"requests": [example(), {"customer_id": 3}]}))


def test_both_ways_of_reading_give_the_same_tables(bank: Bank) -> None:
    for customer in bank.scored.index[:40]:
        quick, strict = both(said(bank.request(int(customer))))
        assert quick == strict


TIMES = [
    "2024-02-29",
    "2024-02-29T23:59",
    "2024-02-29 23:59:59.7",
    "2024-02-29T00:00:00.12",
    "2024-02-29T00:00:00.123",
    "1970-01-01",
    "2099-12-31T23:59:59.999",
]
NO_TIMES = [
    "2023-02-29",
    "2024-02-30",
    "2024-13-01",
    "2024-00-10",
    "2024-04-31",
    "1969-12-31",
    "2100-01-01",
    "2024-02-29T24:00",
    "2024-02-29T23:60",
    "2024-02-29T23:59:60",
    "2024-02-29T23:59:59.",
    "2024-02-29T23:59:59.1234",
    "2024-02-29t23:59",
    "2024-02-29T23",
    "2024-2-29",
    "2024-02-29\n",
    "2024-02-29\n2024-03-01",
    "٢٠٢٤-02-29",
    "",
    "NaT",
    "now",
    "2024/02/29",
    None,
    5,
    True,
    ["2024-02-29"],
]
# fmt: off
ODD: dict[str, list[Any]] = {
    "booked_at": [*TIMES, *NO_TIMES],
    "amount_minor": [0, -0.0, 3.0, 3.5, True, None, "3", 10**12, -10**12, 10**12 + 1, 2**63, -2**63, 10**30, 1e12, 1e300],
    "arrived_after_ms": [0, -1, 10**11, 10**11 + 1, 1.0, None],
    "balance_after_minor": [None, 0, 5.0, 10**12, -10**12 - 1, False, "", [], 2**53 + 1], "category": ["groceries", "yachts", None, 3, "", True, ["groceries"]],
    "counterparty": [None, "", "x", "x" * 200, "x" * 201, 5, "é" * 200, "\0"],
    "account_id": [0, 2**63 - 1, 2**63, -1, 1.0, True, None, "7"], "seq": [0, 2**31 - 1, 2**31, -1, 2.0, False],
    "due_on": ["2024-02-29", "2024-02-29T00:00", "2024-02-30", "", None], "autopay": [True, 1, 0.0, None, "true"],
    "instalment": [1, 0, 2.0, 2**31], "limit_minor": [None, -1, 0, 5.0, 10**12 + 1], "kind": ["rent", "savings", "Rent", None], "transaction_id": [1, -1, 2**63 - 1, 2**63, 1.5], "status": ["booked", "gone", None],
}
# fmt: on


def test_both_ways_of_reading_agree_on_what_nobody_sends() -> None:
    "Every odd value in every column of its name, plain and coded; columns that are no columns; and what stands around them."
    plain = {**example(), **{name: {c: _plain(v) for c, v in example()[name].items()} for name in contents._MODELS}}
    bodies = [
        {
            **plain,
            name: {
                **plain[name],
                column: [value, *(plain[name].get(column) or [value] * len(next(iter(plain[name].values()))))[1:]],
            },
        }
        for name, kind in contents._MODELS.items()
        for column in kind.model_fields
        for value in ODD.get(column, [])
    ]
    bodies += [
        {**plain, name: {**plain[name], column: value}}
        for name, kind in contents._MODELS.items()
        for column in kind.model_fields
        for value in (
            None,
            [],
            {},
            "x",
            3,
            [[]],
            [1] * (columns.MOST_ROWS + 1),
            {"words": [], "at": []},
            {"words": ["a"], "at": [0]},
            {"words": [None], "at": [0, -1]},
            {"words": [1, 2.0], "at": [1, 0.0]},
            {"words": [1], "at": [True]},
            {"words": [1], "at": [0], "x": 1},
        )
    ]
    bodies += [
        {**plain, name: value}
        for name in wire.History.model_fields
        for value in (None, {}, [], 0, "", "x", True, {"customer_id": 1}, [{"channel": "sms"}], "2025-02-30", 2.0)
    ]
    bodies += [{k: v for k, v in plain.items() if k != name} for name in plain] + [
        plain | {"as_of": as_of} for as_of in ("1970-01-01", "2024-12-31", "2099-12-31")
    ]
    differ, quick_ones = [], 0
    for body in map(said, bodies):
        quick, strict = both(body)
        quick_ones += strict[0] != 422
        if quick != strict:
            differ.append(body[:120])
    assert not differ and len(bodies) > 700 and 50 < quick_ones < len(bodies) - 400, (
        len(differ),
        differ[:3],
        len(bodies),
        quick_ones,
    )


SHORT = [
    b"null",
    b"[]",
    b"3",
    b"{}",
    b'{"requests":[]}',
    b'{"requests":[{"customer_id":1}]}',
    b'{"requests":[{"customer_id":1.0}],"x":1}',
    b'{"customer_id":1,"customer_id":2}',
    b'{"customer_id":1e0}',
    b'{"customer_id":NaN}',
    b'{"customer_id":1,"as_of":"2025-02-30"}',
    b"\xef\xbb\xbf{}",
    b'{"customer_id":1}x',
    b'{"customer_id":"\\ud800"}',
    b'{"requests":3}',
    b'{"requests":[null]}',
    b'{"requests":' + b"[" * 500,
]


@pytest.mark.parametrize("raw", SHORT)
def test_both_ways_of_reading_agree_on_short_bodies(raw: bytes) -> None:
    for read in (wire.parse_request, wire.parse_batch):
        quick, strict = both(raw, read)
        assert quick == strict


# --- refusals

FUTURE = "2025-07-01T00:00:00"
BAD = {  # sentence → (body, field that is named)
    "a transaction of the future": (lambda: with_("transactions.booked_at.7", FUTURE), "transactions.booked_at.7"),
    "a day that no calendar has": (lambda: with_("transactions.booked_at.3", "2025-02-30"), "transactions.booked_at.3"),
    "no day at all": (lambda: with_("as_of", "tomorrow"), "as_of"),
    "a payment that arrives before it is paid": (lambda: with_("payments", _early()), "payments.arrived_at.0"),
    "a due that is announced after as_of": (lambda: with_(_coming(), FUTURE), "obligations.announced_at"),
    "the same transaction twice": (
        lambda: with_(
            "transactions",
            {**example()["transactions"], "transaction_id": [5] * len(example()["transactions"]["amount_minor"])},
        ),
        "transactions.transaction_id.1",
    ),
    "the same due twice": (
        lambda: (
            with_("obligations.instalment.1", example()["obligations"]["instalment"][0])
            if _same_obligation()
            else with_("obligations", _doubled())
        ),
        "obligations.instalment",
    ),
    "an unknown category": (lambda: with_("transactions.category.words.0", "yachts"), "transactions.category"),
    "an unknown category in plain words": (
        lambda: with_("transactions.category", ["yachts"] * len(example()["transactions"]["amount_minor"])),
        "transactions.category.0",
    ),
    "an unknown field": (lambda: {**example(), "shoe_size": 44}, "shoe_size"),
    "a negative limit": (lambda: with_("accounts.limit_minor.0", -1), "accounts.limit_minor.0"),
    "an instalment before the first": (lambda: with_("obligations.instalment.0", 0), "obligations.instalment.0"),
    "a truth instead of a number": (lambda: with_("transactions.amount_minor.2", True), "transactions.amount_minor.2"),
    "half a penny": (lambda: with_("transactions.amount_minor.2", 10.5), "transactions.amount_minor.2"),
    "more money than there is": (lambda: with_("transactions.amount_minor.2", 10**30), "transactions.amount_minor.2"),
    "columns of different length": (lambda: with_("transactions.amount_minor", [1, 2]), "transactions.amount_minor"),
    "a word that points nowhere": (lambda: with_("transactions.category.at.0", 10**6), "transactions.category"),
    "a missing table": (lambda: {k: v for k, v in example().items() if k != "obligations"}, "obligations"),
    "a list instead of an object": (lambda: [1], "body"),
    "an amount in words": (lambda: with_("transactions.amount_minor.0", "12"), "transactions.amount_minor.0"),
    "two words about one channel and purpose": (
        lambda: with_("preferences", [_word(False, "2025-06-20"), _word(True, "2024-01-01")]),
        "preferences.1",
    ),
    "an id with a blank before it": (lambda: with_("source_id", " " + example()["source_id"]), "source_id"),
    "an id with a blank behind it": (lambda: with_("source_id", example()["source_id"] + " "), "source_id"),
    "an id with a line end": (lambda: with_("source_id", example()["source_id"] + "\n"), "source_id"),
    "an id with what nobody sees": (lambda: with_("source_id", example()["source_id"] + "\u200b"), "source_id"),
    "an id of blanks": (lambda: with_("source_id", "  "), "source_id"),
    "a recorded day that no calendar has": (lambda: {"customer_id": 1, "as_of": "2025-02-31"}, "as_of"),
    "two ways to say when it arrived": (
        lambda: with_("transactions.arrived_at", example()["transactions"]["booked_at"]),
        "transactions.arrived_after_ms",
    ),
}


def _word(consent: bool, at: str) -> dict[str, Any]:
    return dict(channel="app", purpose="support", consent=consent, recorded_at=at)


def _same_obligation() -> bool:
    ids = example()["obligations"]["obligation_id"]
    return len(set((ids["at"] if isinstance(ids, dict) else ids)[:2])) == 1


def _coming() -> str:
    "Where a due that is still ahead was announced."
    return f"obligations.announced_at.{next(i for i, day in enumerate(example()['obligations']['due_on']) if day > FUTURE)}"


def _early() -> dict[str, Any]:
    return {k: v for k, v in example()["payments"].items() if k != "arrived_after_ms"} | {
        "arrived_at": ["2020-01-01"] * len(example()["payments"]["paid_at"])
    }


def _doubled() -> dict[str, Any]:
    return {
        k: {**v, "at": v["at"] + v["at"][:1]} if isinstance(v, dict) else v + v[:1]
        for k, v in example()["obligations"].items()
    }


@pytest.mark.parametrize("what", BAD)
def test_a_bad_request_is_refused_and_the_field_is_named(here: Here, what: str) -> None:
    body, field = BAD[what]
    refused = here.post(body())
    assert refused.status_code == 422 and refused.headers["content-type"] == "application/problem+json"
    named = [e["field"] for e in refused.json()["errors"]]
    assert any(f == field or f.startswith(f"{field}.") for f in named), refused.json()


RAW = {
    "truncated": said(example())[:-40],
    "nothing": b"",
    "no JSON": b"<xml/>",
    "NaN": said(example()).replace(b'"instalment":[1', b'"instalment":[NaN'),
    "infinity": said(example()).replace(b'"instalment":[1', b'"instalment":[1e999'),
    "a lone surrogate": said(example()).replace(b'"Europe/London"', b'"\\ud800"'),
    "no UTF-8": said(example()).replace(b"Europe/London", b"Europe/\xff\xfe"),
    "a huge integer": said(example()).replace(b'"instalment":[1', b'"instalment":[' + b"9" * 5000),
    "deep nesting": b"[" * 30_000,
    "a NUL": said(example()).replace(b"Europe/London", b"Europe\x00"),
}


@pytest.mark.parametrize("what", RAW)
def test_a_broken_body_is_refused(here: Here, what: str) -> None:
    refused = here.post(RAW[what])
    assert refused.status_code == 422 and refused.json()["errors"], refused.text


# fmt: off
TWICE = { # what stands there → (what is put in its place, field that is named)
    "a circumstance": (b'"bereavement":false', b'"bereavement":true,"bereavement":false', "bereavement"), "apart": (b'"bereavement":false', b'"bereavement" \n:\t true, "bereavement"  : false', "bereavement"),
    "escaped": (b'"bereavement":false', b'"b\\u0065reavement":true,"bereavement":false', "bereavement"), "a column": (b'"due_on":', b'"due_on":[],"due_on":', "due_on"),
    "an object": (b'"circumstances":', b'"circumstances":{"vulnerable":true},"circumstances":', "circumstances"), "the words of a column": (b'"words":', b'"words":[],"words":', "words"),
    "a huge number": (b'"customer_id":', b'"customer_id":' + b"9" * 30 + b',"customer_id":', "customer_id"),
    "beside a text that looks like a key": (b'"bereavement":false', b'"bereavement":true,"bereavement":false', "bereavement"),
}
# fmt: on


@pytest.mark.parametrize("what", TWICE)
def test_a_key_that_stands_twice_is_refused_and_named(here: Here, what: str) -> None:
    old, new, field = TWICE[what]
    body = said(
        {
            **example(),
            "contacts": [
                dict(
                    contacted_at="2020-01-01",
                    direction="out",
                    channel="app",
                    action='":' if "looks" in what else "reminder",
                )
            ],
        }
    )
    assert old in body and here.post(body).status_code == 200
    for path, sent in (
        ("/v1/score", body.replace(old, new, 1)),
        ("/v1/score/batch", b'{"requests":[%b,%b]}' % (body, body.replace(old, new, 1))),
    ):
        refused = here.post(sent, path)
        assert refused.status_code == 422 and [e["field"] for e in refused.json()["errors"]] == [field], refused.text


def test_keys_are_counted_without_a_second_reading(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(wire.json, "loads")
    for customer in bank.scored.index[:40]:
        assert wire.parse_request(said(bank.request(int(customer))))


def test_another_day_of_a_known_customer_is_what_is_not_known(here: Here, bank: Bank) -> None:
    customer = int(bank.plan.index[0])
    assert here.post({"customer_id": customer, "as_of": bank.as_of}).status_code == 200
    for asked, field in (
        ({"customer_id": customer, "as_of": "2019-01-01"}, "as_of"),
        ({"customer_id": 10**9, "as_of": "2019-01-01"}, "customer_id"),
    ):
        refused = here.post(asked)
        assert (refused.status_code, [e["field"] for e in refused.json()["errors"]]) == (404, [field])


def test_a_whole_number_with_a_point_is_a_whole_number(here: Here) -> None:
    body = example()
    assert here.post({**body, "customer_id": float(body["customer_id"])}).json() == here.post(body).json()


@pytest.mark.parametrize(
    ("status", "ask"),
    [
        (401, lambda h: h.post(example(), headers={**HEADERS, "Authorization": "Bearer wrong-key-wrong-key"})),
        (401, lambda h: h.post(example(), headers={"Content-Type": "application/json"})),
        (401, lambda h: h.post(example(), headers={**HEADERS, "Authorization": f"Basic {KEY}"})),
        (401, lambda h: h("GET", "/v1/model", headers={})),
        (
            401,
            lambda h: h.post(
                example(), headers=[(b"content-type", b"application/json"), (b"authorization", b"Bearer \xff\xfe")]
            ),
        ),
        (404, lambda h: h.post({"customer_id": 10**9})),
        (404, lambda h: h.post({"customer_id": 0, "as_of": "1999-01-01"})),
        (404, lambda h: h("GET", "/v2/score")),
        (405, lambda h: h("GET", "/v1/score")),
        (413, lambda h: h.post(b" " * (64 * 1024 + 1))),
        (413, lambda h: h.post(b" " * 10_000_000)),
        (413, lambda h: h.post(b" " * 4_200_000, "/v1/score/batch")),
        (415, lambda h: h.post(example(), headers={**HEADERS, "Content-Type": "text/plain"})),
        (415, lambda h: h.post(example(), headers={**HEADERS, "Content-Encoding": "gzip"})),
        (422, lambda h: h.post({"requests": []}, "/v1/score/batch")),
        (422, lambda h: h.post({"requests": [example()] * 3 + [{**example(), "as_of": "x"}]}, "/v1/score/batch")),
    ],
)
def test_each_kind_of_refusal_has_its_status_and_is_a_problem(
    here: Here, status: int, ask: Callable[[Here], httpx.Response]
) -> None:
    refused = ask(here)
    assert refused.status_code == status and refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["status"] == status and refused.json()["title"] == service_desk.TITLES[status]


def test_the_limit_holds_for_a_body_that_does_not_say_how_long_it_is(here: Here) -> None:
    async def endless() -> Any:
        for _ in range(200):
            yield b" " * 1024

    refused = here("POST", "/v1/score", endless())
    assert "content-length" not in refused.request.headers and refused.status_code == 413


def test_a_batch_names_which_of_its_requests_is_wrong(here: Here) -> None:
    late = with_("transactions.booked_at.7", FUTURE)
    refused = here.post({"requests": [example(), late]}, "/v1/score/batch")
    assert refused.status_code == 422 and refused.json()["errors"][0]["field"] == "requests.1.transactions.booked_at.7"
    unknown = here.post({"requests": [example(), {"customer_id": 10**9}]}, "/v1/score/batch")
    assert unknown.status_code == 404 and unknown.json()["errors"][0]["field"] == "requests.1.customer_id"


# --- nothing of the content comes back

CANARIES = {
    "a word": lambda: with_("transactions.category.words.0", CANARY),
    "a name": lambda: {**example(), "source_id": CANARY, "as_of": "x"},
    "a time": lambda: with_("transactions.booked_at.0", CANARY),
    "a field": lambda: {**example(), CANARY: 1},
    "a zone": lambda: {**example(), "time_zone": CANARY},
    "a counterparty": lambda: with_("transactions.counterparty.words.0", CANARY),
    "a kind": lambda: with_("accounts.kind", [CANARY]),
    "an action": lambda: with_("contacts", [{"contacted_at": "2025-01-01", "direction": "in", "channel": CANARY}]),
    "a number": lambda: with_("transactions.amount_minor.0", 31415926_31415926_31415926),
    "a currency": lambda: {**example(), "currency": CANARY},
    "a word of a coded column": lambda: with_("transactions.counterparty.words", [CANARY, 5]),
}


@pytest.mark.parametrize("what", CANARIES)
def test_what_was_sent_stands_in_no_answer_and_no_log(
    here: Here, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], what: str
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.CRITICAL, "httpx")  # the asking side
    body = said(CANARIES[what]())
    wrong_key = {**HEADERS, "Authorization": f"Bearer {CANARY}"}
    for answer in (
        here.post(body),
        here.post(b'{"requests":[' + body + b"]}", "/v1/score/batch"),
        here.post(body[:-9]),
        here.post(body, headers=wrong_key),
        here.post(body, f"/v1/{CANARY}"),
    ):
        for seen in (answer.text, str(answer.headers), caplog.text, *capfd.readouterr(), here("GET", "/metrics").text):
            assert CANARY not in seen and "31415926" not in seen


def test_what_nobody_foresaw_is_a_plain_500_without_a_traceback(
    desk: service_desk.Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError(CANARY)

    monkeypatch.setattr(service_scoring, "standing", broken)
    answer = Here(desk).post(example())
    assert answer.status_code == 500 and answer.json()["title"] == "Error" and "Traceback" not in answer.text
    assert CANARY not in answer.text + caplog.text and "RuntimeError test_service.py:" in caplog.text


def test_a_ledger_that_cannot_be_read_is_said_to_be_so(scoring: service_scoring.Scoring, tmp_path: Path) -> None:
    broken = service_scoring.Scoring(
        scoring.scorer, scoring.book, ground_ledger.Ledger.open(f"sqlite:///{tmp_path}/l.db")
    )
    broken.ledger.engine.dispose()
    (tmp_path / "l.db").write_bytes(b"no database" * 100)
    assert Here(service_desk.Desk(KEY, broken, ready=True)).post({"customer_id": 3}).status_code == 503


# --- starting


def test_nothing_is_answered_before_the_service_is_warm(scoring: service_scoring.Scoring) -> None:
    desk = service_desk.Desk(KEY, scoring)
    cold = Here(desk)
    assert (
        cold("GET", "/readyz").status_code,
        cold("GET", "/healthz").status_code,
        cold.post(example()).status_code,
    ) == (503, 200, 503)
    bento.warm(desk)
    assert (cold("GET", "/readyz").status_code, cold.post(example()).status_code) == (200, 200)


def test_without_a_key_only_this_machine_is_served(scoring: service_scoring.Scoring) -> None:
    desk = service_desk.Desk("", scoring, ready=True)
    bare = {"Content-Type": "application/json"}
    for address, status in (("127.0.0.1", 200), ("::1", 200), ("10.1.2.3", 401), ("::ffff:10.1.2.3", 401)):
        assert Here(desk, (address, 5)).post(example(), headers=bare).status_code == status, address


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:3000", 200),
        ("127.0.0.1:3000", 200),
        ("127.1.2.3", 200),
        ("[::1]:3000", 200),
        ("bank.example", 421),
        ("127.0.0.1.bank.example:3000", 421),
        ("localhost.bank.example", 421),
        ("10.1.2.3", 421),
        ("", 421),
        ("[", 421),
        ("a@localhost.example", 421),
    ],
)
def test_without_a_key_only_names_of_this_machine_are_answered(
    scoring: service_scoring.Scoring, host: str, status: int
) -> None:
    "A page of another host, whose name was made to lead here, would be as good as somebody on this machine."
    open_, guarded = (Here(service_desk.Desk(key, scoring, ready=True), ("127.0.0.1", 5)) for key in ("", KEY))
    for method, path, body in (
        ("POST", "/v1/score", said(example())),
        ("GET", "/openapi.json", None),
        ("GET", "/docs", None),
        ("GET", "/metrics", None),
        ("GET", "/v1/model", None),
    ):
        answer = open_(method, path, body, headers={"Content-Type": "application/json", "Host": host})
        assert answer.status_code == status, path
        assert status == 200 or (
            answer.headers["content-type"] == "application/problem+json"
            and (host if len(host) > 1 else "example") not in answer.text
        )
    assert guarded.post(example(), headers={**HEADERS, "Host": host}).status_code == 200


async def hanging_up() -> Any:
    return {"type": "http.disconnect"}


def test_who_hangs_up_is_one_quiet_line_and_no_error(desk: service_desk.Desk, caplog: pytest.LogCaptureFixture) -> None:
    import asyncio

    caplog.set_level(logging.DEBUG, "predelinquency.service")
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/score",
        "raw_path": b"/v1/score",
        "root_path": "",
        "query_string": b"",
        "http_version": "1.1",
        "scheme": "http",
        "client": ("10.1.2.3", 5),
        "server": ("localhost", 80),
        "headers": [(k.lower().encode(), v.encode()) for k, v in HEADERS.items()],
    }
    asyncio.run(service_http.app(desk)(scope, hanging_up, send))
    assert sent == [] and [(r.levelname, r.getMessage().split(" ms")[0].rsplit(" ", 1)[0]) for r in caplog.records] == [
        ("INFO", "POST /v1/score hung up")
    ]
    assert 'predelinquency_requests_total{route="/v1/score",status="499"}' in Here(desk)("GET", "/metrics").text


def test_a_body_that_comes_too_slowly_is_told_so(desk: service_desk.Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_desk, "BODY_SECONDS", 0.05)

    async def never_ending() -> Any:
        import asyncio

        yield b"{"
        await asyncio.sleep(60)  # cut off

    refused = Here(desk)("POST", "/v1/score", never_ending())
    assert (refused.status_code, refused.headers["content-type"], refused.json()["title"]) == (
        408,
        "application/problem+json",
        "Too slow",
    )


def test_a_service_that_was_asked_to_end_is_not_ready_and_still_answers(scoring: service_scoring.Scoring) -> None:
    here = Here(service_desk.Desk(KEY, scoring, ready=True, leaving=True))
    assert (
        here("GET", "/readyz").status_code,
        here("GET", "/health").status_code,
        here.post(example()).status_code,
    ) == (503, 200, 200)


def test_the_page_to_try_things_out_needs_nothing_from_elsewhere(here: Here) -> None:
    page = here("GET", "/docs", headers={})
    named = re.findall(r"""(?:src|href)=["']([^"']+)""", page.text)
    assert (
        page.status_code == 200
        and sorted(named) == ["/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "data:,"]
        and "//" not in re.sub(r"https?://localhost", "", page.text)
    )
    for path in named[:-1]:
        assert path.startswith("data:") or here("GET", path, headers={}).status_code == 200
    assert (
        here("GET", "/docs/../service.py", headers={}).status_code
        == here("GET", "/docs/index.css", headers={}).status_code
        == 404
    )


@pytest.mark.parametrize(
    ("environ", "starts"),
    [
        ({}, False),
        ({service_desk.OPEN: "1"}, True),
        ({service_desk.OPEN: "yes"}, False),
        ({service_desk.KEY: "short"}, False),
        ({service_desk.KEY: KEY}, True),
        ({service_desk.KEY: "with a space in it ok"}, False),
    ],
)
def test_it_starts_with_a_key_or_the_explicit_switch(environ: dict[str, str], starts: bool) -> None:
    if starts:
        assert bento.allowed(environ) == environ.get(service_desk.KEY, "")
    else:
        with pytest.raises(StoreError, match=service_desk.KEY):
            bento.allowed(environ)


def test_serving_the_world_without_a_key_is_refused(monkeypatch: pytest.MonkeyPatch, trained: Path) -> None:
    monkeypatch.delenv(service_desk.KEY, raising=False)
    with pytest.raises(StoreError, match="only this machine"):
        bento.serve_scores(bento.Serving(model=trained / "model", host="0.0.0.0", development=True))


def test_figures_count_what_happened(desk: service_desk.Desk) -> None:
    fresh = Here(desk)

    def count(line: str) -> float:
        "Of all bands and sources together."
        lines = fresh("GET", "/metrics").text.splitlines()
        return sum(float(text.split()[-1]) for text in lines if text.startswith(line))

    good, bad = (
        'predelinquency_requests_total{route="/v1/score",status="200"}',
        'predelinquency_requests_total{route="/v1/score",status="422"}',
    )
    before = count(good), count(bad), count("predelinquency_scores_total")
    for body in (example(), example(), with_("as_of", "x")):
        fresh.post(body)
    assert (count(good), count(bad), count("predelinquency_scores_total")) == (
        before[0] + 2,
        before[1] + 1,
        before[2] + 2,
    )


def test_the_description_is_served_with_an_example_that_works_and_reaches_nowhere(here: Here) -> None:
    text = here("GET", "/openapi.json", headers={}).text
    described = json.loads(text)
    for path in ("/v1/score", "/v1/score/batch"):
        assert (
            here.post(
                described["paths"][path]["post"]["requestBody"]["content"]["application/json"]["examples"][
                    "one customer"
                ]["value"],
                path,
            ).status_code
            == 200
        )
    assert "http://" not in text and "https://" not in text


def test_importing_the_service_loads_nothing_heavy() -> None:
    heavy = [
        "bentoml",
        "mlflow",
        "shap",
        "plotly",
        "dvc",
        "ploomber",
        "xgboost",
        "lightgbm",
        "sklearn",
        "IPython",
        "papermill",
        "matplotlib",
        "duckdb",
        "pandera",
        "fastapi",
    ]
    code = f"import sys, predelinquency.service.bento; print(*sorted(set({heavy!r}) & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []


def test_scoring_loads_no_tracking_and_no_plots(trained: Path) -> None:
    heavy = ["mlflow", "shap", "plotly", "dvc", "ploomber", "IPython", "papermill", "matplotlib", "duckdb", "pandera"]
    code = f"""import sys
from predelinquency.service import bento, http, scoring, wire
scoring.load_scoring({str(trained / "model")!r}).score(wire.parse_request(http.EXAMPLE.read_bytes()))
bento.bento()
print(*sorted(set({heavy!r}) & set(sys.modules)))"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []


# --- the client


@pytest.fixture
def client(desk: service_desk.Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[service_client.Client]:
    here = Here(desk)
    with service_client.Client("http://here", KEY) as made:
        monkeypatch.setattr(
            made.http,
            "request",
            lambda method, path, content=None, headers=None: here(
                method, path, content, {**made.http.headers, **(headers or {})}
            ),
        )
        yield made


def test_the_client_asks_in_plain_words(client: service_client.Client, bank: Bank) -> None:
    customer = int(bank.plan.index[0])
    assert client.score(example())["customer_id"] == example()["customer_id"]
    assert [a["source"] for a in client.batch([customer, example()])] == ["ledger", "request"]
    assert client.score(customer)["customer_id"] == customer and client.model()["learner"]


def test_the_client_sends_a_long_history_by_itself_as_a_batch_of_one(
    client: service_client.Client, here: Here, bank: Bank
) -> None:
    long = next(body for c in bank.scored.index if len(said(body := bank.request(int(c)))) > wire.SINGLE_BYTES)
    assert here.post(long).status_code == 413
    assert client.score(long) == here.post({"requests": [long]}, "/v1/score/batch").json()["answers"][0]


def test_the_client_says_what_the_service_said(client: service_client.Client) -> None:
    with pytest.raises(service_client.ServiceError, match="(?s)422 Not a valid request.*as_of is not written as"):
        client.score(with_("as_of", "x"))
    with pytest.raises(service_client.ServiceError, match="404 Not found"):
        client.score(10**9)


@pytest.mark.parametrize(
    "asked",
    [
        "17",
        None,
        True,
        17.0,
        float("nan"),
        [17],
        np.float64(17),
        {"customer_id": 17, "x": float("nan")},
        {"customer_id": 17, "x": {1, 2}},
        {"x": "\ud800"},
    ],
    ids=repr,
)
def test_what_is_neither_a_request_nor_an_id_is_refused_in_words_before_it_is_sent(asked: Any) -> None:
    with service_client.Client("http://127.0.0.1:9", KEY) as client:
        for ask in (client.score, lambda one: client.batch([one])):
            with pytest.raises(service_client.ServiceError, match="whole number"):
                ask(asked)


def test_the_client_takes_whole_numbers_of_every_kind(client: service_client.Client, bank: Bank) -> None:
    customer = bank.plan.index[0]
    assert (
        client.score(np.int64(customer))
        == client.score(int(customer))
        == client.score({"customer_id": np.int32(customer)})
    )


def test_a_key_that_cannot_travel_is_refused_in_words() -> None:
    with pytest.raises(service_client.ServiceError, match="the key holds characters"):
        service_client.Client(key="schlüssel-schlüssel")


def test_the_client_says_when_nobody_is_there() -> None:
    with (
        service_client.Client("http://127.0.0.1:9") as nobody,
        pytest.raises(service_client.ServiceError, match="(?s)http://127.0.0.1:9/v1/model.*make serve"),
    ):
        nobody.model()


def test_refusals_belong_to_the_family() -> None:
    assert issubclass(wire.Refused, PredelinquencyError) and issubclass(
        service_client.ServiceError, PredelinquencyError
    )


def test_a_decision_travels_whole() -> None:
    "Every field of a decision that an outsider needs is there under the same name; the others are the answer's own."
    own = {"customer_id", "as_of", "band", "policy", "propensity", "propensities", "stratum", "message_id"}
    assert set(reply.Proposal.model_fields) == {f for f in records.Decision.__dataclass_fields__} - own
