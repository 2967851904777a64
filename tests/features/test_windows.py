"A window of any length is one row of the catalogue; a row that cannot be is refused by its cell."

import fuzz
import numpy as np
import pandas as pd
import pytest

from predelinquency.features import calculations, catalogue, offline, phrases
from predelinquency.features.calculations import LONGEST_DAYS, Daily
from predelinquency.features.catalogue import Feature
from predelinquency.features.quantities import Q
from predelinquency.ground.core import ParamsError

CUSTOMERS = 60
NAMED = [
    (kind, int(q.name[len(kind) + 1 : -1]))
    for kind in Daily.__members__
    for q in Q
    if q.name.startswith(f"{kind}_") and q.name[len(kind) + 1 : -1].isdigit()
]


def row(calculation: calculations.Calculation) -> Feature:
    return Feature("liquidity", calculation, 0, phrases.phrase("it is {}"), "A topic")


def over_days(kind: str, days: int) -> Feature:
    return row(calculations._asked_daily(Daily[kind], days, None))


@pytest.fixture(scope="module")
def bank() -> dict[str, pd.DataFrame]:
    return fuzz.tables(21, CUSTOMERS, days=260, most=90)


@pytest.fixture(scope="module")
def spine() -> pd.DataFrame:
    return fuzz.spine(CUSTOMERS, days=260, every=9)


def values(bank, spine, features) -> np.ndarray:
    return offline.features(bank, spine, tuple(features))[[f.name for f in features]].to_numpy()


def test_every_kind_has_a_named_window_to_be_held_against():
    assert {kind for kind, _ in NAMED} == set(Daily.__members__)


def test_over_the_windows_that_have_a_name_it_gives_the_named_quantity_to_the_bit(bank, spine):
    tracked = values(bank, spine, [row(calculations.tracked(Q[f"{kind}_{days}d"])) for kind, days in NAMED])
    asked = values(bank, spine, [over_days(*one) for one in NAMED])
    differing = [one for k, one in enumerate(NAMED) if not np.array_equal(asked[:, k], tracked[:, k], equal_nan=True)]
    assert differing == []
    assert (np.isfinite(tracked).mean(0) > 0.2).all(), "each is known often enough to be compared"


def test_days_below_zero_in_fourteen_days_are_the_days_whose_lowest_balance_was_below_zero(bank, spine):
    found = values(bank, spine, [row(calculations.windowed("overdrawn", days)) for days in (1, 14, 45)])
    ever = values(bank, spine, [row(calculations.windowed("overdrawn", days)) for days in (30, 180)])
    known = np.isfinite(found).all(1)
    assert known.any() and (found[known] > 0).any()
    assert (found[known] <= [1, 14, 45]).all()
    assert (
        (np.diff(found[known], axis=1) >= 0).all()
        and (found[known, 1] <= ever[known, 0]).all()
        and (found[known, 2] <= ever[known, 1]).all()
    )


def test_fourteen_days_are_counted_as_a_hand_would():
    when = pd.Timestamp("2024-03-01")
    held = {0: 50, 3: -20, 5: 30, 9: -1, 10: -5, 12: 80}  # day → balance after that day's movement
    moves = [
        (0, 0, k, when + pd.Timedelta(days=d, hours=9), amount - last, "other", "booked", amount)
        for k, ((d, amount), last) in enumerate(zip(held.items(), [0, *list(held.values())[:-1]], strict=True))
    ]
    columns = [
        "customer_id",
        "account_id",
        "seq",
        "booked_at",
        "amount_minor",
        "category",
        "status",
        "balance_after_minor",
    ]
    empty = fuzz.tables(1, 1, days=2, most=1)
    moves = pd.DataFrame(moves, columns=columns).assign(
        arrived_at=lambda t: t.booked_at, transaction_id=lambda t: t.seq, counterparty=None, currency="GBP"
    )
    transactions = pd.concat(
        [empty["transactions"].iloc[:0], moves[[c for c in empty["transactions"] if c in moves]]], ignore_index=True
    )
    tables = {name: t.iloc[:0] for name, t in empty.items()} | {
        "transactions": transactions.astype(
            {c: t for c, t in empty["transactions"].dtypes.items() if c in transactions}
        )
    }
    asked = pd.DataFrame({"customer_id": 0, "as_of": [when + pd.Timedelta(days=d) for d in (14, 20)]}).astype(
        {"as_of": "datetime64[ms]"}
    )
    found = values(
        tables,
        asked,
        [
            row(calculations.windowed(kind, days))
            for kind, days in (("overdrawn", 14), ("overdrawn", 5), ("low", 14), ("low", 3), ("peak", 14))
        ],
    )
    assert found.tolist() == [[7.0, 4.0, -20.0, -5.0, 80.0], [4.0, 0.0, -5.0, 80.0, 80.0]], (
        "a day that begins below zero counts"
    )


