"""Notebooks, tests and benchmarks are as the formatter leaves them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from project import ROOT

RUFF = Path(sys.executable).with_name("ruff")


def unformatted(*places: Path) -> list[str]:
    "The files that the formatter would change."
    command = [RUFF, "format", "--check", "--no-cache", "--config", ROOT / "pyproject.toml", *places]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    named = re.findall(r"^(?:Would reformat: | *--> )(.+?)(?::\d.*)?$", done.stdout, re.M)
    assert bool(named) == bool(done.returncode), done.stdout + done.stderr
    return sorted(set(named))


@pytest.mark.parametrize("folder", ["nbs", "tests", "benchmarks"])
def test_every_notebook_test_and_benchmark_is_as_the_formatter_leaves_it(folder: str) -> None:
    assert unformatted(ROOT / folder) == []


def test_a_line_that_is_broken_otherwise_is_named(tmp_path: Path) -> None:
    (tmp_path / "loose.py").write_text("x = ( 1,2 )\n")
    assert [Path(name).name for name in unformatted(tmp_path / "loose.py")] == ["loose.py"]
