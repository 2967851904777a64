"""The choice: what an action is worth, who gets the day's places, what is told about everything left out, and how a case is read from tables."""

import json
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from decide_cases import AT, LIFE, NAN, anybody, everything_in_order

from predelinquency.decide import engine, messages, policy, reading
from predelinquency.ground import records, schema
from predelinquency.ground.core import PolicyError

BOOK = engine.load_book()
RULES = BOOK.policy


def decide(room: dict[str, int] | None = None, **changes: Any) -> records.Decision:
    return engine.decide(BOOK, *everything_in_order(**changes), AT, room)


def test_an_action_is_worth_what_it_prevents_less_what_it_costs() -> None:
    call, due = RULES.actions["hardship_call"], everything_in_order()[0].due
    assert due and engine.lost(RULES, BOOK.at, due).bank_minor == pytest.approx(2500 + 60_000 * 0.3 * 6 * 0.5)
    found = engine.worth(BOOK, (call, "call"), 0.3, due)
    assert found.value == found.both.bank_minor == pytest.approx(0.3 * 56_500 * 0.065 - 800 - 50)
    hardship = 1200 + 60_000 * 0.1 * 0.24 + 46 * 300
    assert found.both.customer_minor == pytest.approx(0.3 * hardship * 0.065 - 100 - 150, abs=0.006)
    assert engine.worth(BOOK, (call, "call"), 0, due).both[:2] == (-850, -250)
    card = replace(due, kind="card", amount_minor=2_500)  # a minimum payment is a small part of what is owed
    assert engine.lost(RULES, BOOK.at, card).bank_minor == pytest.approx(2500 + 2_500 * 0.3 * 25 * 0.5)


def test_nothing_wins_at_zero_and_below() -> None:
    small = replace(everything_in_order()[0].due, amount_minor=1, due_on=date(2026, 3, 4))  # type: ignore[type-var]
    shy = replace(BOOK, at={**BOOK.at, "averts.just_in_time": 0.005})
    d = engine.decide(shy, *everything_in_order(due=small, probability=0.02), AT)
    assert (d.action, d.value_minor, d.customer_minor) == ("nothing", 0, 0)
    assert {r.channel: r.rule for r in d.refusals if r.action == "just_in_time"} == {"app": "harm", "sms": "value"}
    turns = (
        8 / 0.06 / (1200 + 5_000 * 0.1 * 0.24 + 46 * 300)
    )  # a note by app costs the bank nothing: its customer's attention decides
    only = {("app", "service"): everything_in_order()[0].consents["app", "service"]}  # type: ignore[index]
    due, calm = (
        replace(small, amount_minor=5_000, autopay=True),
        replace(BOOK, at={**BOOK.at, "averts.just_in_time": 0.012}),
    )
    said = {
        p: engine.decide(calm, *everything_in_order(due=due, probability=p, consents=only), AT)
        for p in (5 * turns - 0.002, 5 * turns + 0.002)
    }
    assert [d.rule for d in said.values()] == ["harm", "best"] and turns < 0.02


def test_what_averts_nothing_is_never_chosen_however_much_is_at_stake() -> None:
    large = replace(everything_in_order()[0].due, amount_minor=2_000_000)  # type: ignore[type-var]
    nil = {a.id for a in RULES.actions.values() if a.channels and a.uplift_low == 0}
    for probability, lead in ((0.149, 20), (0.149, 5), (1.0, 20), (1.0, 5)):
        d = decide(due=replace(large, due_on=AT.date() + timedelta(days=lead)), probability=probability)
        asked = {r.action for r in d.refusals if r.action in nil and r.rule != "band_allowed"}
        assert asked and d.action not in nil and {r.rule for r in d.refusals if r.action in asked} == {"value"}


