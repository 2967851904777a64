"""The log of events: `python benchmarks/log.py [--events 40000] [--customers 2000] [--batch 1000] [--ids random] [--redis URL] [--json]`.

CPU microseconds an event, user and system, in batches, on a file with every commit waiting for the disk. The peer of appending is the plain
insert of the same finished rows, one an event, by `executemany`, without stamps and without looking for repeats; the peer of reading is
the plain query of the same rows. The same inserts through SQLAlchemy say what the ledger's way would cost. Rounds alternate, the median counts.
With --redis (a server with an append-only file, which is emptied) also the part of the log on a server that runs in this process.
"""

import gc
import itertools
import random
import sqlite3
import statistics
import tempfile
import time
import uuid
from pathlib import Path

import sqlalchemy as sa
from _table import Row, arguments, less, say, show
from predelinquency.live import door, events, log

NOW, ROUNDS = 1_772_442_000_000, 5
TICK_MS = 20  # the clock goes on by so much with each batch: 50,000 events a second in batches of 1,000
PLAIN = """CREATE TABLE log_events (partition INTEGER, position INTEGER, arrived_at INTEGER NOT NULL, content BLOB NOT NULL,
    PRIMARY KEY (partition, position)) WITHOUT ROWID"""


def made(many: int, customers: int, counted: bool) -> list[dict]:
    "Transactions as a bank sends them: with ids that count on, or with random ones."
    dice = random.Random(1)
    return [
        dict(
            kind="transaction",
            source="core",
            event_id=f"t-{n}" if counted else str(uuid.UUID(int=dice.getrandbits(128))),
            customer_id=n * 7919 % customers,
            row=dict(
                account_id=n % customers,
                amount_minor=-(n % 9000) - 1,
                balance_after_minor=100_000 + n,
                booked_at=NOW - n % 86_400_000,
                category="groceries",
                counterparty=f"Shop {n % 500}",
                currency="GBP",
                seq=n // customers,
                status="booked",
                transaction_id=n,
            ),
        )
        for n in range(many)
    ]


def cut(rows: list, size: int) -> list[list]:
    return [rows[at : at + size] for at in range(0, len(rows), size)]


def cost(work, pieces: list) -> float:
    "CPU seconds of doing each piece."
    start = time.process_time()
    for piece in pieces:
        work(piece)
    return time.process_time() - start


def plain(folder: Path) -> sqlite3.Connection:
    "A file as the log opens it, with a table of one row an event alone."
    connection = sqlite3.connect(folder / "plain.db", isolation_level=None)
    for statement in ("PRAGMA journal_mode=WAL", *(f"PRAGMA {setting}" for setting in log._SETTINGS), PLAIN):
        connection.execute(statement)
    return connection


def insert(connection: sqlite3.Connection, rows: list[tuple]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO log_events VALUES (?, ?, ?, ?)", rows)
    connection.execute("COMMIT")


def mapped(folder: Path) -> tuple[sa.Engine, sa.Table]:
    "The same table through SQLAlchemy."
    plain(folder).close()
    engine = sa.create_engine(f"sqlite:///{folder}/plain.db")
    sa.event.listen(engine, "connect", lambda c, _: c.execute("PRAGMA synchronous=FULL"))
    return engine, sa.Table("log_events", sa.MetaData(), autoload_with=engine)


def round_of(told: list[dict], size: int) -> dict[str, float]:
    "CPU microseconds an event of every way, once."
    many, spent, found = len(told), {}, []
    spent["check"] = cost(lambda rows: found.extend(events.parse_events(rows)), cut(told, size))
    with tempfile.TemporaryDirectory() as name:
        ours = log.open_file(Path(name) / "log.db")
        clock = itertools.count(NOW, TICK_MS)
        spent["append"] = cost(lambda some: ours.append(some, next(clock)), cut(found, size))
        spent["again"] = cost(lambda some: ours.append(some, next(clock)), cut(found, size))
        kept = ((p, e) for p in range(events.PARTITIONS) for some in pages(ours, p, size) for e in some)
        rows = [(p, e.position, e.arrived_at, events.canonical(e.event)) for p, e in kept]
        spent["read"] = cost(lambda p: list(pages(ours, p, size)), list(range(events.PARTITIONS)))
        ours.close()
    by_way = sorted(rows, key=lambda row: row[1])  # as they came: all partitions side by side
    with tempfile.TemporaryDirectory() as name:
        connection = plain(Path(name))
        spent["plain"] = cost(lambda some: insert(connection, some), cut(by_way, size))
        one = "SELECT position, arrived_at, content FROM log_events WHERE partition = ? ORDER BY position"
        spent["query"] = cost(lambda p: connection.execute(one, (p,)).fetchall(), list(range(events.PARTITIONS)))
        connection.close()
    with tempfile.TemporaryDirectory() as name:
        engine, table = mapped(Path(name))
        named = [dict(zip(("partition", "position", "arrived_at", "content"), row, strict=True)) for row in by_way]

        def by_core(some: list[dict]) -> None:
            with engine.begin() as connection:
                connection.execute(sa.insert(table), some)

        spent["core"] = cost(by_core, cut(named, size))
        engine.dispose()
    return {way: seconds / many * 1e6 for way, seconds in spent.items()}


def pages(ours: log.Log, partition: int, size: int):
    "A partition, page by page."
    after = 0
    while some := ours.read(partition, after, size):
        yield some
        after = some[-1].position


def on_server(url: str, told: list[dict], size: int) -> list[Row]:
    "What the log on a server costs this process; the server's own work comes on top."
    ours, found, many = door.open_log(url), events.parse_events(told), len(told)
    ours.client.flushdb()
    taken = cost(lambda some: ours.append(some, NOW), cut(found, size)) / many * 1e6
    read = cost(lambda p: list(pages(ours, p, size)), list(range(events.PARTITIONS))) / many * 1e6
    ours.client.flushdb()
    ours.close()
    return [Row("append to a server, this side of it", "µs", taken), Row("read from a server, this side", "µs", read)]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--customers", type=int, default=2_000)
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--ids", choices=("counted", "random"), default="counted", help="what the bank names events by")
    parser.add_argument("--redis", help="redis://host:port/number of a server that may be emptied")
    asked = parser.parse_args()
    told, found = made(asked.events, asked.customers, asked.ids == "counted"), []
    gc.freeze()  # what waits to be appended is not what is measured
    for n in range(ROUNDS):
        say(f"round {n + 1} of {ROUNDS}")
        found.append(round_of(told, asked.batch))
    of = {way: statistics.median(one[way] for one in found) for way in found[0]}
    rows = [
        Row("check an event", "µs", of["check"]),
        less("append", "µs", of["append"], of["plain"], "plain executemany", "<= 6"),
        less("append what is there already", "µs", of["again"], of["plain"], "plain executemany"),
        less("the plain insert through SQLAlchemy", "µs", of["core"], of["plain"], "plain executemany"),
        less("read, as events", "µs", of["read"], of["query"], "plain query of the rows"),
    ]
    if asked.redis:
        rows += on_server(asked.redis, told, asked.batch)
    show(
        f"{asked.events:,} events of {asked.customers:,} customers in batches of {asked.batch:,}, {asked.ids} ids",
        rows,
        asked.json,
    )


if __name__ == "__main__":
    main()
