"""The world against its limits: `python benchmarks/world.py [--customers 10000] [--repeat 3] [--plain 6] [--json]`.

Ratios are measured in this one run; CPU seconds are of all threads, medians.
  world   living every life, building the tables, checking their contracts and writing them
  write   writing the same files from memory, and nothing else: the limit
  plain   the same ledger as a plain Python loop over days and customers: the functions uncompiled, states as ordinary objects with Python numbers, draws by Python integers
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from types import SimpleNamespace

from _table import arguments, less, more, say, show

PROJECT = Path(__file__).parent.parent
MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def settings(customers, part):
    from predelinquency.ground import params

    return params.load(PROJECT / "params.yaml", {"simulate.customers": customers, "base.customers_per_part": part})


def cpu(action):
    "CPU and wall seconds of an action."
    began, wall = time.process_time(), time.perf_counter()
    action()
    return time.process_time() - began, time.perf_counter() - wall


def fast(customers, repeat):
    "CPU of making and writing the world, of writing alone, and how many transactions it has."
    from predelinquency.world import world

    from predelinquency.ground import disk, schema

    p = settings(customers, 1000)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        tables = [(root / "raw", t) for t in (*schema.TABLES.values(), *world.contacts.BESIDE)] + [
            (root / "truth", t) for t in world.TRUTH
        ]
        say("compiling")
        world.simulate(settings(10, 10), root / "raw", root / "truth", progress=False)  # compiles
        say(f"{customers:,} customers live and are written, {repeat} times")
        whole = [cpu(lambda: world.simulate(p, root / "raw", root / "truth", progress=False)) for _ in range(repeat)]
        say("the same files are written from memory")
        frames = [
            (t, part, disk.read(where, t.name, part)) for where, t in tables for part in disk.parts(where, t.name)
        ]
        write = [
            cpu(lambda: [disk._write_file(t, frame, root / "copy" / t.name / part.file) for t, part, frame in frames])
            for _ in range(repeat)
        ]
        count = sum(len(frame) for t, _, frame in frames if t.name == "transactions")
        files = sorted(f.relative_to(root) for where in ("raw", "truth") for f in (root / where).rglob("*.parquet"))
        if any((root / f).read_bytes() != (root / "copy" / Path(*f.parts[1:])).read_bytes() for f in files):
            raise SystemExit("what is written alone is not what the world writes")
        bytes_written = sum((root / f).stat().st_size for f in files)
    return dict(
        transactions=count,
        world_cpu=median(c for c, _ in whole),
        world_wall=median(w for _, w in whole),
        write_cpu=median(c for c, _ in write),
        megabytes=bytes_written / 1e6,
    )


def plain_mix(x):
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def plain_draws(core, np):
    "The same draws from Python integers, which Python does faster than numpy scalars."
    import math

    def raw(seed, customer, day, purpose, index):
        customer, day, purpose, index = int(customer), int(day), int(purpose), int(index)  # some come out of arrays
        h = plain_mix((seed + GOLDEN) & MASK)
        h = plain_mix(h ^ ((customer + GOLDEN) & MASK))
        h = plain_mix((h + day * GOLDEN) & MASK)
        return plain_mix(h ^ (((purpose << 32) + index + GOLDEN) & MASK))

    def normal(*key):
        b = raw(*key)
        return math.sqrt(-2.0 * math.log(((b >> 11) + 1) / 2**53)) * math.cos(
            2.0 * math.pi * (plain_mix((b + GOLDEN) & MASK) >> 11) / 2**53
        )

    core.bits, core.uniform, core.normal = (
        (lambda *key: np.uint64(raw(*key))),
        (lambda *key: (raw(*key) >> 11) / 2**53),
        normal,
    )


def ordinary(record):
    "A record as an ordinary object: Python numbers, and arrays where there are arrays."
    return SimpleNamespace(
        **{n: record[n].copy() if record.dtype[n].shape else record[n].item() for n in record.dtype.names}
    )


def plain(customers):
    "Transactions and CPU seconds of the uncompiled loop; runs in a process where compilation is off."
    import numpy as np

    from predelinquency.ground import core

    plain_draws(core, np)
    from predelinquency.world import contracts, money, personas, stress, world

    p = settings(customers, customers)
    days, tables = (
        [int(d) for d in world.days_of(p)],
        stress.world_tables(),
    )
    count, total = 0, 0.0
    for customer in range(customers):
        began = time.process_time()
        t, s = ordinary(np.zeros(1, personas.PERSON)[0]), ordinary(np.zeros(1, money.LIFE)[0])
        log = np.zeros((12_000, money.LOG_WIDTH), np.int64)
        personas.birth(t, p.base.seed, customer, tables, p.simulate.hidden_share)
        t.visible_from, t.lag_ms = world.arrive_here(t, days[1], days[3]), p.base.arrival_lag_days * core.DAY_MS
        contracts.begin(s, t, tables, days[0])
        world.live(s, t, log, tables, days[0], days[2])
        total += time.process_time() - began
        count += s.seq
    return dict(transactions=int(count), cpu=total)


def main():
    parser = arguments(__doc__)
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--plain", type=int, default=6, help="customers of the plain loop")
    parser.add_argument(
        "--only-plain", action="store_true", help="only the plain loop, in a process where compilation is off"
    )
    a = parser.parse_args()
    if a.only_plain:
        return print(json.dumps(plain(a.plain)))
    f = fast(a.customers, a.repeat)
    say(f"{a.plain} customers in a plain Python loop")
    command = [sys.executable, "-W", "ignore", __file__, "--only-plain", "--plain", str(a.plain)]
    done = subprocess.run(
        command, env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True, check=True
    )
    slow = json.loads(done.stdout.splitlines()[-1])
    quick, loop = f["transactions"] / f["world_cpu"], slow["transactions"] / slow["cpu"]
    show(
        f"{a.customers:,} customers, {f['transactions']:,} transactions, {f['megabytes']:.0f} MB, {f['world_wall']:.2f} s",
        [
            less("world + write", "CPU s", f["world_cpu"], f["write_cpu"], "writing alone", "<= 6"),
            more("world + write", "transactions / CPU s", quick, loop, "plain loop, nothing written", ">= 20"),
        ],
        a.json,
    )


if __name__ == "__main__":
    main()
