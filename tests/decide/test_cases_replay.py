"""Half a year of weekly nights on a small bank: nothing that was followed is lost, and nothing that was sent is sent again."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from books import reminding

from predelinquency.decide import cases, engine, memory, night
from predelinquency.decide.night import Scored
from predelinquency.ground import disk
from predelinquency.ground.facts import KEY
from predelinquency.ground.ledger import Ledger, contact
from predelinquency.ground.params import Params
from predelinquency.ground.records import Decision, Note, Reply

WEEKS = 26


BOOK = reminding()


@dataclass
class Replay:
    "What every night knew and did."

    base: Any
    tables: dict[str, pd.DataFrame]
    nights: list[pd.Timestamp] = field(default_factory=list)
    worked: list[night.Worked] = field(default_factory=list)
    scores: list[pd.DataFrame] = field(default_factory=list)
    sent: list[Decision] = field(default_factory=list)
    plans: list[pd.DataFrame] = field(default_factory=list)
    stops: dict[int, str] = field(default_factory=dict)


def chances(known: pd.DataFrame, as_of: pd.Timestamp, week: int) -> pd.DataFrame:
    "A score by hand: each customer has a level of their own, and it shakes so that many a due crosses the line both ways."
    ahead = known[(known.state == "open") & (known.due_on > as_of) & (known.due_on <= as_of + pd.Timedelta(days=28))]
    late = set(known[known.state.isin(["unpaid", "written_off"])].customer_id)
    ahead = ahead[~ahead.customer_id.isin(late)]
    shake = np.random.default_rng(week).normal(0, 0.7, len(ahead))
    level = np.random.default_rng(5).normal(-5.2, 1.5, int(known.customer_id.max()) + 1)
    margin = level[ahead.customer_id] + shake
    return ahead[list(KEY)].assign(margin=margin, probability=1 / (1 + np.exp(-margin)))


def answers(decision: Decision, number: int) -> list[object]:
    "What becomes of one offer: it is sent, and some customers answer."
    done: list[object] = [decision, step := contact(decision, "sent")]
    kinds = {0: "stop", 3: "asks", 6: "accepts"}
    if kind := kinds.get(number % 10):
        at = f"{pd.Timestamp(decision.decided_at) + pd.Timedelta(hours=5):%Y-%m-%dT%H:%M:%S+00:00}"
        done.append(Reply(decision.customer_id, step.contact_id, at, decision.channel, kind))  # type: ignore[attr-defined]
    return done


def notes(found: night.Worked, as_of: pd.Timestamp, scored: pd.DataFrame) -> list[Note]:
    "On the day after, a colleague puts one case off, and a customer with a low score says that they cannot pay."
    at = f"{as_of + pd.Timedelta(hours=34):%Y-%m-%dT%H:%M:%S+00:00}"
    later = str((as_of + pd.Timedelta(days=16)).date())
    quiet = [c for c in found.cases.values() if c.is_open and c.state == "early"][:1]
    said = [Note(*c.due, at, "put_off", "A. Novak", "pay comes on the 20th", later) for c in quiet]
    calm = scored[scored.probability < 0.005].sort_values(list(KEY)).head(1)
    return said + [
        Note(*map(int, due), at, "cannot_pay", "customer", "I cannot pay.")
        for due in calm[list(KEY)].itertuples(index=False, name=None)
    ]


@pytest.fixture(scope="module")
def replay(world: Path, settings: Params, tmp_path_factory: pytest.TempPathFactory) -> Replay:
    names = ("customers", "obligations", "payments", "preferences", "circumstances", "contacts")
    found = Replay(settings.base, {name: disk.read(world / "raw", name) for name in names})
    people, end = found.tables["customers"], found.tables["payments"].arrived_at.max().normalize()
    looked = people[["customer_id"]].assign(doubts=[()] * len(people), data_age_days=1.0)
    with Ledger.open(f"sqlite:///{tmp_path_factory.mktemp('replay')}/ledger.db") as ledger:
        for week in range(WEEKS):
            as_of = end - pd.Timedelta(days=7 * (WEEKS - week))
            known = night.target_dues(found.tables["obligations"], found.tables["payments"], as_of, found.base)
            scored = chances(known, as_of, week)
            late = set(known[known.state.isin(["unpaid", "written_off"])].customer_id)
            may = frozenset(set(people.customer_id.tolist()) - late)
            past = found.tables["contacts"].query("contacted_at < @as_of")
            kept = memory.remembered(ledger, str(as_of.date()))
            told = engine.Told(found.tables["preferences"], found.tables["circumstances"], past, looked, kept)
            done = night.work(BOOK, found.tables, Scored(as_of, scored, may, "by hand"), told, found.base)
            decided = engine.decide_all(BOOK, done.questions)
            plan, sent = engine.frame(decided, done.questions), [d for d in decided if d.channel]
            came = [r for n, d in enumerate(sent, len(found.sent)) for r in answers(d, n)]
            ledger.append([*done.steps, *came, *notes(done, as_of, scored)], f"{as_of}+00:00")
            stops = {r.customer_id: r.received_at for r in came if isinstance(r, Reply) and r.kind == "stop"}
            found.stops = stops | found.stops
            found.sent += sent
            for mine, one in ((found.nights, as_of), (found.worked, done), (found.scores, scored), (found.plans, plan)):
                mine.append(one)  # type: ignore[attr-defined]
    return found


def test_no_case_vanishes_before_its_due_is_paid_moved_or_missed(replay: Replay) -> None:
    obligations, payments = replay.tables["obligations"], replay.tables["payments"]
    dues = obligations.set_index(list(KEY)).sort_index()
    paid, ends = payments.groupby(list(KEY)), Counter()
    for as_of, done, later in zip(replay.nights[1:], replay.worked, replay.worked[1:], strict=False):
        for name, case in done.cases.items():
            if not case.is_open or later.cases[name].is_open:
                continue
            now, due = later.cases[name], dues.loc[case.due]
            mine = paid.get_group(case.due) if case.due in paid.groups else payments[:0]
            mine = mine[mine.arrived_at < as_of]
            grace = pd.Timestamp(case.due_on) + pd.Timedelta(days=replay.base.grace_days + 1)
            full = int(mine[mine.paid_at < grace].amount_minor.sum()) >= int(due.enough_minor)
            assert now.outcome == ("paid" if full else "missed") and (full or as_of >= grace), (case, now.outcome)
            ends[now.outcome] += 1
    assert ends["paid"] > 100 and ends["missed"] > 5
    assert sum(c.is_open for c in replay.worked[-1].cases.values()) > 20


def test_every_night_adds_up(replay: Replay) -> None:
    events: Counter[str] = Counter()
    before = 0
    for done in replay.worked:
        counted: Any = cases.tally(done.before, done.steps)
        was, now = (sum(c.is_open for c in some) for some in (done.before, done.cases.values()))
        assert counted["adds_up"] and (counted["open_before"], counted["open"]) == (was, now) and was == before
        assert was + counted["events"]["opened"] - counted["events"]["closed"] == now
        events.update(counted["events"])
        before = now
    assert all(events[e] > 0 for e in ("opened", "escalated", "near", "in_grace", "put_off", "returned", "closed"))


def test_a_score_that_falls_below_the_line_closes_nothing(replay: Replay) -> None:
    below = [c for done in replay.worked for c in done.cases.values() if c.is_open and c.probability < 0.02]
    assert len(below) > 100


def test_the_same_is_never_offered_twice_for_one_payment(replay: Replay) -> None:
    offers = Counter((d.customer_id, d.obligation_id, d.instalment, d.action) for d in replay.sent)
    assert len(replay.sent) > 100 and [o for o, n in offers.items() if n > 1] == []
    assert max(Counter((d.customer_id, d.as_of) for d in replay.sent).values()) == 1
    several = Counter((d.customer_id, d.obligation_id, d.instalment) for d in replay.sent)
    assert max(several.values()) <= 2, "the caps of the month hold, too"


def test_after_a_stop_nothing_is_sent(replay: Replay) -> None:
    assert len(replay.stops) > 5
    again = [d for d in replay.sent if d.decided_at > replay.stops.get(d.customer_id, "9999")]
    assert again == []
    last = replay.plans[-1]
    known = [who for who, at in replay.stops.items() if at < str(replay.nights[-1])]
    asked = last[last.customer_id.isin(known) & (last.arm == "treated")]
    assert len(asked) > 5 and set(asked.rule) == {"stopped"}


def test_a_case_that_is_put_off_is_left_in_peace_and_the_plan_speaks_of_cases_only(replay: Replay) -> None:
    quiet = 0
    for done, plan in zip(replay.worked, replay.plans, strict=True):
        off = {c.case_id for c in done.cases.values() if c.is_open and c.until_on}
        mine = plan[plan.case_id.isin(off)]
        quiet += len(mine)
        assert (mine.action == "nothing").all() and mine.refusals.str.contains('"case_put_off"').all()
        assert (plan[plan.channel != ""].case_id != "").all()
    assert quiet > 5


def test_what_moved_on_the_list_adds_up_every_week(replay: Replay) -> None:
    for was, now in zip(replay.scores, replay.scores[1:], strict=False):
        moved = cases.movement(was, now)
        np.testing.assert_allclose(moved.now - moved.before, moved.left + moved.changed + moved.entered, atol=1e-12)
        assert (moved.changed != 0).any() and (moved.left < 0).any() and (moved.entered > 0).any()
