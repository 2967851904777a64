"""What went wrong is written down once, its clock begins when the bank knew, and what opens one by itself opens it once."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from predelinquency.decide.incidents import (
    Said,
    clock_of,
    close_incident,
    incidents,
    load_duties,
    note_incident,
    open_incident,
)
from predelinquency.ground.core import PolicyError, StoreError
from predelinquency.ground.ledger import Ledger
from predelinquency.ops.cli import app
from predelinquency.service.brakes import Brake, set_brake

KNOWN = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
DUTIES = load_duties()


def said(hours: float, duty: str = "", by: str = "anna") -> Said:
    return Said(by, "letters name the wrong amounts", KNOWN + hours * HOUR, duty)


def states(ledger: Ledger, hours: float) -> dict[str, str]:
    one = incidents(ledger, 1)[0]
    return {row.duty: row.state for row in clock_of(one, DUTIES, KNOWN + hours * HOUR)}


def test_the_clock_runs_from_when_it_was_known_and_says_what_is_late(ledger_url: str) -> None:
    with Ledger.open(ledger_url) as ledger:
        open_incident(ledger, said(2), KNOWN)
        limit = {name: duty.value for name, duty in DUTIES.items() if duty.unit == "hours"}
        assert set(states(ledger, limit["assessed"]).values()) == {"open"}, "to the last moment"
        assert states(ledger, limit["assessed"] + 0.01)["assessed"] == "late"
        note_incident(ledger, 1, said(limit["assessed"], "assessed"), DUTIES)
        note_incident(ledger, 1, said(limit["told"] + 1, "told", "ben"), DUTIES)
        note_incident(ledger, 1, said(limit["told"] + 2, "told", "ben"), DUTIES)
        now = dict(assessed="done", told="done late", reported="open", explained="open")
        assert states(ledger, limit["told"] + 3) == now
        close_incident(ledger, 1, said(limit["reported"] + 1))
        assert states(ledger, 9_999) == now | dict(reported="late", explained="fallen away")
        assert incidents(ledger)[0].hours(KNOWN + 9_999 * HOUR) == limit["reported"] + 1
        assert [kind for kind, _ in incidents(ledger)[0].steps] == ["opened", "noted", "noted", "noted", "closed"]


def test_what_makes_no_sense_is_refused_and_leaves_nothing(ledger_url: str) -> None:
    with Ledger.open(ledger_url) as ledger:
        open_incident(ledger, said(1))
        close_incident(ledger, 1, said(2))
        before = incidents(ledger)
        for wrong, told in (
            (lambda: open_incident(ledger, said(0), KNOWN + HOUR), "later than now"),
            (lambda: open_incident(ledger, said(0, by=" ")), "who says this"),
            (lambda: note_incident(ledger, 1, said(3, "job_failures"), DUTIES), "no duty 'job_failures'"),
            (lambda: note_incident(ledger, 2, said(3), DUTIES), "no incident 2"),
            (lambda: close_incident(ledger, 1, said(3)), "was closed at"),
        ):
            with pytest.raises(StoreError, match=told):
                wrong()
        with pytest.raises(Exception, match="append-only"), ledger.engine.begin() as book:
            book.execute(sa.text("UPDATE incidents SET words = 'nothing happened'"))
        assert incidents(ledger) == before


def test_each_stop_of_the_brake_opens_one_and_going_on_is_noted_there(ledger_url: str) -> None:
    with Ledger.open(ledger_url) as ledger:
        for n, stops in enumerate((True, True, False, True)):
            set_brake(ledger, Brake(stops=stops, said_by="ann", why=f"why {n}"), KNOWN + n * HOUR)
        found = {one.came_from: [said.words for _, said in one.steps] for one in incidents(ledger)}
        assert found == {
            "brake 1": ["all contact was stopped: why 0", "contact goes on: why 2"],
            "brake 3": ["all contact was stopped: why 3"],
        }


def test_what_opens_one_by_itself_opens_it_once_and_people_as_often_as_they_say(ledger_url: str) -> None:
    with Ledger.open(ledger_url) as ledger:
        by_itself = [open_incident(ledger, said(n), came_from="job drift of 2026-03-02").nth for n in (0, 1)]
        assert by_itself == [1, 1] and [open_incident(ledger, said(2)).nth for _ in range(2)] == [2, 3]


@pytest.mark.parametrize("new", ["value: 25", "value: 0", "value: 4.5", "value: soon"])
def test_a_time_out_of_its_range_is_refused(tmp_path: Path, new: str) -> None:
    from predelinquency.decide.files import shipped

    text = (shipped() / "incidents.yaml").read_text()
    assert text.count("value: 4,") == 1
    (tmp_path / "incidents.yaml").write_text(text.replace("value: 4,", f"{new},"))
    with pytest.raises(PolicyError, match="incidents.yaml, assessed"):
        load_duties(tmp_path)


def test_a_person_opens_notes_closes_and_lists(tmp_path: Path) -> None:
    def typed(*words: str, ends: int = 0) -> str:
        done = CliRunner().invoke(app, ["incident", *words, "--root", str(tmp_path)])
        assert done.exit_code == ends, done.output
        return done.stderr if ends else done.stdout

    opened = json.loads(typed("open", "wrong", "--who", "anna", "--known", "2026-03-02T09:00+00:00", "--json"))
    assert opened["nth"] == 1 and opened["clock"][0]["state"] == "late" and opened["hours"] > 24
    typed("note", "1", "two letters", "--who", "ben", "--duty", "assessed")
    assert "done late: how far it goes" in typed("list")
    assert json.loads(typed("close", "1", "right again", "--who", "anna", "--json"))["closed_at"]
    assert json.loads(typed("list", "--json")) == [] and len(json.loads(typed("list", "--all", "--json"))) == 1
    assert "time zone" in typed("open", "x", "--who", "a", "--known", "2026-03-02T09:00", ends=1)
    assert "no duty 'tolt'" in typed("note", "1", "x", "--who", "a", "--duty", "tolt", ends=1)
