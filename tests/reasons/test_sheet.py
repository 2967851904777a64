"The sheet that the detectors read says what a plain look through the record says."

import numpy as np
import pandas as pd
import pytest

from predelinquency.ground import params
from predelinquency.ground.core import project_folder
from predelinquency.ground.disk import Part
from predelinquency.ground.schema import CATEGORIES, CATEGORY_GROUP
from predelinquency.reasons import pay, sheet, signs
from predelinquency.reasons.past import CURRENT, LOAN, SAVINGS, Past, columns, pasts
from predelinquency.world import world

pytestmark = pytest.mark.fast

WORDS = np.array(CATEGORIES)
INCOME, BOUGHT = (
    [c for c in CATEGORIES if CATEGORY_GROUP[c] in of] for of in (("income",), ("essential", "discretionary"))
)


@pytest.fixture(scope="module")
def every() -> list[Past]:
    p = params.load(project_folder() / "params.yaml", {"base.seed": 99})
    moments = pd.DatetimeIndex(["2024-09-02", "2025-03-03"]).astype("datetime64[ms]")
    asked = pd.DataFrame(dict(customer_id=np.repeat(np.arange(40), 2), as_of=np.tile(moments, 40)))
    return list(pasts(columns(world.tables_of(p, Part(0, 40))[0]), asked))


def by_month(p: Past, rows: np.ndarray, values: np.ndarray, most: int) -> list[float]:
    frame = pd.DataFrame(dict(month=(p.as_of - 1 - p.moves.day[rows]) // 30, value=values.astype(float)))
    whole = min(most, max((p.as_of - p.since) // 30, 1))
    return frame.groupby("month").value.sum().reindex(range(whole), fill_value=0.0).tolist()


def test_rows_and_months_are_those_of_a_plain_look(every: list[Past]) -> None:
    seen = dict.fromkeys(sheet.SIGNS, 0)
    for p in every:
        m, word, noted = p.moves, WORDS[p.moves.category], sheet.sheet(p)
        out, on = (m.amount < 0) & m.moved, m.moved & (m.kind != LOAN)
        paid = np.flatnonzero(np.isin(word, INCOME) & (m.amount > 0) & m.moved & (m.kind == CURRENT))
        spent = np.flatnonzero(out & (word != "own_transfer") & (m.kind != LOAN))
        refused = np.flatnonzero(~m.moved & (m.amount < 0))
        assert noted.pay.tolist() == paid.tolist() and noted.refused.tolist() == refused.tolist()
        assert noted.own.tolist() == np.flatnonzero(m.moved & (word == "own_transfer")).tolist()
        assert noted.bills.tolist() == np.flatnonzero(out & np.isin(word, [*BOUGHT, "insurance"])).tolist()
        worked = paid[word[paid] != "benefit"]
        assert noted.income == by_month(p, worked, m.amount[worked], 10)
        assert noted.out == by_month(p, spent, -m.amount[spent], 7)
        assert noted.tries == by_month(p, refused, np.ones(len(refused)), 7)
        for name, sign in sheet.SIGNS.items():
            rows = np.flatnonzero(np.isin(word, sign.words) & (m.amount * sign.way > 0) & on)
            assert sheet.signs_of(p, name).tolist() == rows.tolist()
            seen[name] += len(rows)
    assert min(seen.values()) > 0, f"of some nothing was seen: {seen}"


def test_money_at_hand_is_what_each_account_last_said(every: list[Past]) -> None:
    several = 0
    for p in every[::5]:
        m, held = p.moves, signs.liquid(p, 60)
        rows = np.flatnonzero((m.kind <= SAVINGS) & m.moved)
        several += len({*m.account[rows].tolist()}) > 1
        for ago in {0, 1, 29, len(held) - 1} & {*range(len(held))}:
            total = 0.0
            for account in {*m.account[rows].tolist()}:
                mine = rows[m.account[rows] == account]
                before = mine[m.day[mine] < p.as_of - ago]
                total += m.balance[before[-1]] if len(before) else m.balance[mine[0]] - m.amount[mine[0]]
            assert held[ago] == total
    assert several


def test_a_pay_of_the_month_is_late_by_the_nearest_day_that_can_be_meant() -> None:
    for usual in (1, 15, 28, 31):
        months = pd.period_range("2023-11", "2025-03", freq="M")
        meant = [m.start_time + pd.Timedelta(min(usual, m.days_in_month) - 1, "D") for m in months]
        meant = np.array([(d - pd.offsets.BDay(0) if d.weekday() < 5 else d - pd.offsets.BDay(1)) for d in meant])
        on = np.array(meant, "datetime64[D]").astype(np.int64)
        for day in range(int(on[1]) + 12, int(on[-2]) - 20):
            late = day - on[np.argmin(np.abs(day - on - pay.EARLY // 2))]
            assert pay.late_by_month(day, usual) == late
