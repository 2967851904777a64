"""What every log keeps, whatever holds its events: each test runs on SQLite and on a real Redis server."""

import random
from collections.abc import Callable

import pandas as pd
import pytest
from live_events import (
    HOUR_MS,
    NOW,
    Model,
    Writer,
    account,
    everything,
    following,
    ids,
    of_every_kind,
    payment,
    states,
    whole,
)

from predelinquency.ground.core import DAY_MS, ParamsError, StoreError
from predelinquency.live.door import open_log
from predelinquency.live.events import KINDS, PARTITIONS, Event, canonical, parse_events, partition_of
from predelinquency.live.log import Log, Trimmed
from predelinquency.live.midnights import day_events

Opened = Callable[..., Log]
WAY = partition_of(7)


def test_events_come_back_in_the_order_in_which_they_were_taken(opened: Opened) -> None:
    log, sent = opened(), [payment(n, customer=n % 20) for n in range(300)]
    answers = [a for at in range(0, 300, 40) for a in log.append(sent[at : at + 40], NOW + at)]
    found = everything(log, page=7)
    assert states(answers) == ["taken"] * 300 and whole(found)
    where = {(p, e.position): (e.event, e.arrived_at) for p, entries in found.items() for e in entries}
    assert [where[a.partition, a.position] for a in answers] == [
        (e, a.arrived_at) for e, a in zip(sent, answers, strict=True)
    ]
    for customer in range(20):
        mine = [e.event for e in found[partition_of(customer)] if e.event.customer_id == customer]
        assert mine == [e for e in sent if e.customer_id == customer]


def test_every_kind_comes_back_as_it_was(opened: Opened) -> None:
    log = opened()
    log.append(of_every_kind(), NOW)
    assert [e.event for e in log.read(WAY, 0, 99)] == of_every_kind()


def test_an_empty_batch_and_a_log_without_events_are_nothing_special(opened: Opened) -> None:
    log = opened()
    assert log.append([], NOW) == [] and log.read(WAY, 0, 5) == [] and log.trim(NOW) == 0
    assert log.append([payment(1)], NOW)[0].position == 1


def test_the_heads_are_the_last_positions_also_when_the_front_is_gone(opened: Opened) -> None:
    log = opened()
    assert log.heads() == {}
    answers = log.append([payment(n, customer=n % 20) for n in range(90)], NOW)
    last = {a.partition: a.position for a in answers}
    assert log.heads() == last == {p: entries[-1].position for p, entries in everything(log).items()}
    log.append([payment(1, customer=1)], NOW)  # a repeat moves nothing
    assert log.trim(NOW + 1_000) == 90 and log.heads() == last


def test_a_repeat_hears_the_position_that_it_has(opened: Opened) -> None:
    log = opened()
    first = log.append([payment(1), payment(2), payment(1)], NOW)
    later = log.append([payment(2), payment(1), payment(3)], NOW + 500)
    assert states(first) == ["taken", "taken", "repeated"] and states(later) == ["repeated", "repeated", "taken"]
    assert [a[1:] for a in (first[2], *later[:2])] == [a[1:] for a in (first[0], first[1], first[0])]
    assert ids(everything(log)) == ["p-1", "p-2", "p-3"] and whole(everything(log))


def test_the_same_id_of_another_source_is_another_event(opened: Opened) -> None:
    answers = opened().append([payment(1), payment(1)._replace(source="cards")], NOW)
    assert states(answers) == ["taken", "taken"]


def test_ids_that_look_alike_are_ids_of_different_events(opened: Opened) -> None:
    alike = [
        "77",
        "077",
        "0077",
        "7",
        "007",
        "t-8",
        "t-8812",
        "t-8813",
        "t-08812",
        "8812",
        "t-8\0",
        "\u0663\u0663\u0663",
        "333",
    ]
    alike += [f"t-{n}" for n in range(100_000, 102_100)] + ["u", *(f"u{n:03}" for n in range(1_000))]
    told = [payment(1)._replace(event_id=i, source=source) for i in alike for source in ("core", "core\0t", "co")]
    log = opened()
    assert states(log.append(told, NOW)) == ["taken"] * len(told)
    assert states(log.append(told[::-1], NOW)) == ["repeated"] * len(told)


@pytest.mark.parametrize("other", [payment(1, amount=5_001), payment(1, customer=8)], ids=["amount", "customer"])
def test_an_id_that_was_used_for_something_else_is_refused(opened: Opened, other: object) -> None:
    log = opened()
    log.append([payment(1)], NOW)
    answers = log.append([other, payment(2)], NOW)
    assert states(answers) == ["refused", "taken"] and "something else" in answers[0].reason
    assert ids(everything(log)) == ["p-1", "p-2"]


