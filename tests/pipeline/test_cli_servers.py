"""`serve` and `dashboard` as a person runs them: until Ctrl-C, and nothing stays behind."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from predelinquency.ops import doctor

pytestmark = pytest.mark.slow
SENT = [
    pytest.param(signal.SIGINT, id="Ctrl-C"),
    pytest.param(signal.SIGTERM, id="terminated", marks=pytest.mark.long),
]


def vacant() -> int:
    "A port that nobody uses."
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def group(pid: int) -> set[int]:
    "The processes below one."
    found, todo = set(), [pid]
    while todo:
        one = todo.pop()
        found.add(one)
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            todo += [int(c) for c in Path(f"/proc/{one}/task/{one}/children").read_text().split()]
    return found


def alive(pids: set[int]) -> set[int]:
    "Those that still run: neither gone nor only waiting to be counted."

    def state(pid: int) -> str:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return "X"

    return {p for p in pids if state(p) not in "XZ"}


class Running:
    "A command that serves, and what it has said."

    def __init__(self, project: Path, *words: str):
        heard = signal.signal(
            signal.SIGINT, signal.default_int_handler
        )  # a suite in the background ignores Ctrl-C and would hand that on
        environ = {
            k: v for k, v in os.environ.items() if not k.startswith("PREDELINQUENCY_") or k == "PREDELINQUENCY_CACHE"
        }
        self.process = subprocess.Popen(
            [Path(sys.executable).parent / "predelinquency", *words],
            cwd=project,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ | {"PYTHONUNBUFFERED": "1"},
        )
        signal.signal(signal.SIGINT, heard)
        self.out = ""

    def until(self, words: str) -> str:
        "What it says on the standard output, up to these words; waited for as long as it lives."
        while words not in self.out:
            piece = os.read(self.process.stdout.fileno(), 65536).decode()  # empty only when it has ended
            assert piece, (self.out, self.process.wait(), self.process.stderr.read().decode())
            self.out += piece
        return self.out

    def end(self, sent: signal.Signals) -> str:
        "Ends it, and gives back what it said on the way out."
        self.process.send_signal(sent)
        out, said = self.process.communicate(timeout=60)
        self.out += out.decode()
        return said.decode()


@pytest.fixture
def running(project: Path) -> Iterator[Callable[..., Running]]:
    "Starts a server; whatever a failed test leaves is ended."
    started: list[Running] = []

    def start(*words: str) -> Running:
        started.append(Running(project, *words))
        return started[-1]

    yield start
    for one in started:
        for pid in alive(group(one.process.pid)):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def served(trained: Path, tmp_path: Path) -> Path:
    "The folder of results with a Bento of its own: running leaves compiled files in it."
    for mine in trained.iterdir():
        if mine.name != "bento":
            (tmp_path / mine.name).symlink_to(mine)
    shutil.copytree(trained / "bento", tmp_path / "bento")
    return tmp_path


@pytest.mark.parametrize("sent", SENT)
def test_the_service_says_where_it_is_and_how_to_try_it_and_ends_without_a_trace(running, served, project, sent):
    port = vacant()
    server = running("serve", "--root", str(served), "--port", str(port))
    said = server.until("Ctrl-C ends it")
    assert f"http://127.0.0.1:{port}" in said
    command = re.search(r"^curl .*$", (project / "README.md").read_text(), re.M)[0].replace(":3000/", f":{port}/")
    assert f"try it: {command}" in said, "what the README says to type is what the command says"
    answer = json.loads(
        subprocess.run(["bash", "-c", command], cwd=project, capture_output=True, text=True, check=True).stdout
    )
    alone = subprocess.run(
        [
            Path(sys.executable).parent / "predelinquency",
            "score",
            "--file",
            "predelinquency/example.json",
            "--root",
            str(served),
            "--json",
        ],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer == json.loads(alone.stdout), "over HTTP and without a server, one answer"
    below = group(server.process.pid)
    last = server.end(sent)
    assert server.process.returncode == 0 and "stopped" in last and "Traceback" not in last + server.out
    assert alive(below) == set() and doctor.free(port)


@pytest.mark.parametrize("sent", SENT)
def test_the_page_says_where_it_is_and_ends_without_a_trace(running, trained, sent):
    port = vacant()
    server = running("dashboard", "--root", str(trained), "--port", str(port))
    said = server.until("Ctrl-C ends it")
    address = re.search(r"ready: (\S+)", said)[1]
    assert address.startswith(f"http://127.0.0.1:{port}")
    assert httpx.get(address, timeout=None, trust_env=False, follow_redirects=True).status_code == 200
    below = group(server.process.pid)
    last = server.end(sent)
    assert server.process.returncode == 0 and "stopped" in last and "Traceback" not in last + server.out
    assert alive(below) == set() and doctor.free(port)


@pytest.mark.parametrize("command", ["serve", "dashboard"])
def test_a_taken_port_is_refused_before_anything_starts(running, trained, command):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = running(command, "--root", str(trained), "--port", str(port))
        out, said = server.process.communicate(timeout=60)
    assert server.process.returncode == 1 and out == b""
    assert (
        f"port {port} is taken" in said.decode()
        and f"--port {port + 1}" in said.decode()
        and "Traceback" not in said.decode()
    )


def test_a_ledger_that_cannot_be_opened_is_refused_once_and_not_by_every_worker_that_begins_again(
    running, trained, tmp_path
):
    (tmp_path / "ledger.db").write_text("no database")
    ledger = f"sqlite:///{tmp_path}/ledger.db"
    server = running("serve", "--root", str(trained), "--port", str(vacant()), "--ledger", ledger)
    out, said = server.process.communicate(timeout=60)
    assert server.process.returncode == 1 and out == b""
    assert ledger in said.decode() and "to fix: " in said.decode() and "Traceback" not in said.decode()


@pytest.mark.parametrize("command", ["serve", "dashboard"])
def test_without_results_a_server_says_how_to_make_them(running, tmp_path, command):
    server = running(command, "--root", str(tmp_path), "--port", str(vacant()))
    out, said = server.process.communicate(timeout=60)
    assert server.process.returncode == 1 and out == b"" and "make run" in said.decode() and "make try" in said.decode()


def test_other_machines_are_served_only_with_a_key(running, trained):
    server = running("serve", "--root", str(trained), "--host", "0.0.0.0", "--port", str(vacant()))
    out, said = server.process.communicate(timeout=60)
    assert (
        server.process.returncode == 1
        and "PREDELINQUENCY_API_KEY" in said.decode()
        and "Traceback" not in said.decode()
    )
