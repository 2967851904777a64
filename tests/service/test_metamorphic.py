"""What is done to a request's rows changes nothing, is refused, or is told: the answer is never silently another one."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from served import Bank, said

from predelinquency.ground import disk, params
from predelinquency.service import scoring as service_scoring
from predelinquency.service import wire
from predelinquency.world import world as simulated

Body = dict[str, Any]


@pytest.fixture(scope="module")
def bank(trained: Path) -> Bank:
    return Bank(trained)


@pytest.fixture(scope="module")
def scoring(trained: Path) -> service_scoring.Scoring:
    return service_scoring.load_scoring(trained / "model")


FEW, MANY = 25, 1_000


def plain(column: Any) -> list[Any]:
    return [column["words"][i] for i in column["at"]] if isinstance(column, dict) else list(column)


def rows(body: Body, table: str) -> pd.DataFrame:
    return pd.DataFrame({c: pd.Series(plain(v), dtype=object) for c, v in body[table].items()})


def with_rows(body: Body, table: str, frame: pd.DataFrame) -> Body:
    columns = {c: [None if v is None or v != v else v for v in frame[c]] for c in frame}
    return body | {table: columns}


def changed(table: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Body], Body]:
    return lambda body: (
        with_rows(body, table, change(rows(body, table)).reset_index(drop=True)) if table in body else body
    )


def each_of(*tables: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Body], Body]:
    def every(body: Body) -> Body:
        for table in tables:
            body = changed(table, change)(body)
        return body

    return every


def permuted(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[np.random.default_rng(len(frame)).permutation(len(frame))]


def times(factor: float, *columns: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def scaled(frame: pd.DataFrame) -> pd.DataFrame:
        there = [c for c in columns if c in frame]
        return frame.assign(**{c: [None if v is None else int(v * factor) for v in frame[c]] for c in there})

    return scaled


def without_balances(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns="balance_after_minor", errors="ignore")


def doubled(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame]).drop(columns=["seq", "payment_id"], errors="ignore")


def partly_repeated(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame[::8]]).drop(columns=["seq", "payment_id"], errors="ignore")


def half(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[::2]


def bought_and_reversed(body: Body) -> Body:
    "A purchase that was reversed at once, at the end of the history."
    t = rows(body, "transactions")
    last = t.iloc[-1]
    there = last.balance_after_minor
    pair = pd.DataFrame([last, last]).assign(
        amount_minor=[-4_321, 4_321],
        balance_after_minor=[there - 4_321, there],
        category="restaurant",
        counterparty=t.counterparty[0],
        status=["booked", "reversed"],
    )
    if "seq" in t:
        pair["seq"] = [last.seq + 1, last.seq + 2]
    if "arrived_after_ms" in t:
        pair["arrived_after_ms"] = 0
    more = pd.concat([t, pair])
    if "status" not in t:
        more["status"] = ["booked"] * len(t) + ["booked", "reversed"]
    return with_rows(body, "transactions", more)


def paid_and_taken_back(body: Body) -> Body:
    "A payment that came back: as if it had never been made."
    if "payments" not in body:
        return body
    y = rows(body, "payments")
    last = y.iloc[-1]
    pair = pd.DataFrame([last, last]).assign(
        amount_minor=[1_234, -1_234], payment_id=[900_001, 900_002], takes_back=[None, 900_001]
    )
    y["payment_id"], y["takes_back"] = [*range(1, len(y) + 1)], None
    return with_rows(body, "payments", pd.concat([y, pair]))


def with_z(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(booked_at=[f"{t if 'T' in t else t + 'T00:00:00'}Z" for t in frame.booked_at])


MONEY = ("amount_minor", "balance_after_minor")
RELATIONS: dict[str, tuple[Callable[[Body], Body], str]] = {  # what is done → what may come of it
    "rows permuted": (each_of("transactions", "obligations", "payments", change=permuted), "same told"),
    "newest first": (each_of("transactions", "obligations", "payments", change=lambda f: f[::-1]), "same told"),
    "the same instant with an offset": (changed("transactions", with_z), "refused"),
    "bought and reversed": (bought_and_reversed, "same told"),
    "paid and taken back": (paid_and_taken_back, "same told"),
    "some rows repeated": (changed("transactions", partly_repeated), "told refused"),
    "movements twice": (changed("transactions", doubled), "told refused"),
    "movements twice, without balances": (
        changed("transactions", lambda f: doubled(without_balances(f))),
        "told refused",
    ),
    "payments twice": (changed("payments", doubled), "told refused"),
    "signs turned": (changed("transactions", times(-1, "amount_minor")), "told refused"),
    "signs turned, without balances": (
        changed("transactions", lambda f: times(-1, "amount_minor")(without_balances(f))),
        "told refused",
    ),
    "amounts in other units": (changed("transactions", times(100, "amount_minor")), "told refused"),
    "movements in other units": (changed("transactions", times(100, *MONEY)), "told refused"),
    "payments in other units": (changed("payments", times(0.01, "amount_minor")), "told refused"),
    "dues in other units": (changed("obligations", times(100, "amount_minor")), "told refused"),
    "every other row lost": (changed("transactions", half), "told refused"),
}


def answered(scoring: service_scoring.Scoring, body: Body) -> dict[str, Any] | None:
    "The answer as plain values; None: refused."
    try:
        return scoring.score(wire.parse_request(said(body))).model_dump()
    except wire.Refused:
        return None


def outcome(scoring: service_scoring.Scoring, body: Body, change: Callable[[Body], Body]) -> str:
    "same, told, refused or silent."
    before, after = answered(scoring, body), answered(scoring, change(body))
    assert before is not None and not any(f["level"] == "warn" for f in before["quality"]["findings"])
    if after is None:
        return "refused"
    if {**before, "quality": 0} == {**after, "quality": 0}:
        return "same"
    old = {f["rule"]: f["cases"] for f in before["quality"]["findings"]}
    return "told" if any(f["cases"] > old.get(f["rule"], 0) for f in after["quality"]["findings"]) else "silent"


def applies(name: str, body: Body) -> bool:
    "Whether a relation can be seen in a request at all."
    if name in ("payments twice", "payments in other units", "dues in other units", "paid and taken back"):
        return len(plain(body.get("payments", {}).get("amount_minor", []))) > 5
    return len(plain(body["transactions"]["amount_minor"])) > 100


def outcomes(scoring: service_scoring.Scoring, bodies: list[Body], name: str) -> Counter[str]:
    change, allowed = RELATIONS[name]
    found: Counter[str] = Counter()
    for body in bodies:
        if applies(name, body):
            what = outcome(scoring, body, change)
            found[what if what in allowed else f"{what}: customer {body['customer_id']}"] += 1
    return found


@pytest.mark.parametrize("name", RELATIONS)
def test_an_answer_is_never_silently_another_one(name: str, scoring: service_scoring.Scoring, bank: Bank) -> None:
    bodies = [bank.request(int(c)) for c in bank.plan.index[:FEW]]
    found = outcomes(scoring, bodies, name)
    assert set(found) <= set(RELATIONS[name][1].split()) and found.total() > FEW / 2, found


@pytest.mark.long
def test_a_thousand_customers_are_never_answered_silently_otherwise(
    scoring: service_scoring.Scoring, settings: params.Params, tmp_path: Path
) -> None:
    from dataclasses import replace

    large = replace(settings, simulate=replace(settings.simulate, customers=MANY))
    simulated.simulate(large, tmp_path / "raw", tmp_path / "truth", progress=False)
    bodies = []
    names = ("customers", "accounts", "obligations", "transactions", "payments")
    for part in disk.parts(tmp_path / "raw", "customers"):
        tables = {name: disk.read(tmp_path / "raw", name, part) for name in names}
        for customer in tables["customers"].customer_id:
            mine = {name: t[t.customer_id == customer] for name, t in tables.items()}
            if len(mine["transactions"]):
                bodies.append(service_scoring.request(mine, "2025-06-01"))
    assert len(bodies) > 0.95 * MANY
    wrong = {name: set(outcomes(scoring, bodies, name)) - set(RELATIONS[name][1].split()) for name in RELATIONS}
    assert {name: sorted(w)[:3] for name, w in wrong.items() if w} == {}
