"""Eight ways to believe in an effect that is not there: each test falls into one on purpose, and shows the way out."""

import numpy as np
import pytest
from trials import MONTHS, drawn, sigmoid

from predelinquency.judge import effects as ef
from predelinquency.judge import learned
from predelinquency.judge import uplift as up


def halves(y, had, customer=None, x=None):
    "A trial of one action that a coin gave."
    n = len(y)
    customer = np.arange(n) if customer is None else customer
    return ef.Trial(customer, had * 1, np.full((n, 2), 0.5), y * 1.0, np.empty((n, 0)) if x is None else x)


def test_propensities_logged_before_capacity_give_a_wrong_effect_and_do_not_pass_the_test():
    """The reminder does nothing. On full days, when more is missed, half of the offers fall away.

    Seeds 0 to 99, 4,000 decisions: the mean of 100 estimates, with three of its standard errors."""
    wrong, right, caught = [], [], 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        full, risk = rng.random(4_000) < 0.5, rng.normal(size=4_000)
        before = 0.2 + 0.4 * sigmoid(risk)
        after = before * np.where(full, 0.3, 1.0)
        had = rng.random(4_000) < after
        y = rng.random(4_000) < 0.1 + 0.2 * full + 0.1 * sigmoid(risk)
        customer = rng.integers(800, size=4_000)
        t = ef.Trial(customer, had * 1, np.column_stack([1 - after, after]), y * 1.0, risk[:, None])
        logged = t._replace(propensity=np.column_stack([1 - before, before]))
        wrong.append(ef.snips(logged, 1).effect)
        right.append(ef.snips(t, 1).effect)
        caught += not ef.propensities_hold(logged).holds
    assert np.mean(wrong) < -0.05  # full days have few reminders and many misses: it seems to help
    assert abs(np.mean(right)) < 3 * np.std(right) / 10
    assert caught == 100


def test_after_a_trigger_things_get_better_by_themselves_and_the_control_group_too():
    """A month of little money triggers a reminder that does nothing; the next month is an ordinary one again.

    Seed 1, 20,000 customers of whom those below a line are triggered and half of them reminded."""
    rng = np.random.default_rng(1)
    lasting = rng.normal(size=20_000)
    first, second = (lasting + rng.normal(size=20_000) for _ in range(2))
    triggered = first < -1.5
    short = [(month < -1.5) * 1.0 for month in (first[triggered], second[triggered])]
    had = rng.random(triggered.sum()) < 0.5
    before_and_after = (short[1] - short[0])[had].mean()
    assert before_and_after < -0.4
    found = ef.aipw(halves(short[1], had, x=first[triggered, None]), 1)
    assert found.low <= 0 <= found.high and found.error < 0.02


def test_those_who_open_the_message_would_have_paid_anyway():
    """The message does nothing, and the careful open it. Seed 2, 20,000 decisions, half of them with a message."""
    rng = np.random.default_rng(2)
    n = 20_000
    careful = rng.normal(size=n)
    had = rng.random(n) < 0.5
    opened = had & (rng.random(n) < sigmoid(careful))
    missed = rng.random(n) < 0.3 * sigmoid(-careful)
    t = halves(missed, had)
    by_opening = ef.difference_in_means(ef.only(t, opened | ~had), 1)
    assert by_opening.high < 0  # an interval that says for certain what is not so
    found = ef.difference_in_means(t, 1)
    assert found.low <= 0 <= found.high
    assert ef.propensities_hold(t).holds and not ef.propensities_hold(ef.only(t, opened | ~had)).holds


def test_the_best_of_ten_is_worse_than_it_seemed_unless_it_is_shrunk():
    """Ten actions with effects from a known law, each estimated once. Seed 3, 4,000 tens."""
    rng = np.random.default_rng(3)
    true = rng.normal(-0.03, 0.015, (4_000, 10))
    error = np.full((4_000, 10), 0.02)
    found = true + rng.normal(size=true.shape) * error
    at = np.arange(4_000), found.argmin(1)
    known = up.prior_from_band(-0.06, 0.0)
    believed = up.shrink(found, error, known)
    segments = np.array([up.shrink(f, e, up.prior_of_segments(f, e)).mean for f, e in zip(found, error, strict=True)])
    gap = (true - found)[at].mean()
    assert gap > 0.015  # half of what it seemed to do
    assert abs((true - believed.mean)[at].mean()) < 3 * believed.sd[0, 0] / np.sqrt(4_000)
    assert abs((true - segments)[at].mean()) < gap / 5
    holds = (np.abs(true - found) <= 1.96 * error)[at].mean()
    shrunk_holds = ((believed.low <= true) & (true <= believed.high))[at].mean()
    assert holds < 0.88 and 0.935 <= shrunk_holds <= 0.965


