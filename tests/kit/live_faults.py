"""Faults that a crash brings to light, each planted into the code of the product by changing some of its words."""

import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import count
from types import ModuleType
from typing import Any, NamedTuple
from unittest.mock import patch
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from live_crashes import APART, RENEWED, Bank
from sqlalchemy.dialects import sqlite

from predelinquency.ground.following import FEED, FEED_ENDS, LOG_PLACES
from predelinquency.live import lives, log, places, renewal, replay, worker
from predelinquency.live.feed import Message
from predelinquency.service import outbox

ROOMS = (log, lives, places, worker, renewal, replay, outbox)


class Fault(NamedTuple):
    plant: Callable[[Bank], AbstractContextManager[Any]]
    seen: str = ""  # what is said of it; empty: anything
    seeds: range = range(2_000)  # of the schedules in which it can show


@contextmanager
def changed(
    module: ModuleType, name: str, words: Mapping[str, str], _: Bank | None = None, **more: Any
) -> Iterator[None]:
    "A function of the product with other words in it, wherever it is used; a method is named with its class."
    owner, _, method = name.rpartition(".")
    held = getattr(module, owner) if owner else module
    real, made = getattr(held, method), dict[str, Any]()
    text = textwrap.dedent(inspect.getsource(real))
    for old, new in words.items():
        assert text.count(old) == 1, f"{name} does not say {old!r} any more: plant this fault anew"
        text = text.replace(old, new)
    exec(compile(text, f"<{name} with a fault>", "exec"), {**vars(module), **more}, made)
    users = [held] if owner else [room for room in ROOMS if vars(room).get(method) is real]
    for user in users:
        setattr(user, method, made[method])
    try:
        yield
    finally:
        for user in users:
            setattr(user, method, real)


def words(module: ModuleType, name: str, old: str, new: str, seeds: range = range(2_000)) -> Fault:
    return Fault(partial(changed, module, name, {old: new}), seeds=seeds)


BEGINS, ALERTS = "    with _writing(ledger.engine) as book:\n", "        rang = _new_alerts(book, found.alerts)\n"
MESSAGES = "[*map(score_message, found.scores), *map(alert_message, {}), *said]"
PUBLISHES = f"        publish(book, {MESSAGES.format('rang')})\n"


def told_early(bank: Bank) -> AbstractContextManager[None]:
    "What is new is told in a transaction of its own, before that of the batch."
    first = BEGINS + PUBLISHES.replace("rang", "found.alerts").replace(", *said", "") + BEGINS + "        moved"
    return changed(places, "write_batch", {BEGINS + "        moved": first, PUBLISHES: ""}, bank)


def numbered_early(bank: Bank) -> AbstractContextManager[None]:
    "The feed's numbers come from a sequence, which knows nothing of transactions."
    drawn: WeakKeyDictionary[Any, Iterator[int]] = WeakKeyDictionary()

    def draw(many: int) -> list[int]:
        numbers = drawn.setdefault(bank.books.of_ledger, count(1))
        return [next(numbers) for _ in range(many)]

    def tell(book: sa.Connection, messages: Sequence[Message], numbers: Sequence[int]) -> None:
        for n, one in zip(numbers, messages, strict=False):
            book.execute(sa.insert(FEED), one._replace(n=n)._asdict())
        ends = sqlite.insert(FEED_ENDS).values(one=1, last=max(numbers, default=0), gone=0)
        book.execute(ends.on_conflict_do_nothing())

    draws = "    drawn = draw(len(found.scores) + len(found.alerts))\n" + BEGINS + "        moved"
    tells = PUBLISHES.replace("publish(", "tell(").replace("])\n", "], drawn)\n")
    return changed(
        places, "write_batch", {BEGINS + "        moved": draws, PUBLISHES: tells}, bank, draw=draw, tell=tell
    )


def unfenced(bank: Bank) -> AbstractContextManager[Any]:
    "Whoever once had a partition writes, whatever others have done since."
    which, read, end = map(sa.bindparam, ("which", "read", "end"))
    moves = sa.update(LOG_PLACES).where(LOG_PLACES.c.partition == which).values(position=read, until=end)
    return patch.object(places, "_MOVE", moves)


FAULTS = {
    "cursor outside the transaction": words(places, "write_batch", ALERTS, BEGINS + ALERTS),
    "archive with the position of another moment": words(
        renewal,
        "renew",
        "max(n, positions.get(p, 0))",
        "max(n, log.heads().get(p, 0))",
        range(0, 2_000, RENEWED),
    ),
    "a score rule that sees how a batch was cut": words(
        lives, "live_on", "    before, rows =", "    life.scored_on = -1\n    before, rows ="
    ),
    "lease without fencing": Fault(unfenced),
    "dedupe after trim": words(
        log,
        "_trim",
        "    return up_to",
        '    connection.execute("DELETE FROM log_ids WHERE place > ? AND place <= ?", (start, start + up_to))\n'
        "    return up_to",
        range(0, 2_000, RENEWED),
    ),
    "told before the commit": Fault(told_early),
    "tick lost on a crash": words(
        worker,
        "_read",
        "known = by.lives.known_in(partition)",
        "known = [who for who in by.lives.known_in(partition) if who in by.lives.kept]",
    ),
    "order by the clock": words(
        log, "admit", "max(now, last.get(customer_id, now - 1) + 1, day_began, earliest)", "max(now, earliest)"
    ),
    "feed number by sequence": Fault(numbered_early, "missed a message", range(APART, 2_000, 5)),
    "dead letter that hides a customer": words(
        worker,
        "Reading.take",
        "    waited = set(",
        "    if life.last.incomplete + life.lost:\n        return\n    waited = set(",
    ),
    "two partitions of one customer": words(
        log,
        "offer_of",
        "partition_of(event.customer_id)",
        'partition_of(event.customer_id + (event.kind == "payment"))',
    ),
}
