"""The effects of actions: against sums by hand, brute force and trials whose effects are known."""

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import t as student
from trials import MONTHS, drawn

from predelinquency.ground.core import ParamsError, SchemaError
from predelinquency.judge import effects as ef
from predelinquency.judge import uplift as up

TRUE = {1: -0.06, 2: -0.03}  # of `drawn`, in the overlap of each action: 0.7 of it and once more for three in ten


def weighted(trial, seed=0):
    return trial._replace(weight=np.random.default_rng(seed).integers(1, 4, len(trial.y)) * 1.0)


def slowly(trial, action, score):
    "Mean and error of a score of each row of the overlap, customer by customer."
    rows = [i for i in range(len(trial.y)) if min(trial.propensity[i, 0], trial.propensity[i, action]) >= ef.FLOOR]
    w = np.ones(len(trial.y)) if trial.weight is None else trial.weight
    total = sum(w[i] for i in rows)
    mean = sum(w[i] * score(i) for i in rows) / total
    owed: dict[int, float] = {}
    for i in rows:
        owed[trial.customer[i]] = owed.get(trial.customer[i], 0.0) + w[i] * (score(i) - mean) / total
    squares = [v**2 for v in owed.values()]
    whole = sum(squares)
    freedom = 2 * whole**2 / sum((s - whole / len(squares)) ** 2 for s in squares)
    return mean, (whole * len(owed) / (len(owed) - 1)) ** 0.5, student.ppf(0.975, freedom)


@pytest.mark.parametrize("with_weights", [False, True])
@pytest.mark.parametrize("action", [1, 2])
def test_inverse_propensities_are_the_sum_by_hand(action, with_weights):
    t = weighted(drawn(1, 600).trial) if with_weights else drawn(1, 600).trial

    def score(i):
        took = t.action[i]
        return t.y[i] / t.propensity[i, took] * ((took == action) - 1.0 * (took == 0))

    mean, error, errors = slowly(t, action, score)
    found = ef.ips(t, action)
    assert (found.effect, found.error) == (pytest.approx(mean), pytest.approx(error))
    assert found.high - found.effect == pytest.approx(errors * error, rel=1e-6) and 1.96 < errors < 2.3
    assert found.rows == int((t.propensity[:, action] > 0).sum()) and 0 < found.effective <= (t.action == 0).sum()


def test_self_normalised_is_a_ratio_of_weighted_sums_and_does_not_mind_a_constant():
    t = weighted(drawn(2, 600).trial)
    t = ef.only(t, ef.overlap(t, 2))
    means = {}
    for arm in (0, 2):
        w = [t.weight[i] / t.propensity[i, arm] if t.action[i] == arm else 0.0 for i in range(len(t.y))]
        means[arm] = sum(a * b for a, b in zip(w, t.y, strict=True)) / sum(w)
    assert ef.snips(t, 2).effect == pytest.approx(means[2] - means[0])
    moved = t._replace(y=t.y + 100)
    assert ef.snips(moved, 2).effect == pytest.approx(means[2] - means[0])
    assert abs(ef.ips(moved, 2).effect - ef.ips(t, 2).effect) > 1  # the other one does


def test_the_difference_in_means_is_that_and_its_effective_size_counts_the_smaller_arm():
    t = drawn(3, 600).trial
    found = ef.difference_in_means(t, 1)
    assert found.effect == pytest.approx(t.y[t.action == 1].mean() - t.y[t.action == 0].mean())
    assert found.effective == pytest.approx(min((t.action == 1).sum(), (t.action == 0).sum()))


