"""Places given by shadow prices: never more than there are, close to the best there is, and a certificate that holds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predelinquency.decide import allocation
from predelinquency.decide.allocation import Choices


def best_there_is(choices: Choices, room: np.ndarray, whole: bool = True) -> float:
    "By scipy's HiGHS; where places may be split, it is a little more, and found much sooner."
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import lil_array

    many, n = len(choices.value), len(choices.start) - 1
    takes = lil_array((n + len(room), many))
    for i in range(n):
        takes[[i], choices.start[i] : choices.start[i + 1]] = 1
    for u in range(choices.uses.shape[1]):
        for j, k in enumerate(choices.uses[:, u]):
            if k >= 0:
                takes[n + int(k), j] = 1
    found = milp(
        -choices.value,
        integrality=np.full(many, int(whole)),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(takes.tocsr(), ub=np.r_[np.ones(n), room]),
    )
    return -float(found.fun)


def check(choices: Choices, room: np.ndarray) -> allocation.Shared:
    "What must hold of every plan."
    found, n = allocation.share_places(choices, room), len(choices.start) - 1
    taken = found.chosen[found.chosen >= 0]
    owner = np.repeat(np.arange(n), np.diff(choices.start))
    assert (owner[taken] == np.flatnonzero(found.chosen >= 0)).all(), "somebody got another customer's option"
    used = choices.uses[taken].ravel()
    used = np.bincount(used[used >= 0], minlength=len(room))
    assert (used <= room).all(), "more places were given than there are"
    assert (choices.value[taken] > 0).all() and found.value == pytest.approx(choices.value[taken].sum())
    assert (found.prices >= 0).all() and np.isfinite(found.prices).all()
    assert found.plain <= found.value + 1e-9 and found.value <= found.bound + 1e-9 and 0 <= found.gap <= 1
    left = room - used
    for i in np.flatnonzero(found.chosen < 0):
        for j in range(choices.start[i], choices.start[i + 1]):
            free = all(left[k] > 0 for k in choices.uses[j] if k >= 0)
            assert choices.value[j] <= 0 or not free, "a place is wasted"
    again = allocation.share_places(choices, room)
    assert (again.chosen == found.chosen).all() and (again.prices == found.prices).all()
    return found


@st.composite
def days(draw: st.DrawFn) -> tuple[Choices, np.ndarray]:
    "Odd days: of all sizes, with equal values, customers without options, places without number."
    dice = np.random.default_rng(draw(st.integers(0, 2**32)))
    customers, kinds = draw(st.integers(0, 130)), draw(st.integers(1, 15))
    count = dice.integers(0, draw(st.integers(1, 12)), customers)
    start = np.concatenate([[0], np.cumsum(count)]).astype(draw(st.sampled_from([np.int32, np.int64])))
    rough = draw(st.sampled_from([0, 1, 3, 7, 1000, 2**31]))
    many = int(count.sum())
    value = dice.integers(-1, rough + 2, many) if rough else dice.normal(5, 8, many)
    uses = np.array([dice.permutation(np.r_[np.arange(kinds), -1])[:2] for _ in range(many)], np.int8).reshape(-1, 2)
    room = dice.integers(0, draw(st.sampled_from([1, 3, 20, 10**9])) + 1, kinds)
    return Choices(start, value, uses, dice.integers(0, 3, many)), room


@settings(max_examples=400, deadline=None, derandomize=True)
@given(days())
def test_places_are_never_overbooked_nor_wasted_and_everybody_gets_one_thing_at_most(day) -> None:
    "400 days of 65 customers on average: more than twenty thousand."
    check(*day)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(days())
def test_the_certificate_holds_against_the_best_there_is(day) -> None:
    choices, room = day
    if len(choices.value):
        best = best_there_is(choices, room)
        found = allocation.share_places(choices, room)
        assert found.value <= best + 1e-6 * (1 + best) and best <= found.bound + 1e-6 * (1 + best)


def crowd(customers: int, seed: int) -> tuple[Choices, np.ndarray]:
    dice = np.random.default_rng(seed)
    stake = dice.beta(1, 8, (customers, 1)) * np.exp(dice.normal(11, 1.0, (customers, 1)))
    value = np.round(stake * np.linspace(0.01, 0.08, 11) * dice.gamma(4, 0.25, (customers, 11)), 2)
    value -= np.linspace(5, 900, 11)
    uses = np.column_stack([np.arange(11), 11 + np.arange(11) % 4])
    room = (np.r_[np.geomspace(0.2, 0.002, 11), 0.3, 0.1, 0.02, 0.002] * customers).astype(int)
    return allocation.in_columns(value, uses), room


def test_ten_thousand_customers_come_within_a_thousandth_of_the_best_there_is() -> None:
    choices, room = crowd(10_000, 3)
    found, best = check(choices, room), best_there_is(choices, room, whole=False)
    assert 0.999 * best <= found.value <= best * (1 + 1e-9) and found.gap <= 0.001
    assert found.plain < found.value, "the plain way is as good: the test asks nothing"


def test_a_stored_price_gives_a_single_customer_what_the_night_gave() -> None:
    choices, room = crowd(5_000, 4)
    found, same = allocation.share_places(choices, room), 0
    for i in range(5_000):
        mine = slice(choices.start[i], choices.start[i + 1])
        options = choices.value[mine].tolist(), choices.uses[mine].tolist(), choices.disturbs[mine].tolist()
        alone = allocation.best_at(*options, found.prices.tolist())
        same += (alone + choices.start[i] if alone >= 0 else -1) == found.chosen[i]
    assert same >= 4_975 and (found.chosen >= 0).sum() > 500  # but for those who do not care, and who gave way


def test_a_place_that_nobody_lacks_costs_nothing_and_a_scarce_one_does() -> None:
    choices, room = crowd(2_000, 5)
    plenty = allocation.share_places(choices, np.full(15, 2_000))
    assert plenty.gap == 0 and not plenty.prices.any() and plenty.value == plenty.plain
    scarce = allocation.share_places(choices, np.where(np.arange(15) == 14, 3, 2_000))
    assert scarce.prices[14] > 0 and not scarce.prices[:14].any()


def test_a_place_that_does_not_exist_is_too_dear_for_everybody() -> None:
    choices, room = crowd(2_000, 5)
    prices = allocation.share_places(choices, np.where(np.arange(15) == 10, 0, 2_000)).prices
    assert prices[10] == choices.value[choices.uses[:, 0] == 10].max() and not np.delete(prices, 10).any()
    assert allocation.best_at([float(prices[10])], [[10]], [0], prices.tolist()) == -1


def test_without_options_or_without_places_nobody_gets_anything() -> None:
    none = Choices(np.array([0, 0, 0]), np.zeros(0), np.zeros((0, 2), int), np.zeros(0, int))
    assert check(none, np.array([3])).chosen.tolist() == [-1, -1]
    nobody = Choices(np.array([0]), np.zeros(0), np.zeros((0, 2), int), np.zeros(0, int))
    assert len(check(nobody, np.array([3])).chosen) == 0
    choices, room = crowd(50, 6)
    assert (check(choices, 0 * room).chosen == -1).all()


def test_equal_options_go_to_what_disturbs_least_and_then_to_the_first() -> None:
    def day(disturbs: list[int], start: list[int]) -> Choices:
        return Choices(np.array(start), np.full(2, 9.0), np.array([[0], [0]]), np.array(disturbs))

    one, two = [0, 2], [0, 1, 2]
    assert allocation.share_places(day([5, 1], one), [1]).chosen.tolist() == [1]
    assert allocation.share_places(day([1, 1], one), [1]).chosen.tolist() == [0]
    assert allocation.share_places(day([5, 1], two), [1]).chosen.tolist() == [-1, 1]
    assert allocation.share_places(day([1, 1], two), [1]).chosen.tolist() == [0, -1]