def test_a_log_that_is_opened_anew_before_each_call_is_the_same_log(opened: Opened) -> None:
    for n in range(5):
        assert [(a.state, a.position) for a in opened().append([payment(n), payment(0)], NOW - n * HOUR_MS)] == [
            ("taken", n + 1) if n else ("taken", 1),
            ("repeated", 1),
        ]
    found = everything(opened())
    assert ids(found) == [f"p-{n}" for n in range(5)] and whole(found)


def test_two_writers_at_once_take_every_event_once_and_a_reader_beside_them_misses_none(
    url: str, opened: Opened
) -> None:
    open_log(url).close()  # a connection of SQLite must not cross a fork
    writers = [Writer(url, 20, first=0, step=1, many=40), Writer(url, 20, first=59, step=-1, many=40)]
    log, seen = opened(), {}
    while any(w.process.is_alive() for w in writers):
        for p in {partition_of(c) for c in range(9)}:
            seen.setdefault(p, []).extend(log.read(p, len(seen.get(p, ())), 100))
    for w in writers:
        w.process.join()
        assert w.process.exitcode == 0 and len(w.wait(40)) == 40
    for p in seen:
        seen[p].extend(log.read(p, len(seen[p]), 10**4))
    assert sorted(ids(seen)) == sorted(f"p-{n}" for n in range(60 * 20))
    assert whole(seen) and everything(log) == seen


@pytest.mark.parametrize("back", [HOUR_MS, 365 * DAY_MS], ids=["hour", "year"])
def test_stamps_rise_on_every_kind_when_the_clock_goes_back(opened: Opened, back: int) -> None:
    log = opened()
    log.append([payment(99)], NOW)
    assert log.counts["clock_back"] == 0
    answers = [log.append([e], NOW - back)[0] for e in of_every_kind(now=NOW - back)]
    assert [a.arrived_at for a in answers] == [NOW + 1 + n for n in range(5)]
    assert log.counts["clock_back"] == 5
    assert opened().append([payment(98, at=NOW - back)], NOW - back)[0].arrived_at == NOW + 6
    assert log.append([payment(97, customer=8, at=NOW - back)], NOW - back)[0].arrived_at == NOW - back


def test_no_stamp_goes_back_behind_a_day_that_has_begun(opened: Opened) -> None:
    "In that partition; the other ones go by the clock."
    log, day = opened(), NOW // DAY_MS
    log.append([day_events(day)[partition_of(7)]], NOW)
    near = next(c for c in range(8, 10**4) if partition_of(c) == partition_of(7))
    far = next(c for c in range(8, 10**4) if partition_of(c) != partition_of(7))
    late = [payment(n, customer, NOW - 2 * DAY_MS) for n, customer in enumerate((7, near, far, 7))]
    for batch in (late[:3], late[3:]):  # the second is another call: what the log knows comes from its file
        log.append(batch, NOW - 39 * HOUR_MS)
    stamps = {e.event.event_id: e.arrived_at - NOW for some in everything(log).values() for e in some}
    assert stamps == {"2026-03-02 " + str(partition_of(7)): 0, "p-0": 0, "p-1": 0, "p-2": -39 * HOUR_MS, "p-3": 1}


def test_nothing_arrives_before_it_was_booked_or_paid_though_the_log_s_clock_is_behind(opened: Opened) -> None:
    log = opened()
    for turn, behind in enumerate((DAY_MS - HOUR_MS, 2 * HOUR_MS, 0)):
        told = [e._replace(event_id=f"{e.event_id}-{c}-{turn}") for c in (7, 8) for e in of_every_kind(c)]
        assert states(log.append(told, NOW - behind)) == ["taken"] * 10
    found = [e for entries in everything(log).values() for e in entries]
    for kind in ("transaction", "payment"):
        rows = [{**e.event.row, "arrived_at": e.arrived_at} for e in found if e.event.kind == kind]
        (rule,) = (r for r in KINDS[kind].rules if r.name.startswith("nothing arrives before"))
        assert len(rows) == 6 and rule.holds(pd.DataFrame(rows)).all()
    assert whole(everything(log)) and log.counts["clock_back"] > 0


