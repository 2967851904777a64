"""Is memory flat in the number of customers: `python benchmarks/memory.py [--customers 10000 30000]`.

Every stage is run on its own for each number of customers, in a folder that is removed afterwards. The figure is the most resident memory that any one process of the stage ever had, in gigabytes; beside it the ratio of the largest run to the smallest.
No stage looks at more than `train.max_rows` rows of a split: in the simulated world the training rows come to that at about 57,000 customers, the test rows at about 180,000.
"""
import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).parent.parent


def peak(stage:str, root:str, customers:int)->float:
    "Gigabytes of the largest process of a stage."
    process = subprocess.Popen([Path(sys.executable).parent/"predelinquency", "stage", stage, "--root", root, "--set", f"simulate.customers={customers}"], cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read().decode()
    _, status, used = os.wait4(process.pid, 0) # of the process and of those it waited for
    if status: raise SystemExit(f"{stage} with {customers:,} customers failed:\n{said[-2000:]}")
    return used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


def main()->None:
    from predelinquency.ops import stages
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, nargs="+", default=[10_000, 30_000], help="how many, in each run")
    sizes, way = sorted(parser.parse_args().customers), stages.way(stages.graph(PROJECT))
    found: dict[int, list[float]] = {}
    for customers in sizes:
        with tempfile.TemporaryDirectory() as root: found[customers] = [peak(stage, root, customers) for stage in way]
    print(f"{'stage':12s}" + "".join(f"{n:>10,}" for n in sizes) + "   ratio")
    for row, stage in enumerate(way): print(f"{stage:12s}" + "".join(f"{found[n][row]:10.2f}" for n in sizes) + f"{found[sizes[-1]][row] / found[sizes[0]][row]:8.2f}")
    most = [max(found[n]) for n in sizes]
    print(f"{'the most':12s}" + "".join(f"{m:10.2f}" for m in most) + f"{most[-1] / most[0]:8.2f}   (limit 4 GB)")


if __name__ == "__main__": main()