def test_a_pause_is_offered_where_a_plan_was_and_nobody_may_call() -> None:
    due = replace(everything_in_order()[0].due, amount_minor=300_000, payday_after_days=NAN)  # type: ignore[type-var]
    mail = {k: v for k, v in everything_in_order()[0].consents.items() if k[0] != "call"}  # type: ignore[union-attr]
    plan = policy.PastContact(AT - timedelta(days=200), "out", "email", "payment_plan")
    assert decide(due=due, consents=mail, probability=0.4).action == "payment_plan"
    d = decide(due=due, consents=mail, contacts=(plan,), probability=0.4)
    assert (d.action, d.channel, d.approval) == ("payment_holiday", "email", "team_lead")
    assert "is shown on your credit file" in d.message and "the total you pay is higher" in d.message


def test_ties_go_to_what_disturbs_least() -> None:
    def option(action: str, value: float, disturbs: tuple[int, int]) -> engine.Option:
        return engine.Option(action, "app", value, disturbs)

    loud, quiet, better = (
        option("hardship_call", 9.0, (5, 8)),
        option("reminder", 9.0, (1, 8)),
        option("payment_plan", 9.01, (4, 8)),
    )
    room = {"channel:app": 9, "action:hardship_call": 9, "action:reminder": 9, "action:payment_plan": 9}
    assert engine.allot([[loud, quiet]], room) == [quiet] and engine.allot([[loud, quiet, better]], room) == [better]
    assert engine.allot([[loud], [quiet]], {**room, "channel:app": 1}) == [None, quiet] and engine.allot(
        [[quiet], [quiet]], {**room, "action:reminder": 1}
    ) == [quiet, None]


def test_who_comes_too_late_gets_the_next_best_or_a_reason() -> None:
    large = replace(everything_in_order()[0].due, amount_minor=200_000)  # type: ignore[type-var]
    many = [policy.put_question(RULES, *everything_in_order(due=large), AT) for _ in range(3)]
    many = [
        replace(
            q, case=replace(q.case, customer_id=n), score=replace(q.score, customer_id=n, probability=0.3 + n / 100)
        )
        for n, q in enumerate(many)
    ]
    none = {k: 0 for k in engine.capacities(RULES)}
    full = engine.decide_all(BOOK, many)
    scarce = engine.decide_all(BOOK, many, engine.capacities(RULES) | {f"action:{full[2].action}": 1})
    assert (
        len({d.action for d in full}) == 1
        and [d.action == full[2].action for d in scarce] == [False, False, True]
        and all(d.channel for d in scarce)
    )
    nothing = engine.decide_all(BOOK, many, none)
    assert {(d.action, d.rule, d.message) for d in nothing} == {("nothing", "capacity", "")} and all(
        d.intended == full[0].action for d in nothing
    )


def test_the_days_worth_is_close_to_the_best_there_is() -> None:
    from scipy.optimize import linprog
    from scipy.sparse import coo_array

    rng = random.Random(5)
    asked = [policy.put_question(RULES, *anybody(rng, n)) for n in range(6000)]
    lists = [engine.weigh(BOOK, q)[0] if not policy.case_refusals(q) else [] for q in asked]
    room = {k: min(v, 40) for k, v in engine.capacities(RULES).items()} | {"channel:call": 10, "channel:app": 60}
    got = sum(o.value for o in engine.allot(lists, room) if o)
    flat, keys = [(n, o) for n, row in enumerate(lists) for o in row], list(room)
    rows = [(n, i) for i, (n, _) in enumerate(flat)] + [
        (len(lists) + keys.index(k), i)
        for i, (_, o) in enumerate(flat)
        for k in (f"action:{o.action}", f"channel:{o.channel}")
    ]
    weights = coo_array(
        (np.ones(len(rows)), tuple(zip(*rows, strict=True))), shape=(len(lists) + len(keys), len(flat))
    ).tocsr()
    bound = -linprog(
        [-o.value for _, o in flat], A_ub=weights, b_ub=[1] * len(lists) + [room[k] for k in keys], bounds=(0, 1)
    ).fun
    assert len(flat) > 500 and 0.95 * bound <= got <= bound + 1e-6


