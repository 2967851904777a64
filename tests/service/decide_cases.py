"""Customers and moments for the tests of the decision: one for whom everything is in order, and as many odd ones as wanted."""
import dataclasses
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from predelinquency.decide.policy import Case, Consent, Due, PastContact
from predelinquency.schema import CHANNELS, PURPOSES, Score

DAY = date(2026, 3, 3) # a Tuesday
AT = datetime(2026, 3, 3, 11, tzinfo=UTC)
LIFE = ("vulnerable", "bereavement", "dispute", "complaint", "fraud", "bankruptcy", "legal_representative", "already_acting")
ZONES = ("Europe/London", "America/New_York", "Asia/Kathmandu", "Pacific/Auckland", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Kiritimati", "Africa/Lagos", "UTC")


def everything_in_order(**changes:Any)->tuple[Case, Score]:
    "A treated customer who agreed to everything; keyword arguments change the case, or the score."
    due = Due(1, 4, "loan", date(2026, 3, 24), 60_000, "GBP", False, 4)
    agreed = {(c, p): Consent(True, AT - timedelta(days=400)) for c in CHANNELS for p in PURPOSES}
    case = Case(7, "C-0007", "Europe/London", due, agreed, frozenset(), dict.fromkeys(LIFE, False), ())
    score = Score(7, "2026-03-02", .1, -2.2, "test")
    of = {f.name for f in dataclasses.fields(Score)} - {"customer_id"}
    return (dataclasses.replace(case, **{k: v for k, v in changes.items() if k not in of}), dataclasses.replace(score, **{k: v for k, v in changes.items() if k in of}))


def odd(rng:np.random.Generator, usual:Any, *strange:Any, share:float=.02)->Any:
    "The usual value, or now and then a strange one."
    return strange[rng.integers(len(strange))] if rng.random() < share else usual


def moments(rng:np.random.Generator)->datetime:
    "Any minute of two years; clock changes, weekends and the edges of the contact hours more often than chance."
    at = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=int(rng.integers(0, 2 * 365 * 1440)))
    if rng.random() < .5: at = at.replace(hour=int(rng.integers(13, 18))) # day in most of ZONES
    if rng.random() < .15: at = [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC), datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC),
                                 datetime(2026, 4, 4, 12, tzinfo=UTC)][rng.integers(5)] + timedelta(minutes=int(rng.integers(0, 1440)))
    return at.replace(minute=int(rng.choice([0, 59, 30])), second=int(rng.choice([0, 59]))) if rng.random() < .3 else at


def anybody(rng:np.random.Generator, n:int)->tuple[Case, Score, datetime]:
    "Customer number n, at some moment, on some day of their life; every field may be missing or wrong."
    at, nan, naive = moments(rng), float("nan"), datetime(2026, 3, 1)
    today = at.date()
    lead = int(rng.choice([1, 2, 3, 9, 10, 14, 15, 20, 27, 28, 29])) if rng.random() < .4 else int(rng.integers(15, 29))
    due = Due(n, int(rng.integers(1, 40)), str(rng.choice(["loan", "card", "mortgage", "rent"])), odd(rng, today + timedelta(days=odd(rng, lead, 0, -1, -30)), None, pd.NaT, "2026-03-24"),
              odd(rng, int(rng.choice([5_000, 25_000, 90_000, 400_000])), 0, -100, None, nan, 2_000_001, 90_000_000), odd(rng, "GBP", "CZK", "XXX", None), odd(rng, bool(rng.random() < .5), None, nan),
              odd(rng, float(rng.integers(-3, 20)), nan, None, share=.3))
    agreed = {(c, p): Consent(odd(rng, bool(rng.random() < .8), None, nan, 1, "yes", share=.03), odd(rng, at - timedelta(days=int(rng.integers(0, 900))), None, at + timedelta(hours=1), naive, share=.03))
              for c in CHANNELS for p in PURPOSES if rng.random() < .9}
    life = {name: odd(rng, bool(rng.random() < (.12 if name == "vulnerable" else .01)), None, nan, "no", share=.003) for name in LIFE if rng.random() < .998}
    past = tuple(PastContact(odd(rng, at - timedelta(days=float(rng.choice([.1, 2.9, 3, 6.99, 7, 7.01, 20, 29.99, 30, 30.01, 60, 100, 200]))), at + timedelta(minutes=1), naive, None, share=.01),
                             odd(rng, str(rng.choice(["out", "out", "in"])), "sideways", None, share=.01), str(rng.choice(CHANNELS)),
                             odd(rng, str(rng.choice(["reminder", "autopay_nudge", "due_date_change", "payment_plan", "hardship_call"])), None), odd(rng, True, False, None, share=.05))
                 for _ in range(int(rng.choice([0, 0, 0, 1, 2, 3]))))
    case = Case(n, odd(rng, f"C-{rng.integers(10**9):09d}", None, "", nan, 17), odd(rng, str(rng.choice(ZONES)), None, "", "Mars/Olympus", "localtime", "America", nan, 5), odd(rng, due, None),
                odd(rng, agreed, None, {}), frozenset() if rng.random() < .8 else frozenset(rng.choice(CHANNELS, 1 + rng.integers(2)).tolist()), odd(rng, life, None, {}), odd(rng, past, None))
    probability = odd(rng, float(rng.choice([.001, .02, .05, .15, 1., .0199999])) if rng.random() < .2 else float(rng.beta(.6, 4)), nan, float("inf"), -.01, 1.01, None, "0.2", True)
    as_of = odd(rng, (today - timedelta(days=odd(rng, int(rng.integers(0, 7)), 7, 8, 30, -1, -2, share=.08))).isoformat(), "", None, "yesterday", 20260302)
    return case, Score(odd(rng, n, n + 1), as_of, probability, 0., "fuzz"), at
