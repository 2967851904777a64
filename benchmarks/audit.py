"""What the audit of data costs: `python benchmarks/audit.py [--customers 2000] [--raw FOLDER] [--model data/model] [--json]`.

CPU seconds of the audit of a bank's files against the whole ingest that it is part of; and, with a trained model, a request's answer with
`quality` against the same answer without, microseconds on one thread, p50 over customers.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pandas as pd
from _table import Row, arguments, less, say, show
from features import small_world

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/kit"))
import as_files

from predelinquency.ground import disk, params
from predelinquency.ops import warmup
from predelinquency.service import scoring as service_scoring
from predelinquency.service import wire
from predelinquency.sources import audit, flows, ingest, tables
from predelinquency.sources.mapping import parse_mapping

NAMES = ("customers", "accounts", "obligations", "transactions", "payments")
BASE = params.load(Path(__file__).parents[1] / "params.yaml").base
spent = 0.0


def measured(work: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*args: Any, **more: Any) -> Any:
        global spent
        start = time.process_time()
        try:
            return work(*args, **more)
        finally:
            spent += time.process_time() - start

    return timed


def of_files(folder: Path) -> Row:
    mapping = parse_mapping((folder / "map.yaml").read_text())
    parts = ((audit.Audit, "add"), (flows, "files_twice"), (flows, "rows_twice"), (flows, "of_all_customers"))
    with (
        mock.patch.object(tables, "flow", measured(tables.flow)),
        mock.patch.object(tables, "days_back", measured(tables.days_back)),
    ):
        for owner, name in parts:
            setattr(owner, name, measured(getattr(owner, name)))
        start = time.process_time()
        ingest.ingest(mapping, folder, folder / "raw", BASE)
        whole = time.process_time() - start
    return less("the audit of a bank's files", "CPU s", spent, whole, "the whole ingest", "<= 0.25")


def of_requests(raw: Path, model: Path, customers: int) -> Row:
    scoring = service_scoring.load_scoring(model)
    part = disk.parts(raw, "customers")[0]
    whole = {name: disk.read(raw, name, part) for name in NAMES}
    bodies = []
    for customer in whole["customers"].customer_id[:customers]:
        mine = {name: t[t.customer_id == customer] for name, t in whole.items()}
        if len(mine["transactions"]):
            asked = service_scoring.request(mine, str(mine["transactions"].arrived_at.max().date()))
            bodies.append(service_scoring.json.dumps(asked).encode())
    nothing = SimpleNamespace(doubts=(), last_booked="2025-06-30", model_dump=lambda: None)

    def round_of() -> list[float]:
        took = []
        for body in bodies:
            start = time.perf_counter_ns()
            scoring.score(wire.parse_request(body))
            took.append((time.perf_counter_ns() - start) / 1000)
        return took

    round_of()
    ours, plain = [], []
    for _ in range(5):
        ours.append(statistics.median(round_of()))
        with mock.patch.object(service_scoring, "quality", lambda *_: nothing):
            plain.append(statistics.median(round_of()))
    return less("a request's answer with quality, p50", "µs", min(ours), min(plain), "the same without", "<= 1.15")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--customers", type=int, default=2000)
    parser.add_argument("--raw", help="a folder of canonical tables; a small world is made when it is left out")
    parser.add_argument("--model", default="data/model")
    asked = parser.parse_args()
    raw = Path(asked.raw or small_world(asked.customers))
    warmup.audit()  # compiled once, and kept
    rows = []
    if (Path(asked.model) / "manifest.json").exists():
        say("answering")
        rows.append(of_requests(raw, Path(asked.model), 200))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        say("exporting as a bank would")
        found: dict[str, list[pd.DataFrame]] = {name: [] for name in NAMES}
        for part in disk.parts(raw, "customers"):
            if part.low < asked.customers:
                for name in NAMES:
                    frame = disk.read(raw, name, part)
                    found[name].append(frame[frame.customer_id < asked.customers])
        bank = {name: pd.concat(frames, ignore_index=True) for name, frames in found.items()}
        moves = len(bank["transactions"])
        as_files.write(folder, bank)
        (folder / "map.yaml").write_text(as_files.MAPPING)
        del bank, found
        say("ingesting")
        rows.insert(0, of_files(folder))
    show(f"{asked.customers} customers, {moves:,} transactions", rows, asked.json)


if __name__ == "__main__":
    main()
