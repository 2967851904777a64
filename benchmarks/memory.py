"""Is memory flat in the number of customers: `python benchmarks/memory.py [--customers 10000 30000] [--json]`.

Every stage is run on its own for each number of customers, in a folder that is removed afterwards. The figure is the most resident memory that any one process of the stage ever had, in gigabytes; beside it the ratio of the largest run to the smallest.
No stage looks at more than `train.max_rows` rows of a split: in the simulated world the training rows come to that at about 57,000 customers, the test rows at about 180,000.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from _table import Row, arguments, less, say, show

PROJECT = Path(__file__).parent.parent


def peak(stage: str, root: str, customers: int) -> float:
    "Gigabytes of the largest process of a stage."
    say(f"{stage} with {customers:,} customers")
    process = subprocess.Popen(
        [
            Path(sys.executable).parent / "predelinquency",
            "stage",
            stage,
            "--root",
            root,
            "--set",
            f"simulate.customers={customers}",
        ],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    said = process.stderr.read().decode()
    _, status, used = os.wait4(process.pid, 0)  # of the process and of those it waited for
    if status:
        raise SystemExit(f"{stage} with {customers:,} customers failed:\n{said[-2000:]}")
    return used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


def main() -> None:
    from predelinquency.ops import stages

    parser = arguments(__doc__)
    parser.add_argument("--customers", type=int, nargs="+", default=[10_000, 30_000], help="how many, in each run")
    asked = parser.parse_args()
    sizes, way = sorted(asked.customers), stages.way(stages.graph(PROJECT))
    found: dict[int, list[float]] = {}
    for customers in sizes:
        with tempfile.TemporaryDirectory() as root:
            found[customers] = [peak(stage, root, customers) for stage in way]
    least, most = found[sizes[0]], found[sizes[-1]]
    name = f"{sizes[0]:,} customers"
    rows = [less(stage, "GB", ours, peer, name) for stage, ours, peer in zip(way, most, least, strict=True)]
    rows.append(Row("the most", "GB", max(most), bar="<= 4"))
    show(f"resident memory with {' and '.join(f'{n:,}' for n in sizes)} customers", rows, asked.json)


if __name__ == "__main__":
    main()
