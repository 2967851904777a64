"""Who listens hears everything that is wanted, once and in order, whatever becomes of the line."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import feed_server
import httpx
import pytest
import sqlalchemy as sa
from served import HEADERS, KEY, free_port
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from predelinquency.ground.core import StoreError
from predelinquency.ground.guests import VIEWS
from predelinquency.ground.ledger import Ledger, _writing
from predelinquency.live.feed import Message, prune_feed, publish
from predelinquency.service import feed, tickets
from predelinquency.service.client import ServiceError
from predelinquency.service.desk import Desk
from predelinquency.service.keys import ENVIRONMENT
from predelinquency.service.listener import Live


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as made:
        yield made


@pytest.fixture
def served(ledger: Ledger) -> Iterator[tuple[str, Desk]]:
    with feed_server.running(ledger) as running:
        yield running


def tell(ledger: Ledger, *messages: tuple[int, float | None], kind: str = "score") -> int:
    "Customers, each with a chance."
    with _writing(ledger.engine) as book:
        return publish(book, [Message(kind, who, 1_000, {"probability": chance}) for who, chance in messages])


def ticket(url: str) -> str:
    return str(httpx.post(f"{url}/v1/tickets", headers=HEADERS, trust_env=False).raise_for_status().json()["ticket"])


@contextmanager
def line(url: str, **first: Any) -> Iterator[ClientConnection]:
    "An open line, on which the first message was sent."
    with connect(f"ws{url.removeprefix('http')}/v1/live", proxy=None) as made:
        if first:
            made.send(json.dumps({"ticket": first.get("ticket") or ticket(url)} | first))
        yield made


def numbers(made: ClientConnection, many: int) -> list[int]:
    "The next messages."
    found: list[int] = []
    end = time.monotonic() + 30
    while len(found) < many:
        assert time.monotonic() < end, found
        told = json.loads(made.recv(30))
        found += [told["n"]] if "n" in told else []
    return found


def closed(made: ClientConnection) -> tuple[int, str]:
    "With what a line is closed, after everything else on it."
    end = time.monotonic() + 30
    with pytest.raises(ConnectionClosed) as told:
        while time.monotonic() < end:
            made.recv(30)
    assert told.value.rcvd is not None
    return told.value.rcvd.code, told.value.rcvd.reason


def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_message_is_heard_as_it_was_said(served: tuple[str, Desk], ledger: Ledger) -> None:
    with line(served[0], after=0) as made:
        assert json.loads(made.recv(30)) == {"after": 0}
        tell(ledger, (7, 0.25))
        said = dict(n=1, kind="score", customer_id=7, said_at=1_000, body={"probability": 0.25})
        assert json.loads(made.recv(30)) == said


def test_who_names_no_number_hears_what_is_new_from_now_on(served: tuple[str, Desk], ledger: Ledger) -> None:
    tell(ledger, (1, 0.1), (2, 0.1))
    with line(served[0], kinds=[]) as made:
        assert json.loads(made.recv(30)) == {"after": 2}
        tell(ledger, (3, 0.1))
        assert numbers(made, 1) == [3]


def test_who_was_behind_and_who_was_not_hear_the_same(
    served: tuple[str, Desk], ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    "Pages of three, and more is said all the while."
    monkeypatch.setattr(feed, "_PAGE", 3)
    tell(ledger, *[(1, 0.5)] * 10)
    most, done = 400, threading.Event()

    def speak() -> None:
        while not done.is_set() and tell(ledger, *[(2, 0.5)] * 2) < most:
            pass

    speaker = threading.Thread(target=speak)
    with line(served[0], after=10) as first:
        speaker.start()
        try:
            for begin in (0, 3, 9, 11):
                with line(served[0], after=begin) as made:
                    assert numbers(made, 15) == list(range(begin + 1, begin + 16))
            assert numbers(first, 15) == list(range(11, 26))
        finally:
            done.set()
            speaker.join()


def test_what_is_said_between_the_last_look_and_joining_is_heard(
    served: tuple[str, Desk], ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    "The second client has read everything; before it has joined the first, more is said and told to the first."
    tell(ledger, *[(1, 0.5)] * 4)
    real = feed.read_feed
    with line(served[0], after=4) as first:
        assert json.loads(first.recv(30)) == {"after": 4}

        def slow(book: Ledger, after: int, n: int) -> list[Message]:
            found = real(book, after, n)
            if after == 2:
                tell(ledger, (2, 0.5))
                assert numbers(first, 1) == [5]
            return found

        monkeypatch.setattr(feed, "read_feed", slow)
        with line(served[0], after=2) as second:
            assert numbers(second, 3) == [3, 4, 5]
            tell(ledger, (3, 0.5))
            assert numbers(second, 1) == numbers(first, 1) == [6]


FILTERS: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [1, 2, 3, 4, 5]),
    ({"kinds": ["score"]}, [1, 2, 3]),
    ({"kinds": ["alert", "contact"]}, [4, 5]),
    ({"customers": [8]}, [2, 5]),
    ({"least": 0.3}, [1, 5]),
    ({"least": 0.3, "kinds": ["score"]}, [1]),
]


@pytest.mark.parametrize("behind", [True, False], ids=["behind", "with the others"])
def test_only_what_is_wanted_is_heard(served: tuple[str, Desk], ledger: Ledger, behind: bool) -> None:
    def speak() -> None:
        tell(ledger, (7, 0.3), (8, 0.29), (7, None))
        tell(ledger, (7, 0.1), (8, 0.9), kind="alert")
        tell(ledger, (8, 1.0), kind="end")

    if behind:
        speak()
    with ExitStack() as lines:
        opened = []
        for wanted, _ in FILTERS:
            more = {"kinds": [*wanted["kinds"], "end"]} if "kinds" in wanted else {}
            more |= {"customers": [7, 8]} if wanted == {} else {}
            opened.append(lines.enter_context(line(served[0], **{"after": 0} | wanted | more)))
        if not behind:
            assert [json.loads(one.recv(30)) for one in opened] == [{"after": 0}] * len(opened)
            speak()
        for made, (_, heard) in zip(opened, FILTERS, strict=True):
            assert numbers(made, len(heard) + 1) == [*heard, 6]


def test_who_wants_little_is_told_how_far_it_is(
    served: tuple[str, Desk], ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "SAY_SECONDS", 0.05)
    with line(served[0], after=0, customers=[1]) as made:
        assert [json.loads(made.recv(30)) for _ in range(2)] == [{"after": 0}] * 2, (
            "where it begins, and the first word"
        )
        tell(ledger, (2, 0.5), (3, 0.5))
        until(lambda: json.loads(made.recv(30)) == {"after": 2})


def test_a_ticket_is_good_once(served: tuple[str, Desk], ledger: Ledger) -> None:
    one = ticket(served[0])
    with line(served[0], ticket=one, after=0) as made:
        assert json.loads(made.recv(30)) == {"after": 0}
        with line(served[0], ticket=one, after=0) as again:
            assert closed(again)[0] == 4401
        tell(ledger, (7, 0.5))
        assert numbers(made, 1) == [1], "who was let in is not disturbed"
    with line(served[0], ticket="a guess", after=0) as made:
        assert closed(made)[0] == 4401


def test_of_many_who_show_a_ticket_at_once_one_is_let_in(ledger_url: str) -> None:
    with Ledger.open(ledger_url) as ledger:
        for _ in range(5):
            one, told = tickets.give_ticket(ledger, 0, "ann").ticket, []
            ask = threading.Barrier(6)

            def show(one: str = one, ask: threading.Barrier = ask, told: list[str | None] = told) -> None:
                ask.wait()
                told.append(tickets.redeem(ledger, one, 29_999))

            shown = [threading.Thread(target=show) for _ in range(6)]
            for thread in shown:
                thread.start()
            for thread in shown:
                thread.join()
            assert sorted(told, key=str) == [None] * 5 + ["ann"]
        late = tickets.give_ticket(ledger, 0, "ann").ticket
        assert tickets.redeem(ledger, late, 30_000) is None


def test_a_ticket_needs_the_key_and_is_kept_as_a_hash(served: tuple[str, Desk], ledger: Ledger, tmp_path: Path) -> None:
    assert httpx.post(f"{served[0]}/v1/tickets", trust_env=False).status_code == 401
    one = ticket(served[0])
    assert not any(one.encode() in path.read_bytes() for path in tmp_path.iterdir())


def test_who_shows_no_ticket_in_time_is_closed(served: tuple[str, Desk], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "WAIT_SECONDS", 0.05)
    with line(served[0]) as made:
        assert closed(made) == (4401, "no ticket came in 0.05 seconds")


@pytest.mark.parametrize(
    "wrong",
    ["{", "[]", "{}", '{"ticket": 7}', {"more": 1}, {"after": -1}, {"after": "1"}, {"least": 2}, {"customers": ["7"]}],
)
def test_a_first_message_that_is_not_right_is_refused(served: tuple[str, Desk], wrong: str | dict[str, Any]) -> None:
    with line(served[0]) as made:
        made.send(wrong if isinstance(wrong, str) else json.dumps({"ticket": ticket(served[0])} | wrong))
        assert closed(made)[0] == 4400


def test_a_number_of_another_feed_is_refused(served: tuple[str, Desk], ledger: Ledger) -> None:
    tell(ledger, (7, 0.5))
    with line(served[0], after=2) as made:
        assert closed(made) == (4400, "the feed ends at 1: this number is of another one")


def test_who_comes_too_late_hears_from_where_to_read_on(served: tuple[str, Desk], ledger: Ledger) -> None:
    tell(ledger, (7, 0.5), (8, 0.5))
    prune_feed(ledger, 1_001)
    tell(ledger, (9, 0.5))
    with line(served[0], after=1) as made:
        assert closed(made) == (4410, '{"after": 2}')
    with pytest.raises(ServiceError, match=r'kept no more \(4410 {"after": 2}\)'):
        next(iter(Live(served[0], KEY, after=0)))


def test_a_slow_client_is_closed_and_reads_on_where_it_was(
    served: tuple[str, Desk], ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    "Messages so large that they fit nowhere on the way."
    monkeypatch.setattr(feed, "MOST_WAITING", 20)
    many, heard = 400, []
    url = served[0]
    with connect(f"ws{url.removeprefix('http')}/v1/live", proxy=None, compression=None, max_queue=2) as made:
        made.send(json.dumps({"ticket": ticket(url), "after": 0}))
        assert json.loads(made.recv(30)) == {"after": 0}
        for _ in range(many // 10):
            with _writing(ledger.engine) as book:
                publish(book, [Message("score", 7, 1_000, {"text": "x" * 50_000})] * 10)
        with pytest.raises(ConnectionClosed) as told:
            while True:
                heard.append(json.loads(made.recv(30))["n"])
    assert told.value.rcvd is not None and told.value.rcvd.code == 4008
    after = json.loads(told.value.rcvd.reason)["after"]
    assert heard == list(range(1, after + 1)) and 0 < after < many
    with line(url, after=after) as made:
        assert heard + numbers(made, many - after) == list(range(1, many + 1))


def test_a_service_that_is_about_to_end_says_so(served: tuple[str, Desk], ledger: Ledger) -> None:
    tell(ledger, (7, 0.5))
    with line(served[0], after=0) as made:
        assert numbers(made, 1) == [1]
        served[1].leaving = True
        assert closed(made) == (1012, '{"after": 1}')


def test_a_server_with_open_lines_ends(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    "Also with one on which nothing was said yet, and where nothing is to be said; `running` sees to it that it has ended."
    monkeypatch.setattr(feed, "SAY_SECONDS", 10**6)
    with ExitStack() as lines:
        with feed_server.running(ledger) as (url, _):
            made = [lines.enter_context(line(url, after=0)) for _ in range(3)]
            for one in made:
                assert json.loads(one.recv(30)) == {"after": 0}
            silent = lines.enter_context(line(url))
        assert [closed(one)[0] for one in (*made, silent)] == [1012] * 4


def test_who_goes_away_is_forgotten(served: tuple[str, Desk], ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MOST_CLIENTS", 1)
    monkeypatch.setattr(feed, "SAY_SECONDS", 10**6)
    for _ in range(3):
        with line(served[0], after=0) as made:
            assert json.loads(made.recv(30)) == {"after": 0}
            with line(served[0]) as more:
                assert closed(more)[0] == 1013
        until(lambda: is_let_in(served[0]))


def is_let_in(url: str) -> bool:
    with suppress(ConnectionClosed), line(url, after=0) as made:
        return made.recv(30) == '{"after": 0}'
    return False


def test_without_a_key_only_this_machine_is_answered_under_its_own_name(ledger: Ledger) -> None:
    with feed_server.running(ledger, key="") as (url, _):
        with line(url, after=0) as made:
            assert json.loads(made.recv(30)) == {"after": 0}
        port = httpx.URL(url).port
        for led in (f"bank.example:{port}", "127.0.0.1.bank.example"):
            here = socket.create_connection(("127.0.0.1", port))
            with here, pytest.raises(InvalidStatus) as told:
                connect(f"ws://{led}/v1/live", sock=here)
            assert told.value.response.status_code == 421


def test_each_message_is_heard_once_while_servers_come_and_go(ledger: Ledger) -> None:
    "Three servers, one after the other at one address: each ends while something is being said, and more is said when nobody is there."
    port, heard, many = free_port(), [], 90

    def listen() -> None:
        for told in islice(Live(f"http://127.0.0.1:{port}", KEY, after=0), many):
            heard.append(told["n"])

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    for part in range(3):
        tell(ledger, *[(part, 0.5)] * 10)
        with feed_server.running(ledger, port):
            until(lambda part=part: len(heard) > 30 * part)
            for _ in range(10):
                tell(ledger, (part, 0.5))
        tell(ledger, *[(part, 0.5)] * 10)
    with feed_server.running(ledger, port):
        listener.join(60)
    assert heard == list(range(1, many + 1))


def test_a_client_that_is_not_let_in_or_finds_nobody_says_so(ledger: Ledger, served: tuple[str, Desk]) -> None:
    with pytest.raises(ServiceError, match="401 No valid key"):
        next(iter(Live(served[0], "another-key-0123456789")))
    with pytest.raises(ServiceError, match=r"the service refused the line \(4400"):
        next(iter(Live(served[0], KEY, wanted={"kind": "score"})))
    with pytest.raises(ServiceError, match="cannot be reached"):
        next(iter(Live("http://127.0.0.1:9", KEY, patience=0.2)))


def test_a_service_without_a_ledger_gives_no_ticket(served: tuple[str, Desk]) -> None:
    served[1].scoring.ledger = None  # type: ignore[union-attr]
    answer = httpx.post(f"{served[0]}/v1/tickets", headers=HEADERS, trust_env=False)
    assert answer.status_code == 404 and answer.json()["detail"] == "No ledger is attached to this service."


def test_clients_of_two_processes_hear_everything(tmp_path: Path) -> None:
    "A ticket of the one is taken by the other, once."
    ledger_url = f"sqlite:///{tmp_path}/ledger.db"
    Ledger.open(ledger_url).close()
    ports = [free_port(), free_port()]
    command = [sys.executable, feed_server.__file__, ledger_url]
    processes = [subprocess.Popen([*command, str(port)]) for port in ports]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    with ExitStack() as lines, Ledger.open(ledger_url) as ledger:
        try:
            for url, process in zip(urls, processes, strict=True):
                until(lambda url=url, process=process: answers(url, process), 120)
            first = ticket(urls[0])
            asked = [(urls[0], ticket(urls[0])), (urls[1], first), (urls[1], ticket(urls[1]))]
            opened = [lines.enter_context(line(url, after=0, ticket=one)) for url, one in asked]
            assert [json.loads(made.recv(30)) for made in opened] == [{"after": 0}] * 3
            with line(urls[0], ticket=first) as made:
                assert closed(made)[0] == 4401
            for who in range(30):
                tell(ledger, (who, 0.5))
            for made in opened:
                assert numbers(made, 30) == list(range(1, 31))
        finally:
            for process in processes:
                process.terminate()
                process.wait(30)
        assert [closed(made)[0] for made in opened] == [1012] * 3


def answers(url: str, process: subprocess.Popen) -> bool:
    assert process.poll() is None
    with suppress(httpx.HTTPError):
        return httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
    return False


def seen_of(ledger: Ledger) -> Counter[tuple[str, int]]:
    with ledger.engine.connect() as book:
        return Counter(map(tuple, book.execute(sa.select(VIEWS.c.key_name, VIEWS.c.customer_id))))


def test_a_line_leaves_a_row_for_each_customer_whom_it_shows_once(served: tuple[str, Desk], ledger: Ledger) -> None:
    tell(ledger, (1, 0.1), (2, 0.9), (1, 0.2))
    with line(served[0], ticket=ticket(served[0]), after=0, least=0.15) as made:
        assert numbers(made, 2) == [2, 3], "what was missed"
        assert {who for _, who in seen_of(ledger)} == {1, 2}
        tell(ledger, (2, 0.8), (3, 0.7), (4, 0.0))
        assert numbers(made, 2) == [4, 5]
        tell(ledger, (3, 0.6))
        assert numbers(made, 1) == [7]
    assert sorted(who for _, who in seen_of(ledger).elements()) == [1, 2, 3], (
        "a row each, and none of who was not shown"
    )
    assert {name for name, _ in seen_of(ledger)} == {ENVIRONMENT}


def test_nothing_is_shown_that_cannot_be_written_down(
    served: tuple[str, Desk], ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrote, full = feed.record_several, threading.Event()

    def while_full(*said: Any) -> None:
        if not full.is_set():
            full.set()
            raise StoreError("no space left on the disk")
        wrote(*said)

    with line(served[0], ticket=ticket(served[0]), after=0) as made:
        assert json.loads(made.recv(30)) == {"after": 0}
        monkeypatch.setattr(feed, "record_several", while_full)
        tell(ledger, (7, 0.5))
        assert numbers(made, 1) == [1], "it is shown when the disk has space again"
    assert full.is_set() and len(seen_of(ledger)) == 1


def test_who_joins_while_it_is_written_down_is_written_down_too(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(ledger, (7, 0.5))
    hub, wrote = feed.Hub(lambda: ledger, lambda: False), feed.record_several
    ann, ben = (feed.Line(feed.Asked(ticket="k3x"), 0, name) for name in ("ann", "ben"))
    hub.lines.add(ann)

    def joining(*said: Any) -> None:
        wrote(*said)
        hub.lines.add(ben)

    monkeypatch.setattr(feed, "record_several", joining)
    asyncio.run(feed._look(hub))
    assert [len(line.waits) for line in (ann, ben)] == [1, 1] and seen_of(ledger) == {("ann", 7): 1, ("ben", 7): 1}
