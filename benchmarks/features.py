"""Features against their limits: `python benchmarks/features.py [--raw FOLDER] [--customers 1000] [--repeat 3] [--json]`.

CPU seconds (all threads), medians; all ratios are measured in this one run on the same tables.
  decode     reading the Parquet columns that the features need, and nothing else
  catalogue  reading them and working out the whole catalogue at weekly moments, up to the table that is stored
  pandas     18 of the features from the tables in memory: what does not depend on the moment once, then for each moment the rows that had arrived, masks for the windows, one groupby a window
  sums       another 18 the same way: sums and counts over windows only; these also in polars and in DuckDB, from their own tables in memory
  rolling    those sums with daily totals and time-based rolling windows: faster, but it answers another question, for it cannot know what had not yet arrived
All values are compared with pandas one by one, late arrivals included; with rolling after setting every arrival to its booking.

Which 18 are representative? Each of the eight groups has its share of them (income 3, liquidity 4, savings 1, obligations 3, payment 3, spending 2, credit 1, shocks 1), and within a group those on which the model
leans most (`importance` in data/reports/explain.json), passing over the three that hang on the rhythm of pay (`pay_delay_3`, `main_payer_silent_days`, `projected_low_15_28d_over_due_15_28d`), which pandas could
only loop over. An earlier choice, kept here as `sums`, had nothing of obligations or shocks, no balance, no due and no lateness: 105 of the 183 features are such quantities, and most of its 18 have no weight in the
model. Both figures are printed.
"""

import json
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from _peers import duckdb_18, duckdb_tables, polars_18, polars_tables
from _table import arguments, faster, less, say, show
from predelinquency.features import catalogue, measures, offline
from predelinquency.features import events as features_events
from predelinquency.ground.schema import CATEGORY_GROUP, TARGET_KINDS
from predelinquency.model import labels

from predelinquency.ground import disk, params

EIGHTEEN = [
    "cash_withdrawals_14d",
    "incomes_30d",
    "failed_debits_30d",
    "movements_30d",
    "savings_draws_30d",
    "bnpl_count_60d",
    "dear_credits_60d",
    "gambling_count_60d",
    "failed_debits_90d",
    "charge_count_90d",
    "incomes_90d",
    "failed_debits_180d",
    "income_pace_30d_180d",
    "discretionary_pace_30d_180d",
    "outgoing_count_pace_30d_180d",
    "essentials_of_outgoings_30d",
    "gambling_of_outgoings_30d",
    "income_of_inflow_90d",
]
WINDOWS = {
    14: ["atms"],
    30: [
        "incomes",
        "failed",
        "moves",
        "draws",
        "income",
        "discretionary",
        "out_count",
        "essentials",
        "outgoings",
        "gambling",
    ],
    60: ["bnpl", "dear", "bets"],
    90: ["failed", "charges", "incomes", "income", "inflow"],
    180: ["failed", "income", "discretionary", "out_count"],
}


def measured(moves, accounts):
    "What each transaction is worth to the measures behind the 18 features."
    kind = accounts.set_index("account_id").kind.astype(str).reindex(moves.account_id).to_numpy()
    category, amount, status = moves.category.astype(str), moves.amount_minor, moves.status.astype(str)
    group, current, booked = category.map(CATEGORY_GROUP), kind == "current", status == "booked"
    out, came = booked & (amount <= 0), booked & (amount > 0)
    spent = (out | ((status == "reversed") & (amount > 0))) * -amount
    got = (came | ((status == "reversed") & (amount <= 0))) * amount
    own = category == "own_transfer"
    inflow = (group == "income") | category.isin(["transfer_in", "cash_deposit", "interest", "other"])
    return pd.DataFrame(
        {
            "customer_id": moves.customer_id,
            "on": moves.booked_at.dt.normalize(),
            "arrived_at": moves.arrived_at,
            "atms": out & (category == "atm"),
            "incomes": came & (group == "income"),
            "failed": (status == "failed") & (amount <= 0),
            "moves": booked,
            "draws": out & own & np.isin(kind, ["savings", "term_deposit"]),
            "income": got * (group == "income"),
            "discretionary": spent * (group == "discretionary"),
            "out_count": out & ~own & current,
            "essentials": spent * (group == "essential"),
            "outgoings": spent * (~own & current),
            "gambling": spent * (group == "gambling"),
            "bnpl": out & (category == "bnpl"),
            "dear": came & category.isin(["payday_loan", "cash_advance"]),
            "bets": out & (group == "gambling"),
            "charges": out & (group == "charge"),
            "inflow": got * (inflow & current),
        }
    )


