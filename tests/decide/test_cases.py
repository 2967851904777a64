"""A case is followed until its due ends: it never goes away by itself, and what it ends with is what became of the due."""

import random
from collections.abc import Iterator
from dataclasses import replace
from math import nan

import numpy as np
import pandas as pd
import pytest

from predelinquency.decide import cases, policy
from predelinquency.decide.cases import Followed, Key, Night, Standing
from predelinquency.ground import facts
from predelinquency.ground.records import CASE_EVENTS, CaseEvent, Note
from predelinquency.ground.schema import FACTS, TARGET_KINDS

LINE = cases.Lines(0.02, 0.15, 14)
DUE = 7, 3, 12
OPEN = Standing("open", "2026-04-01", "2026-02-20")
GRACE = 5


def live(nights: Iterator[tuple[str, Standing | None, float]] | list, notes: tuple[Note, ...] = ()) -> list[CaseEvent]:
    "What the nights make of one due: a day, how it stands, its chance (nan: not scored)."
    steps: list[CaseEvent] = []
    for on, now, p in nights:
        known = [n for n in notes if n.said_at[:10] < on]
        standings, chances = {DUE: now} if now else {}, {} if p != p else {DUE: p}
        night = Night(on, standings, chances, cases.noted(known), GRACE)
        steps += cases.tonight(LINE, cases.followed(steps).values(), night)
    return steps


def told(steps: list[CaseEvent]) -> list[str]:
    return [f"{s.at[5:10]} {s.event}" + (f" {s.outcome}" if s.outcome else "") for s in steps if s.event != "scored"]


def note(kind: str, said_at: str, **other: str) -> Note:
    return Note(*DUE, f"{said_at}T10:00:00+00:00", kind, "A. Novak", "a reason", **other)


def test_a_case_goes_from_early_to_near_to_its_grace_and_ends_as_missed() -> None:
    days = pd.date_range("2026-03-04", "2026-04-07").strftime("%Y-%m-%d")
    states = [OPEN] * (len(days) - 1) + [OPEN._replace(state="unpaid")]
    chances = [0.03 if on < "2026-04-01" else nan for on in days]
    steps = live(list(zip(days, states, chances, strict=True)))
    assert told(steps) == ["03-04 opened", "03-18 near", "04-02 in_grace", "04-07 closed missed"]
    assert [s.to_state for s in steps if s.event != "scored"] == ["early", "near", "in_grace", "closed"]
    last = steps[-1]
    assert (last.probability, last.scored_on) == (0.03, "2026-03-31"), "the last score stands with its date"


def test_a_chance_that_falls_closes_nothing_and_one_below_the_line_opens_nothing() -> None:
    assert live([("2026-03-04", OPEN, 0.0199)]) == []
    steps = live([("2026-03-04", OPEN, 0.02), ("2026-03-05", OPEN, 0.001), ("2026-03-06", OPEN, 0.03)])
    assert [s.event for s in steps] == ["opened", "scored", "scored"]
    (case,) = cases.followed(steps).values()
    assert case.is_open and case.probability == 0.03


def test_a_case_escalates_once_however_often_it_crosses_the_second_line() -> None:
    steps = live([(f"2026-03-{4 + n:02d}", OPEN, p) for n, p in enumerate((0.02, 0.15, 0.1, 0.2))])
    assert told(steps) == ["03-04 opened", "03-05 escalated"]
    assert told(live([("2026-03-04", OPEN, 0.4)])) == ["03-04 opened", "03-04 escalated"]


@pytest.mark.parametrize(
    "state, outcome",
    [
        *(("paid", "paid"), ("late", "missed"), ("unpaid", "missed"), ("written_off", "missed")),
        *(("released", "cancelled"), ("unknown", "unknown"), (None, "unknown")),
    ],
)
def test_what_became_of_the_due_is_what_the_case_ends_with(state: str | None, outcome: str) -> None:
    now = OPEN._replace(state=state) if state else None
    assert told(live([("2026-03-04", OPEN, 0.1), ("2026-03-11", now, nan)])) == [
        "03-04 opened",
        f"03-11 closed {outcome}",
    ]