def test_over_another_quantity_it_is_the_quotient(bank, spine):
    parts = values(
        bank,
        spine,
        [
            row(calculations.windowed("low", 14)),
            row(calculations.tracked(Q.monthly_outgoings)),
            row(calculations.windowed("low", 14, Q.monthly_outgoings)),
        ],
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = np.where(parts[:, 1] > 0, parts[:, 0] / parts[:, 1], np.nan)
    assert np.array_equal(parts[:, 2], expected, equal_nan=True) and np.isfinite(expected).any()


def test_a_window_that_has_a_name_is_the_quantity_of_that_name():
    assert calculations.windowed("overdrawn", 30) == calculations.tracked(Q.overdrawn_30d)
    assert calculations.windowed("low", 7, Q.monthly_outgoings) == calculations.over(Q.low_7d, Q.monthly_outgoings)


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: calculations.windowed("overdrawn", 0), "1 to 180"),
        (lambda: calculations.windowed("overdrawn", 181), "1 to 180"),
        (lambda: calculations.windowed("sign_days_late", 91), "1 to 90"),
        (lambda: calculations.windowed("overdraft", 14), "not tracked day by day"),
        (lambda: calculations.total("charges", 200), "200 days"),
        (lambda: calculations.pace("charges", 30, 365), "365 days"),
        (lambda: calculations.trend("income", 100), "multiple of 30"),
        *(
            (lambda make=make: make("chargs"), "no measure 'chargs'")
            for make in (
                lambda m: calculations.total(m, 30),
                lambda m: calculations.pace(m, 30, 90),
                lambda m: calculations.share("income", m, 30),
                lambda m: calculations.per(m, Q.monthly_income, 30),
                lambda m: calculations.since(m),
                lambda m: calculations.trend(m, 90),
                lambda m: calculations.share_shift("income", m, 30, 90),
            )
        ),
    ],
)
def test_a_calculation_that_the_state_cannot_give_is_refused(make, said):
    with pytest.raises(ParamsError, match=said):
        make()


LOW = calculations.windowed("low", 14)


@pytest.mark.parametrize(
    "cells, cell, said",
    [
        ((LOW, "+++", "low", "A topic"), "sign", r"use one of \+ - 0 \+\+ --"),
        ((LOW, "+", "", "A topic"), "words for staff", "no words"),
        ((LOW, "+", None, "A topic"), "words for staff", "no words"),
        ((LOW, "+", "low / x: none", "A topic"), "words for staff", "cannot be read"),
        ((LOW, "+", "low", ""), "topic for customers", "None where it must never be said"),
        ((LOW, "+", "low"), "topic for customers", "3 cells"),
        ((LOW, "+", "low", "A topic", "+"), "topic for customers", "5 cells"),
        ((Q.balance, "+", "low", "A topic"), "calculation", "no calculation"),
    ],
)
def test_a_bad_row_is_refused_with_its_place_and_its_cell(cells, cell, said):
    good = (calculations.windowed("peak", 14), "-", "the peak is {}", "A topic")
    with pytest.raises(ParamsError, match=said) as refusal:
        catalogue._rows("liquidity", good, cells)
    assert f"catalogue, liquidity, row 2 ({'low_14d' if cells[0] is LOW else 'no name yet'}), cell {cell!r}" in str(
        refusal.value
    )


def test_a_group_that_nobody_declared_is_refused():
    with pytest.raises(ParamsError, match="no group 'liquid'"):
        catalogue._rows("liquid")


def test_two_rows_of_one_name_are_refused_with_both_places():
    twice = Feature("shocks", catalogue.CATALOGUE[0].calculation, 0, phrases.phrase("again"), "A topic")
    with pytest.raises(ParamsError, match=rf"'{twice.name}': one in income .* one in shocks \(again\)"):
        catalogue.by_name([*catalogue.CATALOGUE, twice])


def test_the_longest_window_is_kept_by_the_state():
    from predelinquency.features import state

    assert LONGEST_DAYS < state.RING_DAYS


def test_a_column_that_nobody_has_is_refused_in_a_simulated_world_and_told_of_a_banks_files():
    missing = dict.fromkeys(catalogue.names(), 7) | {"payers_90d": 3000}
    with pytest.raises(ParamsError, match="known of nobody in 3,000 rows: payers_90d"):
        offline.empty_for_all(missing, 3000)
    assert list(offline.empty_for_all(missing, 3000, simulated=False)) == ["payers_90d"]
    assert (
        offline.empty_for_all(dict.fromkeys(missing, 0), 0) == {}
        and offline.empty_for_all(dict.fromkeys(missing, 2999), 3000) == {}
    )
    assert list(offline.empty_for_all({"payers_90d": 40}, 40)) == ["payers_90d"], "of a few customers it may be chance"
