"""What was decided is sent once: signed, agreed to, never after a stop, never while the brake is on."""

import json
import random
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from guests import HOUSE_KEY, NOW, Asker, asker, desk_of, grant
from live_processes import Process
from records import decision
from receiver import SECRET, Receiver, receiving

from predelinquency.decide.memory import remembered
from predelinquency.ground.ledger import Ledger
from predelinquency.ground.records import Contact, Decision, Milestone
from predelinquency.service import desk as service_desk
from predelinquency.service.brakes import Brake, brake_of, set_brake
from predelinquency.service.keys import add_key
from predelinquency.service.outbox import LATE, Webhook, caller, pending, send_all

AT = datetime(2026, 3, 2, 10, tzinfo=UTC)


def due_now(customer: int = 7, **other: Any) -> Decision:
    said = dict(
        customer_id=customer, as_of="2026-03-02", decided_at=AT.isoformat(), channel="email", message="Shall we?"
    )
    return replace(decision(), **said | dict(approval="automatic") | other)


@pytest.fixture
def ledger(ledger_url: str) -> Any:
    with Ledger.open(ledger_url) as book:
        yield book


def clock(minutes: float = 1) -> Any:
    return lambda: AT + timedelta(minutes=minutes)


def sent(ledger: Ledger, to: Receiver, minutes: float = 1) -> dict[str, int]:
    return dict(send_all(ledger, caller(Webhook(to.url, SECRET), clock(minutes), 2.0), clock(minutes)))


def steps(ledger: Ledger, customer: int = 7) -> list[str]:
    return sorted(c.state for c in ledger.of(Contact, customer))


def test_a_decision_goes_out_once_signed_and_without_a_score(ledger: Ledger) -> None:
    ledger.append([due_now()], AT)
    with receiving() as there:
        assert sent(ledger, there) == {"sent": 1} and sent(ledger, there, 2) == {}
    (took,) = there.took
    assert took.signed and steps(ledger) == ["queued", "sent"]
    assert took.data["message"] == "Shall we?" and took.data["contact_id"] == took.name
    assert not {"probability", "band", "because", "arm", "propensity", "value_minor"} & set(took.data)
    assert remembered(ledger, "2026-03-03", 7).contacts[7][0].channel == "email", "tomorrow's plan counts it"


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_call_that_finds_trouble_is_made_again_with_the_same_bytes(ledger: Ledger, status: int) -> None:
    ledger.append([due_now(), due_now(8)], AT)
    with receiving() as there:
        there.status = status
        assert sent(ledger, there) == {"waits": 2} and len(there.took) == 1, "after one call the rest waits"
        there.status = 200
        assert sent(ledger, there, 2) == {"sent": 2}
    names = Counter((t.name, t.body) for t in there.took)
    assert sorted(names.values()) == [1, 2]


def test_a_call_that_is_refused_is_not_made_again(ledger: Ledger) -> None:
    ledger.append([due_now()], AT)
    with receiving() as there:
        there.status = 400
        assert sent(ledger, there) == {"failed": 1} and sent(ledger, there, 2) == {}
    assert steps(ledger) == ["failed", "queued"]
    assert 7 not in remembered(ledger, "2026-03-03", 7).contacts, "it reached nobody"


def test_nobody_there_keeps_it_queued(ledger: Ledger) -> None:
    ledger.append([due_now()], AT)
    call = caller(Webhook("http://127.0.0.1:9/", SECRET), clock(), 1.0)
    assert dict(send_all(ledger, call, clock())) == {"waits": 1} and steps(ledger) == ["queued"]


@pytest.mark.parametrize(
    "other",
    [dict(channel="", message=""), dict(decided_at=(AT + timedelta(hours=1)).isoformat())],
    ids=["nothing to send", "later"],
)
def test_what_is_not_to_be_sent_now_is_left_alone(ledger: Ledger, other: dict[str, Any]) -> None:
    ledger.append([due_now(**other)], AT)
    assert pending(ledger, AT) == []


def test_a_message_that_waited_too_long_is_withdrawn(ledger: Ledger) -> None:
    ledger.append([due_now()], AT)
    with receiving() as there:
        assert sent(ledger, there, LATE.total_seconds() / 60 + 1) == {"withdrawn": 1} and there.took == []
    assert steps(ledger) == ["withdrawn"]


def test_a_stop_between_decision_and_sending_withdraws_it(ledger: Ledger, ledger_url: str, tmp_path: Path) -> None:
    ledger.append([due_now(), due_now(8)], AT)
    here = asker(desk_of(tmp_path, ledger_url), HOUSE_KEY)
    stop = dict(customer_id=7, received_at="2026-03-02T10:00:30+00:00", channel="app", kind="stop")
    assert here.post("/v1/replies", stop).status_code == 200
    with receiving() as there:
        assert sent(ledger, there) == {"withdrawn": 1, "sent": 1}
    assert [t.data["customer_id"] for t in there.took] == [8]


def says_stop(ledger: Ledger) -> None:
    from predelinquency.ground.records import Reply
    from predelinquency.service import doors

    desk = service_desk.Desk(ledger=ledger, clock=clock())
    doors.record_told(desk, Reply(7, "", AT.isoformat(), "app", "stop"))


