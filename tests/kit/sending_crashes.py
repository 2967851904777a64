"""Crashes by the dice over what is sent: decisions, senders ended at any point, stops, the brake, a bad receiver.

What runs is the outbox of the product on a ledger in memory. A schedule follows from its seed alone.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from live_crashes import Books, Killed, check
from records import decision

from predelinquency.ground.records import Contact, Decision, Reply
from predelinquency.ground.turns import alone
from predelinquency.service import outbox
from predelinquency.service.brakes import Brake, set_brake

AT = datetime(2026, 3, 2, 10, tzinfo=UTC)
ENDS = {"sent", "failed", "withdrawn"}


class Sending:
    "One schedule."

    def __init__(self, books: Books, seed: int):
        self.books, self.dice = books, random.Random(seed)
        self.steps: list[str] = []  # what was done, and where it was ended
        self.fuse: int | None = None  # points until whoever is at work is ended; below 0: they are; None: nobody is
        self.now = AT + timedelta(minutes=1)
        self.took = defaultdict[str, list[bytes]](list)  # message → the bodies that the receiver has
        self.whose, self.stopped, self.braked = dict[str, int](), set[int](), False
        self.trouble = 0.5
        self.made = [self.decision(customer) for customer in range(self.dice.randint(1, 4))]
        self.refuses = {outbox.contact(d).contact_id for d in self.made if self.dice.random() < 0.1}
        books.empty(self.point)
        self.ledger = books.ledger
        self.ledger.append(self.made, AT)

    def decision(self, customer: int) -> Decision:
        said = dict(customer_id=customer, as_of="2026-03-02", decided_at=AT.isoformat(), channel="email")
        return replace(decision(), **said, message="Shall we?", approval="automatic")

    def point(self, where: str) -> None:
        if self.fuse is None:
            return
        if self.fuse >= 0:
            self.fuse -= 1
            if self.fuse < 0:
                self.steps.append(f"  ends {where}")
        if self.fuse < 0:
            raise Killed

    def does(self, who: str, what: Callable[[], None]) -> None:
        "Let somebody do something, until it is done or they are ended; then nothing of theirs is half done."
        self.steps.append(who)
        self.fuse = int(self.dice.expovariate(1 / 12)) if self.dice.random() < 0.5 else 1_000_000
        asked = {*self.books.of_ledger.asked}
        try:
            what()
        except Killed:
            for one in {*self.books.of_ledger.asked} - asked:
                one.close()
        finally:
            self.fuse = None
        queued = {c.contact_id for c in self.ledger.of(Contact) if c.state == "queued"}
        check(set(self.took) <= queued, "a message is out of which the ledger knows nothing")

    def call(self, name: str, body: bytes) -> int:
        "The receiver: it may be away, refuse, or take a message and lose its answer."
        self.point("before the call")
        luck = self.dice.random()
        if luck < self.trouble / 3:
            return 503
        if name in self.refuses:
            return 400
        (whom,) = (d.customer_id for d in self.made if outbox.contact(d).contact_id == name)
        check(whom not in self.stopped, "somebody was called who had said stop")
        check(not self.braked, "somebody was called while the brake was on")
        self.took[name].append(body)
        self.whose[name] = whom
        self.point("after the call")
        return 0 if luck < self.trouble else 200

    def send(self) -> None:
        outbox.send_all(self.ledger, self.call, lambda: self.now)

    def stop(self) -> None:
        "A reply; it counts as soon as whoever said it has an answer."
        who = self.dice.choice(self.made).customer_id
        with alone(self.ledger, who) as book:
            book.append([Reply(who, "", AT.isoformat(), "app", "stop")], self.now)
        self.stopped.add(who)

    def brake(self) -> None:
        stops, self.braked = not self.braked, False
        set_brake(self.ledger, Brake(stops=stops, said_by="ann", why="x"), self.now)
        self.braked = stops  # from its answer on

    def tick(self) -> None:
        self.now += timedelta(minutes=self.dice.choice([1, 1, 5, 90]))

    def whole(self) -> None:
        "Everything, then one undisturbed sender, and what must hold at its end."
        work = {"sender": self.send, "stop": self.stop, "brake": self.brake, "clock": self.tick}
        for _ in range(self.dice.randint(2, 8)):
            who = self.dice.choices(list(work), [6, 1, 1, 2])[0]
            self.does(who, work[who])
        self.braked = True
        self.brake()
        self.trouble = 0.0
        self.does("last sender", self.send_undisturbed)
        self.check_ends()

    def send_undisturbed(self) -> None:
        self.fuse = None
        self.send()

    def check_ends(self) -> None:
        said = defaultdict[str, set[str]](set)
        for one in self.ledger.of(Contact):
            said[one.contact_id].add(one.state)
        for d in self.made:
            name, steps = (one := outbox.contact(d)).contact_id, said[outbox.contact(d).contact_id]
            check(len(steps & ENDS) == 1, f"{one.state} has the ends {sorted(steps & ENDS)}")
            check("sent" not in steps or name in self.took, "the ledger says sent, and nobody has it")
            check("failed" not in steps or name not in self.took, "the ledger says failed, and somebody has it")
        check(all(len(set(bodies)) == 1 for bodies in self.took.values()), "one message has two texts")
        check(len(set(self.whose.values())) == len(self.whose), "somebody has two messages")


def wrong_sending(books: Books, seed: int) -> str:
    "What is wrong after a schedule, with what happened in it; empty: nothing is."
    run = Sending(books, seed)
    try:
        run.whole()
    except Exception as e:
        return "\n".join([f"{type(e).__name__}: {e}", *run.steps])
    return ""


def first_wrong_sending(books: Books, seeds: Iterable[int]) -> tuple[int, str] | None:
    return next(((seed, told) for seed in seeds if (told := wrong_sending(books, seed))), None)
