"""What people work with: the list of open cases, who has one, what is said of a due, and what rang."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from datetime import timedelta
from math import nan
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from guests import HOUSE_KEY, NOW, Asker, asker, desk_of, grant
from records import AT, case_step, note

from predelinquency.decide.memory import remembered
from predelinquency.ground import records
from predelinquency.ground.following import ALERTS
from predelinquency.ground.guests import VIEWS
from predelinquency.ground.handling import ACKNOWLEDGEMENTS
from predelinquency.live.feed import read_feed
from predelinquency.service import desk as service_desk
from predelinquency.service import handling
from predelinquency.service.cursor import opaque
from predelinquency.service.keys import add_key


@pytest.fixture
def desk(ledger_url: str, tmp_path: Path) -> service_desk.Desk:
    return desk_of(tmp_path, ledger_url)


@pytest.fixture
def here(desk: service_desk.Desk) -> Asker:
    return asker(desk, HOUSE_KEY)


@pytest.fixture
def small(tmp_path: Path) -> service_desk.Desk:
    "Where it does not matter which database it is."
    return desk_of(tmp_path)


def opened(customer: int, due_on: str = "2026-04-01", nth: int = 1, **other: object) -> records.CaseEvent:
    return case_step(customer_id=customer, case_id=f"{customer}-3-12-{nth}", due_on=due_on, **other)


def step(customer: int, at: str, event: str, to_state: str, **other: object) -> records.CaseEvent:
    return opened(customer, at=f"{at}T00:00:00+00:00", event=event, from_state="early", to_state=to_state, **other)


def walk(here: Asker, path: str, of: str, most: int) -> list[dict[str, Any]]:
    "All pages of a list."
    rows, cursor = [], ""
    while cursor is not None:
        told = here.get(f"{path}{'&' if '?' in path else '?'}most={most}" + (f"&cursor={cursor}" if cursor else ""))
        assert told.status_code == 200 and len(told.json()[of]) <= most, told.text
        rows, cursor = rows + told.json()[of], told.json()["next"]
    return rows


def viewed(desk: service_desk.Desk) -> set[tuple]:
    with desk.book.engine.connect() as book:
        return {tuple(row) for row in book.execute(sa.select(VIEWS.c.route, VIEWS.c.customer_id))}


# --- open cases


def test_the_list_has_every_open_case_as_it_stands_and_no_other(desk: service_desk.Desk, here: Asker) -> None:
    closed = step(9, "2026-03-20", "closed", "closed", outcome="paid", why="It is paid.")
    near = step(8, "2026-03-18", "near", "near", why="Its date is near.")
    raised = step(8, "2026-03-19", "escalated", "near", probability=0.3, scored_on="2026-03-18", why="The chance.")
    again = opened(9, "2026-05-01", nth=2, probability=nan, scored_on=None)
    desk.book.append([opened(7, "2026-04-09"), opened(8), opened(9), near, raised, closed, again], AT)
    told = here.get("/v1/cases").json()
    assert [case["case_id"] for case in told["cases"]] == ["8-3-12-1", "7-3-12-1", "9-3-12-2"] and told["next"] is None
    first, _, last = told["cases"]
    assert (first["state"], first["escalated"], first["probability"], last["probability"]) == ("near", True, 0.3, None)
    assert viewed(desk) == {("GET /v1/cases", who) for who in (7, 8, 9)}


def test_the_list_can_be_asked_for_a_state_and_for_a_colleague(desk: service_desk.Desk, here: Asker) -> None:
    near = [step(8, "2026-03-18", "near", "near", why="Its date is near.")]
    near += [opened(9, event="near", from_state="early", to_state="near", why="Its date is near.")]  # the same night
    desk.book.append([*map(opened, (7, 8, 9, 10)), *near], AT)
    for who, owner in ((7, "anna"), (8, "anna"), (9, "ben"), (9, "anna"), (10, "ben"), (10, "")):
        order = dict(customer_id=who, case_id=f"{who}-3-12-1", owner=owner)
        assert here.post("/v1/assignments", order).status_code == 200
    for asked, whose in (
        ("state=near", [8, 9]),
        ("state=early", [7, 10]),
        ("state=in_grace", []),
        ("owner=anna", [7, 8, 9]),
        ("owner=ben", []),
        ("owner=", [10]),
        ("owner=anna&state=near", [8, 9]),
    ):
        assert [case["customer_id"] for case in here.get(f"/v1/cases?{asked}").json()["cases"]] == whose, asked


def test_pages_hold_while_cases_open_and_close(desk: service_desk.Desk, here: Asker) -> None:
    most = 3
    days = [f"2026-04-{day:02}" for day in (3, 1, 2, 3, 1, 2, 3)]
    desk.book.append([opened(who, day) for who, day in enumerate(days, 1)], AT)
    first = here.get(f"/v1/cases?most={most}").json()
    seen = [case["customer_id"] for case in first["cases"]]
    gone = next(who for who in (1, 4, 7, 3, 6, 2, 5) if who not in seen)
    closed = step(gone, "2026-03-20", "closed", "closed", outcome="paid", due_on=days[gone - 1], why="It is paid.")
    desk.book.append([opened(90, "2026-03-30"), opened(91, "2026-04-30"), closed], AT)
    rest = [case["customer_id"] for case in walk(here, f"/v1/cases?cursor={first['next']}", "cases", 200)]
    assert sorted(seen + rest) == [*sorted({*range(1, 8)} - {gone}), 91]
    whole = walk(here, "/v1/cases", "cases", most)
    assert [case["due_on"] for case in whole] == sorted(case["due_on"] for case in whole) and len(whole) == 8


BAD = ["", "x", "%00", opaque("alerts", 1, "a", "b", 2), opaque("cases", "2026-02-30", 1, "a"), opaque("cases", 1)]
BAD += [opaque("cases", "2026-04-01", 2**63, "a"), opaque("cases", "2026-04-01", 1, "a\0"), "W10", "x" * 501]


def test_a_wish_that_makes_no_sense_is_refused_and_so_is_a_cursor_that_was_not_given(small: service_desk.Desk) -> None:
    here = asker(small, HOUSE_KEY)
    odd = ["state=closed", "most=0", "most=201", "most=x", "owner=%00", f"owner={'a' * 201}"]
    for asked in (*odd, *(f"cursor={cursor}" for cursor in BAD)):
        refused = here.get(f"/v1/cases?{asked}")
        assert refused.status_code == 422 and refused.headers["content-type"] == "application/problem+json", asked
        assert refused.json()["errors"][0]["field"] == asked.partition("=")[0]


# --- who has a case


def test_an_assignment_says_who_has_the_case_now_and_who_said_so(small: service_desk.Desk) -> None:
    small.book.append([opened(7)], AT)
    ben = asker(small, add_key(small.book, grant("ben", "agent"), NOW))
    order = dict(customer_id=7, case_id="7-3-12-1", owner="anna", why="She knows him.")
    said = ben.post("/v1/assignments", order)
    assert said.json() == order | dict(nth=1, assigned_by="ben", assigned_at=NOW.isoformat())
    small.clock.at += timedelta(hours=1)
    assert ben.post("/v1/assignments", order).json() == said.json(), "she has it already"
    back = ben.post("/v1/assignments", order | dict(owner="")).json()
    assert (back["nth"], back["owner"], len(small.book.of(records.Assignment))) == (2, "", 2)


def test_who_saw_another_in_charge_is_refused(small: service_desk.Desk) -> None:
    here = asker(small, HOUSE_KEY)
    small.book.append([opened(7)], AT)
    mine = dict(customer_id=7, case_id="7-3-12-1", owner="anna", had_by="")
    assert here.post("/v1/assignments", mine).status_code == 200
    assert here.post("/v1/assignments", mine | dict(owner="ben")).status_code == 409
    assert here.post("/v1/assignments", mine | dict(owner="ben", had_by="anna")).json()["nth"] == 2


def test_of_many_who_reach_for_a_case_at_once_one_has_it(desk: service_desk.Desk, here: Asker) -> None:
    desk.book.append([opened(7)], AT)
    mine = dict(customer_id=7, case_id="7-3-12-1", had_by="")
    with ThreadPoolExecutor(6) as pool:
        said = list(pool.map(lambda n: here.post("/v1/assignments", mine | dict(owner=f"a{n}")), range(12)))
    assert sorted(one.status_code for one in said) == [200] + [409] * 11
    (winner,) = (one.json() for one in said if one.status_code == 200)
    assert [one.owner for one in desk.book.of(records.Assignment)] == [winner["owner"]]


def test_many_who_do_not_care_who_had_it_take_turns(desk: service_desk.Desk, here: Asker) -> None:
    desk.book.append([opened(7)], AT)
    mine = dict(customer_id=7, case_id="7-3-12-1")
    with ThreadPoolExecutor(6) as pool:
        said = list(pool.map(lambda n: here.post("/v1/assignments", mine | dict(owner=f"a{n}")).json(), range(12)))
    assert sorted(one["nth"] for one in said) == list(range(1, 13))


def test_a_case_that_is_closed_or_was_never_there_is_given_to_nobody(small: service_desk.Desk) -> None:
    here = asker(small, HOUSE_KEY)
    small.book.append([opened(7), step(7, "2026-03-20", "closed", "closed", outcome="paid", why="It is paid.")], AT)
    mine = dict(customer_id=7, case_id="7-3-12-1", owner="anna")
    assert here.post("/v1/assignments", mine).status_code == 409
    assert here.post("/v1/assignments", mine | dict(case_id="7-3-12-2")).status_code == 404
    assert here.post("/v1/assignments", mine | dict(customer_id=8)).status_code == 404
    assert here.post("/v1/assignments", mine | dict(owner="a\0")).status_code == 422
    assert small.book.of(records.Assignment) == []


# --- notes


def said(record: records.Note, **other: object) -> dict[str, Any]:
    return vars(record) | other


PUT_OFF = dict(kind="put_off", said_by="anna", why="A bonus comes.", until_on="2026-03-26")


def test_a_note_is_kept_and_read_by_the_next_plan(small: service_desk.Desk) -> None:
    here = asker(small, HOUSE_KEY)
    first = here.post("/v1/notes", said(note()))
    assert (first.status_code, first.json()["recorded_at"]) == (200, NOW.isoformat())
    assert here.post("/v1/notes", said(note())).json() == first.json()
    assert here.post("/v1/notes", said(note(), why="Something else.")).status_code == 409
    assert here.post("/v1/notes", said(note(), **PUT_OFF)).status_code == 200
    assert remembered(small.book, "2026-03-02").notes == (note(), note(**PUT_OFF))


HALF: list[tuple[dict[str, object], str]] = [
    (dict(kind="put_off"), "until_on"),
    (dict(until_on="2026-03-26"), "until_on"),
    (dict(kind="disagrees"), "opinion"),
    (dict(opinion="pays"), "opinion"),
    (dict(why=""), "why"),
    (dict(kind="hopes"), "kind"),
    (dict(said_at="2026-03-02"), "said_at"),
    (dict(mood="sad"), "mood"),
]


def test_a_note_that_says_half_is_refused(small: service_desk.Desk) -> None:
    here = asker(small, HOUSE_KEY)
    for other, field in HALF:
        refused = here.post("/v1/notes", said(note(), **other))
        assert refused.status_code == 422 and refused.json()["errors"][0]["field"] == field, refused.text
    assert small.book.of(records.Note) == []


def test_a_note_has_the_fields_of_the_ledger() -> None:
    assert list(handling.DueNote.model_fields) == [f.name for f in fields(records.Note)]


# --- alerts


def ring(desk: service_desk.Desk, *rows: dict[str, object]) -> None:
    whole = dict(rule="case_opens", period=1, customer_id=None, level="note", body={"sentence": "It rang."})
    with desk.book.engine.begin() as book:
        book.execute(sa.insert(ALERTS), [whole | row for row in rows])


def test_alerts_are_told_the_newest_first_and_pages_hold_while_it_rings(desk: service_desk.Desk, here: Asker) -> None:
    ring(desk, *(dict(subject=f"{n}", said_at=n // 2) for n in range(7)))
    first = here.get("/v1/alerts?most=3").json()
    ring(desk, dict(subject="new", said_at=9))
    rest = walk(here, f"/v1/alerts?cursor={first['next']}", "alerts", 200)
    assert [one["subject"] for one in first["alerts"] + rest] == ["6", "5", "4", "3", "2", "1", "0"]
    assert [one["subject"] for one in walk(here, "/v1/alerts", "alerts", 2)] == [
        "new",
        "6",
        "5",
        "4",
        "3",
        "2",
        "1",
        "0",
    ]
    assert here.get(f"/v1/cases?cursor={first['next']}").status_code == 422


def test_whom_an_alert_is_about_is_seen_with_it(small: service_desk.Desk) -> None:
    here = asker(small, HOUSE_KEY)
    ring(small, dict(subject="7", said_at=1, customer_id=7), dict(subject="log", said_at=2, level="now"))
    assert [one["customer_id"] for one in here.get("/v1/alerts?level=now").json()["alerts"]] == [None]
    assert viewed(small) == set()
    assert here.get("/v1/alerts?level=note").json()["alerts"][0]["seen"] == {"sentence": "It rang."}
    assert viewed(small) == {("GET /v1/alerts", 7)}


def test_an_alert_is_acknowledged_once_and_the_feed_tells_it(desk: service_desk.Desk) -> None:
    ring(desk, dict(subject="7", said_at=1, customer_id=7), dict(subject="8", said_at=2))
    keys = {name: add_key(desk.book, grant(name, "agent"), NOW) for name in ("anna", "ben")}
    anna, ben = (asker(desk, key) for key in keys.values())
    name = anna.get("/v1/alerts").json()["alerts"][1]["id"]
    first = anna.post(f"/v1/alerts/{name}/ack", None)
    desk.clock.at += timedelta(hours=1)
    assert ben.post(f"/v1/alerts/{name}/ack", None).json() == first.json()
    assert (first.json()["acknowledged_by"], first.json()["acknowledged_at"]) == ("anna", NOW.isoformat())
    lists = [[one["subject"] for one in ben.get(f"/v1/alerts?state={s}").json()["alerts"]] for s in STATES]
    assert lists == [["8"], ["7"], ["8", "7"]]
    (told,) = read_feed(desk.book, 0)
    assert (told.kind, told.customer_id, told.body["acknowledged_by"]) == ("acknowledged", 7, "anna")


STATES = ("open", "acknowledged", "all")


def test_of_many_who_acknowledge_at_once_one_is_heard(desk: service_desk.Desk, here: Asker) -> None:
    ring(desk, dict(subject="7", said_at=1))
    (alert,) = here.get("/v1/alerts").json()["alerts"]
    each = [asker(desk, add_key(desk.book, grant(f"a{n}", "risk"), NOW)) for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        said = list(pool.map(lambda who: who.post(f"/v1/alerts/{alert['id']}/ack", None), each))
    assert {one.status_code for one in said} == {200}
    assert len({one.json()["acknowledged_by"] for one in said}) == 1 and len(read_feed(desk.book, 0)) == 1


def test_an_alert_that_is_not_there_is_acknowledged_by_nobody(small: service_desk.Desk) -> None:
    here = asker(small, HOUSE_KEY)
    assert here.post(f"/v1/alerts/{opaque('case_opens', '7', 1)}/ack", None).status_code == 404
    for odd in ("x", opaque("case_opens", "7"), opaque("case_opens", "7", "1"), opaque(1, "7", 1)):
        refused = here.post(f"/v1/alerts/{odd}/ack", None)
        assert refused.status_code == 422 and refused.json()["errors"][0]["field"] == "id", odd


@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = 'x'", "DELETE FROM {}"])
def test_who_has_seen_to_an_alert_cannot_be_changed(desk: service_desk.Desk, here: Asker, statement: str) -> None:
    ring(desk, dict(subject="7", said_at=1))
    (alert,) = here.get("/v1/alerts").json()["alerts"]
    here.post(f"/v1/alerts/{alert['id']}/ack", None).raise_for_status()
    name = ACKNOWLEDGEMENTS.name
    with pytest.raises(sa.exc.DBAPIError, match=f"{name} is append-only"), desk.book.engine.begin() as book:
        book.execute(sa.text(statement.format(name, "acknowledged_by")))
