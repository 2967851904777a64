"""What many trials say of the estimators."""

import json

import numpy as np
import pandas as pd
import pytest

from predelinquency.ground.core import project_folder
from predelinquency.truth import trials
from predelinquency.truth.bank import MODIFIERS, NAMES, Bank, draw_trial, lottery
from predelinquency.truth.potential import FIELDS

PAUSE, CALL = NAMES.index("payment_holiday"), NAMES.index("hardship_call")


@pytest.fixture(scope="module")
def bank():
    "2,000 moments of 700 customers; a pause averts two misses in five, a call none, and cannot be had by a third."
    dice = np.random.default_rng(5)
    moments = pd.DataFrame({"customer_id": np.arange(2_000) // 3} | {m: dice.normal(size=2_000) for m in MODIFIERS})
    risk = 0.1 + 0.2 * (moments["risk"].to_numpy() > 0)
    luck = dice.random((2_000, 4))
    made = np.full((2_000, len(NAMES), 4, FIELDS), -1)
    for action in (0, CALL):
        made[:, action, :, 0] = luck < risk[:, None]
    made[:, PAUSE, :, 0] = luck < 0.6 * risk[:, None]
    made[::3, CALL] = -1
    return Bank(moments, made)


PLAN = trials.Plan((PAUSE, CALL), size=2_000)


def test_true_effects_are_means_of_all_that_was_lived(bank):
    y = bank.outcomes[..., 0].astype(float)
    can = y[:, CALL, 0] >= 0
    assert trials.true_effect(bank, PLAN, PAUSE) == pytest.approx((y[:, PAUSE] - y[:, 0]).mean())
    assert trials.true_effect(bank, PLAN, CALL) == 0 == (y[can, CALL] - y[can, 0]).mean()


def test_intervals_hold_the_truth_and_find_nothing_where_nothing_is(bank):
    "150 trials, seed 0: within three standard errors of 95 % and of 5 %."
    real, call = trials.coverage(bank, PLAN, 150)
    empty = trials.coverage(trials.null_of(bank), PLAN, 150)
    assert all(0.89 < c.covered <= 1 for c in (real, call, *empty))
    assert real.found > 0.9 > 0.11 > max(c.found for c in (call, *empty))
    assert abs(real.bias) < 0.25


def test_a_trial_is_a_draw_of_whole_customers_and_only_of_what_is_feasible(bank):
    p = lottery(bank, PLAN.which)
    assert p.sum(1) == pytest.approx(1) and (p[::3, CALL] == 0).all()
    drawn = draw_trial(bank, p, "arrears", 2_000, np.random.default_rng(1))
    assert (drawn.propensity[np.arange(len(drawn.action)), drawn.action] > 0).all()
    assert (drawn.y >= 0).all()
    size = np.bincount(drawn.customer)
    assert set(size) <= {2, 3}  # the last customer has two moments
    same = [trials.trial_of(bank, PLAN, p, 3) for _ in range(2)]
    assert (same[0].action == same[1].action).all()
    assert (same[0].y != trials.trial_of(bank, PLAN, p, 4).y[: len(same[0].y)]).any()


def test_a_log_written_before_capacity_is_refused(bank):
    wrong, right = trials.caught(bank, PLAN._replace(size=6_000), 20, 0.1)
    assert wrong >= 0.95 and right <= 0.2


def test_what_is_kept_says_that_the_estimators_can_be_trusted():
    "The bars of the design, held against `predelinquency trials` at full length."
    found = json.loads((project_folder() / "data/reports" / trials.FILE).read_text())
    assert found["plan"]["moments"] >= 40_000 and found["plan"]["size"] >= 20_000
    assert [c["action"] for c in found["coverage"]] == [NAMES[a] for a in trials.SHIPPED]
    for one, null in zip(found["coverage"], found["null"], strict=True):
        assert one["trials"] >= 1_000
        assert 0.935 <= one["covered"] <= 0.965, one
        assert abs(one["bias"]) <= 0.1, one
        assert 0.035 <= null["found"] <= 0.065, null
    assert found["wrong_log"]["refused"] >= 0.95
    assert found["looks"]["sequence"] >= 0.95 > found["looks"]["plain"]
