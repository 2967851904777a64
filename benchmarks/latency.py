"""One customer, from raw history to an answer: `python benchmarks/latency.py [--raw FOLDER] [--model FOLDER] [--customers 300]`.

Microseconds on one thread, p50 and p99 over customers; warmed up. With a trained model (data/model, or --model) also score and contributions.
"""
import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from features import small_world
from predelinquency.features import events, offline, online

from predelinquency.ground import disk


def timed(work, cases, rounds=5):
    for case in cases[:20]: work(*case)
    took = []
    for _ in range(rounds):
        for case in cases:
            start = time.perf_counter_ns()
            work(*case)
            took.append((time.perf_counter_ns() - start) / 1000)
    return np.percentile(took, [50, 99])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", help="a folder of canonical tables; a small world is made when it is left out")
    parser.add_argument("--model", default="data/model")
    parser.add_argument("--customers", type=int, default=300)
    asked = parser.parse_args()
    raw = asked.raw or small_world(asked.customers)
    part = disk.parts(raw, "customers")[0]
    tables = offline.read_tables(raw, part)
    whom = [c for c in range(part.low, min(part.high, part.low + asked.customers)) if (tables["transactions"].customer_id == c).any()]
    own = [{n: t[t.customer_id == c] for n, t in tables.items()} for c in whom]
    day = int(tables["transactions"].arrived_at.max().to_datetime64().astype("datetime64[D]").astype(int)) + 1
    arrays = [(events.events(t, np.array([c])), np.array([day])) for t, c in zip(own, whom, strict=True)]
    frames = [(t["transactions"], t["obligations"], t["payments"], t["accounts"], np.datetime64(day, "D")) for t in own]
    def text(column): return column.dtype.kind == "M" or column.name in ("category", "status", "kind")
    def plain(frame): return {c: frame[c].astype(str).tolist() if text(frame[c]) else frame[c].astype(object).where(frame[c].notna(), None).tolist() for c in frame}
    columns = [({n: plain(f) for n, f in t.items()}, np.array([day])) for t in own]
    rows = [("raw columns of plain values → features", *timed(lambda t, d: online.rows(events.history(t), d), columns)),
            ("raw history in arrays → features", *timed(online.rows, arrays)),
            ("raw history in data frames → features", *timed(online.vector, frames, 1))]
    if (Path(asked.model) / "manifest.json").exists():
        from predelinquency.model import champion
        from predelinquency.reasons import scorer as reasons_scorer
        scorer = reasons_scorer.Scorer(champion.load(asked.model))
        rows.append(("features → score + contributions", *timed(scorer.score, [(online.rows(*a)[0],) for a in arrays])))
        rows.append(("raw history in arrays → features + score + contributions", *timed(lambda h, d: scorer.score(online.rows(h, d)[0]), arrays)))
    print(f"{len(whom)} customers, {np.mean([len(t['transactions']) for t in own]):.0f} transactions, {np.mean([len(t['obligations']) for t in own]):.0f} dues each")
    print(pd.DataFrame(rows, columns=["what", "p50 µs", "p99 µs"]).to_string(index=False, float_format="{:.0f}".format))


if __name__ == "__main__": main()