def test_every_decision_says_why_and_every_refusal_names_its_rule() -> None:
    d = decide()
    assert d.rule == "best" and d.message and d.policy == BOOK.version
    assert {r.rule for r in d.refusals} <= set(RULES.rules) and all(
        r.sentence == RULES.rules[r.rule].sentence for r in d.refusals
    )
    told = {(r.action, r.channel) for r in d.refusals} | {(d.action, d.channel)}
    assert all((a.id, "") in told or (a.id, c) in told for a in RULES.actions.values() for c in a.channels), (
        "each action and channel is either done or refused"
    )


def test_without_any_record_nobody_is_contacted() -> None:
    for unknown in (
        dict(consents=None),
        dict(circumstances=None),
        dict(contacts=None),
        dict(due=None),
        dict(time_zone=None),
        dict(source_id=None),
        dict(probability=float("nan")),
    ):
        d = decide(**unknown)
        assert (
            (d.action, d.channel, d.message, d.message_id) == ("nothing", "", "", "")
            and d.rule in RULES.rules
            and d.because
        )


def test_the_control_group_is_weighed_but_never_contacted() -> None:
    control = next(f"C-{n}" for n in range(99) if policy.arm(RULES, f"C-{n}") == "control")
    d, twin = decide(source_id=control), decide()
    assert (d.action, d.rule, d.arm, d.propensity, d.message) == (
        "nothing",
        "control",
        "control",
        0.1,
        "",
    ) and d.intended == twin.intended == twin.action != "nothing"
    careful = dict.fromkeys(LIFE, False) | {"vulnerable": True}
    assert (
        not decide(source_id=control, circumstances=careful).review
        and decide(circumstances=careful, consents=None).review
    )


def test_a_person_looks_at_what_a_message_must_not_do() -> None:
    careful = dict.fromkeys(LIFE, False) | {"vulnerable": True}
    assert (
        decide(circumstances=careful, consents=None).review
        and not decide(circumstances=careful, consents=None, probability=0.001).review
    )
    large = replace(everything_in_order()[0].due, amount_minor=200_000)  # type: ignore[type-var]
    called = decide(due=large, circumstances=careful, probability=0.6)
    assert called.action == "hardship_call" and called.approval == "specialist" and not called.review
    assert decide(due=replace(everything_in_order()[0].due, amount_minor=3_000_000)).review  # type: ignore[type-var]


def test_a_message_that_breaks_a_rule_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    before = decide()
    bad = replace(BOOK.words.templates[before.action, before.channel], parts=(("offer", "Pay now!"),))
    book = replace(
        BOOK, words=replace(BOOK.words, templates={**BOOK.words.templates, (before.action, before.channel): bad})
    )
    after = engine.decide(book, *everything_in_order(), AT)
    assert (before.action, before.channel) != (after.action, after.channel) and "message_ready" in {
        r.rule for r in after.refusals
    }
    nothing = engine.decide(replace(BOOK, words=replace(BOOK.words, templates={})), *everything_in_order(), AT)
    assert (nothing.action, nothing.rule) == ("nothing", "message_ready")


def test_words_that_fail_as_they_stand_are_taken_back_and_their_place_goes_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    "What is judged for many at once is judged again whole before it is sent; without that, the first customer here would get a broken message."
    many = [policy.put_question(RULES, *everything_in_order(), AT) for _ in range(3)]
    many = [
        replace(
            q,
            case=replace(q.case, customer_id=n, due=replace(q.case.due, amount_minor=200_000 + 100 * n)),
            score=replace(q.score, customer_id=n),
        )
        for n, q in enumerate(many)
    ]
    best = engine.decide_all(BOOK, many)[0].action
    room = (
        {k: 0 for k in engine.capacities(RULES)}
        | {f"action:{best}": 1}
        | {f"channel:{c}": 9 for c in ("app", "email", "sms")}
    )
    assert [d.action for d in engine.decide_all(BOOK, many, room)] == ["nothing", "nothing", best]
    whole = messages.broken
    monkeypatch.setattr(
        messages,
        "broken",
        lambda words, m, action: (
            whole(words, m, action) + ([messages.Broken("no_threat", "", "")] if "2,002.00" in m.whole else [])
        ),
    )
    BOOK.words.judged.clear()
    assert engine.decide_all(BOOK, many[:2], room)[1].action == best
    third = engine.decide_all(BOOK, many, room)
    assert (
        [d.action for d in third] == ["nothing", best, "nothing"]
        and "message_ready" in {r.rule for r in third[2].refusals}
        and not third[2].message
    )
    BOOK.words.judged.clear()


