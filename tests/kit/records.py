"""Records to keep, made by hand; each takes what a test wants to be different."""

from math import nan

from predelinquency.ground.records import (
    Assignment,
    CaseEvent,
    Contact,
    Decision,
    Milestone,
    Note,
    Outcome,
    Propensity,
    Reason,
    Refusal,
    Reply,
    Score,
)

AT = "2026-03-02T10:00:00+00:00"
REASONS = (
    Reason(
        "balance_to_due_30d",
        "liquidity",
        0.4,
        0.9,
        "the balance covers 40 % of what is due",
        "Several payments are coming up",
    ),
    Reason("salary_gap_days", "income", nan, -0.1, "no salary is known", None),
)
REFUSALS = (Refusal("quiet_hours", "Nobody is written to at night.", "call", "phone"),)


def score(**other) -> Score:
    return Score(
        **dict(
            customer_id=7,
            as_of="2026-03-02",
            probability=0.041,
            margin=-3.2,
            model_version="2026.1",
            reasons=REASONS,
            feature_hash="5a0f",
        )
        | other
    )


def decision(**other) -> Decision:
    return Decision(
        **dict(
            customer_id=7,
            as_of="2026-03-02",
            decided_at=AT,
            arm="treated",
            propensity=0.9,
            band="raised",
            action="due_date",
            channel="email",
            rule="cash_gap",
            because="The due falls before the payday.",
            value_minor=120.5,
            intended="due_date",
            approval="automatic",
            review=False,
            policy="3f9c",
            message="Müller & Søn ☂",
            refusals=REFUSALS,
            stratum="raised loan by_hand",
            propensities=(Propensity("nothing", 0.5), Propensity("due_date", 0.5)),
        )
        | other
    )


def control(**other) -> Decision:
    return decision(**dict(arm="control", action="nothing", channel="", message="") | other)


def message(**other) -> Contact:
    return Contact(
        **dict(
            customer_id=7,
            contact_id="m1",
            state="queued",
            at=AT,
            channel="email",
            action="due_date",
            as_of="2026-03-02",
            decided_at=AT,
        )
        | other
    )


def call(**other) -> Contact:
    return message(
        **dict(contact_id="c1", state="sent", channel="phone", action="other", as_of=None, decided_at=None) | other
    )


def reply(**other) -> Reply:
    return Reply(
        **dict(customer_id=7, contact_id="m1", received_at="2026-03-03T08:00:00+00:00", channel="email", kind="accepts")
        | other
    )


def outcome(**other) -> Outcome:
    return Outcome(**dict(customer_id=7, as_of="2026-03-02", observed_on="2026-04-05", missed=None) | other)


def case_step(**other) -> CaseEvent:
    return CaseEvent(
        **dict(
            customer_id=7,
            case_id="7-3-12-1",
            at=AT,
            event="opened",
            from_state="",
            to_state="early",
            why="The chance is 6.1%.",
            obligation_id=3,
            instalment=12,
            due_on="2026-04-01",
            probability=0.061,
            scored_on="2026-03-02",
        )
        | other
    )


def note(**other) -> Note:
    return Note(
        **dict(
            customer_id=7,
            obligation_id=3,
            instalment=12,
            said_at=AT,
            kind="cannot_pay",
            said_by="customer",
            why="I cannot pay on the 1st.",
        )
        | other
    )


def milestone(**other) -> Milestone:
    return Milestone(
        **dict(
            customer_id=7,
            as_of="2026-03-02",
            decided_at=AT,
            kind="opened",
            at="2026-03-02T18:00:00+00:00",
            said_by="mail",
        )
        | other
    )


def assignment(**other) -> Assignment:
    return Assignment(
        **dict(
            customer_id=7,
            case_id="7-3-12-1",
            nth=1,
            assigned_at="2026-03-02T11:00:00+00:00",
            owner="anna",
            assigned_by="ben",
        )
        | other
    )


def one_of_each() -> list:
    return [score(), decision(), message(), reply(), outcome(), case_step(), note(), milestone(), assignment()]
