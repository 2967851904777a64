"""What an offer does to the books, by when a person looks, who may approve, and what a contest does."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from decide_cases import AT, everything_in_order

from predelinquency.decide import engine, memory, policy, servicing
from predelinquency.ground import records
from predelinquency.ground.ledger import Ledger

BOOK = engine.load_book()
RULES = BOOK.policy
PLENTY = engine.capacities(RULES)


def decided(**changes: Any) -> tuple[policy.Question, records.Decision]:
    q = policy.put_question(RULES, *everything_in_order(**changes), AT)
    return q, engine.decide_all(BOOK, [q], PLENTY)[0]


def test_a_concession_to_somebody_in_difficulty_makes_a_contract_forborne() -> None:
    concessions = {a for a in RULES.actions if servicing.forbearance(RULES, a, "high")}
    assert concessions == {"payment_holiday", "payment_plan"}
    found = {band.id: servicing.forbearance(RULES, "payment_plan", band.id) for band in RULES.bands}
    assert found == dict(low="concession", watch="concession", raised="forborne", high="forborne")
    said = servicing.before_approval(RULES, "payment_plan", "high")
    assert "forborne for at least 730 days" in said and servicing.before_approval(RULES, "reminder", "high") == ""


def test_the_plan_exports_forbearance_and_the_day_of_a_look() -> None:
    large = replace(everything_in_order()[0].due, amount_minor=1_900_000)  # type: ignore[type-var]
    offer, look = decided(due=large, probability=0.5), decided(language="pl")
    both = [offer, (look[0], replace(look[1], customer_id=8))]
    plan = engine.frame([d for _, d in both], [q for q, _ in both])
    assert look[1].review
    assert plan.forbearance.tolist() == [servicing.forbearance(RULES, offer[1].action, offer[1].band), ""]
    assert plan.review_by.tolist() == ["", "2026-03-05"], "two working days after the Tuesday, in the band raised"
    assert engine.decisions(plan) == [d for _, d in both]


def test_the_nearer_the_trouble_the_sooner_and_nobody_works_at_easter() -> None:
    days = [servicing.review_by(RULES, band.id, date(2026, 4, 2)) for band in RULES.bands]
    assert days == sorted(days, reverse=True) and days[-1] == date(2026, 4, 7)
    assert servicing.review_by(RULES, "", date(2026, 4, 2)) == days[0]


@pytest.mark.parametrize(
    ("proposed", "approved", "may"),
    [
        ("", (), False),
        ("Ann Lee", (), False),
        ("Ann Lee", ("Ann Lee",), False),
        ("Ann Lee", (" ann  LEE ",), False),
        ("Ann Lee", ("", " "), False),
        ("Ann Lee", ("Ann Lee", "B. Ode"), True),
        ("", ("B. Ode",), True),
    ],
)
def test_who_proposes_an_offer_does_not_approve_it(proposed: str, approved: tuple[str, ...], may: bool) -> None:
    d = replace(decided()[1], approval="team_lead")
    assert (servicing.unapproved(d, proposed, approved) == "") is may
    assert servicing.unapproved(replace(d, approval="automatic"), "", ()) == ""


def test_what_a_person_proposed_waits_for_another_person_even_where_the_plan_need_not() -> None:
    d = replace(decided()[1], approval="automatic")
    assert servicing.unapproved(d, "Ann Lee", ("Ann Lee",)) and not servicing.unapproved(d, "Ann Lee", ("B. Ode",))


@pytest.mark.parametrize("probability", [0.0001, 0.1, 0.9])
def test_a_contest_stops_messages_and_is_put_before_a_person_whatever_the_score(probability: float) -> None:
    _, d = decided(contested=True, probability=probability, case_id="7-1-4-1")
    assert (d.action, d.message) == ("nothing", "") and d.review and "contested" in {r.rule for r in d.refusals}
    assert not decided(probability=probability, case_id="7-1-4-1")[1].review


def test_the_control_group_may_contest_too() -> None:
    source = next(f"C-{n}" for n in range(1000) if policy.arm(RULES, f"C-{n}") == "control")
    _, d = decided(contested=True, source_id=source)
    assert d.arm == "control" and d.review and not d.message


def test_a_reply_to_a_letter_is_a_contest_until_somebody_answers(tmp_path: Path) -> None:
    said, later = "2026-03-02T09:00:00+00:00", "2026-03-04T09:00:00+00:00"
    contest = records.Reply(7, f"{memory.LETTER}7-2026-03-01", said, "email", "other", "That is not so.")
    other = records.Reply(8, "8-2026-03-01", said, "email", "asks", "When?")
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        ledger.append([contest, other], said)
        found = memory.remembered(ledger, "2026-03-03")
        assert found.contested == {7} and found.contacts[7][0].answered is False
        ledger.append([records.Contact(7, "call-1", "sent", later, "call", "other")], later)
        assert memory.remembered(ledger, "2026-03-05").contested == frozenset()


def test_a_review_is_due_on_a_working_day() -> None:
    on = date(2026, 12, 24)
    assert servicing.review_by(RULES, "high", on) == date(2026, 12, 29)
    assert servicing.review_by(RULES, "high", on - timedelta(days=2)) == date(2026, 12, 23)