def test_asking_twice_about_one_customer_is_refused() -> None:
    q = policy.put_question(RULES, *everything_in_order(), AT)
    with pytest.raises(PolicyError, match="twice"):
        engine.decide_all(BOOK, [q, q])


def test_the_same_questions_give_the_same_plan_in_any_order() -> None:
    rng = random.Random(9)
    asked = [policy.put_question(RULES, *anybody(rng, n)) for n in range(3000)]
    one, two = engine.decide_all(BOOK, asked), engine.decide_all(engine.load_book(), asked)
    assert one == two or [repr(d) for d in one] == [repr(d) for d in two]  # nan is not itself
    sent = Counter(d.action for d in one)
    assert Counter(d.action for d in engine.decide_all(BOOK, asked[::-1])) == sent


# ── from tables ──

DAY = pd.Timestamp("2026-03-02").as_unit("ms")


def time(text: str) -> pd.Timestamp:
    return pd.Timestamp(text).as_unit("ms")


def word(values: Any, words: tuple[str, ...]) -> pd.Categorical:
    return pd.Categorical(list(values), categories=list(words))


def tables() -> dict[str, Any]:
    "Three customers: one with many dues, one without a clock, one whose due is a day past the horizon."
    people = pd.DataFrame(
        dict(
            customer_id=[0, 1, 2],
            source_id=["C-a", "C-b", "C-c"],
            joined_on=[time("2020-01-01")] * 3,
            segment=[None] * 3,
            time_zone=["Europe/London", "Mars/Olympus", "Asia/Kathmandu"],
        )
    )
    rows = [
        (0, 5, 3, "loan", "2026-01-01", "2026-03-16", 9_000),
        (0, 6, 1, "loan", "2026-01-01", "2026-03-17", 30_000),
        (0, 7, 1, "card", "2026-03-02", "2026-03-18", 99_000),
        (0, 8, 1, "utility", "2026-01-01", "2026-03-18", 7_000),
        (0, 9, 1, "card", "2026-03-01", "2026-03-19", 20_000),
        (0, 10, 1, "mortgage", "2026-01-01", "2026-03-19", 80_000),
        (1, 11, 1, "rent", "2026-01-01", "2026-03-30", 60_000),
        (2, 12, 2, "rent", "2026-01-01", "2026-03-31", 60_000),
    ]
    dues = pd.DataFrame(
        rows, columns=["customer_id", "obligation_id", "instalment", "kind", "announced_at", "due_on", "amount_minor"]
    ).assign(currency="GBP", autopay=False)
    dues = dues.assign(
        announced_at=pd.to_datetime(dues.announced_at).astype("datetime64[ms]"),
        due_on=pd.to_datetime(dues.due_on).astype("datetime64[ms]"),
    )
    paid = pd.DataFrame(
        dict(
            customer_id=[0, 0],
            obligation_id=[6, 10],
            instalment=[1, 1],
            paid_at=[time("2026-02-20"), time("2026-03-01")],
            arrived_at=[time("2026-02-21"), time("2026-03-02")],
            due_on=[time("2026-03-17"), time("2026-03-19")],
            amount_minor=[30_000, 80_000],
        )
    )
    rows = [
        (c, ch, p, True, time("2025-05-05"), False)
        for c in (0, 1)
        for ch in sorted(schema.CHANNELS)
        for p in schema.PURPOSES
    ]
    preferences = pd.DataFrame(rows, columns=schema.PREFERENCES.names)
    preferences = preferences.assign(
        channel=word(preferences.channel, schema.CHANNELS),
        purpose=word(preferences.purpose, schema.PURPOSES),
        recorded_at=preferences.recorded_at.astype("datetime64[ms]"),
    )
    told = pd.DataFrame(dict(customer_id=[0, 1, 2]) | dict.fromkeys(LIFE, [False] * 3))
    contacts = pd.DataFrame(
        dict(
            customer_id=[0],
            contacted_at=[time("2026-01-10 09:00")],
            direction=word(["out"], ("in", "out")),
            channel=word(["sms"], schema.CHANNELS),
            action=["reminder"],
            answered=[True],
        )
    )
    for table, made in ((schema.PREFERENCES, preferences), (schema.CIRCUMSTANCES, told), (schema.CONTACTS, contacts)):
        schema.validate(table, made)
    looked = pd.DataFrame(dict(customer_id=[0, 1, 2], doubts=[()] * 3, data_age_days=[1.0] * 3))
    said = dict(preferences=preferences, circumstances=told, contacts=contacts, looked=looked)
    return dict(people=people, dues=dues, paid=paid) | said


