"""Crashes by the dice: a bank's events, two workers and a sender in one process, each ended at any point of its writing.

What runs is the code of the product: the log, the claims, the worker with its fold and its rules, the feed, the
archive. Two things stand in: both databases are in memory, so that nothing waits for a disk, and a formula takes the
place of the model. A schedule follows from its seed alone.
"""

import json
import random
import shutil
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakSet

import live_bank
import numpy as np
import sqlalchemy as sa

from predelinquency.decide.policy import load_policy
from predelinquency.features.catalogue import BY_NAME
from predelinquency.ground import disk
from predelinquency.ground import ledger as ledgers
from predelinquency.ground.core import DAY_MS
from predelinquency.ground.following import ALERTS, DEAD_LETTERS, FEED, LIVE_SCORES, WAITING
from predelinquency.ground.ledger import Ledger
from predelinquency.ground.records import Score
from predelinquency.live import log as logs
from predelinquency.live import places, renewal, worker
from predelinquency.live.alerts import load_alert_rules
from predelinquency.live.archive import begin_archive, open_archive
from predelinquency.live.events import PARTITIONS, Event, partition_of
from predelinquency.live.feed import Message, alert_message, read_feed, score_message
from predelinquency.live.lives import Lives
from predelinquency.live.log import Entry, SqliteLog
from predelinquency.live.midnights import day_events
from predelinquency.live.worker import HOLD_MS, Judge, Worker, read_on
from predelinquency.reasons.scorer import Found

