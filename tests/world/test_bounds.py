"""Compiled code reads only what is there: the tests of world, dues and fold once more, with every index checked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKED = (
    "world/test_world.py",
    "world/test_world_stress.py",
    "world/test_contacts.py",
    "ground/test_dues.py",
    "features/test_features.py",
)
BEYOND = """
import numba
import numpy as np
@numba.njit(cache=True)
def beyond(values): return values[len(values)]
beyond(np.zeros(3))
"""


def environ(folder: Path) -> dict[str, str]:
    "Indices are checked, and nothing that was compiled without the check is found."
    return os.environ | dict(
        NUMBA_BOUNDSCHECK="1", PREDELINQUENCY_CACHE=str(folder / "cache"), NUMBA_CACHE_DIR=str(folder / "cache")
    )


def test_an_index_beyond_the_end_is_an_error_here(tmp_path: Path) -> None:
    script = tmp_path / "beyond.py"
    script.write_text(BEYOND)
    ran = subprocess.run([sys.executable, script], text=True, capture_output=True, env=environ(tmp_path))
    assert ran.returncode == 1 and "IndexError: index is out of bounds" in ran.stderr


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("file", CHECKED)
def test_no_index_is_beyond_the_end(file: str, tmp_path: Path, project: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-x", "-q", f"tests/{file}", "--basetemp", tmp_path / "base"],
        cwd=project,
        text=True,
        capture_output=True,
        env=environ(tmp_path),
    )
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert list((tmp_path / "cache").rglob("*.nbc")), "nothing was compiled here"
