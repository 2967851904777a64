"""The feed misses nothing and says nothing twice, however many write at once."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import live_bank
import pytest
import sqlalchemy as sa

from predelinquency.ground.core import StoreError
from predelinquency.ground.following import ALERTS, LIVE_SCORES
from predelinquency.ground.ledger import Ledger, _writing
from predelinquency.live.door import open_log
from predelinquency.live.events import PARTITIONS
from predelinquency.live.feed import Ends, Gone, Message, feed_ends, prune_feed, publish, read_feed


def message(customer_id: int, said_at: int = 1_000) -> Message:
    return Message("score", customer_id, said_at, {"probability": 0.5})


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with Ledger.open(ledger_url) as made:
        yield made


def tell(ledger: Ledger, *messages: Message) -> int:
    with _writing(ledger.engine) as book:
        return publish(book, messages)


def test_a_number_is_never_seen_before_a_lower_one(postgres_url: str) -> None:
    "The second writer begins later and is ready first: it waits until the first has committed."
    with Ledger.open(postgres_url) as ledger, ThreadPoolExecutor(1) as pool:
        with _writing(ledger.engine) as first:
            publish(first, [message(1)])
            second = pool.submit(tell, ledger, message(2))
            waiting = sa.text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as look:
                while not second.done() and not look.execute(waiting).scalar():
                    pass
            assert not second.done(), "it was committed while a lower number was still to come"
            assert read_feed(ledger, 0) == []
        assert second.result() == 2
        assert [(m.n, m.customer_id) for m in read_feed(ledger, 0)] == [(1, 1), (2, 2)]


def test_of_two_that_are_the_first_both_are_told(postgres_url: str) -> None:
    with Ledger.open(postgres_url) as ledger, ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(lambda who: tell(ledger, message(who)), range(8))) == list(range(1, 9))


def test_a_reader_beside_many_writers_sees_every_message_once_and_in_order(ledger: Ledger) -> None:
    many, each, done = 4, 25, threading.Event()

    def write(who: int) -> None:
        for k in range(each):
            tell(ledger, *[message(who * 1_000 + k)] * (1 + k % 3))

    def read() -> list[Message]:
        seen: list[Message] = []
        while True:
            over = done.is_set()
            some = read_feed(ledger, seen[-1].n if seen else 0, 7)
            seen += some
            if over and not some:
                return seen

    with ThreadPoolExecutor(many + 1) as pool:
        reader = pool.submit(read)
        list(pool.map(write, range(many)))
        done.set()
        seen = reader.result()
    told = sum(1 + k % 3 for k in range(each))
    assert [m.n for m in seen] == list(range(1, many * told + 1))
    for who in range(many):
        mine = [m.customer_id for m in seen if m.customer_id // 1_000 == who]
        assert mine == sorted(mine) and len(mine) == told


def test_what_is_not_committed_was_never_said(ledger: Ledger) -> None:
    tell(ledger, message(1))
    with pytest.raises(KeyboardInterrupt):
        with _writing(ledger.engine) as book:
            publish(book, [message(2)])
            raise KeyboardInterrupt
    assert tell(ledger, message(3)) == 2
    assert [m.customer_id for m in read_feed(ledger, 0)] == [1, 3] and tell(ledger) == 0


def test_who_comes_too_late_is_told_from_where_to_read_on(ledger: Ledger) -> None:
    assert prune_feed(ledger, 5_000) == 0 and feed_ends(ledger) == Ends()
    tell(ledger, *(message(who, said_at) for who, said_at in enumerate((1_000, 2_000, 9_000, 3_000))))
    assert prune_feed(ledger, 5_000) == 2, "only from the front"
    assert prune_feed(ledger, 1_500) == 0 and feed_ends(ledger) == Ends(2, 4)
    for after in (0, 1):
        with pytest.raises(Gone, match=f"begins after 2, and you have read up to {after}") as told:
            read_feed(ledger, after)
        assert told.value.up_to == 2
    assert [m.n for m in read_feed(ledger, 2)] == [3, 4]
    assert prune_feed(ledger, 10_000) == 2 and read_feed(ledger, 4) == [] and tell(ledger, message(7)) == 5


def test_each_score_and_alert_is_told_once_with_the_transaction_that_wrote_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    "A batch that fails tells nothing; done again, it tells once."
    tables = live_bank.bank(5, 40)
    kept, judge = live_bank.archive(tmp_path, tables), live_bank.scorer(tables)
    log = open_log(f"sqlite:///{tmp_path}/log.db", keep_days=live_bank.KEEP_DAYS)
    live_bank.append(log, live_bank.sent(tables, 6))
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        made, busy = live_bank.worker(log, ledger, kept, judge), 0
        for p in range(PARTITIONS):
            with monkeypatch.context() as broken:
                broken.setattr("predelinquency.live.feed.FEED_ENDS", None)
                try:
                    made.step(p, 0, 50)
                except Exception:
                    busy += 1
                    made.adopt(p, 0)
        assert busy and feed_ends(ledger).last == 0 and sum(map(len, live_bank.written(ledger)["live_scores"])) == 0
        live_bank.read_all(made, 50)
        said = read_feed(ledger, 0, 10**6)
        told = [m for m in said if m.kind == "score"]
        with ledger.engine.connect() as book:
            rows = book.execute(sa.select(LIVE_SCORES)).mappings().all()
            rang = book.execute(sa.select(ALERTS)).mappings().all()
    log.close()
    alerts = [(m.body["rule"], m.body["subject"], m.said_at) for m in said if m.kind == "alert"]
    assert sorted(alerts) == sorted((row["rule"], row["subject"], row["said_at"]) for row in rang) and rang
    of = {(row["customer_id"], row["revision"]): row for row in rows}
    assert len(told) == len(rows) and sum(row["eligible"] for row in rows) > 30
    assert {(m.customer_id, m.body["revision"]) for m in told} == set(of)
    for one in told:
        row = of[one.customer_id, one.body["revision"]]
        assert (one.said_at, one.body["as_of"]) == (row["arrived_at"], row["as_of"])
        assert (one.body["probability"], one.body["final"]) == (row["probability"], row["final"])
        assert one.body["reasons"] == [reason["analyst"] for reason in row["reasons"]][:3]
        chances = [due[3] for due in row["dues"]]
        assert (one.body["due"] or {}).get("probability") == (max(chances) if chances else None)


def test_a_message_that_json_cannot_say_is_refused_whole(ledger: Ledger) -> None:
    with pytest.raises((StoreError, TypeError)):
        tell(ledger, message(1), Message("score", 2, 0, {"what": object()}))
    assert feed_ends(ledger) == Ends() and read_feed(ledger, 0) == []