def dated(kind: str, at: int) -> Event:
    "An event of a kind whose moment is `at`, a midnight."
    column = {"customer": "joined_on", "account": "opened_on", "due": "announced_at"}.get(kind)
    (event,) = (e for e in of_every_kind(now=at + HOUR_MS) if e.kind == kind)
    return event._replace(row={**event.row, column: at}) if column else event


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_stamped_with_its_moment_or_later_and_refused_more_than_a_day_before_it(
    opened: Opened, kind: str
) -> None:
    log, at = opened(), NOW // DAY_MS * DAY_MS
    (early,) = log.append([dated(kind, at)], at - DAY_MS - 1)
    assert early.state == "refused" and "it has not happened yet by this log's clock" in early.reason
    assert "to fix" in early.reason and everything(log) == {}
    (on_time,) = log.append([dated(kind, at)], at - DAY_MS)
    assert (on_time.state, on_time.position, on_time.arrived_at) == ("taken", 1, at)
    assert log.append([payment(50)], NOW)[0].arrived_at == NOW


def test_a_source_whose_clock_is_ahead_moves_the_stamps_of_its_customers_by_a_day_at_most(opened: Opened) -> None:
    log = opened()
    for n in range(40):
        log.append([payment(n, at=NOW + n * HOUR_MS)], NOW)
    kept = log.read(WAY, 0, 99)
    assert [e.arrived_at for e in kept] == [NOW + n * HOUR_MS for n in range(25)]
    assert log.append([payment(99)], NOW)[0].arrived_at == NOW + DAY_MS + 1
    assert log.append([payment(98, customer=8)], NOW)[0].arrived_at == NOW


def test_a_stamp_ahead_is_remembered_beside_one_of_a_neighbour_that_is_not(opened: Opened) -> None:
    log = opened()
    log.append([payment(1, at=NOW + 9 * HOUR_MS), payment(2, customer=same_way(7))], NOW)
    assert log.append([payment(3)], NOW + HOUR_MS)[0].arrived_at == NOW + 9 * HOUR_MS + 1


def test_a_repeat_is_a_repeat_though_the_log_s_clock_has_gone_back_by_a_year(opened: Opened) -> None:
    log = opened()
    first = log.append([payment(1)], NOW)
    again = log.append([payment(1), payment(2), payment(1, amount=1)], NOW - 365 * DAY_MS)
    assert again[0] == first[0]._replace(state="repeated")
    assert states(again) == ["repeated", "refused", "refused"]
    assert "not happened yet" in again[1].reason and "something else" in again[2].reason
    assert states(log.append([payment(2)], NOW)) == ["taken"]


def test_stamps_go_on_after_everything_was_trimmed(opened: Opened) -> None:
    log = opened()
    log.append([payment(1)], NOW)
    assert log.trim(NOW + 1) == 1
    assert opened().append([payment(2)], NOW - HOUR_MS)[0].arrived_at == NOW + 1


def test_events_of_one_moment_are_stamped_one_after_the_other_and_no_clock_is_blamed(opened: Opened) -> None:
    log = opened()
    answers = log.append([payment(n) for n in range(50)], NOW) + log.append([payment(50)], NOW)
    assert [a.arrived_at for a in answers] == [NOW + n for n in range(51)]
    assert log.counts["clock_back"] == 0 and log.counts["taken"] == 51


def test_what_is_too_old_to_know_whether_it_is_a_repeat_is_refused(opened: Opened) -> None:
    log = opened(keep_days=7)
    assert states(log.append([payment(1, at=NOW)], NOW)) == ["taken"]
    assert states(log.append([payment(1, at=NOW)], NOW + 7 * DAY_MS)) == ["repeated"]
    answers = log.append([payment(1, at=NOW), payment(2, at=NOW), account(1)], NOW + 7 * DAY_MS + 1)
    assert states(answers) == ["refused", "refused", "taken"] and "7 days" in answers[0].reason
    assert states(log.append([account(1)], NOW + 700 * DAY_MS)) == ["repeated"]


def test_nothing_is_trimmed_behind_a_position_whatever_its_stamp(opened: Opened) -> None:
    "Stamps rise with the events of one customer only: a neighbour's later event may have an earlier one."
    log = opened(keep_days=7)
    near = next(c for c in range(8, 10_000) if partition_of(c) == WAY)
    log.append([payment(1)], NOW + HOUR_MS)
    log.append([payment(2, customer=near), payment(3, customer=near)], NOW)
    assert log.trim(NOW + 2 * HOUR_MS, [2 if p == WAY else 0 for p in range(PARTITIONS)]) == 2
    assert [e.position for e in log.read(WAY, 2, 9)] == [3]
    assert log.trim(NOW + 2 * HOUR_MS, [9] * PARTITIONS) == 1


