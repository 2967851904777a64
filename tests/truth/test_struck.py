"""A life that is lived again is the same, until something more goes wrong."""

from pathlib import Path

import pandas as pd
import pytest

from predelinquency.ground import params
from predelinquency.ground.core import to_day
from predelinquency.ground.disk import Part
from predelinquency.truth.struck import other_life
from predelinquency.world import world
from predelinquency.world.world import Settings

KNOWN_BY = {
    "accounts": "opened_on",
    "obligations": "announced_at",
    "transactions": "arrived_at",
    "payments": "arrived_at",
}
LOW, HIGH = 40, 60


@pytest.fixture(scope="module")
def made() -> Settings:
    found = params.load(Path(__file__).parents[2] / "params.yaml")
    return Settings(found.base, found.simulate)


@pytest.fixture(scope="module")
def tables(made: Settings) -> dict[str, pd.DataFrame]:
    return world.tables_of(made, Part(LOW, HIGH))[0]


@pytest.mark.parametrize("who", range(LOW, HIGH, 4))
def test_without_a_stress_it_is_the_life_of_the_world(who: int, made: Settings, tables: dict) -> None:
    for name, found in other_life(made, who).items():
        mine = tables[name][tables[name].customer_id == who].reset_index(drop=True)
        pd.testing.assert_frame_equal(found, mine, check_dtype=False)


@pytest.mark.parametrize("stress", ["job_loss", "illness", "expense_shock"])
def test_until_the_stress_the_bank_sees_the_same(stress: str, made: Settings, tables: dict) -> None:
    "And something else afterwards, for somebody at least."
    on, differ = to_day("2025-02-01"), 0
    cut = pd.Timestamp(on, unit="D")
    for who in range(LOW, HIGH):
        for name, found in other_life(made, who, stress, on).items():
            mine = tables[name][tables[name].customer_id == who]
            if name in KNOWN_BY:
                when = KNOWN_BY[name]
                differ += not found.reset_index(drop=True).equals(mine.reset_index(drop=True))
                found, mine = found[found[when] < cut], mine[mine[when] < cut]
            pd.testing.assert_frame_equal(found.reset_index(drop=True), mine.reset_index(drop=True), check_dtype=False)
    assert differ > 10
