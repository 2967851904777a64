"""One customer, from raw history to an answer: `python benchmarks/latency.py [--raw FOLDER] [--model FOLDER] [--customers 300] [--json]`.

Microseconds on one thread, p50 and p99 over customers; warmed up. With a trained model (data/model, or --model) also score and
contributions, beside those of the learner's own library; and one whole request, read, scored and written as JSON, with and without what
changed, of customers whose score is too low for it to be looked for anyway: CPU time, one after the other in the same run.
"""

import json
import time
from pathlib import Path

import numpy as np
from _table import Row, arguments, faster, less, say, show
from features import small_world
from predelinquency.features import events, offline, online

from predelinquency.ground import disk


def timed(what, work, cases, rounds=5):
    say(what)
    for case in cases[:20]:
        work(*case)
    took = []
    for _ in range(rounds):
        for case in cases:
            start = time.perf_counter_ns()
            work(*case)
            took.append((time.perf_counter_ns() - start) / 1000)
    return np.percentile(took, [50, 99])


def changed(raw, part, model, whom, day, rounds=5):
    "The cost of a request that asks what changed, beside that of the same request which does not."
    from predelinquency.service import scoring, wire

    tables = {n: disk.read(raw, n, part) for n in ("customers", "transactions", "obligations", "payments", "accounts")}
    service, pairs = scoring.load_scoring(model), []
    for c in whom:
        asked = scoring.request({n: t[t.customer_id == c] for n, t in tables.items()}, str(np.datetime64(day, "D")))
        pairs.append([json.dumps(asked | {"changes": told}).encode() for told in (False, True)])

    def answer(body):
        start = time.process_time_ns()
        found = service.score(wire.parse_request(body))
        found.model_dump_json()
        return (time.process_time_ns() - start) / 1000, found

    say("a request with and without what changed")
    pairs = [(without, told) for without, told in pairs if answer(without)[1].changes is None and answer(told)]
    took = np.array([[answer(body)[0] for body in pair] for _ in range(rounds) for pair in pairs])
    without, told = np.percentile(took, 50, axis=0)
    return less("a request that asks what changed, p50", "µs", told, without, "the same request without", bar="<= 1.2")


def main():
    parser = arguments(__doc__)
    parser.add_argument("--raw", help="a folder of canonical tables; a small world is made when it is left out")
    parser.add_argument("--model", default="data/model")
    parser.add_argument("--customers", type=int, default=300)
    asked = parser.parse_args()
    raw = asked.raw or small_world(asked.customers)
    part = disk.parts(raw, "customers")[0]
    tables = offline.read_tables(raw, part)
    whom = [
        c
        for c in range(part.low, min(part.high, part.low + asked.customers))
        if (tables["transactions"].customer_id == c).any()
    ]
    own = [{n: t[t.customer_id == c] for n, t in tables.items()} for c in whom]
    day = int(tables["transactions"].arrived_at.max().to_datetime64().astype("datetime64[D]").astype(int)) + 1
    arrays = [(events.events(t, np.array([c])), np.array([day])) for t, c in zip(own, whom, strict=True)]
    frames = [(t["transactions"], t["obligations"], t["payments"], t["accounts"], np.datetime64(day, "D")) for t in own]

    def text(column):
        return column.dtype.kind == "M" or column.name in ("category", "status", "kind")

    def plain(frame):
        return {
            c: frame[c].astype(str).tolist()
            if text(frame[c])
            else frame[c].astype(object).where(frame[c].notna(), None).tolist()
            for c in frame
        }

    columns = [({n: plain(f) for n, f in t.items()}, np.array([day])) for t in own]
    rows = []

    def both(what, work, cases, rounds=5, bar=""):
        p50, p99 = timed(what, work, cases, rounds)
        rows.extend([Row(f"{what}, p50", "µs", p50, bar=bar), Row(f"{what}, p99", "µs", p99)])

    both("raw columns of plain values → features", lambda t, d: online.rows(events.history(t), d), columns)
    both("raw history in arrays → features", online.rows, arrays)
    both("raw history in data frames → features", online.vector, frames, 1)
    if (Path(asked.model) / "manifest.json").exists():
        from predelinquency.model import champion, learners
        from predelinquency.reasons import scorer as reasons_scorer

        made = champion.load_champion(asked.model)
        scorer = reasons_scorer.Scorer(made)
        asked_of = [(online.rows(*a),) for a in arrays]
        ours = timed("features → score + contributions", scorer.score, asked_of)
        theirs = timed("the same by the library", lambda x: learners.contributions(made.fitted, x), asked_of, 1)
        for p, mine, other in zip(("p50", "p99"), ours, theirs, strict=True):
            rows.append(
                faster(
                    f"features → score + contributions, {p}",
                    "µs",
                    mine,
                    other,
                    f"{made.fitted.learner}, contributions alone",
                )
            )
        both(
            "raw history in arrays → features + score + contributions",
            lambda h, d: scorer.score(online.rows(h, d)),
            arrays,
        )
        both(
            "raw columns → features + score + contributions",
            lambda t, d: scorer.score(online.rows(events.history(t), d)),
            columns,
            bar="<= 600",
        )
        rows.append(changed(raw, part, asked.model, whom, day))
    moves, dues = (np.mean([len(t[name]) for t in own]) for name in ("transactions", "obligations"))
    show(f"{len(whom)} customers, {moves:.0f} transactions, {dues:.0f} dues each", rows, asked.json)


if __name__ == "__main__":
    main()
