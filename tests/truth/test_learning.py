"""A policy that learns leaves alone what does nothing, and leaves what does harm."""

import numpy as np
import pandas as pd
import pytest

from predelinquency.truth import learning, trials
from predelinquency.truth.bank import MODIFIERS, NAMES, Bank
from predelinquency.truth.policies import Contest
from predelinquency.truth.potential import FIELDS

PAUSE, REMIND = NAMES.index("payment_holiday"), NAMES.index("reminder")


def bank(averts: float, harms: float) -> Bank:
    "6,000 moments of 3,000 customers: a pause averts so much of all misses, a reminder adds so many of those who are short."
    dice = np.random.default_rng(9)
    moments = pd.DataFrame({"customer_id": np.arange(6_000) // 2} | {m: dice.normal(size=6_000) for m in MODIFIERS})
    luck, made = dice.random((6_000, 4)), np.full((6_000, len(NAMES), 4, FIELDS), -1)
    short = moments["covered"].to_numpy() < 0
    for action, chance in ((0, 0.2), (PAUSE, 0.2 * (1 - averts)), (REMIND, 0.2 + harms * short)):
        made[:, action] = (luck < np.broadcast_to(chance, 6_000)[:, None])[..., None]
    return Bank(moments, made)


def test_with_a_log_it_goes_on_where_it_helps_and_stops_where_nothing_does():
    contest = Contest({PAUSE: (0.0, 0.5)}, trials.Plan((PAUSE,)))
    found = learning.contacts_by_log(bank(0.4, 0.0), contest, (1_000, 60_000), lives=6)
    found = found.set_index(["world", "trusts", "logged"])
    assert found.contacts["true", "band and log", 60_000] > 0.95 < found.contacts["true", "log alone", 60_000]
    assert found.contacts["null", "band and log, surer", 60_000] < 0.2 > found.contacts["null", "log alone", 60_000]
    assert found.contacts["null", "band and log", 60_000] < 0.5
    assert found.contacts["true", "log alone", 1_000] < found.contacts["true", "band and log", 1_000], (
        "a log alone is shy"
    )
    assert (found.averted_per_1000["null"] == 0).all()


def test_what_harms_a_segment_is_suspended_there_long_before_the_table_and_nowhere_else():
    worse = bank(0.0, 0.06)
    short = worse.moments["covered"].to_numpy() < 0
    found = learning.suspended(worse, REMIND, short, harm=0.03, a_week=400, weeks=60)
    assert found["others"]["week"] is None and found["others"]["effect"] == 0
    mine = found["short"]
    assert mine["effect"] == pytest.approx(0.06, abs=0.01)
    assert mine["week"] <= mine["predicted"] / 3 and mine["predicted_as_it_is"] < mine["week"] < 52
    harmless = learning.suspended(bank(0.0, 0.0), REMIND, short, harm=0.03, a_week=400, weeks=60)
    assert harmless["short"]["week"] is None and harmless["short"]["predicted_as_it_is"] is None