@pytest.mark.parametrize("known_on, outcome", [("2026-04-06", "moved"), ("2026-04-07", "missed")])
def test_a_due_that_is_moved_after_its_grace_was_missed(known_on: str, outcome: str) -> None:
    anew = Standing("open", "2026-05-01", known_on)
    steps = live([("2026-03-30", OPEN, 0.1), ("2026-04-08", anew, 0.01)])
    assert told(steps)[-1] == f"04-08 closed {outcome}"


def test_a_moved_due_that_is_still_likely_to_be_missed_is_a_new_case_that_names_the_old_one() -> None:
    anew = Standing("open", "2026-04-20", "2026-03-10")
    steps = live([("2026-03-04", OPEN, 0.1), ("2026-03-11", anew, 0.1), ("2026-03-12", anew, 0.1)])
    assert told(steps) == ["03-04 opened", "03-11 closed moved", "03-11 opened"]
    old, new = cases.followed(steps).values()
    assert (old.case_id, new.case_id, new.after, new.due_on) == ("7-3-12-1", "7-3-12-2", "7-3-12-1", "2026-04-20")


def test_the_next_instalment_names_the_case_before_it() -> None:
    lost = replace(next(iter(cases.followed(live([("2026-03-04", OPEN, 0.1)])).values())), state="closed")
    night = Night("2026-04-10", {(7, 3, 13): OPEN._replace(due_on="2026-05-01")}, {(7, 3, 13): 0.3})
    assert cases.begun(LINE, (7, 3, 13), [lost], night).after == "7-3-12-1"  # type: ignore[union-attr]
    assert cases.begun(LINE, (7, 3, 13), [], night).after == ""  # type: ignore[union-attr]


def test_a_payment_that_is_taken_back_opens_the_case_again_whatever_the_score() -> None:
    nights = [("2026-03-04", OPEN, 0.1), ("2026-03-11", OPEN._replace(state="paid"), nan), ("2026-03-12", OPEN, 0.001)]
    assert told(live(nights)) == ["03-04 opened", "03-11 closed paid", "03-12 opened"]
    assert "taken back" in live(nights)[-1].why


def test_a_payment_in_time_that_arrives_late_corrects_the_label_and_nothing_else() -> None:
    unpaid, paid = OPEN._replace(state="unpaid"), OPEN._replace(state="paid")
    steps = live([("2026-03-30", OPEN, 0.1), ("2026-04-07", unpaid, nan), ("2026-04-08", paid, nan)])
    assert told(steps)[-2:] == ["04-07 closed missed", "04-08 corrected paid"]
    (case,) = cases.followed(steps).values()
    assert (case.outcome, case.closed_at[:10], case.is_open) == ("paid", "2026-04-07", False)
    more = live([("2026-03-30", OPEN, 0.1), *((f"2026-04-{d:02d}", unpaid, nan) for d in (7, 8, 9))])
    assert len(told(more)) == 2, "a miss that stays one is said once"


def test_what_the_customer_says_opens_a_case_whatever_the_score() -> None:
    cannot = note("cannot_pay", "2026-03-10")
    nights = [(f"2026-03-{d:02d}", OPEN, 0.001) for d in (9, 10, 11, 12)]
    assert told(live(nights, (cannot,))) == ["03-11 opened"]
    paid = [("2026-03-13", OPEN._replace(state="paid"), nan)]
    assert told(live(nights + paid * 2, (cannot,)))[1:] == ["03-13 closed paid"], "what was said then is dealt with"
    assert live([("2026-03-11", OPEN._replace(state="paid"), nan)], (cannot,)) == []


def test_a_case_that_is_put_off_goes_on_and_returns_by_itself() -> None:
    off = note("put_off", "2026-03-10", until_on="2026-03-20")
    nights = [(f"2026-03-{d:02d}", OPEN, 0.1) for d in range(9, 25)]
    steps = live(nights, (off,))
    assert told(steps) == ["03-09 opened", "03-11 put_off", "03-18 near", "03-20 returned"]
    assert "A. Novak put it off until 20 March 2026: a reason" in [s.why for s in steps]
    sooner = note("put_off", "2026-03-12", until_on="2026-03-13")
    assert told(live(nights, (off, sooner)))[1:3] == ["03-11 put_off", "03-13 returned"], "the last word stands"
    paid = [("2026-03-12", OPEN._replace(state="paid"), nan)]
    (case,) = cases.followed(live(nights[:3] + paid, (off,))).values()
    assert not case.is_open and case.until_on is None


