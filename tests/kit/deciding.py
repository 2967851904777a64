"""A service that decides by the real policy about a customer in whom a stand-in for the model sees a high chance."""

import json
import os
import random
import time
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from decide_cases import everything_in_order
from live_processes import Process
from served import example

from predelinquency.decide import engine, policy
from predelinquency.decide.memory import Memory
from predelinquency.ground import records
from predelinquency.ground.ledger import Ledger
from predelinquency.service import doors
from predelinquency.service.desk import Desk
from predelinquency.service.reply import Answer, _answer
from predelinquency.service.verdicts import Asking, decide_once
from predelinquency.service.wire import History, Refused, parse_request

FIRST = date(2026, 3, 2)


@dataclass(frozen=True)
class Everybody:
    "Gives everybody one of two chances, day by day, and asks the real policy."

    ledger: Ledger | None
    book: engine.Book

    def answer(self, asked: History, memory: Memory, now: Any = None) -> tuple[Answer, records.Decision]:
        on, who = date.fromisoformat(asked.as_of), asked.customer_id
        at = policy.moment(on, 11, "Europe/London")
        chance = 0.1 if on.toordinal() % 2 else 0.3  # so that another action is the best one
        case, score = everything_in_order(as_of=asked.as_of, probability=chance)
        assert case.due
        case = replace(
            case,
            customer_id=who,
            source_id=f"C-{who}",
            due=replace(case.due, due_on=on + timedelta(days=20), instalment=on.toordinal()),  # each day another one
            contacts=memory.contacts.get(who, ()),
            stopped=who in memory.stopped,
        )
        score = replace(score, customer_id=who)
        decision = engine.decide(self.book, case, score, at)
        more = dict(eligible=True, policy_version=self.book.version, source="request", quality=None, features=None)
        return Answer.model_validate(_answer(score, "raised", decision, **more)), decision


def everybody(ledger: Ledger) -> Everybody:
    return Everybody(ledger, engine.load_book())


def desk_of(ledger: Ledger) -> Desk:
    "The desk of a service that decides like this."
    return Desk(scoring=everybody(ledger), ready=True, clock=lambda: datetime.now(UTC))  # type: ignore[arg-type]


def question(customer: int, day: int = 0) -> dict[str, Any]:
    "A request about a customer on a day; what its rows say, nobody here looks at."
    return example() | dict(customer_id=customer, as_of=str(FIRST + timedelta(days=day)))


class Caller:
    "One of several systems that ask, tell and hear no answer when they are killed."

    def __init__(self, url: str, folder: Path, number: int, steps: int, customers: int):
        self.url, self.said = url, folder / f"{number}.jsonl"
        self.number, self.steps, self.customers = number, steps, customers

    def __call__(self) -> None:
        "Go on after the last answer that was heard."
        done = len(self.said.read_text().splitlines()) if self.said.exists() else 0
        with Ledger.open(self.url) as ledger, self.said.open("a") as said:
            desk = desk_of(ledger)
            for step in range(done, self.steps):
                heard = self.one(desk, step) | dict(step=step)
                said.write(json.dumps(heard | dict(heard=str(datetime.now(UTC)))) + "\n")
                said.flush()
                os.fsync(said.fileno())

    def one(self, desk: Desk, step: int) -> dict[str, Any]:
        dice = random.Random(f"{self.number} {step}")
        who, day, what = dice.randrange(self.customers), step // 4, dice.random()
        on = str(FIRST + timedelta(days=day))
        if what < 0.04:
            told = records.Reply(who, "", f"{on}T08:{self.number:02}:{step % 60:02}+00:00", "app", "stop")
            doors.record_told(desk, told)
            return dict(did="stop", who=who)
        if what < 0.1:
            step_ = ("sent", f"{on}T09:00:00+00:00", "email", "other")
            doors.record_told(desk, records.Contact(who, f"{self.number}-{step}", *step_))
            return dict(did="contact", who=who, at=f"{on}T09:00:00+00:00")
        body = json.dumps(question(who, day)).encode()
        asked = parse_request(body)
        assert isinstance(asked, History)
        asking = Asking.of(f"system {self.number % 2}", f"{self.number}-{step}", body)
        try:
            said = decide_once(desk.engine(), asked, asking, desk.clock())
        except Refused as e:
            return dict(did="refused", who=who, status=e.status)
        return dict(did="decided", who=who, on=on, said=said.model_dump(mode="json"))


def killed_at_random(url: str, folder: Path, steps: int, kills: int, seed: int) -> int:
    "Three systems that ask until they are through, each killed now and then; returns how many kills hit."
    Ledger.open(url).close()
    callers = [Process(Caller(url, folder, n, steps, 24)) for n in range(3)]
    dice, hit = random.Random(seed), 0
    try:
        while any(c.process.exitcode != 0 for c in callers):
            time.sleep(dice.uniform(0.02, 0.2))
            one = dice.choice(callers)
            if hit < kills and one.process.is_alive():
                one.kill()
                hit += 1
            for c in callers:
                if not c.process.is_alive() and c.process.exitcode != 0:
                    assert c.process.exitcode == -9, "it ended by itself"
                    c.start()
        return hit
    finally:
        for c in callers:
            if c.process.is_alive():
                c.kill()


def answers(folder: Path) -> list[dict[str, Any]]:
    "What the callers have heard, in no order."
    return [json.loads(line) for p in sorted(folder.glob("*.jsonl")) for line in p.read_text().splitlines()]
