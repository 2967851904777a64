"""What is told to the service: kept before it is answered, once, and nothing half."""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from guests import HOUSE_KEY, NOW, Asker, asker, desk_of
from live_events import account, everything, payment
from records import AT, call, decision, message, outcome, reply

from predelinquency.decide.memory import remembered
from predelinquency.ground import records
from predelinquency.ground.core import StoreError
from predelinquency.ground.ledger import Ledger
from predelinquency.live.places import Found, claim, write_batch
from predelinquency.service import desk as service_desk
from predelinquency.service import doors

CANARY = "Xanthippe-31415926"
DAY = "2026-03-02"


@pytest.fixture
def desk(ledger_url: str, tmp_path: Path) -> service_desk.Desk:
    return desk_of(tmp_path, ledger_url)


@pytest.fixture
def here(desk: service_desk.Desk) -> Asker:
    return asker(desk, HOUSE_KEY)


def told(event: Any) -> dict[str, Any]:
    return event._asdict()


def said(record: Any, **other: Any) -> dict[str, Any]:
    "A record as a request says it; channels are those of the policy."
    names = {"Contact": doors.ContactStep, "Reply": doors.CustomerReply, "Outcome": doors.DecisionOutcome}
    mine = {name: getattr(record, name) for name in names[type(record).__name__].model_fields}
    return mine | ({"channel": "call"} if mine.get("channel") == "phone" else {}) | other


EACH = {
    "/v1/replies": lambda **other: said(reply(), **other),
    "/v1/contacts": lambda **other: said(call(), **other),
    "/v1/outcomes": lambda **other: said(outcome(), **other),
}
KEPT = {"/v1/replies": records.Reply, "/v1/contacts": records.Contact, "/v1/outcomes": records.Outcome}


# --- events


def test_one_event_and_several_are_taken_in_their_order(desk: service_desk.Desk, here: Asker) -> None:
    one = here.post("/v1/events", told(payment(1)))
    more = here.post("/v1/events", {"events": [told(account(2)), told(payment(3)), told(payment(4, customer=9))]})
    answers = one.json()["answers"] + more.json()["answers"]
    assert (one.status_code, more.status_code) == (200, 200)
    assert [a["state"] for a in answers] == ["taken"] * 4
    kept = {(way, e.position): e.event for way, entries in everything(desk.log).items() for e in entries}
    assert [kept[a["partition"], a["position"]] for a in answers] == [
        payment(1),
        account(2),
        payment(3),
        payment(4, customer=9),
    ]


def test_a_bad_row_refuses_itself_and_not_the_batch(desk: service_desk.Desk, here: Asker) -> None:
    bad = told(payment(2))
    bad["row"] = bad["row"] | {"amount_minor": 12.5}
    rows = [told(payment(1)), bad, 5, {"kind": "wish"}, told(payment(3)) | {"arrived_at": 1}, told(payment(4))]
    answers = here.post("/v1/events", {"events": rows}).json()["answers"]
    states = ["taken", "refused", "refused", "refused", "refused", "taken"]
    assert [a["state"] for a in answers] == states
    assert answers[1]["reason"].startswith("event 1: row.amount_minor: is no whole number; to fix: ")
    assert [(a["partition"], a["position"]) for a in answers if a["state"] == "refused"] == [(None, None)] * 4
    assert sum(map(len, everything(desk.log).values())) == 2


def test_a_batch_that_is_sent_again_hears_where_it_lies(desk: service_desk.Desk, here: Asker) -> None:
    batch = {"events": [told(payment(n)) for n in range(5)]}
    first = here.post("/v1/events", batch).json()["answers"]
    desk.clock.at += timedelta(hours=1)
    again = here.post("/v1/events", batch).json()["answers"]
    assert [a["state"] for a in again] == ["repeated"] * 5
    assert [a | {"state": "taken"} for a in again] == first and sum(map(len, everything(desk.log).values())) == 5


def test_where_too_many_wait_nothing_is_taken_until_they_are_read(desk: service_desk.Desk, here: Asker) -> None:
    desk.most_behind = 5
    here.post("/v1/events", {"events": [told(payment(n)) for n in range(4)]}).raise_for_status()
    before = desk.log.heads()
    refused = here.post("/v1/events", {"events": [told(payment(n)) for n in (10, 11)]})
    assert refused.status_code == 429 and int(refused.headers["retry-after"]) == doors.WAIT_SECONDS
    assert refused.json()["title"] == service_desk.TITLES[429] and desk.log.heads() == before
    assert here.post("/v1/events", told(payment(10))).status_code == 200, "one more is not too many"
    (way,) = before
    held = claim(desk.book, way, "a worker", 0, 1_000)
    write_batch(desk.book, held, before[way] + 1, 1_000, Found())
    assert here.post("/v1/events", {"events": [told(payment(n)) for n in (11, 12)]}).status_code == 200


