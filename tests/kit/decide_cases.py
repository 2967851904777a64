"""Customers and moments for the tests of the decision: one for whom everything is in order, and as many odd ones as wanted."""

import dataclasses
import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd

from predelinquency.decide.policy import Case, Consent, Due, PastContact
from predelinquency.ground.records import Score
from predelinquency.ground.schema import CHANNELS, PURPOSES

DAY = date(2026, 3, 3)  # a Tuesday
AT = datetime(2026, 3, 3, 11, tzinfo=UTC)
NAN, NAIVE = float("nan"), datetime(2026, 3, 1)
LIFE = (
    "vulnerable",
    "bereavement",
    "dispute",
    "complaint",
    "fraud",
    "bankruptcy",
    "legal_representative",
    "already_acting",
)
OFFERS = (
    "just_in_time",
    "reminder",
    "autopay_nudge",
    "due_date_change",
    "payment_holiday",
    "payment_plan",
    "help_offer",
    "debt_advice",
    "hardship_call",
)
ZONES = (
    "Europe/London",
    "America/New_York",
    "Asia/Kathmandu",
    "Pacific/Auckland",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",
    "Africa/Lagos",
    "UTC",
)


def everything_in_order(**changes: Any) -> tuple[Case, Score]:
    "A treated customer who agreed to everything; keyword arguments change the case, or the score."
    due = Due(1, 4, "loan", date(2026, 3, 24), 60_000, "GBP", False, 4)
    agreed = {(c, p): Consent(True, AT - timedelta(days=400)) for c in CHANNELS for p in PURPOSES}
    case = Case(7, "C-0007", "Europe/London", due, agreed, frozenset(), dict.fromkeys(LIFE, False), (), (), 1.0)
    score = Score(7, "2026-03-02", 0.1, -2.2, "test")
    of = {f.name for f in dataclasses.fields(Score)} - {"customer_id"}
    return (
        dataclasses.replace(case, **{k: v for k, v in changes.items() if k not in of}),
        dataclasses.replace(score, **{k: v for k, v in changes.items() if k in of}),
    )


def odd(rng: random.Random, usual: Any, *strange: Any, share: float = 0.02) -> Any:
    "The usual value, or now and then a strange one."
    return rng.choice(strange) if rng.random() < share else usual


def moments(rng: random.Random) -> datetime:
    "Any minute of two years; clock changes, weekends and the edges of the contact hours more often than chance."
    at = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=rng.randrange(2 * 365 * 1440))
    if rng.random() < 0.5:
        at = at.replace(hour=rng.randrange(13, 18))  # day in most of ZONES
    if rng.random() < 0.15:
        at = datetime(2026, *rng.choice([(3, 29), (10, 25), (3, 8), (11, 1), (4, 4)]), tzinfo=UTC) + timedelta(
            minutes=rng.randrange(1440)
        )
    return at.replace(minute=rng.choice([0, 59, 30]), second=rng.choice([0, 59])) if rng.random() < 0.3 else at