def test_the_cases_of_a_customer_past_a_grace_stay_open_and_unscored() -> None:
    steps = live([("2026-03-04", OPEN, 0.1), *((f"2026-03-{d}", OPEN, nan) for d in (11, 18, 25))])
    assert told(steps) == ["03-04 opened", "03-18 near"]
    (case,) = cases.followed(steps).values()
    assert (case.scored_on, case.is_open) == ("2026-03-04", True)


def test_a_due_that_nobody_announced_is_no_case() -> None:
    assert cases.tonight(LINE, [], Night("2026-03-04", {}, {DUE: 0.9})) == []


def test_the_same_night_again_adds_the_same_steps() -> None:
    first = live([("2026-03-04", OPEN, 0.2)])
    before = cases.followed(first).values()
    night = Night("2026-03-18", {DUE: OPEN}, {DUE: 0.1}, {}, GRACE)
    once = cases.tonight(LINE, before, night)
    assert once == cases.tonight(LINE, before, night)
    assert cases.tonight(LINE, cases.followed([*first, *once]).values(), night) == [], "and after it, none"


def test_steps_survive_a_file() -> None:
    steps = live([("2026-03-04", OPEN, 0.2), ("2026-03-18", OPEN._replace(state="paid"), nan)])
    steps += live([("2026-03-11", OPEN, nan)], (note("cannot_pay", "2026-03-10"),))
    assert repr(cases.events_in(cases.event_table(steps))) == repr(steps), "nan and None are told apart"
    assert cases.events_in(cases.event_table([])) == [] and len(cases.case_table([])) == 0


def test_who_disagreed_stands_beside_what_became_of_the_due() -> None:
    (case,) = cases.followed(live([("2026-03-04", OPEN, 0.2)])).values()
    both = [note("disagrees", "2026-03-10", opinion=opinion) for opinion in ("pays", "misses")]
    for outcome, right in (("paid", [True, False]), ("missed", [False, True]), ("moved", [None, None])):
        ended = replace(case, state="closed", outcome=outcome)
        assert cases.disagreements([ended], both).right.tolist() == right
    assert cases.labelled([replace(case, state="closed", outcome=o) for o in ("moved", "unknown", "cancelled")]).empty


def test_the_movement_of_every_customer_adds_up() -> None:
    rng = np.random.default_rng(11)

    def scores(n: int) -> pd.DataFrame:
        drawn = pd.DataFrame(rng.integers(1, 6, (n, 3)), columns=list(facts.KEY)).drop_duplicates()
        return drawn.assign(probability=rng.random(len(drawn)))

    for _ in range(50):
        was, now = scores(rng.integers(0, 30)), scores(rng.integers(0, 30))
        found = cases.movement(was, now)
        np.testing.assert_allclose(found.before + found.left + found.changed + found.entered, found.now, atol=1e-12)
        assert (found.left <= 0).all() and (found.entered >= 0).all()
        assert set(found.index) == {*was.customer_id, *now.customer_id}
        np.testing.assert_array_equal(found.now[found.now > 0], now.groupby("customer_id").probability.max())
        same = cases.movement(was, was)
        assert not same[["left", "changed", "entered"]].to_numpy().any()


def test_the_line_is_a_number_of_the_policy() -> None:
    shipped = policy.load_policy()
    assert cases.lines(shipped) == cases.Lines(
        *(shipped[f"case_{n}"] for n in ("opens_at", "escalates_at", "near_days"))
    )


