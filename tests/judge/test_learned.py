"""What is learned from a log: the band where there is no log, the log where there is much; harm is stopped where it is."""

import numpy as np
import pytest
from trials import drawn

from predelinquency.judge import learned
from predelinquency.judge.effects import only, overlap

BAND = (-0.3, 0.1)


@pytest.fixture(scope="module")
def known():
    return drawn(7, n=30_000, effects=(-0.08, 0.06))


def test_what_comes_of_nothing_is_found_by_the_logged_propensities(known):
    levels = learned.levels_of(known.trial, column=1)
    expected = levels.at(known.trial.x)
    nothing = known.trial.action == 0
    low, high = (known.trial.x[:, 1] < 0) & nothing, (known.trial.x[:, 1] > 0) & nothing
    for rows in (low, high):
        assert expected[rows].mean() == pytest.approx(known.trial.y[rows].mean(), abs=0.02)
    assert expected[high].mean() > expected[low].mean() + 0.05


def test_much_log_overrules_the_band_and_little_log_leaves_it(known):
    expected = learned.levels_of(known.trial, column=1).at(known.trial.x)
    truth = -known.effect[:, 1].sum() / expected.sum()
    found = [
        learned.learn_share(only(known.trial, rows), 1, expected[rows], BAND)
        for rows in (np.arange(300), np.arange(len(expected)))
    ]
    few, many = ((float(one.mean[0]), float(np.sqrt(one.covariance[0, 0]))) for one in found)
    assert abs(few[0] + 0.1) < 0.1 and 3 * many[1] < few[1] <= 0.1 + 1e-9
    assert abs(many[0] - truth) < 3 * many[1] and many[0] > 0.1


def test_rows_are_told_apart_by_what_moves_the_effect(known):
    expected = learned.levels_of(known.trial, column=1).at(known.trial.x)
    mine = [learned.learn_share(known.trial, a, expected, BAND, columns=[0, 1]) for a in (1, 2)]
    belief = learned.believed(mine, known.trial.x, expected, actions=4)
    late = known.trial.x[:, 0] == 1
    assert belief.mean[late, 1].mean() < belief.mean[~late, 1].mean() < 0, "more for those who pay late"
    assert np.isnan(belief.mean[:, 3]).all() and (belief.mean[:, 0] == 0).all()
    for a in (1, 2):
        rows = overlap(known.trial, a)
        assert belief.mean[rows, a].mean() == pytest.approx(known.effect[rows, a].mean(), abs=0.02)


def test_the_mean_ranks_and_the_bound_is_a_gate():
    belief = learned.Belief(
        np.array([[0, -0.10, -0.05], [0, 0.02, np.nan]]), np.array([[0, 0.20, 0.01], [0, 0.0, np.nan]])
    )
    can, stakes, free = np.ones((2, 3), bool), np.array([100.0, 100.0]), np.zeros(3)
    assert learned.best_actions(belief, can, stakes, free).action.tolist() == [2, 0], "the first is a mere hope"
    bold = learned.best_actions(belief, can, stakes, free, errors=-np.inf)
    assert bold.action.tolist() == [1, 0] and bold.worth.tolist() == [10.0, 0.0]
    assert learned.best_actions(belief, can, stakes, np.array([0, 0, 6.0])).action.tolist() == [0, 0], "it costs more"
    harm = learned.Belief(np.array([[0, -1.0, 2.0], [0, 0, 0.0]]), np.zeros((2, 3)))
    assert learned.best_actions(belief, can, stakes, free, customer=harm).action.tolist() == [0, 0]
    many = learned.Chosen(np.array([1, 0, 2, 1]), np.array([5.0, 0.0, 9.0, 1.0]))
    assert learned.within(many, 2).tolist() == [1, 0, 2, 0] and learned.within(many, 9).tolist() == [1, 0, 2, 1]


def test_an_action_is_stopped_where_it_harms_and_nowhere_else(known):
    late = np.where(known.trial.x[:, 0] == 1, "late", "in time")
    found = learned.stops(known.trial, late, known.month, planned=8_000)
    assert {(s.action, s.segment) for s in found} == {(2, "in time")}, "a call: nobody who pays late can have one"
    assert found[0].look < known.month.max() and found[0].estimate.low > 0
    helps = known.trial._replace(y=1 - known.trial.y)
    assert {s.action for s in learned.stops(helps, late, known.month, planned=8_000)} == {1}