def test_a_resend_is_a_repeat_after_its_event_was_trimmed(opened: Opened) -> None:
    log = opened(keep_days=7)
    first = log.append([payment(1), account(1), payment(2, customer=8)], NOW)
    assert log.trim(NOW + HOUR_MS) == 3 and everything_after(log) == 0
    again = opened(keep_days=7).append([payment(1), account(1), payment(2, customer=8)], NOW + DAY_MS)
    assert states(again) == ["repeated"] * 3 and [a[1:4] for a in again] == [a[1:4] for a in first]


def everything_after(log: Log) -> int:
    "How many events are left in the partitions of customers 7 and 8."
    heads = {7: 2, 8: 1}
    return sum(len(log.read(partition_of(c), n, 99)) for c, n in heads.items())


def test_a_position_is_never_used_again(opened: Opened) -> None:
    log = opened()
    log.append([payment(1), payment(2)], NOW)
    assert log.trim(NOW + HOUR_MS) == 2
    assert opened().append([payment(3)], NOW)[0].position == 3


def test_a_clock_that_goes_back_after_trimming_lets_no_repeat_in(opened: Opened) -> None:
    log = opened(keep_days=7)
    log.append([payment(1, at=NOW)], NOW)
    log.append([payment(2, at=NOW + 30 * DAY_MS)], NOW + 30 * DAY_MS)
    assert log.trim(NOW + 20 * DAY_MS) == 1
    answers = opened(keep_days=7).append([payment(1, at=NOW), payment(2, at=NOW + 30 * DAY_MS)], NOW + DAY_MS)
    assert states(answers) == ["refused", "repeated"]


def test_ids_are_forgotten_when_nobody_may_send_them_any_more(url: str, opened: Opened) -> None:
    log = opened(keep_days=7)
    log.append([payment(n, at=NOW) for n in range(300)] + [account(1)], NOW)
    log.append([payment(300, at=NOW + 30 * DAY_MS)], NOW + 30 * DAY_MS)
    log.trim(NOW + 20 * DAY_MS)
    if url.startswith("sqlite"):
        (left,) = log.connection.execute("SELECT count(*) FROM log_ids").fetchone()
    else:
        left = log.client.hlen("{predelinquency:log}:ids")
    assert left == 2


def test_trimming_takes_from_the_front_only(opened: Opened) -> None:
    log = opened()
    late, soon = payment(1, customer=7), payment(2, customer=same_way(7))
    log.append([late], NOW + DAY_MS)
    log.append([soon], NOW)
    assert log.trim(NOW + HOUR_MS) == 0 and len(log.read(WAY, 0, 9)) == 2
    assert log.trim(NOW + 2 * DAY_MS) == 2


def test_trimming_may_end_in_the_middle_of_what_came_together(opened: Opened) -> None:
    log, many = opened(), [payment(n) for n in range(250)]
    log.append(many, NOW)
    for before, gone in ((NOW + 30, 30), (NOW + 30, 0), (NOW + 130, 100), (NOW + 200, 70), (NOW + 249, 49)):
        assert log.trim(before) == gone
        left = list(following(log, WAY, before - NOW, 7))
        assert [(e.position, e.arrived_at, e.event) for e in left] == [
            (n + 1, NOW + n, many[n]) for n in range(before - NOW, 250)
        ]
        with pytest.raises(Trimmed):
            log.read(WAY, before - NOW - 1, 1)
    assert log.append([payment(250)], NOW)[0].position == 251 and log.trim(NOW + 10**6) == 2


@pytest.mark.parametrize("n", [1, 3, 99, 100, 101, 250, 999])
def test_a_reader_gets_as_many_as_it_asks_for_from_any_position_on(opened: Opened, n: int) -> None:
    log = opened()
    for part in (range(130), range(130, 131), range(131, 250)):
        log.append([payment(i) for i in part], NOW)
    for after in (0, 1, 50, 99, 100, 101, 129, 130, 131, 229, 249, 250):
        assert [e.position for e in log.read(WAY, after, n)] == list(range(after + 1, min(after + n, 250) + 1))


def same_way(customer: int) -> int:
    "Another customer of the same partition."
    return next(c for c in range(customer + 1, 10**4) if partition_of(c) == partition_of(customer))


def test_a_reader_behind_what_was_trimmed_is_told(opened: Opened) -> None:
    log = opened()
    log.append([payment(n) for n in range(5)], NOW)
    log.append([payment(n) for n in range(5, 8)], NOW + HOUR_MS)
    assert log.trim(NOW + HOUR_MS) == 5
    for after in (0, 4):
        with pytest.raises(Trimmed, match="archive") as told:
            log.read(WAY, after, 3)
        assert told.value.up_to == 5
    assert ids({WAY: log.read(WAY, 5, 99)}) == ["p-5", "p-6", "p-7"]


