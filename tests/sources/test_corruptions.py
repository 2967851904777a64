"""A bank's files with one thing wrong at a time: each is refused or flagged under its rule, with its place; the clean files are not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import as_files
import numpy as np
import pandas as pd
import pytest

from predelinquency.ground import disk, params
from predelinquency.ground.core import PredelinquencyError, SchemaError
from predelinquency.sources import audit, ingest, report
from predelinquency.sources.mapping import parse_mapping

BASE = params.load(Path(__file__).parents[2] / "params.yaml").base
CUSTOMERS = 16
Frames = dict[str, pd.DataFrame]
LEVEL = {name: n for n, name in enumerate(audit.LEVELS)}


@pytest.fixture(scope="module")
def bank(world: Path) -> Frames:
    "Sixteen customers of the simulated world, as their bank would export them."
    part = disk.parts(world / "raw", "customers")[0]
    names = ("customers", "accounts", "obligations", "transactions", "payments")
    tables = {name: disk.read(world / "raw", name, part) for name in names}
    return as_files.frames({name: t[t.customer_id < CUSTOMERS] for name, t in tables.items()})


def write(folder: Path, bank: Frames) -> None:
    for name, frame in bank.items():
        dated = {
            c: frame[c].dt.strftime("%Y-%m-%d %H:%M:%S.%f").str[:-3]
            for c in frame
            if c.endswith("_at") and frame[c].dtype.kind == "M"
        }
        frame.assign(**dated).to_csv(folder / f"{name}.csv", index=False)


def asked(folder: Path, mapping: str = as_files.MAPPING) -> report.Report:
    return ingest.check_source(parse_mapping(mapping, "bank.yaml"), folder, BASE)


def by_rule(found: report.Report) -> dict[str, audit.Finding]:
    return {f.rule: f for f in found.findings}


# --- one thing wrong: each changes the bank, the mapping or the folder


def moves(**changes: Callable[[pd.DataFrame], Any]) -> Callable[[Frames], Frames]:
    return lambda bank: bank | {"transactions": bank["transactions"].assign(**changes)}


def paid(**changes: Callable[[pd.DataFrame], Any]) -> Callable[[Frames], Frames]:
    return lambda bank: bank | {"payments": bank["payments"].assign(**changes)}


def only(table: str, keep: Callable[[pd.DataFrame], Any]) -> Callable[[Frames], Frames]:
    return lambda bank: bank | {table: bank[table][keep(bank[table])]}


def balanced(frame: pd.DataFrame) -> pd.DataFrame:
    "Balances that follow from the amounts, whatever these are."
    moved = frame.amount.where(frame.status != "failed", 0)
    return frame.assign(balance=moved.groupby(frame.account_id).cumsum().round(2))


def doubled(table: str, **ids: str) -> Callable[[Frames], Frames]:
    def twice(bank: Frames) -> Frames:
        again = bank[table].assign(**{c: bank[table][c] + 10**9 for c in ids.values()})
        return bank | {table: pd.concat([bank[table], again])}

    return twice


def of(customers: list[int], frame: pd.DataFrame) -> pd.Series:
    return frame.customer_id.isin(customers)


def month(frame: pd.DataFrame, name: str) -> pd.Series:
    time = "booked_at" if "booked_at" in frame else "paid_at"
    return frame[time].dt.strftime("%Y-%m") == name


def last_months(bank: Frames) -> Frames:
    end = bank["payments"].paid_at.max()
    return only("payments", lambda f: f.paid_at < end - pd.Timedelta(days=100))(bank)


def wrong_way(category: str) -> Callable[[Frames], Frames]:
    def turned(bank: Frames) -> Frames:
        t = bank["transactions"]
        return bank | {"transactions": balanced(t.assign(amount=t.amount.where(t.category != category, -t.amount)))}

    return turned


def in_pennies_of(unit: float) -> Callable[[Frames], Frames]:
    return lambda bank: (
        bank
        | {
            "transactions": balanced(
                bank["transactions"].assign(amount=(bank["transactions"].amount / unit).round() * unit)
            )
        }
    )


def day_for_month(bank: Frames) -> Frames:
    t = bank["transactions"]
    t = t[t.booked_at.dt.day <= 12]
    swapped = pd.to_datetime(dict(year=t.booked_at.dt.year, month=t.booked_at.dt.day, day=t.booked_at.dt.month))
    return bank | {"transactions": t.assign(booked_at=swapped, arrived_at=swapped).sort_values("booked_at")}


def centuries(bank: Frames) -> Frames:
    t, odd = bank["transactions"], bank["transactions"].index[::2000]
    for c in ("booked_at", "arrived_at"):
        t = t.assign(**{c: t[c].where(~t.index.isin(odd), t[c] - pd.DateOffset(years=100))})
    return bank | {"transactions": t}


def accounts_of_neighbours(bank: Frames) -> Frames:
    a = bank["accounts"]
    return bank | {"accounts": a.assign(who=np.roll(a.who.to_numpy(), 5))}


def earlier(column: str, days: int) -> Callable[[pd.DataFrame], Any]:
    return lambda f: f[column] - pd.Timedelta(days=days)


def first_year_unpaid(bank: Frames) -> Frames:
    cut = pd.Timestamp("2024-09-01")
    return only("payments", lambda f: f.paid_at >= cut)(only("transactions", lambda f: f.booked_at >= cut)(bank))


def without_accounts(bank: Frames) -> Frames:
    some = list(range(5, 10))
    kept = {name: bank[name][~of(some, bank[name])] for name in ("accounts", "transactions")}
    return bank | kept


def swapped_columns(bank: Frames) -> Frames:
    t = bank["transactions"]
    return bank | {"transactions": t.assign(amount=t.balance, balance=t.amount)}


def reversed_at_random(frame: pd.DataFrame) -> Any:
    lot = np.random.default_rng(4).random(len(frame)) < 0.05
    return np.where(lot & (frame.status == "booked"), "reversed", frame.status)


def shuffled(frame: pd.DataFrame) -> Any:
    return np.random.default_rng(5).permutation(frame.balance.to_numpy())


def one_too_high(frame: pd.DataFrame) -> Any:
    return (frame.balance + np.where(np.arange(len(frame)) == len(frame) // 2, 9_999, 0)).round(2)


def garbled(frame: pd.DataFrame) -> Any:
    return frame.counterparty.str.replace("a", "ä").str.encode("utf-8").str.decode("cp1252", errors="ignore")


def towards_nothing(bank: Frames) -> Frames:
    y = bank["payments"]
    return bank | {"payments": pd.concat([y, y[::10].assign(amount=90_000.0)])}


def own_ids(mapping: str) -> str:
    return mapping.replace("transaction: transaction_id", "transaction: row_number() over ()")


ALL = Callable[[Frames], Frames]
PLANTED: list[tuple[str, ALL, str, str]] = [  # what is wrong, how, the rule, the least level
    ("numbers of order against time", moves(seq=lambda f: -f.seq), "file_order", "refuse"),
    ("every sign turned", moves(amount=lambda f: -f.amount), "signs", "refuse"),
    (
        "the signs of one customer turned",
        moves(amount=lambda f: f.amount.where(~of([3], f), -f.amount)),
        "signs",
        "warn",
    ),
    ("balances before their movement", moves(balance=lambda f: (f.balance - f.amount).round(2)), "balance_after", "refuse"),
    ("balances in minor units", moves(balance=lambda f: (f.balance * 100).round()), "units", "refuse"),
    ("amounts in minor units", moves(amount=lambda f: (f.amount * 100).round()), "units", "refuse"),
    (
        "amounts and balances in minor units",
        moves(amount=lambda f: (f.amount * 100).round(), balance=lambda f: (f.balance * 100).round()),
        "movement_units",
        "refuse",
    ),
    ("every tenth row lost", only("transactions", lambda f: f.seq % 10 != 9), "balances", "warn"),
    ("balances of other rows", moves(balance=shuffled), "balances", "warn"),
    ("one balance too high", moves(balance=one_too_high), "balances", "note"),
    ("amounts and balances swapped", swapped_columns, "balances", "warn"),
    ("salaries that leave", wrong_way("salary"), "income_arrives", "warn"),
    ("groceries that arrive", wrong_way("groceries"), "spending_leaves", "warn"),
    ("movements twice", doubled("transactions", id="transaction_id"), "row_once", "refuse"),
    ("reversals of nothing", moves(status=reversed_at_random), "reversals", "warn"),
    ("accounts lost", only("accounts", lambda f: f.account_id % 2 == 0), "references", "warn"),
    ("accounts of their neighbours", accounts_of_neighbours, "accounts", "warn"),
    (
        "accounts opened late",
        lambda bank: bank | {"accounts": bank["accounts"].assign(opened_on="2024-12-01")},
        "opened",
        "warn",
    ),
    ("customers who came late", lambda bank: bank | {"customers": bank["customers"].assign(joined_on="2025-01-01")}, "came", "warn"),
    ("a century off", centuries, "dates", "warn"),
    ("pennies cut off", in_pennies_of(1), "pennies", "warn"),
    ("day for month", day_for_month, "month_days", "warn"),
    ("one category", moves(category=lambda f: "other"), "categories", "warn"),
    ("nothing was booked", moves(status=lambda f: "failed"), "booked", "warn"),
    ("names in a wrong encoding", moves(counterparty=garbled), "letters", "warn"),
    ("a hole of two months", only("transactions", lambda f: ~(of([3, 4], f) & f.booked_at.between("2024-06-01", "2024-08-01"))), "silence", "warn"),
    ("a month of movements lost", only("transactions", lambda f: ~month(f, "2024-06")), "months", "warn"),
    ("payments end early", last_months, "months", "warn"),
    ("payments a hundredth", paid(amount=lambda f: (f.amount / 100).round(2)), "payment_units", "refuse"),
    ("payments a hundredfold", paid(amount=lambda f: (f.amount * 100).round(2)), "payment_units", "refuse"),
    ("payments half a year away", paid(paid_at=earlier("paid_at", -200), arrived_at=earlier("arrived_at", -200)), "payment_dates", "refuse"),
    ("payments before the contract", paid(paid_at=earlier("paid_at", 85), arrived_at=earlier("arrived_at", 85)), "contract_first", "warn"),
    ("payments twice", doubled("payments"), "payment_once", "refuse"),
    ("payments of other instalments", paid(instalment=lambda f: f.instalment + 500), "references", "warn"),
    ("dues on the day of the export", lambda bank: bank | {"obligations": bank["obligations"].assign(due_on="2025-12-31")}, "due_days", "warn"),
    ("a schedule older than the payments", first_year_unpaid, "dues_seen", "note"),
    ("dues of people without accounts", without_accounts, "owed_by_owners", "warn"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "rule", "level"), [p[1:] for p in PLANTED], ids=[p[0] for p in PLANTED])
def test_what_is_wrong_is_told_under_its_rule_and_with_its_place(
    change: ALL, rule: str, level: str, bank: Frames, tmp_path: Path
) -> None:
    write(tmp_path, change(bank))
    said = by_rule(asked(tmp_path))[rule]
    assert LEVEL[said.level] >= LEVEL[level], said
    assert said.places and said.remedy and 0 < said.cases <= said.of
    if said.level == "refuse":
        with pytest.raises(SchemaError, match=rf"rule {rule}|also: .*{rule}"):
            ingest.ingest(parse_mapping(as_files.MAPPING, "bank.yaml"), tmp_path, tmp_path / "raw", BASE)
        assert not [p for p in (tmp_path / "raw").rglob("*") if p.is_file()]


def test_the_clean_files_have_nothing_above_a_note(bank: Frames, tmp_path: Path) -> None:
    write(tmp_path, bank)
    found = asked(tmp_path)
    assert {f.rule: f.level for f in found.findings if LEVEL[f.level] > LEVEL["note"]} == {}
    assert {f.rule for f in found.findings if f.level == "note"} <= {"reversed", "taken_back"}
    assert all(f.held for f in found.flows) and len(found.flows) == 3
    assert sum(f.level == "held" for f in found.findings) > 30


def with_copy(folder: Path) -> str:
    (folder / "transactions (1).csv").write_bytes((folder / "transactions.csv").read_bytes())
    return own_ids(as_files.MAPPING).replace("transactions.csv", "transactions*.csv")


def with_overlap(folder: Path) -> str:
    header, *lines = (folder / "transactions.csv").read_text().splitlines(keepends=True)
    (folder / "transactions.csv").write_text("".join([header, *lines[: len(lines) // 2 + 2000]]))
    (folder / "transactions2.csv").write_text("".join([header, *lines[len(lines) // 2 :]]))
    return own_ids(as_files.MAPPING).replace("transactions.csv", "transactions*.csv")


def with_join(folder: Path) -> str:
    return own_ids(as_files.MAPPING).replace(
        "from: moves", "from: moves join (select who as w from people_accounts) a on a.w = who"
    ).replace("  accounts: {path", "  people_accounts: {path").replace("from: accounts", "from: people_accounts")  # fmt: skip


def with_losing_join(folder: Path) -> str:
    return as_files.MAPPING.replace(
        "from: moves", "from: moves join (select account_id as b from people_accounts where kind = 'current') a on a.b = account_id"
    ).replace("  accounts: {path", "  people_accounts: {path").replace("from: accounts", "from: people_accounts")  # fmt: skip


def with_currencies(folder: Path) -> str:
    return as_files.MAPPING.replace(
        "      account: account_id\n", "      account: account_id\n      currency: case when seq % 50 = 7 then 'EUR' else 'GBP' end\n"
    )  # fmt: skip


def with_money_that_waits(folder: Path) -> str:
    paid = pd.read_csv(folder / "payments.csv")
    pd.concat([paid, paid.groupby("obligation_id").tail(1).assign(amount=90_000.0)]).to_csv(
        folder / "payments.csv", index=False
    )
    return as_files.MAPPING.replace("instalment: instalment\n      paid_at", "paid_at")


@pytest.mark.parametrize(
    ("change", "rule", "level"),
    [
        (with_copy, "files_once", "refuse"),
        (with_overlap, "rows_once", "warn"),
        (with_join, "rows_kept", "warn"),
        (with_losing_join, "rows_kept", "warn"),
        (with_currencies, "one_currency", "refuse"),
        (with_money_that_waits, "money_waits", "note"),
    ],
    ids=lambda v: getattr(v, "__name__", v),
)
def test_what_a_folder_or_a_mapping_does_wrong_is_told(
    change: Callable[[Path], str], rule: str, level: str, bank: Frames, tmp_path: Path
) -> None:
    write(tmp_path, bank)
    found = asked(tmp_path, change(tmp_path))
    said = by_rule(found)[rule]
    assert LEVEL[said.level] >= LEVEL[level] and said.remedy and said.cases, said
    if rule == "rows_kept":
        assert [f.table for f in found.flows if f.held is False] == ["transactions"]


def cut_in_half(folder: Path) -> None:
    text = (folder / "payments.csv").read_text()
    (folder / "payments.csv").write_text(text[: len(text) - 25])


def an_unknown_word(folder: Path) -> None:
    text = (folder / "transactions.csv").read_text()
    (folder / "transactions.csv").write_text(text.replace(",groceries,", ",grocceries,", 1))


def a_due_of_nothing(folder: Path) -> None:
    dues = pd.read_csv(folder / "obligations.csv")
    dues.loc[17, "amount"] = 0
    dues.to_csv(folder / "obligations.csv", index=False)


@pytest.mark.parametrize(
    ("change", "place"),
    [(cut_in_half, "payments.csv"), (an_unknown_word, "tables.transactions.columns.category"), (a_due_of_nothing, "amount")],
    ids=lambda v: getattr(v, "__name__", v),
)  # fmt: skip
def test_what_no_row_may_hold_is_refused_with_its_place(
    change: Callable[[Path], None], place: str, bank: Frames, tmp_path: Path
) -> None:
    write(tmp_path, bank)
    change(tmp_path)
    with pytest.raises(PredelinquencyError, match=place):
        asked(tmp_path)


def test_at_least_forty_kinds_are_planted() -> None:
    assert len(PLANTED) + 6 + 3 >= 40 and len({p[0] for p in PLANTED}) == len(PLANTED)


def test_an_account_with_two_owners_and_ids_of_each_account_are_told_from_duplicates(
    bank: Frames, tmp_path: Path
) -> None:
    a = bank["accounts"]
    joint = a.iloc[:1].assign(who=a.who.iloc[-1])
    write(tmp_path, bank | {"accounts": pd.concat([a, joint])})
    with pytest.raises(SchemaError, match="is of several customers: .* and ") as told:
        asked(tmp_path)
    assert "belongs to one customer" in told.value.remedy
    write(tmp_path, bank)
    t = bank["transactions"]
    count = moves(transaction_id=lambda f: f.groupby("account_id").cumcount())
    write(tmp_path, count(bank))
    with pytest.raises(SchemaError, match="is of several accounts") as told:
        asked(tmp_path)
    mended = as_files.MAPPING.replace("transaction: transaction_id", "transaction: account_id || '/' || transaction_id")
    assert asked(tmp_path, mended).tables["transactions"].rows == len(t)
    write(tmp_path, bank | {"accounts": pd.concat([a, a.iloc[:1]])})
    with pytest.raises(SchemaError) as told:
        asked(tmp_path)
    assert "drop the duplicates" in told.value.remedy