def test_customers_that_taught_the_effects_find_a_ranking_where_there_is_none():
    """The action does the same for everybody; eight modifiers. Seeds 0 to 39, 2 × 2,000 decisions."""
    own, others = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = 4_000
        customer, x, had = rng.integers(800, size=n), rng.normal(size=(n, 8)), rng.random(n) < 0.5
        t = halves(rng.random(n) < 0.3 - 0.05 * had, had, customer, x)
        taught = ef.only(t, customer < 400)
        model = up.effects_by(taught, 1, range(8), seed=seed)
        for judged, kept in ((taught, own), (ef.only(t, customer >= 400), others)):
            kept.append(
                up.qini(judged, 1, up.predicted_effects(model, judged.x)[0], seed + 1, replicates=0).coefficient
            )
    assert np.mean(own) > 5 * np.std(own) / np.sqrt(40)
    assert abs(np.mean(others)) < 3 * np.std(others) / np.sqrt(40)


def test_an_interval_at_each_look_finds_something_where_nothing_is():
    """A reminder that does nothing, looked at every month until something shows. Seeds 0 to 149, 1,200 decisions."""
    alarms = {"each": 0, "sequence": 0}
    for seed in range(150):
        known = drawn(seed, 1_200, effects=(0.0, 0.0))
        looks = [ef.snips(ef.only(known.trial, known.month <= month), 1) for month in range(MONTHS)]
        for name, row in dict(each=looks, sequence=ef.confidence_sequence(looks, planned=600)).items():
            alarms[name] += any(not e.low <= 0 <= e.high for e in row)
    assert alarms["each"] > 0.12 * 150 and alarms["sequence"] <= 0.05 * 150


@pytest.mark.parametrize("seed", [4, 5, 6])
def test_a_control_group_that_another_channel_reaches_hides_half_of_the_effect(seed):
    """A letter goes to half of those without the reminder and to a tenth of those with it, and does as much.

    20,000 decisions. Actions are what the customer had from all channels, with the probability of the whole."""
    rng = np.random.default_rng(seed)
    n = 20_000
    reminder = rng.random(n) < 0.5
    letter = rng.random(n) < np.where(reminder, 0.1, 0.5)
    missed = rng.random(n) < 0.3 - 0.08 * (reminder | letter)
    one_channel = ef.aipw(halves(missed, reminder), 1)
    assert one_channel.low > -0.08  # the control group was helped too
    p = np.tile([0.25, 0.45, 0.25, 0.05], (n, 1))  # nothing, the reminder, the letter, both
    whole = ef.Trial(np.arange(n), reminder + 2 * letter, p, missed * 1.0, np.empty((n, 0)))
    found = ef.aipw(whole, 1)
    assert ef.propensities_hold(whole).holds
    assert found.low <= -0.08 <= found.high and found.high < one_channel.effect


def test_a_score_taught_again_by_those_who_were_helped_calls_them_safe_and_the_weighted_one_does_not():
    """Those most at risk are helped nine times in ten, and help averts six misses in ten. The next score learns from what
    came of all: who was helped looks safe, and would be left alone. Seeds 0 to 49, 20,000 decisions."""
    naive, weighted = [], []
    for seed in range(50):
        rng = np.random.default_rng(seed)
        group = rng.integers(4, size=20_000)
        nothing, helped = 0.05 * (1 + group), np.where(group == 3, 0.9, 0.1)
        had = rng.random(20_000) < helped
        y = (rng.random(20_000) < nothing * np.where(had, 0.4, 1.0)) * 1.0
        p = np.column_stack([1 - helped, helped])
        t = ef.Trial(np.arange(20_000), had * 1, p, y, group[:, None] * 1.0)
        as_if = t._replace(action=np.zeros(20_000, int), propensity=np.tile([1.0, 0.0], (20_000, 1)))
        most = np.array([[3.0]])
        naive.append(float(learned.levels_of(as_if, ranges=20).at(most)[0]))
        weighted.append(float(learned.levels_of(t, ranges=20).at(most)[0]))
    assert np.mean(naive) < 0.6 * 0.2 < 0.15, "the riskiest fall below the third group, which hardly anybody helps"
    assert abs(np.mean(weighted) - 0.2) < 0.01
