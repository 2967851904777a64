"""Ways of choosing spend the same places on the same town."""

import numpy as np
import pandas as pd
import pytest

from predelinquency.features import catalogue
from predelinquency.ground import params
from predelinquency.ground.core import project_folder
from predelinquency.truth import contest, policies, trials
from predelinquency.truth.bank import MODIFIERS, NAMES, Bank, lottery
from predelinquency.truth.folk import MISSES, SENT
from predelinquency.truth.potential import FIELDS
from predelinquency.world.actions import null_acts

PAUSE, DATE = NAMES.index("payment_holiday"), NAMES.index("date_change")
P = params.load(project_folder() / "params.yaml", {"simulate.customers": 100})
SIZE, WEEKS = 240, 8


def by_hand(x):
    "Dues, the nearer the likelier."
    chance = 1 / (2 + x[:, catalogue.names().index("asked_lead_days")])
    return np.log(chance / (1 - chance)), chance


@pytest.fixture(scope="module")
def rules():
    "Holidays avert half the misses of those who taught, another date none."
    dice = np.random.default_rng(3)
    moments = pd.DataFrame({"customer_id": np.arange(4_000)} | {m: dice.normal(size=4_000) for m in MODIFIERS})
    luck, made = dice.random((4_000, 4)), np.full((4_000, len(NAMES), 4, FIELDS), -1)
    for action, share in ((0, 0.2), (DATE, 0.2), (PAUSE, 0.1)):
        made[:, action] = (luck < share)[..., None]
    asked = policies.Contest({PAUSE: (0.0, 0.5), DATE: (0.0, 0.5)}, trials.Plan((PAUSE, DATE), size=12_000))
    bank = Bank(moments, made)
    known = policies.taught(trials.trial_of(bank, asked.plan, lottery(bank, asked.plan.which), 0), asked.bands)
    return contest.Rules(asked, known, most=0.5, places=0.05, customers=SIZE, weeks=WEEKS)


def lived(rules, **more):
    return contest.live_contest(P, by_hand, rules, **more)


def test_all_have_the_same_places_and_one_luck(rules):
    half, none = lived(rules), lived(rules, acts=null_acts())
    found, vain = half.sums, none.sums
    most = round(rules.places * SIZE) * WEEKS
    for name, sums in found.items():
        sent = int(sums[:, SENT].sum())
        assert sent == 0 if name == "nothing" else 0 < sent <= most, name
        same = (vain[name][:, SENT + 1 :] == vain["nothing"][:, SENT + 1 :]).all()
        assert same, f"{name}: where nothing works the years differ in the contacts alone"
    assert (found["nothing"] == vain["nothing"]).all()
    assert any((s[:, MISSES] != found["nothing"][:, MISSES]).any() for s in found.values())
    figures = contest.contest_figures(half, 30.0)
    for name, one in figures["policies"].items():
        assert one["averted"]["value"] == found["nothing"][:, MISSES].sum() - found[name][:, MISSES].sum()
    assert contest.contest_figures(none, 30.0)["policies"]["learned"]["averted"] == dict(value=0, low=0, high=0)


def test_a_due_is_asked_about_once_and_the_learned_way_prefers_what_was_seen_to_work(rules):
    start = contest.hushed(contest.settle(P, range(100, 100 + SIZE), contest.ground(P).end - 7 * WEEKS))
    share = {}
    for name in ("learned", "as_assumed"):
        sent = contest.live_through(start, WEEKS, contest.Way(contest.Rival(name, rules), by_hand)).sent
        assert len(sent) and not sent.duplicated(["customer_id", "obligation_id", "instalment"]).any()
        share[name] = (sent["action"] == "payment_holiday").mean()
    assert share["learned"] > 0.8 > 0.5 > share["as_assumed"], "the bands alone cannot tell the two apart"


def test_what_a_bank_cannot_offer_is_not_offered():
    dues = pd.DataFrame(dict(kind=["loan", "card", "rent", "mortgage"], autopay=[True, False, False, False]))
    can = pd.DataFrame(contest.can_be_done(dues), columns=NAMES)
    assert can["autopay"].tolist() == [False, True, False, True]
    assert can["payment_holiday"].tolist() == [True, False, False, True]
    assert can["date_change"].tolist() == [True, True, False, True] and can["reminder"].all()


def test_help_by_need_counts_what_a_group_would_have_missed_and_gives_few_no_ratio():
    sums = {way: np.zeros((90, contest.OVERDUE + 3), np.int64) for way in policies.POLICIES}
    sums["nothing"][:, MISSES] = 1
    sums["learned"][:, MISSES], sums["learned"][:30, MISSES] = 1, 0
    sums["risk"][:, MISSES], sums["risk"][:60, SENT] = 1, 2
    people = pd.DataFrame(dict(customer_id=np.arange(90), sex=["female"] * 60 + ["male"] * 20 + ["other"] * 10))
    found = contest.help_by_need(contest.Half(sums, people))["sex"]
    assert found["female"]["learned"] == dict(offers=0, averted=0.5) and found["female"]["risk"]["offers"] == 2
    assert found["male"] == dict(customers=20, missed=20, why="20 missed payments, and 30 are needed")