def turns_the_brake(ledger: Ledger) -> None:
    set_brake(ledger, Brake(stops=True, said_by="ann", why="x"), AT)


@pytest.mark.parametrize("said", [says_stop, turns_the_brake])
def test_a_stop_waits_until_a_message_on_its_way_is_out(ledger: Ledger, ledger_url: str, said: Any) -> None:
    "So no message goes out after its answer."
    ledger.append([due_now()], AT)
    on_its_way, may_end, answered = threading.Event(), threading.Event(), threading.Event()

    def call(*_: Any) -> int:
        on_its_way.set()
        may_end.wait(10)
        return 0 if answered.is_set() else 200

    def stop() -> None:
        with Ledger.open(ledger_url) as other:
            said(other)
        answered.set()

    sending = threading.Thread(target=lambda: send_all(ledger, call, clock()))
    sending.start()
    assert on_its_way.wait(10)
    stopping = threading.Thread(target=stop)
    stopping.start()
    stopping.join(0.2)
    assert stopping.is_alive(), "it has to wait"
    may_end.set()
    sending.join(10), stopping.join(10)
    assert answered.is_set() and steps(ledger) == ["queued", "sent"]


# --- who must agree


@pytest.fixture
def desk(ledger_url: str, tmp_path: Path) -> service_desk.Desk:
    made = desk_of(tmp_path, ledger_url)
    made.clock.at = AT  # type: ignore[attr-defined]
    return made


def opinion(verdict: str = "approved", **other: Any) -> dict[str, Any]:
    named = dict(customer_id=7, as_of="2026-03-02", decided_at=AT.isoformat())
    return named | dict(verdict=verdict, why="as agreed by phone") | other


def key_of(desk: service_desk.Desk, name: str, role: str) -> Asker:
    return asker(desk, add_key(desk.book, grant(name, role), NOW))


def test_what_somebody_must_agree_to_waits_for_them(desk: service_desk.Desk) -> None:
    desk.book.append([due_now(approval="team_lead")], AT)
    ben = key_of(desk, "ben", "approver")
    with receiving() as there:
        assert sent(desk.book, there) == {"waits": 1} and there.took == [] and steps(desk.book) == []
        said = ben.post("/v1/approvals", opinion())
        assert said.status_code == 200 and said.json()["said_by"] == "ben"
        assert sent(desk.book, there) == {"sent": 1}
    assert [(m.kind, m.said_by) for m in desk.book.of(Milestone, 7)] == [("approved", "ben")]


def test_what_was_rejected_never_goes(desk: service_desk.Desk) -> None:
    desk.book.append([due_now(approval="team_lead")], AT)
    ben, carla = key_of(desk, "ben", "approver"), key_of(desk, "carla", "approver")
    assert ben.post("/v1/approvals", opinion("rejected")).status_code == 200
    assert carla.post("/v1/approvals", opinion()).status_code == 409, "it was said"
    with receiving() as there:
        assert sent(desk.book, there) == {"withdrawn": 1} and there.took == []


def test_an_opinion_that_fits_nothing_is_refused(desk: service_desk.Desk) -> None:
    desk.book.append([due_now(approval="team_lead"), due_now(8)], AT)
    ben, anna = key_of(desk, "ben", "approver"), key_of(desk, "anna", "agent")
    assert anna.post("/v1/approvals", opinion()).status_code == 403
    assert ben.post("/v1/approvals", opinion(customer_id=8)).status_code == 409, "nobody has to agree"
    assert ben.post("/v1/approvals", opinion(customer_id=9)).status_code == 422
    assert ben.post("/v1/approvals", opinion(why="")).status_code == 422
    desk.clock.at = AT + LATE + timedelta(seconds=1)  # type: ignore[attr-defined]
    assert ben.post("/v1/approvals", opinion()).status_code == 409, "too late"
    assert desk.book.of(Milestone) == []


def test_who_asked_for_a_decision_does_not_agree_to_it(ledger_url: str) -> None:
    import deciding

    desk = deciding.desk_of(Ledger.open(ledger_url))
    desk.clock = lambda: datetime(2026, 3, 2, 11, tzinfo=UTC)
    ben, carla = key_of(desk, "ben", "approver"), key_of(desk, "carla", "approver")
    day = next(n for n in range(14) if deciding.question(7, n)["as_of"] == "2026-03-09")
    for n in (0, day):
        asked = ben.post("/v1/decisions", deciding.question(7, n), headers={"Idempotency-Key": f"{n}"}).json()
    proposed = asked["answer"]["decision"]
    assert proposed["approval"] != "automatic"
    said = opinion(as_of="2026-03-09", decided_at=proposed["decided_at"])
    assert ben.post("/v1/approvals", said).status_code == 403
    assert carla.post("/v1/approvals", said).status_code == 200


# --- the brake


