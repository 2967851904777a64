"""The rules about data, asked of the simulated world, and the counts behind them, counted again in another way."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from predelinquency.ground import disk, params
from predelinquency.sources import audit, booking, tally

ROOT = Path(__file__).parents[2]
BASE = params.load(ROOT / "params.yaml").base
NAMES = ("customers", "accounts", "obligations", "transactions", "payments")


def tables(world: Path, part: disk.Part) -> dict[str, pd.DataFrame]:
    return {name: disk.read(world / "raw", name, part) for name in NAMES}


def test_nobody_in_the_simulated_world_is_doubted(world: Path) -> None:
    found = audit.Audit(audit.limits(BASE))
    for part in disk.parts(world / "raw", "customers"):
        found.add(tables(world, part))
    said = {f.rule: f for f in found.findings()}
    assert {r: f.level for r, f in said.items() if f.doubtful or f.customers} == {}
    assert said["balances"].of > 200_000 and said["payments_due"].of > 20_000


def test_what_is_usual_without_parameters_is_what_ships() -> None:
    assert audit.limits(BASE) == audit.USUAL


def test_every_rule_has_a_sentence_a_remedy_and_one_name() -> None:
    raw = yaml.safe_load((ROOT / "predelinquency/audit/rules.yaml").read_text())
    assert len({r["id"] for r in raw}) == len(raw) >= 35
    assert all(r["sentence"].endswith(".") and r["remedy"][0].islower() for r in raw)


def plainly(t: pd.DataFrame) -> dict[str, int]:
    "Some counts of movements with pandas alone."
    moved = t.amount_minor.where(t.status != "failed", 0)
    balance = t.balance_after_minor.astype("float64")
    by_account = [t.customer_id, t.account_id]
    step = balance - balance.groupby(by_account).shift()
    pairs = step.notna()
    follows = pairs & (step == moved)
    turned = pairs & ~follows & (step == -moved)
    income = t.category.isin(["salary", "gig_income", "benefit", "pension", "student_finance", "business_income"])
    booked = (t.status == "booked") & (t.amount_minor != 0)
    return dict(
        moves=len(t),
        pairs=int(pairs.sum()),
        follows=int(follows.sum()),
        turned=int(turned.sum()),
        earned=int((income & booked).sum()),
        earned_out=int((income & booked & (t.amount_minor < 0)).sum()),
        reversed=int((t.status == "reversed").sum()),
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_walk_counts_what_pandas_counts(seed: int, world: Path) -> None:
    made = tables(world, disk.parts(world / "raw", "customers")[0])
    rng, t = np.random.default_rng(seed), made["transactions"]
    amount = t.amount_minor.where(rng.random(len(t)) > 0.1, -t.amount_minor)
    made["transactions"] = t.assign(amount_minor=amount.astype("int64"))
    counts = dict(zip(tally.COUNTS, tally.tally(made).counts.sum(axis=0).tolist(), strict=True))
    expected = plainly(made["transactions"])
    assert {name: counts[name] for name in expected} == expected and expected["turned"] > 1_000


@pytest.mark.parametrize("seed", range(3))
def test_rows_of_a_day_in_any_order_come_back_into_one_that_balances(seed: int, world: Path) -> None:
    t = tables(world, disk.parts(world / "raw", "customers")[0])["transactions"]
    t = t[t.customer_id < 20].assign(booked_at=t.booked_at.dt.normalize())
    assert booking.in_booking_order(t) is t  # an order that balances is believed
    lot = np.random.default_rng(seed).random(len(t))
    mixed = t.iloc[np.lexsort((lot, t.booked_at, t.customer_id))].reset_index(drop=True).assign(seq=t.seq.to_numpy())
    assert plainly(mixed)["follows"] < 0.9 * len(t)
    settled = booking.in_booking_order(mixed)
    assert plainly(settled)["follows"] > 0.98 * plainly(t)["follows"]
    assert sorted(settled.transaction_id) == sorted(t.transaction_id)
    assert (settled.seq == mixed.seq).all() and settled.booked_at.equals(mixed.booked_at)


def test_the_plan_looks_at_what_was_known(world: Path) -> None:
    part = disk.parts(world / "raw", "customers")[0]
    early, late = (
        audit.looked_at(world / "raw", part, pd.Timestamp(day), audit.limits(BASE))
        for day in ("2024-03-01", "2025-06-01")
    )
    assert len(early) == part.high - part.low and all(d == () for d in late.doubts)
    assert (late.data_age_days.dropna() > 0).all() and (early.data_age_days.dropna() < 62).all()


def test_one_case_is_a_note_and_a_strict_rule_goes_to_its_most_at_once() -> None:
    rules = {r.id: r for r in audit.RULES}
    said = audit.finding(rules["dates"], 1, 10_000, audit.USUAL)
    assert said.level == "warn" and audit.finding(rules["signs"], 1, 10_000, audit.USUAL).level == "note"
    assert audit.finding(rules["signs"], 2, 2, audit.USUAL).level == "warn"
    strict = dataclasses.replace(rules["signs"], strict=True)
    assert audit.finding(strict, 1, 10_000, audit.USUAL).level == "refuse"
