"""What is told of one customer: as it was recorded, nobody else's, and never unseen."""

from datetime import timedelta
from math import nan
from pathlib import Path

import pytest
import sqlalchemy as sa
from guests import HOUSE_KEY, NOW, Asker, asker, desk_of, grant
from records import AT, REASONS, assignment, call, case_step, decision, note, one_of_each, outcome, reply, score

from predelinquency.ground.core import StoreError
from predelinquency.ground.following import ALERTS, LIVE_SCORES
from predelinquency.ground.guests import VIEWS
from predelinquency.service import desk as service_desk
from predelinquency.service import history
from predelinquency.service.keys import add_key


@pytest.fixture
def desk(ledger_url: str, tmp_path: Path) -> service_desk.Desk:
    return desk_of(tmp_path, ledger_url)


@pytest.fixture
def here(desk: service_desk.Desk) -> Asker:
    return asker(desk, HOUSE_KEY)


def views(desk: service_desk.Desk) -> list[tuple]:
    v = VIEWS.c
    with desk.book.engine.connect() as book:
        return [tuple(row) for row in book.execute(sa.select(v.key_name, v.customer_id, v.route).order_by(*VIEWS.c))]


def live_row(revision: int, customer: int = 7, **other: object) -> dict[str, object]:
    said = dict(as_of="2026-03-03", final=False, eligible=True, probability=0.1, margin=-2.0, model_version="2026.1")
    at = dict(feature_hash="5a0f", reasons=[], dues=[], incomplete=0, partition=customer % 64, arrived_at=revision)
    return dict(customer_id=customer, revision=revision, position=revision) | said | at | other


def insert(desk: service_desk.Desk, table: sa.Table, *rows: dict[str, object]) -> None:
    with desk.book.engine.begin() as book:
        book.execute(sa.insert(table), list(rows))


def test_everything_that_is_known_is_told_as_it_was_recorded(desk: service_desk.Desk, here: Asker) -> None:
    other = [score(customer_id=8), decision(customer_id=8), reply(customer_id=8, kind="stop"), note(customer_id=8)]
    desk.book.append([*one_of_each(), *other], AT)
    alert = dict(rule="case_opens", subject="7-3-12", period=1, customer_id=7, level="note", said_at=5, body={"p": 0.1})
    insert(desk, ALERTS, alert, alert | dict(subject="8-3-12", customer_id=8))
    insert(desk, LIVE_SCORES, live_row(1), live_row(2, eligible=False, probability=None, margin=None), live_row(3, 8))
    told = here.get("/v1/customers/7").json()
    assert [reason["analyst"] for reason in told["score"]["reasons"]] == [reason.analyst for reason in REASONS]
    assert told["score"]["reasons"][1]["value"] is None and told["scores"] == [told["score"]]
    assert (told["live"]["revision"], told["live"]["probability"], told["stopped"]) == (2, None, False)
    assert told["decisions"][0]["message"] == decision().message and told["decisions"][0]["refusals"][0]["sentence"]
    assert (told["cases"][0]["case_id"], told["cases"][0]["owner"]) == ("7-3-12-1", assignment().owner)
    assert [len(told[name]) for name in ("contacts", "replies", "outcomes", "notes", "alerts")] == [1] * 5
    assert told["alerts"][0]["seen"] == {"p": 0.1}


def test_lists_have_the_newest_first_and_no_more_than_was_asked_for(desk: service_desk.Desk, here: Asker) -> None:
    days = [f"2026-03-{day:02}" for day in range(1, 29)]
    desk.book.append([score(as_of=day, feature_hash=day) for day in days], AT)
    assert [s["as_of"] for s in here.get("/v1/customers/7?most=3").json()["scores"]] == days[:-4:-1]
    assert len(here.get("/v1/customers/7").json()["scores"]) == 28
    for most in ("0", str(history.MOST_TOLD + 1), "many"):
        refused = here.get(f"/v1/customers/7?most={most}")
        assert refused.status_code == 422 and refused.json()["errors"][0]["field"] == "most", most


@pytest.mark.parametrize("said", [reply(kind="stop"), outcome(opted_out=True)], ids=lambda r: type(r).__name__)
def test_who_asked_to_hear_no_more_is_told_so(desk: service_desk.Desk, here: Asker, said: object) -> None:
    desk.book.append([said], AT)
    assert here.get("/v1/customers/7").json()["stopped"] is True


def test_a_case_that_was_never_scored_has_no_chance(desk: service_desk.Desk, here: Asker) -> None:
    desk.book.append([case_step(probability=nan, scored_on=None)], AT)
    (case,) = here.get("/v1/customers/7").json()["cases"]
    assert (case["probability"], case["owner"], case["assigned_at"]) == (None, "", None)


def test_of_whom_nothing_is_known_nothing_is_told(desk: service_desk.Desk, here: Asker) -> None:
    desk.book.append([call()], AT)
    assert [here.get(f"/v1/customers/{who}").status_code for who in (7, 8, 2**63 - 1)] == [200, 404, 404]
    for odd in ("-1", "x", str(2**63), "7.5"):
        refused = here.get(f"/v1/customers/{odd}")
        assert refused.status_code == 422 and refused.headers["content-type"] == "application/problem+json", odd
        assert refused.json()["errors"][0]["field"] == "id" and "input" not in refused.json()["errors"][0]
    assert views(desk) == [("environment", 7, "GET /v1/customers/{id}")]


def test_who_sees_a_customer_is_recorded_before_they_see_anything(
    desk: service_desk.Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.book.append([score()], AT)
    anna = asker(desk, add_key(desk.book, grant("anna", "viewer"), NOW))
    assert anna.get("/v1/customers/7").status_code == 200
    desk.clock.at += timedelta(minutes=1)
    assert anna.get("/v1/customers/7").status_code == 200
    assert views(desk) == [("anna", 7, "GET /v1/customers/{id}")] * 2

    def full(*_: object) -> None:
        raise StoreError("no space left on the disk")

    monkeypatch.setattr(service_desk, "record_views", full)
    answer = anna.get("/v1/customers/7")
    assert answer.status_code == 503 and "probability" not in answer.text


def test_without_a_ledger_the_answer_says_what_to_set() -> None:
    refused = asker(service_desk.Desk(HOUSE_KEY), HOUSE_KEY).get("/v1/customers/7")
    assert refused.status_code == 503 and service_desk.LEDGER in refused.json()["detail"]