def test_a_reader_ahead_of_the_log_is_told(opened: Opened) -> None:
    log = opened()
    log.append([payment(1)], NOW)
    with pytest.raises(StoreError, match="older copy"):
        log.read(WAY, 2, 3)
    assert log.read(WAY, 1, 3) == []


@pytest.mark.parametrize("question", [(-1, 0, 1), (64, 0, 1), (0, 0, 0), (0, -1, 1)])
def test_a_question_that_makes_no_sense_is_refused(opened: Opened, question: tuple[int, int, int]) -> None:
    with pytest.raises(ParamsError):
        opened().read(*question)


def test_one_bad_row_refuses_itself_and_not_the_batch(opened: Opened) -> None:
    def plain(n: int) -> dict[str, object]:
        return {**payment(n)._asdict(), "row": dict(payment(n).row)}

    rows = [plain(1), {**plain(2), "kind": "rumour"}, plain(3)]
    rows[2]["row"]["amount_minor"] = 50.0
    log = opened()
    answers = log.append(parse_events([*rows, plain(4)]), NOW)
    assert states(answers) == ["taken", "refused", "refused", "taken"]
    assert [a.reason.split(":")[0] for a in answers] == ["", "event 1", "event 2", ""]
    assert ids(everything(log)) == ["p-1", "p-4"] and [a.position for a in answers] == [1, 0, 0, 2]


@pytest.mark.parametrize("seed", range(4))
def test_any_sequence_of_calls_is_answered_as_the_plain_model_answers_it(opened: Opened, seed: int) -> None:
    dice, log, model, now = random.Random(seed), opened(keep_days=5), Model(5), NOW
    sent: list = []
    for step in range(60):
        now += dice.choice([0, 1, 40, HOUR_MS, DAY_MS, DAY_MS, -3 * DAY_MS, 9 * DAY_MS if step % 20 == 0 else 0])
        batch = []
        for _ in range(dice.randrange(12)):
            one = payment(
                len(sent), dice.randrange(25), now - dice.randrange(-2, 7) * DAY_MS + dice.choice([-1, 0, 40])
            )
            one = account(len(sent), dice.randrange(25)) if dice.random() < 0.1 else one
            one = dice.choice(sent) if sent and dice.random() < 0.4 else one
            one = one._replace(customer_id=one.customer_id + 1) if dice.random() < 0.05 and one.kind != "day" else one
            one = day_events(now // DAY_MS)[partition_of(dice.randrange(25))] if dice.random() < 0.1 else one
            sent.append(one)
            batch.append(one)
        expected = [model.append(e, partition_of(e.customer_id), now) for e in batch]
        assert [(a.state, a.position, a.arrived_at) for a in log.append(batch, now)] == expected
        if step % 9 == 8:
            before = now - dice.randrange(4) * DAY_MS
            assert log.trim(before) == model.trim(before)
    for partition, kept in model.kept.items():
        trimmed = model.heads[partition] - len(kept)
        assert [tuple(e) for e in log.read(partition, trimmed, 10**4)] == kept


def test_a_writer_that_is_killed_ten_times_has_lost_nothing_and_left_no_half_batch(url: str, opened: Opened) -> None:
    of, first, said = 200, 0, set()
    open_log(url).close()
    for kill in range(10):
        writer = Writer(url, of, first=first)
        said |= {*writer.kill(kill / 10)}
        first = max(said) + 1 if kill % 2 else max(max(said) - 1, 0)  # on, or the last ones again
    found = everything(opened(), page=500)
    kept = sorted(int(i[2:]) for i in ids(found))
    assert whole(found) and len(kept) == len(set(kept))
    there = {n // of for n in kept}
    assert said <= there and len(kept) == of * len(there)


def test_the_canonical_bytes_are_what_is_kept(url: str, opened: Opened) -> None:
    log = opened()
    log.append([payment(1)], NOW)
    if url.startswith("sqlite"):
        (kept,) = log.connection.execute("SELECT content FROM log_events").fetchone()
    else:
        kept = log.client.xrange(f"{{predelinquency:log}}:{WAY}")[0][1][b"event"]
    assert kept == canonical(payment(1))


def test_an_address_that_keeps_nothing_is_refused() -> None:
    for address in ("mysql://me:secret@bank/log", "log.db", "sqlite://", "sqlite:///:memory:", "sqlite:///"):
        with pytest.raises(StoreError) as refusal:
            open_log(address)
        assert "secret" not in str(refusal.value) and "to fix" in str(refusal.value)
