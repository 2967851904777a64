"""The same year twice: what binds the plan binds it here, and what is said of two lives is so."""

import json

import numpy as np
import pandas as pd
import pytest

from predelinquency.decide import engine, policy
from predelinquency.features import catalogue
from predelinquency.ground import params
from predelinquency.ground.core import ParamsError, project_folder
from predelinquency.ground.schema import validate
from predelinquency.truth import rules, twice
from predelinquency.truth.folk import MISSES, SENT
from predelinquency.truth.twice import Asked
from predelinquency.world.evidence import load_evidence

P = params.load(project_folder() / "params.yaml", {"simulate.customers": 100})
BOOK, EVIDENCE = engine.load_book(), load_evidence()


def by_hand(x):
    "Dues that nobody collects, the nearer the likelier."
    near = 1 / (1 + x[:, catalogue.names().index("asked_lead_days")])
    chance = np.where(x[:, catalogue.names().index("asked_autopay")] == 1, 0.03, near)
    return np.log(chance / (1 - chance)), chance


def lived(**asked):
    return twice.live_twice(P, by_hand, Asked(**dict(customers=150, weeks=20, shock=30) | asked))


@pytest.fixture(scope="module")
def loud():
    return lived(rule="everybody")


@pytest.fixture(scope="module")
def bold():
    return lived(rule="evidence")


def test_where_nothing_works_the_years_differ_in_the_contacts_alone(loud):
    vain = lived(rule="everybody", works=False)
    assert (vain.alone.purses == vain.helped.purses).all()
    assert (vain.alone.weeks[..., SENT + 1 :] == vain.helped.weeks[..., SENT + 1 :]).all()
    assert (vain.alone.purses == loud.alone.purses).all(), "one luck"
    people = twice.sums_of(vain)["people"]
    assert people["written_to"] > 50 and people["parted"] == people["fewer_misses"] == people["more_misses"] == 0


def test_the_control_group_the_caps_and_a_stop_bind_the_plan(bold):
    sent = bold.helped.sent
    assert len(sent) > 30
    assert {policy.arm(BOOK.policy, f"C{who:09d}") for who in sent["customer_id"]} == {"treated"}
    week, month = (BOOK.policy[f"cap_{name}_days"] for name in ("week", "month"))
    for _, mine in sent.groupby("customer_id"):
        days = mine["as_of"].to_numpy("datetime64[D]").astype(int)
        assert (np.diff(days) >= week).all()
        assert all(((days > day - month) & (days <= day)).sum() <= BOOK.policy["cap_month_contacts"] for day in days)
        stop = np.flatnonzero(mine["opted_out"])
        assert not len(stop) or stop[0] == len(mine) - 1, "nobody writes to who asked to hear no more"


def test_the_louder_rule_asks_the_control_group_too(loud):
    arms = pd.Series([policy.arm(BOOK.policy, f"C{who:09d}") for who in loud.helped.sent["customer_id"]])
    assert set(arms) == {"treated", "control"}


def test_capacity_is_a_day_s(loud):
    few = lived(rule="everybody", capacity=4)
    assert few.helped.sent.groupby("as_of").size().max() == 4 < loud.helped.sent.groupby("as_of").size().max()


def test_the_message_that_made_the_difference_did(loud):
    "With all messages up to it the lives part on that evening, without it they do not."
    who = twice.partings(loud)
    parted = who[who["parted_on"].notna()]
    assert len(parted) > 10 and (parted["noticed"] | parted["agreed"]).all()
    sent = loud.helped.sent
    day = sent["as_of"].dt.strftime("%Y-%m-%d")
    for row in parted.head(12).itertuples():
        place = np.flatnonzero(loud.who == row.customer_id)
        mine = sent["customer_id"] == row.customer_id
        on = int(np.datetime64(row.parted_on).astype(int)) - loud.first
        with_it, without = (
            twice.lived_with(loud, place, sent[mine & some]) for some in (day <= row.sent_on, day < row.sent_on)
        )
        alone = loud.alone.purses[place][0]
        assert (with_it[0, :on] == alone[:on]).all() and with_it[0, on] != alone[on]
        assert (without[0, : on + 1] == alone[: on + 1]).all()


def test_whoever_was_not_written_to_lives_one_life(loud):
    spared = ~np.isin(loud.who, loud.helped.sent["customer_id"])
    assert spared.any() and (loud.alone.purses[spared] == loud.helped.purses[spared]).all()


def test_sums_table_and_file_agree(loud, tmp_path):
    figures = twice.keep_twice(loud, tmp_path)
    table = validate(
        twice.TWICE,
        pd.read_parquet(tmp_path / "twice.parquet").astype({"life": pd.CategoricalDtype(list(twice.LIVES))}),
    )
    assert len(table) == 2 * 7 * 20
    for life in twice.LIVES:
        mine = table[table["life"] == life]
        assert mine["misses"].sum() == figures[life]["misses"] == getattr(loud, life).weeks[..., MISSES].sum()
        assert mine["contacts"].sum() == figures[life]["contacts"]
    read = json.loads((tmp_path / "twice.json").read_text())
    assert read["difference"]["misses"] == read["helped"]["misses"] - read["alone"]["misses"]
    assert len(read["partings"]) == read["people"]["parted"] > 0
    said = twice.in_a_sentence(figures)
    assert f"{figures['alone']['misses']:,} payments" in said and "30 of whom lost their work" in said


def test_a_rule_believes_what_it_says(bold):
    believed = rules.believing(BOOK, EVIDENCE).policy.actions
    assert believed["just_in_time"].uplift_low == pytest.approx(0.06)
    assert all(believed[k].uplift_low >= a.uplift_low for k, a in BOOK.policy.actions.items())
    assert bold.helped.sent["action"].nunique() > 1


@pytest.mark.parametrize("wrong", [dict(weeks=500), dict(rule="loud"), dict(shock=151), dict(every=3)])
def test_what_cannot_be_lived_is_refused(wrong):
    with pytest.raises(ParamsError):
        lived(**wrong)
