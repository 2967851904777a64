"Rows with a known signal, small enough to fit in a moment."

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from tables import base

from predelinquency.ground import disk, params, schema
from predelinquency.model import labels as lb
from predelinquency.model.rows import Rows

NAMES = ("drain", "cushion", "noise", "rarely_known")
SIGNS = {"drain": 1, "cushion": -1}
TRAIN = params.Train(
    learner="xgboost",
    trees=60,
    max_depth=3,
    learning_rate=0.1,
    min_child_weight=5.0,
    subsample=0.8,
    colsample=0.8,
    reg_lambda=5.0,
    early_stopping_rounds=10,
    max_rows=100_000,
    folds=3,
    repeats=2,
)


def matrix(rows: int, seed: int = 1, rate: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    "Inputs and outcomes: `drain` raises the log-odds by 1 a unit, `cushion` lowers them by 1."
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4)).astype(np.float32)
    y = (rng.random(rows) < 1 / (1 + np.exp(rate - x[:, 0] + x[:, 1]))).astype(float)
    x[rng.random(rows) < 0.1, 0] = np.nan
    x[rng.random(rows) < 0.9, 3] = np.nan
    return x, y


def labels(x: np.ndarray, y: np.ndarray, customer_id: np.ndarray, as_of: np.ndarray, **columns: Any) -> pd.DataFrame:
    "A labels table around given outcomes."
    n = len(y)
    frame = pd.DataFrame(
        dict(
            customer_id=customer_id,
            as_of=as_of,
            obligation_id=schema.NO_DUE,
            instalment=np.int32(schema.ANY),
            known_on=np.full(n, np.datetime64("NaT", "ms")),
            eligible=True,
            imminent=False,
            target=pd.array(y.astype(int), dtype="Int32"),
            straight_roller=True,
            exposed=True,
            onset_in_days=np.where(y > 0, 20, np.nan).astype(np.float32),
            split=pd.Categorical(["test"] * n, categories=lb.SPLIT_WORDS),
        )
    )
    for kind in schema.TARGET_KINDS:
        frame = frame.assign(
            **{f"due_count_{kind}": np.ones(n, np.int32), f"due_minor_{kind}": np.full(n, 100, np.int64)}
        )
    return frame.assign(**columns)[lb.LABELS.names]


def book(customers: int = 600, seed: int = 1, rate: float = 2.5, **changes: Any) -> tuple[pd.DataFrame, np.ndarray]:
    "Weekly rows of a book of customers, labelled and split."
    b = base(**changes)
    grid = lb.moments(b, 7)
    spine = pd.DataFrame(dict(customer_id=np.repeat(np.arange(customers), len(grid)), as_of=np.tile(grid, customers)))
    x, y = matrix(len(spine), seed, rate)
    split = lb.splits(spine, b)
    frame = labels(x, y, spine.customer_id.to_numpy(), spine.as_of.to_numpy(), split=split)
    unknown = (frame.split == "live").to_numpy()
    frame.loc[unknown, "target"] = pd.NA
    return frame, x


def write(folder: Any, frame: pd.DataFrame, x: np.ndarray, part: int = 200) -> None:
    "The book as the featurize stage leaves it."
    columns = (
        schema.Column("customer_id", "int64", "the customer"),
        schema.Column("as_of", "time", "the moment"),
        *schema.ASKED,
        *(schema.Column(n, "float32", n, nullable=True) for n in NAMES),
    )
    panel = pd.concat([frame[list(schema.ROW)], pd.DataFrame(x, columns=list(NAMES))], axis=1)
    with disk.writing(folder, [schema.Table("panel", "inputs", columns), lb.LABELS]) as w:
        for p in disk.ranges(int(frame.customer_id.max()) + 1, part):
            rows = frame.customer_id.between(p.low, p.high - 1)
            w.add(p, {"panel": panel[rows].reset_index(drop=True), "labels": frame[rows].reset_index(drop=True)})


def few(rows: int = 400, seed: int = 3) -> Rows:
    "A source's own moments: two a customer."
    x, y = matrix(rows, seed, 2.0)
    as_of = np.datetime64("2024-01-01", "ms") + np.arange(rows) * np.timedelta64(1, "D")
    return Rows(labels(x, y, np.arange(rows) // 2, as_of), x)


def settings(**changes: Any) -> params.Train:
    return replace(TRAIN, **changes)