def features_18(s, history):
    "The 18 features from their window sums, in the order of EIGHTEEN."
    with np.errstate(all="ignore"):
        pace = [
            np.where((history >= 60) & (s[c, 180] > 0), s[c, 30] / 30 / (s[c, 180] / np.minimum(history, 180)), np.nan)
            for c in ("income", "discretionary", "out_count")
        ]
        share = [
            np.where((history > 0) & (b > 0), a / b, np.nan)
            for a, b in (
                (s["essentials", 30], s["outgoings", 30]),
                (s["gambling", 30], s["outgoings", 30]),
                (s["income", 90], s["inflow", 90]),
            )
        ]
    counted = (
        ("atms", 14),
        ("incomes", 30),
        ("failed", 30),
        ("moves", 30),
        ("draws", 30),
        ("bnpl", 60),
        ("dear", 60),
        ("bets", 60),
        ("failed", 90),
        ("charges", 90),
        ("incomes", 90),
        ("failed", 180),
    )
    counts = [s[k] for k in counted]
    return np.column_stack([np.where(history > 0, c, np.nan) for c in counts] + pace + share)


def pandas_18(moves, accounts, spine):
    "18 features with pandas: for each moment the rows known then."
    events, answers = measured(moves, accounts).sort_values("on", kind="stable", ignore_index=True), []
    for when, asked in spine.groupby("as_of"):
        low, high = events.on.searchsorted([when - pd.Timedelta(days=180), when])
        recent = events.iloc[low:high]
        recent = recent[recent.arrived_at < when]
        sums = {}
        for days, columns in WINDOWS.items():
            window = (
                recent[recent.on >= when - pd.Timedelta(days=days)]
                .groupby("customer_id")[columns]
                .sum()
                .reindex(asked.customer_id, fill_value=0)
            )
            sums |= {(c, days): window[c].to_numpy() for c in columns}
        known = events.iloc[:high]
        first = known[known.arrived_at < when].groupby("customer_id").on.min().reindex(asked.customer_id)
        answers.append(pd.DataFrame(features_18(sums, (when - first).dt.days.fillna(0).to_numpy()), index=asked.index))
    return pd.concat(answers).loc[spine.index].to_numpy()


def rolling_18(moves, accounts, spine):
    "18 features with daily sums and rolling windows; arrival plays no part."
    events = measured(moves, accounts).drop(columns="arrived_at")
    first = events.groupby("customer_id").on.min()
    questions = spine.rename(columns={"as_of": "on"}).assign(asked=True)
    daily = pd.concat([events.groupby(["customer_id", "on"], as_index=False).sum(), questions]).fillna(
        {c: 0 for c in events.columns[2:]} | {"asked": False}
    )
    daily = daily.sort_values(["customer_id", "on"], kind="stable", ignore_index=True)
    asked, sums = daily.asked.to_numpy(bool), {}
    for days, columns in WINDOWS.items():
        window = daily.set_index("on").groupby("customer_id")[columns].rolling(f"{days}D", closed="left").sum()
        sums |= {(c, days): window[c].to_numpy()[asked] for c in columns}
    rows = daily[asked]
    return features_18(sums, (rows.on - first.reindex(rows.customer_id).to_numpy()).dt.days.to_numpy())


