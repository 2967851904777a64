"""What is going on, in numbers that one can count by hand."""

import json
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from guests import HOUSE_KEY, NOW, asker, desk_of, grant
from live_events import payment
from records import AT, call, case_step, decision, message, milestone, outcome, reply, score
from typer.testing import CliRunner

from predelinquency.decide.incidents import Said, close_incident, open_incident
from predelinquency.decide.overrides import Word, count_overrides
from predelinquency.ground.following import ALERTS, DEAD_LETTERS, LIVE_SCORES, WAITING
from predelinquency.ground.handling import ACKNOWLEDGEMENTS
from predelinquency.live.places import Found, claim, write_batch
from predelinquency.ops import cli
from predelinquency.service.keys import add_key

LIVE = dict(as_of="2026-03-03", final=False, eligible=True, probability=0.1, margin=-2.0, model_version="2026.1")
LIVE |= dict(feature_hash="5a0f", reasons=[], dues=[], incomplete=0, partition=0, arrived_at=1)
PLACE = dict(partition=0, customer_id=7)


def rung(subject: str, level: str) -> dict[str, object]:
    return dict(rule="case_opens", subject=subject, period=1, customer_id=7, level=level, said_at=1, body={})


def test_every_number_is_what_the_ledger_holds(ledger_url: str, tmp_path: Path) -> None:
    desk = desk_of(tmp_path, ledger_url)
    before = [score(customer_id=9, as_of="2026-03-01"), decision(customer_id=9, as_of="2026-03-01", action="reminder")]
    now = [
        score(),
        score(feature_hash="b"),
        score(customer_id=8),
        decision(),
        decision(customer_id=8, band="", action="nothing"),
    ]
    step = dict(from_state="early", why="It is over.", event="closed", to_state="closed", outcome="paid")
    cases = [case_step(customer_id=who, case_id=f"{who}-3-12-1") for who in (7, 8, 9)]
    over = case_step(customer_id=9, case_id="9-3-12-1", at="2026-03-20T00:00:00+00:00", **step)
    near = case_step(
        at="2026-03-20T00:00:00+00:00", event="near", from_state="early", to_state="near", why="It is near."
    )
    stops = [reply(kind="stop"), outcome(opted_out=True), outcome(customer_id=8, opted_out=True), reply(customer_id=9)]
    desk.book.append([*before, *now, *cases, over, near, *stops, message(), message(state="sent"), call()], AT)
    with desk.book.engine.begin() as book:
        for table, rows in (
            (ALERTS, [rung("7", "note"), rung("8", "note"), rung("9", "now")]),
            (LIVE_SCORES, [LIVE | dict(customer_id=7, revision=n, position=n) for n in (1, 2)]),
            (WAITING, [PLACE | dict(position=1, arrived_at=1)]),
            (DEAD_LETTERS, [PLACE | dict(position=n, why="?", laid_at=1) for n in (2, 3)]),
        ):
            book.execute(sa.insert(table), rows)
        seen = dict(rule="case_opens", subject="8", period=1, acknowledged_at=NOW, acknowledged_by="anna")
        book.execute(sa.insert(ACKNOWLEDGEMENTS), [seen])
    for _ in range(2):
        open_incident(desk.book, Said("anna", "letters name the wrong amounts", NOW))
    close_incident(desk.book, 2, Said("ben", "they were right", NOW))
    desk.book.append([milestone(kind="rejected", said_by="carla", why="has paid")], AT)
    viewer = asker(desk, add_key(desk.book, grant("anna", "viewer"), NOW))
    assert viewer.get("/v1/stats").json() == dict(
        night="2026-03-02",
        scores=2,
        planned="2026-03-02",
        bands={"": 1, "raised": 1},
        actions=dict(due_date=1, nothing=1),
        open_cases=dict(early=1, near=1, in_grace=0),
        contacts=dict(queued=1, sent=2),
        stopped=2,
        open_alerts=dict(note=1, now=1),
        live_customers=1,
        revisions=2,
        waiting=1,
        dead_letters=2,
        open_incidents=1,
        overrides=json.loads(
            json.dumps(count_overrides([Word(7, "2026-03-02", "due_date", "refused", "carla", None)]))
        ),
        lag=dict(events=0, seconds=0),
    )


def test_an_empty_ledger_counts_nothing_and_a_log_that_nobody_reads_is_behind(tmp_path: Path) -> None:
    desk = desk_of(tmp_path)
    here = asker(desk, HOUSE_KEY)
    for n in range(4):
        here.post("/v1/events", payment(n)._asdict()).raise_for_status()
    told = here.get("/v1/stats").json()
    assert (told["night"], told["scores"], told["bands"], told["lag"]["events"]) == (None, 0, {}, 4)
    desk.clock.at += timedelta(seconds=90)
    assert 90 <= here.get("/v1/stats").json()["lag"]["seconds"] < 91
    (way,) = desk.log.heads()
    write_batch(desk.book, claim(desk.book, way, "a worker", 0, 1_000), 4, 1_000, Found())
    assert here.get("/v1/stats").json()["lag"] == dict(events=0, seconds=0)
    desk.log = None
    assert here.get("/v1/stats").json()["lag"] is None


def test_the_command_says_the_same_and_makes_no_log(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, log_url=f"sqlite:///{tmp_path}/elsewhere.db")
    desk.book.append([score()], AT)
    desk.log = None
    told = CliRunner().invoke(cli.app, ["stats", "--root", str(tmp_path), "--json"])
    assert json.loads(told.stdout) == asker(desk, HOUSE_KEY).get("/v1/stats").json()
    assert not (tmp_path / "live").exists()
    lines = CliRunner().invoke(cli.app, ["stats", "--root", str(tmp_path)]).stdout.splitlines()
    assert "night: 2026-03-02" in lines and "lag: none" in lines
