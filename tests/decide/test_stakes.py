"""What is at stake is what the policy says of every single case."""

from datetime import date

import pytest

from predelinquency.decide import engine, stakes
from predelinquency.decide.policy import Due
from predelinquency.ground.schema import TARGET_KINDS

pytestmark = pytest.mark.fast
BOOK = engine.load_book()
RULES = BOOK.policy


def test_the_contact_that_a_threshold_is_weighed_by_is_the_cheapest_of_those_that_avert_something():
    def cost(action, channel):
        return stakes.worth(BOOK, action, channel).contact_minor

    ways = [(a.id, c) for a in RULES.actions.values() if a.uplift_low > 0 for c in a.channels]
    assert stakes.worth(BOOK) == stakes.worth(BOOK, *min(ways, key=lambda way: cost(*way)))


@pytest.mark.parametrize("kind", TARGET_KINDS)
@pytest.mark.parametrize(("action", "channel"), [("just_in_time", "app"), ("hardship_call", "call")])
def test_the_numbers_handed_over_give_what_a_miss_costs_the_bank_and_what_a_contact_costs_both(kind, action, channel):
    told = stakes.worth(BOOK, action, channel)
    for amount in (0, 12_345, 180_000):
        due = Due(1, 1, kind, date(2025, 3, 20), amount, "GBP", True)
        loss = told.handling_minor[kind] + told.lost_shares[kind] * amount
        assert loss == pytest.approx(engine.lost(RULES, BOOK.at, due).bank_minor, abs=0.01) and (loss > 0) == (
            kind != "rent"
        )
        never = engine.worth(BOOK, (RULES.actions[action], channel), 0.0, due).both
        assert told.contact_minor == -never.bank_minor - never.customer_minor


def test_the_contact_is_said_in_words_and_the_costs_in_the_policy_s_currency():
    told = stakes.worth(BOOK)
    assert (
        told.contact == "a friendly note on the day before the payment, by app" and told.currency == RULES["currency"]
    )