REPRESENTATIVE = [
    "income_variation_180d",
    "inflow_variation_180d",
    "own_money_in_pace_30d_180d",
    "visible_money_over_monthly_outgoings",
    "outgoings_per_monthly_inflow_30d",
    "low_7d_over_monthly_outgoings",
    "monthly_outgoings_over_monthly_inflow",
    "savings_over_monthly_outgoings",
    "due_15_28d_over_monthly_inflow",
    "due_card_15_28d",
    "manual_due_15_28d_over_due_15_28d",
    "window_late_share",
    "late_share",
    "late_target_180d",
    "discretionary_pace_30d_180d",
    "essentials_pace_30d_180d",
    "card_debt_over_monthly_inflow",
    "relationship_days",
]
SUMS = {
    30: ["income", "inflow", "own", "discretionary", "essentials", "outgoings"],
    60: ["income", "inflow"],
    90: ["income", "inflow", "own", "drawn", "outgoings"],
    120: ["income", "inflow"],
    150: ["income", "inflow"],
    180: ["income", "inflow", "own", "discretionary", "essentials"],
}


def flows(moves, accounts):
    "Money of each transaction by what it is for, and what it does to the balances: in the order of arrival."
    kind = accounts.set_index("account_id").kind.astype(str).reindex(moves.account_id).fillna("current").to_numpy()
    category, amount, status = moves.category, moves.amount_minor, moves.status
    group = category.map(CATEGORY_GROUP).astype(str).to_numpy()
    current, saved, own = (
        kind == "current",
        np.isin(kind, ["savings", "term_deposit"]),
        (category == "own_transfer").to_numpy(),
    )
    back = (status == "reversed").to_numpy()
    spent = np.where((status == "booked") & (amount <= 0) | back & (amount > 0), -amount, 0)
    got = np.where((status == "booked") & (amount > 0) | back & (amount <= 0), amount, 0)
    comes = (group == "income") | category.isin(["transfer_in", "cash_deposit", "interest", "other"]).to_numpy()
    events = pd.DataFrame(
        {
            "customer_id": moves.customer_id,
            "account_id": moves.account_id,
            "seq": moves.seq,
            "on": moves.booked_at.dt.normalize(),
            "arrived_at": moves.arrived_at,
            "income": got * (group == "income"),
            "inflow": got * (comes & current),
            "own": got * (own & current),
            "drawn": spent * (own & saved),
            "outgoings": spent * (~own & current),
            "discretionary": spent * (group == "discretionary"),
            "essentials": spent * (group == "essential"),
            "balance": moves.balance_after_minor,
        }
    )
    events["purse"] = np.select([current, saved], ["current", "savings"], "card")
    return events.sort_values("arrived_at", kind="stable", ignore_index=True)


def balances(events):
    "After each arrival that brings a balance: what its customer has in current accounts, savings and on cards, and from which day on."
    known = events.assign(head=events.groupby("customer_id").on.cummax())
    known = known[known.balance.notna() & (known.seq == known.groupby("account_id").seq.cummax())]
    change = known.balance.astype("int64") - known.groupby("account_id").balance.shift(fill_value=0).astype("int64")
    for purse in ("current", "savings", "card"):
        known[purse] = change.where(known.purse == purse, 0).groupby(known.customer_id).cumsum()
    known["has"] = (known.purse == "current").groupby(known.customer_id).cummax()
    return known[["customer_id", "arrived_at", "head", "current", "savings", "card", "has"]]


