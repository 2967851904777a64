"""Two ledgers: what is not owed to the bank is worth nothing to it, and nothing is done that is expected to harm its customer."""

from dataclasses import replace
from datetime import date

import pytest
import yaml
from decide_cases import AT as AT_NOON, everything_in_order

from predelinquency.decide import engine, ledgers, policy, tornado
from predelinquency.decide.policy import Due
from predelinquency.ground.core import PolicyError, package_folder

pytestmark = pytest.mark.fast
RULES = policy.load_policy()
SAID = ledgers.load_assumptions(RULES)
AT = ledgers.values_of(SAID)
DUE = Due(1, 4, "loan", date(2026, 3, 24), 60_000, "GBP", False)
BANDS = yaml.safe_load((package_folder() / "world/evidence.yaml").read_text())["bands"]
BOOK = engine.load_book()


def test_what_an_action_averts_stands_in_the_middle_of_its_band() -> None:
    other = {"autopay_nudge": "autopay", "due_date_change": "date_change"}
    for a in RULES.actions.values():
        if a.channels and a.id != "payment_holiday":
            low, high = next(b["effect"] for b in BANDS if b["action"] == other.get(a.id, a.id))
            said = SAID[f"averts.{a.id}"]
            assert (said.low, said.high) == (low, high) and said.value == pytest.approx((low + high) / 2), a.id
            assert said.low <= a.uplift_low <= max(said.value, 0)
    [pause] = [b for b in BANDS if b["action"] == "payment_holiday"]
    (low, high), (least, most) = pause["effect"], pause["displaced"]
    lasting = low * (1 - most), (low + high) / 2 * (1 - (least + most) / 2), high * (1 - least)
    said = SAID["averts.payment_holiday"]
    assert (said.low, said.value, said.high) == pytest.approx(lasting)


def test_a_rent_costs_the_bank_nothing_and_is_all_the_tenant_s() -> None:
    loan, rent = (ledgers.lost(RULES, AT, replace(DUE, kind=kind)) for kind in ("loan", "rent"))
    assert rent.bank_minor == 0 < loan.bank_minor
    exposed = 60_000 * 0.3 * 6 * 0.5
    assert loan.bank_minor == pytest.approx(2500 + exposed)
    assert rent.customer_minor - loan.customer_minor == pytest.approx(exposed)
    let = replace(everything_in_order()[0].due, kind="rent")
    options, refusals = engine.weigh(BOOK, asked(due=let, probability=0.9))
    assert not options and "value" in {r.rule for r in refusals}


def test_both_gates_close_whatever_the_bank_would_gain() -> None:
    call = RULES.actions["hardship_call"]
    open_ = ledgers.ledgers(RULES, AT, (call, "call"), 0.6, DUE)
    assert open_.allowed
    doubted = ledgers.ledgers(RULES, AT, (replace(call, uplift_low=0.0), "call"), 0.6, DUE)
    assert doubted.bank_minor == open_.bank_minor and not doubted.allowed
    harmful = ledgers.ledgers(RULES, AT, (replace(call, harm_minor=5_000), "call"), 0.6, DUE)
    assert harmful.bank_minor == open_.bank_minor and harmful.customer_minor < 0 and not harmful.allowed


def asked(**changes) -> policy.Question:
    case, score = everything_in_order(**changes)
    return policy.put_question(RULES, case, score, AT_NOON)


def test_the_rank_is_the_mean_of_the_bank_s_ledger() -> None:
    due = replace(everything_in_order()[0].due, amount_minor=150_000)
    found, refusals = engine.weigh(BOOK, asked(due=due, probability=0.6))
    assert len(found) > 3 and [o.value for o in found] == sorted((o.value for o in found), reverse=True)
    for o in found:
        action = RULES.actions[o.action]
        brings = 0.6 * AT[f"averts.{o.action}"] * (2500 + 150_000 * 0.9)
        assert o.value == pytest.approx(brings - action.cost_minor - RULES[f"{o.channel}_cost_minor"], abs=0.006)
    decision = engine.decide(BOOK, *everything_in_order(due=due, probability=0.6), AT_NOON)
    assert (decision.value_minor, decision.customer_minor) == (found[0].both.bank_minor, found[0].both.customer_minor)


def test_what_a_customer_is_expected_to_lose_by_is_refused_as_harm_and_not_as_worthless() -> None:
    hurtful = {k: replace(a, harm_minor=5_000_000) for k, a in RULES.actions.items()}
    book = replace(BOOK, policy=replace(RULES, actions=hurtful))
    due = replace(everything_in_order()[0].due, amount_minor=150_000)
    options, refusals = engine.weigh(book, replace(asked(due=due, probability=0.6), policy=book.policy))
    believed = {a.id for a in RULES.actions.values() if a.uplift_low > 0}
    assert not options and {r.action for r in refusals if r.rule == "harm"} == {
        o.action for o in engine.weigh(BOOK, asked(due=due, probability=0.6))[0]
    }
    assert {r.action for r in refusals if r.rule == "harm"} <= believed


def test_an_assumption_that_decides_nothing_turns_nothing() -> None:
    due = replace(everything_in_order()[0].due, amount_minor=90_000)
    day = [asked(due=due, probability=p) for p in (0.1, 0.3, 0.5, 0.7)]
    found = tornado.turned(BOOK, SAID, day).set_index("name")
    assert set(found.index) == set(SAID)
    turns = found[["turns_at_low", "turns_at_high"]].max(axis=1)
    assert turns["averts.reminder"] == 0 < turns.max(), "a reminder is closed by its lower bound"
    assert (found["value_at_high"]["loss_lost_share"] > found["value"]["loss_lost_share"]).all()
    assert len(tornado.tornado(found.reset_index()).data) == 2


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ("value: 1200,", "value: 1300,", "a value in its range"),
        ("averts.help_offer:", "averts.nobody:", "lacks averts.help_offer"),
        (", source: assumption}", "}", "give"),
        (", source: assumption}", ", source: null}", "a source"),
        ("fee_minor:", "fees_minor:", "lacks fee_minor"),
    ],
)
def test_a_number_without_its_range_or_source_is_refused(was, now, told, tmp_path) -> None:
    text = (policy.shipped() / "ledgers.yaml").read_text()
    assert was in text
    (tmp_path / "ledgers.yaml").write_text(text.replace(was, now))
    with pytest.raises(PolicyError, match=told):
        ledgers.load_assumptions(RULES, tmp_path)
