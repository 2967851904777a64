"""One definition of open, paid, late, unpaid, unknown and missed: the kernel, the tables, and the rooms that ask."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predelinquency.decide import engine
from predelinquency.ground import disk, facts, params, schema
from predelinquency.ground.core import DAY_MS
from predelinquency.model import labels

AS_OF, GRACE, DAY = pd.Timestamp("2025-06-01"), 5, 20_240  # 20,240 days after 1970-01-01 is 1 June 2025


def times(values: object) -> object:
    return pd.to_datetime(values, format="ISO8601").astype("datetime64[ms]")


def owed(*due_on: str, announced_at: str = "2025-01-01") -> pd.DataFrame:
    "A loan with an instalment of 100 on each date."
    return pd.DataFrame(
        dict(
            customer_id=1,
            obligation_id=9,
            instalment=range(1, len(due_on) + 1),
            kind="loan",
            announced_at=times([announced_at] * len(due_on)),
            due_on=times(list(due_on)),
            amount_minor=100,
        )
    )


def came(*rows: tuple) -> pd.DataFrame:
    "(instalment, paid_at, amount[, arrived_at])."
    frame = pd.DataFrame(
        [(*r, r[1])[:4] for r in rows], columns=["instalment", "paid_at", "amount_minor", "arrived_at"]
    ).assign(customer_id=1, obligation_id=9)
    return frame.assign(paid_at=times(frame.paid_at), arrived_at=times(frame.arrived_at)).astype(
        {"instalment": "int64", "amount_minor": "int64"}
    )


def stands(obligations: pd.DataFrame, *rows: tuple, recorded: bool = True) -> list[str]:
    end = None if recorded else pd.Timestamp(0)
    return facts.standings(obligations, came(*rows), AS_OF, GRACE, end).state.tolist()


@pytest.mark.parametrize(("due_on", "rows", "state"), [
    ("2025-02-01", [(1, "2025-02-06 23:59", 100)], "paid"),
    ("2025-02-01", [(1, "2025-02-07 00:00", 100)], "late"),
    ("2025-02-01", [(1, "2025-02-06", 60), (1, "2025-02-07", 40)], "late"),
    ("2025-02-01", [(1, "2025-02-01", 99)], "unpaid"),
    ("2025-02-01", [], "unpaid"),
    ("2025-02-01", [(1, "2025-02-01", 100), (1, "2025-02-03", -100)], "unpaid"),
    ("2025-02-01", [(1, "2025-02-01", 100), (1, "2025-04-03", -100)], "unpaid"),
    ("2025-02-01", [(1, "2025-02-01", 100), (1, "2025-02-03", -100), (1, "2025-03-01", 100)], "late"),
    ("2025-05-01", [(1, "2025-05-01", 100, "2025-06-01")], "unpaid"),
    ("2025-05-27", [], "open"), ("2025-05-26", [], "unpaid"),
    ("2025-07-01", [], "open"), ("2025-07-01", [(1, "2025-05-31", 100)], "paid"),
])  # fmt: skip
def test_every_state_of_a_due_on_one_day(due_on: str, rows: list[tuple], state: str) -> None:
    assert stands(owed(due_on), *rows) == [state]


def test_what_is_announced_on_the_day_itself_is_not_there_yet() -> None:
    assert stands(owed("2025-07-01", announced_at="2025-06-01")) == []
    assert stands(owed("2025-07-01", announced_at="2025-05-31 23:59")) == ["open"]


def test_where_payments_are_not_recorded_a_past_due_is_unknown_and_never_missed() -> None:
    assert stands(owed("2025-02-01", "2025-05-31", "2025-06-01", "2025-07-01"), recorded=False) == [
        "unknown",
        "unknown",
        "open",
        "open",
    ]


def test_a_payment_that_was_taken_back_later_settled_nothing() -> None:
    rows = came(
        (1, "2025-02-01", 100),
        (1, "2025-02-20", -100),
        (1, "2025-03-01", 100),
        (2, "2025-03-01", 100),
        (2, "2025-04-01", -100),
    )
    found = facts.settlements(owed("2025-02-01", "2025-03-01"), rows, GRACE)
    assert found.settled_at.tolist() == [pd.Timestamp("2025-03-01"), pd.NaT] and not found.in_time.any()


def test_payments_may_come_in_any_order_and_towards_dues_that_are_not_there() -> None:
    rows = came((1, "2025-03-01", 100), (7, "2025-02-01", 100), (1, "2025-02-20", -100), (1, "2025-02-01", 100))
    assert facts.settlements(owed("2025-02-01"), rows, GRACE).settled_at.tolist() == [pd.Timestamp("2025-03-01")]


# a life: dues of 1 to 300, up to 60 days before or after the day, each with payments around it, of which some are taken back
payment = st.tuples(
    st.integers(-20, 40),
    st.sampled_from([0, 1, DAY_MS - 1]),
    st.sampled_from([-150, -100, -1, 1, 50, 99, 100, 150, 300]),
    st.integers(0, 3),
)
due = st.tuples(st.integers(-60, 60), st.integers(1, 300), st.integers(-1, 70), st.lists(payment, max_size=5))


def tables(life: list) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows, paid = [], []
    for i, (ahead, amount, announced, payments) in enumerate(life, 1):
        rows.append((1, 9, i, "loan", (DAY + min(-announced, ahead)) * DAY_MS, (DAY + ahead) * DAY_MS, amount))
        paid += [
            (1, 9, i, (at := (DAY + ahead + days) * DAY_MS + ms), at + lag * DAY_MS, minor)
            for days, ms, minor, lag in payments
        ]
    columns = (
        ["customer_id", "obligation_id", "instalment", "kind", "announced_at", "due_on", "amount_minor"],
        ["customer_id", "obligation_id", "instalment", "paid_at", "arrived_at", "amount_minor"],
    )
    frames = [pd.DataFrame(r, columns=c) for r, c in zip((rows, paid), columns, strict=True)]
    return tuple(
        f.astype({c: "datetime64[ms]" if c.endswith(("_at", "_on")) else "int64" for c in f if c != "kind"})
        for f in frames
    )  # type: ignore[return-value]


def by_hand(ahead: int, amount: int, payments: list, grace: int, recorded: bool) -> tuple[str, bool]:
    "State and outcome of one due, from the words of the definition alone: money taken back is the money that came last."

    def counted(rows: list) -> tuple[int, int]:
        paid = timely = 0
        for days, _, minor in sorted(rows, key=lambda r: r[:2]):
            paid, timely = paid + minor, timely + (minor if days <= grace else 0)
            timely = min(timely, paid)
        return paid, timely

    known = [(days, ms, minor) for days, ms, minor, lag in payments if ahead + days + lag + ms / DAY_MS < 0]
    paid, timely = counted(known)
    missed = counted([p[:3] for p in payments])[1] < amount
    if paid >= amount:
        return "paid" if timely >= amount else "late", missed
    if ahead >= -grace and (recorded or ahead >= 0):
        return "open", missed
    return "unpaid" if recorded else "unknown", missed


@settings(max_examples=150, deadline=None)
@given(life=st.lists(due, max_size=6), grace=st.integers(0, 9), recorded=st.booleans())
def test_tables_and_the_words_of_the_definition_agree_on_any_life(life: list, grace: int, recorded: bool) -> None:
    obligations, payments = tables(life)
    announced = [d for d in life if d[2] > 0 or d[0] < 0]
    shown = facts.standings(obligations, payments, AS_OF, grace, None if recorded else pd.Timestamp(0))
    assert shown.state.tolist() == [
        by_hand(ahead, amount, paid, grace, recorded)[0] for ahead, amount, _, paid in announced
    ]
    assert facts.outcomes(obligations, payments, grace).missed.tolist() == [
        by_hand(ahead, amount, paid, grace, recorded)[1] for ahead, amount, _, paid in life
    ]
    assert (shown.rest_minor > 0).tolist() == shown.state.isin(["open", "unpaid"]).tolist()
    assert shown.paid_on.notna().tolist() == shown.state.isin(["paid", "late"]).tolist()


def test_labels_and_plan_see_the_standings_of_the_tables(world: Path, settings: params.Params) -> None:
    t = {name: disk.read(world / "raw", name) for name in ("customers", "accounts", "obligations", "payments")}
    base, target, found = settings.base, t["obligations"].kind.isin(schema.TARGET_KINDS), 0
    for as_of in pd.to_datetime(["2025-02-03", "2025-05-05"]):
        shown = facts.standings(t["obligations"][target], t["payments"], as_of, base.grace_days)
        spine = t["customers"][["customer_id"]].assign(as_of=as_of)
        overdue = labels.look(spine, t["obligations"], t["payments"], base)[0][:, 0] == 1
        behind = spine.customer_id.isin(shown.customer_id[shown.state == "unpaid"])
        assert (overdue == behind).all() and behind.any()
        coming = engine.coming(t["obligations"], t["payments"], as_of, base.horizon_from_days, base.horizon_to_days)
        ahead = (shown.due_on - as_of).dt.days
        asked = shown[(shown.state == "open") & ahead.between(base.horizon_from_days, base.horizon_to_days)]
        assert set(coming.customer_id) == set(asked.customer_id)
        found += len(coming)
    assert found > 100


def test_facts_are_the_same_whatever_the_order_of_the_table_and_however_its_words_are_kept():
    rng, n = np.random.default_rng(5), 300
    table = pd.DataFrame(
        dict(
            customer_id=rng.integers(0, 9, n),
            obligation_id=rng.integers(0, 3, n),
            instalment=rng.integers(0, 4, n),
            fact=rng.choice([*schema.FACTS, "sold"], n),
            announced_at=pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.permutation(n), unit="h"),
            due_on=pd.Timestamp("2025-03-01") + pd.to_timedelta(rng.integers(0, 90, n), unit="D"),
            amount_minor=rng.integers(1, 10**6, n),
        )
    )
    ordered = table.sort_values(["customer_id", "obligation_id", "instalment", "announced_at"])
    shuffled, order = facts.facts_of(table)
    sorted_, places = facts.facts_of(ordered.assign(fact=ordered.fact.astype("category")))
    assert (places == np.arange(n)).all() and (table.index[order] == ordered.index).all()
    for a, b in zip(shuffled, sorted_, strict=True):
        assert (a == b).all()
    plain = pd.Categorical(table.fact, categories=schema.FACTS).codes
    assert (facts.word_codes(table.fact, schema.FACTS) == plain).all() and (plain == -1).any()
