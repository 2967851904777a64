"""A project of two tiny stages, to be broken in every way."""

import io
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

GRAPH = """
tasks:
  - {name: simulate, source: nbs/simulate.ipynb, product: {nb: data/reports/simulate.ipynb, raw: data/raw, report: data/reports/simulate.json}}
  - {name: featurize, source: nbs/featurize.ipynb, product: {nb: data/reports/featurize.ipynb, report: data/reports/featurize.json}}
"""
WRITES = """
import json, os
from pathlib import Path
from predelinquency.ground.core import replacing, SchemaError, StoreError
with replacing(product["raw"]) as draft:
    draft.mkdir()
    (draft/"customers.txt").write_text(str(section["customers"]))
    {during}
with replacing(product["report"]) as draft: draft.write_text(json.dumps(dict(customers=section["customers"])))
"""
READS = """
import json
from pathlib import Path
Path(product["report"]).write_text(json.dumps(dict(doubled=2 * int((Path(upstream["simulate"]["raw"])/"customers.txt").read_text()))))
"""


def stage(path: Path, upstream: list[str], code: str) -> None:
    "A stage notebook."
    cells = [
        new_code_cell(f"upstream = {upstream!r}\nproduct = base = section = None", metadata={"tags": ["parameters"]}),
        new_code_cell(dedent(code).strip()),
    ]
    nbformat.write(new_notebook(cells=cells), path)


class Toy:
    "The project, its command line, and a way to put anything into its first stage."

    def __init__(self, folder: Path):
        self.folder = folder

    def during(self, code: str) -> None:
        stage(self.folder / "nbs/simulate.ipynb", [], WRITES.replace("{during}", code))

    def command(self, *words: str) -> list[str]:
        return [str(Path(sys.executable).parent / "predelinquency"), *words]

    def typed(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*words), cwd=self.folder, capture_output=True, text=True, timeout=120)

    def state(self) -> dict[str, str]:
        "Every file below data but locks and executed notebooks, and what it holds."
        files = sorted(
            p
            for p in (self.folder / "data").rglob("*")
            if p.is_file() and not p.name.startswith(".lock") and p.suffix != ".ipynb"
        )
        return {str(p.relative_to(self.folder / "data")): p.read_text() for p in files}


@pytest.fixture
def toy(tmp_path: Path, project: Path) -> Toy:
    "Two stages: the first writes a folder and a report, the second reads them."
    (tmp_path / "nbs").mkdir()
    (tmp_path / "pipeline.yaml").write_text(GRAPH)
    shutil.copy(project / "params.yaml", tmp_path)
    made = Toy(tmp_path)
    made.during("pass")
    stage(tmp_path / "nbs/featurize.ipynb", ["simulate"], READS)
    return made


def _standing(pipe: Path, run: subprocess.Popen[str]) -> io.TextIOWrapper:
    "Waits until a run stands at the other end of a pipe; a run that ends before it gets there is shown, not waited for."
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    while not select.select([end], [], [], 0.2)[0] or not (said := os.read(end, 4)):
        assert run.poll() is None, run.communicate()
    assert said == b"here"
    os.set_blocking(end, True)
    return os.fdopen(end)


@pytest.fixture
def blocked(toy: Toy) -> Callable[..., subprocess.Popen[str]]:
    """Starts a run (`stage simulate`, or the words given) that stands still in the middle of writing, and returns when it stands there. `toy.ended()` waits for the end of its kernel: the kernel holds the
    other end of a pipe, so nothing has to be guessed from a clock."""
    pipe = toy.folder / "standing"
    os.mkfifo(pipe)

    def begin(*words: str) -> subprocess.Popen[str]:
        toy.during(f"pipe = open({str(pipe)!r}, 'w'); pipe.write('here'); pipe.flush(); import signal; signal.pause()")
        # a suite that runs in the background ignores Ctrl-C and would hand that on; this run is interrupted as in a terminal
        heard = signal.signal(signal.SIGINT, signal.default_int_handler)
        run = subprocess.Popen(
            toy.command(*(words or ("stage", "simulate"))),
            cwd=toy.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        signal.signal(signal.SIGINT, heard)
        toy.ended = _standing(pipe, run).read
        return run

    return begin
