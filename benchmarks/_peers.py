"""The 18 sums of features.py as an expert in polars and in DuckDB would write them; late arrivals count as there.

Both begin with their own tables in memory (`polars_tables`, `duckdb_tables`, not timed) and end in window sums and
days of history, from which `features_18` makes the features. Moments are midnights, so arrival matters by the day.
"""

import duckdb
import numpy as np
import polars as pl
from predelinquency.ground.schema import CATEGORY_GROUP

COLUMNS = ["customer_id", "account_id", "booked_at", "arrived_at", "category", "amount_minor", "status"]
INFLOWS, DEAR, SAVED = (
    ("transfer_in", "cash_deposit", "interest", "other"),
    ("payday_loan", "cash_advance"),
    ("savings", "term_deposit"),
)


def plain(frame):
    "A data frame with its words as words."
    return frame.astype({c: "string" for c in frame if frame[c].dtype == "category"})


def polars_tables(moves, accounts, spine):
    return [
        pl.from_pandas(plain(f))
        for f in (
            moves[COLUMNS],
            accounts[["account_id", "kind"]],
            spine[["customer_id", "as_of"]].assign(row=np.arange(len(spine))),
        )
    ]


def polars_measured(moves, accounts):
    "What each transaction is worth to the measures, as a lazy table of days."
    category, amount, status, kind = pl.col("category"), pl.col("amount_minor"), pl.col("status"), pl.col("kind")
    group, current, booked, back = pl.col("group"), kind == "current", status == "booked", status == "reversed"
    out, came, own = booked & (amount <= 0), booked & (amount > 0), category == "own_transfer"
    spent = pl.when(out | (back & (amount > 0))).then(-amount).otherwise(0)
    got = pl.when(came | (back & (amount <= 0))).then(amount).otherwise(0)
    worth = dict(
        atms=out & (category == "atm"),
        incomes=came & (group == "income"),
        failed=(status == "failed") & (amount <= 0),
        moves=booked,
        draws=out & own & kind.is_in(SAVED),
        income=got * (group == "income"),
        discretionary=spent * (group == "discretionary"),
        out_count=out & ~own & current,
        essentials=spent * (group == "essential"),
        outgoings=spent * (~own & current),
        gambling=spent * (group == "gambling"),
        bnpl=out & (category == "bnpl"),
        dear=came & category.is_in(DEAR),
        bets=out & (group == "gambling"),
        charges=out & (group == "charge"),
        inflow=got * (((group == "income") | category.is_in(INFLOWS)) & current),
    )
    arrived = pl.col("arrived_at").dt.truncate("1d") + pl.duration(days=1)  # the first midnight at which it is known
    known = (
        moves.lazy()
        .join(accounts.lazy(), on="account_id", how="left")
        .with_columns(group=category.replace_strict(dict(CATEGORY_GROUP), default=None), kind=kind.fill_null(""))
    )
    return (
        known.with_columns(on=pl.col("booked_at").dt.truncate("1d"), known=arrived)
        .group_by("customer_id", "on", "known")
        .agg(*(e.fill_null(0).cast(pl.Int64).sum().alias(n) for n, e in worth.items()))
    )


def polars_18(tables, windows):
    "Window sums and days of history on the rows of the spine: one grouping a moment, all moments at once."
    moves, accounts, spine = tables
    days = polars_measured(moves, accounts).collect().sort("on")
    moments = []
    for when in spine["as_of"].unique():
        since = {d: pl.col("on") >= when - pl.duration(days=d) for d in windows}
        sums = [pl.col(c).filter(since[d]).sum().alias(f"{c}_{d}") for d, columns in windows.items() for c in columns]
        seen = days.lazy().filter((pl.col("on") < when) & (pl.col("known") <= when))
        asked = spine.lazy().filter(pl.col("as_of") == when)
        found = seen.group_by("customer_id").agg(*sums, first=pl.col("on").min())
        moments.append(asked.join(found, on="customer_id", how="left"))
    whole = pl.concat(pl.collect_all(moments)).sort("row")
    history = (whole["as_of"] - whole["first"]).dt.total_days().fill_null(0).to_numpy()
    return {
        (c, d): whole[f"{c}_{d}"].fill_null(0).to_numpy() for d, columns in windows.items() for c in columns
    }, history