def settlements(dues, payments):
    "After each payment towards a loan, card or housing due: how much of it is paid, and since when all of it; whether it was late."
    key = ["obligation_id", "instalment"]
    paid = payments.sort_values("arrived_at", kind="stable").merge(
        dues[[*key, "kind", "due_on", "amount_minor", "announced_at"]], on=key, suffixes=("", "_due")
    )
    paid = paid[paid.announced_at <= paid.arrived_at].reset_index(drop=True)
    paid["on"], due = paid.paid_at.dt.normalize(), paid.groupby(key)
    paid["paid"] = due.amount_minor.cumsum()
    full = paid.paid >= paid.amount_minor_due
    began = full & ~full.groupby([paid.obligation_id, paid.instalment]).shift(fill_value=False)
    paid["settled"] = paid.on.where(began).groupby([paid.obligation_id, paid.instalment]).ffill().where(full)
    paid["target"] = paid.kind.isin(TARGET_KINDS)
    paid["late"] = paid.target & (paid.on > paid.due_on) & (paid.amount_minor > 0)
    return paid


def at_moment(when, asked, events, purses, dues, paid):
    "The 18 features at one moment, from the rows that had arrived."

    def day(days):
        return when - pd.Timedelta(days=days)

    events, purses, paid = (
        events[: events.arrived_at.searchsorted(when)],
        purses[: purses.arrived_at.searchsorted(when)],
        paid[: paid.arrived_at.searchsorted(when)],
    )
    dues = dues[: dues.announced_at.searchsorted(when)]
    recent, whom = events[events.on >= day(180)], asked.customer_id
    s = {
        (c, days): total[c].reindex(whom, fill_value=0).to_numpy()
        for days, columns in SUMS.items()
        for total in [recent[recent.on >= day(days)].groupby("customer_id")[columns].sum()]
        for c in columns
    }
    first = events.groupby("customer_id").on.min()
    begun = pd.concat(
        [first, dues.groupby("customer_id").announced_at.min().dt.normalize(), paid.groupby("customer_id").on.min()],
        axis=1,
    ).min(axis=1)
    history, since = (((when - x.reindex(whom)).dt.days).to_numpy(float) for x in (first, begun))
    last = purses.groupby("customer_id").tail(1).set_index("customer_id").reindex(whom)
    within, before = purses[(purses["head"] >= day(7)) & purses.has], purses[purses["head"] < day(7)]
    carried = before[before.has].groupby("customer_id").current.last().reindex(whom)
    low = np.fmin(within.groupby("customer_id").current.min().reindex(whom), carried).to_numpy(float)
    has, now, savings, card = (
        last.has.fillna(False).to_numpy(bool),
        *(last[c].to_numpy(float) for c in ("current", "savings", "card")),
    )
    now, savings, card, low = (np.where(has, x, np.nan) for x in (now, savings, np.maximum(-card, 0), low))
    with np.errstate(all="ignore"):
        known = np.minimum(history, 90)
        inflow = np.where(
            history >= 14, (s["inflow", 90] + np.maximum(s["own", 90] - s["drawn", 90], 0)) * 30 / known, np.nan
        )
        outgoings = np.where(history >= 14, s["outgoings", 90] * 30 / known, np.nan)

        def over(a, b):
            return np.where(b > 0, a / b, np.nan)

        def pace(c):
            return np.where(history >= 60, over(s[c, 30] / 30, s[c, 180] / np.minimum(history, 180)), np.nan)

        def variation(c):
            ends = np.stack([s[c, 30 * k] for k in range(1, 7)])
            blocks, n = np.diff(ends, axis=0, prepend=0), np.where(history >= 90, np.minimum(history, 180) // 30, 1)
            use = np.arange(6)[:, None] < n
            mean = (blocks * use).sum(axis=0) / n
            return np.where(
                (history >= 90) & (mean > 0), np.sqrt((((blocks - mean) ** 2) * use).sum(axis=0) / n) / mean, np.nan
            )

        late = late_features(when, whom, dues, paid)
        columns = [
            variation("income"),
            variation("inflow"),
            pace("own"),
            over(now + savings, outgoings),
            over(np.where(history > 0, s["outgoings", 30], np.nan), inflow),
            over(low, outgoings),
            over(outgoings, inflow),
            over(savings, outgoings),
            over(late["due"], inflow),
            late["cards"],
            over(late["manual"], late["due"]),
            late["window"],
            late["share"],
            late["count"],
            pace("discretionary"),
            pace("essentials"),
            over(card, inflow),
            since,
        ]
    return pd.DataFrame(np.column_stack(columns), index=asked.index)


def late_features(when, whom, dues, paid):
    "What is due on days 15–28, and how late dues were paid so far."
    key = ["obligation_id", "instalment"]
    state = paid.drop_duplicates(key, keep="last").set_index(key)[["paid", "settled"]]
    target = dues[dues.kind.isin(TARGET_KINDS)].join(state, on=key)
    target["rest"], ahead = target.amount_minor - target.paid.fillna(0), (target.due_on - when).dt.days
    coming = target[(target.rest > 0) & ahead.between(15, 28)]
    closed = target[target.settled.notna() | (ahead < -2)]
    closed = closed.assign(late=closed.settled.isna() | (closed.settled > closed.due_on))

    def of(series):
        return series.reindex(whom)

    seen, ever = (
        of(dues.groupby("customer_id").size()).notna().to_numpy(),
        of(paid.groupby("customer_id").target.any()).eq(True).to_numpy(),
    )

    def sums(x):
        return np.where(seen, of(x).fillna(0).to_numpy(float), np.nan)

    mine = closed[closed.obligation_id.isin(coming.obligation_id)]
    recent = paid[paid.on >= when - pd.Timedelta(days=180)]
    any_paid = of(paid.groupby("customer_id").size()).notna().to_numpy()
    return {
        "due": sums(coming.groupby("customer_id").rest.sum()),
        "cards": sums((coming.kind == "card").groupby(coming.customer_id).sum()),
        "manual": sums(coming[~coming.autopay].groupby("customer_id").rest.sum()),
        "window": np.where(ever, of(mine.groupby("customer_id").late.mean()).to_numpy(float), np.nan),
        "share": np.where(ever, of(closed.groupby("customer_id").late.mean()).to_numpy(float), np.nan),
        "count": np.where(any_paid, of(recent.groupby("customer_id").late.sum()).fillna(0).to_numpy(float), np.nan),
    }


def pandas_representative(tables, spine):
    "The representative 18 with pandas: what does not depend on the moment once, then for each moment the rows known then."
    events = flows(tables["transactions"], tables["accounts"])
    purses, dues = balances(events), tables["obligations"].sort_values("announced_at", kind="stable", ignore_index=True)
    paid = settlements(dues, tables["payments"])
    return (
        pd.concat([at_moment(when, asked, events, purses, dues, paid) for when, asked in spine.groupby("as_of")])
        .loc[spine.index]
        .to_numpy()
    )


LOOPS = (
    "pay_delay_3",
    "main_payer_silent_days",
    "projected_low_15_28d_over_due_15_28d",
)  # pandas could only loop over these


def by_rule(importance):
    "The representative 18 of a model: the groups' shares by largest remainder, within each those on which the model leans most."
    sizes = (
        pd.Series([f.group for f in catalogue.CATALOGUE]).value_counts()[list(measures.GROUPS)]
        * 18
        / len(catalogue.CATALOGUE)
    )
    shares = np.floor(sizes).astype(int)
    shares[(sizes - shares).nlargest(18 - shares.sum()).index] += 1
    ranked = [
        n for n in sorted(importance, key=importance.get, reverse=True) if n in catalogue.BY_NAME and n not in LOOPS
    ]
    return {n for g, k in shares.items() for n in [n for n in ranked if catalogue.BY_NAME[n].group == g][:k]}


def small_world(customers):
    from predelinquency.world import world

    folder = tempfile.mkdtemp()
    world.simulate(
        params.load("params.yaml", {"simulate.customers": customers, "base.customers_per_part": customers}),
        folder + "/raw",
        folder + "/truth",
        progress=False,
    )
    return folder + "/raw"


def cpu(what, work, repeat):
    say(what)
    work()  # compile, fill the file cache
    seconds = []
    for _ in range(repeat):
        start = time.process_time()
        answer = work()
        seconds.append(time.process_time() - start)
    return median(seconds), answer


def main():
    parser = arguments(__doc__)
    parser.add_argument("--raw", help="a folder of canonical tables; a small world is made when it is left out")
    parser.add_argument("--customers", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    say("the tables")
    raw = asked.raw or small_world(asked.customers)
    base = params.load("params.yaml").base
    part = disk.parts(raw, "customers")[0]
    spine = labels.spine(disk.read(raw, "customers", part), disk.read(raw, "accounts", part), base, 7)
    decode, _ = cpu(
        "decode", lambda: [disk.read_arrow(raw, n, part, c) for n, c in features_events.NEEDS.items()], asked.repeat
    )
    whole, _ = cpu(
        "decode and the whole catalogue", lambda: offline.panel(offline.read_tables(raw, part), spine), asked.repeat
    )
    tables = offline.read_tables(raw, part)
    moves, accounts = tables["transactions"], tables["accounts"]
    chosen, leading = ([catalogue.BY_NAME[n] for n in names] for names in (EIGHTEEN, REPRESENTATIVE))

    def same(theirs, ours):
        np.testing.assert_allclose(theirs, ours.to_numpy(), rtol=1e-9, atol=1e-9)

    alone, ours = cpu("representative 18", lambda: offline.features(tables, spine, leading), asked.repeat)
    usual, theirs = cpu("representative 18, pandas", lambda: pandas_representative(tables, spine), 1)
    same(theirs, ours[REPRESENTATIVE])
    one, ours = cpu("18 sums", lambda: offline.features(tables, spine, chosen), asked.repeat)
    peers = {}
    peers["pandas"], theirs = cpu("18 sums, pandas", lambda: pandas_18(moves, accounts, spine), 1)
    same(theirs, ours[EIGHTEEN])
    for name, prepare, work in (("polars", polars_tables, polars_18), ("DuckDB", duckdb_tables, duckdb_18)):
        own = prepare(moves, accounts, spine)
        peers[name], theirs = cpu(f"18 sums, {name}", lambda: features_18(*work(own, WINDOWS)), 1)  # noqa: B023
        same(theirs, ours[EIGHTEEN])
    prompt = tables | {"transactions": moves.assign(arrived_at=moves.booked_at)}
    peers["pandas rolling, arrival left out"], theirs = cpu(
        "18 sums, pandas rolling", lambda: rolling_18(prompt["transactions"], accounts, spine), 1
    )
    same(theirs, offline.features(prompt, spine, chosen)[EIGHTEEN])
    if (report := Path("data/reports/explain.json")).exists():
        other = by_rule(dict(json.loads(report.read_text())["importance"])) - set(REPRESENTATIVE)
        say(
            "the rule gives these 18 with the model at hand"
            if not other
            else f"with the model at hand the rule would take {', '.join(sorted(other))} instead of as many others"
        )
    rows = [
        less("decode + whole catalogue", "CPU s", whole, decode, "decode", "<= 2"),
        faster("decode + whole catalogue", "CPU s", whole, usual, "pandas, representative 18 in memory", ">= 40"),
        faster("representative 18, in memory", "CPU s", alone, usual, "pandas"),
        *(faster("18 sums, in memory", "CPU s", one, seconds, name) for name, seconds in peers.items()),
    ]
    show(
        f"{len(moves):,} transactions, {spine.customer_id.nunique():,} customers, {len(spine):,} rows, {len(catalogue.CATALOGUE)} features; all 36 values equal",
        rows,
        asked.json,
    )


if __name__ == "__main__":
    main()
