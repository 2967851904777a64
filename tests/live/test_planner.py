"""What is decided by day: by the rules of the night, on its tables, once, and again at any time."""

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import live_bank
import pandas as pd
import pytest
import sqlalchemy as sa

from predelinquency.decide import engine
from predelinquency.ground import disk, schema
from predelinquency.ground.brakes import BRAKES
from predelinquency.ground.core import DAY_MS, StoreError
from predelinquency.ground.entries import plain_values
from predelinquency.ground.following import LIVE_SCORES
from predelinquency.ground.ledger import Ledger
from predelinquency.ground.records import Decision, Reply
from predelinquency.ground.words import counted
from predelinquency.live import places, renewal
from predelinquency.live.archive import Archive, open_archive
from predelinquency.live.door import open_log
from predelinquency.live.events import PARTITIONS, partition_of
from predelinquency.live.feed import read_feed
from predelinquency.live.log import Log
from predelinquency.live.planner import Planner, _entries, decided_again, tables_at
from predelinquency.live.worker import Worker
from predelinquency.ops import replays
from predelinquency.ops.nights import Places
from predelinquency.reasons.scorer import Scorer

CUSTOMERS = 26
AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Day(NamedTuple):
    "A bank whose day is told, and whoever judges and decides."

    log: Log
    kept: Archive
    judge: Scorer
    raw: Path

    def worker(self, ledger: Ledger, kept: Archive | None = None) -> Worker:
        made = live_bank.worker(self.log, ledger, kept or self.kept, self.judge)
        made.planner = self.planner
        return made

    @property
    def planner(self) -> Planner:
        ticks = iter(range(10**6))
        return Planner(
            engine.load_book(),
            live_bank.settings(),
            self.raw,
            lambda: AT + timedelta(milliseconds=next(ticks)),
            looked,
        )


def looked(tables: dict[str, pd.DataFrame], as_of: pd.Timestamp) -> pd.DataFrame:
    "Nobody doubts these data."
    who = tables["customers"]["customer_id"].tolist()
    return pd.DataFrame(dict(customer_id=who, doubts=[()] * len(who), data_age_days=[1.0] * len(who)))


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    folder, tables = tmp_path_factory.mktemp("day"), live_bank.bank(5, CUSTOMERS)
    kept = live_bank.archive(folder, tables)
    live_bank.agreed(folder / "raw", CUSTOMERS)
    log = open_log(f"sqlite:///{folder}/log.db", keep_days=live_bank.KEEP_DAYS)
    live_bank.append(log, live_bank.sent(tables, 6))
    yield Day(log, kept, live_bank.scorer(tables), folder / "raw")
    log.close()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, day: Day) -> Iterator[Ledger]:
    "What one worker has written that read everything without a stop. Read only."
    with Ledger.open(f"sqlite:///{tmp_path_factory.mktemp('ledger')}/ledger.db") as ledger:
        live_bank.read_all(day.worker(ledger))
        yield ledger


def decided(ledger: Ledger) -> list[dict[str, Any]]:
    return [plain_values(d) for who in range(CUSTOMERS) for d in ledger.of(Decision, who)]


def told(ledger: Ledger) -> list[tuple[int | None, int, dict[str, Any]]]:
    messages = [m for m in read_feed(ledger, 0, 10**6) if m.kind == "decision"]
    return sorted(((m.customer_id, m.said_at, dict(m.body)) for m in messages), key=lambda m: m[:2])


def scores(ledger: Ledger) -> list[dict[str, Any]]:
    with ledger.engine.connect() as book:
        return [dict(row) for row in book.execute(sa.select(LIVE_SCORES)).mappings()]


def test_something_of_everything_was_decided_and_told(undisturbed: Ledger):
    made, said = decided(undisturbed), told(undisturbed)
    assert len(made) > 4 and {d["arm"] for d in made} == {"treated", "control"}
    assert {d["channel"] for d in made if d["arm"] == "control"} == {""} and len({d["action"] for d in made}) > 1
    assert all(d["action"] != "nothing" or d["arm"] == "control" and d["intended"] != "nothing" for d in made)
    assert len(said) > len(made), "that nothing is done is told, and not written"
    by_key = {(who, body["as_of"]): body for who, _, body in said if body["action"] != "nothing"}
    sent = [d for d in made if d["action"] != "nothing"]
    assert by_key.keys() == {(d["customer_id"], d["as_of"]) for d in sent}
    assert all("message" not in body for _, _, body in said), "the words are for the customer"
    assert len({(d["customer_id"], d["as_of"]) for d in made}) == len(made)