@pytest.mark.parametrize("with_weights", [False, True])
def test_augmented_scores_are_the_formula_with_regressions_of_other_customers(with_weights):
    t = drawn(4, 900).trial
    t = weighted(t) if with_weights else t
    t = ef.only(t, ef.overlap(t, 1))
    w = np.ones(len(t.y)) if t.weight is None else t.weight
    ids = np.unique(t.customer)
    fold_of = dict(zip(ids, np.random.default_rng(7).permutation(len(ids)) % 3, strict=True))
    fold = np.array([fold_of[c] for c in t.customer])
    expected = np.empty((2, len(t.y)))
    for held in range(3):
        for row, arm in enumerate((0, 1)):
            learning = (fold != held) & (t.action == arm)
            middle = np.average(t.x[learning], axis=0, weights=w[learning])
            spread = np.sqrt(np.average((t.x[learning] - middle) ** 2, axis=0, weights=w[learning]))
            z = np.column_stack([np.ones(len(t.y)), (t.x - middle) / spread])
            root = np.sqrt(w[learning])[:, None]
            padded = np.vstack([root * z[learning], np.diag([0.0, 1.0, 1.0])])  # ridge as rows that pull to nought
            beta = np.linalg.lstsq(padded, np.r_[root[:, 0] * t.y[learning], 0, 0, 0], rcond=None)[0]
            expected[row, fold == held] = z[fold == held] @ beta
    slow = expected[1] - expected[0] + (t.action == 1) / t.propensity[:, 1] * (t.y - expected[1])
    slow -= (t.action == 0) / t.propensity[:, 0] * (t.y - expected[0])
    assert np.allclose(ef.pseudo_outcomes(t, 1, seed=7, folds=3), slow)
    mean, error, _ = slowly(t, 1, lambda i: slow[i])
    found = ef.aipw(t, 1, seed=7, folds=3)
    assert (found.effect, found.error) == (pytest.approx(mean), pytest.approx(error))


def test_what_a_customer_did_never_teaches_what_is_expected_of_them():
    t = drawn(5, 600).trial
    mine = t.customer == t.customer[0]
    before = ef.pseudo_outcomes(t, 1, seed=1)
    after = ef.pseudo_outcomes(t._replace(y=np.where(mine, t.y + 50, t.y)), 1, seed=1)
    taken = mine & (t.action < 2)
    # their own outcomes enter their own scores by the weight of their rows alone
    sign = np.where(t.action == 1, 1.0, -1.0) / t.propensity[np.arange(len(t.y)), t.action]
    assert np.allclose((after - before)[taken], 50 * sign[taken])
    assert np.allclose((after - before)[mine & (t.action == 2)], 0)


def test_scores_outside_the_overlap_are_unknown():
    t = drawn(6, 600).trial
    assert (np.isnan(ef.pseudo_outcomes(t, 2)) == (t.propensity[:, 2] == 0)).all()
    rare = t.propensity.copy()
    rare[0] = [0.995, 0.005, 0.0]
    assert not ef.overlap(t._replace(propensity=rare), 1)[0] and ef.overlap(t, 1)[0]


@pytest.mark.parametrize("way", [ef.difference_in_means, ef.ips, ef.snips, ef.aipw])
def test_what_stands_for_two_is_two_rows_of_one_customer_and_nobody_becomes_surer_by_copies(way):
    t = drawn(7, 800).trial
    twice = ef.only(t, np.repeat(np.arange(len(t.y)), 2))
    one, two = (way(x, 1) for x in (t._replace(weight=np.full(len(t.y), 2.0)), twice))
    assert two.effect == pytest.approx(one.effect, abs=2e-3 if way is ef.aipw else 1e-12)  # the penalty sees more rows
    assert two.error == pytest.approx(one.error, rel=2e-2 if way is ef.aipw else 1e-9)
    assert one.error == pytest.approx(way(t, 1).error, rel=2e-2)
    alone = way(twice._replace(customer=np.arange(len(twice.y))), 1)
    assert alone.error < 0.8 * two.error  # copies taken for people: 1/sqrt(2) of the error


