"""Beside keys, a proxy's signed header says who asks: now, once, for one request, where a secret is configured."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from guests import HOUSE_KEY, NOW, asker, desk_of, grant

from predelinquency.ground.core import PredelinquencyError
from predelinquency.ground.ledger import Ledger
from predelinquency.service import bento
from predelinquency.service import desk as service_desk
from predelinquency.service.keys import PER_MINUTE, add_key
from predelinquency.service.proxies import GUEST_HEADER, SECRET_FILE, Proxy, Word, proxy_of
from predelinquency.service.tickets import redeem
from predelinquency.service.wire import Refused

SECRET, OTHER = b"a secret of the tests, long enough", b"another one of them, long enough, too"
NOW_S = int(NOW.timestamp())
CASES = "/v1/cases?state=near"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[service_desk.Desk]:
    made = desk_of(tmp_path)
    made.proxy = Proxy((SECRET,))
    yield made


class Proxied:
    "Somebody behind a proxy."

    def __init__(self, desk: service_desk.Desk, key: str = ""):
        self.here, self.count = asker(desk, key), 0

    def word(self, path: str = CASES, method: str = "GET", **other: Any) -> Word:
        self.count += 1
        said = dict(at=NOW_S, id=f"request-{self.count}", who="ann", roles="agent", asked=f"{method}\n{path}")
        return Word(**said | other)

    def status(self, header: str | list[str], path: str = CASES, method: str = "GET") -> int:
        many = [header] if isinstance(header, str) else header
        return self.here.request(method, path, headers=[(GUEST_HEADER, one) for one in many], json=None).status_code


@pytest.fixture
def ann(desk: service_desk.Desk) -> Proxied:
    return Proxied(desk)


def test_who_logged_in_at_the_proxy_is_let_in_by_name(desk: service_desk.Desk, ann: Proxied) -> None:
    assert ann.status(ann.word().signed(SECRET)) == 200
    ticket = ann.here.request(
        "POST", "/v1/tickets", headers={GUEST_HEADER: ann.word("/v1/tickets", "POST").signed(SECRET)}
    )
    assert redeem(desk.book, ticket.json()["ticket"], 1_000) == "ann"


@pytest.mark.parametrize("late", [-60, 60])
def test_a_minute_between_the_clocks_is_borne(ann: Proxied, late: int) -> None:
    assert ann.status(ann.word(at=NOW_S - late).signed(SECRET)) == 200


@pytest.mark.parametrize(
    ("what", "other", "status"),
    [
        ("old", dict(at=NOW_S - 61), 401),
        ("of a time to come", dict(at=NOW_S + 61), 401),
        ("unknown role", dict(roles="king"), 403),
        ("one unknown role", dict(roles="agent king"), 403),
        ("role that may not", dict(roles="source"), 403),
        ("name of the key of the environment", dict(who="environment"), 403),
        ("name with a comma", dict(who="ann,roles=admin"), 401),
        ("empty name", dict(who=""), 401),
    ],
)
def test_a_signed_header_that_says_something_odd_is_refused(
    ann: Proxied, what: str, other: dict[str, Any], status: int
) -> None:
    assert ann.status(ann.word(**other).signed(SECRET)) == status, what


def test_a_header_opens_the_request_that_it_was_signed_for_and_no_other(ann: Proxied) -> None:
    assert ann.status(ann.word("/v1/cases?state=early").signed(SECRET)) == 401
    assert ann.status(ann.word("/v1/cases").signed(SECRET)) == 401
    assert ann.status(ann.word(method="POST").signed(SECRET)) == 401
    assert ann.status(ann.word().signed(OTHER)) == 401
    changed = ann.word().signed(SECRET).replace("roles=agent", "roles=admin")
    assert ann.status(changed) == 401 and ann.status(changed.replace("v1=", "v1=0")[:-1]) == 401
    assert ann.status("") == ann.status("who=ann") == 401


def test_a_header_is_good_once_however_many_show_it_at_once(desk: service_desk.Desk, ledger_url: str) -> None:
    word, told, ask = Word(NOW_S, "request-1", "ann", "agent", "GET\n/"), [], threading.Barrier(5)

    def show() -> None:
        with Ledger.open(ledger_url) as book:
            ask.wait()
            try:
                told.append(desk.proxy.guest(book, word.signed(SECRET), word.asked, NOW).name)
            except Refused as e:
                told.append(e.status)

    shown = [threading.Thread(target=show) for _ in range(5)]
    for thread in shown:
        thread.start()
    for thread in shown:
        thread.join()
    assert sorted(told, key=str) == [401] * 4 + ["ann"]
    for seconds in (59, 60, 61, 62):
        with pytest.raises(Refused) as e:
            with Ledger.open(ledger_url) as book:
                desk.proxy.guest(book, word.signed(SECRET), word.asked, NOW + timedelta(seconds=seconds))
        assert ("before" in e.value.detail) == (seconds <= 60), "it is remembered for as long as it is good"


def test_a_key_beside_it_or_a_second_header_is_refused(desk: service_desk.Desk, ann: Proxied) -> None:
    for key in (HOUSE_KEY, add_key(desk.book, grant("ben", "agent"), NOW)):
        both = Proxied(desk, key)
        assert both.status(ann.word().signed(SECRET)) == 401 and both.here.get(CASES).status_code == 200
    assert ann.status([ann.word().signed(SECRET), ann.word(who="eve", roles="admin").signed(OTHER)]) == 401
    assert ann.here.get(CASES).status_code == 401, "and neither opens nothing"


def test_it_is_off_where_no_secret_is_configured(tmp_path: Path) -> None:
    desk = desk_of(tmp_path)
    ann = Proxied(desk)
    assert ann.status(ann.word().signed(SECRET)) == 401
    assert ann.status(ann.word().signed(b"")) == 401
    assert Proxied(desk, HOUSE_KEY).status("anything") == 200, "with a key it means nothing"


def test_where_only_a_proxy_may_ask_this_machine_is_not_let_in(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, key="")
    assert asker(desk, host="127.0.0.1").get(CASES).status_code == 200
    desk.proxy = Proxy((SECRET,))
    assert asker(desk, host="127.0.0.1").get(CASES).status_code == 401


def test_while_one_secret_follows_another_both_open(desk: service_desk.Desk, ann: Proxied) -> None:
    desk.proxy = Proxy((OTHER, SECRET))
    assert ann.status(ann.word().signed(SECRET)) == ann.status(ann.word().signed(OTHER)) == 200


def test_who_asks_too_often_waits_by_name(desk: service_desk.Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_desk, "_seconds", lambda: 0.0)
    word = Word(NOW_S, "request-0", "ann", "agent", f"GET\n{CASES}")
    guest = desk.proxy.guest(desk.book, word.signed(SECRET), word.asked, NOW)
    for _ in range(PER_MINUTE):
        desk.pace.wait(guest, 0.0)
    ann = Proxied(desk)
    assert ann.status(ann.word().signed(SECRET)) == 429
    assert ann.status(ann.word(who="ben").signed(SECRET)) == 200


def test_the_secret_is_read_from_a_file_and_the_service_starts_with_it_alone(tmp_path: Path) -> None:
    place, url = tmp_path / "secret", f"sqlite:///{tmp_path}/ledger.db"
    place.write_bytes(SECRET + b"\n\n" + OTHER + b"\n")
    environ = {SECRET_FILE: str(place), service_desk.LEDGER: url}
    assert proxy_of(environ) == Proxy((SECRET, OTHER)) and bento.allowed(environ) == ""
    with pytest.raises(PredelinquencyError, match="needs a ledger"):
        bento.allowed({SECRET_FILE: str(place)})
    for wrong in ("short", ""):
        place.write_text(wrong)
        with pytest.raises(PredelinquencyError, match="long enough"):
            proxy_of(environ)
    place.unlink()
    with pytest.raises(PredelinquencyError, match="cannot be read"):
        proxy_of(environ)