def test_the_due_to_speak_about_is_announced_unpaid_and_inside_the_horizon() -> None:
    t = tables()
    found = engine.coming(t["dues"], t["paid"], DAY, 15, 28).set_index("customer_id")
    # 5 is before the horizon, 6 is paid, 7 not announced before the day, 8 no target; 9 and 10 fall on one day: 10 is larger, and its payment not known yet
    assert found.obligation_id.to_dict() == {0: 10, 1: 11}


def test_what_a_missing_table_would_have_said_is_unknown_and_refused() -> None:
    t = tables()
    dues = engine.coming(t["dues"], t["paid"], DAY, 15, 28)
    scores = {n: records.Score(n, "2026-03-02", 0.1, 0.0, "test") for n in range(3)}

    def rules(**more: Any) -> list[str]:
        return [
            d.rule
            for d in engine.decide_all(
                BOOK,
                engine.questions(BOOK, engine.cases(t["people"], dues, engine.Told(**more)), scores, date(2026, 3, 2)),
            )
        ]

    whole = {table: t[table] for table in engine.Told._fields if table in t}
    arms = [policy.arm(RULES, s) for s in t["people"].source_id]
    assert arms == ["treated"] * 3 and rules(**whole) == ["best", "time_zone_known", "due_known"]
    without = {table: rules(**{**whole, table: None})[0] for table in whole}
    assert without == dict(
        preferences="consent",
        circumstances="circumstances_known",
        contacts="contact_history_known",
        looked="data_sound",
    )
    assert rules(**{**whole, "circumstances": t["circumstances"].iloc[1:]})[0] == "circumstances_known" and rules() == [
        "data_sound",
        "time_zone_known",
        "due_known",
    ]


def test_a_customer_is_spoken_to_in_the_language_they_chose() -> None:
    usual = decide()
    spanish, english = decide(language="es"), decide(language="en")
    assert (spanish.action, spanish.channel, spanish.value_minor) == (usual.action, usual.channel, usual.value_minor)
    assert ".es@" in spanish.message_id and "24 de marzo de 2026" in spanish.message
    assert english == usual and "24 March 2026" in usual.message


@pytest.mark.parametrize("language", ["pl", "ES", "spanish", NAN, 5, ()])
def test_nobody_is_offered_in_writing_what_they_cannot_read(language: Any) -> None:
    d = decide(language=language)
    assert (d.action, d.message, d.rule) == ("nothing", "", "language_written") and d.review
    assert {r.rule for r in d.refusals if r.action == d.intended} <= {"language_written"}
    large = replace(everything_in_order()[0].due, amount_minor=1_900_000)  # type: ignore[type-var]
    call = decide(language=language, due=large, probability=0.3)
    assert (call.action, call.channel) == ("hardship_call", "call"), "a person may call, and can find an interpreter"


