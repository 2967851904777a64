"""What would have changed a score: few changes, small ones first, and only of what a customer can act on."""

import numpy as np

from predelinquency.features.catalogue import BY_NAME
from predelinquency.reasons import whatif

VALUES = {0: np.array([0.0, 1.0]), 1: np.array([0.0, 1.0, 2.0, 3.0]), 2: np.array([0.0, 1.0])}


def chance(rows: np.ndarray) -> np.ndarray:
    return 0.3 - 0.1 * rows[:, 0] - 0.08 * rows[:, 1] + 0.05 * rows[:, 2]


def test_one_change_is_enough_where_one_is_and_the_smallest_is_taken() -> None:
    (one,) = whatif.what_if(chance, np.zeros(3), VALUES, 0.21)
    assert one.chance < 0.21 and (one.feature, one.value) == (0, 1.0), "one step of autopay, not two of savings"


def test_several_changes_are_made_where_they_are_needed_and_no_more_than_asked_for() -> None:
    made = whatif.what_if(chance, np.zeros(3), VALUES, 0.01)
    assert [c.feature for c in made] == [1, 0] and made[-1].chance < 0.01
    assert len(whatif.what_if(chance, np.zeros(3), VALUES, -1, most=1)) == 1


def test_nothing_is_changed_where_nothing_helps_or_nothing_is_needed() -> None:
    assert whatif.what_if(chance, np.zeros(3), {2: VALUES[2]}, 0.1) == []
    assert whatif.what_if(chance, np.zeros(3), VALUES, 0.5) == []
    assert whatif.what_if(chance, np.zeros(3), {}, 0.1) == []


def test_only_topics_of_the_catalogue_that_a_customer_can_act_on_are_levers() -> None:
    topics = {f.customer for f in BY_NAME.values() if f.customer and not f.sensitive}
    assert whatif.ACTIONABLE <= topics
    assert not {t for t in whatif.ACTIONABLE if t.startswith(("Income", "Time", "Where", "When pay arrives"))}
