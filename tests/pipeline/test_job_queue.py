"""The night's jobs by a real Celery worker and a real Redis server: given twice, done once; killed in the middle, done again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from live_server import Server
from typer.testing import CliRunner

from predelinquency.ground.ledger import Ledger
from predelinquency.ground.once import JobRun, job_runs
from predelinquency.ops.cli import app
from predelinquency.ops.workers import TASK, TIMETABLE, queue_of

DAY, NEXT = "2025-06-25", "2025-06-26"


def until(found: Callable[[], Any], where: Path) -> Any:
    "What is found at last; a minute is too long for it."
    for _ in range(1_200):
        if one := found():
            return one
        time.sleep(0.05)
    raise AssertionError(where.read_text())


class Worker:
    "A worker of its own, as it is typed."

    def __init__(self, folder: Path, redis: str, ledger: str):
        self.said, self.redis, self.ledger = folder / "worker.log", redis, ledger
        command = [Path(sys.executable).parent / "predelinquency", "jobs", "worker", "--no-timetable"]
        self.process = subprocess.Popen(
            [*command, "--redis", redis, "--root", folder, "--ledger", ledger],
            stdin=subprocess.DEVNULL,
            stdout=open(self.said, "wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def give(self, name: str, day: str) -> None:
        done = CliRunner().invoke(app, ["jobs", "give", name, "--day", day, "--redis", self.redis])
        assert done.exit_code == 0, done.output

    def runs(self, state: str) -> list[JobRun]:
        with Ledger.open(self.ledger) as ledger:
            return [run for run in job_runs(ledger) if run.state == state]

    def heard(self, text: str) -> bool:
        return text in self.said.read_text()


@pytest.fixture
def worker(redis_server: Callable[..., Server], postgres_url: str, tmp_path: Path) -> Iterator[Worker]:
    Ledger.open(postgres_url).close()
    made = Worker(tmp_path, redis_server().url, postgres_url)
    try:
        yield made
        made.process.send_signal(signal.SIGTERM)
        assert made.process.wait(60) == 0, made.said.read_text()
    finally:
        if made.process.poll() is None:
            os.killpg(made.process.pid, signal.SIGKILL)


def test_a_job_given_twice_is_done_once_and_one_whose_process_is_killed_again(worker: Worker) -> None:
    worker.give("expiry", DAY)
    worker.give("expiry", DAY)
    until(lambda: worker.heard(f"expiry of {DAY}, before: "), worker.said)
    assert worker.heard(f"expiry of {DAY}, done: ") and [run.nth for run in worker.runs("done")] == [1]

    with psycopg.connect(worker.ledger) as blocking:  # expiry gets as far as the feed, and waits there
        blocking.execute("LOCK TABLE feed IN ACCESS EXCLUSIVE MODE")
        worker.give("expiry", NEXT)
        (begun,) = until(lambda: worker.runs("begun"), worker.said)
        os.kill(int(begun.begun_by.rpartition("-")[2]), signal.SIGKILL)
        until(lambda: [run for run in worker.runs("begun") if run.nth == 2], worker.said)
    (done,) = until(lambda: [run for run in worker.runs("done") if run.day == NEXT], worker.said)
    assert done.nth == 2 and [(run.day, run.nth) for run in worker.runs("lost")] == [(NEXT, 1)]
    assert done.begun_by != begun.begun_by and worker.process.poll() is None


def test_a_message_names_a_job_and_a_day_and_nothing_else() -> None:
    "There is one task: no way leads an event of the day into the queue."
    queue = queue_of("redis://127.0.0.1:9/0")
    assert {name for name in queue.tasks if not name.startswith("celery.")} == {TASK}
    planned = queue.conf.beat_schedule
    assert {(e["task"], *e["args"]) for e in planned.values()} == {(TASK, "night")} and len(planned) == len(TIMETABLE)


def test_where_no_server_is_named_or_reached_it_says_so(tmp_path: Path) -> None:
    typed = CliRunner(env={"REDIS_URL": ""})
    assert "without a server" in typed.invoke(app, ["jobs", "worker", "--root", str(tmp_path)]).output
    assert "no job 'dig'" in typed.invoke(app, ["jobs", "give", "dig"]).output
    gone = typed.invoke(app, ["jobs", "give", "digest", "--redis", "redis://127.0.0.1:9/0"])
    assert gone.exit_code == 1 and "127.0.0.1:9" in gone.output and "foresaw" not in gone.output
