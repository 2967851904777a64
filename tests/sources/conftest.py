"A bank of few customers, for the tests that write it out and read it back."

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from predelinquency.ground import disk, params, schema


@pytest.fixture(scope="session")
def few(once: Callable[..., Path]) -> dict[str, pd.DataFrame]:
    "The canonical tables of twenty simulated customers. Read only."

    def make(folder: Path) -> None:
        from predelinquency.world import world

        small = params.load(Path(__file__).parents[2] / "params.yaml", {"simulate.customers": 20})
        world.simulate(small, folder / "raw", folder / "truth", progress=False)

    folder = once("few", make)
    return {name: disk.read(folder / "raw", name) for name in schema.TABLES}
