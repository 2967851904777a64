"""The shipped policy claims of help no more than the evidence allows, and only at the moments of which the evidence speaks."""

from dataclasses import replace

import pytest

from predelinquency.decide import policy
from predelinquency.decide.policy import Action
from predelinquency.world.practice import HABITS
from predelinquency.world.evidence import Band, lasting, load_evidence

pytestmark = pytest.mark.fast
RULES, EVIDENCE = policy.load_policy(), load_evidence()
NAMED = {"autopay_nudge": "autopay", "due_date_change": "date_change"}  # all others have one name in both files
HELP = {a.id: a for a in RULES.actions.values() if a.channels}
RETURNS = {"payment_holiday"}  # most of what it averts comes back: its number is what lasts
EVE = {"just_in_time": 1}  # trials speak of the day itself, a rule ends every word on its eve: so many days before


def bands(action: str) -> list[Band]:
    return [b for b in EVIDENCE.bands if b.action == NAMED.get(action, action)]


def claims_too_much(action: Action, band: Band) -> bool:
    low, high = lasting(band) if action.id in RETURNS else band.effect
    return not low <= action.uplift_low <= high or action.uplift_low > max(0, (low + high) / 2)


def outside(action: Action, band: Band) -> bool:
    (first, last), (near, far) = action.lead_days, band.lead_days
    return first < near or last > far + EVE.get(action.id, 0)


def wrong(action: Action) -> list[str]:
    "What the evidence does not allow; of an action with several moments, at the one that lies ahead of the due date."
    ahead = [b for b in bands(action.id) if b.lead_days[1] >= 0]
    return [
        f"{action.id}: {what}"
        for b in ahead
        for what, so in (("its number", claims_too_much(action, b)), ("its days", outside(action, b)))
        if so
    ] or ([] if ahead else [f"{action.id}: no band"])


@pytest.mark.parametrize("name", HELP)
def test_an_action_claims_no_more_than_its_band_and_at_no_other_time(name: str) -> None:
    assert wrong(HELP[name]) == []


@pytest.mark.parametrize("name", HELP)
def test_a_number_or_a_day_beyond_the_band_is_found(name: str) -> None:
    action, (band, *_) = HELP[name], bands(name)
    low, high = lasting(band) if name in RETURNS else band.effect
    for number in (low - 0.001, max(0, (low + high) / 2) + 0.001, high + 0.001):
        assert wrong(replace(action, uplift_low=number)) == [f"{name}: its number"]
    first, last = action.lead_days
    for days in ((int(band.lead_days[0]) - 1, last), (first, int(band.lead_days[1]) + EVE.get(name, 0) + 1)):
        assert wrong(replace(action, lead_days=days)) == [f"{name}: its days"]


def test_every_action_ahead_of_the_due_date_is_in_the_policy_and_what_comes_after_it_is_not() -> None:
    ahead = {b.action for b in EVIDENCE.bands if b.lead_days[1] >= 0 and b.lead_days[0] >= 0}
    assert {NAMED.get(name, name) for name in HELP} == ahead


@pytest.mark.parametrize("name", HELP)
def test_the_source_says_its_band_and_that_it_is_an_assumption_and_names_who_found_it(name: str) -> None:
    said, (band, *_) = HELP[name].sources["uplift_low"], bands(name)
    low, high = (f"{100 * x:.0f}".replace("-", "−") for x in band.effect)
    how = "what lasts of the low end of" if name in RETURNS else "inside"
    assert said.startswith(f"assumption, {how} the band {low} to {high} % of world/evidence.yaml: ")
    authors = {EVIDENCE.studies[study].source.split(",")[0] for study in band.studies}
    assert any(author in said for author in authors)


def test_words_days_ahead_and_a_referral_are_never_worth_their_disturbance() -> None:
    assert {name for name, a in HELP.items() if a.uplift_low == 0} == {"reminder", "help_offer", "debt_advice"}


def test_what_a_simulated_bank_said_before_it_can_say_today() -> None:
    assert {h.action for h in HABITS} <= set(HELP)
