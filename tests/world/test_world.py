"""The simulated world: money, randomness, restarts, and misses that are caused."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from predelinquency.ground import disk, params
from predelinquency.ground.core import ParamsError
from predelinquency.ground.disk import Part
from predelinquency.world import calibration, contracts, money, personas, practice, world

START, DAYS = 19_600, 550
TABLES = practice.all_tables()
CALM = TABLES._replace(stresses=TABLES.stresses.copy())
CALM.stresses["per_year"] = 0
NOWHERE = np.zeros((1, money.LOG_WIDTH), np.int64)


def newborn(customer: int, seed: int = 7) -> tuple[np.record, np.record]:
    "One customer on the evening before day START, everything visible."
    person, life = np.zeros(1, personas.PERSON).view(np.recarray)[0], np.zeros(1, money.LIFE).view(np.recarray)[0]
    personas.birth(person, seed, customer, TABLES, 0.5)
    person.lag_ms = 2 * 86_400_000
    contracts.begin(life, person, TABLES, START)
    return life, person


def digests(folder: Path) -> dict[str, str]:
    "A hash of every table's values, whatever the parts."
    return {
        path.name: hashlib.sha256(
            pd.util.hash_pandas_object(disk.read(folder, path.name), index=False).to_numpy().tobytes()
        ).hexdigest()
        for path in sorted(folder.iterdir())
    }


def made(settings: params.Params, folder: Path, threads: int = 2, **changes: object) -> Path:
    "A world of 60 with some parameters changed."
    values = {
        "base": vars(settings.base) | {k: v for k, v in changes.items() if k in vars(settings.base)},
        "simulate": vars(settings.simulate)
        | {"customers": 60}
        | {k: v for k, v in changes.items() if k in vars(settings.simulate)},
    }
    p = world.Settings(params.section(params.Base, values["base"]), params.section(params.Simulate, values["simulate"]))
    world.simulate(p, folder / "raw", folder / "truth", progress=False, threads=threads)
    return folder


def test_money_is_neither_made_nor_lost_on_any_day_for_any_customer() -> None:
    for customer in range(40):
        life, person = newborn(customer)
        for day in range(START, START + DAYS):
            world.step(life, person, NOWHERE, TABLES, day)
            assert life.money.sum() == 0, f"customer {customer}, day {day}: {life.money}"


def test_every_visible_balance_is_the_sum_of_its_transactions(world: Path) -> None:
    tx = disk.read(world / "raw", "transactions")
    moved = tx["amount_minor"].where(tx["status"] != "failed", 0)
    before = tx.groupby("account_id")["balance_after_minor"].shift()
    known = before.notna()
    assert (before[known].astype("int64") + moved[known] == tx["balance_after_minor"][known]).all()


def test_a_transfer_between_own_visible_accounts_has_two_legs_that_cancel(world: Path) -> None:
    tx = disk.read(world / "raw", "transactions").query(
        "category == 'own_transfer' and counterparty == 'Own account' and account_id % 8 < 3"
    )
    assert len(tx) > 100 and tx.groupby("customer_id")["amount_minor"].sum().eq(0).all()


def test_the_same_seed_gives_the_same_tables_on_one_thread_and_on_two(settings: params.Params, tmp_path: Path) -> None:
    one = made(settings, tmp_path / "one", threads=1, customers_per_part=20)
    two = made(settings, tmp_path / "two", threads=2, customers_per_part=20)
    assert digests(one / "raw") == digests(two / "raw") and digests(one / "truth") == digests(two / "truth")


def test_another_seed_gives_other_people(settings: params.Params, tmp_path: Path) -> None:
    assert (
        digests(made(settings, tmp_path / "a") / "raw")["transactions"]
        != digests(made(settings, tmp_path / "b", seed=settings.base.seed + 1) / "raw")["transactions"]
    )


def test_the_size_of_the_population_and_of_its_parts_changes_nobody(settings: params.Params, tmp_path: Path) -> None:
    small, large = (
        made(settings, tmp_path / "small", customers_per_part=7),
        made(settings, tmp_path / "large", customers=150, customers_per_part=50),
    )
    for name in ("customers", "accounts", "obligations", "transactions", "payments"):
        a, b = (
            disk.read(folder / "raw", name).query("customer_id == 17").reset_index(drop=True)
            for folder in (small, large)
        )
        assert len(a) and all(a[c].astype(str).equals(b[c].astype(str)) for c in a), name


@pytest.mark.parametrize("pause", [1, 77, 300])
def test_a_saved_state_goes_on_as_if_nothing_had_happened(pause: int) -> None:
    for customer in range(10):
        (whole, person), (broken, _) = newborn(customer), newborn(customer)
        world.live(whole, person, NOWHERE, TABLES, START, START + 400)
        world.live(broken, person, NOWHERE, TABLES, START, START + pause)
        taken_up = np.frombuffer(broken.tobytes(), money.LIFE).copy().view(np.recarray)[0]
        log = np.zeros((5000, money.LOG_WIDTH), np.int64)
        world.live(taken_up, person, log, TABLES, START + pause, START + 400)
        assert taken_up.tobytes() == whole.tobytes() and log[0, 0] > 0


def test_a_part_that_outgrows_its_memory_is_lived_the_same(
    settings: params.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, wide = world.raw_part(settings, Part(0, 30))
    monkeypatch.setattr(world, "ROWS_A_MONTH", world.ROWS_A_MONTH / 40)
    *_, grown = world.raw_part(settings, Part(0, 30))
    assert all((a == b).all() for a, b in zip(wide, grown, strict=True))


def test_recording_changes_nothing() -> None:
    (silent, person), (told, _) = newborn(3), newborn(3)
    world.live(silent, person, NOWHERE, TABLES, START, START + 300)
    world.live(told, person, np.zeros((9000, money.LOG_WIDTH), np.int64), TABLES, START, START + 300)
    assert silent.tobytes() == told.tobytes()


def test_a_fork_with_fresh_randomness_shares_the_past_and_not_the_future() -> None:
    ends = set()
    for seed in range(5):
        life, person = newborn(4)
        world.live(life, person, NOWHERE, TABLES, START, START + 200)
        person.seed = 1000 + seed
        world.live(life, person, NOWHERE, TABLES, START + 200, START + 260)
        ends.add(int(life.money[money.CURRENT]))
    assert len(ends) == 5


def misses(log: np.ndarray, kinds: tuple[int, ...] = tuple(range(9))) -> int:
    "How many dues in a log, of these kinds, were not paid in full within five days."
    rows = log[1 : log[0, 0] + 1]
    due, paid = rows[rows[:, 0] == money.DUE], rows[rows[:, 0] == money.PAYMENT]
    due = due[(due[:, 5] < START + DAYS - 6) & np.isin(due[:, 3], kinds)]
    got: dict[tuple[int, int], int] = {}
    for row in paid:
        if row[3] < (row[5] + 6) * 86_400_000:
            got[row[1], row[2]] = got.get((row[1], row[2]), 0) + int(row[6])
    return sum(got.get((row[1], row[2]), 0) < row[6] for row in due)


def test_who_has_ample_money_and_autopay_never_misses() -> None:
    for customer in range(30):
        life, person = newborn(customer)
        person.hidden_pay = person.hidden_spend = person.topup = 0
        life.autopay[:], life.seen[:], person.autopay, person.buffer_days = 1, 1, 1.0, 400.0
        life.money[money.CURRENT] += 50_000_000
        life.money[money.OUTSIDE] -= 50_000_000
        log = np.zeros((9000, money.LOG_WIDTH), np.int64)
        for day in range(START, START + DAYS):
            life.autopay[:], life.back_on = 1, 0
            world.step(life, person, log, TABLES, day)
        dues = int((log[1 : log[0, 0] + 1, 0] == money.DUE).sum())
        assert misses(log, (money.LOAN_DUE, money.CARD_DUE)) == 0, f"customer {customer}"
        assert misses(log) < 0.05 * dues, "a mandate that is gone is no want of money, and rare"


def test_who_loses_all_income_and_has_nothing_misses() -> None:
    missed = 0
    for customer in range(30):
        life, person = newborn(customer)
        person.pay, person.side, person.family, person.dear, person.overdraft = 0, 0, 0.0, 0.0, 0
        life.money[:] = 0
        log = np.zeros((9000, money.LOG_WIDTH), np.int64)
        world.live(life, person, log, CALM, START, START + DAYS)
        missed += misses(log) > 0
    assert missed >= 25


def test_a_failed_debit_moves_no_money(world: Path) -> None:
    tx = disk.read(world / "raw", "transactions")
    before = tx.groupby("account_id")["balance_after_minor"].shift()
    failed = (tx["status"] == "failed") & before.notna()
    assert failed.sum() > 50 and (before[failed] == tx["balance_after_minor"][failed]).all()


def test_a_reversed_payment_takes_back_what_was_paid(world: Path) -> None:
    paid = disk.read(world / "raw", "payments")
    back = paid[paid["amount_minor"] < 0]
    assert len(back) > 3
    for row in back.itertuples():
        same = paid[
            (paid["obligation_id"] == row.obligation_id)
            & (paid["instalment"] == row.instalment)
            & (paid["paid_at"] < row.paid_at)
        ]
        assert same["amount_minor"].sum() >= -row.amount_minor


def test_nothing_arrives_later_than_the_longest_lag(world: Path, settings: params.Params) -> None:
    tx = disk.read(world / "raw", "transactions")
    lag = tx["arrived_at"] - tx["booked_at"]
    assert (
        lag.min() >= pd.Timedelta(0)
        and lag.max() < pd.Timedelta(days=settings.base.arrival_lag_days)
        and (lag > pd.Timedelta(hours=6)).mean() > 0.02
    )


def test_times_and_sequence_agree_and_some_share_a_second(world: Path) -> None:
    tx = disk.read(world / "raw", "transactions")
    steps = tx.groupby("customer_id")["booked_at"].diff().dropna()
    assert (steps >= pd.Timedelta(0)).all() and (steps == pd.Timedelta(0)).mean() > 0.01


def test_every_payment_has_a_due_that_was_announced_before_it_fell_due(world: Path) -> None:
    dues, paid = disk.read(world / "raw", "obligations"), disk.read(world / "raw", "payments")
    rows = paid.reset_index().merge(dues, on=["obligation_id", "instalment"], how="left", suffixes=("", "_due"))
    known = rows[rows["announced_at"] <= rows["paid_at"]].sort_values("announced_at", kind="stable")
    stood = known.drop_duplicates("index", keep="last")  # as it was agreed when it was paid
    assert len(stood) == len(paid) and stood["due_on_due"].eq(stood["due_on"]).all()
    assert ((dues["due_on"] - dues["announced_at"]).dt.days[dues["kind"] == "card"] >= 20).mean() > 0.99


def test_accounts_cover_every_transaction_and_open_before_it(world: Path) -> None:
    tx, accounts = (
        disk.read(world / "raw", "transactions"),
        disk.read(world / "raw", "accounts").set_index("account_id"),
    )
    opened = tx["account_id"].map(accounts["opened_on"])
    assert opened.notna().all() and (tx["booked_at"] >= opened).all()


def test_a_hidden_account_is_never_seen(world: Path) -> None:
    assert (disk.read(world / "raw", "transactions")["account_id"] % 8 < money.HIDDEN).all()


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"simulate.customers": 0}, "simulate.customers"),
        ({"simulate.hidden_share": 1.5}, "simulate.hidden_share"),
        ({"simulate.burn_in_months": 0}, "simulate.burn_in_months"),
        ({"base.scored_months": 0}, "base.scored_months"),
        ({"base.arrival_lag_days": -1}, "base.arrival_lag_days"),
        ({"base.customers_per_part": 0}, "base.customers_per_part"),
        ({"base.first_visible": "2024-01-15"}, "base.first_visible"),
        ({"base.first_visible": "soon"}, "soon"),
    ],
)
def test_an_impossible_world_is_refused_by_name_and_nothing_is_written(
    changes: dict[str, object], says: str, project: Path, tmp_path: Path
) -> None:
    with pytest.raises(ParamsError, match=says):
        world.simulate(
            params.load(project / "params.yaml", {"simulate.customers": 20} | changes),
            tmp_path / "raw",
            tmp_path / "truth",
            progress=False,
        )
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_world_that_breaks_half_way_leaves_nothing(
    settings: params.Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = world.tables_of

    def breaks(p: params.Params, part: Part, room: object) -> object:
        if part.low >= 40:
            raise KeyboardInterrupt
        return real(p, part, room)

    monkeypatch.setattr(world, "tables_of", breaks)
    with pytest.raises(KeyboardInterrupt):
        made(settings, tmp_path, customers_per_part=20)
    assert not list(tmp_path.rglob("*.parquet"))


def test_the_calibration_bands_hold(world: Path, settings: params.Params) -> None:
    # 300 customers, seed of params.yaml: rates with few events are allowed half a band beyond
    table = calibration.compare(
        calibration.marginals(world / "raw", world / "truth", settings), settings.simulate.calibration
    )
    slack = (table["high"] - table["low"]) / 2
    assert (
        table.loc[(table["value"] < table["low"] - slack) | (table["value"] > table["high"] + slack), "name"].tolist()
        == []
    )