WORTH = """
create or replace temp table days as
with moved as (
    select customer_id, booked_at::date as on_day, arrived_at::date + 1 as known, category, amount_minor as amount, status, groups.name as grp,
        coalesce(kind, '') = 'current' as current, kind in ('savings', 'term_deposit') as saved,
        status = 'booked' as booked, booked and amount <= 0 as gone, booked and amount > 0 as came, category = 'own_transfer' as own,
        case when gone or (status = 'reversed' and amount > 0) then -amount else 0 end as spent,
        case when came or (status = 'reversed' and amount <= 0) then amount else 0 end as got
    from moves left join accounts using (account_id) left join groups using (category))
select customer_id, on_day, known,
    count(*) filter (gone and category = 'atm') as atms, count(*) filter (came and grp = 'income') as incomes,
    count(*) filter (status = 'failed' and amount <= 0) as failed, count(*) filter (booked) as moves,
    count(*) filter (gone and own and saved) as draws, sum(got) filter (grp = 'income') as income,
    sum(spent) filter (grp = 'discretionary') as discretionary, count(*) filter (gone and not own and current) as out_count,
    sum(spent) filter (grp = 'essential') as essentials, sum(spent) filter (not own and current) as outgoings,
    sum(spent) filter (grp = 'gambling') as gambling, count(*) filter (gone and category = 'bnpl') as bnpl,
    count(*) filter (came and category in ('payday_loan', 'cash_advance')) as dear,
    count(*) filter (gone and grp = 'gambling') as bets, count(*) filter (gone and grp = 'charge') as charges,
    sum(got) filter (current and (grp = 'income' or category in ('transfer_in', 'cash_deposit', 'interest', 'other'))) as inflow
from moved group by all
"""


def duckdb_tables(moves, accounts, spine):
    base = duckdb.connect()
    groups = pl.DataFrame({"category": list(CATEGORY_GROUP), "name": list(CATEGORY_GROUP.values())})
    for name, frame in zip(
        ("moves", "accounts", "spine", "groups"), (*polars_tables(moves, accounts, spine), groups), strict=True
    ):
        base.register("arriving", frame.to_arrow())
        base.execute(f"create table {name} as from arriving")
        base.unregister("arriving")
    return base


def duckdb_18(base, windows):
    "The same in SQL: one join of questions with days, each window a filter of its sums."
    base.execute(WORTH)
    sums = [
        f"sum({c}) filter (on_day >= s.as_of::date - {d})::bigint as {c}_{d}"
        for d, columns in windows.items()
        for c in columns
    ]
    found = base.execute(f"""
        with opened as (
            select customer_id, greatest(on_day + 1, known) as open, min(on_day) as first from days group by all),
        since as (
            select customer_id, open, min(first) over (partition by customer_id order by open) as first from opened),
        recent as (
            select s.row, {", ".join(sums)} from spine s join days d
            on d.customer_id = s.customer_id and d.on_day < s.as_of::date and d.on_day >= s.as_of::date - {max(windows)} and d.known <= s.as_of::date
            group by s.row)
        select s.row, coalesce(s.as_of::date - since.first, 0) as history, recent.* exclude (row)
        from spine s asof left join since on s.customer_id = since.customer_id and s.as_of::date >= since.open
        left join recent on recent.row = s.row order by s.row""").fetchnumpy()
    filled = {name: np.ma.filled(np.ma.asarray(v), 0) for name, v in found.items()}
    return {(c, d): filled[f"{c}_{d}"] for d, columns in windows.items() for c in columns}, filled["history"]
