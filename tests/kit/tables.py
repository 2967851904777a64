"Small hand-written tables: a test states the dates that matter and nothing else."

from typing import Any

import numpy as np
import pandas as pd

from predelinquency.ground import params


def times(values: Any) -> Any:
    return pd.to_datetime(values, format="ISO8601").astype("datetime64[ms]")


def people(*customers: int, joined_on: str = "2023-01-01") -> pd.DataFrame:
    return pd.DataFrame(dict(customer_id=list(customers), joined_on=times([joined_on] * len(customers))))


def dues(
    *dates: str, customer: int = 0, amount: int = 100, kind: str = "loan", obligation: int = 1, announced_days: int = 60
) -> pd.DataFrame:
    "One obligation with an instalment on each date."
    due_on = times(list(dates))
    return pd.DataFrame(
        dict(
            customer_id=customer,
            obligation_id=obligation,
            instalment=np.arange(1, len(dates) + 1, dtype=np.int32),
            kind=kind,
            announced_at=due_on - pd.Timedelta(days=announced_days),
            due_on=due_on,
            amount_minor=amount,
            currency="GBP",
            autopay=False,
        )
    )


def payments(*rows: tuple) -> pd.DataFrame:
    "(instalment, paid_at, amount[, arrived_at]) towards obligation 1 of customer 0."
    filled = [(0, 1, r[0], r[1], r[3] if len(r) > 3 else r[1], r[2]) for r in rows]
    frame = pd.DataFrame(
        filled, columns=["customer_id", "obligation_id", "instalment", "paid_at", "arrived_at", "amount_minor"]
    )
    return frame.assign(paid_at=times(frame.paid_at), arrived_at=times(frame.arrived_at)).astype(
        {c: "int64" for c in ("customer_id", "obligation_id", "instalment", "amount_minor")}
    )


def asked(*dates: str, customer: int = 0) -> pd.DataFrame:
    return pd.DataFrame(dict(customer_id=customer, as_of=times(list(dates))))


def base(**changes: Any) -> params.Base:
    "The base section with a visible end on 1 July 2025."
    values = dict(
        seed=1,
        first_visible="2024-01-01",
        warm_months=6,
        scored_months=12,
        horizon_from_days=15,
        horizon_to_days=28,
        grace_days=5,
        materiality_units=1.0,
        materiality_share=0.01,
        arrival_lag_days=2,
        min_history_days=90,
        customers_per_part=1000,
        audit_warn_share=0.02,
        audit_refuse_share=0.4,
        audit_least_cases=5,
        contact_share=0.05,
        train_share=0.5,
        stop_share=0.1,
        calibrate_share=0.15,
        test_share=0.25,
    )
    return params.Base(**(values | changes))
