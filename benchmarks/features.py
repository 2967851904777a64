"""Features against their limits: `python benchmarks/features.py [--raw FOLDER] [--customers 1000] [--repeat 3]`.

CPU seconds (all threads), medians; all ratios are measured in this one run on the same tables.
  decode     reading the Parquet columns that the features need, and nothing else
  catalogue  reading them and working out the whole catalogue at weekly moments, up to the table that is stored
  pandas     18 of the features from the tables in memory: the rows that had arrived by each moment, masks for the windows, one groupby a moment
  rolling    the same 18 with daily sums and time-based rolling windows: faster, but it answers another question, for it cannot know what had not yet arrived
The 18 are compared with pandas value by value, late arrivals included; with rolling after setting every arrival to its booking.
"""
import argparse
import tempfile
import time
from statistics import median

import numpy as np
import pandas as pd

from predelinquency import params, schema
from predelinquency.features import catalogue, offline
from predelinquency.model import labels
from predelinquency.schema import CATEGORY_GROUP

EIGHTEEN = ["cash_withdrawals_14d", "incomes_30d", "failed_debits_30d", "movements_30d", "savings_draws_30d", "bnpl_count_60d", "dear_credits_60d",
            "gambling_count_60d", "failed_debits_90d", "charge_count_90d", "incomes_90d", "failed_debits_180d", "income_pace_30d_180d", "discretionary_pace_30d_180d",
            "outgoing_count_pace_30d_180d", "essentials_of_outgoings_30d", "gambling_of_outgoings_30d", "income_of_inflow_90d"]
WINDOWS = {14: ["atms"], 30: ["incomes", "failed", "moves", "draws", "income", "discretionary", "out_count", "essentials", "outgoings", "gambling"], 60: ["bnpl", "dear", "bets"],
           90: ["failed", "charges", "incomes", "income", "inflow"], 180: ["failed", "income", "discretionary", "out_count"]}


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
    return pd.DataFrame({"customer_id": moves.customer_id, "on": moves.booked_at.dt.normalize(), "arrived_at": moves.arrived_at,
                         "atms": out & (category == "atm"), "incomes": came & (group == "income"), "failed": (status == "failed") & (amount <= 0),
                         "moves": booked, "draws": out & own & np.isin(kind, ["savings", "term_deposit"]),
                         "income": got * (group == "income"), "discretionary": spent * (group == "discretionary"), "out_count": out & ~own & current,
                         "essentials": spent * (group == "essential"), "outgoings": spent * (~own & current), "gambling": spent * (group == "gambling"), "bnpl": out & (category == "bnpl"),
                         "dear": came & category.isin(["payday_loan", "cash_advance"]),
                         "bets": out & (group == "gambling"), "charges": out & (group == "charge"), "inflow": got * (inflow & current)})


def features_18(s, history):
    "The 18 features from their window sums, in the order of EIGHTEEN."
    with np.errstate(all="ignore"):
        pace = [np.where((history >= 60) & (s[c, 180] > 0), s[c, 30] / 30 / (s[c, 180] / np.minimum(history, 180)), np.nan) for c in ("income", "discretionary", "out_count")]
        share = [np.where((history > 0) & (b > 0), a / b, np.nan) for a, b in ((s["essentials", 30], s["outgoings", 30]), (s["gambling", 30], s["outgoings", 30]), (s["income", 90], s["inflow", 90]))]
    counted = ("atms", 14), ("incomes", 30), ("failed", 30), ("moves", 30), ("draws", 30), ("bnpl", 60), ("dear", 60), ("bets", 60), ("failed", 90), ("charges", 90), ("incomes", 90), ("failed", 180)
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
            window = recent[recent.on >= when - pd.Timedelta(days=days)].groupby("customer_id")[columns].sum().reindex(asked.customer_id, fill_value=0)
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
    daily = pd.concat([events.groupby(["customer_id", "on"], as_index=False).sum(), questions]).fillna({c: 0 for c in events.columns[2:]} | {"asked": False})
    daily = daily.sort_values(["customer_id", "on"], kind="stable", ignore_index=True)
    asked, sums = daily.asked.to_numpy(bool), {}
    for days, columns in WINDOWS.items():
        window = daily.set_index("on").groupby("customer_id")[columns].rolling(f"{days}D", closed="left").sum()
        sums |= {(c, days): window[c].to_numpy()[asked] for c in columns}
    rows = daily[asked]
    return features_18(sums, (rows.on - first.reindex(rows.customer_id).to_numpy()).dt.days.to_numpy())


def small_world(customers):
    from predelinquency.simulate import world
    folder = tempfile.mkdtemp()
    world.simulate(params.load("params.yaml", {"simulate.customers": customers, "base.customers_per_part": customers}), folder + "/raw", folder + "/truth", progress=False)
    return folder + "/raw"


def cpu(work, repeat):
    work()  # compile, fill the file cache
    seconds = []
    for _ in range(repeat):
        start = time.process_time()
        answer = work()
        seconds.append(time.process_time() - start)
    return median(seconds), answer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", help="a folder of canonical tables; a small world is made when it is left out")
    parser.add_argument("--customers", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    raw = asked.raw or small_world(asked.customers)
    base = params.load("params.yaml").base
    part = schema.parts(raw, "customers")[0]
    spine = labels.spine(schema.read(raw, "customers", part), schema.read(raw, "accounts", part), base, 7)
    decode, _ = cpu(lambda: [schema.read_arrow(raw, n, part, c) for n, c in offline.NEEDS.items()], asked.repeat)
    whole, _ = cpu(lambda: offline.panel(offline.read_tables(raw, part), spine), asked.repeat)
    tables = offline.read_tables(raw, part)
    chosen = [catalogue.BY_NAME[n] for n in EIGHTEEN]
    one, ours = cpu(lambda: offline.features(tables, spine, chosen), asked.repeat)
    usual, theirs = cpu(lambda: pandas_18(tables["transactions"], tables["accounts"], spine), 1)
    np.testing.assert_allclose(theirs, ours[EIGHTEEN].to_numpy(), rtol=1e-9, atol=1e-9)
    prompt = tables | {"transactions": tables["transactions"].assign(arrived_at=tables["transactions"].booked_at)}
    rolling, theirs = cpu(lambda: rolling_18(prompt["transactions"], prompt["accounts"], spine), 1)
    np.testing.assert_allclose(theirs, offline.features(prompt, spine, chosen)[EIGHTEEN].to_numpy(), rtol=1e-9, atol=1e-9)
    print(f"{len(tables['transactions']):,} transactions, {spine.customer_id.nunique():,} customers, {len(spine):,} rows, {len(catalogue.CATALOGUE)} features; all 18 values equal")
    rows = [("decode the columns", decode), ("decode + whole catalogue", whole), ("18 features, tables in memory", one), ("18 features, pandas", usual), ("18 features, pandas rolling", rolling)]
    print(pd.DataFrame([(name, t, t / decode, usual / t) for name, t in rows], columns=["what", "CPU s", "/ decode", "pandas /"]).to_string(index=False, float_format="{:.2f}".format))


if __name__ == "__main__": main()
