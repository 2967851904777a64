"""A decision is made once: whoever asks, however often, and whatever is killed in between."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import deciding
import pytest
from guests import Asker, asker
from records import call

from predelinquency.ground.ledger import Ledger
from predelinquency.ground.records import Contact, Decision
from predelinquency.ground.turns import alone
from predelinquency.service import desk as service_desk
from predelinquency.service import verdicts

WEEK = timedelta(days=7)


@pytest.fixture
def desk(ledger_url: str) -> service_desk.Desk:
    return deciding.desk_of(Ledger.open(ledger_url))


@pytest.fixture
def here(desk: service_desk.Desk) -> Asker:
    return asker(desk, host="127.0.0.1")


def decided(here: Asker, name: str, customer: int = 7, day: int = 0) -> Any:
    return here.post("/v1/decisions", deciding.question(customer, day), headers={"Idempotency-Key": name})


def test_asking_again_under_the_same_name_gets_the_same_bytes(desk: service_desk.Desk, here: Asker) -> None:
    first, again = decided(here, "a"), decided(here, "a")
    assert first.status_code == 200 and first.content == again.content
    assert first.json()["before"] is False and first.json()["answer"]["decision"]["channel"]
    assert len(desk.book.of(Decision)) == 1


def test_another_name_on_the_same_day_is_told_what_was_decided(desk: service_desk.Desk, here: Asker) -> None:
    first, other = decided(here, "a").json(), decided(here, "b").json()
    assert other == first | {"before": True} and len(desk.book.of(Decision)) == 1


def test_a_decision_says_what_the_ledger_remembers(here: Asker) -> None:
    first = decided(here, "a").json()["answer"]["decision"]
    soon, later = (decided(here, f"after {n}", day=n).json()["answer"]["decision"] for n in (4, 7))
    assert first["channel"] and not soon["channel"] and soon["rule"] == "cap_week" and later["channel"]


def test_a_stop_is_in_force_with_its_answer(here: Asker, desk: service_desk.Desk) -> None:
    said = dict(customer_id=7, received_at="2026-03-01T09:00:00+00:00", channel="app", kind="stop")
    assert here.post("/v1/replies", said).status_code == 200
    decision = decided(here, "a").json()["answer"]["decision"]
    assert (decision["action"], decision["channel"]) == ("nothing", "")
    assert decided(here, "b", customer=8).json()["answer"]["decision"]["channel"]


def test_who_said_stop_gets_no_message_of_another_system_either(here: Asker, desk: service_desk.Desk) -> None:
    said = dict(customer_id=7, contact_id="x", at="2026-03-02T09:00:00+00:00", channel="email")
    assert here.post("/v1/contacts", said | dict(state="queued")).status_code == 200
    stop = dict(customer_id=7, received_at="2026-03-02T10:00:00+00:00", channel="app", kind="stop")
    assert here.post("/v1/replies", stop).status_code == 200
    assert here.post("/v1/contacts", said | dict(state="queued")).status_code == 200, "it is there already"
    refused = here.post("/v1/contacts", said | dict(state="queued", contact_id="y"))
    assert refused.status_code == 409 and "no more messages" in refused.json()["detail"]
    assert here.post("/v1/contacts", said | dict(state="sent", contact_id="y")).status_code == 200, "a fact is kept"
    assert {(c.contact_id, c.state) for c in desk.book.of(Contact, 7)} == {("x", "queued"), ("y", "sent")}


def test_a_contact_of_another_system_counts(here: Asker) -> None:
    said = dict(customer_id=7, contact_id="x", state="sent", at="2026-03-01T09:00:00+00:00", channel="email")
    assert here.post("/v1/contacts", said).status_code == 200
    assert decided(here, "a").json()["answer"]["decision"]["rule"] == "cap_week"


def test_what_is_older_than_the_last_decision_is_refused(here: Asker, desk: service_desk.Desk) -> None:
    decided(here, "a", day=3)
    refused = decided(here, "b", day=2)
    assert refused.status_code == 409 and refused.json()["errors"] == [
        {"field": "as_of", "problem": "lies before 2026-03-05, of which there is a decision"}
    ]
    assert len(desk.book.of(Decision)) == 1


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({}, "idempotency-key"),
        ({"Idempotency-Key": ""}, "idempotency-key"),
        ({"Idempotency-Key": "é" * 201}, "idempotency-key"),
    ],
    ids=["none", "empty", "too long"],
)
def test_a_question_needs_a_name(here: Asker, headers: dict[str, str], field: str) -> None:
    sent = {k: v.encode("utf-8") for k, v in headers.items()}
    refused = here.post("/v1/decisions", deciding.question(7), headers=sent)
    assert refused.status_code == 422 and refused.headers["content-type"] == "application/problem+json"
    assert [e["field"].lower() for e in refused.json()["errors"]] == [field]


def test_a_name_stays_with_its_question(here: Asker, desk: service_desk.Desk) -> None:
    decided(here, "a")
    refused = decided(here, "a", customer=8)
    assert refused.status_code == 422 and refused.json()["errors"][0]["field"] == "Idempotency-Key"
    assert not desk.book.of(Decision, 8)


def test_a_day_that_no_calendar_has_is_refused(here: Asker) -> None:
    body = deciding.question(7) | {"as_of": "2026-02-30"}
    refused = here.post("/v1/decisions", body, headers={"Idempotency-Key": "a"})
    assert refused.status_code == 422 and refused.json()["errors"][0]["field"] == "as_of"


def test_without_a_ledger_nothing_is_decided() -> None:
    scoring = deciding.Everybody(None, deciding.everybody(None).book)  # type: ignore[arg-type]
    here = asker(service_desk.Desk(scoring=scoring, ready=True), host="127.0.0.1")  # type: ignore[arg-type]
    assert decided(here, "a").status_code == 503


def test_the_nights_decision_stands_by_day(here: Asker, desk: service_desk.Desk) -> None:
    "Of the plan the service knows the score, too."
    from predelinquency.ground.records import Score

    asked = deciding.parse_request(deciding.json.dumps(deciding.question(7)).encode())
    answer, made = desk.engine().answer(asked, deciding.Memory())
    score = Score(7, made.as_of, 0.1, -2.2, "test")
    desk.book.append([score, made], "2026-03-02T04:00:00+00:00")
    said = decided(here, "a").json()
    assert said["before"] and said["recorded_at"] == "2026-03-02T04:00:00+00:00"
    assert said["answer"]["decision"]["message"] == made.message and said["answer"]["source"] == "ledger"
    assert len(desk.book.of(Decision)) == 1


def test_the_nights_plan_leaves_out_who_was_decided_about_by_day_and_who_said_stop(
    here: Asker, desk: service_desk.Desk
) -> None:
    night = []
    for who in (5, 6, 7, 8):
        asked = deciding.parse_request(deciding.json.dumps(deciding.question(who)).encode())
        night.append(desk.engine().answer(asked, deciding.Memory())[1])
    decided(here, "a", customer=6, day=1)
    decided(here, "b", customer=7)
    stop = dict(customer_id=8, received_at="2026-03-02T05:00:00+00:00", channel="app", kind="stop")
    here.post("/v1/replies", stop)
    with alone(desk.book, None) as mine:
        left = verdicts.still_open(mine, night)
    assert [d.customer_id for d in left] == [5, 7], "7 was told by day what the night says, too"


def test_who_waits_for_a_turn_sees_what_was_written_in_it(desk: service_desk.Desk, ledger_url: str) -> None:
    begun, ended = threading.Event(), threading.Event()

    def waits() -> int:
        with Ledger.open(ledger_url) as other:
            begun.wait()
            with alone(other, 7) as mine:
                assert ended.is_set(), "two at once"
                return len(mine.of(Contact, 7))

    with ThreadPoolExecutor(1) as pool, alone(desk.book, 7) as mine:
        found = pool.submit(waits)
        begun.set()
        mine.append([call(customer_id=7)], "2026-03-02T09:00:00+00:00")
        assert not found.done()
        ended.set()
    assert found.result() == 1


@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=pytest.mark.long)])
def test_two_callers_retries_and_kills_contact_nobody_twice(ledger_url: str, tmp_path: Path, kills: int) -> None:
    hit = deciding.killed_at_random(ledger_url, tmp_path, steps=5 * kills, kills=kills, seed=kills)
    heard = deciding.answers(tmp_path)
    with Ledger.open(ledger_url) as ledger:
        made = ledger.of(Decision)
        stored = {(d.customer_id, d.as_of): d for d in made}
        recorded = ledger.frame(Decision, ["customer_id", "as_of", "recorded_at"])
    assert hit >= kills // 2 and len(stored) == len(made), "one decision a customer and day"
    sent = sorted((d.customer_id, datetime.fromisoformat(d.decided_at)) for d in made if d.channel)
    near = [(a, b) for a, b in zip(sent, sent[1:], strict=False) if a[0] == b[0] and b[1] - a[1] < WEEK]
    assert near == [] and len({who for who, _ in sent}) < len(sent) > 20, "some were written to again, later"
    asked_at = {(r.customer_id, r.as_of): r.recorded_at for r in recorded.itertuples()}
    moments = {(d.customer_id, d.as_of): datetime.fromisoformat(d.decided_at) for d in made if d.channel}
    for one in heard:
        mine = {key: at for key, at in moments.items() if key[0] == one["who"]}
        after = [key for key in mine if datetime.fromisoformat(asked_at[key]) > datetime.fromisoformat(one["heard"])]
        if one["did"] == "stop":
            assert after == [], "a message after STOP"
        if one["did"] == "contact":
            at = datetime.fromisoformat(one["at"])
            assert [key for key in after if at <= mine[key] < at + WEEK] == [], "two systems, two messages"
        if one["did"] == "decided":
            said = one["said"]["answer"]["decision"]
            held = stored[one["who"], one["on"]]
            assert (said["action"], said["message"], said["decided_at"]) == (held.action, held.message, held.decided_at)
    assert {one["did"] for one in heard} >= {"decided", "stop", "contact"}
