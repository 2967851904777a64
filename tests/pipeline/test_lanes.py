"""The whole graph through DVC, two lanes at a time: nothing is lost, a failure is a failure, and nothing is left running."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from conftest import stage

from predelinquency.ops import lanes

NAMES = dict(simulate=[], prove=["simulate"], evaluate=["simulate", "prove"], explain=["simulate"], decide=["explain"])
NAMES |= dict(pack=["evaluate", "decide"])
STEP = """
import os, pathlib, sys, time
name = sys.argv[1]
print(f"{name} begins", flush=True)
meets = {"prove": "explain", "explain": "prove"}.get(name)
pathlib.Path(f"{name}.begun").touch()
until = time.monotonic() + 200
while meets and not pathlib.Path(f"{meets}.begun").exists() and time.monotonic() < until:
    time.sleep(0.01)
DURING
pathlib.Path("data/reports").mkdir(parents=True, exist_ok=True)
pathlib.Path(f"data/reports/{name}.json").write_text(name)
"""
RUN = "import sys; from predelinquency.ops import lanes; sys.exit(lanes.reproduce())"


class Small:
    "Six stages that write their names; the proof and the reasons wait until the other one has begun."

    def __init__(self, folder: Path):
        self.folder = folder

    def during(self, code: str) -> None:
        (self.folder / "step.py").write_text(STEP.replace("DURING", code))

    def begin(self) -> subprocess.Popen[str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        piped = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        environment = os.environ | dict(PATH=path, DVC_NO_ANALYTICS="1")
        # whoever runs these tests in the background ignores interrupts; this one shall hear them
        piped["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
        return subprocess.Popen([sys.executable, "-c", RUN], cwd=self.folder, env=environment, **piped)

    def go(self) -> tuple[int, str]:
        run = self.begin()
        said, _ = run.communicate(timeout=400)
        return run.returncode, said

    @property
    def made(self) -> set[str]:
        return {p.stem for p in (self.folder / "data/reports").glob("*.json")}

    @property
    def locked(self) -> list[str]:
        return sorted(yaml.safe_load((self.folder / "dvc.lock").read_text())["stages"])

    @property
    def running(self) -> list[str]:
        "Commands of this folder that have not ended; one without a command line has given its memory back: it is ending."
        found = []
        for one in psutil.process_iter(["cwd", "cmdline", "status"]):
            if (
                one.info["cwd"] == str(self.folder)
                and one.info["status"] != psutil.STATUS_ZOMBIE
                and one.info["cmdline"]
            ):
                found.append(" ".join(one.info["cmdline"]))
        return found


@pytest.fixture
def small(tmp_path: Path) -> Small:
    made, tasks, steps = Small(tmp_path.resolve()), [], {}
    (tmp_path / "nbs").mkdir()
    for name, upstream in NAMES.items():
        stage(tmp_path / f"nbs/{name}.ipynb", upstream, "")
        product = dict(nb=f"data/reports/{name}.ipynb", report=f"data/reports/{name}.json")
        tasks.append(dict(name=name, source=f"nbs/{name}.ipynb", product=product))
        deps = ["step.py", *(f"data/reports/{one}.json" for one in upstream)]
        steps[name] = dict(cmd=f"{sys.executable} step.py {name}", deps=deps, outs=[product["report"]])
    (tmp_path / "pipeline.yaml").write_text(json.dumps(dict(tasks=tasks)))
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(dict(stages=steps), sort_keys=False))
    subprocess.run([Path(sys.executable).parent / "dvc", "init", "--quiet", "--no-scm"], cwd=tmp_path, check=True)
    made.during("pass")
    return made


def test_what_needs_two_lanes_waits_for_both_and_a_third_lane_joins_the_second():
    from predelinquency.ops.stages import Stage

    def of(**upstream: list[str]) -> dict[str, Stage]:
        found = {name: Stage(name, Path(f"{name}.ipynb"), {}, tuple(reads)) for name, reads in upstream.items()}
        return found | {"ingest": Stage("ingest", Path("ingest.ipynb"), {}, ())}

    both = (("prove", "evaluate"), ("explain", "decide"))
    assert lanes.split(of(**NAMES)) == (("simulate",), both, ("pack",))
    assert lanes.split(of(a=[], b=["a"], c=["a"], d=["a"], e=["d"])) == (("a",), (("b",), ("c", "d", "e")), ())
    assert lanes.split(of(a=[], b=["a"], c=["b"])) == (("a", "b", "c"), (), ())
    assert lanes.split(of(a=[], b=[], c=["a", "b"], d=["c"])) == ((), (("a",), ("b",)), ("c", "d"))


def test_lanes_run_at_once_and_leave_what_dvc_alone_would_leave(small: Small):
    status, said = small.go()
    assert status == 0, said
    assert small.made == {*NAMES} and small.locked == sorted(NAMES), "no lane writes over the lock of the other"
    lines = said.splitlines()
    assert sorted(line for line in lines if line.endswith(" begins")) == sorted(f"{name} begins" for name in NAMES)
    assert said.count("Use `dvc push`") <= 2, "advice is not given by every lane"
    lock = (small.folder / "dvc.lock").read_text()
    again, said = small.go()
    assert again == 0 and " begins" not in said and "up to date" in said
    assert (small.folder / "dvc.lock").read_text() == lock
    shutil.rmtree(small.folder / "data")
    assert small.go()[0] == 0
    assert (small.folder / "dvc.lock").read_text() == lock


def test_a_lane_that_fails_ends_the_other_and_the_run(small: Small):
    small.during("if name == 'explain': raise SystemExit('no reasons today')\nif name == 'prove': time.sleep(600)")
    status, said = small.go()
    assert status not in (0, lanes.INTERRUPTED) and "no reasons today" in said
    assert small.made == {"simulate"} and small.running == []
    small.during("pass")
    assert small.go()[0] == 0 and small.made == {*NAMES}, "the next run goes on"


def test_the_trunk_that_fails_is_the_end(small: Small):
    small.during("raise SystemExit(3)")
    status, said = small.go()
    assert status != 0 and small.made == set() and "explain begins" not in said


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda s: s.name)
def test_interrupting_ends_both_lanes(small: Small, sent: signal.Signals):
    small.during("if name in ('prove', 'explain'): pathlib.Path(f'{name}.waits').touch(); time.sleep(600)")
    run, until = small.begin(), time.monotonic() + 90
    while not all((small.folder / f"{name}.waits").exists() for name in ("prove", "explain")):
        assert time.monotonic() < until and run.poll() is None
        time.sleep(0.05)
    run.send_signal(sent)
    run.communicate(timeout=300)
    assert run.returncode == lanes.INTERRUPTED and small.running == [] and small.made == {"simulate"}


def test_make_run_fails_where_the_lanes_fail():
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    recipe = makefile.split("\nrun: ")[1].split("\n\n")[0]
    assert "sys.exit(lanes.reproduce())" in recipe and "\n\t-@" not in recipe and "|| true" not in recipe
