"""What is taken back was never made: reversed, refunded or corrected, a movement leaves no feature behind but the return itself."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from predelinquency.features import catalogue, online
from predelinquency.features.state import LONE
from predelinquency.ground import disk
from predelinquency.ground.schema import TRANSACTIONS

AS_OF, DAY = pd.Timestamp("2025-06-02"), pd.Timedelta(days=1)
RETURNS = {f.name for f in catalogue.CATALOGUE if "returned" in f.name}
MOVES = {  # what is booked, and its money; each is taken back two days later
    "fee": -1_200,
    "salary": 310_000,
    "groceries": -4_999,
    "restaurant": -7_777,
    "gambling": -30_000,
    "utility": -9_000,
    "payday_loan": 20_000,
    "atm": -10_000,
}


@pytest.fixture(scope="module")
def bank(world: Path) -> dict[str, pd.DataFrame]:
    return {name: disk.read(world / "raw", name) for name in ("accounts", "obligations", "transactions", "payments")}


def of(bank: dict[str, pd.DataFrame], customer: int) -> dict[str, pd.DataFrame]:
    mine = {name: t[t.customer_id == customer].reset_index(drop=True) for name, t in bank.items()}
    return mine | {"transactions": mine["transactions"][mine["transactions"].arrived_at < AS_OF].reset_index(drop=True)}


def row(mine: dict[str, pd.DataFrame], as_of: pd.Timestamp = AS_OF) -> pd.Series:
    found = online.vector(mine["transactions"], mine["obligations"], mine["payments"], mine["accounts"], as_of)
    return pd.Series(found, index=catalogue.names())


def booked(mine: dict[str, pd.DataFrame], *moves: tuple[str, int, str, int]) -> dict[str, pd.DataFrame]:
    "The same customer with more movements: (category, money, status, days before AS_OF), on the first current account."
    old, account = mine["transactions"], mine["accounts"][mine["accounts"].kind == "current"].account_id.iloc[0]
    at = [AS_OF - days * DAY + pd.Timedelta(hours=12) for *_, days in moves]
    more = old.iloc[[0] * len(moves)].assign(
        transaction_id=range(10**12, 10**12 + len(moves)),
        account_id=account,
        booked_at=np.array(at, "datetime64[ms]"),
        arrived_at=np.array(at, "datetime64[ms]"),
        amount_minor=[m[1] for m in moves],
        category=pd.Categorical([m[0] for m in moves], categories=old.category.cat.categories),
        counterparty="Somebody New",
        balance_after_minor=pd.NA,
        status=pd.Categorical([m[2] for m in moves], categories=TRANSACTIONS.columns[-1].words),
    )
    words = {c: old[c].astype(str) for c in ("category", "status")}
    both = pd.concat([old.assign(**words), more.assign(category=[m[0] for m in moves], status=[m[2] for m in moves])])
    both = both.sort_values(["booked_at", "seq"], kind="stable", ignore_index=True)
    for c in ("category", "status"):
        both[c] = both[c].astype("category")
    return mine | {"transactions": both.assign(seq=np.arange(len(both), dtype=np.int32))}


def differ(one: pd.Series, other: pd.Series) -> set[str]:
    return set(one.index[~np.isclose(one, other, rtol=1e-12, equal_nan=True)])


@pytest.mark.parametrize("customer", [0, 7, 23])
@pytest.mark.parametrize("category", MOVES)
@pytest.mark.parametrize("status", ["reversed", "booked"], ids=["reversed", "refunded"])
def test_what_is_taken_back_leaves_nothing_but_the_return(
    bank: dict[str, pd.DataFrame], customer: int, category: str, status: str
):
    mine, money = of(bank, customer), MOVES[category]
    made = booked(mine, (category, money, "booked", 9))
    assert differ(row(mine), row(made)), "the movement itself is seen"
    if status == "booked" and category == "atm":
        return  # cash goes both ways: paid in again it is no refund
    back = booked(mine, (category, money, "booked", 9), (category, -money, status, 7))
    assert differ(row(mine), row(back)) <= (RETURNS if status == "reversed" and money < 0 else set())


def test_before_the_return_is_known_the_movement_counts(bank: dict[str, pd.DataFrame]):
    mine, on = of(bank, 7), AS_OF - 8 * DAY
    back = booked(mine, ("fee", -1_200, "booked", 9), ("fee", 1_200, "booked", 7))
    known = [t | {"transactions": t["transactions"][t["transactions"].arrived_at < on]} for t in (mine, back)]
    assert "charge_count_90d" in differ(*(row(t, on) for t in known))


def test_a_correction_counts_once_with_its_right_sum(bank: dict[str, pd.DataFrame]):
    mine = of(bank, 7)
    right = booked(mine, ("fee", -1_000, "booked", 7))
    corrected = booked(mine, ("fee", -1_200, "booked", 7), ("fee", 1_200, "booked", 7), ("fee", -1_000, "booked", 7))
    assert differ(row(right), row(corrected)) == set()


@pytest.mark.parametrize(
    "moves",
    [
        [("fee", -1_200, "booked", 60), ("fee", 1_200, "booked", 7)],
        [("fee", -1_200, "booked", 9), ("fee", 1_100, "booked", 7)],
        [("fee", -1_200, "failed", 9), ("fee", 1_200, "booked", 7)],
    ],
    ids=["too long ago", "another sum", "never booked"],
)
def test_money_that_undoes_nothing_known_is_no_refund(bank: dict[str, pd.DataFrame], moves: list):
    mine = of(bank, 7)
    assert "charge_count_90d" not in differ(row(booked(mine, moves[0])), row(booked(mine, *moves)))


def test_a_reversal_without_its_original_is_counted(bank: dict[str, pd.DataFrame]):
    mine, told = of(bank, 7), []
    for moves in (
        (),
        (("rent", 80_000, "reversed", 7),),
        (("rent", -80_000, "booked", 9), ("rent", 80_000, "reversed", 7)),
    ):
        customer = online.Customer()
        for a in mine["accounts"].to_dict("records"):
            customer.update("accounts", a)
        for t in (booked(mine, *moves) if moves else mine)["transactions"].to_dict("records"):
            customer.update("transactions", t)
        told.append(int(customer.state[LONE]))
    assert told[1] == told[0] + 1 and told[2] == told[0]