def test_the_brake_stops_every_way_to_a_message(desk: service_desk.Desk) -> None:
    desk.book.append([due_now()], AT)
    ann = key_of(desk, "ann", "risk")
    assert ann.get("/v1/brake").json()["stops"] is False
    turned = ann.post("/v1/brake", dict(stops=True, why="wrong amounts"))
    assert turned.status_code == 200 and turned.json()["said_by"] == "ann"
    with receiving() as there:
        assert sent(desk.book, there) == {"waits": 1} and there.took == []
        queued = dict(customer_id=7, contact_id="x", state="queued", at=AT.isoformat(), channel="email")
        house = asker(desk, HOUSE_KEY)
        assert house.post("/v1/contacts", queued).status_code == 409
        assert house.post("/v1/contacts", queued | dict(state="sent")).status_code == 200, "a fact is kept"
        ann.post("/v1/brake", dict(stops=False, why="right again"))
        assert sent(desk.book, there) == {"sent": 1}
    assert key_of(desk, "vic", "viewer").post("/v1/brake", dict(stops=True, why="x")).status_code == 403


def test_the_brake_by_day_decides_nothing_and_by_night_leaves_messages_out(ledger_url: str) -> None:
    import deciding

    from predelinquency.ground.turns import alone
    from predelinquency.service.verdicts import still_open

    desk = deciding.desk_of(Ledger.open(ledger_url))
    set_brake(desk.book, Brake(stops=True, said_by="ann", why="x"), AT)
    here = asker(desk, host="127.0.0.1")
    asked = here.post("/v1/decisions", deciding.question(7), headers={"Idempotency-Key": "a"})
    assert asked.status_code == 409 and "by ann" in asked.json()["detail"] and not desk.book.of(Decision)
    with alone(desk.book, None) as mine:
        left = still_open(mine, [due_now(), due_now(8, channel="", message="")])
    assert [d.customer_id for d in left] == [8]


def test_the_brake_said_twice_is_one_row(ledger: Ledger) -> None:
    first = set_brake(ledger, Brake(stops=True, said_by="ann", why="x"), AT)
    again = set_brake(ledger, Brake(stops=True, said_by="ben", why="y"), AT + timedelta(minutes=1))
    assert first == again == brake_of(ledger)


# --- kills


def send_until_ended(ledger_url: str, to: str) -> None:
    "As `predelinquency send` does, on the clock of the test."
    with Ledger.open(ledger_url) as book:
        call = caller(Webhook(to, SECRET), clock(), 2.0)
        while True:
            send_all(book, call, clock())
            time.sleep(0.005)


@pytest.mark.parametrize("kills", [10, pytest.param(60, marks=pytest.mark.long)])
def test_two_senders_killed_at_random_send_each_message_once(ledger_url: str, ledger: Ledger, kills: int) -> None:
    many, dice = 6 * kills, random.Random(kills)
    ledger.append([due_now(n) for n in range(many)], AT)
    with receiving(seed=kills, trouble=0.2) as there:
        senders = [Process(send_until_ended, ledger_url, there.url) for _ in range(2)]
        try:
            for _ in range(kills):
                time.sleep(dice.uniform(0.02, 0.2))
                one = dice.choice(senders)
                one.kill()
                one.start()
            end = time.monotonic() + 60
            while pending(ledger, clock()()):
                assert time.monotonic() < end
                time.sleep(0.05)
        finally:
            for one in senders:
                one.kill()
    bodies = {(t.data["customer_id"], t.name, t.body) for t in there.took}
    assert len(bodies) == many == len({name for _, name, _ in bodies}), "one id and one text for each customer"
    assert all(t.signed for t in there.took) and len(there.took) > many, "some calls were made again"
    assert {c: steps(ledger, c) for c in range(many)} == dict.fromkeys(range(many), ["queued", "sent"])


def test_two_senders_at_once_call_once(ledger_url: str, ledger: Ledger) -> None:
    ledger.append([due_now(n) for n in range(60)], AT)
    with receiving() as there:
        senders = [Process(send_until_ended, ledger_url, there.url) for _ in range(2)]
        try:
            end = time.monotonic() + 30
            while pending(ledger, clock()()):
                assert time.monotonic() < end
                time.sleep(0.02)
        finally:
            for one in senders:
                one.kill()
    assert Counter(t.name for t in there.took).most_common(1)[0][1] == 1 and len(there.took) == 60


def test_when_the_brake_has_answered_nothing_more_goes_out(ledger_url: str, ledger: Ledger) -> None:
    "Under load: two senders at work."
    ledger.append([due_now(n) for n in range(300)], AT)
    with receiving() as there:
        senders = [Process(send_until_ended, ledger_url, there.url) for _ in range(2)]
        try:
            end = time.monotonic() + 30
            while len(there.took) < 5:
                assert time.monotonic() < end
                time.sleep(0.005)
            set_brake(ledger, Brake(stops=True, said_by="ann", why="x"), AT)
            answered, taken = time.time(), len(there.took)
            time.sleep(0.5)
        finally:
            for one in senders:
                one.kill()
    assert len(there.took) == taken < 300 and all(t.at <= answered for t in there.took)
    assert json.loads(there.took[0].body)["type"] == "contact.queued"