def anybody(rng: random.Random, n: int) -> tuple[Case, Score, datetime]:
    "Customer number n, at some moment, on some day of their life; every field may be missing or wrong."
    at, apart, beyond = moments(rng), random.Random(n), random.Random(-n - 1)  # neither changes what the first draws
    who, where = (
        odd(rng, f"C-{rng.randrange(10**9):09d}", None, "", NAN, 17),
        odd(rng, rng.choice(ZONES), None, "", "Mars/Olympus", "localtime", "America", NAN, 5),
    )
    due = odd(rng, any_due(rng, n, at), None)
    about = (due.obligation_id, due.instalment) if due and apart.random() < 0.3 else None
    case = Case(
        n,
        who,
        where,
        due,
        odd(rng, agreements(rng, at), None, {}),
        frozenset() if rng.random() < 0.8 else frozenset(rng.sample(CHANNELS, 1 + rng.randrange(2))),
        odd(rng, life(rng), None, {}),
        odd(rng, tuple(past(rng, at, about) for _ in range(rng.choice([0, 0, 0, 1, 2, 3]))), None),
        odd(rng, (), None, ("signs",)),
        odd(rng, rng.choice([0, 1, 30]), NAN, -1, 36, 1e9),
        odd(apart, "", f"{n}-{n}-1-1", share=0.3),
        odd(apart, None, at.date() + timedelta(days=apart.randrange(-3, 5)), NAN, "soon"),
        odd(apart, False, True, None, share=0.01),
        language=odd(beyond, beyond.choice([None, None, "en", "es"]), "pl", NAN, "ES", 5, share=0.01),
        contested=odd(beyond, False, True, None, share=0.01),
        not_at=odd(beyond, (), ((10, 14),), ((22, 15),), ((9, 10), (16, 17)), share=0.02),
    )
    usual = rng.choice([0.001, 0.02, 0.05, 0.15, 1.0, 0.0199999]) if rng.random() < 0.2 else rng.betavariate(1, 3)
    as_of = (at.date() - timedelta(days=odd(rng, rng.randrange(7), 7, 8, 30, -1, -2, share=0.08))).isoformat()
    return (
        case,
        Score(
            odd(rng, n, n + 1),
            odd(rng, as_of, "", None, "yesterday", 20260302),
            odd(rng, usual, NAN, float("inf"), -0.01, 1.01, None, "0.2", True),
            0.0,
            "fuzz",
        ),
        at,
    )


def any_due(rng: random.Random, n: int, at: datetime) -> Due:
    lead = (
        rng.choice([1, 1, 1, 1, 2, 3, 9, 10, 14, 15, 20, 27, 28, 29]) if rng.random() < 0.4 else rng.randrange(15, 29)
    )
    on = odd(rng, at.date() + timedelta(days=odd(rng, lead, 0, -1, -30)), None, pd.NaT, "2026-03-24")
    amount = odd(rng, rng.choice([5_000, 200_000, 400_000, 1_500_000]), 0, -100, None, NAN, 2_000_001, 90_000_000)
    return Due(
        n,
        rng.randrange(1, 40),
        rng.choice(["loan", "card", "mortgage", "rent"]),
        on,
        amount,
        odd(rng, "GBP", "CZK", "XXX", None),
        odd(rng, rng.random() < 0.5, None, NAN),
        odd(rng, float(rng.randrange(-3, 20)), NAN, None, share=0.3),
    )


def agreements(rng: random.Random, at: datetime) -> dict[tuple[str, str], Consent]:
    return {
        (c, p): Consent(
            odd(rng, rng.random() < 0.8, None, NAN, 1, "yes", share=0.03),
            odd(rng, at - timedelta(days=rng.randrange(900)), None, at + timedelta(hours=1), NAIVE, share=0.03),
        )
        for c in CHANNELS
        for p in PURPOSES
        if rng.random() < 0.9
    }


def life(rng: random.Random) -> dict[str, Any]:
    return {
        name: odd(rng, rng.random() < (0.12 if name == "vulnerable" else 0.01), None, NAN, "no", share=0.003)
        for name in LIFE
        if rng.random() < 0.998
    }


def past(rng: random.Random, at: datetime, about: tuple[int, int] | None) -> PastContact:
    when = at - timedelta(days=rng.choice([0.1, 2.9, 3, 6.99, 7, 7.01, 20, 29.99, 30, 30.01, 60, 100, 200]))
    action = rng.choice(OFFERS)
    return PastContact(
        odd(rng, when, at + timedelta(minutes=1), NAIVE, None, share=0.01),
        odd(rng, rng.choice(["out", "out", "in"]), "sideways", None, share=0.01),
        rng.choice(CHANNELS),
        odd(rng, action, None, "help-offer"),
        odd(rng, True, False, None, share=0.05),
        about,
    )
