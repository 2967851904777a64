"""Who sends and who reads, in processes of their own that can be killed at any moment."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import live_bank

from predelinquency.ground.ledger import Ledger
from predelinquency.live.archive import open_archive
from predelinquency.live.door import open_log
from predelinquency.live.events import PARTITIONS, Event
from predelinquency.live.places import progress
from predelinquency.reasons.scorer import Scorer

BATCH = 250


def send(url: str, told: list[tuple[int, Event]]) -> None:
    "All of it from the start: what was sent before is known to the log."
    log = open_log(url, keep_days=live_bank.KEEP_DAYS)
    live_bank.append(log, told, BATCH)
    log.close()


def read(url: str, ledger_url: str, folder: Path, judge: Scorer) -> None:
    "Batches of any size, until somebody ends it."
    log, dice = open_log(url, keep_days=live_bank.KEEP_DAYS), random.Random()
    with Ledger.open(ledger_url) as ledger:
        made = live_bank.worker(log, ledger, open_archive(folder), judge)
        while True:
            if not sum(made.step(p, 0, dice.choice([7, 60, 400])) for p in range(PARTITIONS)):
                time.sleep(0.01)


class Process:
    "One of the two, started again after each kill."

    def __init__(self, work: Callable[..., None], *how: object):
        self.context, self.work, self.how = multiprocessing.get_context("fork"), work, how
        self.start()

    def start(self) -> None:
        self.process = self.context.Process(target=self.work, args=self.how, daemon=True)
        self.process.start()

    def kill(self) -> None:
        os.kill(self.process.pid or 0, signal.SIGKILL)
        self.process.join()


def run(
    url: str, ledger_url: str, folder: Path, judge: Scorer, told: list[tuple[int, Event]], kills: int, seed: int
) -> int:
    "Send and read with kills at random; returns how many of them came while something was being done."
    dice, hit = random.Random(seed), 0
    sender, reader = Process(send, url, told), Process(read, url, ledger_url, folder, judge)
    try:
        for _ in range(kills):
            time.sleep(dice.uniform(0.05, 0.6))
            one = dice.choice([sender, reader])
            if one.process.is_alive():
                one.kill()
                hit += 1
            one.start()
        sender.process.join(120)
        assert sender.process.exitcode == 0
        log, end = open_log(url), time.monotonic() + 120
        with Ledger.open(ledger_url) as ledger:
            while any(log.read(p, n, 1) for p, n in progress(ledger).items()):
                assert reader.process.is_alive() and time.monotonic() < end
                time.sleep(0.05)
        log.close()
        return hit
    finally:
        for one in (sender, reader):
            one.kill() if one.process.is_alive() else one.process.join()
