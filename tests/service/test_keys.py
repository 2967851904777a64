"""Who asks, and what they may: every route of the service against every kind of key."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from guests import DAY, Asker, HOUSE_KEY, NOW, asker, desk_of, grant, keys_of_every_kind, routes_of
from records import AT, score

from predelinquency.ground.core import ParamsError, StoreError
from predelinquency.ground.guests import VIEWS
from predelinquency.ground.ledger import Ledger
from predelinquency.service import bento, http
from predelinquency.service import desk as service_desk
from predelinquency.service.keys import (
    ROLES,
    SCOPES,
    add_key,
    guest_of,
    keys_of,
    may_ask,
    record_views,
    revoke_keys,
    rotate_key,
)
from predelinquency.service.wire import Refused

OPEN = {  # answered to anybody: they show nothing of a customer
    *("/", "/health", "/healthz", "/livez", "/readyz", "/metrics"),
    *("/docs", "/docs/{name}", "/openapi.json"),
}
WITH_A_TICKET = {("WEBSOCKET", "/v1/live")}  # a browser cannot send a key with it: `service.tickets`
EVERY = [route for route in routes_of(http.app(service_desk.Desk())) if route[1] not in OPEN]
GUARDED = [route for route in EVERY if route not in WITH_A_TICKET]


def least(route: str, allowed: bool) -> str:
    "A role that a route is open to, or closed to."
    return next(role for role in ROLES if may_ask(role, route) is allowed)


@pytest.fixture
def desk(tmp_path: Path) -> service_desk.Desk:
    return desk_of(tmp_path)


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_a_route_lets_in_the_keys_that_it_should_and_no_other(desk: service_desk.Desk, method: str, path: str) -> None:
    route = f"{method} {path}"
    assert route in SCOPES, f"{route} belongs to no scope: name it in service.keys.SCOPES, or in OPEN of this test"
    keys = keys_of_every_kind(desk.book, least(route, True))
    wrong = add_key(desk.book, grant("wrong", least(route, False)), NOW)
    made, changed = http.app(desk), keys["good"][:-1] + ("A" if keys["good"][-1] != "A" else "B")
    for what, key, status in (
        ("none", "", 401),
        ("a guess", "guess", 401),
        ("a letter off", changed, 401),
        ("expired", keys["expired"], 401),
        ("not begun", keys["early"], 401),
        ("revoked", keys["revoked"], 401),
        ("wrong scope", wrong, 403),
    ):
        refused = Asker(made, key, "127.0.0.1").request(method, path, json={})
        assert refused.status_code == status, what
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["status"] == status and refused.json()["title"] == service_desk.TITLES[status]
        assert not key or (key not in refused.text and key[-9:] not in refused.text)
    for key in (keys["good"], HOUSE_KEY):
        assert Asker(made, key).request(method, path, json={}).status_code not in (401, 403, 404, 405, 429)


def test_every_route_that_tells_of_a_customer_or_takes_something_in_is_guarded() -> None:
    assert {f"{method} {path}" for method, path in GUARDED} == set(SCOPES)
    assert all(path.startswith("/v1/") for _, path in GUARDED)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_opens_what_the_table_says(desk: service_desk.Desk, role: str) -> None:
    who = asker(desk, add_key(desk.book, grant("somebody", role), NOW))
    opened = {f"{method} {path}" for method, path in GUARDED if who.request(method, path, json={}).status_code != 403}
    assert opened == {route for route, scope in SCOPES.items() if scope in ROLES[role]}


def test_a_source_tells_and_reads_nothing_and_a_viewer_reads_and_tells_nothing() -> None:
    reading = {"score", "model", "live", "customers", "cases", "alerts", "stats"}
    assert not ROLES["source"] & reading and ROLES["viewer"] == reading and ROLES["admin"] == set(SCOPES.values())


def test_a_route_without_a_scope_is_open_to_no_key_at_all(desk: service_desk.Desk) -> None:
    made, hung = http.app(desk), service_desk.router(desk, {})

    @hung.get("/secrets")
    async def secrets() -> str:
        return "everything"

    made.include_router(hung)
    assert Asker(made, HOUSE_KEY).get("/v1/secrets").status_code == 403


def test_a_key_that_is_taken_back_opens_nothing_from_that_moment_on(ledger_url: str, tmp_path: Path) -> None:
    desk = desk_of(tmp_path, ledger_url)
    who = asker(desk, add_key(desk.book, grant("anna", "viewer"), NOW))
    before = who.get("/v1/model").status_code
    revoke_keys(desk.book, "anna", NOW)
    assert (before, who.get("/v1/model").status_code) != (401, 401) and who.get("/v1/model").status_code == 401
    with pytest.raises(ParamsError, match="no key that is in force"):
        revoke_keys(desk.book, "anna", NOW)
    assert [key.name for key in keys_of(desk.book)] == ["anna"], "who had it is known for ever"


def test_while_one_key_follows_another_both_open_and_then_the_new_one_alone(ledger_url: str, tmp_path: Path) -> None:
    with Ledger.open(ledger_url) as ledger:
        old = add_key(ledger, grant("core", "source", per_minute=9), NOW)
        new = rotate_key(ledger, "core", NOW + 300 * DAY, 7 * DAY, NOW)
        during, after = NOW + 6 * DAY, NOW + 7 * DAY
        first, second = guest_of(ledger, old, during), guest_of(ledger, new, during)
        assert first[:2] == second[:2] == ("core", "source") and second.per_minute == 9
        assert guest_of(ledger, new, after).name == "core"
        with pytest.raises(Refused, match="has ended"):
            guest_of(ledger, old, after)


def test_an_end_is_brought_forward_and_never_put_off(ledger_url: str) -> None:
    with Ledger.open(ledger_url) as ledger:
        old = add_key(ledger, grant("core", "source", ends_at=NOW + 2 * DAY), NOW)
        rotate_key(ledger, "core", NOW + 300 * DAY, 7 * DAY, NOW)
        with pytest.raises(Refused, match="has ended"):
            guest_of(ledger, old, NOW + 2 * DAY)


def test_a_name_has_one_key_at_a_time(ledger_url: str) -> None:
    with Ledger.open(ledger_url) as ledger:
        add_key(ledger, grant("anna", "viewer", ends_at=NOW + DAY), NOW)
        with pytest.raises(ParamsError, match="has a key already"):
            add_key(ledger, grant("anna", "admin"), NOW)
        add_key(ledger, grant("anna", "agent"), NOW + DAY)
        assert [key.role for key in keys_of(ledger, "anna") if key.lives(NOW + DAY)] == ["agent"]


@pytest.mark.parametrize(
    "other",
    [
        {"name": ""},
        {"name": "environment"},
        {"name": "a b\n"},
        {"role": "director"},
        {"ends_at": NOW - DAY},
        {"ends_at": NOW},
        {"begins_at": NOW + 200 * DAY},
        {"per_minute": 0},
    ],
)
def test_a_grant_that_makes_no_sense_is_refused_and_nothing_is_written(tmp_path: Path, other: dict) -> None:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        with pytest.raises(ParamsError):
            add_key(ledger, grant(**dict(name="anna", role="viewer") | other), NOW)
        assert keys_of(ledger) == []


def test_the_secret_is_kept_nowhere(tmp_path: Path) -> None:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        key = add_key(ledger, grant("anna", "viewer"), NOW)
        guest_of(ledger, key, NOW)
        kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert b"anna" in kept and key[-43:].encode() not in kept and key not in str(keys_of(ledger))
        assert len({add_key(ledger, grant(f"n{i}", "viewer"), NOW) for i in range(20)}) == 20


@pytest.mark.parametrize("table", ["access_keys", "access_ends", "views"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}"])
def test_who_had_a_key_and_who_saw_whom_cannot_be_changed(ledger_url: str, table: str, statement: str) -> None:
    with Ledger.open(ledger_url) as ledger:
        guest = guest_of(ledger, add_key(ledger, grant("anna", "viewer"), NOW), NOW)
        revoke_keys(ledger, "anna", NOW + DAY)
        record_views(ledger, guest, "POST /v1/score", [7], NOW)
        column = {"access_keys": "name", "access_ends": "key_id", "views": "route"}[table]
        with pytest.raises(sa.exc.DBAPIError, match=f"{table} is append-only"), ledger.engine.begin() as book:
            book.execute(sa.text(statement.format(table, column, column)))


# --- without any key, and with the first


def test_without_any_key_this_machine_is_served_until_the_first_key_is_made(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, key="")
    near, far = asker(desk, host="127.0.0.1"), asker(desk)
    assert near.post("/v1/replies", json={}).status_code == 422 and far.post("/v1/replies", json={}).status_code == 401
    assert asker(desk, host="127.0.0.1").get("/v1/model", headers={"Host": "bank.example"}).status_code == 421
    key = add_key(desk.book, grant("anna", "agent"), NOW)
    assert near.post("/v1/replies", json={}).status_code == 401
    assert asker(desk, key).post("/v1/replies", json={}).status_code == 422
    revoke_keys(desk.book, "anna", NOW)
    assert near.post("/v1/replies", json={}).status_code == 401, "taking back the last key opens nothing"
    again = desk_of(tmp_path, key="")
    assert asker(again, host="127.0.0.1").post("/v1/replies", json={}).status_code == 401, "after a start either"


def test_the_service_starts_with_keys_in_the_ledger_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    environ = {service_desk.LEDGER: url}
    with pytest.raises(Exception, match=service_desk.KEY):
        bento.allowed(environ)
    with Ledger.open(url) as ledger:
        add_key(ledger, grant("anna", "agent"), NOW)
    assert bento.keyed(environ) and bento.allowed(environ) == ""


# --- who saw whom


def seen(desk: service_desk.Desk) -> list[tuple]:
    v = VIEWS.c
    with desk.book.engine.connect() as book:
        return sorted(tuple(row) for row in book.execute(sa.select(v.key_name, v.customer_id, v.route, v.seen_at)))


def test_an_answer_that_shows_a_customer_leaves_a_row_and_no_other_does(ledger_url: str, tmp_path: Path) -> None:
    desk = desk_of(tmp_path, ledger_url)
    desk.book.append([score(customer_id=who) for who in (7, 8)], AT)
    anna = asker(desk, add_key(desk.book, grant("anna", "viewer"), NOW))
    assert anna.post("/v1/score", json={"customer_id": 7}).status_code == 200
    assert anna.post("/v1/score", json={"customer_id": 9}).status_code == 404
    asked = {"requests": [{"customer_id": who} for who in (8, 7, 8)]}
    assert anna.post("/v1/score/batch", json=asked).status_code == 200
    assert anna.post("/v1/score/batch", json={"requests": [{"customer_id": 8}, {"customer_id": 9}]}).status_code == 404
    assert asker(desk, HOUSE_KEY).post("/v1/score", json={"customer_id": 8}).status_code == 200
    assert seen(desk) == [
        ("anna", 7, "POST /v1/score", NOW.isoformat()),
        ("anna", 7, "POST /v1/score/batch", NOW.isoformat()),
        ("anna", 8, "POST /v1/score/batch", NOW.isoformat()),
        ("environment", 8, "POST /v1/score", NOW.isoformat()),
    ]


def test_nothing_is_shown_where_it_cannot_be_written_down(
    desk: service_desk.Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.book.append([score()], AT)

    def full(*_: object) -> None:
        raise StoreError("no space left on the disk")

    monkeypatch.setattr(service_desk, "record_views", full)
    answer = asker(desk, HOUSE_KEY).post("/v1/score", json={"customer_id": 7})
    assert answer.status_code == 503 and "probability" not in answer.text


# --- how often


def test_a_key_that_asks_too_often_hears_when_to_come_again(
    desk: service_desk.Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = [0.0]
    monkeypatch.setattr(service_desk, "_seconds", lambda: ticks[0])
    slow = asker(desk, add_key(desk.book, grant("ben", "source", per_minute=2), NOW))
    other = asker(desk, add_key(desk.book, grant("core", "source", per_minute=2), NOW))
    assert [slow.post("/v1/replies", json={}).status_code for _ in range(3)] == [422, 422, 429]
    refused = slow.post("/v1/replies", json={})
    assert refused.headers["retry-after"] == "30" and refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["title"] == service_desk.TITLES[429]
    assert other.post("/v1/replies", json={}).status_code == 422, "each key has a pace of its own"
    ticks[0] = 30.0
    assert [slow.post("/v1/replies", json={}).status_code for _ in range(2)] == [422, 429]
    house = asker(desk, HOUSE_KEY)
    assert {house.post("/v1/replies", json={}).status_code for _ in range(20)} == {422}


def test_what_is_refused_for_its_role_counts_too(desk: service_desk.Desk) -> None:
    who = asker(desk, add_key(desk.book, grant("ben", "viewer", per_minute=1), NOW))
    assert [who.post("/v1/events", json={}).status_code for _ in range(2)] == [403, 429]


def test_keys_are_made_without_the_machinery_of_scores() -> None:
    code = "import sys\nimport predelinquency.service.keys\nprint(*[m for m in ('bentoml','fastapi','xgboost') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_key_opens_until_its_end_and_not_at_it(tmp_path: Path) -> None:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        key = add_key(ledger, grant("anna", "viewer", ends_at=NOW + DAY), NOW)
        assert guest_of(ledger, key, NOW + DAY - timedelta(microseconds=1)).name == "anna"
        with pytest.raises(Refused, match="has ended"):
            guest_of(ledger, key, NOW + DAY)