def test_a_table_without_the_columns_of_a_language_says_what_it_said() -> None:
    t = tables()
    dues, told = engine.coming(t["dues"], t["paid"], DAY, 15, 28), engine.Told(t["preferences"], t["circumstances"])
    plain = [repr(c) for c in engine.cases(t["people"], dues, told)]
    more = t["preferences"].assign(language=None, not_from_hour=None, not_to_hour=None)
    whole = {"not_from_hour": "Int32", "not_to_hour": "Int32", "language": "str"}
    assert list(schema.validate(schema.PREFERENCES, t["preferences"])) == schema.PREFERENCES.names
    schema.validate(schema.PREFERENCES, more.astype(whole))
    again = engine.cases(t["people"], dues, told._replace(preferences=more.astype(whole)))
    assert [repr(c) for c in again] == plain and "language=None" in plain[0]


def test_the_language_recorded_last_counts() -> None:
    t = tables()["preferences"]
    rows = t[t.customer_id == 0].head(3).assign(language=["en", "es", None])
    rows["recorded_at"] = pd.to_datetime(["2025-01-02", "2025-01-01", "2025-03-01"])
    assert engine.languages(rows) == {0: "en"}
    rows["recorded_at"] = pd.to_datetime(["2025-01-02", None, "2025-03-01"])
    assert engine.languages(rows) == {0: "es"}, "a word without a date may be the latest"


def test_a_contact_of_yesterday_is_read_with_its_time_in_utc() -> None:
    t = tables()
    case = next(
        iter(
            engine.cases(
                t["people"], t["dues"].iloc[:0], engine.Told(t["preferences"], t["circumstances"], t["contacts"])
            )
        )
    )
    assert (
        case.contacts == (policy.PastContact(datetime(2026, 1, 10, 9, tzinfo=UTC), "out", "sms", "reminder", True),)
        and case.due is None
    )
    assert case.consents is not None and case.consents["app", "service"].recorded_at == datetime(2025, 5, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rows", "given"),
    [
        ([(False, "2025-06-20"), (True, "2024-01-01")], False),
        ([(True, "2024-01-01"), (False, "2025-06-20")], False),
        ([(True, "2025-06-20"), (False, "2024-01-01")], True),
        ([(True, "2025-06-20"), (False, "2025-06-20")], False),
        ([(False, "2025-06-20"), (True, "2025-06-20")], False),
        ([(None, "2025-06-20"), (True, "2025-06-20")], None),
        ([(False, None), (True, "2025-06-20")], False),
        ([(True, "2025-06-20"), (True, None)], True),
    ],
)
def test_of_two_words_about_one_channel_the_later_counts_and_a_withdrawal_wins_a_tie(
    rows: list[tuple[bool | None, str | None]], given: bool | None
) -> None:
    table = pd.DataFrame(
        [(0, "app", "support", consent, at, False) for consent, at in rows], columns=schema.PREFERENCES.names
    )
    said = engine.consents(table.assign(recorded_at=pd.to_datetime(table.recorded_at)))[0][0]["app", "support"]
    assert said.given is given and (said.recorded_at is None) == any(at is None for _, at in rows), (
        "a word without a date may be the latest"
    )


@pytest.mark.parametrize(
    ("lead", "to_pay", "rhythm", "after"),
    [
        (18, 23, 30, 5),
        (18, 18, 30, 0),
        (18, 17, 30, 29),
        (28, 1, 14, np.nan),
        (18, np.nan, 30, np.nan),
        (18, 5, np.nan, np.nan),
        (18, 0, 28, 10),
    ],
)
def test_payday_after_the_due_date_is_counted_in_whole_rhythms(
    lead: float, to_pay: float, rhythm: float, after: float
) -> None:
    assert engine.payday_after_days(lead, to_pay, rhythm) == pytest.approx(after, nan_ok=True)


