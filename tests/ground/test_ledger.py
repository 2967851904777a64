"""The ledger keeps what it is given, once, for ever, and refuses the rest."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from math import inf, nan
from pathlib import Path
from typing import get_args, get_type_hints

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from records import (
    AT,
    REASONS,
    call,
    case_step,
    control,
    decision,
    message,
    milestone,
    note,
    one_of_each,
    outcome,
    reply,
    score,
)

from predelinquency.ground.core import StoreError
from predelinquency.ground.entries import KINDS, METADATA, brought, feature_hash, plain_values, restore
from predelinquency.ground.ledger import Ledger, _rows, contact
from predelinquency.ground.records import CONTACT_STATES, Contact, Decision, Outcome, Reply, Score

LATER = "2026-03-09T10:00:00+00:00"


@pytest.fixture
def ledger(ledger_url: str) -> Ledger:
    with Ledger.open(ledger_url) as ledger:
        yield ledger


def same(one: object, other: object) -> bool:
    return repr(one) == repr(other)  # nan is not equal to itself


def counts(ledger: Ledger) -> list[int]:
    return [len(ledger.of(record)) for record in KINDS]


# --- what goes in comes out


@pytest.mark.parametrize(
    "record",
    [
        *one_of_each(),
        score(reasons=()),
        score(customer_id=2**63 - 1),
        score(probability=0.0, margin=-5e-324),
        score(model_version="'; DROP TABLE scores; --"),
        decision(propensity=nan, value_minor=nan, obligation_id=0, instalment=3),
        decision(decided_at="2026-03-02T10:00:00.000001+00:00"),
        decision(subject="\u2028 '\" \\ 🙂", message="", refusals=()),
        call(),
        reply(contact_id="", text="stop\nplease"),
        outcome(missed=True, replied=False),
        outcome(in_arrears=True, overdue_minor=0),
        milestone(kind="rejected", why="the customer just lost a job"),
        decision(stratum="", propensities=()),
        outcome(missed=False, paid_minor=-1, replied=True),
        case_step(
            event="closed", from_state="near", to_state="closed", outcome="moved", probability=nan, scored_on=None
        ),
        case_step(event="put_off", until_on="2026-03-20", after="7-3-11-1"),
        note(kind="put_off", said_by="A. Novak", until_on="2026-03-20"),
        note(kind="disagrees", said_by="A. Novak", opinion="pays"),
    ],
    ids=repr,
)
def test_a_record_comes_back_as_it_was(ledger: Ledger, record: object) -> None:
    before = [decision()] if getattr(record, "decided_at", None) and not isinstance(record, Decision) else []
    ledger.append([*before, record], AT)
    assert same(ledger.of(type(record), record.customer_id)[-1], record)


def test_a_moment_of_another_zone_comes_back_in_utc(ledger: Ledger) -> None:
    ledger.append([reply(received_at="2026-03-03T10:30:00+02:30")], AT)
    assert ledger.of(Reply, 7)[0].received_at == "2026-03-03T08:00:00+00:00"


def test_numbers_from_numpy_are_kept_as_numbers(ledger: Ledger) -> None:
    ledger.append([score(customer_id=np.int64(7), probability=np.float64(0.041), margin=np.float32(-3.25))], AT)
    assert ledger.append([score(margin=-3.25)], AT) == 0


values = {
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_infinity=False),
    bool: st.booleans(),
    str: st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    "day": st.dates().map(str),
    "moment": st.datetimes(timezones=st.just(__import__("datetime").UTC)).map(lambda t: t.isoformat()),
}


def made(record: type) -> st.SearchStrategy:
    "Any record of a kind, from nothing but its type hints."

    def value(name: str, hint: object) -> st.SearchStrategy:
        if name == "as_of" or name.endswith("_on"):
            found = values["day"]
        elif name == "at" or name.endswith("_at"):
            found = values["moment"]
        elif "tuple" in str(hint):
            return st.lists(made(get_args(hint)[0]), max_size=2).map(tuple)
        else:
            found = values[next(t for t in (hint, *get_args(hint)) if t in values)]
        return found | st.none() if type(None) in get_args(hint) else found

    return st.builds(record, **{name: value(name, hint) for name, hint in get_type_hints(record).items()})


@given(st.one_of([made(record) for record in KINDS]))
def test_any_record_survives_the_way_to_json_and_back(record: object) -> None:
    assert same(restore(type(record), plain_values(record)), record)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(made(Outcome) | made(Reply).map(lambda r: replace(r, kind="other")), max_size=5))
def test_any_record_survives_the_way_through_the_database(ledger: Ledger, records: list) -> None:
    first = list({tuple(plain_values(r)[c] for c in KINDS[type(r)].key) + (type(r),): r for r in records}.values())
    try:
        ledger.append(first, AT)
    except StoreError as e:
        assert "already holds" in str(e)  # another example had the same key
        return
    for record in first:
        assert any(same(record, kept) for kept in ledger.of(type(record), record.customer_id))


# --- once


def test_the_same_row_twice_is_accepted_once(ledger: Ledger) -> None:
    assert ledger.append(one_of_each() * 2, AT) == len(KINDS)
    assert ledger.append(one_of_each(), LATER) == 0
    assert counts(ledger) == [1] * len(KINDS)


def test_a_repetition_keeps_the_moment_of_the_first(ledger: Ledger) -> None:
    ledger.append([score()], AT)
    ledger.append([score(), score(as_of="2026-03-09")], LATER)
    assert ledger.frame(Score, ["recorded_at"]).recorded_at.tolist() == [AT, LATER]


@pytest.mark.parametrize(
    "other",
    [
        score(probability=0.5),
        decision(action="nothing", channel=""),
        message(at=LATER),
        reply(kind="stop"),
        outcome(missed=True),
    ],
    ids=lambda r: type(r).__name__,
)
def test_another_row_under_the_same_key_refuses_the_whole_batch(ledger: Ledger, other: object) -> None:
    ledger.append(one_of_each(), AT)
    batch = [score(customer_id=1), decision(customer_id=1), other, reply(customer_id=1)]
    with pytest.raises(StoreError, match="differ from one that the ledger already holds.*customer_id=7"):
        ledger.append(batch, AT)
    assert counts(ledger) == [1] * len(KINDS)
    assert same([ledger.of(record)[0] for record in KINDS], one_of_each())


def test_a_batch_that_contradicts_itself_is_refused(ledger: Ledger) -> None:
    with pytest.raises(StoreError, match="the batch already holds"):
        ledger.append([score(), score(probability=0.5)], AT)
    assert counts(ledger) == [0] * len(KINDS)


def test_a_batch_is_written_in_the_order_of_its_keys_so_that_two_writers_cannot_block_each_other() -> None:
    batch = [score(customer_id=c, as_of=day) for c in (9, 7, 8) for day in ("2026-03-09", "2026-03-02")]
    assert list(_rows(KINDS[Score], batch, AT)) == sorted(_rows(KINDS[Score], batch[::-1], AT))


def test_many_contradictions_are_one_error_with_a_count(ledger: Ledger) -> None:
    ledger.append([score(customer_id=i) for i in range(1200)], AT)
    with pytest.raises(StoreError, match="^scores: 1200 of the rows") as refusal:
        ledger.append([score(customer_id=i, margin=0.0) for i in range(1200)], AT)
    assert str(refusal.value).count("customer_id=") == 3


def test_a_large_batch_that_overlaps_adds_only_what_is_new(ledger: Ledger) -> None:
    ledger.append([score(customer_id=i) for i in range(0, 1500, 2)], AT)
    assert ledger.append([score(customer_id=i) for i in reversed(range(1500))], AT) == 750
    assert [s.customer_id for s in ledger.of(Score)] == list(range(1500))


def test_rows_with_reasons_share_pages(tmp_path: Path) -> None:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        ledger.append([score(customer_id=i, reasons=REASONS * 3) for i in range(2000)], AT)
    assert (tmp_path / "ledger.db").stat().st_size / 2000 < 2500  # bytes


def test_another_model_or_another_feature_row_is_another_score(ledger: Ledger) -> None:
    assert (
        ledger.append(
            [score(), score(model_version="2026.2", probability=0.1), score(feature_hash="77", probability=0.2)], AT
        )
        == 3
    )


# --- for ever


def test_a_ledger_has_no_way_to_change_a_row() -> None:
    assert {name for name in dir(Ledger) if not name.startswith("_")} == {
        "open",
        "close",
        "append",
        "added",
        "of",
        "scores_of",
        "latest",
        "contacts_since",
        "frame",
    }


CHANGES = [
    "UPDATE {t} SET recorded_at = recorded_at",
    "UPDATE {t} SET customer_id = 1",
    "DELETE FROM {t}",
    "DELETE FROM {t} WHERE customer_id = 7",
]
OWN_CHANGES = dict(
    sqlite=[
        "INSERT OR REPLACE INTO {t} ({names}) SELECT {forged} FROM {t}",
        "REPLACE INTO {t} ({names}) SELECT {forged} FROM {t}",
        "INSERT INTO {t} ({names}) SELECT {forged} FROM {t} WHERE true ON CONFLICT DO UPDATE SET fingerprint = 'forged'",
    ],
    postgresql=[
        "TRUNCATE {t}",
        "TRUNCATE {t} CASCADE",
        "INSERT INTO {t} ({names}) SELECT {forged} FROM {t} ON CONFLICT ({key}) DO UPDATE SET fingerprint = 'forged'",
    ],
)


def test_the_database_itself_refuses_to_change_a_row(ledger_url: str, raw: Callable) -> None:
    with Ledger.open(ledger_url) as ledger:
        ledger.append(one_of_each(), AT)
        for kind, change in product(KINDS.values(), CHANGES + OWN_CHANGES[ledger_url.split(":")[0]]):
            forged = ", ".join(
                "'forged'" if c.name == "fingerprint" else c.name for c in METADATA.tables[kind.table].columns
            )
            if kind.table == "decisions" and change == "TRUNCATE {t}":
                continue  # contacts refer to it, which PostgreSQL says first
            with pytest.raises(Exception, match=f"{kind.table} is append-only|contacts is append-only"):
                names = ", ".join(c.name for c in METADATA.tables[kind.table].columns)
                raw(ledger_url, change.format(t=kind.table, names=names, forged=forged, key=", ".join(kind.key)))
            assert raw(ledger_url, f"SELECT count(*) FROM {kind.table} WHERE fingerprint <> 'forged'") == 1
        assert same([ledger.of(record)[0] for record in KINDS], one_of_each()) and counts(ledger) == [1] * len(KINDS)


def test_replacing_a_row_by_one_that_claims_to_be_the_same_changes_nothing(tmp_path: Path, raw: Callable) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    with Ledger.open(url) as ledger:
        ledger.append(one_of_each(), AT)
        names = [c.name for c in METADATA.tables["scores"].columns]
        raw(
            url,
            f"INSERT OR REPLACE INTO scores SELECT {', '.join('0.5' if n == 'probability' else n for n in names)} FROM scores",
        )
        assert same(ledger.of(Score), [score()])


# --- a message carries out a decision


@pytest.mark.parametrize(
    "wrong", [dict(customer_id=8), dict(channel="sms"), dict(action="plan"), dict(decided_at=LATER)], ids=str
)
def test_a_message_that_carries_out_no_decision_is_refused(ledger: Ledger, wrong: dict) -> None:
    ledger.append([decision()], AT)
    with pytest.raises(StoreError, match="carries out no decision"):
        ledger.append([message(**wrong)], AT)
    assert ledger.of(Contact) == []


@pytest.mark.parametrize("channel", ["email", ""])
def test_a_message_to_the_control_group_is_refused(ledger: Ledger, channel: str) -> None:
    ledger.append([control()], AT)
    with pytest.raises(StoreError):
        ledger.append([message(action="nothing", channel=channel)], AT)
    with pytest.raises(StoreError, match="sends nothing"):
        contact(control())
    assert ledger.of(Contact) == []


def test_a_message_with_half_a_decision_is_refused(ledger: Ledger) -> None:
    with pytest.raises(StoreError, match="out of its range"):
        ledger.append([message(decided_at=None)], AT)


def test_a_decision_and_its_message_may_come_in_one_batch_in_any_order(ledger: Ledger) -> None:
    assert ledger.append([message(), decision()], AT) == 2


def test_a_plan_carried_out_twice_queues_every_message_once(ledger: Ledger) -> None:
    plan = [decision(customer_id=i) for i in range(20)]
    assert ledger.append([*plan, *map(contact, plan)], AT) == 40
    assert ledger.append([*plan, *map(contact, plan)], LATER) == 0
    assert len({c.contact_id for c in ledger.of(Contact)}) == 20


# --- what reached a customer


def test_what_failed_or_was_withdrawn_does_not_count_and_what_is_queued_does(ledger: Ledger) -> None:
    steps = dict(
        a=["queued"], b=["queued", "sent"], c=["queued", "sent", "failed"], d=["queued", "withdrawn"], e=["failed"]
    )
    ledger.append([call(contact_id=name, state=state) for name, states in steps.items() for state in states], AT)
    assert [(c.contact_id, c.state) for c in ledger.contacts_since(7, "2026-03-01")] == [("a", "queued"), ("b", "sent")]


def test_a_message_withdrawn_before_its_hour_does_not_count(ledger: Ledger) -> None:
    ledger.append(
        [call(state="queued", at="2026-03-03T09:00:00+00:00"), call(state="withdrawn", at="2026-03-02T18:00:00+00:00")],
        AT,
    )
    assert ledger.contacts_since(7, "2026-03-01") == []


def test_a_contact_exactly_at_the_moment_asked_for_counts(ledger: Ledger) -> None:
    ledger.append([call()], AT)
    assert ledger.contacts_since(7, AT) == [call()]
    assert ledger.contacts_since(7, "2026-03-02T10:00:00.000001+00:00") == []
    assert ledger.contacts_since(7, "2026-03-02T11:00:00+01:00") == [call()]


def test_nobody_else_counts_unless_everybody_is_asked_for(ledger: Ledger) -> None:
    ledger.append([call(), call(customer_id=8), call(customer_id=9, contact_id="c2")], AT)
    assert [c.customer_id for c in ledger.contacts_since(8, "2026-03-01")] == [8]
    assert [c.customer_id for c in ledger.contacts_since(None, "2026-03-01")] == [7, 8, 9]


def test_what_reached_a_customer_agrees_with_a_plain_reading_of_all_steps(ledger: Ledger) -> None:
    draw = np.random.default_rng(3)
    steps = {
        (
            int(draw.integers(4)),
            f"m{draw.integers(30)}",
            str(draw.choice(CONTACT_STATES)),
        ): f"2026-03-{draw.integers(1, 29):02d}T{draw.integers(24):02d}:00:00+00:00"
        for _ in range(250)
    }
    contacts = [
        call(customer_id=customer, contact_id=name, state=state, at=at) for (customer, name, state), at in steps.items()
    ]
    ledger.append(contacts, AT)
    for customer in (None, *range(4)):
        expected = {
            c
            for c in contacts
            if c.state in ("queued", "sent")
            and c.at >= "2026-03-11T00:00:00+00:00"
            and customer in (None, c.customer_id)
            and max(
                CONTACT_STATES.index(o.state)
                for o in contacts
                if (o.customer_id, o.contact_id) == (c.customer_id, c.contact_id)
            )
            == CONTACT_STATES.index(c.state)
        }
        assert set(ledger.contacts_since(customer, "2026-03-11")) == expected and expected


# --- reading


def test_a_span_of_time_is_half_open(ledger: Ledger) -> None:
    ledger.append([score(as_of=f"2026-03-{day:02d}") for day in (2, 9, 16)], AT)
    assert [s.as_of for s in ledger.of(Score, 7, since="2026-03-09", until="2026-03-16")] == ["2026-03-09"]


def test_scores_come_oldest_first_and_the_latest_is_the_last(ledger: Ledger) -> None:
    ledger.append([score(as_of=f"2026-03-{day:02d}") for day in (16, 2, 9)], AT)
    assert [s.as_of for s in ledger.scores_of(7)] == ["2026-03-02", "2026-03-09", "2026-03-16"]
    assert ledger.latest(Score, 7).as_of == "2026-03-16" and ledger.latest(Score, 8) is None


def test_of_two_scores_of_one_day_the_one_recorded_later_is_the_latest(ledger: Ledger) -> None:
    ledger.append([score(model_version="b")], AT)
    ledger.append([score(model_version="a")], LATER)
    assert ledger.latest(Score, 7).model_version == "a"


def test_moments_within_a_second_keep_their_order(ledger: Ledger) -> None:
    moments = [f"2026-03-02T10:00:00{fraction}+00:00" for fraction in ("", ".000001", ".500000", ".999999")]
    ledger.append([reply(received_at=m) for m in reversed(moments)], AT)
    assert [r.received_at for r in ledger.of(Reply, 7)] == moments


def test_a_frame_holds_the_columns_asked_for(ledger: Ledger) -> None:
    ledger.append([score(customer_id=i, probability=i / 10) for i in range(3)], AT)
    frame = ledger.frame(Score, ["customer_id", "probability"])
    assert frame.to_dict("list") == dict(customer_id=[0, 1, 2], probability=[0.0, 0.1, 0.2])
    with pytest.raises(StoreError, match="has no column income"):
        ledger.frame(Score, ["income"])


# --- refusals


@pytest.mark.parametrize(
    "wrong",
    [
        score(customer_id="7"),
        score(customer_id=True),
        score(customer_id=2**63),
        score(customer_id=7.0),
        score(as_of="02.03.2026"),
        score(as_of=None),
        score(probability=nan),
        score(probability=1.01),
        score(probability=-1e-9),
        score(margin=inf),
        score(margin=None),
        score(model_version=None),
        score(model_version="a\0b"),
        score(model_version="\ud800"),
        decision(decided_at="2026-03-02T10:00:00"),
        decision(review="no"),
        decision(review=None),
        call(state="lost"),
        reply(kind="shouts"),
        outcome(missed="yes"),
        outcome(customer_id=None),
    ],
    ids=repr,
)
def test_a_wrong_value_is_refused_and_nothing_is_written(ledger: Ledger, wrong: object) -> None:
    with pytest.raises(StoreError):
        ledger.append([score(customer_id=1), wrong], AT)
    assert counts(ledger) == [0] * len(KINDS)


@pytest.mark.parametrize("at", ["2026-03-02T10:00:00", "2026-03-02", "yesterday", None, 1772445600])
def test_a_moment_of_recording_without_a_zone_is_refused(ledger: Ledger, at: object) -> None:
    with pytest.raises(StoreError, match="moment of recording"):
        ledger.append([score()], at)


def test_what_is_no_record_is_refused_by_name(ledger: Ledger) -> None:
    with pytest.raises(StoreError, match="keeps no dict.*\n.*Score, Decision"):
        ledger.append([dict(customer_id=7)], AT)


def test_a_refusal_of_the_database_tells_nothing_about_the_person(ledger: Ledger) -> None:
    customer, words = 4711, "my secret words"
    with pytest.raises(StoreError) as refusal:
        ledger.append([reply(customer_id=customer, kind="shouts", text=words)], AT)
    seen = "".join(__import__("traceback").format_exception(refusal.value))
    assert "4711" not in seen and "secret" not in seen


# --- the feature row behind a score


def test_the_hash_of_a_feature_row_is_the_same_from_the_panel_and_from_a_request() -> None:
    names, row = ["a", "b", "c"], np.array([0.1, nan, -0.0])
    other_nan = np.array([0x7FC00001], np.uint32).view(np.float32)[0]
    assert (
        feature_hash(names, row)
        == feature_hash(names, row.astype(np.float32))
        == feature_hash(names, [np.float32(0.1), other_nan, 0.0])
    )


@pytest.mark.parametrize(
    "other",
    [(["a", "b"], [1.0, 2.5]), (["b", "a"], [1.0, 2.0]), (["ab", ""], [1.0, 2.0]), (["a", "b"], [1.0, nan])],
    ids=str,
)
def test_another_feature_row_has_another_hash(other: tuple) -> None:
    assert feature_hash(["a", "b"], [1.0, 2.0]) != feature_hash(*other)


# --- cases and notes


@pytest.mark.parametrize(
    "wrong",
    [
        case_step(event="forgotten"),
        case_step(to_state="far"),
        case_step(to_state="closed"),
        case_step(outcome="paid"),
        note(why=""),
        note(kind="put_off"),
        note(until_on="2026-03-20"),
        note(kind="disagrees"),
        note(opinion="pays"),
        note(kind="hopes"),
    ],
    ids=repr,
)
def test_a_step_or_a_note_that_says_half_of_it_is_refused(ledger: Ledger, wrong: object) -> None:
    with pytest.raises(StoreError, match="out of its range"):
        ledger.append([wrong], AT)
    assert counts(ledger) == [0] * len(KINDS)


def test_notes_are_brought_as_lines_and_a_bad_line_is_named(ledger: Ledger) -> None:
    lines = [
        json.dumps(dict(record="note") | plain_values(note())),
        "",
        json.dumps(dict(record="reply") | plain_values(reply())),
    ]
    assert brought(lines) == [note(), reply()]
    assert ledger.append(brought(lines), AT) == 2
    for bad, said in (
        ("[]", "line 4: says no record"),
        ('{"record": "decision"}', "line 4: says no record"),
        ('{"record": ["note"]}', "line 4: says no record"),
        ("nonsense", "line 4: is not JSON"),
        ('{"record": "note"}', "line 4: missing key customer_id"),
        (lines[0].replace("said_by", "said_bye"), "line 4: unknown key said_bye; missing key said_by"),
        (lines[0].replace("+00:00", ""), "line 4: said_at is not a moment with a time zone"),
    ):
        with pytest.raises(StoreError, match=said):
            brought([*lines, bad])
