"""Sharing out scarce places: `python benchmarks/allocation.py [--customers 10000] [--large 1000000] [--json]`.

Ten thousand customers by eleven actions and four channels against scipy's HiGHS, which finds the best plan there is, and against taking
the most valuable first; CPU seconds, all three in this run on the same options. Then a million customers by eleven actions: seconds,
peak memory of the process, and the certificate, the share of the value that could be lost at most. Compiled beforehand.
"""

import resource
import time

import numpy as np
from _table import Row, arguments, faster, more, say, show
from predelinquency.decide import allocation

ACTIONS, CHANNELS = 11, 4
SHARE = np.array([0.2, 0.2, 0.05, 0.02, 0.02, 0.02, 0.004, 0.004, 0.004, 0.002, 0.002])  # places a customer
BY = np.array([0.5, 0.2, 0.03, 0.002])


def crowd(customers: int, seed: int = 12) -> tuple[allocation.Choices, np.ndarray]:
    "What is at stake for each customer times what each action averts, less what it costs; not everything is allowed."
    dice = np.random.default_rng(seed)
    stake = dice.beta(1, 8, customers) * np.exp(dice.normal(11.5, 1.0, customers))
    averts = np.array([0.04, 0.01, 0.015, 0.02, 0.03, 0.035, 0.02, 0.03, 0.04, 0.06, 0.07])
    costs = np.array([8, 8, 18, 25, 40, 60, 150, 250, 350, 600, 900])
    value = np.empty((customers, ACTIONS))
    for k in range(ACTIONS):
        value[:, k] = np.round(stake * averts[k] * dice.gamma(4, 0.25, customers) - costs[k], 2)
        value[dice.random(customers) < 0.4, k] = np.nan
    uses = np.column_stack([np.arange(ACTIONS), ACTIONS + np.arange(ACTIONS) % CHANNELS])
    return allocation.in_columns(value, uses), np.maximum(1, np.r_[SHARE, BY] * customers).astype(int)


def best_of_all(choices: allocation.Choices, room: np.ndarray) -> tuple[float, float]:
    "The value of the best plan, and the CPU seconds that HiGHS took to find it."
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_array

    many, n = len(choices.value), len(choices.start) - 1
    owner = np.repeat(np.arange(n), np.diff(choices.start))
    rows, column = np.concatenate([owner, *(n + choices.uses.T)]), np.tile(np.arange(many), 3)
    takes = coo_array((np.ones(3 * many), (rows, column)), shape=(n + len(room), many)).tocsr()
    start = time.process_time()
    found = milp(
        -choices.value,
        integrality=np.ones(many),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(takes, ub=np.r_[np.ones(n), room]),
        options=dict(mip_rel_gap=1e-6, time_limit=300),
    )
    return -float(found.fun), time.process_time() - start


def timed(choices: allocation.Choices, room: np.ndarray) -> tuple[allocation.Shared, float]:
    start = time.process_time()
    found = allocation.share_places(choices, room)
    return found, time.process_time() - start


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    asked = parser.parse_args()
    allocation.share_places(*crowd(300))  # compiled
    choices, room = crowd(asked.customers)
    say(f"{asked.customers:,} customers, {len(choices.value):,} options, {len(room)} kinds of place")
    found, seconds = timed(choices, room)
    say("HiGHS")
    best, highs = best_of_all(choices, room)
    rows = [
        more(f"value of the plan, {asked.customers:,}", "GBP", found.value / 100, best / 100, "HiGHS", ">= 0.999"),
        more("value of the plan", "GBP", found.value / 100, found.plain / 100, "most valuable first", ">= 1"),
        Row("the certificate: lost at most", "share", found.gap, bar="<= 0.001"),
        faster("the plan", "CPU s", seconds, highs, "HiGHS"),
    ]
    if asked.large:
        say(f"{asked.large:,} customers by {ACTIONS} actions")
        choices, room = crowd(asked.large)
        made = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        found, seconds = timed(choices, room)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        rows += [
            Row(f"{asked.large:,} customers by {ACTIONS} actions", "CPU s", seconds, bar="<= 60"),
            Row("the process at its peak", "GiB", peak, bar="<= 4"),
            Row("of these before the plan", "GiB", made),
            Row("the certificate: lost at most", "share", found.gap, bar="<= 0.001"),
            more("value of the plan", "GBP", found.value / 100, found.plain / 100, "most valuable first", ">= 1"),
        ]
    show("Sharing out scarce places", rows, asked.json)


if __name__ == "__main__":
    main()