@pytest.mark.parametrize("body", [b'{"events": []}', b'{"events": {}}', b'{"events": [], "more": 1}', b"5x"])
def test_what_is_no_batch_is_refused_as_a_whole(here: Asker, body: bytes) -> None:
    refused = here.request("POST", "/v1/events", content=body, headers={"Content-Type": "application/json"})
    assert refused.status_code == 422 and refused.json()["errors"]


def test_a_batch_has_an_end(desk: service_desk.Desk, here: Asker) -> None:
    rows = [told(payment(n)) for n in range(doors.MOST_EVENTS + 1)]
    assert here.post("/v1/events", {"events": rows}).status_code == 422 and desk.log.heads() == {}
    assert here.post("/v1/events", {"events": rows[:-1]}).status_code == 200


def test_without_a_log_or_a_ledger_the_answer_says_what_to_set(tmp_path: Path) -> None:
    desk = desk_of(tmp_path)
    desk.log = None
    refused = asker(desk, HOUSE_KEY).post("/v1/events", told(payment(1)))
    assert refused.status_code == 503 and service_desk.EVENTS in refused.json()["detail"]
    bare = service_desk.Desk(HOUSE_KEY)
    for path in ("/v1/events", *EACH):
        refused = asker(bare, HOUSE_KEY).post(path, EACH[path]() if path in EACH else told(payment(1)))
        assert refused.status_code == 503 and service_desk.LEDGER in refused.json()["detail"], path


def test_a_log_that_cannot_be_written_takes_nothing(desk: service_desk.Desk, here: Asker) -> None:
    class Full:
        def heads(self) -> dict[int, int]:
            return {}

        def append(self, *_: Any) -> None:
            raise StoreError("no space left on the disk")

    desk.log, log = Full(), desk.log
    assert here.post("/v1/events", told(payment(1))).status_code == 503
    desk.log = log
    assert here.post("/v1/events", told(payment(1))).json()["answers"][0]["position"] == 1


# --- what is kept in the ledger


@pytest.mark.parametrize("path", EACH)
def test_what_was_told_is_in_the_ledger_when_it_is_answered(
    desk: service_desk.Desk, here: Asker, ledger_url: str, path: str
) -> None:
    answer = here.post(path, EACH[path]())
    assert answer.status_code == 200 and answer.json() == {"customer_id": 7, "recorded_at": NOW.isoformat()}
    with Ledger.open(ledger_url) as another:
        (found,) = another.of(KEPT[path], 7)
    assert said(found) == EACH[path]()


@pytest.mark.parametrize("path", EACH)
def test_the_same_twice_is_answered_the_same_and_kept_once(desk: service_desk.Desk, here: Asker, path: str) -> None:
    first = here.post(path, EACH[path]())
    desk.clock.at += timedelta(days=3)
    with ThreadPoolExecutor(6) as pool:
        again = list(pool.map(lambda _: here.post(path, EACH[path]()).json(), range(12)))
    assert again == [first.json()] * 12 and len(desk.book.of(KEPT[path], 7)) == 1


