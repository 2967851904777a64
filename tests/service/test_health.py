"""What `/metrics` says of ledger and log: the same as the ledger, seldom enough, and also when one of them is gone."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from guests import HOUSE_KEY, asker, desk_of
from live_events import payment
from prometheus_client.parser import text_string_to_metric_families
from records import AT, case_step, decision, message, reply, score

from predelinquency.ground.core import StoreError
from predelinquency.ground.following import ALERTS, DEAD_LETTERS, LIVE_SCORES, WAITING
from predelinquency.service import health
from predelinquency.service.desk import Desk

WHO = 918_273_645_546  # a customer's number that nothing else contains
LIVE = dict(as_of="2026-03-03", final=False, eligible=True, probability=0.1, margin=-2.0, model_version="2026.1")
LIVE |= dict(feature_hash="5a0f", reasons=[], dues=[], incomplete=0, partition=0, arrived_at=1, customer_id=WHO)
RANG = dict(rule="case_opens", subject=f"{WHO}-3-12", period=1, customer_id=WHO, level="now", said_at=1, body={})
PLACE = dict(partition=0, customer_id=WHO)


def samples(text: str) -> dict[str, dict[str, float]]:
    "Metric → its label's value, or empty → number."
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            found.setdefault(one.name.removeprefix("predelinquency_"), {})[
                "/".join(one.labels[k] for k in sorted(one.labels))
            ] = one.value
    return found


def test_every_figure_is_that_of_the_ledger_and_none_names_a_customer(ledger_url: str, tmp_path: Path) -> None:
    desk = desk_of(tmp_path, ledger_url)
    kept = [score(customer_id=WHO), decision(customer_id=WHO), case_step(customer_id=WHO, case_id=f"{WHO}-3-12")]
    desk.book.append([*kept, reply(customer_id=WHO, kind="stop"), message(customer_id=WHO)], AT)
    with desk.book.engine.begin() as book:
        for table, rows in (
            (ALERTS, [RANG]),
            (LIVE_SCORES, [LIVE | dict(revision=n, position=n) for n in (1, 2, 3)]),
            (WAITING, [PLACE | dict(position=n, arrived_at=1) for n in (1, 2, 3, 4)]),
            (DEAD_LETTERS, [PLACE | dict(position=n, why="?", laid_at=1) for n in range(5)]),
        ):
            book.execute(sa.insert(table), rows)
    here = asker(desk, HOUSE_KEY)
    for n in range(6):
        here.post("/v1/events", payment(n)._asdict()).raise_for_status()
    told, text = here.get("/v1/stats").json(), asker(desk).get("/metrics").text
    found = samples(text)
    for one in health.SHOWN:
        said = told[one.field]
        assert said and found[one.metric] == (said if one.label else {"": said}), one.metric
    assert (found["live_revisions"], found["waiting_events"], found["dead_letters"]) == ({"": 3}, {"": 4}, {"": 5})
    assert found["lag_events"] == found["log_events"] == {"": 6} and found["lag_seconds"] == {"": 0}
    assert found["night_timestamp_seconds"] == {"": 1_772_409_600} and found["store_up"] == dict(ledger=1, log=1)
    assert found["model_info"] == {f"{desk.scoring.book.version}/tests": 1}
    assert str(WHO) not in text


def test_the_next_look_comes_after_a_rest_and_only_one_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, now = list[int](), [0.0]

    def slow(_: Desk) -> list[object]:
        looks.append(len(looks))
        now[0] += 3
        inner = threading.Thread(target=glance.look)  # somebody else asks while this one looks
        inner.start()
        inner.join()
        return list(looks)

    monkeypatch.setattr(health, "figures_of", slow)
    glance = health.Glance(Desk(), clock=lambda: now[0])
    counted = []
    for at in (0.0, 4.0, 62.9, 63.1):
        now[0] = max(now[0], at)
        glance.look()
        counted.append(len(looks))
    assert counted == [1, 1, 1, 2] and glance.seen == [0, 1]


def test_who_asks_does_not_wait_for_a_ledger_that_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    going, desk, known = threading.Event(), desk_of(tmp_path), health.stats_of

    def stuck(*asked: Any) -> Any:
        assert going.wait(60)
        return known(*asked)

    async def ask() -> list[Any]:
        try:
            return await glance.figures()
        finally:
            going.set()

    monkeypatch.setattr(health, "PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(health, "stats_of", stuck)
    glance = health.Glance(desk)
    assert asyncio.run(ask()) == [], "nothing is known yet"
    assert "predelinquency_open_cases" in {one.name for one in glance.seen}, "what was asked has come since"


def test_a_store_that_is_gone_is_a_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = desk_of(tmp_path)

    def gone(*_: object) -> None:
        raise StoreError("the server does not answer")

    monkeypatch.setattr(health, "lag_of", gone)
    found = samples(asker(desk).get("/metrics").text)
    assert found["store_up"] == dict(ledger=1, log=0) and "lag_events" not in found and "dead_letters" in found
    monkeypatch.setattr(health, "stats_of", gone)
    answer = asker(desk).get("/metrics")
    assert answer.status_code == 200 and samples(answer.text)["store_up"] == dict(ledger=0, log=0)
    assert samples(asker(Desk(HOUSE_KEY)).get("/metrics").text).get("store_up") is None
