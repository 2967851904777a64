"A bank of few customers, for the tests that write it out and read it back."

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from predelinquency.ground import disk, params, schema


@pytest.fixture(scope="session")
def bank_of(once: Callable[..., Path]) -> Callable[[int], dict[str, pd.DataFrame]]:
    "`bank_of(n)`: the canonical tables of so many simulated customers. Read only."

    def made(customers: int) -> dict[str, pd.DataFrame]:
        def make(folder: Path) -> None:
            from predelinquency.world import world

            small = params.load(Path(__file__).parents[2] / "params.yaml", {"simulate.customers": customers})
            world.simulate(small, folder / "raw", folder / "truth", progress=False)

        folder = once(f"bank-of-{customers}", make)
        return {name: disk.read(folder / "raw", name) for name in schema.TABLES}

    return made


@pytest.fixture(scope="session", params=[20, pytest.param(200, marks=pytest.mark.long)])
def few(request: pytest.FixtureRequest, bank_of: Callable[[int], dict[str, pd.DataFrame]]) -> dict[str, pd.DataFrame]:
    "The canonical tables of twenty simulated customers, of two hundred in a long run. Read only."
    return bank_of(request.param)
