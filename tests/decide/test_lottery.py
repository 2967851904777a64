"""Chance decides for a few: as often as it is logged, never for the control group, never beyond the room, and never what may not be drawn."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import decide_cases
import numpy as np
import pytest
from decide_cases import AT, anybody, everything_in_order

from predelinquency.decide import engine, lottery, policy
from predelinquency.decide.policy import Question
from predelinquency.ground.core import PolicyError
from predelinquency.ground.records import Decision
from predelinquency.judge.effects import Trial, aipw, propensities_hold

BOOK = engine.load_book()
HOW_MANY = 20_000


def with_numbers(**values: Any) -> engine.Book:
    "The shipped book with other numbers, also ones that the house would not allow."
    numbers = {k: replace(n, value=values.get(k, n.value)) for k, n in BOOK.policy.numbers.items()}
    return replace(BOOK, policy=replace(BOOK.policy, numbers=numbers))


EVERYBODY = with_numbers(lottery_share=1)
WIDE = with_numbers(lottery_share=1, lottery_harm_minor=1e9, lottery_approval=1)
PLENTY = dict.fromkeys(engine.capacities(BOOK.policy), 10 * HOW_MANY)


def crowd(book: engine.Book, n: int, night: int = 0, **changes: Any) -> list[Question]:
    "Customers for whom everything is in order, of different risk; what may be done for them is a reminder."
    at, asked, rng = AT + timedelta(days=7 * night), [], random.Random(night)
    for who in range(n):
        case, score = everything_in_order(**changes)
        due = replace(case.due, due_on=at.date() + timedelta(days=5))  # type: ignore[type-var]
        case = replace(case, customer_id=who, source_id=f"K-{who}", due=due)
        score = replace(score, customer_id=who, as_of=f"{at:%Y-%m-%d}", probability=rng.uniform(0.02, 0.149))
        asked.append(policy.put_question(book.policy, case, score, at))
    return asked


def logged(d: Decision) -> dict[str, float]:
    return {p.action: p.probability for p in d.propensities}


@pytest.fixture(scope="module", params=["shipped", "wide"])
def fuzzed(request: pytest.FixtureRequest) -> Iterator[tuple[engine.Book, list[Question], list[Decision]]]:
    book, rng = (EVERYBODY if request.param == "shipped" else WIDE), random.Random(20260303)
    many = HOW_MANY if request.param == "shipped" else HOW_MANY // 3
    asked = [policy.put_question(book.policy, *anybody(rng, n)) for n in range(many)]
    yield book, asked, engine.decide_all(book, asked, PLENTY)


def test_each_action_comes_as_often_as_its_logged_propensity_says(fuzzed: Any) -> None:
    "Twenty thousand odd questions: the surprise of each action, over all and in each stratum, is that of chance."
    _, _, made = fuzzed
    lots = [d for d in made if d.rule == "lottery"]
    assert len(lots) > 600
    for group in (lots, *([d for d in lots if d.stratum == s] for s in sorted({d.stratum for d in lots}))):
        for action in {a for d in group for a in logged(d)}:
            p = np.array([logged(d).get(action, 0) for d in group])
            if (spread := np.sqrt(np.sum(p * (1 - p)))) > 3:
                assert abs(sum(d.action == action for d in group) - p.sum()) < 4.5 * spread, (action, group[0].stratum)


def test_the_floor_holds_and_the_drum_holds_all_that_may_be_done_and_nothing_else(fuzzed: Any) -> None:
    book, asked, made = fuzzed
    for q, d in zip(asked, made, strict=True):
        if d.rule != "lottery":
            assert logged(d) == {d.action: 1.0}
            continue
        chances = logged(d)
        may = {
            a.id
            for a in book.policy.actions.values()
            if lottery.may_draw(book.policy, a)
            and any(engine.ready(book, a, c, q.case.due, q.case.language) for c in policy.option_refusals(q, a)[0])
        }
        assert set(chances) == {"nothing"} | may
        assert min(chances.values()) >= 0.05 and sum(chances.values()) == pytest.approx(1)
        assert not policy.case_refusals(q) and (d.channel != "") == bool(d.message)
        assert d.channel == "" or d.channel in policy.option_refusals(q, book.policy.actions[d.action])[0]


def test_the_control_group_is_never_in_it_at_any_moment(fuzzed: Any) -> None:
    _, asked, made = fuzzed
    control = [d for d in made if d.arm == "control"]
    assert len(control) > 500 and {d.action for d in control} == {"nothing"}
    assert "lottery" not in {d.rule for d in control} and all(logged(d) == {"nothing": 1.0} for d in control)


def test_what_does_harm_or_needs_a_person_is_drawn_only_where_the_policy_says_so(fuzzed: Any) -> None:
    book, _, made = fuzzed
    seen = {a for d in made if d.rule == "lottery" for a in logged(d)} - {"nothing"}
    grave = {a.id for a in book.policy.actions.values() if a.harm_minor or a.approval != "automatic"}
    assert seen & grave == set() if book is EVERYBODY else seen >= grave
    assert seen >= {"reminder", "just_in_time"}


def test_nobody_loses_a_worthwhile_offer_that_may_not_be_drawn() -> None:
    asked = crowd(EVERYBODY, 300)
    large = [
        replace(q, case=replace(q.case, due=replace(q.case.due, amount_minor=400_000)), band="high",
                score=replace(q.score, probability=0.5))
        for q in asked
    ]  # fmt: skip
    before = engine.decide_all(with_numbers(lottery_share=0), large, PLENTY)
    assert {d.action for d in before if d.arm == "treated"} == {"hardship_call"}
    assert [d.action for d in engine.decide_all(EVERYBODY, large, PLENTY)] == [d.action for d in before]


def test_a_share_of_nought_switches_it_off_and_the_shipped_one_is_small() -> None:
    asked = crowd(BOOK, 3_000)
    off = engine.decide_all(with_numbers(lottery_share=0), asked, PLENTY)
    assert "lottery" not in {d.rule for d in off}
    drawn = sum(d.rule == "lottery" for d in engine.decide_all(BOOK, asked, PLENTY)) / len(asked)
    assert 0.025 < drawn < 0.05, "of those whose case is open"


def test_a_single_request_draws_what_the_night_draws() -> None:
    asked = crowd(EVERYBODY, 200)
    for q, d in zip(asked, engine.decide_all(EVERYBODY, asked), strict=True):
        assert engine.decide_all(EVERYBODY, [q])[0] == d


def test_another_moment_is_another_draw_and_another_salt_too() -> None:
    def actions(book: engine.Book, night: int) -> list[str]:
        return [d.action for d in engine.decide_all(book, crowd(book, 400, night), PLENTY)]

    first = actions(EVERYBODY, 0)
    assert first == actions(EVERYBODY, 0) and {"nothing", "reminder"} == set(first)
    other = with_numbers(lottery_share=1, lottery_salt="another")
    for again in (actions(EVERYBODY, 1), actions(other, 0)):
        assert 0.35 < np.mean([a == b for a, b in zip(first, again, strict=True)]) < 0.7  # one in ten is control


def test_whatever_is_drawn_has_its_place() -> None:
    "Room for the worst: if all who are admitted drew the same, nothing would be overbooked."
    asked = crowd(EVERYBODY, 500)
    room = PLENTY | {"action:reminder": 40, "channel:app": 25}
    made = engine.decide_all(EVERYBODY, asked, room)
    lots = [d for d in made if d.rule == "lottery"]
    worst = Counter(a for d in lots for a in logged(d) if a != "nothing")
    assert len(lots) == 25 and worst["reminder"] <= 40, "reminders go by app, so the app's places decide"
    assert sum(d.channel == "app" for d in made) <= 25


def test_words_that_fail_are_out_of_the_drum_before_it_is_turned(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = crowd(EVERYBODY, 300)
    ready = engine.ready
    monkeypatch.setattr(engine, "ready", lambda book, a, c, *of: None if c == "app" else ready(book, a, c, *of))
    made = [d for d in engine.decide_all(EVERYBODY, asked, PLENTY) if d.rule == "lottery"]
    assert {d.channel for d in made} == {"", "email"} and len(made) > 200
    monkeypatch.setattr(engine, "ready", lambda book, a, c, *of: None)
    assert not any(d.rule == "lottery" for d in engine.decide_all(EVERYBODY, asked, PLENTY))


NIGHTS, PEOPLE, PLACES = 12, 300, 45


def naive(asked: list[Question], places: int) -> list[tuple[str, str]]:
    "The trap: all are drawn first, and the places go to those most at risk; who comes too late gets nothing."
    chances = lottery.propensities(EVERYBODY.policy, ["reminder"])
    drawn = [lottery.drawn_action(q, chances) for q in asked]
    first = sorted((n for n, a in enumerate(drawn) if a == "reminder"), key=lambda n: -asked[n].score.probability)
    return [("reminder" if n in set(first[:places]) else "nothing", drawn[n]) for n in range(len(asked))]


def lived(actions: list[str], asked: list[Question], rng: np.random.Generator) -> np.ndarray:
    "Who is in arrears: a reminder averts nothing at all here."
    return (rng.random(len(asked)) < [4 * q.score.probability for q in asked]) * 1.0


def test_propensities_logged_before_capacity_are_wrong_and_ours_are_right() -> None:
    "The trap, and the way out of it, on the same nights with the same scarce places."
    rng, trap, ours = np.random.default_rng(4), [], []
    room = PLENTY | {"action:reminder": PLACES}
    for night in range(NIGHTS):
        asked = [q for q in crowd(EVERYBODY, PEOPLE, night) if q.arm == "treated"]
        risk = [q.score.probability for q in asked]
        did = [a for a, _ in naive(asked, PLACES)]
        for q, a, y, r in zip(asked, did, lived(did, asked, rng), risk, strict=True):
            trap.append((q.case.customer_id, a == "reminder", 0.5, y, r, night))
        made = engine.decide_all(EVERYBODY, asked, room)
        for d, y, r in zip(made, lived([d.action for d in made], asked, rng), risk, strict=True):
            if d.rule == "lottery":
                ours.append((d.customer_id, d.action == "reminder", logged(d)["reminder"], y, r, night))

    def trial(rows: list[tuple[Any, ...]]) -> Trial:
        who, took, p, y, r, _ = (np.array(c) for c in zip(*rows, strict=True))
        return Trial(who, took.astype(int), np.column_stack([1 - p, p]), y, np.zeros((len(who), 0)))

    wrong, right = trial(trap), trial(ours)
    found, fair = aipw(wrong, 1), aipw(right, 1)
    assert len(ours) == NIGHTS * PLACES, "as many as there is room for whatever is drawn"
    assert not propensities_hold(wrong).holds and propensities_hold(right, np.array([r[5] for r in ours])).holds
    assert found.low > 0, "reminders seem to harm: they went to those most at risk"
    assert fair.low < 0 < fair.high


def test_a_file_may_not_lower_the_floor_nor_make_two_draws_one(tmp_path: Any) -> None:
    import shutil

    for n, (old, new, said) in enumerate(
        (
            ("value: 0.05, unit: probability", "value: 0.01, unit: probability", "lottery_floor is 0.01"),
            ("predelinquency-lottery-1", "''", "lottery_salt is empty"),
            ("value: 0.04, unit: share", "value: 0.5, unit: share", "lottery_share is 0.5"),
        )
    ):
        folder = shutil.copytree(policy.shipped(), tmp_path / str(n))
        text = (folder / "caps.yaml").read_text()
        assert text.count(old) >= 1
        head, tail = text[: text.index("# The lottery")], text[text.index("# The lottery") :]
        (folder / "caps.yaml").write_text(head + tail.replace(old, new))
        with pytest.raises(PolicyError, match=said):
            policy.load_policy(folder)


def test_somebody_without_an_id_or_a_payment_is_in_no_stratum() -> None:
    q = policy.put_question(BOOK.policy, *everything_in_order(due=None), AT)
    assert lottery.stratum(q) == "" and decide_cases.AT == AT
    assert lottery.stratum(policy.put_question(BOOK.policy, *everything_in_order(), AT)) == "raised loan by_hand"
