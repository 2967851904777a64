"""From an event to a score: `python benchmarks/live.py [--root data] [--days 4] [--batch 1000] [--json]`.

CPU microseconds, user and system, of one process on the results of a run: a log and a ledger in SQLite files, an archive that ends some days
before the tables do, and those days told event by event, in the order in which they became known. The first of the days brings everybody who
is touched from the archive and is not counted; the others are, with and without scores. The midnight that ends them scores everybody.
The peer of taking in is the log's own reading of the same events; the peer of a live score is the model with its reasons alone.
"""

import gc
import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _table import Row, arguments, less, say, show
from predelinquency.ground import disk
from predelinquency.ground.core import DAY_MS
from predelinquency.ground.ledger import Ledger
from predelinquency.live import worker as workers
from predelinquency.live.archive import begin_archive
from predelinquency.live.door import open_log
from predelinquency.live.lives import Lives
from predelinquency.live.log import Log
from predelinquency.live.midnights import tell_day
from predelinquency.ops.live import worker_of
from predelinquency.ops.telling import Sent, told_since


def spent(work: Callable[[], Any]) -> float:
    "CPU seconds of doing something."
    gc.collect()
    start = time.process_time()
    work()
    return time.process_time() - start


def last_day(raw: Path) -> int:
    "The last day of which the tables know something, days since 1970."
    ends = (
        disk.read(raw, "transactions", p, ["arrived_at"])["arrived_at"].max() for p in disk.parts(raw, "transactions")
    )
    return int(max(ends).timestamp()) // 86_400


def append(log: Log, told: list[Sent], batch: int) -> None:
    for at in range(0, len(told), batch):
        some = told[at : at + batch]
        log.append([one.event for one in some], some[-1].at)


class Reader:
    "A worker with a ledger of its own, and what it has spent."

    def __init__(self, root: str, log: Log, folder: Path):
        self.ledger = Ledger.open(f"sqlite:///{folder}/ledger.db")
        self.by = worker_of(root, log, self.ledger, folder / "archive")
        self.by.planner = None
        self.by.lives = Lives(self.by.lives.archive, 100_000)  # nobody leaves in between
        self.now = itertools.count(1 << 41)

    def read(self, batch: int) -> float:
        "Read all that is new; CPU seconds."

        def on() -> None:
            rounds = workers.read_on(self.by, lambda: next(self.now), batch)
            while next(rounds):
                pass

        return spent(on)

    def count(self, table: str) -> int:
        with self.ledger.engine.connect() as book:
            return int(book.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def adding_up(parts: list[float], work: Callable[..., Any]) -> Callable[..., Any]:
    "The same function, whose CPU time is kept."

    def done(*given: Any, **named: Any) -> Any:
        start = time.process_time()
        try:
            return work(*given, **named)
        finally:
            parts.append(time.process_time() - start)

    return done


def measured(root: str, days: int, batch: int, folder: Path) -> list[Row]:
    raw, last = Path(root) / "raw", last_day(Path(root) / "raw")
    first = last - days + 1
    say("archive")
    begin_archive(folder / "archive", raw, first * DAY_MS)
    told = told_since(raw, first * DAY_MS, (last + 1) * DAY_MS)
    warm = [one for one in told if one.at < (first + 1) * DAY_MS]
    rest = told[len(warm) :]
    log, parts = open_log(f"sqlite:///{folder}/log.db"), list[float]()
    workers.live_score = adding_up(parts, workers.live_score)
    say(f"{len(warm):,} events to begin with")
    append(log, warm, batch)
    reader = Reader(root, log, folder)
    reader.read(batch)
    say(f"{len(rest):,} events more")
    appended = spent(lambda: append(log, rest, batch))
    reading = spent(lambda: [log.read(p, 0, 10**9) for p in range(64)]) * len(rest) / len(told)
    before = reader.count("live_scores")
    parts.clear()
    whole = reader.read(batch)
    scores, of_scores = reader.count("live_scores") - before, sum(parts)
    parts.clear()
    say("a midnight for everybody")
    tell_day(log, last + 1, (last + 1) * DAY_MS)
    night, finals = reader.read(batch), len(parts)
    events = len(rest)
    return [
        Row("append an event", "µs", appended / events * 1e6),
        less(
            "take in an event, with what it scores",
            "µs",
            whole / events * 1e6,
            reading / events * 1e6,
            "read of the log",
        ),
        Row("the same without the scores", "µs", (whole - of_scores) / events * 1e6),
        Row("append and take in, with scores", "events/s", events / (appended + whole)),
        Row("append and take in, without scores", "events/s", events / (appended + whole - of_scores)),
        Row("scores for each event", "", scores / events),
        Row("an explained score", "µs", of_scores / max(scores, 1) * 1e6, bar="<= 600"),
        Row("a midnight, each customer", "µs", night / max(finals, 1) * 1e6),
    ]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--root", default="data")
    parser.add_argument("--days", type=int, default=4)
    parser.add_argument("--batch", type=int, default=1_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows = measured(asked.root, asked.days, asked.batch, Path(name))
    show(f"{asked.days - 1} days of {asked.root}, batches of {asked.batch:,}, one process", rows, asked.json)


if __name__ == "__main__":
    main()
