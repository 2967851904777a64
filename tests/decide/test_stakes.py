"""What is at stake is what the policy says of every single case."""

from datetime import date

import pytest

from predelinquency.decide import engine, policy, stakes
from predelinquency.decide.policy import Due
from predelinquency.ground.schema import TARGET_KINDS

pytestmark = pytest.mark.fast
RULES = policy.load_policy()


def test_the_contact_that_a_threshold_is_weighed_by_is_the_cheapest_of_those_that_avert_something():
    def cost(action, channel):
        return stakes.worth(RULES, action, channel).contact_minor

    ways = [(a.id, c) for a in RULES.actions.values() if a.uplift_low > 0 for c in a.channels]
    assert stakes.worth(RULES) == stakes.worth(RULES, *min(ways, key=lambda way: cost(*way)))


@pytest.mark.parametrize("kind", TARGET_KINDS)
@pytest.mark.parametrize(("action", "channel"), [("just_in_time", "app"), ("hardship_call", "call")])
def test_the_numbers_handed_over_give_the_value_that_the_engine_gives(kind, action, channel):
    told = stakes.worth(RULES, action, channel)
    for amount, p in ((0, 0.3), (12_345, 0.02), (180_000, 0.5)):
        due = Due(1, 1, kind, date(2025, 3, 20), amount, "GBP", True)
        loss = told.handling_minor + told.lost_shares[kind] * amount
        assert loss == pytest.approx(engine.loss_minor(RULES, due), abs=0.01)
        value = p * told.uplift_low * loss - told.contact_minor
        assert value == pytest.approx(engine.value_minor(RULES, RULES.actions[action], channel, p, due), abs=0.02)


def test_the_contact_is_said_in_words_and_the_costs_in_the_policy_s_currency():
    told = stakes.worth(RULES)
    assert (
        told.contact == "a friendly note on the day before the payment, by app" and told.currency == RULES["currency"]
    )