@pytest.mark.parametrize("way", [ef.ips, ef.snips, ef.aipw])
def test_intervals_hold_the_truth_in_95_of_100_trials(way):
    "Seeds 0 to 299, both actions, 4,000 decisions of 800 customers: 600 intervals."
    holds, ratios = [], []
    for seed in range(300):
        t = drawn(seed).trial
        for action, true in TRUE.items():
            e = way(t, action)
            holds.append(e.low <= true <= e.high)
            ratios.append((e.effect - true) / e.error)
    assert 0.93 <= np.mean(holds) <= 0.97
    assert abs(np.mean(ratios)) < 3 / np.sqrt(len(ratios))


def test_where_few_customers_stand_for_many_the_interval_is_wider_and_holds_the_truth_more_often():
    "An action that one in twelve gets, and an outcome that one in twenty-five has: seeds 0 to 999, 1,500 customers."
    holds, normal, n = [], [], 1_500
    for seed in range(1_000):
        rng = np.random.default_rng(seed)
        p = np.tile([11 / 12, 1 / 12], (n, 1))
        y = (rng.random(n) < 0.04) * 1.0
        t = ef.Trial(np.arange(n), (rng.random(n) < p[:, 1]) * 1, p, y, np.empty((n, 0)))
        e = ef.aipw(t, 1)
        holds.append(e.low <= 0 <= e.high)
        normal.append(abs(e.effect) <= ef.Z * e.error)
    assert np.mean(normal) < np.mean(holds) - 0.01, (np.mean(normal), np.mean(holds))
    assert abs(np.mean(holds) - 0.95) < abs(np.mean(normal) - 0.95)


def test_errors_that_take_decisions_for_people_are_too_small():
    "Customers who are helped or hindered for good, ten decisions each; seeds 0 to 149."
    holds = {True: [], False: []}
    for seed in range(150):
        rng = np.random.default_rng(seed)
        customer = np.repeat(np.arange(200), 10)
        lasting, had = rng.normal(size=200)[customer], (rng.random(200) < 0.5)[customer]
        y = 5 + lasting * had + rng.normal(size=2_000)
        t = ef.Trial(customer, had * 1, np.full((2_000, 2), 0.5), y, np.empty((2_000, 0)))
        for clustered in holds:
            e = ef.aipw(t if clustered else t._replace(customer=np.arange(2_000)), 1)
            holds[clustered].append(e.low <= 0 <= e.high)
    assert 0.90 <= np.mean(holds[True]) <= 0.99 and np.mean(holds[False]) < 0.80


@pytest.mark.parametrize(
    "changes, said",
    [
        (dict(propensity=lambda t: t.propensity * 0.9), "do not sum to 1"),
        (dict(propensity=lambda t: t.propensity * [1, 1, -1] + [0, 0, 0]), "do not sum to 1"),
        (dict(action=lambda t: np.full(len(t.y), 2)), "whose propensity is 0"),
        (dict(action=lambda t: np.full(len(t.y), 3)), "none of 0 … 2"),
        (dict(action=lambda t: t.action * 1.0), "is an integer"),
        (dict(y=lambda t: np.where(t.y == 1, np.nan, 0)), "`y` is not a number"),
        (dict(x=lambda t: np.where(t.x > 2, np.inf, t.x)), "`x` is not a number"),
        (dict(propensity=lambda t: np.where(t.propensity > 0.6, np.nan, t.propensity)), "`propensity` is not a number"),
        (dict(y=lambda t: t.y[:0]), "has none"),
        (dict(y=lambda t: t.y[:-1]), "one row a decision"),
        (dict(weight=lambda t: t.y), "weight is not above 0"),
    ],
)
def test_what_is_no_trial_is_refused_by_the_check_and_by_every_estimator(changes, said):
    t = drawn(8, 400).trial
    wrong = t._replace(**{name: change(t) for name, change in changes.items()})
    for asked in (ef.checked, ef.propensities_hold, lambda x: ef.aipw(x, 1), lambda x: ef.ips(x, 1)):
        with pytest.raises(SchemaError, match=said):
            asked(wrong)