RENEWED = 20  # in every so manieth schedule an archive is made
APART = 1  # what is left of a seed, by fives, where each worker reads a partition of its own
PAIR = (5, 5 + PARTITIONS // 2)  # the partitions of everybody here: both are one worker's share, or each is
TABLES = (LIVE_SCORES, ALERTS, WAITING, DEAD_LETTERS)
_WRITES = {"BEGIN", "COMMIT", "INSERT", "UPDATE", "DELETE"}


class Killed(BaseException):
    "The process has ended here."


class _Statement(sqlite3.Cursor):
    def execute(self, sql: str, *values: Any) -> Any:
        return self.connection.around(sql, lambda: super(_Statement, self).execute(sql, *values))

    def executemany(self, sql: str, *values: Any) -> Any:
        return self.connection.around(sql, lambda: super(_Statement, self).executemany(sql, *values))


class Memory(sqlite3.Connection):
    "A database in memory; before and after everything that writes stands a point."

    def __init__(self, name: str, like: sqlite3.Connection | None = None):
        super().__init__(":memory:", isolation_level=None, check_same_thread=False)
        self.name = name
        self.point: Callable[[str], None] = lambda where: None
        self.asked = WeakSet[sqlite3.Cursor]()
        if like is not None:
            like.backup(self)

    def cursor(self, *_: Any) -> sqlite3.Cursor:
        made = super().cursor(_Statement)
        self.asked.add(made)
        return made

    def around(self, sql: str, do: Callable[[], Any]) -> Any:
        words = sql.split(None, 3)[:3]
        if words[0] not in _WRITES:
            return do()
        where = f"{self.name}: {' '.join(words)}"
        self.point(f"before {where}")
        done = do()
        self.point(f"after {where}")
        return done

    def commit(self) -> None:
        self.around("COMMIT", super().commit)

    def close(self) -> None:  # a process that ends closes its own connection, and the file stays
        super().rollback()

    def rows(self, sql: str) -> list[tuple]:
        return super().cursor().execute(sql).fetchall()


class Books:
    "A log and a ledger, empty again whenever that is asked for."

    def __init__(self) -> None:
        self.of_log, self.of_ledger = Memory("log"), Memory("ledger")
        for table in logs._TABLES:
            self.of_log.execute(table)
        engine = ledgers._engine("sqlite:////nowhere/ledger.db")
        sa.event.listen(engine, "do_connect", lambda *_: self.of_ledger)
        ledgers.migrate(engine)
        self.first, self.ledger = (self.of_log, self.of_ledger), Ledger(engine)
        self.empty()

    def empty(self, point: Callable[[str], None] = lambda where: None) -> None:
        self.ledger.close()
        self.of_log, self.of_ledger = (Memory(one.name, like=one) for one in self.first)
        self.log = SqliteLog(self.of_log, "memory", 2_000)
        self.of_log.point = self.of_ledger.point = point


LEAD = list(BY_NAME).index("asked_lead_days")


class Formula:
    "In the place of a model: every feature counts, and whoever is asked twice says the same."

    def __init__(self) -> None:
        self.last = live_bank.settings().horizon_to_days
        self.weights = np.random.default_rng(1).random(len(BY_NAME))

    def score(self, vectors: np.ndarray) -> Found:
        lead = vectors[:, LEAD]
        asked = 1 + np.flatnonzero((lead[1:] >= 1) & (lead[1:] <= self.last))
        chance = (np.nan_to_num(vectors[asked]) @ self.weights) % 1.0
        highest = float(chance.max()) if len(chance) else 0.0
        margin = float(np.nan_to_num(vectors).sum(0) @ self.weights)
        return Found(margin, highest, chance, asked, -1, vectors[0], vectors[0])

    def record(self, customer_id: int, as_of: str, vectors: np.ndarray, found: Found) -> Score:
        kept = blake2b(vectors[0].tobytes(), digest_size=8).hexdigest()
        return Score(customer_id, as_of, found.probability, found.margin, "formula", (), kept)


class Story(NamedTuple):
    "What is sent, and to whom it goes."

    partitions: tuple[int, ...]
    told: list[tuple[int, Event]]  # when, and what; some of it twice


class Bank:
    "What all schedules share: an archive of a few customers, all that they do afterwards, and empty databases."

    def __init__(self, folder: Path):
        self.folder, tables = folder, live_bank.bank(5, 3 * len(PAIR), most=400)
        ids = np.array(sorted(who for p in PAIR for who in islice(filter(lambda c: partition_of(c) == p, count()), 3)))
        tables = {n: t.assign(customer_id=ids[t.customer_id]) for n, t in tables.items()}
        with disk.writing(folder / "raw") as writer:
            writer.add(disk.Part(0, int(ids[-1]) + 1), live_bank.before(tables))
        self.archive = begin_archive(folder / "archive", folder / "raw")
        self.sent: dict[int, list[tuple[int, Event]]] = defaultdict(list)
        for at, event in live_bank.sent(tables, 8, doubled=0):
            if event.kind != "day":
                self.sent[partition_of(event.customer_id)].append((at, event))
        self.judge = Judge(Formula(), live_bank.settings(), load_alert_rules(load_policy()))  # type: ignore[arg-type]
        self.books, self.blank, self.number = Books(), Books().ledger, 0

    def story(self, dice: random.Random, both: bool) -> Story:
        "Some runs of events that follow upon each other, beginnings of days among them, and some told again."
        ways = PAIR if both else (dice.choice(PAIR),)
        known = sorted((one for p in ways for one in self.sent[p]), key=lambda one: one[0])
        told: list[tuple[int, Event]] = []
        for _ in range(dice.randint(2, 4)):
            at = dice.randrange(len(known))
            told += known[at : at + dice.randint(1, 5)]
        for _ in range(dice.randint(0, 2)):
            day = dice.choice(told)[0] // DAY_MS + 1
            told += [(day * DAY_MS + dice.randrange(DAY_MS), day_events(day)[p]) for p in ways]
        first = dict[Any, tuple[int, Event]]()
        for at, event in sorted(told, key=lambda one: one[0]):
            first.setdefault(event.event_id, (at, event))
        once = list(first.values())
        again = [(at + dice.randrange(20 * DAY_MS), event) for at, event in once if dice.random() < 0.1]
        return Story(ways, sorted([*once, *again], key=lambda one: one[0]))


class Fault(AssertionError):
    "Something is not as an undisturbed run leaves it."


def check(holds: bool, what: str) -> None:
    if not holds:
        raise Fault(what)


class Run:
    "One schedule."

    def __init__(self, bank: Bank, seed: int):
        self.bank, self.seed, self.dice = bank, seed, random.Random(seed)
        self.story, self.home = bank.story(self.dice, seed % 5 in (APART, 2)), bank.archive.folder.parent
        self.steps: list[str] = []  # what was done, and where it was ended
        self.fuses: list[int] = []  # of who is at work, outermost first: points until the end; below 0: it has ended
        self.at_work: list[str] = []
        self.now = self.latest = self.story.told[0][0]  # of the workers' clocks
        self.refused = False  # by a clock that was wrong: then events may come in another order
        self.place, self.batch = 0, dice_batch(self.dice)  # of the sender
        self.rounds: dict[str, Iterator[int]] = {}
        ways = self.story.partitions
        both = seed % 5 != APART  # read the same; or each reads one of two
        self.shares = {
            "anna": (ways[0], len(ways) if both else 1),
            "berta": (ways[0 if both else 1], len(ways) if both else 1),
        }
        self.names = {"anna": "anna", "berta": "berta"}
        self.heard: list[Message] = []
        self.gone: dict[int, list[Entry]] = {p: [] for p in self.story.partitions}  # what was trimmed
        self.renews = seed % RENEWED == 0
        if self.renews:
            bank.number += 1
            self.home = bank.folder / f"own-{bank.number}"
            shutil.copytree(bank.archive.folder.parent, self.home)
        bank.books.empty(self.point)
        self.books, self.log, self.ledger, self.book = (
            bank.books,
            bank.books.log,
            bank.books.ledger,
            bank.books.of_ledger,
        )

    def point(self, where: str) -> None:
        "Somebody writes: perhaps they end here, perhaps others go on meanwhile."
        if not self.fuses:
            return
        if self.fuses[-1] < 0:
            raise Killed
        self.fuses[-1] -= 1
        if self.fuses[-1] < 0:
            self.steps.append(f"  {self.at_work[-1]} ends {where}")
            raise Killed
        if len(self.fuses) == 1 and where.startswith("before") and "BEGIN" in where:
            if self.dice.random() < (0.25 if "IMMEDIATE" in where else 0.05):
                for _ in range(self.dice.randint(1, 4)):
                    self.somebody()
                if "listener" not in self.at_work:  # whoever hears in the midst of it is the first to miss something
                    self.does("listener", self.listen)

    def does(self, who: str, what: Callable[[], None]) -> None:
        "Let somebody go on, until they have done it or are ended."
        self.steps.append(f"{'  meanwhile ' if self.at_work else ''}{who}")
        self.at_work.append(who)
        asked = {*self.books.of_log.asked, *self.book.asked}
        self.fuses.append(int(self.dice.expovariate(1 / 25)) if self.dice.random() < 0.4 else 1_000_000)
        try:
            what()
        except Killed:
            self.rounds.pop(who, None)
            for one in {*self.books.of_log.asked, *self.book.asked} - asked:
                one.close()
        finally:
            self.at_work.pop()
            self.fuses.pop()

    def somebody(self) -> None:
        work: dict[str, Callable[[], None]] = {
            "sender": self.send,
            "anna": lambda: self.read("anna"),
            "berta": lambda: self.read("berta"),
            "listener": self.listen,
            "clock": self.tick,
        }
        if self.renews:
            work["archivist"] = self.renew
        free = [who for who in work if who not in self.at_work]
        who = self.dice.choices(
            free, [{"sender": 5, "listener": 3 if self.at_work else 1}.get(who, 3) for who in free]
        )[0]
        self.does(who, work[who])

    def tick(self) -> None:
        self.now += self.dice.choice([10, 5_000, 12_000, HOLD_MS + 1, 40 * HOLD_MS, -5_000, -3_600_000])
        self.latest = max(self.latest, self.now)

    def send(self) -> None:
        "A batch, or one of before again, by a clock that may be wrong; the next one when all of it was answered."
        told, again = self.story.told, self.dice.random() < 0.15
        at = self.dice.randint(0, self.place) if again else self.place
        some = told[at : at + self.batch]
        if not some:
            return
        wrong = self.dice.choice([0, 0, 0, 3_000, -3_600_000, -400 * DAY_MS])
        now = some[-1][0] + wrong
        if self.seed % RENEWED == 0:  # a later archive would end some milliseconds before what has counted
            now = max(now, live_bank.BOUGHT)
        answers = self.log.append([event for _, event in some], now)
        refused = any(answer.state == "refused" for answer in answers)
        self.refused |= refused
        if not refused and not again:
            self.place, self.batch = at + len(some), dice_batch(self.dice)

    def read(self, who: str) -> None:
        "One round, by a worker that is there or is started anew."
        if who not in self.rounds:
            if self.dice.random() < 0.3:
                self.names[who] += "'"  # on another machine
            by = self.reader(self.names[who], *self.shares[who])
            self.rounds[who] = read_on(by, lambda: self.now, self.dice.choice([1, 2, 3, 50]))
        next(self.rounds[who])

    def reader(self, owner: str, first: int, many: int) -> Worker:
        lives = Lives(open_archive(self.home), self.dice.choice([1, 2, 2_000]))
        share = (first + 1, PARTITIONS // many)
        return Worker(self.log, self.ledger, lives, self.bank.judge, owner, share, watch=lambda: self.now / 1_000)

    def listen(self) -> None:
        "What is new in the feed, read on from the last number."
        after = self.heard[-1].n if self.heard else 0
        self.heard += read_feed(self.ledger, after, self.dice.choice([1, 5, 500]))

    def renew(self) -> None:
        "The next archive, and the log without what is in it."
        read = places.progress(self.ledger)
        if not any(read.values()):
            return
        made = renewal.renew(open_archive(self.home), self.log, read)
        for p in self.story.partitions:
            self.gone[p] = self.known(p, made.places.positions[p])
        renewal.trim_archived(made, self.log)
        self.renews = False  # once is enough: it takes as long as three schedules

    def known(self, partition: int, last: int = 1 << 40) -> list[Entry]:
        "All that the log has said, trimmed or not."
        gone = self.gone[partition]
        after = gone[-1].position if gone else 0
        return gone + [e for e in self.log.read(partition, after, 10_000) if e.position <= last]

    def finish(self) -> None:
        "Undisturbed to the end: all is sent, another worker reads the rest, and the listener hears it."
        while self.place < len(self.story.told):
            at, event = self.story.told[self.place]
            answer = self.log.append([event], at)[0]
            check(answer.state != "refused", f"an event is refused: {answer.reason}")
            self.place += 1
        again = self.log.append([event for _, event in self.story.told], self.story.told[-1][0])
        check(all(answer.state == "repeated" for answer in again), "what was sent again was taken again")
        self.now = self.latest + HOLD_MS + 1  # nobody's claim holds any more
        rounds = read_on(self.reader("last", self.story.partitions[0], len(self.story.partitions)), lambda: self.now)
        while next(rounds):
            pass
        self.heard += read_feed(self.ledger, self.heard[-1].n if self.heard else 0, 10_000)

    def disturbed(self) -> None:
        for _ in range(self.dice.randint(4, 12)):
            self.somebody()

    def whole(self) -> None:
        "Everything, with what must hold at its end."
        try:
            self.disturbed()
            self.finish()
            check_log(self)
            check_ledger(self)
        finally:
            if self.home != self.bank.archive.folder.parent:
                shutil.rmtree(self.home, ignore_errors=True)


def dice_batch(dice: random.Random) -> int:
    return dice.choice([1, 2, 3, 5])


def check_log(run: Run) -> None:
    "Every event is in it once, where its customer belongs, in the order in which they were sent, stamps rising."
    log = run.log
    check(set(log.heads()) <= set(run.story.partitions), "an event lies in the partition of nobody who is here")
    for p in run.story.partitions:
        entries, last = run.known(p), dict[int, int]()
        mine = [event.event_id for _, event in run.story.told if partition_of(event.customer_id) == p]
        found, sent = [e.event.event_id for e in entries], list(dict.fromkeys(mine))
        check(sorted(found) == sorted(sent), "an event is lost or doubled")
        check(run.refused or found == sent, "events have another order than they were sent in")
        check([e.position for e in entries] == list(range(1, len(entries) + 1)), "a position is missing")
        for e in entries:
            check(e.arrived_at > last.get(e.event.customer_id, -1), "two events of a customer have the same stamp")
            last[e.event.customer_id] = e.arrived_at


def undisturbed(run: Run) -> tuple[dict[str, list[dict[str, Any]]], dict[int, int]]:
    "What one worker finds that reads each partition in one batch, and how far."
    bank, rows, ends = run.bank, defaultdict[str, list[dict[str, Any]]](list), dict[int, int]()
    by = Worker(run.log, bank.blank, Lives(bank.archive), bank.judge, "nobody")
    for p in run.story.partitions:
        entries = run.known(p)
        ends[p] = len(entries)
        found = worker._read(by, p, entries) if entries else places.Found()
        rang = {(a["rule"], a["subject"], a["period"]): a for a in reversed(found.alerts)}
        rows["live_scores"] += found.scores
        rows["alerts"] += list(rang.values())
        rows["waiting"] += [w for w in found.waits if w["position"] not in found.met]
        rows["dead_letters"] += found.dead
    return rows, ends


_KEYS = {t.name: [c.name for c in t.primary_key.columns] for t in TABLES}
_NAMES = {t.name: [c.name for c in t.columns] for t in (*TABLES, FEED)}
_PACKED = {"reasons", "dues", "body"}


def rows_of(book: Memory, table: str) -> list[dict[str, Any]]:
    "What a table holds, as it was given."
    names = _NAMES[table]
    rows = [dict(zip(names, row, strict=True)) for row in book.rows(f"SELECT {', '.join(names)} FROM {table}")]
    return [{n: json.loads(v) if n in _PACKED else v for n, v in row.items()} for row in rows]


def check_ledger(run: Run) -> None:
    "Row for row what an undisturbed run writes; and whoever listened has heard all of it once, in order."
    book, (rows, ends) = run.book, undisturbed(run)
    for table, keys in _KEYS.items():
        found = sorted(rows_of(book, table), key=lambda row: [row[k] for k in keys])
        expected = sorted(rows[table], key=lambda row: [row[k] for k in keys])
        check(found == expected, f"{table}: {len(found)} rows, and not the {len(expected)} of an undisturbed run")
    read = dict(book.rows("SELECT partition, position FROM log_places"))
    check(read == {p: ends.get(p, 0) for p in read}, f"it was read up to {read}, and the log goes up to {ends}")
    feed = book.rows("SELECT n FROM feed ORDER BY n")
    check([m.n for m in run.heard] == [n for (n,) in feed], "somebody who listened has missed a message")
    check([m.n for m in run.heard] == list(range(1, len(feed) + 1)), "the numbers of the feed have a gap")
    told = Counter(json.dumps(m._replace(n=0), sort_keys=True) for m in run.heard)
    due = [*map(score_message, rows["live_scores"]), *map(alert_message, rows["alerts"])]
    check(told == Counter(json.dumps(m, sort_keys=True) for m in due), "what was told is not what was found")
    order = [(m.customer_id, m.body["revision"]) for m in run.heard if m.kind == "score"]
    check(
        all(n > m for (who, m), (also, n) in later(order) if who == also), "scores of a customer are told out of order"
    )


def later(order: Sequence[tuple[int | None, int]]) -> Iterator[tuple[tuple[int | None, int], tuple[int | None, int]]]:
    "Each with the next of the same customer."
    last: dict[int | None, int] = {}
    for who, n in order:
        if who in last:
            yield (who, last[who]), (who, n)
        last[who] = n


def wrong(bank: Bank, seed: int) -> str:
    "What is wrong after a schedule, with what happened in it; empty: nothing is."
    run = Run(bank, seed)
    try:
        run.whole()
    except Exception as e:  # also a refusal of the product: an undisturbed run meets none
        return "\n".join([f"{type(e).__name__}: {e}", *run.steps])
    return ""


def first_wrong(bank: Bank, seeds: Iterable[int], what: str = "") -> tuple[int, str] | None:
    "The first schedule in which something is wrong, and what."
    return next(((seed, told) for seed in seeds if what in (told := wrong(bank, seed)) and told), None)
