"""Trials whose effects are known: decisions of customers who differ for good, with logged probabilities."""

from typing import NamedTuple

import numpy as np

from predelinquency.judge.effects import Trial

MONTHS = 12


class Known(NamedTuple):
    trial: Trial
    effect: np.ndarray  # (n, 3) of each action on each decision
    before: np.ndarray  # (n, 3) propensities before capacity
    month: np.ndarray  # (n,) 0 … 11, in order
    full: np.ndarray  # (n,) bool: places were scarce


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def drawn(seed, n=4_000, each=5, effects=(-0.06, -0.03), scarce=1.0):
    "A reminder (1), likelier where the risk is high; a call (2), only where pay is in time; less of both when full."
    rng = np.random.default_rng(seed)
    customer = rng.integers(n // each, size=n)
    lasting = rng.normal(size=n // each)[customer]
    late, risk = rng.random(n) < 0.3, 0.7 * lasting + 0.7 * rng.normal(size=n)
    high, full = sigmoid(2 * risk), rng.random(n) < 0.5
    before = np.column_stack([0.1 + 0.4 * high, np.where(late, 0.0, 0.05 + 0.2 * high)])
    after = before * np.where(full, scarce, 1.0)[:, None]
    propensity, before = (np.column_stack([1 - p.sum(1), p]) for p in (after, before))
    action = (rng.random(n)[:, None] > propensity.cumsum(1)[:, :2]).sum(1)
    effect = np.column_stack([np.zeros(n), effects[0] * (0.7 + late), np.full(n, effects[1])])
    chance = 0.12 + 0.25 * sigmoid(lasting) + 0.2 * high + 0.1 * late
    missed = rng.random(n) < chance + effect[np.arange(n), action]
    trial = Trial(customer, action, propensity, missed * 1.0, np.column_stack([late * 1.0, risk]))
    return Known(trial, effect, before, np.arange(n) * MONTHS // n, full)
