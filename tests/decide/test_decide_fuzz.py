"""Twenty thousand customers and moments against a checker that shares no code with the engine: only the policy's numbers and the decisions themselves."""

import hashlib
import math
import random
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import decide_cases
import pytest
import yaml

from predelinquency.decide import engine, policy
from predelinquency.decide.policy import Case, Question
from predelinquency.ground.records import Decision, Propensity, Score

HOW_MANY = 20_000
ACTIONS = {a["id"]: a for a in yaml.safe_load((policy.shipped() / "actions.yaml").read_text())}
NUMBERS = {k: v["value"] for k, v in yaml.safe_load((policy.shipped() / "caps.yaml").read_text()).items()}
SAID = yaml.safe_load((policy.shipped() / "ledgers.yaml").read_text())
AT = {k: NUMBERS[k] if v["value"] is None else v["value"] for k, v in SAID.items()}
BANDS = [(b["from"], b["id"]) for b in yaml.safe_load((policy.shipped() / "bands.yaml").read_text())]
PLENTY = {f"action:{a}": HOW_MANY for a in ACTIONS} | {
    f"channel:{c}": HOW_MANY for c in ("app", "email", "sms", "call")
}


def is_control(source_id: str) -> bool:
    return (
        int.from_bytes(hashlib.blake2b(f"predelinquency-holdout-1:{source_id}".encode(), digest_size=8).digest(), "big")
        < 2**64 // 10
    )