def test_nobody_is_written_to_twice_within_the_policy_s_days(undisturbed: Ledger, day: Day):
    apart = timedelta(days=day.planner.book.policy["cap_week_days"])
    for who in range(CUSTOMERS):
        sent = [datetime.fromisoformat(d.decided_at) for d in undisturbed.of(Decision, who) if d.channel]
        assert all(b - a >= apart for a, b in zip(sent, sent[1:], strict=False))


def test_the_tables_are_those_of_the_next_renewal(tmp_path: Path, undisturbed: Ledger, day: Day):
    "Of every customer who was decided about, at the last score of theirs."
    last = {s["customer_id"]: s for s in scores(undisturbed) if not s["final"]}
    some = [last[d["customer_id"]] for d in decided(undisturbed)][::2]
    assert len(some) > 2
    for n, given in enumerate(some):
        shutil.copytree(day.kept.folder.parent, tmp_path / f"{n}")
        renewed = renewal.renew(
            open_archive(tmp_path / f"{n}"), day.log, {partition_of(given["customer_id"]): given["position"]}
        )
        (part,) = [p for p in renewed.parts if p.low <= given["customer_id"] < p.high]
        found = tables_at(day.kept, _entries(day.kept, day.log, given), given)
        again = tables_at(renewed, [], given)
        for name in schema.TABLES:
            whole = disk.read(renewed.folder, name, part)
            mine = whole[whole["customer_id"] == given["customer_id"]].reset_index(drop=True)
            for one in (found[name], again[name]):
                pd.testing.assert_frame_equal(one.astype(object), mine.astype(object), check_categorical=False)


def test_it_does_not_matter_how_the_log_is_cut(tmp_path: Path, undisturbed: Ledger, day: Day):
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        live_bank.read_all(day.worker(ledger), 7)
        assert decided(ledger) == decided(undisturbed) and told(ledger) == told(undisturbed)


def test_a_worker_that_begins_anew_and_an_archive_that_is_renewed_change_nothing(
    tmp_path: Path, undisturbed: Ledger, day: Day
):
    shutil.copytree(day.kept.folder.parent, tmp_path / "archive")
    kept = open_archive(tmp_path / "archive")
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        for turn in range(400):
            made = day.worker(ledger, open_archive(kept.folder.parent))
            if not sum(made.step(p, 0, 40) for p in range(PARTITIONS)):
                break
            if turn % 3 == 2:
                renewal.renew(open_archive(kept.folder.parent), day.log, places.progress(ledger))
        assert turn > 3 and decided(ledger) == decided(undisturbed) and told(ledger) == told(undisturbed)


def test_what_breaks_in_the_writing_leaves_no_decision(
    tmp_path: Path, undisturbed: Ledger, day: Day, monkeypatch: pytest.MonkeyPatch
):
    "The feed is written last: a decision that stood without it would be one that nobody heard of."
    publish, broken = places.publish, []

    def breaks(book: sa.Connection, messages: Sequence[Any]) -> int:
        if any(m.kind == "decision" for m in messages) and len(broken) % 2 == 0:
            broken.append(Ledger(book).of(Decision, messages[-1].customer_id))
            raise ConnectionError("the line is dead")
        broken.append(None) if any(m.kind == "decision" for m in messages) else None
        return publish(book, messages)

    monkeypatch.setattr(places, "publish", breaks)
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        for _ in range(400):
            made = day.worker(ledger)
            try:
                live_bank.read_all(made)
                break
            except ConnectionError:
                continue
        assert decided(ledger) == decided(undisturbed) and len(told(ledger)) == len(told(undisturbed))
    assert any(broken), "a decision had been written when it broke"


def test_what_stands_and_what_is_stopped_stays_so(tmp_path: Path, undisturbed: Ledger, day: Day):
    first, *_, last = [d for who in range(CUSTOMERS) for d in undisturbed.of(Decision, who) if d.channel]
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        mine = replace(first, action="reminder", because="A colleague was quicker.")
        ledger.append([mine], AT)
        ledger.append([Reply(last.customer_id, "", "2020-01-01T09:00:00+00:00", "email", "stop")], AT)
        live_bank.read_all(day.worker(ledger))
        assert [d for d in ledger.of(Decision, first.customer_id) if d.as_of == first.as_of] == [mine]
        assert [d for d in ledger.of(Decision, last.customer_id) if d.channel] == []
    with Ledger.open(f"sqlite:///{tmp_path}/stopped.db") as ledger:
        with ledger.engine.begin() as book:
            book.execute(
                sa.insert(BRAKES), dict(nth=1, said_at=AT.isoformat(), stops=True, said_by="lead", why="a fault")
            )
        live_bank.read_all(day.worker(ledger))
        assert decided(ledger) == [] and told(ledger) == [] and len(scores(ledger)) == len(scores(undisturbed))


