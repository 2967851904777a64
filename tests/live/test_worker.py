"""What follows from a log follows from it alone: however it is read, by whoever, in whatever pieces."""

import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import live_bank
import numpy as np
import pandas as pd
import pytest

from predelinquency.decide.policy import load_policy
from predelinquency.features import offline
from predelinquency.features.catalogue import BY_NAME
from predelinquency.ground import disk
from predelinquency.ground.core import DAY_MS, StoreError, to_day
from predelinquency.ground.following import LIVE_SCORES
from predelinquency.ground.ledger import Ledger
from predelinquency.live import arrivals, lives, moments, places, renewal, replay, worker
from predelinquency.live.alerts import load_alert_rules
from predelinquency.live.archive import Archive, open_archive
from predelinquency.live.door import open_log
from predelinquency.live.events import KINDS, PARTITIONS, Event, partition_of
from predelinquency.live.lives import Lives, Told
from predelinquency.live.log import Log
from predelinquency.model import dues, labels
from predelinquency.reasons.scorer import Scorer

CUSTOMERS = 60
LEAD = list(BY_NAME).index("asked_lead_days")


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return live_bank.bank(5, CUSTOMERS)


@pytest.fixture(scope="module")
def told(tables: dict[str, pd.DataFrame]) -> list[tuple[int, Event]]:
    return live_bank.sent(tables, 6)


@pytest.fixture(scope="module")
def judge(tables: dict[str, pd.DataFrame]) -> Scorer:
    return live_bank.scorer(tables)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, tables: dict[str, pd.DataFrame]) -> Archive:
    return live_bank.archive(tmp_path_factory.mktemp("archive"), tables)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory, told: list[tuple[int, Event]]) -> Iterator[Log]:
    made = open_log(f"sqlite:///{tmp_path_factory.mktemp('log')}/log.db", keep_days=live_bank.KEEP_DAYS)
    live_bank.append(made, told)
    yield made
    made.close()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, log: Log, kept: Archive, judge: Scorer) -> dict[str, list]:
    "What one worker writes that reads everything without a stop."
    with Ledger.open(f"sqlite:///{tmp_path_factory.mktemp('ledger')}/ledger.db") as ledger:
        read = live_bank.read_all(live_bank.worker(log, ledger, kept, judge))
        found = live_bank.written(ledger)
    assert read == log.counts["taken"] == sum(n for _, n in found["log_places"]) > 1_000
    return found


Row = namedtuple("Row", LIVE_SCORES.columns.keys())  # type: ignore[misc]


def row(values: tuple) -> Any:
    return Row(*values)


def copied(archive: Archive, folder: Path) -> Archive:
    "The same elsewhere: what is renewed in place is noticed by every worker on it."
    shutil.copytree(archive.folder.parent, folder / "archive")
    return open_archive(folder / "archive")


def by_customer(log: Log) -> dict[int, Told]:
    found: dict[int, Told] = {}
    for partition in range(PARTITIONS):
        if entries := log.read(partition, 0, 10**6):
            entries = [e for e in entries if e.event.kind in KINDS]
            who = [e.event.customer_id for e in entries]
            found |= dict(lives.by_customer([e.position for e in entries], who, arrivals.rows_of(entries)))
    return found


def test_something_of_everything_happened(undisturbed: dict[str, list], log: Log) -> None:
    scores, dead = [row(s) for s in undisturbed["live_scores"]], undisturbed["dead_letters"]
    assert len(scores) > 300 and len({s.customer_id for s in scores}) > CUSTOMERS // 2
    assert {s.eligible for s in scores} == {True, False} and sum(bool(s.dues) for s in scores if not s.final) > 150
    assert {d[3] for d in dead} >= {"never met"} and undisturbed["waiting"]
    assert log.counts["repeated"] > 50 and any(s.incomplete for s in scores)


