"""What rang is told outside once: tried again until it is heard, by one teller, about nobody by name, with no secret in any line."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from guests import NOW
from receiver import receiving

from predelinquency.ground.core import DAY_MS, ParamsError, PredelinquencyError
from predelinquency.ground.following import ALERTS, TELLINGS
from predelinquency.ground.ledger import Ledger
from predelinquency.ops.send import ring_alerts
from predelinquency.service.bells import (
    GIVE_UP_MS,
    HOLD_MS,
    Bell,
    Wish,
    bells_of,
    note_call,
    ring_all,
    take_up,
    unsure_of,
)
from predelinquency.service.ringing import AlertKey, acknowledge

T0 = 1_772_445_600_000
AT_ONCE = Wish("note", 0)


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with Ledger.open(ledger_url) as book:
        yield book


def rang(ledger: Ledger, *customers: int, level: str = "look", at: int = T0) -> None:
    body = {"sentence": "A payment is likely to be missed.", "probability": 0.7}
    about = dict(rule="case_serious", period=1, level=level, said_at=at, body=body)
    with ledger.engine.begin() as book:
        book.execute(sa.insert(ALERTS), [about | dict(subject=f"{c}-1-2", customer_id=c) for c in customers])


class Place:
    "Somebody who hears, or does not."

    def __init__(self, name: str = "a place"):
        self.heard: list[str] = []
        self.there = True
        self.bell = Bell(name, "list", self.ring)

    def ring(self, title: str, text: str) -> bool:
        self.heard.append(f"{title}\n{text}")
        return self.there


def ring(ledger: Ledger, *places: Place, wish: Wish = AT_ONCE, now: int = T0) -> dict[str, int]:
    return dict(ring_all(ledger, [place.bell for place in places], wish, lambda: now))


def test_each_place_hears_each_alert_once(ledger: Ledger) -> None:
    one, other = Place("one"), Place("other")
    rang(ledger, 7, 8)
    assert ring(ledger, one) == {"told": 2} and ring(ledger, one) == {}
    rang(ledger, 9)
    assert ring(ledger, one, other) == {"told": 4}
    assert len(one.heard) == 2 and len(other.heard) == 1 and "case_serious: 3" in other.heard[0]


def test_nobody_is_named_outside(ledger: Ledger) -> None:
    place = Place()
    rang(ledger, 70_707, 80_808)
    ring(ledger, place)
    assert not any(word in place.heard[0] for word in ("70707", "80808", "0.7", "1-2"))


def test_who_did_not_hear_is_told_again_in_the_same_words_and_later_each_time(ledger: Ledger) -> None:
    place, waits = Place(), []
    rang(ledger, 7)
    place.there, now, last = False, T0, T0
    for _ in range(60_000):
        if ring(ledger, place, now=now):
            waits.append(now - last)
            last = now
            rang(ledger, len(waits) + 100) if len(waits) < 3 else None
        if len(waits) == 6:
            break
        now += 500
    assert waits == [0, 2_000, 4_000, 8_000, 16_000, 32_000] and len(set(place.heard)) == 1
    place.there = True
    assert ring(ledger, place, now=now + 64_000) == {"told": 1} and len(set(place.heard)) == 1
    assert ring(ledger, place, now=now + 64_000) == {"told": 2}, "what rang meanwhile comes in one message"


def test_after_a_day_nobody_is_called_any_more(ledger: Ledger) -> None:
    place = Place()
    rang(ledger, 7)
    place.there = False
    assert ring(ledger, place) == {"waits": 1} and ring(ledger, place, now=T0 + GIVE_UP_MS) == {"given_up": 1}
    assert ring(ledger, place, now=T0 + 9 * GIVE_UP_MS) == {}


def test_a_teller_that_was_lost_is_not_repeated_and_does_not_hold_the_others(ledger: Ledger) -> None:
    place = Place()
    rang(ledger, 7)
    lost = take_up(ledger, place.bell.name, AT_ONCE, T0)
    rang(ledger, 8)
    assert lost and ring(ledger, place, now=T0 + HOLD_MS - 1) == {} and unsure_of(ledger) == 0
    assert ring(ledger, place, now=T0 + HOLD_MS) == {"told": 1} and unsure_of(ledger) == 1
    note_call(ledger, lost, False, T0 + HOLD_MS + 1)
    assert ring(ledger, place, now=T0 + 9 * HOLD_MS) == {} and len(place.heard) == 1


def test_two_tellers_at_once_share_the_work(ledger: Ledger, ledger_url: str) -> None:
    place = Place()
    for turn in range(6):
        rang(ledger, turn, turn + 100)
        ask = threading.Barrier(4)

        def tell(ask: threading.Barrier = ask) -> None:
            with Ledger.open(ledger_url) as book:
                ask.wait()
                ring(book, place)

        tellers = [threading.Thread(target=tell) for _ in range(4)]
        for teller in tellers:
            teller.start()
        for teller in tellers:
            teller.join()
    told = [int(text.split(" ", 1)[0]) for text in place.heard]
    with ledger.engine.connect() as book:
        assert sum(told) == 12 == book.execute(sa.select(sa.func.count()).where(TELLINGS.c.state == "told")).scalar()


def test_what_somebody_has_seen_to_or_is_old_or_is_not_wanted_is_not_told(ledger: Ledger) -> None:
    place = Place()
    rang(ledger, 1, at=T0 - 3 * DAY_MS)
    rang(ledger, 2, level="note")
    rang(ledger, 3, 4)
    acknowledge(ledger, AlertKey("case_serious", "3-1-2", 1), "ann", NOW, T0)
    assert ring(ledger, place, wish=Wish("look", 0)) == {"told": 1}


def test_between_two_messages_it_is_quiet_unless_it_is_urgent(ledger: Ledger) -> None:
    place, wish = Place(), Wish("note", 60_000)
    rang(ledger, 1)
    assert ring(ledger, place, wish=wish) == {"told": 1}
    rang(ledger, 2)
    assert ring(ledger, place, wish=wish, now=T0 + 59_999) == {}
    rang(ledger, 3, level="now")
    assert ring(ledger, place, wish=wish, now=T0 + 59_999) == {"told": 2} and "look now" in place.heard[-1]


class Post(socketserver.ThreadingTCPServer):
    "A mail server that takes what it is sent."

    allow_reuse_address, daemon_threads = True, True

    def __init__(self) -> None:
        self.letters: list[str] = []
        super().__init__(("127.0.0.1", 0), Speaks)


class Speaks(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        def say(line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        say("220 here")
        for line in self.rfile:
            word = line[:4].decode().upper()
            if word == "DATA":
                say("354 go on")
                self.server.letters.append("".join(iter(lambda: self.rfile.readline().decode(), ".\r\n")))
            say("221 bye" if word == "QUIT" else "250 ok")
            if word == "QUIT":
                return


@contextmanager
def post_office() -> Iterator[Post]:
    with Post() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_mail_a_webhook_and_slacks_form_arrive(tmp_path: Path) -> None:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger, post_office() as post, receiving() as hook:
        rang(ledger, 7, 8)
        host = hook.url.removeprefix("http://")
        mail = (
            f"mailto://127.0.0.1:{post.server_address[1]}?from=alerts@bank.example&to=desk@bank.example&mode=insecure"
        )
        bells = bells_of(f"{mail} json://{host}")
        assert dict(ring_all(ledger, bells, AT_ONCE, lambda: T0)) == {"told": 4}
        assert [bell.kind for bell in bells_of("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ")] == ["Slack"]
    (letter,), (took,) = post.letters, hook.took
    said = json.loads(took.body)
    assert "To: desk@bank.example" in letter and "2 alerts: look today" in letter
    assert said["title"] == "2 alerts: look today" and "case_serious: 2" in said["message"]


def test_the_name_of_a_place_outlives_its_password() -> None:
    one, other = (bells_of(f"mailto://ann:{word}@mail.bank.example?to=d@bank.example")[0] for word in ("x1", "y2"))
    elsewhere = bells_of("mailto://ann:x1@mail.bank.example?to=e@bank.example")[0]
    assert one.name == other.name != elsewhere.name


def test_an_address_that_cannot_be_used_is_refused_without_its_words() -> None:
    with pytest.raises(ParamsError, match="address 2 of 2") as e:
        bells_of("json://127.0.0.1:9/ nonsense://user:a-secret@host")
    assert "a-secret" not in str(e.value) and isinstance(e.value, PredelinquencyError)


def test_the_command_tells_and_no_line_holds_a_secret(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, said = f"sqlite:///{tmp_path}/ledger.db", []
    with Ledger.open(url) as ledger:
        rang(ledger, 7)
    with receiving() as hook:
        host = hook.url.removeprefix("http://")
        addresses = f"json://user:hidden-word@{host} json://user:hidden-word@127.0.0.1:9/x"
        monkeypatch.setenv("PREDELINQUENCY_ALERTS_TO", addresses)
        for _ in range(2):
            ring_alerts(once=True, quiet=0.0, ledger=url, as_json=True)
            said.append(capfd.readouterr())
    assert json.loads(said[0].out) == dict(told=1, waits=1, given_up=0, unsure=0)
    assert len(hook.took) == 1 and not any("hidden-word" in one.out + one.err for one in said)
    assert not any(b"hidden-word" in path.read_bytes() for path in tmp_path.iterdir())