def test_without_a_planner_nobody_is_asked(tmp_path: Path, undisturbed: Ledger, day: Day):
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        made = day.worker(ledger)
        made.planner = None
        live_bank.read_all(made)
        assert decided(ledger) == [] and scores(ledger) == scores(undisturbed)


@pytest.fixture(params=["sqlite", "postgresql"])
def book(request: pytest.FixtureRequest, tmp_path: Path, day: Day) -> Iterator[Ledger]:
    "A ledger in each of the ways, in which a day was decided."
    url = f"sqlite:///{tmp_path}/ledger.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with Ledger.open(url, upgrade=True) as ledger:
        live_bank.read_all(day.worker(ledger))
        yield ledger


def test_any_decision_is_made_again_whatever_was_said_since(
    book: Ledger, tmp_path: Path, undisturbed: Ledger, day: Day
):
    given = [d for who in range(CUSTOMERS) for d in book.of(Decision, who)]
    assert [plain_values(d) for d in given] == decided(undisturbed)
    later = AT + timedelta(days=1)
    for who in {d.customer_id for d in given}:  # read as it stands now, nobody would be written to
        book.append([Reply(who, "", "2020-01-01T09:00:00+00:00", "email", "stop")], later)
    shutil.copytree(day.kept.folder.parent, tmp_path / "archive")
    renewed = renewal.renew(open_archive(tmp_path / "archive"), day.log, places.progress(book))
    for archive in (day.kept, renewed):
        for one in given:
            assert decided_again(day.planner, archive, day.log, book, one) == one
    assert [d for who in range(CUSTOMERS) for d in book.of(Decision, who)] == given


def test_other_rules_and_a_decision_of_the_night_are_refused(tmp_path: Path, undisturbed: Ledger, day: Day):
    one = next(d for who in range(CUSTOMERS) for d in undisturbed.of(Decision, who))
    with pytest.raises(StoreError, match="made by the rules older, and these are"):
        decided_again(day.planner, day.kept, day.log, undisturbed, replace(one, policy="older"))
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        ledger.append([one], AT)
        with pytest.raises(StoreError, match="no alert between two midnights led to this decision"):
            decided_again(day.planner, day.kept, day.log, ledger, one)


def test_the_night_makes_again_what_was_decided_by_day_and_names_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Ledger, day: Day
):
    own = tmp_path / "ledger.db"
    with closing(sqlite3.connect(own)) as copy, closing(sqlite3.connect(undisturbed.engine.url.database)) as first:
        first.backup(copy)
    with Ledger.open(f"sqlite:///{own}") as ledger:
        night_again(monkeypatch, ledger, day)


def night_again(monkeypatch: pytest.MonkeyPatch, ledger: Ledger, day: Day) -> None:
    days = {at // DAY_MS for _, at, body in told(ledger) if body["action"] != "nothing"}
    found = {on: replays.decided_on(ledger, on) for on in days}
    acted = [d for d in decided(ledger) if d["action"] != "nothing"]
    assert sorted(map(str, acted)) == sorted(str(plain_values(d)) for some in found.values() for d in some)
    assert replays.decided_on(ledger, max(days) + 1) == []
    by = day.worker(ledger)
    assert [replays.decision_differs(by, one) for some in found.values() for one in some] == [[]] * len(acted)

    places_ = Places("nowhere")
    monkeypatch.setattr(Places, "open_log", lambda _: nullcontext(day.log))
    monkeypatch.setattr(Places, "open_ledger", lambda _: nullcontext(ledger))
    monkeypatch.setattr(replays, "archive_of", lambda _: day.kept.folder)
    monkeypatch.setattr(replays, "require", lambda *_: None)
    monkeypatch.setattr(replays, "worker_of", lambda *_: by)
    on = max(days, key=lambda d: len(found[d]))
    many = counted(len(found[on]), "decision")
    assert replays.make_again(places_, on + 1, 3).endswith(f"; {many} made again, 0 not the same")
    by.planner = replace(day.planner, looked=None)  # what the night looks up is not there any more
    wrong = f"; {many} made again, {len(found[on])} not the same"
    monkeypatch.setattr(replays, "_plan_of", lambda _: "2099-12-31")
    assert replays.make_again(places_, on + 1, 3).endswith(f"{wrong}; a later plan has other prices")
    monkeypatch.setattr(replays, "_plan_of", lambda _: "")
    assert replays.make_again(places_, on + 1, 3).endswith(f"{wrong}; it rang")
    by.planner = replace(day.planner, book=SimpleNamespace(version="other"))
    said = f"; no decisions made again, 0 not the same, {len(found[on])} by other rules"
    assert replays.make_again(places_, on + 1, 3).endswith(said)