@pytest.mark.parametrize("path", EACH)
def test_many_at_once_who_say_the_same_hear_the_same(desk: service_desk.Desk, here: Asker, path: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        heard = list(pool.map(lambda _: here.post(path, EACH[path]()).json(), range(12)))
    assert heard == heard[:1] * 12 and "recorded_at" in heard[0] and len(desk.book.of(KEPT[path], 7)) == 1


CHANGED = {
    "/v1/replies": {"kind": "declines"},
    "/v1/contacts": {"action": "reminder"},
    "/v1/outcomes": {"missed": True},
}


@pytest.mark.parametrize("path", EACH)
def test_something_else_under_the_same_key_is_a_contradiction_and_the_first_stands(
    desk: service_desk.Desk, here: Asker, path: str
) -> None:
    here.post(path, EACH[path]()).raise_for_status()
    refused = here.post(path, EACH[path](**CHANGED[path]))
    assert refused.status_code == 409 and refused.json()["title"] == service_desk.TITLES[409]
    assert [said(one) for one in desk.book.of(KEPT[path], 7)] == [EACH[path]()]


def test_a_stop_is_in_force_with_its_answer(desk: service_desk.Desk, here: Asker) -> None:
    assert remembered(desk.book, DAY).stopped == frozenset()
    stop = said(reply(kind="stop", contact_id="", received_at="2026-03-02T11:59:00Z"))
    assert here.post("/v1/replies", stop).status_code == 200
    assert remembered(desk.book, DAY).stopped == {7}
    assert here.post("/v1/outcomes", said(outcome(customer_id=8, opted_out=True))).status_code == 200
    assert remembered(desk.book, DAY).stopped == {7, 8}


def test_a_contact_of_another_system_counts_for_the_next_plan(desk: service_desk.Desk, here: Asker) -> None:
    here.post("/v1/contacts", said(call(contact_id="crm-1"))).raise_for_status()
    assert [(c.channel, c.direction) for c in remembered(desk.book, DAY).contacts[7]] == [("call", "out")]


def test_a_contact_carries_out_a_decision_that_was_made_and_no_other(desk: service_desk.Desk, here: Asker) -> None:
    desk.book.append([decision()], AT)
    assert here.post("/v1/contacts", said(message())).status_code == 200
    for other in ({"action": "reminder"}, {"channel": "sms"}, {"as_of": "2026-03-01"}, {"customer_id": 8}):
        refused = here.post("/v1/contacts", said(message(contact_id="m2"), **other))
        assert refused.status_code == 422 and refused.json()["errors"][0]["field"] == "decided_at", other
    assert here.post("/v1/contacts", said(message(contact_id="m2"), decided_at=None)).status_code == 422
    zoned = said(message(contact_id="m3"), decided_at="2026-03-02T11:00:00+01:00")
    assert here.post("/v1/contacts", zoned).status_code == 200, "the same moment in another zone"
    assert [c.contact_id for c in desk.book.of(records.Contact)] == ["m1", "m3"]


def test_a_moment_is_kept_in_utc_whatever_zone_it_names(desk: service_desk.Desk, here: Asker) -> None:
    first = here.post("/v1/replies", said(reply(), received_at="2026-03-03T09:00:00+01:00"))
    again = here.post("/v1/replies", said(reply(), received_at="2026-03-03T08:00:00Z"))
    assert first.status_code == again.status_code == 200
    assert [r.received_at for r in desk.book.of(records.Reply)] == ["2026-03-03T08:00:00+00:00"]


BAD = {
    "a field that is not known": ("/v1/replies", {CANARY: 1}, "body"),
    "a moment without a zone": ("/v1/replies", {"received_at": f"2026-03-03T08:00:00 {CANARY}"[:19]}, "received_at"),
    "no moment": ("/v1/contacts", {"at": CANARY}, "at"),
    "a moment before all time": ("/v1/contacts", {"at": "0001-01-01T00:00:00+14:00"}, "at"),
    "a kind": ("/v1/replies", {"kind": CANARY}, "kind"),
    "a channel": ("/v1/replies", {"channel": CANARY}, "channel"),
    "a NUL": ("/v1/replies", {"text": f"{CANARY}\0"}, "text"),
    "a text for a number": ("/v1/outcomes", {"customer_id": "7"}, "customer_id"),
    "a number for a truth": ("/v1/outcomes", {"opted_out": 1}, "opted_out"),
    "a day that is none": ("/v1/outcomes", {"observed_on": CANARY}, "observed_on"),
    "a number that is too long": ("/v1/outcomes", {"paid_minor": 10**13}, "paid_minor"),
    "a state": ("/v1/contacts", {"state": "thought of"}, "state"),
    "an id that is too long": ("/v1/contacts", {"contact_id": "c" * 201}, "contact_id"),
    "nobody": ("/v1/contacts", {"contact_id": ""}, "contact_id"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_row_is_refused_named_and_not_quoted(tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.CRITICAL, "httpx")
    desk, (path, other, field) = desk_of(tmp_path), BAD[what]
    refused = asker(desk, HOUSE_KEY).post(path, EACH[path](**other))
    assert refused.status_code == 422 and refused.json()["errors"][0]["field"] == field, refused.text
    assert CANARY not in refused.text + caplog.text and desk.book.of(KEPT[path]) == []


def test_a_day_that_no_calendar_has_is_refused(tmp_path: Path) -> None:
    desk = desk_of(tmp_path)
    refused = asker(desk, HOUSE_KEY).post("/v1/outcomes", said(outcome(), observed_on="2026-02-30"))
    assert refused.status_code == 422 and desk.book.of(records.Outcome) == []


def test_what_was_told_stands_in_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.CRITICAL, "httpx")
    here = asker(desk_of(tmp_path), HOUSE_KEY)
    bad = told(payment(1)) | {"kind": CANARY}
    answers = [here.post("/v1/replies", said(reply(), text=CANARY)), here.post("/v1/events", bad)]
    assert [a.status_code for a in answers] == [200, 200]
    assert CANARY not in caplog.text + "".join(a.text for a in answers)


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        (doors.CustomerReply, records.Reply),
        (doors.ContactStep, records.Contact),
        (doors.DecisionOutcome, records.Outcome),
    ],
)
def test_what_may_be_told_has_the_fields_of_the_ledger(kind: Any, record: Any) -> None:
    assert list(kind.model_fields) == [f.name for f in fields(record)]


def test_the_description_says_what_each_door_is_for(tmp_path: Path) -> None:
    described = asker(desk_of(tmp_path), HOUSE_KEY).get("/openapi.json").json()
    for path in ("/v1/events", *EACH):
        post = described["paths"][path]["post"]
        assert post["summary"].startswith("Tell ") and {"401", "403", "409", "422", "429"} <= set(post["responses"])
        assert set(post["responses"]["429"]["content"]) == {"application/problem+json"}