def numeric(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def aware(value: Any) -> bool:
    return isinstance(value, datetime) and value == value and value.tzinfo is not None


FREE = {  # bank holidays of England and Wales, from gov.uk
    *("2025-01-01 2025-04-18 2025-04-21 2025-05-05 2025-05-26 2025-08-25 2025-12-25 2025-12-26".split()),
    *("2026-01-01 2026-04-03 2026-04-06 2026-05-04 2026-05-25 2026-08-31 2026-12-25 2026-12-28".split()),
    *("2026-12-26 2027-01-01".split()),  # a Saturday: Monday is free in its place, but nobody works on the day itself
}


def objections(case: Case, score: Score, at: datetime) -> Iterator[str]:
    "Why this customer must not be contacted now, whatever the action: written down anew, from the sentences of the rules."
    if not (isinstance(case.source_id, str) and case.source_id):
        yield "nobody knows who that is"
    elif is_control(case.source_id):
        yield "control"
    if case.stopped is not False:
        yield "they asked us to stop"
    if case.contested is not False:
        yield "they contest what was said of them"
    if case.put_off_until is not None:
        try:
            there = at.astimezone(ZoneInfo(case.time_zone)).date() >= case.put_off_until  # type: ignore[arg-type]
        except Exception:
            there = False
        if not there:
            yield "a person put it off"
    if not case.case_id and not (numeric(score.probability) and score.probability >= 0.02):
        yield "no case"
    if score.customer_id != case.customer_id or not numeric(score.probability) or not 0 <= score.probability <= 1:
        yield "no usable score"
    try:
        local = at.astimezone(ZoneInfo(case.time_zone)) if case.time_zone not in ("localtime", "Factory") else None
    except Exception:
        local = None
    if local is None:
        yield "no clock"
    try:
        age = (local.date() - date.fromisoformat(score.as_of)).days
    except Exception:
        age = None
    if age is None or age < 0 or age > 7:
        yield "stale score"
    if case.doubts != ():
        yield "the data contradict themselves, or nobody looked"
    if not numeric(case.data_age_days) or not 0 <= case.data_age_days <= 35:
        yield "old data"
    due = case.due
    if (
        due is None
        or not numeric(due.amount_minor)
        or due.amount_minor <= 0
        or due.amount_minor > 2_000_000
        or due.currency != "GBP"
    ):
        yield "no due to speak about"
    elif not isinstance(due.due_on, date) or due.due_on != due.due_on or local is None or due.due_on <= local.date():
        yield "not before the due date"
    life = case.circumstances or {}
    if any(type(life.get(name)) is not bool for name in decide_cases.LIFE):
        yield "circumstances not known"
    if any(life.get(name) is True for name in decide_cases.LIFE if name != "vulnerable"):
        yield "suppressed"
    past = case.contacts
    if past is None or any(not aware(c.at) or c.at > at or c.direction not in ("in", "out") for c in past):
        yield "history not known"
    else:
        hours = [(at - c.at).total_seconds() / 3600 for c in past if c.direction == "out"]
        if sum(h < 7 * 24 for h in hours) >= 1:
            yield "second contact in 7 days"
        if sum(h < 30 * 24 for h in hours) >= 2:
            yield "third contact in 30 days"
        inbound = [c for c in past if c.direction == "in"]
        if any(c.answered is not True for c in inbound):
            yield "a reply is waiting"
        if any((at - c.at).total_seconds() < 3 * 86_400 for c in inbound):
            yield "they just talked to us"
    if local is not None:
        first, last = (10, 18) if local.isoweekday() > 5 else (8, 20)
        if not first <= local.hour < last:
            yield "quiet hours"
        hour = local.hour
        if any(a <= hour < b if a < b else not b <= hour < a for a, b in case.not_at):
            yield "an hour they asked us not to use"
        if local.date().isoformat() in FREE:
            yield "a public holiday"


def permitted(case: Case, score: Score, at: datetime) -> dict[tuple[str, str], float]:
    "Every action and channel that may be used now, with what it is worth; nothing is worth 0 and not listed."
    if any(objections(case, score, at)):
        return {}
    found, due, local = {}, case.due, at.astimezone(ZoneInfo(case.time_zone)).date()
    band = [name for start, name in BANDS if score.probability >= start][-1]
    open_ = due.amount_minor * 0.3 * (25 if due.kind == "card" else 6) * 0.5
    hardship = 1200 + due.amount_minor * 0.1 * 0.24 + 46 * 300
    bank, own = (0, hardship + open_) if due.kind == "rent" else (2500 + open_, hardship)
    for name, a in ACTIONS.items():
        for channel in a["channels"]:
            consent = (case.consents or {}).get((channel, a["purpose"]))
            after = due.payday_after_days
            yes = [
                band in a["bands"],
                due.kind in a["kinds"],
                a["lead_days"][0] <= (due.due_on - local).days <= a["lead_days"][1],
                a["autopay"] == "any" or due.autopay is False,
                not a["payday_after_days"] or (numeric(after) and 1 <= after <= 14),
                case.circumstances["vulnerable"] is False or name == "hardship_call",
                not any(
                    c.direction == "out" and c.action == name and c.due == (due.obligation_id, due.instalment)
                    for c in case.contacts
                ),
                not any(
                    c.direction == "out"
                    and (c.action == name or c.action == "help-offer")
                    and (at - c.at).total_seconds() < a["cool_off_days"]["value"] * 86_400
                    for c in case.contacts
                ),
                consent is not None
                and consent.given is True
                and aware(consent.recorded_at)
                and consent.recorded_at <= at,
                not case.preferred or channel in case.preferred,
                case.language in (None, "en", "es") or name == "hardship_call",
            ]
            paid = a["cost_minor"]["value"] + NUMBERS[f"{channel}_cost_minor"]
            borne = a["harm_minor"]["value"] + NUMBERS[f"{channel}_annoyance_minor"]
            averted = score.probability * AT[f"averts.{name}"]
            gates = a["uplift_low"]["value"] > 0 and averted * own - borne > -0.005
            if all(yes):
                found[name, channel] = averted * bank - paid if gates else min(averted * bank - paid, 0.0)
    return found


def violations(q: Question, d: Decision) -> list[str]:
    "What is wrong with one decision, when there is room for everybody."
    options = permitted(q.case, q.score, q.at)
    best = max(options.values(), default=0)
    said = bool(d.channel or d.message or d.subject or d.message_id)
    wrong = [reason for reason in objections(q.case, q.score, q.at) if said]
    if said and (d.action, d.channel) not in options:
        wrong.append(f"{d.action} by {d.channel} is not permitted")
    if d.rule == "lottery":
        return wrong + unfair(d, options)
    if d.propensities != (Propensity(d.action, 1.0),):
        wrong.append("a choice that was none of chance, logged as one")
    if said and (not d.message or d.rule != "best" or d.value_minor <= 0):
        wrong.append("sent without words or worth")
    if said != (d.action != "nothing"):
        wrong.append("nothing means nothing")
    if said and abs(options.get((d.action, d.channel), 0) - d.value_minor) > 0.006:
        wrong.append("its worth is wrong")
    if said and d.value_minor < best - 0.006:
        wrong.append("something permitted is worth more")
    if not said and best > 0.006:
        wrong.append("refused although permitted and worthwhile")
    if (
        not d.because
        or (not said and (d.rule == "best" or not d.refusals))
        or any(not r.rule or not r.sentence for r in d.refusals)
    ):
        wrong.append("a refusal without its rule")
    if said and d.approval != ACTIONS[d.action]["approval"]:
        wrong.append("somebody was not asked")
    return wrong


def unfair(d: Decision, options: dict[tuple[str, str], float]) -> list[str]:
    "What is wrong with a decision that chance made: what the drum must hold is written down anew."
    quiet = {a for a, _ in options if ACTIONS[a]["approval"] == "automatic" and not ACTIONS[a]["harm_minor"]["value"]}
    chances, wrong = {p.action: p.probability for p in d.propensities}, []
    if set(chances) != {"nothing", *quiet} or len(chances) < 2:
        wrong.append("the drum holds something else than nothing and all that is harmless and permitted")
    if abs(sum(chances.values()) - 1) > 1e-12 or min(chances.values()) < NUMBERS["lottery_floor"]:
        wrong.append("the probabilities are none, or below the floor")
    if d.action not in chances or d.arm != "treated" or (d.channel != "") != bool(d.message):
        wrong.append("drawn from outside the drum, or for the control group, or without words")
    if any(worth > 0.006 and worth == max(options.values()) and a not in quiet for (a, _), worth in options.items()):
        wrong.append("chance took something worthwhile away")
    return wrong


@pytest.fixture(scope="module")
def book() -> engine.Book:
    return engine.load_book()


@pytest.fixture(scope="module")
def decisions(book: engine.Book, crowd: list[Question]) -> list[Decision]:
    return engine.decide_all(book, crowd, PLENTY)


@pytest.fixture(scope="module")
def crowd(book: engine.Book) -> list[Question]:
    rng = random.Random(20260303)
    return [policy.put_question(book.policy, *decide_cases.anybody(rng, n)) for n in range(HOW_MANY)]


def test_twenty_thousand_customers_and_moments_break_no_rule(crowd: list[Question], decisions: list[Decision]) -> None:
    broken = [(q, d, wrong) for q, d in zip(crowd, decisions, strict=True) if (wrong := violations(q, d))]
    assert not broken, f"{len(broken)} decisions, first: {broken[0]}"


def test_the_fuzz_reaches_every_rule_and_every_action(
    book: engine.Book, crowd: list[Question], decisions: list[Decision]
) -> None:
    contacted = sum(d.channel != "" for d in decisions)  # without this the test above could pass by contacting nobody
    nil = {name for name, a in ACTIONS.items() if a["channels"] and not a["uplift_low"]["value"]}
    chosen, outranked = set(ACTIONS) - nil, {r.action for d in decisions for r in d.refusals if r.rule == "outranked"}
    assert chosen - {"payment_holiday"} <= {d.action for d in decisions if d.rule != "lottery"} <= chosen
    assert contacted > 1_000  # a quarter of the dues is rent, which is not owed to the bank
    assert "payment_holiday" in outranked, "a plan is worth more than a pause wherever both are allowed"
    assert {r.action for d in decisions for r in d.refusals if r.rule == "value"} >= nil, "weighed, and worth nothing"
    said_no = {r.rule for d in decisions for r in d.refusals}
    of_the_day = {"all_stopped", "rules_in_force"}  # about no customer: test_packs
    assert said_no >= set(book.policy.rules) - {"best", "capacity", "message_ready"} - of_the_day
    assert {r.rule for d in engine.decide_all(book, crowd[:4000]) for r in d.refusals} >= {"capacity"}


def test_control_customers_are_never_contacted_at_any_moment(crowd: list[Question], decisions: list[Decision]) -> None:
    control = [
        (q, d)
        for q, d in zip(crowd, decisions, strict=True)
        if isinstance(q.case.source_id, str) and q.case.source_id and is_control(q.case.source_id)
    ]
    assert 0.09 < len(control) / HOW_MANY < 0.11
    assert all(
        d.action == "nothing"
        and not d.channel
        and not d.message
        and d.review is (q.case.contested is True)
        and "control" in {r.rule for r in d.refusals}
        for q, d in control
    )
    assert (
        sum(d.intended != "nothing" for _, d in control) > 50
    )  # what their case called for is kept, for the comparison


def test_the_day_is_never_overbooked_and_no_place_is_wasted(book: engine.Book, crowd: list[Question]) -> None:
    room = {k: 40 for k in PLENTY} | {"channel:call": 7, "action:nothing": 0}
    decisions = engine.decide_all(book, crowd[:4000], room)
    used = Counter(k for d in decisions if d.channel for k in (f"action:{d.action}", f"channel:{d.channel}"))
    assert all(used[k] <= room[k] for k in used) and used["channel:call"] == 7
    free = {k for k in room if used[k] < room[k]}
    for q, d in zip(crowd, decisions, strict=False):
        left = {
            o
            for o, worth in permitted(q.case, q.score, q.at).items()
            if worth > 0.006 and f"action:{o[0]}" in free and f"channel:{o[1]}" in free
        }
        assert d.channel or not left, f"{left} were possible for {q}"
        if d.rule == "capacity":
            assert any(r.rule == "capacity" for r in d.refusals)


BACKED_UP = {
    "band_known",
    "time_zone_known",
    "due_ahead",
    "due_known",
    "control",
    "case_open",  # below the line no action is meant for anybody
    "all_stopped",
    "rules_in_force",
}  # another rule, or the engine itself, stops the same cases


@pytest.mark.parametrize("name", [*policy.CASE_RULES, *policy.ACTION_RULES, *policy.CHANNEL_RULES])
def test_the_checker_notices_a_rule_that_always_agrees(
    name: str, book: engine.Book, crowd: list[Question], decisions: list[Decision], monkeypatch: pytest.MonkeyPatch
) -> None:
    touched = [
        q for q, d in zip(crowd, decisions, strict=True) if name in {r.rule for r in d.refusals}
    ]  # for the others nothing changes
    touched = touched[:2_500]
    for rules in (policy.CASE_RULES, policy.ACTION_RULES, policy.CHANNEL_RULES):
        if name in rules:
            monkeypatch.setitem(rules, name, lambda *question: True)
    found = any(violations(q, d) for q, d in zip(touched, engine.decide_all(book, touched, PLENTY), strict=True))
    assert found or name in BACKED_UP