def test_the_plan_is_a_table_that_keeps_its_contract(tmp_path: Path) -> None:
    rng = random.Random(3)
    asked = [policy.put_question(RULES, *anybody(rng, n)) for n in range(400)]
    asked = [
        q for q in asked if isinstance(q.score.as_of, str) and isinstance(q.score.probability, float)
    ]  # what a table of scores and dues can hold
    asked = [
        q
        for q in asked
        if q.case.due is None or (isinstance(q.case.due.amount_minor, int) and type(q.case.due.due_on) is date)
    ]
    decisions = engine.decide_all(BOOK, asked)
    plan = engine.frame(decisions, asked)
    plan.to_parquet(tmp_path / "plan.parquet")
    assert (
        schema.validate(engine.PLAN, pd.read_parquet(tmp_path / "plan.parquet"))
        .action.value_counts()
        .equals(plan.action.value_counts())
    )
    assert (plan.action == "nothing").equals(plan.channel == "") and all(
        json.loads(r) for r in plan.refusals[plan.action == "nothing"]
    )
    day = reading.summary(BOOK, plan)
    assert (
        day["contacted"] == sum(day["channels"].values()) > 0
        and json.dumps(day)
        and reading.why_not(BOOK, plan).customers.sum() == day["actions"]["nothing"]
    )
    assert timedelta(0) == datetime.fromisoformat(plan.decided_at[0]).utcoffset()


def test_a_day_without_scores_has_an_empty_plan() -> None:
    plan = engine.frame([], [])
    assert (
        len(plan) == 0
        and list(plan.columns) == engine.PLAN.names
        and reading.summary(BOOK, plan)["contacted"] == 0
        and len(reading.why_not(BOOK, plan)) == 0
    )


# ── and back to records ──


def test_a_plan_gives_back_the_decisions_it_was_made_from(tmp_path: Any) -> None:
    rng = random.Random(3)
    asked = [policy.put_question(RULES, *anybody(rng, n)) for n in range(2000)]
    asked = [
        q for q in asked if isinstance(q.score.as_of, str)
    ]  # the plan is a table of the day: a score of no date is not in it
    asked = [
        q
        for q in asked
        if q.case.due is None
        or isinstance(q.case.due.due_on, date)
        and q.case.due.due_on == q.case.due.due_on
        and isinstance(q.case.due.amount_minor, int)
    ]
    made = engine.decide_all(BOOK, asked)
    rows = engine.frame(made, asked)
    rows.to_parquet(tmp_path / "plan.parquet", index=False)
    for plan in (rows, pd.read_parquet(tmp_path / "plan.parquet")):
        back = engine.decisions(plan)
        assert [repr(d) for d in back] == [repr(d) for d in made]  # nan is not itself, so `==` would not do
        assert {type(d.obligation_id) for d in back} == {int, type(None)} and len({d.action for d in back}) > 4
    assert engine.decisions(rows[:0]) == []


# ── the day's prices ──


def test_the_day_tells_its_prices_and_a_single_request_pays_them() -> None:
    large = replace(everything_in_order()[0].due, amount_minor=200_000)  # type: ignore[type-var]
    asked = []
    for n in range(30):
        case, score = everything_in_order(due=large, customer_id=n, probability=0.05 + n / 1000)
        asked.append(policy.put_question(RULES, case, replace(score, customer_id=n), AT))
    wanted = engine.decide_all(BOOK, asked)
    room = engine.capacities(RULES) | {f"action:{a}": 4 for a in {d.action for d in wanted}}
    made, shares = engine.plan_day(BOOK, asked, room)
    told = reading.summary(BOOK, engine.frame(made, asked), shares)
    assert told["shares"]["value_minor"] == pytest.approx(sum(d.value_minor for d in made)) == told["value_minor"]
    assert shares.plain_minor <= shares.value_minor <= shares.bound_minor and 0 <= shares.gap < 0.01
    assert set(shares.prices) >= set(room) and max(shares.prices.values()) > 0
    alone = [engine.decide(BOOK, q.case, q.score, AT, None, shares.prices) for q in asked]
    assert [d.action for d in alone] == [d.action for d in made] != [d.action for d in wanted]
    assert all(d.rule == "capacity" for d in alone if not d.channel)