def test_a_propensity_below_the_floor_is_refused_and_the_floor_may_be_moved():
    t = drawn(8, 400).trial
    p = np.where(np.arange(400)[:, None] == 0, [[0.995, 0.005, 0.0]], t.propensity)
    t = t._replace(propensity=p, action=np.where(np.arange(400) == 0, 0, t.action))
    with pytest.raises(SchemaError, match="row 0: a propensity lies below the floor of 0.01, 1 times"):
        ef.checked(t)
    assert ef.checked(t, floor=0.005) is t


def test_an_action_that_is_none_and_an_arm_without_customers_are_refused():
    t = drawn(8, 400).trial
    for action in (0, 3):
        with pytest.raises(ParamsError, match="an action from 1 to 2"):
            ef.ips(t, action)
    with pytest.raises(SchemaError, match="at least two customers are needed with nothing"):
        ef.ips(ef.only(t, t.action > 0), 1)
    with pytest.raises(ParamsError, match="folds"):
        ef.aipw(t, 1, folds=1)


def test_true_propensities_stand_and_true_ones_are_refused_in_at_most_one_of_twenty():
    "Seeds 0 to 199, 2,000 decisions; a level of 5% is refused more than 17 times with a chance below 1%."
    refused = 0
    for seed in range(200):
        known = drawn(seed, 2_000, scarce=0.7)
        refused += not ef.propensities_hold(known.trial, known.full).holds
    assert refused <= 17


def test_a_coin_thrown_once_for_each_customer_is_one_coin():
    "Seeds 0 to 199, 100 customers with ten decisions each, who have the reminder always or never."
    refused = {True: 0, False: 0}
    for seed in range(200):
        rng = np.random.default_rng(seed)
        customer = np.repeat(np.arange(100), 10)
        had, x = (rng.random(100) < 0.5)[customer], rng.normal(size=100)[customer]
        t = ef.Trial(customer, had * 1, np.full((1_000, 2), 0.5), had * 1.0, x[:, None])
        for clustered in refused:
            asked = t if clustered else t._replace(customer=np.arange(1_000))
            refused[clustered] += not ef.propensities_hold(asked).holds
    assert refused[True] <= 17 and refused[False] > 60


def test_a_stratum_of_few_customers_is_not_asked():
    t = drawn(1, 1_000).trial
    strata = np.where(np.isin(t.customer, np.unique(t.customer)[:29]), "few", "many")
    assert ef.propensities_hold(t, strata).tests == ef.propensities_hold(t).tests + 3


def test_a_log_of_before_capacity_and_one_of_the_mean_over_days_are_caught():
    "Seeds 0 to 19, 20,000 decisions: three in ten offers fall on full days."
    for seed in range(20):
        known = drawn(seed, 20_000, scarce=0.7)
        found = ef.propensities_hold(known.trial._replace(propensity=known.before))
        assert not found.holds and found.p_value < 1e-6
        mean = known.before * [1, 0.85, 0.85]
        mean[:, 0] = 1 - mean[:, 1:].sum(1)
        found = ef.propensities_hold(known.trial._replace(propensity=mean), known.full)
        assert not found.holds and found.among.startswith("stratum")


def test_the_worst_question_is_told_with_its_action_and_column():
    known = drawn(3, 20_000)
    t = known.trial
    tilted = t.propensity.copy()
    shift = 0.3 * tilted[:, 1] * np.where(t.x[:, 0] > 0, 0.5, -0.5 * 3 / 7)  # right on the whole, wrong by column 0
    tilted[:, 1] -= shift
    tilted[:, 0] += shift
    found = ef.propensities_hold(t._replace(propensity=tilted))
    assert not found.holds and (found.action, found.among) == (1, "x 0")
    assert found.tests == 3 * 4


