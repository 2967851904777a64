"""What is compiled beside a stage is what the next stages run, and leaves no trace but compiled kernels."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba import config as numba_config

from predelinquency.ops import warmup

KERNELS = """
import sys
from numba.core.dispatcher import Dispatcher
from predelinquency.ops import warmup
def versions(): return {(m.__name__, n): len(f.signatures) for m in list(sys.modules.values()) if getattr(m, "__name__", "").startswith("predelinquency") for n, f in vars(m).items() if isinstance(f, Dispatcher)}
"""


def anew(ahead_of_it: str, rooms: tuple[str, ...], work: str) -> list[str]:
    "The kernels of some rooms that real work needs in a version which compiling ahead has not made."
    code = f"{KERNELS}\nwarmup.{ahead_of_it}()\nbefore = versions()\n{work}\nafter = versions()\nprint(*sorted('.'.join(k) for k in after if k[0].startswith({rooms!r}) and after[k] > before.get(k, 0)))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_the_fold_that_is_compiled_ahead_is_the_one_that_makes_the_panel(trained: Path):
    work = f"""
from predelinquency.ground import disk
from predelinquency.features import offline
raw = {str(trained / "raw")!r}
part = disk.parts(raw, "customers")[0]
asked = disk.read({str(trained / "features")!r}, "labels", part, ["customer_id", "as_of"]).iloc[:40]
offline.panel(offline.read_tables(raw, part) | {{}}, asked)"""
    work = work.replace(
        "offline.read_tables(raw, part) | {}",
        "{n: f[f.customer_id.isin(asked.customer_id)] for n, f in offline.read_tables(raw, part).items()}",
    )
    assert anew("fold", ("predelinquency.features",), work) == []


def test_the_proof_that_is_compiled_ahead_is_the_one_that_is_run(trained: Path):
    work = f"""
import numpy as np, pandas as pd
from predelinquency.ground import params
from predelinquency.judge import statistics
from predelinquency.truth import forks, oracle, twins
base = params.load("params.yaml").base
world = forks.ground(forks.made_by({str(trained / "truth")!r}, base))
found = pd.read_parquet({str(trained / "model/predictions.parquet")!r})
tested = statistics.judged(statistics.checked(found[(found.split == "test") & (found.repeat == 0)]))
rows = oracle.sample(tested, 3, base.seed)
forks.futures(world, rows, 1, base, first=-1)
oracle.ask_futures(world, rows, base, 4)
people = tested.customer_id.unique()
day = int(rows.as_of.to_numpy("datetime64[D]").astype(int)[0])
pairs = twins.twins(world, base, people, day - 40, day, 12)
forks.futures(world, pairs, 2, base)
forks.money_conserved(world, people[:1])"""
    assert anew("proof", ("predelinquency.truth", "predelinquency.world"), work) == []


def test_nothing_is_started_when_all_of_it_is_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(numba_config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert warmup.wanted("simulate", tmp_path) == ["fold"]
    warmup.mark("fold").touch()
    assert warmup.wanted("simulate", tmp_path) == []


def test_a_bank_s_own_files_have_no_proof_to_compile(tmp_path, monkeypatch):
    monkeypatch.setattr(numba_config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert warmup.wanted("train", tmp_path) == ["audit"]
    (tmp_path / "truth").mkdir()
    assert warmup.wanted("train", tmp_path) == ["proof", "audit"]


@pytest.mark.parametrize("fails", [False, True])
def test_the_companion_is_gone_when_the_stage_ends(fails, monkeypatch):
    started: list[subprocess.Popen] = []

    def slow(*_, **__):
        started.append(real([sys.executable, "-c", "import time; time.sleep(600)"]))
        return started[0]

    real = subprocess.Popen
    monkeypatch.setattr(warmup, "wanted", lambda *_: ["fold"])
    monkeypatch.setattr(subprocess, "Popen", slow)
    try:
        with warmup.accompany("simulate", "data") as kinds:
            assert kinds == ["fold"] and started[0].poll() is None
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert fails
    assert started[0].poll() is not None
