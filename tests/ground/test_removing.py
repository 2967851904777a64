"""What is over goes by whole months and with an entry; what is younger stays, whoever asks."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from records import decision, message, one_of_each, outcome, reply, score

from predelinquency.ground.core import StoreError
from predelinquency.ground.following import ALERTS, DEAD_LETTERS
from predelinquency.ground.guests import ANSWERS
from predelinquency.ground.ledger import LEDGER_METADATA, Ledger
from predelinquency.ground.records import Contact, Decision, Reply, Score
from predelinquency.ground.removals import REMOVALS
from predelinquency.ground.removing import AGED_BY, Removal, check_removal, remove
from predelinquency.ground.roles import make_roles

AT = "2020-01-31T23:59:59.999999+00:00"
NOW = datetime(2026, 11, 28, 9, tzinfo=UTC)
DAYS = dict.fromkeys(AGED_BY, 1096)
ASKED = Removal(date(2020, 2, 1), "anna", "its time is over")


@pytest.fixture
def ledger(ledger_url: str) -> Ledger:
    "Rows of the last moment of a month and of the first of the next."
    book = Ledger.open(ledger_url)
    for month, at in (("2020-01-31", AT), ("2020-02-01", "2020-02-01T00:00:00+00:00")):
        decided = decision(as_of=month, decided_at=at)
        sent = message(contact_id=month, at=at, as_of=month, decided_at=at)
        rows = [
            score(as_of=month),
            decided,
            sent,
            reply(contact_id=month, received_at=at),
            outcome(as_of=month, observed_on=month),
        ]
        book.append(rows, at)
    with book.engine.begin() as connection:
        stamps = [1_580_515_199_999, 1_580_515_200_000]
        connection.execute(
            sa.insert(ALERTS),
            [
                dict(rule="r", subject="s", period=n, customer_id=7, level="l", said_at=t, body={})
                for n, t in enumerate(stamps)
            ],
        )
        connection.execute(
            sa.insert(DEAD_LETTERS),
            [dict(partition=0, position=n, customer_id=7, why="w", laid_at=t) for n, t in enumerate(stamps)],
        )
        asked = dict(asked_by="desk", customer_id=7, question="q", answer="{}")
        moments = {"2020-01-31": AT, "2020-02-01": "2020-02-01T00:00:00+00:00"}
        connection.execute(
            sa.insert(ANSWERS), [asked | dict(asked_as=day, as_of=day, answered_at=at) for day, at in moments.items()]
        )
    if book.engine.dialect.name == "postgresql":
        make_roles(book.engine, DAYS)
    return book


def counted(ledger: Ledger) -> dict[str, int]:
    with ledger.engine.connect() as book:
        found = {n: book.scalar(sa.select(sa.func.count()).select_from(t)) for n, t in LEDGER_METADATA.tables.items()}
    return {name: n for name, n in found.items() if n}


def test_a_month_goes_to_its_last_moment_from_every_table(ledger: Ledger) -> None:
    before = counted(ledger)
    gone = remove(ledger.engine, ASKED, DAYS, NOW)
    held = "contacts", "scores", "decisions", "replies", "outcomes", "alerts", "dead_letters", "answers"
    assert gone == {name: int(name in held) for name in AGED_BY}
    assert counted(ledger) == {name: n - gone[name] for name, n in before.items()} | dict(removals=len(AGED_BY))
    assert [s.as_of for s in ledger.of(Score)] == ["2020-02-01"]


def test_the_entry_says_who_why_what_and_how_many(ledger: Ledger) -> None:
    remove(ledger.engine, ASKED._replace(tables=("replies", "scores")), DAYS, NOW)
    with ledger.engine.connect() as book:
        rows = book.execute(sa.select(REMOVALS).order_by(REMOVALS.c.from_table)).mappings().all()
    assert [(r["from_table"], str(r["before_on"]), r["row_count"], r["said_by"], r["why"]) for r in rows] == [
        (name, "2020-02-01", 1, "anna", "its time is over") for name in ("replies", "scores")
    ]


def test_a_decision_stays_as_long_as_its_message(ledger: Ledger) -> None:
    assert remove(ledger.engine, ASKED._replace(tables=("decisions",)), DAYS, NOW) == dict(decisions=0)
    both = ASKED._replace(tables=("decisions", "contacts"))
    assert remove(ledger.engine, both, DAYS, NOW + timedelta(seconds=1)) == dict(contacts=1, decisions=1)
    assert (len(ledger.of(Decision)), len(ledger.of(Contact)), len(ledger.of(Reply))) == (1, 1, 2)


def test_afterwards_nothing_can_be_changed_as_before(ledger: Ledger, ledger_url: str, raw: Callable) -> None:
    remove(ledger.engine, ASKED, DAYS, NOW)
    for name in ("scores", "decisions", "removals", "alerts", "answers"):
        for statement in (
            f"DELETE FROM {name}",
            f"UPDATE {name} SET {LEDGER_METADATA.tables[name].columns.keys()[0]} = NULL",
        ):
            with pytest.raises(Exception, match="append-only"):
                raw(ledger_url, statement)


def test_a_removal_that_fails_halfway_leaves_everything(tmp_path: Path, raw: Callable) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    with Ledger.open(url) as ledger:
        ledger.append([score(as_of="2020-01-31"), reply(received_at=AT)], AT)
        before, seen = counted(ledger), []

        def stumble(connection: object, cursor: object, statement: str, *_: object) -> None:
            seen.append(statement)
            if statement.startswith("DELETE FROM outcomes"):
                raise KeyboardInterrupt

        sa.event.listen(ledger.engine, "before_cursor_execute", stumble)
        with pytest.raises(KeyboardInterrupt):
            remove(ledger.engine, ASKED, DAYS, NOW)
        assert any("DELETE FROM scores" in said for said in seen) and counted(ledger) == before
    with pytest.raises(Exception, match="append-only"):
        raw(url, "DELETE FROM scores")


def test_on_the_last_day_of_a_holding_time_nothing_goes_and_on_the_next_it_does() -> None:
    first = Removal(date(2023, 12, 1), "anna", "because", ("scores",))
    with pytest.raises(StoreError, match="scores is kept for 1096 days"):
        check_removal(first, DAYS, first.before + timedelta(days=1095))
    check_removal(first, DAYS, first.before + timedelta(days=1096))


@pytest.mark.parametrize(
    "other, said",
    [
        (dict(before=date(2023, 12, 1)), "(?s)is kept for 1096 days.*earlier month"),
        (dict(before=date(2020, 1, 31)), "not the first of a month"),
        (dict(said_by=" "), "who removes this"),
        (dict(why=""), "or why"),
        (dict(tables=("removals",)), "kept for ever"),
        (dict(before=date(2024, 1, 1), tables=("answers",)), "answers is kept for 1096 days"),
        (dict(tables=("scores", "access_keys")), "access_keys has no holding time"),
    ],
)
def test_what_may_not_go_is_refused_and_stays(ledger: Ledger, other: dict, said: str) -> None:
    before = counted(ledger)
    with pytest.raises(StoreError, match=said):
        remove(ledger.engine, ASKED._replace(**other), DAYS, NOW)
    assert counted(ledger) == before


def test_the_database_refuses_what_a_program_with_other_times_would_remove(postgres_url: str) -> None:
    month = date(2026, 2, 1)
    with Ledger.open(postgres_url) as ledger:
        ledger.append(one_of_each(), AT)
        asked = ASKED._replace(before=month, tables=("scores",))
        with pytest.raises(StoreError, match="(?s)before roles are made.*ledger roles"):
            remove(ledger.engine, asked, dict(scores=0), NOW)
        make_roles(ledger.engine, dict(scores=100_000, answers=200_000))
        for name, days in dict(scores=100_000, answers=200_000).items():
            with pytest.raises(StoreError, match=f"{name} is kept for {days} days"):
                remove(ledger.engine, asked._replace(tables=(name,)), {name: 0}, NOW)
        assert len(ledger.of(Score)) == 1