def lives(rng: random.Random, first: pd.Timestamp) -> tuple[pd.DataFrame, pd.DataFrame]:
    "Tables of some customers' dues: paid, short, late, moved, cancelled, taken back, arriving late."
    day, dues, paid = pd.Timedelta(days=1), [], []
    for customer, contract, number in ((c, k, n) for c in range(8) for k in range(2) for n in range(1, 6)):
        on = first + (30 * number + rng.randrange(-3, 3)) * day
        due = dict(
            customer_id=customer, obligation_id=contract, instalment=number, kind=TARGET_KINDS[0], currency="GBP"
        )
        due |= dict(amount_minor=10_000, enough_minor=9_900, autopay=False)
        dues.append(due | dict(announced_at=on - 25 * day, due_on=on, fact="announced"))
        if rng.random() < 0.25:
            fact, at = rng.choice(FACTS[2:]), on + rng.randrange(-20, 20) * day
            on = on + rng.randrange(5, 25) * day if fact == "moved" else on
            dues.append(due | dict(announced_at=at, due_on=on, fact=fact))
        at = on + rng.choice([-9, -1, 0, 2, 4, 5, 6, 11, 400]) * day + pd.Timedelta(hours=rng.randrange(24))
        lag = pd.Timedelta(hours=rng.choice([0, 0, 20, 47]))
        part = rng.choice([10_000, 10_000, 9_950, 4_000])
        money = dict(customer_id=customer, obligation_id=contract, instalment=number, due_on=on)
        paid.append(money | dict(paid_at=at, arrived_at=at + lag, amount_minor=part))
        if rng.random() < 0.1:
            back = at + rng.randrange(1, 30) * day
            paid.append(money | dict(paid_at=back, arrived_at=back, amount_minor=-part))
    return pd.DataFrame(dues).assign(fact=lambda d: pd.Categorical(d.fact, categories=FACTS)), pd.DataFrame(paid)


def nights(seed: int, every_days: int) -> Iterator[tuple[dict[str, Followed], list[CaseEvent], Night]]:
    "Nights over half a year of made-up lives: the cases before, what was added, what was known."
    rng, first = random.Random(seed), pd.Timestamp("2026-01-01")
    obligations, payments = lives(rng, first)
    steps: list[CaseEvent] = []
    for n in range(0, 182, every_days):
        as_of = first + pd.Timedelta(days=n)
        known = facts.standings(obligations, payments, as_of, GRACE)
        ahead = known[
            (known.state == "open") & (known.due_on > as_of) & (known.due_on <= as_of + pd.Timedelta(days=28))
        ]
        chances: dict[Key, float] = {
            tuple(key): rng.choice([0.001, 0.01, 0.05, 0.3]) for key in ahead[list(facts.KEY)].to_numpy().tolist()
        }
        night = Night(str(as_of.date()), cases.stood(known), chances, {}, GRACE)
        before = cases.followed(steps)
        new = cases.tonight(LINE, before.values(), night)
        yield before, new, night
        steps += new


@pytest.mark.parametrize("seed, every_days", [(1, 1), (2, 1), (3, 7), (4, 7), (5, 7)])
def test_over_half_a_year_no_case_vanishes_and_every_night_adds_up(seed: int, every_days: int) -> None:
    count = dict.fromkeys(CASE_EVENTS, 0)
    for before, new, night in nights(seed, every_days):
        counted = cases.tally(before.values(), new)
        assert counted["adds_up"]
        after = cases.followed([*(_as_it_is(c) for c in before.values()), *new])
        for name, case in before.items():
            if not case.is_open or after[name].is_open:
                continue
            now = night.standings.get(case.due)
            assert now is None or now.state != "open" or now.due_on != case.due_on, f"{name} vanished"
        for name, n in counted["events"].items():  # type: ignore[attr-defined]
            count[name] += n
    assert all(count[e] > 0 for e in ("opened", "scored", "escalated", "near", "in_grace", "closed"))


def _as_it_is(case: Followed) -> CaseEvent:
    "A case in one step."
    return replace(cases.step_of(case, "opened", case.opened_at, ""), probability=case.probability)


@pytest.mark.parametrize("seed", range(10, 16))
def test_the_outcome_of_a_case_is_the_outcome_of_its_date(seed: int) -> None:
    obligations, payments = lives(random.Random(seed), pd.Timestamp("2026-01-01"))
    steps = [step for _, new, _ in nights(seed, 1) for step in new]
    judged = facts.outcomes(obligations, payments, GRACE)
    missed = {
        (*(int(r[k]) for k in facts.KEY), str(r["due_on"].date())): bool(r["missed"]) for _, r in judged.iterrows()
    }
    ended = [c for c in cases.followed(steps).values() if not c.is_open and c.closed_at < "2026-06-20"]
    assert len(ended) > 15
    for case in ended:
        if case.outcome in ("paid", "missed"):
            again = [c for c in cases.followed(steps).values() if c.due == case.due and c.due_on == case.due_on]
            said = again[-1].outcome if again[-1].outcome in ("paid", "missed") else case.outcome
            if (*case.due, case.due_on) in missed:
                assert (said == "missed") == missed[(*case.due, case.due_on)], case
