"Two machines make the same bytes: another linear algebra, and a processor without its newest instructions, change nothing that is kept."

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from predelinquency.ground.core import exponential, kept

SETTINGS = {
    "as it is": {},
    "another linear algebra": {"OPENBLAS_CORETYPE": "Haswell"},
    "older instructions": {"NPY_DISABLE_CPU_FEATURES": "AVX512_ICL,X86_V4"},
}
CALIBRATED = """
import hashlib, json
import numpy as np
from predelinquency.ground.core import exponential
from predelinquency.model import calibrate, learners
rng = np.random.default_rng(3)
margin = rng.normal(-3, 1, 20_000)
target = (rng.random(20_000) < 1 / (1 + np.exp(-(.5 + .7 * margin)))).astype(float)
found = [calibrate.calibrate(margin, target, onsets, weight) for onsets in (100, 2_000) for weight in (None, 1 + rng.random(20_000))]
chances = [calibrate.probability(margin, one) for one in found]
bases = [learners.base_margin(f"[{chance}]") for chance in rng.random(500)]
print(json.dumps([found, bases, [calibrate.threshold(p, .05) for p in chances], [hashlib.sha256(p.tobytes()).hexdigest() for p in chances]]))
"""
SMALL = {
    "simulate.customers": 300,
    "base.customers_per_part": 100,
    "evaluate.bootstrap": 50,
    "prove.rows": 60,
    "prove.replays": 100,
    "prove.pairs": 60,
    "prove.pair_replays": 100,
    "prove.seeds": 2,
    "prove.bootstrap": 20,
}


def under(setting: str, *words: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env=os.environ | SETTINGS[setting],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_calibration_its_probabilities_and_the_threshold_are_the_same_everywhere(project: Path):
    told = {setting: json.loads(under(setting, "-c", CALIBRATED, cwd=project)) for setting in SETTINGS}
    assert all(one == told["as it is"] for one in told.values())
    assert {one["kind"] for one in told["as it is"][0]} == {"platt", "isotonic"}


def test_the_exponential_is_right_to_the_last_digits_and_keeps_its_order():
    x = np.linspace(-700, 700, 200_001)
    assert (
        np.abs(exponential(x) / np.exp(x) - 1).max() < 5e-16
        and (np.diff(exponential(x)) > 0).all()
        and exponential(np.zeros(1))[0] == 1
    )


def test_what_is_kept_has_ten_digits_wherever_it_stands():
    one = kept({"a": 1.23456789012345, "b": [np.float64(2) / 3, 7, "text", None, True], "c": {"d": (1e-20 / 3,)}})
    assert (
        one == {"a": 1.23456789, "b": [0.6666666667, 7, "text", None, True], "c": {"d": (3.333333333e-21,)}}
        and type(one["b"][0]) is float
    )
    assert kept(np.nextafter(0.1, 1)) == kept(0.1) and kept(kept(1 / 3)) == kept(1 / 3)
    assert kept(np.array([np.nextafter(0.1, 1), 2.0])).tolist() == [0.1, 2.0] and kept(np.array([7])).dtype == int


@pytest.mark.long
def test_everything_that_a_run_keeps_is_the_same_everywhere(project: Path, tmp_path: Path):
    given = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    digests = {}
    for setting in SETTINGS:
        root = tmp_path / "here"  # in one place, for some reports say where they lie
        under(
            setting,
            "-c",
            "from predelinquency.ops.cli import app; app()",
            "run",
            "--root",
            str(root),
            *given,
            cwd=project,
        )
        files = [p for p in sorted(root.rglob("*")) if p.is_file() and p.suffix != ".ipynb" and "mlflow" not in p.parts]
        digests[setting] = {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
        shutil.rmtree(root)
    usual = digests["as it is"]
    assert {
        "model/manifest.json",
        "reports/metrics.json",
        "reports/plan.parquet",
        "reports/scores.parquet",
        "reports/reasons.parquet",
        "reports/pack.json",
    } <= set(usual)
    for setting, found in digests.items():
        assert {n for n in usual.keys() | found.keys() if usual.get(n) != found.get(n)} == set(), setting
