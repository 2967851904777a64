"""A small bank that tells its day event by event: an archive, what it sends afterwards, and a worker that reads it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import fuzz
import numpy as np
import pandas as pd
import sqlalchemy as sa

from predelinquency.decide.policy import load_policy
from predelinquency.features import offline
from predelinquency.ground import disk, params, schema
from predelinquency.ground.core import DAY_MS
from predelinquency.ground.following import ALERTS, DEAD_LETTERS, LIVE_SCORES, LOG_PLACES, WAITING
from predelinquency.ground.ledger import Ledger
from predelinquency.live.alerts import load_alert_rules
from predelinquency.live.archive import Archive, begin_archive, table_frame
from predelinquency.live.events import KINDS, PARTITIONS, Event
from predelinquency.live.lives import Lives
from predelinquency.live.log import Log
from predelinquency.live.midnights import day_events
from predelinquency.live.worker import Judge, Worker
from predelinquency.model import learners
from predelinquency.model.champion import Champion
from predelinquency.model.each_due import DueModel
from predelinquency.model.roll_up import RollUp
from predelinquency.reasons.scorer import Scorer

PROJECT = Path(__file__).parents[2]
WHEN = {"accounts": "opened_on", "obligations": "announced_at", "transactions": "arrived_at", "payments": "arrived_at"}
BOUGHT = (fuzz.START + 120) * DAY_MS  # until then the tables tell, afterwards the events
KEEP_DAYS = 400
KEY = ["customer_id", "obligation_id", "instalment"]
TABLES = (LIVE_SCORES, ALERTS, DEAD_LETTERS, WAITING)
SEEN = (
    "asked_lead_days",
    "asked_due",
    "asked_days_late",
    "asked_projected_over_asked_due",
    "balance",
    "low_30d",
    "late_share",
    "history_days",
)


def bank(seed: int, customers: int, days: int = 260, most: int = 60) -> dict[str, pd.DataFrame]:
    "Random tables, with a row for each customer."
    tables = fuzz.tables(seed, customers, days, most)
    a = tables["accounts"]
    later = fuzz.times((fuzz.START + 100 + a.account_id.to_numpy() % 120) * DAY_MS)
    tables["accounts"] = a.assign(opened_on=a.opened_on.where(a.account_id % 10 != 1, later))  # second accounts
    ids = np.arange(customers)
    people = pd.DataFrame(
        dict(customer_id=ids, source_id=[f"c-{c}" for c in ids], segment=None, time_zone="Europe/London")
    )
    people = people.assign(joined_on=fuzz.times(np.full(customers, (fuzz.START - 900) * DAY_MS)))
    people = people.astype({"source_id": "str", "segment": "str", "time_zone": "str"})
    return {"customers": people, **tables}


def before(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    "What the tables knew when the log began."
    cut = pd.Timestamp(BOUGHT, unit="ms")
    known = {n: t[t[WHEN[n]] < cut] if n in WHEN else t for n, t in tables.items()}
    first = known["obligations"].groupby(KEY).announced_at.min().rename("told")
    paid = known["payments"].join(first, on=KEY)
    # of those that came before their due the nightly run keeps two books: the fold leaves them out, the label counts them
    known["payments"] = known["payments"][(paid.arrived_at >= paid.told).to_numpy()]
    return known


def archive(folder: Path, tables: dict[str, pd.DataFrame]) -> Archive:
    "The archive of a log that is still empty."
    people = tables["customers"]
    with disk.writing(folder / "raw") as writer:
        for part in disk.ranges(len(people), 16):
            some = {
                n: t[t.customer_id.between(part.low, part.high - 1)].reset_index(drop=True)
                for n, t in before(tables).items()
            }
            writer.add(part, some)
    return begin_archive(folder / "archive", folder / "raw")


def agreed(folder: Path, customers: int) -> None:
    "Everybody here agreed to everything, nothing weighs on anybody, and nobody was ever written to."
    pairs = [(c, p) for c in sorted(schema.CHANNELS) for p in sorted(schema.PURPOSES)]
    rows = [(who, *pair, True, pd.Timestamp("2020-01-01"), False) for who in range(customers) for pair in pairs]
    said = pd.DataFrame(rows, columns=schema.PREFERENCES.names).astype({"recorded_at": "datetime64[ms]"})
    words = {"channel": schema.CHANNELS, "purpose": schema.PURPOSES}
    disk.write(folder, schema.PREFERENCES, said.assign(**{n: pd.Categorical(said[n], w) for n, w in words.items()}))
    calm = {name: False for name in schema.CIRCUMSTANCES.names if name != "customer_id"}
    disk.write(folder, schema.CIRCUMSTANCES, pd.DataFrame({"customer_id": range(customers)} | calm))
    disk.write(folder, schema.CONTACTS, table_frame(schema.CONTACTS, []))


def plain(column: schema.Column, value: Any) -> Any:
    "A value as an event holds it."
    if value is None or value is pd.NaT or value is pd.NA or value != value:
        return None
    return (
        int(pd.Timestamp(value).value // 1_000_000)
        if column.kind == "time"
        else getattr(value, "item", lambda: value)()
    )


def sent(
    tables: dict[str, pd.DataFrame], seed: int, late: float = 0.1, doubled: float = 0.05
) -> list[tuple[int, Event]]:
    "Everything after the tables, in the order in which it is sent: some up to seven days late, some twice."
    rng, cut, found = np.random.default_rng(seed), pd.Timestamp(BOUGHT, unit="ms"), []
    for kind, table in KINDS.items():
        if table.name == "customers":
            continue
        frame = tables[table.name]
        columns = {c.name: c for c in table.columns if c.name not in ("customer_id", "arrived_at")}
        for n, row in enumerate(frame[frame[WHEN[table.name]] >= cut].to_dict("records")):
            event = Event(
                kind,
                int(row["customer_id"]),
                "core",
                f"{kind}-{n}",
                {c: plain(columns[c], row[c]) for c in sorted(columns)},
            )
            at = int(pd.Timestamp(row[WHEN[table.name]]).value // 1_000_000)
            at += int(rng.integers(0, 7 * DAY_MS)) if rng.random() < late else 0
            found.append((at, event))
            if rng.random() < doubled:
                found.append((at + int(rng.integers(0, DAY_MS)), event))
    for day in range(BOUGHT // DAY_MS + 9, max(at for at, _ in found) // DAY_MS, 40):  # some midnights are told, late
        found += [(day * DAY_MS + int(rng.integers(0, 3_600_000)), event) for event in day_events(day)]
    return sorted(found, key=lambda one: one[0])


def append(log: Log, told: list[tuple[int, Event]], of: int = 200) -> None:
    "Send, batch by batch, each at the time of its last event."
    for at in range(0, len(told), of):
        some = told[at : at + of]
        log.append([event for _, event in some], some[-1][0])


def settings() -> params.Base:
    "The periods of the project's parameters, with a short history as enough, and a long grace: payments are random here."
    return replace(params.load(PROJECT / "params.yaml").base, min_history_days=30, grace_days=60)


def scorer(tables: dict[str, pd.DataFrame]) -> Scorer:
    "A quick model of a few features: nothing in it is true, and everything is a score."
    spine = fuzz.about_dues(3, tables, fuzz.spine(len(tables["customers"]), 240))
    known = offline.features({n: t for n, t in tables.items() if n != "customers"}, spine)
    x, rng = known[list(SEEN)].to_numpy(np.float32), np.random.default_rng(4)
    push = np.nan_to_num(x[:, 2]) + 0.001 * np.nan_to_num(x[:, 0]) - np.nan_to_num(x[:, 4]) / 1e5
    y = (rng.random(len(x)) < 1 / (1 + np.exp(2 - push))).astype(float)
    quick = replace(params.load(PROJECT / "params.yaml").train, trees=15, max_depth=3)
    fitted = learners.fit("xgboost", x, y, learners.Recipe(SEEN, quick, {}, 1))
    line = dict(kind="platt", intercept=0.0, slope=1.0)
    champion = Champion(fitted, dict(threshold=0.1, version="quick", calibration=line))
    by_lead = dict(kind="lead", intercept=0.0, slope=1.0, fortnight=0.0)
    base = settings()
    return Scorer(champion, RollUp(DueModel(fitted, by_lead), line, base.horizon_from_days, base.horizon_to_days))


def worker(
    log: Log, ledger: Ledger, kept: Archive, judge: Scorer, most: int = 2_000, owner: str = "anna", share: Any = (1, 1)
) -> Worker:
    "One that has claimed its partitions."
    made = Worker(
        log, ledger, Lives(kept, most), Judge(judge, settings(), load_alert_rules(load_policy())), owner, share
    )
    made.tend(0)
    assert len(made.held) == PARTITIONS // share[1]
    return made


def read_all(made: Worker, most: int = 1_000) -> int:
    "To the end of the log, one batch of each partition after the other; how many events."
    read, last = 0, -1
    while read > last:
        last, read = read, read + sum(made.step(p, 0, most) for p in range(PARTITIONS))
    return read


def written(ledger: Ledger) -> dict[str, list[tuple]]:
    "Every row of the tables that a worker writes, but for who holds a partition."
    with ledger.engine.connect() as book:
        found = {t.name: book.execute(sa.select(t).order_by(*t.primary_key.columns)).all() for t in TABLES}
        found["log_places"] = [row[:2] for row in book.execute(sa.select(LOG_PLACES).order_by(LOG_PLACES.c.partition))]
    return {name: [tuple(row) for row in rows] for name, rows in found.items()}