def test_a_due_rings_when_it_comes_to_a_line_and_once_in_a_period(undisturbed: dict[str, list]) -> None:
    expected, chance = set(), {}
    lines = {r.id: (r.at_least, r.period_days) for r in load_alert_rules(load_policy()) if r.of == "due"}
    for s in map(row, undisturbed["live_scores"]):  # by customer, revision by revision
        now = {f"{s.customer_id}-{due[0]}-{due[1]}": due[3] for due in s.dues}
        for subject, p in now.items():
            was = chance.get(s.customer_id, {}).get(subject, 0.0)
            for rule, (line, days) in lines.items():
                if was < line <= p:
                    expected.add((rule, subject, s.arrived_at // (days * DAY_MS)))
        chance[s.customer_id] = now
    rang = [tuple(a)[:3] for a in undisturbed["alerts"]]
    assert {a for a in rang if a[0] in lines} == expected
    lost = {(str(d[2]), d[4] // DAY_MS) for d in undisturbed["dead_letters"]}
    assert {a[1:] for a in rang if a[0] == "event_lost"} == lost and len(lost) > 5
    assert {a[0] for a in rang} == {"case_opens", "case_serious", "event_lost"} and len(expected) > 100


def test_a_score_is_written_only_where_it_says_something_new(undisturbed: dict[str, list]) -> None:
    "But for the final one of a midnight, which everybody gets."
    said = [row(s) for s in undisturbed["live_scores"]]
    pairs = [(a, b) for a, b in zip(said, said[1:], strict=False) if a.customer_id == b.customer_id and not b.final]
    same = [b for a, b in pairs if (a.as_of, a.eligible, a.margin, a.dues) == (b.as_of, b.eligible, b.margin, b.dues)]
    assert same == [] and not any(not a.eligible and not b.eligible for a, b in pairs) and len(pairs) > 300


def test_the_stream_equals_the_batch_of_its_own_archive_at_every_midnight(
    tmp_path: Path, log: Log, kept: Archive
) -> None:
    "All features, of the customer and of every due ahead; which dues those are; and who owes something."
    positions = {p: log.read(p, 0, 10**6)[-1].position for p in range(PARTITIONS) if log.read(p, 0, 1)}
    renewed, base = renewal.renew(copied(kept, tmp_path), log, positions), live_bank.settings()
    whole = {
        n: pd.concat([disk.read(renewed.folder, n, p) for p in renewed.parts]) for n in ("obligations", "payments")
    }
    known = offline.read_tables(renewed.folder)
    seen: dict[tuple[int, int], moments.Moment] = {}
    for who, some in by_customer(log).items():
        life = lives.begin_life(kept.history(who))
        for k in range(len(some.positions)):
            lives.live_on(life, Told(some.positions[k : k + 1], some.rows[k : k + 1]))
            found = moments.moment(life.state, int(some.rows[k, arrivals.STAMP]), base.horizon_to_days, base.grace_days)
            seen[who, found.day] = found  # the last of a day stays
    spine = pd.DataFrame(sorted(seen), columns=["customer_id", "day"])
    spine["as_of"] = (spine.day.to_numpy() * DAY_MS).astype("datetime64[ms]")
    facts, _, _ = labels.look(spine, whole["obligations"], whole["payments"], base)
    assert facts[:, 0].astype(bool).tolist() == [seen[key].overdue for key in sorted(seen)]
    asks = spine[["customer_id", "as_of"]].assign(eligible=True, split="live")
    asked = dues.proposed(asks, whole["obligations"], whole["payments"], base)
    own = offline.matrix(known, spine[["customer_id", "as_of"]])
    of_dues = offline.matrix(known, asked[["customer_id", "as_of", "obligation_id", "instalment"]])
    mine = asked.groupby(["customer_id", "as_of"]).indices
    for row, key in enumerate(sorted(seen)):
        at = mine.get((key[0], spine.as_of[row]), np.zeros(0, int))
        found = seen[key]
        assert np.array_equal(found.vectors[0], own[row], equal_nan=True)
        assert found.due.tolist() == asked.iloc[at][["obligation_id", "instalment"]].to_numpy().tolist()
        assert np.array_equal(found.vectors[1:], of_dues[at], equal_nan=True)
    assert len(seen) > 700 and len(asked) > 700


def test_the_final_score_of_a_midnight_is_that_of_the_batch(
    tmp_path: Path, log: Log, kept: Archive, judge: Scorer, undisturbed: dict[str, list]
) -> None:
    "Whoever gets one gets the score, the dues and the reasons that the tables give for that midnight."
    finals = [s for s in map(row, undisturbed["live_scores"]) if s.final]
    positions = {p: log.read(p, 0, 10**6)[-1].position for p in range(PARTITIONS)}
    renewed, base = renewal.renew(copied(kept, tmp_path), log, positions), live_bank.settings()
    whole = {
        n: pd.concat([disk.read(renewed.folder, n, p) for p in renewed.parts]) for n in ("obligations", "payments")
    }
    spine = pd.DataFrame(
        dict(customer_id=[s.customer_id for s in finals], as_of=pd.to_datetime([s.as_of for s in finals]))
    )
    spine = spine.sort_values(["customer_id", "as_of"], ignore_index=True)
    asks = spine.assign(eligible=True, split="live")
    asked = dues.proposed(asks, whole["obligations"], whole["payments"], base)
    known = offline.read_tables(renewed.folder)
    own = offline.matrix(known, spine)
    of_dues = offline.matrix(known, asked[["customer_id", "as_of", "obligation_id", "instalment"]])
    mine = asked.groupby(["customer_id", "as_of"]).indices
    rows = {(int(w), str(a.date())): n for n, (w, a) in enumerate(zip(spine.customer_id, spine.as_of, strict=True))}
    assert len(rows) == len(finals) > 700  # nobody has two of one midnight
    for s in finals:
        n = rows[s.customer_id, s.as_of]
        vectors = np.vstack([own[n : n + 1], of_dues[mine.get((s.customer_id, spine.as_of[n]), [])]])
        made = judge.score(vectors)
        assert s.feature_hash == judge.record(s.customer_id, s.as_of, vectors, made).feature_hash
        if s.eligible:
            assert (s.probability, s.margin) == (made.probability, made.margin)
            assert [due[-1] for due in s.dues] == made.chance.tolist()
    told = {d for d in {s.as_of for s in finals} if sum(s.as_of == d for s in finals) > CUSTOMERS * 0.8}
    assert len(told) > 1, "a midnight that was told gives everybody a final score"
    assert sum(s.eligible for s in finals) > 100


def test_any_score_can_be_made_again_and_another_one_is_noticed(
    tmp_path: Path, log: Log, kept: Archive, judge: Scorer, undisturbed: dict[str, list]
) -> None:
    "From the archive before it and the log up to it; of all kinds: final, first of a day, with dues and without."
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        made = live_bank.worker(log, ledger, kept, judge)
        live_bank.read_all(made)
        given = replay.given_scores(ledger, most=250)
        assert given == replay.given_scores(ledger, most=250) != replay.given_scores(ledger, most=250, turn=1)
        (named,) = replay.given_scores(ledger, [(given[0]["customer_id"], given[0]["revision"])])
    again = replay.Again(log, kept, made.judge)
    assert named == given[0]
    assert [replay.differing(one, again.score(one)) for one in given] == [{}] * len(given)
    assert {one["final"] for one in given} == {one["eligible"] for one in given} == {True, False}
    late = next(one for one in given if one["eligible"] and one["position"] > 3)
    assert "feature_hash" in replay.differing(late, again.score(late | dict(position=_earlier(undisturbed, late))))


def _earlier(found: dict[str, list], given: dict[str, Any]) -> int:
    "The position of another score of the same customer."
    mine = [row(s) for s in found["live_scores"]]
    same = [s for s in mine if (s.customer_id, s.final) == (given["customer_id"], given["final"])]
    return next(s.position for s in same if s.feature_hash != given["feature_hash"])


@pytest.mark.parametrize(
    ("of", "most"), [(1, 2_000), (13, 2_000), (40, 3)], ids=["one by one", "thirteen", "three kept"]
)
def test_the_rows_do_not_depend_on_how_the_log_is_read(
    of: int, most: int, tmp_path: Path, log: Log, kept: Archive, judge: Scorer, undisturbed: dict[str, list]
) -> None:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        made = live_bank.worker(log, ledger, kept, judge, most)
        live_bank.read_all(made, of)
        assert live_bank.written(ledger) == undisturbed
    assert most > CUSTOMERS or made.lives.made > CUSTOMERS


def test_many_workers_one_after_the_other_write_the_same(
    tmp_path: Path, log: Log, kept: Archive, judge: Scorer, undisturbed: dict[str, list]
) -> None:
    "Each reads one batch of each partition and is forgotten."
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        while True:
            made = live_bank.worker(log, ledger, kept, judge)
            if not sum(made.step(p, 0, 40) for p in range(PARTITIONS)):
                break
        assert live_bank.written(ledger) == undisturbed


def test_one_worker_and_then_four_at_once_write_the_same(
    tmp_path: Path, log: Log, kept: Archive, judge: Scorer, undisturbed: dict[str, list]
) -> None:
    "The one has read a part of everything; each of the four holds its own partitions and nobody else's."
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        one = live_bank.worker(log, ledger, kept, judge)
        for p in range(PARTITIONS):
            one.step(p, 0, 9)
        places.release(ledger, one.held.values())
        four = [live_bank.worker(log, ledger, kept, judge, owner=f"w{n}", share=(n, 4)) for n in range(1, 5)]
        rounds = [worker.read_on(w, lambda: 1_000, 20) for w in four]
        while sum(next(some) for some in rounds):
            pass
        assert live_bank.written(ledger) == undisturbed
        assert [min(w.held) for w in four] == [0, 1, 2, 3] and {len(w.held) for w in four} == {PARTITIONS // 4}


def test_who_is_asked_to_end_ends_after_the_batch_and_not_after_the_round(
    tmp_path: Path, log: Log, kept: Archive, judge: Scorer, undisturbed: dict[str, list]
) -> None:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        made, ends = live_bank.worker(log, ledger, kept, judge), list[int]()
        made.ends, made.heard = ends, lambda step: ends.append(step.events)
        rounds = worker.read_on(made, lambda: 1_000, 7)
        assert [next(rounds), len(ends)] == [7, 1], "one batch of one partition"
        made.ends = ()
        while next(rounds):
            pass
        assert live_bank.written(ledger) == undisturbed


def test_an_archive_renewed_on_the_way_changes_nothing(
    tmp_path: Path,
    told: list[tuple[int, Event]],
    tables: dict[str, pd.DataFrame],
    judge: Scorer,
    undisturbed: dict[str, list],
) -> None:
    "The front of the log goes, and the next worker begins from the new tables."
    own = open_log(f"sqlite:///{tmp_path}/log.db", keep_days=live_bank.KEEP_DAYS)
    archive = live_bank.archive(tmp_path, tables)
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        for start in range(0, len(told), 800):  # four batches of `append`, as in the log that was read undisturbed
            live_bank.append(own, told[start : start + 800])
            live_bank.read_all(live_bank.worker(own, ledger, archive, judge))
            archive = renewal.renew(archive, own, places.progress(ledger))
            renewal.trim_archived(archive, own)
        assert live_bank.written(ledger) == undisturbed
        again = replay.Again(own, archive, live_bank.worker(own, ledger, archive, judge).judge)
        given = replay.given_scores(ledger, most=250, turn=2)  # everything that they rest on has left the log
        assert [replay.differing(one, again.score(one)) for one in given] == [{}] * 250
        made, last = live_bank.worker(own, ledger, archive, judge), places.last_scores(ledger, range(CUSTOMERS))
        for who, said in last.items():  # a second movement of that day is no reason for a score
            life = made.lives.of(who, worker._completing(ledger, last))
            assert life.scored_on >= said.arrived_at // DAY_MS and life.closed_on >= to_day(
                said.closed_on or "1970-01-01"
            )
    assert open_archive(tmp_path / "archive").folder.name != "000001" and archive.places.waiting
    with pytest.raises(StoreError, match="take the events up to"):
        own.read(partition_of(told[0][1].customer_id), 0, 10)
    own.close()


def test_of_transactions_that_waited_for_an_account_the_smaller_number_goes_first() -> None:
    "As in a table; told the other way round."
    move = [arrivals.OF_MOVE, 0, live_bank.BOUGHT, 0, 70, -1_250, 0, 0, 5, 0, 0]
    rows = np.array([move, move, [arrivals.OF_ACCOUNT, 0, 70, 0, 0, 0, 0, 0, 0, 0, 0]])
    rows[:, arrivals.STAMP], rows[:2, 3] = live_bank.BOUGHT + np.arange(3), (9, 8)
    life = lives.begin_life(np.zeros((0, arrivals.WIDTH), np.int64))
    fates = lives.live_on(life, Told(np.array([1, 2, 3]), rows))
    assert {f.position: f.turn for f in fates} == {3: 1, 2: 2, 1: 3}


def test_a_worker_notices_that_the_archive_was_renewed(
    tmp_path: Path,
    told: list[tuple[int, Event]],
    tables: dict[str, pd.DataFrame],
    judge: Scorer,
    undisturbed: dict[str, list],
) -> None:
    "It goes on from there, keeps nothing of what the log said before, and writes the same."
    own = open_log(f"sqlite:///{tmp_path}/log.db", keep_days=live_bank.KEEP_DAYS)
    archive = live_bank.archive(tmp_path, tables)
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        made = live_bank.worker(own, ledger, archive, judge)
        for start in range(0, len(told), 1_600):
            live_bank.append(own, told[start : start + 1_600])
            live_bank.read_all(made)
            kept = sum(map(len, made.lives.told.values()))
            renewal.trim_archived(renewal.renew(made.lives.archive, own, places.progress(ledger)), own)
            made.tend(0)
            assert kept > 0 and not any(made.lives.told.values()) and len(made.held) == PARTITIONS
        assert live_bank.written(ledger) == undisturbed
    own.close()


def test_who_stood_still_while_the_log_was_trimmed_goes_on(
    tmp_path: Path,
    told: list[tuple[int, Event]],
    tables: dict[str, pd.DataFrame],
    judge: Scorer,
    undisturbed: dict[str, list],
) -> None:
    "Its claims end, another reads on, an archive is made of that, and the log goes up to there no more."
    own = open_log(f"sqlite:///{tmp_path}/log.db", keep_days=live_bank.KEEP_DAYS)
    live_bank.append(own, told)
    archive = live_bank.archive(tmp_path, tables)
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        anna, later = live_bank.worker(own, ledger, archive, judge), 30_000
        ben, cora = (live_bank.Worker(own, ledger, Lives(archive), anna.judge, name) for name in ("ben", "cora"))
        ben.tend(later)
        busy = [p for p in ben.held if ben.step(p, later, 5)]
        renewed = renewal.renew(archive, own, places.progress(ledger))
        assert renewal.trim_archived(renewed, own) > 100 and len(busy) > 10
        for p in busy:
            with pytest.raises(places.Overtaken):
                anna.step(p, later)
            assert p in anna.partitions and p not in anna.held
        assert not cora.adopt(busy[0], 3 * later), "it began with the archive before"
        cora.tend(3 * later)
        assert len(cora.held) == PARTITIONS
        live_bank.read_all(cora)
        assert live_bank.written(ledger) == undisturbed
    own.close()


def test_who_was_overtaken_writes_nothing(tmp_path: Path, log: Log, kept: Archive, judge: Scorer) -> None:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        anna = live_bank.worker(log, ledger, kept, judge)
        busy = next(p for p in range(PARTITIONS) if anna.step(p, 0, 5))
        ben = live_bank.worker(log, ledger, kept, judge, owner="anna")  # started again under the same name
        ben.step(busy, 0, 5)
        was = live_bank.written(ledger)
        with pytest.raises(places.Overtaken, match="another worker has taken partition"):
            anna.step(busy, 0, 5)
        assert live_bank.written(ledger) == was and busy not in anna.held
        ben.step(busy, 0, 5)
        assert live_bank.written(ledger) != was


def test_a_partition_is_another_workers_until_its_claim_ends(tmp_path: Path) -> None:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        assert places.claim(ledger, 3, "anna", 0, 1_000) == (3, 1, 0)
        assert places.claim(ledger, 3, "ben", 999, 1_000) is None
        assert places.claim(ledger, 3, "ben", 1_000, 1_000) == (3, 2, 0)


def test_a_failed_write_is_done_again_from_the_place(
    tmp_path: Path,
    log: Log,
    kept: Archive,
    judge: Scorer,
    undisturbed: dict[str, list],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    "The states have gone further than the place: they are forgotten with the partition."
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        made, real, calls = live_bank.worker(log, ledger, kept, judge), worker.write_batch, iter(range(10**6))

        def sometimes(*how: object) -> object:
            if next(calls) % 3 == 0:
                raise StoreError("no space left on the disk")
            return real(*how)

        monkeypatch.setattr(worker, "write_batch", sometimes)
        for p in range(PARTITIONS):
            many = 1
            while many:
                try:
                    many = made.step(p, 0, 50)
                except StoreError:
                    assert made.adopt(p, 0)
        assert live_bank.written(ledger) == undisturbed


def test_a_log_whose_clock_is_behind_the_tables_goes_on_from_their_end(
    tmp_path: Path, kept: Archive, judge: Scorer, told: list, undisturbed: dict[str, list]
) -> None:
    "Each event counts as one that came just after the tables; with the clock right again the stamps are the log's own."
    own = open_log(f"sqlite:///{tmp_path}/log.db", keep_days=30_000)
    scores = map(row, undisturbed["live_scores"])
    who = next(s.customer_id for s in scores if s.eligible and s.revision == 1 and len(kept.history(s.customer_id)))
    early = next(e for _, e in told if e.kind == "account")._replace(customer_id=who)
    until, old = int(kept.history(who)[-1, arrivals.STAMP]), {**early.row, "opened_on": 0}
    some = [early._replace(event_id=f"early-{n}", row=old | dict(account_id=900 + n)) for n in range(3)]
    for event, at in zip(some, (1_000, 2_000, until + 5 * DAY_MS), strict=True):
        own.append([event], at)
    heard = list[worker.Step]()
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        made = live_bank.worker(own, ledger, kept, judge)
        made.heard = heard.append
        for of in (1, 2):  # however it is cut
            assert made.step(partition_of(who), 0, of) == of
        stamps = [row(s).arrived_at - until for s in live_bank.written(ledger)["live_scores"] if not row(s).final]
        dead = live_bank.written(ledger)["dead_letters"]
    own.close()
    assert [step.behind for step in heard] == [1, 1] and dead == []
    assert stamps == [1, 5 * DAY_MS], stamps
