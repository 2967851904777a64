"""From a decision to what became of it: looked up once, never changed, and enough to estimate an effect from."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from decide_cases import everything_in_order

from predelinquency.decide import engine, memory, policy, tracker
from predelinquency.ground import params
from predelinquency.ground.core import StoreError, project_folder
from predelinquency.ground.ledger import Ledger, contact
from predelinquency.ground.records import Decision, Milestone, Outcome, Propensity, Reply

BOOK, DAY = engine.load_book(), pd.Timestamp("2026-03-02")
BASE = params.load(project_folder() / "params.yaml").base
NOW, END = datetime(2026, 9, 1, 6, tzinfo=UTC), pd.Timestamp("2026-09-01")
TOLD = "2026-03-03T11:00:00+00:00"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as book:
        yield book


def decision(who: int = 7, action: str = "reminder", **other: object) -> Decision:
    chances = (Propensity("nothing", 0.5), Propensity("reminder", 0.5))
    channel = "" if action == "nothing" else "app"
    made = Decision(
        who, "2026-03-02", "2026-03-02T11:00:00+00:00", "treated", 0.9, "watch", action, channel, "lottery",
        "Chance decided.", -8.0, "nothing", "automatic", False, "3f9c", 1, 4, stratum="watch loan by_hand",
        propensities=chances,
    )  # fmt: skip
    return replace(made, **other)  # type: ignore[arg-type]


def owed(customers: int = 1, first: int = 7) -> pd.DataFrame:
    rows = [
        dict(customer_id=first + n, obligation_id=1, instalment=4 + k, due_on=DAY + pd.Timedelta(days=8 + 30 * k))
        for n in range(customers)
        for k in range(3)
    ]
    same = dict(kind="loan", fact="announced", amount_minor=10_000, enough_minor=10_000, announced_at=DAY)
    return pd.DataFrame(rows).assign(**same).assign(announced_at=DAY - pd.Timedelta(days=60))


def paid(dues: pd.DataFrame, *but: tuple[int, int]) -> pd.DataFrame:
    "Everything on its day, but some."
    rows = dues[[(c, i) not in but for c, i in zip(dues.customer_id, dues.instalment, strict=True)]]
    rows = rows[["customer_id", "obligation_id", "instalment", "due_on", "amount_minor"]]
    return rows.assign(paid_at=rows.due_on, arrived_at=rows.due_on)


def look(ledger: Ledger, dues: pd.DataFrame, payments: pd.DataFrame, end: pd.Timestamp = END) -> int:
    found = tracker.outcomes_due(tracker.decided(ledger), dues, payments, BASE, end)
    return ledger.append(tracker.fresh(ledger, found), NOW)


def test_each_outcome_comes_on_its_day_and_only_once(ledger: Ledger) -> None:
    dues = owed()
    payments = paid(dues, (7, 4))
    ledger.append([decision()], NOW)
    ends = ["2026-03-15", "2026-03-16", "2026-04-13", "2026-04-14", "2026-06-30", "2026-07-01", "2026-09-01"]
    assert [look(ledger, dues, payments, pd.Timestamp(e)) for e in ends] == [0, 1, 0, 1, 0, 1, 0]
    seen = [(o.observed_on, o.missed, o.paid_minor, o.in_arrears, o.overdue_minor) for o in ledger.of(Outcome)]
    assert seen == [
        ("2026-03-16", True, 0, None, None),
        ("2026-04-14", None, 0, True, None),
        ("2026-07-01", None, 0, None, 10_000),
    ]


def test_what_arrives_later_changes_no_first_word(ledger: Ledger) -> None:
    dues = owed()
    ledger.append([decision()], NOW)
    assert look(ledger, dues, paid(dues, (7, 4))) == 3
    assert look(ledger, dues, paid(dues)) == 0 and tracker.tracked(ledger).missed.tolist() == [True]


def test_a_decision_about_no_payment_has_the_two_later_outcomes(ledger: Ledger) -> None:
    dues = owed()
    ledger.append([decision(obligation_id=None, instalment=None)], NOW)
    assert look(ledger, dues, paid(dues)) == 2
    row = tracker.tracked(ledger).iloc[0]
    assert (row.missed, row.in_arrears, row.overdue_minor) == (pd.NA, False, 0) or row.missed is pd.NA


def test_a_row_tells_what_could_have_been_and_what_was(ledger: Ledger) -> None:
    sent, idle = decision(), decision(8, "nothing")
    control = decision(9, "nothing", arm="control", propensity=0.1, propensities=(Propensity("nothing", 1.0),))
    step = contact(sent, "sent")
    marks = [Milestone(7, sent.as_of, sent.decided_at, kind, TOLD, "mail") for kind in ("delivered", "opened")]
    replies = [
        Reply(7, step.contact_id, TOLD, "app", "accepts"),
        Reply(8, "", "2026-05-01T11:00:00+00:00", "call", "complains"),  # after the 42 days
        Reply(9, "", TOLD, "call", "stop"),
    ]
    ledger.append([sent, idle, control, step, *marks, *replies], NOW)
    rows = tracker.tracked(ledger).set_index("customer_id")
    flags = ["approved", "sent", "delivered", "opened", "took_up", "replied", "opted_out", "complained"]
    assert rows.loc[7, flags].tolist() == [False, True, True, True, True, True, False, False]
    assert rows.loc[8, flags].tolist() == [False] * 8
    assert rows.loc[9, flags].tolist() == [False] * 5 + [True, True, False]
    assert rows.propensities[7] == {"nothing": 0.5, "reminder": 0.5} and rows.propensities[9] == {"nothing": 1.0}
    assert rows.in_arrears.isna().all() and rows.stratum[7] == "watch loan by_hand"


def test_an_empty_ledger_is_an_empty_frame(ledger: Ledger) -> None:
    rows = tracker.tracked(ledger)
    assert len(rows) == 0 and {"arm", "propensities", "opened", "in_arrears"} <= set(rows)
    assert look(ledger, owed(), paid(owed())) == 0


def test_who_rejects_an_offer_says_why(ledger: Ledger) -> None:
    made = decision()
    with pytest.raises(StoreError):
        ledger.append([made, Milestone(7, made.as_of, made.decided_at, "rejected", TOLD, "A. Novak")], NOW)


def asked(ledger: Ledger, on: str) -> Decision:
    "What is decided about customer 7 of a day later, with what the ledger remembers."
    at = datetime.fromisoformat(f"{on}T11:00:00+00:00")
    kept = memory.remembered(ledger, on)
    due = replace(everything_in_order()[0].due, due_on=at.date().replace(day=28))  # type: ignore[type-var]
    case, score = everything_in_order(as_of=on, due=due, contacts=kept.contacts.get(7, ()), stopped=7 in kept.stopped)
    return engine.decide(BOOK, case, score, at)


@pytest.mark.parametrize(
    ("kind", "rule"), [("stop", "stopped"), ("asks", "reply_open"), ("accepts", "recent_contact"), (None, "cap_week")]
)
def test_what_was_sent_and_answered_ends_the_cadence(ledger: Ledger, kind: str | None, rule: str) -> None:
    "A reply stops what would follow, and what the ledger sent is what the caps of the next plan read."
    before = asked(ledger, "2026-03-04")
    assert before.channel or before.rule == "lottery"
    sent = decision(obligation_id=9, instalment=1)
    step = contact(sent, "sent")
    said = [Reply(7, step.contact_id, TOLD, "app", kind)] if kind else []
    ledger.append([sent, step, *said], NOW)
    after = asked(ledger, "2026-03-04")
    assert after.action == "nothing" and rule in {r.rule for r in after.refusals}
    failed = contact(sent, "failed", "2026-03-02T11:01:00+00:00")
    if kind is None:
        ledger.append([failed], NOW)
        assert "cap_week" not in {r.rule for r in asked(ledger, "2026-03-04").refusals}, "what failed reached nobody"


def test_an_effect_is_estimated_from_what_was_tracked(ledger: Ledger) -> None:
    "Four hundred customers by lot: those reminded pay, of the others every second does not."
    from predelinquency.judge import effects

    many, rng = 400, np.random.default_rng(1)
    drawn = rng.random(many) < 0.5
    made = [decision(100 + n, "reminder" if drawn[n] else "nothing") for n in range(many)]
    dues = owed(many, 100)
    late = [(100 + n, 4) for n in range(many) if not drawn[n] and n % 2]
    ledger.append(made, NOW)
    look(ledger, dues, paid(dues, *late))
    rows = tracker.tracked(ledger)
    p = np.array([[p["nothing"], p["reminder"]] for p in rows.propensities])
    y = rows.in_arrears.to_numpy(float)
    took = (rows.action == "reminder").to_numpy(int)
    trial = effects.Trial(rows.customer_id.to_numpy(), took, p, y, np.zeros((many, 0)))
    found = effects.aipw(trial, 1)
    assert effects.propensities_hold(trial).holds and found.low < -0.5 < found.high and found.high < -0.4
    assert policy.arm(BOOK.policy, "C-0007") == "treated"
