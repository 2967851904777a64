"What changed is told by the service as by the night, of the rows that were sent and of nothing else."

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from served import Bank, example, said

from predelinquency.reasons import changes
from predelinquency.service import scoring as service_scoring
from predelinquency.service import wire

COLUMNS = ["change", "benign", "severity", "analyst", "customer", "seen"]


@pytest.fixture(scope="module")
def bank(trained: Path) -> Bank:
    return Bank(trained)


@pytest.fixture(scope="module")
def scoring(trained: Path) -> service_scoring.Scoring:
    return service_scoring.load_scoring(trained / "model")


@pytest.fixture(scope="module")
def night(trained: Path) -> pd.DataFrame:
    return pd.read_parquet(trained / "reports/changes.parquet").astype({"customer": object, "change": str})


def answered(scoring: service_scoring.Scoring, body: dict[str, Any]) -> dict[str, Any]:
    return scoring.score(wire.parse_request(said(body))).model_dump()


def as_written(told: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    "The changes of an answer as rows of the night's table."
    plain = [c | dict(seen=json.dumps([[s["on"], s["amount_minor"]] for s in c["seen"]])) for c in told]
    return [tuple(c[name] for name in COLUMNS) for c in plain]


def rows_of(night: pd.DataFrame, customer: int, as_of: str) -> list[tuple[Any, ...]]:
    mine = night[(night.customer_id == customer) & (night.as_of == as_of)].drop_duplicates("rank")
    named = mine.customer.where(mine.customer.notna(), None)
    return list(mine.sort_values("rank").assign(customer=named)[COLUMNS].itertuples(index=False, name=None))


def test_a_request_is_told_what_the_night_told_and_of_the_others_nothing_is_looked_for(
    scoring: service_scoring.Scoring, bank: Bank, night: pd.DataFrame
) -> None:
    line, found, looked = scoring.scorer.champion.threshold, 0, 0
    likely = bank.scored[bank.scored.eligible].sort_values("probability", ascending=False)
    for customer in [*likely.index[:15], *likely.index[-5:]]:
        answer = answered(scoring, bank.request(int(customer)))
        if answer["probability"] >= line:
            assert as_written(answer["changes"]) == rows_of(night, customer, bank.as_of)
            found, looked = found + len(answer["changes"]), looked + 1
        else:
            assert answer["changes"] is None and not rows_of(night, customer, bank.as_of)
    assert looked >= 5 and found >= 3


def test_earlier_moments_are_told_alike(scoring: service_scoring.Scoring, bank: Bank, night: pd.DataFrame) -> None:
    earlier = night[night.as_of < bank.as_of].drop_duplicates(["customer_id", "as_of"])
    assert len(earlier) > 20
    for one in earlier.iloc[:: len(earlier) // 12].itertuples():
        day = str(one.as_of.date())
        answer = answered(scoring, bank.request(one.customer_id, day) | {"changes": True})
        assert as_written(answer["changes"]) == rows_of(night, one.customer_id, day)


def test_whoever_asks_is_told_whatever_the_score_as_the_tables_say(
    scoring: service_scoring.Scoring, bank: Bank
) -> None:
    seen = set()
    for customer in bank.scored.index[::3][:25]:
        mine = {name: t[t.customer_id == customer] for name, t in bank.tables.items()}
        told = changes.of_customer(mine, pd.Timestamp(bank.as_of), currency="GBP")
        answer = answered(scoring, bank.request(int(customer)) | {"changes": True})
        assert [c["analyst"] for c in answer["changes"]] == [c.analyst for c in told]
        seen |= {c.name for c in told}
    assert len(seen) >= 4


def test_a_record_too_short_to_be_held_against_itself_says_so(scoring: service_scoring.Scoring, bank: Bank) -> None:
    customer, day = int(bank.scored.index[0]), pd.Timestamp(bank.as_of)
    for days, unknown in ((25, len(changes.DETECTORS)), (400, 0)):
        mine = {name: t[t.customer_id == customer] for name, t in bank.tables.items()}
        moved, paid, since = mine["transactions"], mine["payments"], day - pd.Timedelta(days=days)
        mine |= {"transactions": moved[moved.booked_at >= since], "payments": paid[paid.paid_at >= since]}
        answer = answered(scoring, service_scoring.request(mine, bank.as_of) | {"changes": True})
        assert abs(answer["quality"]["coverage_days"] - days) < 6 and answer["quality"]["unknown_changes"] == unknown
        assert answer["changes"] == [] or days == 400


def test_neither_the_order_of_the_rows_nor_how_words_are_written_changes_what_is_told(
    scoring: service_scoring.Scoring,
) -> None:
    body = example() | {"changes": True}
    told = answered(scoring, body)["changes"]
    assert told
    moved, other = body["transactions"], dict(body)
    other["transactions"] = {
        name: [column["words"][at] for at in column["at"]] if isinstance(column, dict) else column
        for name, column in moved.items()
    }
    assert answered(scoring, other)["changes"] == told
    if "seq" in moved:
        other["transactions"] = {name: column[::-1] for name, column in other["transactions"].items()}
        assert answered(scoring, other)["changes"] == told
    none = {name: column for name, column in moved.items() if name != "counterparty"}
    assert answered(scoring, body | {"transactions": none})["changes"] is not None, "names may be left out"
