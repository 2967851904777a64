"""The demonstration from beginning to end: real parts, a real feed, and nothing left behind."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CALL = [sys.executable, "-c", "from predelinquency.ops.cli import app; app()", "demo"]


@pytest.fixture
def root(trained: Path, tmp_path: Path) -> Path:
    "A folder of results that may be written to, over tables and model of the small world."
    for name in ("raw", "model", "truth"):
        (tmp_path / name).symlink_to(trained / name)
    return tmp_path


def left_behind(home: Path) -> list[str]:
    "Commands of running programs that name a folder."
    said = (p.read_bytes().replace(b"\0", b" ").decode(errors="replace") for p in Path("/proc").glob("[0-9]*/cmdline"))
    return [line for line in said if str(home) in line]


def test_it_shows_what_the_score_makes_of_a_lost_job_and_leaves_nothing_running(root: Path) -> None:
    how = ["--root", str(root), "--customers", "200", "--speed", "20", "--no-page", "--no-stay"]
    done = subprocess.run([*CALL, *how], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    said = done.stdout.replace("\n", " ")
    struck = re.search(r"customer (\d+) is struck on (\S+); without help the payment of (\S+) is the first", said)
    assert struck and struck[2] < struck[3]
    heard = re.findall(r"(\d{4}-\d\d-\d\d) +[\d.]+% for the payment of \d{4}-\d\d-\d\d", said)
    assert len(heard) > 3 and heard == sorted(heard) and max(heard) > struck[2]
    assert re.search(r"\d+ scores of theirs, half of them within [\d.]+ s of the event", said)
    assert left_behind(root) == []


def heed_ctrl_c() -> None:
    "As a program in front does; what a script begins in the background is born deaf to it."
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_in_the_middle_ends_every_part(root: Path) -> None:
    how = ["--root", str(root), "--customers", "200", "--speed", "0.5", "--no-page"]
    said = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    begun = subprocess.Popen([*CALL, *how], **said, preexec_fn=heed_ctrl_c)
    assert begun.stdout and "is struck on" in begun.stdout.readline()
    assert len(left_behind(root / "runs")) >= 2
    os.kill(begun.pid, signal.SIGINT)
    begun.communicate(timeout=60)
    assert begun.returncode == 0 and left_behind(root) == []


def test_a_part_that_ends_by_itself_is_told_with_its_last_words(root: Path) -> None:
    how = ["--root", str(root), "--customers", "200", "--no-page", "--no-stay"]
    other = {**os.environ, "REDIS_URL": "redis://127.0.0.1:9/0"}
    done = subprocess.run([*CALL, *how], capture_output=True, text=True, timeout=200, env=other)
    assert done.returncode == 1 and "worker has ended by itself" in done.stderr + done.stdout
    assert left_behind(root) == []
