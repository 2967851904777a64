"""A folder of results that holds rows of features and nothing else: odd numbers, so that a lost bit is noticed."""

from pathlib import Path

import numpy as np
import pandas as pd

from predelinquency.features.offline import panel_contract
from predelinquency.ground import disk
from predelinquency.ops.feast import View, views

ODD = np.array([np.nan, -0.0, 0.0, 1e-45, -3.4e38, 0.1, 16_777_216, 1 / 3], "float32")
FIRST = np.datetime64("2026-01-05", "ms")


def numbers(rows: int, columns: int, seed: int) -> np.ndarray:
    "Any finite number that four bytes can hold, and often one that is easily lost."
    draw = np.random.default_rng(seed)
    bits = draw.integers(0, 2**32, (rows, columns), "uint32").view("float32")
    return np.where(np.isfinite(bits) & (draw.random(bits.shape) < 0.7), bits, draw.choice(ODD, bits.shape))


def rows_of(one: View, customers: range, weeks: int, seed: int) -> pd.DataFrame:
    "A row a week, of each customer or of each of their two payments; one customer in five comes later."
    dues = [(-1, 0)] if one.name == "customer" else [(40, 3), (41, 1)]
    keys = [
        (who, FIRST + np.timedelta64(7 * week, "D"), 100 * who + contract if contract > 0 else contract, number)
        for who in customers
        for week in range(2 * (who % 5 == 0), weeks)
        for contract, number in dues
    ]
    whole = pd.DataFrame(keys, columns=["customer_id", "as_of", "obligation_id", "instalment"])
    names = [f.name for f in one.features]
    values = pd.DataFrame(numbers(len(whole), len(names), seed), columns=names)
    return pd.concat([whole.astype({"as_of": "datetime64[ms]", "instalment": "int32"}), values], axis=1)


def write_results(root: Path, customers: int = 40, weeks: int = 6, seed: int = 0) -> Path:
    "Two parts of each of the two tables that Feast is given."
    for number, one in enumerate(views()):
        contract = panel_contract(one.table, catalogue=one.features)
        with disk.writing(root / "features", [contract]) as out:
            for part in disk.ranges(customers, -(-customers // 2)):
                rows = rows_of(one, range(part.low, part.high), weeks, seed + 10 * number + part.low)
                out.add(part, {one.table: rows[[c.name for c in contract.columns]]})
    return root
