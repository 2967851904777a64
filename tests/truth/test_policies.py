"""Policies that spend the same places on customers who taught nothing."""

import json

import numpy as np
import pandas as pd
import pytest

from predelinquency.ground.core import project_folder
from predelinquency.truth import policies, trials
from predelinquency.truth.bank import MODIFIERS, NAMES, Bank
from predelinquency.truth.potential import FIELDS

PAUSE, CALL = NAMES.index("payment_holiday"), NAMES.index("hardship_call")


@pytest.fixture(scope="module")
def bank():
    "6,000 moments of 2,000 customers; a pause averts half the misses of those who pay late, a call none."
    dice = np.random.default_rng(8)
    moments = pd.DataFrame({"customer_id": np.arange(6_000) // 3} | {m: dice.normal(size=6_000) for m in MODIFIERS})
    risk, late = 0.15 + 0.1 * (moments["risk"].to_numpy() > 0), moments["pay_after_due"].to_numpy() > 0
    moments["probability"], luck = risk, dice.random((6_000, 4))
    made = np.full((6_000, len(NAMES), 4, FIELDS), -1)
    for action, averts in ((0, 0.0), (CALL, 0.0), (PAUSE, 0.5)):
        made[:, action] = 0
        made[:, action, :, 0] = luck < (risk * (1 - averts * late))[:, None]
    made[::4, CALL] = -1
    return Bank(moments, made)


CONTEST = policies.Contest({PAUSE: (0.0, 0.3), CALL: (0.0, 0.3)}, trials.Plan((PAUSE, CALL), size=30_000))


def test_who_teaches_is_not_judged(bank):
    teaching, judged = policies.halves(bank, 3)
    assert len(teaching.moments) + len(judged.moments) == 6_000
    assert not set(teaching.moments["customer_id"]) & set(judged.moments["customer_id"])


def test_what_was_learned_beats_what_was_assumed_and_no_policy_beats_the_truth(bank):
    found = policies.policies_once(bank, CONTEST)
    averted = {name: one["arrears_less_per_1000"] for name, one in found["policies"].items()}
    assert set(averted) == set(policies.POLICIES) and averted["nothing"] == 0
    assert max(averted, key=averted.get) == "oracle"
    for name in ("random", "blanket", "risk", "as_assumed", "nothing"):
        assert found["learned_above"][name]["low"] > 0, name
    assert found["learned_above"]["oracle"]["high"] < 0
    contacts = {one["contacts"] for name, one in found["policies"].items() if name not in ("nothing", "oracle")}
    assert contacts == {found["places"]}, "the same places"
    assert json.dumps(policies.policies_once(bank, CONTEST)) == json.dumps(found)


def test_where_nothing_does_anything_nothing_is_averted_and_the_truth_contacts_nobody(bank):
    found = policies.policies_once(trials.null_of(bank), CONTEST)
    assert {one["arrears_less_per_1000"] for one in found["policies"].values()} == {0.0}
    assert found["policies"]["oracle"]["contacts"] == 0


def test_a_ranking_is_as_good_on_a_trial_as_it_is_in_truth(bank):
    found = policies.rankings(bank, CONTEST)
    pause, call = found["payment_holiday"], found["hardship_call"]
    assert pause["low"] > 0 and pause["low"] <= pause["true"] <= pause["high"] and pause["ranks"] > 0.15
    assert call["true"] == 0 and call["low"] <= 0 <= call["high"] and call["ranks"] is None


def test_what_is_kept_says_what_the_policies_averted():
    "The bars of the design, held against `predelinquency trials` at full length."
    found = json.loads((project_folder() / "data/reports" / trials.FILE).read_text())
    once = found["policies_once"]
    assert once["logged"] >= 99_000 and set(once["policies"]) == set(policies.POLICIES)
    assert once["learned_above"]["random"]["low"] > 0 and once["learned_above"]["blanket"]["low"] > 0
    oracle = once["learned_above"]["nothing"]["value"] - once["learned_above"]["oracle"]["value"]
    assert once["learned_above"]["risk"]["value"] >= -0.05 * oracle
    assert set(found["qini"]) == {NAMES[a] for a in trials.SHIPPED}