def test_the_margin_is_that_of_the_mixture():
    "As `std_conjmix_margin` of drconfseq writes it, times the root of t for one standard error."
    alpha, planned = 0.05, 500
    rho2 = (-2 * np.log(alpha) + np.log(1 - 2 * np.log(alpha))) / planned
    looks = [ef.Estimate(0.0, 1 / np.sqrt(t), 0, 0, t, t) for t in (10, 100, 500, 5_000)]
    for e in ef.confidence_sequence(looks, planned):
        t = e.rows
        assert e.high == pytest.approx(
            np.sqrt(2 * (t * rho2 + 1) * np.log(np.sqrt(t * rho2 + 1) / alpha) / (t**2 * rho2))
        )
    near = [ef.confidence_sequence([looks[2]], p)[0].high for p in range(100, 3_000, 20)]
    assert near[(planned - 100) // 20] < 1.001 * min(near)  # narrowest where it was planned, nearly


def test_twelve_looks_hold_the_truth_all_together_and_ordinary_intervals_do_not():
    "Seeds 0 to 199, 1,800 decisions in twelve months, cumulative looks."
    together = {"each": 0, "sequence": 0}
    for seed in range(200):
        known = drawn(seed, 1_800)
        looks = [ef.snips(ef.only(known.trial, known.month <= month), 1) for month in range(MONTHS)]
        for name, row in dict(each=looks, sequence=ef.confidence_sequence(looks, planned=900)).items():
            together[name] += all(e.low <= TRUE[1] <= e.high for e in row)
    assert together["sequence"] >= 0.95 * 200 and together["each"] < 0.88 * 200


def test_looks_that_lose_rows_and_plans_that_are_none_are_refused():
    t = drawn(1, 400).trial
    looks = [ef.ips(t, 1), ef.ips(ef.only(t, np.arange(200)), 1)]
    with pytest.raises(SchemaError, match="each look holds the rows"):
        ef.confidence_sequence(looks, 400)
    with pytest.raises(ParamsError, match="planned"):
        ef.confidence_sequence(looks[:1], 0)


def test_the_smallest_effect_is_found_four_times_in_five():
    "Seeds 0 to 399, 3,000 decisions, unequal propensities: 80% with three standard errors of 2%."
    missed, p = 0.2, np.array([[0.7, 0.3]])
    design = ef.Design(3_000, missed, p)
    averted = ef.smallest_effect(design)
    assert ef.power(design, averted) == pytest.approx(0.8, abs=1e-4)
    assert ef.power(design, 0.0) == pytest.approx(0.05)
    hits = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        action = (rng.random(3_000) < 0.3) * 1
        y = (rng.random(3_000) < missed * (1 - averted * action)) * 1.0
        t = ef.Trial(np.arange(3_000), action, np.repeat(p, 3_000, 0), y, np.empty((3_000, 0)))
        e = ef.snips(t, 1)
        hits += not e.low <= 0 <= e.high
    assert 0.74 <= hits / 400 <= 0.86


def test_what_a_trial_can_see_grows_with_its_root_and_shrinks_with_what_is_left_unexplained():
    design = ef.Design(4_000, 0.1, np.array([[0.5, 0.5]]))
    assert ef.smallest_effect(replace(design, decisions=16_000)) == pytest.approx(ef.smallest_effect(design) / 2)
    assert ef.smallest_effect(replace(design, residual=0.09 / 4)) == pytest.approx(ef.smallest_effect(design) / 2)
    assert ef.smallest_effect(replace(design, clustering=4.0)) == pytest.approx(ef.smallest_effect(design) * 2)
    z = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(0.8)
    assert ef.smallest_effect(design) == pytest.approx(z * np.sqrt(0.09 * 4 / 4_000) / 0.1)
    for wrong in (dict(missed=0.0), dict(decisions=0), dict(propensity=np.array([[0.5, 0.6]]))):
        with pytest.raises(ParamsError):
            ef.smallest_effect(replace(design, **wrong))


def modified(seed, n=4_000, each=5):
    "An effect of -0.05 and -0.08 more where column 0 is 1."
    rng = np.random.default_rng(seed)
    customer, x = rng.integers(n // each, size=n), rng.normal(size=(n, 3))
    x[:, 0] = rng.random(n) < 0.4
    chance = 0.2 + 0.3 * (x[:, 1] > 0)
    action = (rng.random(n) < chance) * 1
    effect = -0.05 - 0.08 * x[:, 0]
    base = 0.3 + 0.1 * x[:, 0] + 0.1 * (rng.normal(size=n // each)[customer] > 0)
    y = (rng.random(n) < base + effect * action) * 1.0
    return ef.Trial(customer, action, np.column_stack([1 - chance, chance]), y, x), effect


def test_the_model_is_least_squares_of_the_scores_with_a_sandwich_by_customer():
    t = weighted(modified(1, 600)[0])
    model = up.effects_by(t, 1, [0, 2], seed=3)
    scores = ef.pseudo_outcomes(t, 1, seed=3)
    z = np.column_stack([np.ones(600), t.x[:, [0, 2]]])
    root = np.sqrt(t.weight)
    beta = np.linalg.lstsq(root[:, None] * z, root * scores, rcond=None)[0]
    assert np.allclose(model.coefficient, beta)
    meat = np.zeros((3, 3))
    for c in np.unique(t.customer):
        mine = t.customer == c
        g = z[mine].T @ (t.weight * (scores - z @ beta))[mine]
        meat += np.outer(g, g)
    customers = len(np.unique(t.customer))
    bread = np.linalg.inv((z.T * t.weight) @ z)
    assert np.allclose(model.covariance, bread @ meat @ bread * customers / (customers - 1))
    effect, error = up.predicted_effects(model, t.x)
    assert np.allclose(effect, z @ beta) and error[0] == pytest.approx(np.sqrt(z[0] @ model.covariance @ z[0]))


def test_predicted_effects_hold_the_truth():
    "Seeds 0 to 299: the effect where column 0 is nought, and where it is one."
    holds = []
    at = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    for seed in range(300):
        effect, error = up.predicted_effects(up.effects_by(modified(seed, 3_000)[0], 1, [0, 1]), at)
        holds += list(np.abs(effect - [-0.05, -0.13]) <= 1.96 * error)
    assert 0.93 <= np.mean(holds) <= 0.97


@pytest.mark.parametrize("columns", [[], [0, 0], [3], [-1], list(range(9))])
def test_modifiers_that_are_none_too_many_or_twice_are_refused(columns):
    t = modified(1, 300)[0]
    with pytest.raises(ParamsError, match="are declared"):
        up.effects_by(t if max(columns, default=0) < 8 else t._replace(x=np.tile(t.x, (1, 3))), 1, columns)


def test_a_modifier_that_says_nothing_is_refused():
    t = modified(1, 300)[0]
    with pytest.raises(SchemaError, match="same for everybody"):
        up.effects_by(t._replace(x=np.column_stack([t.x, np.ones(300)])), 1, [0, 3])


def test_prior_times_estimate_is_the_product_of_two_densities():
    prior = up.prior_from_band(-0.06, 0.02)
    assert (prior.mean, prior.sd) == (pytest.approx(-0.02), pytest.approx(0.02))
    grid = np.linspace(-0.4, 0.4, 80_001)
    for effect, error in ((-0.1, 0.03), (0.05, 0.01)):
        density = np.exp(-0.5 * ((grid - prior.mean) / prior.sd) ** 2 - 0.5 * ((grid - effect) / error) ** 2)
        density /= density.sum()
        mean = grid @ density
        found = up.shrink(effect, error, prior)
        assert found.mean[0] == pytest.approx(mean) and found.sd[0] == pytest.approx(
            np.sqrt((grid - mean) ** 2 @ density)
        )
        assert found.high[0] - found.low[0] == pytest.approx(2 * 1.959964 * found.sd[0], rel=1e-6)
    with pytest.raises(ParamsError, match="band"):
        up.prior_from_band(0.02, 0.02)


def test_segments_tell_how_far_effects_lie_apart():
    "Seed 5: 20,000 segments with unequal errors."
    rng = np.random.default_rng(5)
    error = rng.uniform(0.01, 0.05, 20_000)
    found = up.prior_of_segments(rng.normal(-0.03, 0.02, 20_000) + rng.normal(size=20_000) * error, error)
    assert found.mean == pytest.approx(-0.03, abs=1e-3) and found.sd == pytest.approx(0.02, abs=1e-3)
    alike = up.prior_of_segments(np.array([0.01, 0.011]), np.array([0.1, 0.1]))
    assert alike.sd == 0 and up.shrink(np.array([0.5]), np.array([0.1]), alike).mean[0] == pytest.approx(alike.mean)
    with pytest.raises(ParamsError, match="two segments"):
        up.prior_of_segments(np.array([0.1]), np.array([0.1]))


def test_the_curve_is_the_slow_sum_and_equal_predictions_go_together():
    rng = np.random.default_rng(6)
    predicted, effect, w = rng.normal(size=300).round(1), rng.normal(size=300), rng.uniform(0.5, 2, 300)
    found = up.true_qini(predicted, effect, w)
    assert len(found.share) == len(np.unique(predicted)) + 1
    for share, averted, cut in zip(found.share[1:], found.averted[1:], np.unique(predicted), strict=True):
        front = predicted <= cut
        assert share == pytest.approx(w[front].sum() / w.sum())
        assert averted == pytest.approx(-(w * effect)[front].sum() / w.sum())
    order = rng.permutation(300)
    assert up.true_qini(predicted[order], effect[order], w[order]).coefficient == pytest.approx(found.coefficient)
    assert up.true_qini(np.zeros(300), effect).coefficient == pytest.approx(0)


def test_the_coefficient_is_that_of_rank_weighted_effects():
    "QINI of grf: the mean over k of k/n (mean of the first k, less the mean of all)."
    rng = np.random.default_rng(7)
    predicted, averted = rng.normal(size=4_000), rng.normal(size=4_000)
    ranked = averted[np.argsort(predicted)]
    slow = np.mean([(k / 4_000) * (ranked[:k].mean() - ranked.mean()) for k in range(1, 4_001)])
    assert up.true_qini(predicted, -averted).coefficient == pytest.approx(slow, abs=2 / 4_000)


def test_where_arms_alternate_the_curve_is_radcliffe_s():
    "Treated less control times the ratio of their numbers, as scikit-uplift counts it, at every second row."
    rng = np.random.default_rng(8)
    n = 2_000
    treated, missed = np.arange(n) % 2 == 1, rng.random(n) < 0.3
    scores = missed * np.where(treated, 2.0, -2.0)
    found = up.true_qini(np.arange(n) * 1.0, scores)
    for k in range(2, n + 1, 2):
        t, y = treated[:k], missed[:k]
        by_hand = y[t].sum() - y[~t].sum() * t.sum() / (~t).sum()
        assert found.averted[k] == pytest.approx(-2 * by_hand / n)


def test_the_qini_of_a_trial_comes_to_the_true_one_and_its_interval_holds_it():
    "Seeds 0 to 59 and 60 draws: 60 intervals of 95% hold it 51 to 60 times, but for a chance below 1%."
    holds, found, true = 0, [], up.true_qini(*[modified(999, 400_000)[1]] * 2).coefficient
    for seed in range(60):
        t, effect = modified(seed, 2_000)
        q = up.qini(t, 1, effect, seed=seed, replicates=60)
        found.append(q.coefficient)
        holds += q.low <= true <= q.high
    assert holds >= 51 and abs(np.mean(found) - true) < 3 * np.std(found) / np.sqrt(60)
    assert np.isnan(up.qini(t, 1, effect, replicates=0).low)


def test_a_ranking_of_rows_that_are_not_known_is_refused():
    with pytest.raises(SchemaError, match="a known number"):
        up.true_qini(np.array([0.1, np.nan]), np.zeros(2))
