"""Alarms in calm lives are as rare as declared, and a trouble is named because it runs."""

import numpy as np
import pandas as pd
import pytest

from predelinquency.ground import params
from predelinquency.ground.core import project_folder
from predelinquency.ground.schema import naming_dues
from predelinquency.reasons import changes
from predelinquency.reasons.past import columns, pasts
from predelinquency.truth import named
from predelinquency.world.world import Settings

SEED = 2_024  # neither of a run, nor of the world in which thresholds were set


@pytest.fixture(scope="module")
def lives():
    p = params.load(project_folder() / "params.yaml")
    tables, episodes, moments = named.apart(Settings(p.base, p.simulate), 1_200, every_days=56, seed=SEED)
    moments = moments[moments.as_of >= "2024-07-15"].sort_values(["customer_id", "as_of"]).reset_index(drop=True)
    return tables, episodes, naming_dues(moments)


def test_calm_lives_of_another_world_raise_each_alarm_no_oftener_than_declared(lives):
    tables, episodes, moments = lives
    quiet = named.calm_moments(episodes, moments)
    found = named.thresholds(changes.detect_many(pasts(columns(tables), quiet)))
    assert len(quiet) > 2_500
    noise = 3 * np.sqrt(found.rate * (1 - found.rate) / (len(quiet) / 2))  # two rows of a customer are alike
    assert (found.fires <= found.rate + noise).all(), found
    assert (found.threshold <= found.strong).all() and (found.in_use > 0).all()


def test_a_trouble_is_named_far_oftener_while_it_runs_among_all_customers(lives):
    tables, episodes, moments = lives
    told = changes.tabulate(moments, pasts(columns(tables), moments), {})
    found = named.value_names(moments, told, episodes, SEED)
    least = dict.fromkeys(named.HARMFUL, 2.0) | dict.fromkeys(("late_salary", "job_loss", "gambling", "rate_rise"), 3.0)
    assert {name: found[name]["ratio"] for name, ratio in least.items() if not found[name]["ratio"] >= ratio} == {}


def test_a_stress_runs_to_its_last_day_and_as_long_after_as_it_stays_visible():
    days = pd.to_datetime(["2025-01-10", "2025-02-10"]).astype("datetime64[ms]")
    went = pd.DataFrame(dict(customer_id=1, stress="gambling", start_on=days[:1], end_on=days[1:]))
    asked = pd.DataFrame(
        dict(customer_id=1, as_of=pd.to_datetime(["2025-01-10", "2025-01-11", "2025-02-10", "2025-02-12"]))
    )
    assert named.mark_running(went, asked, dict(gambling=0)).gambling.tolist() == [False, True, True, False]
    assert named.mark_running(went, asked, dict(gambling=2)).gambling.tolist() == [False, True, True, True]
    assert named.mark_running(went, asked, dict(rate_rise=2)).rate_rise.tolist() == [False] * 4


@pytest.mark.fast
def test_a_habit_of_naming_is_worth_one_and_knowledge_is_worth_more():
    rng, who = np.random.default_rng(3), np.arange(4_000) // 4
    on = np.repeat(rng.random(1_000) < 0.2, 4)
    habit = named.name_worth(rng.random(4_000) < 0.4, on, ~on, who, 1)
    assert habit["ratio_low"] < 1 < habit["ratio_high"] and abs(habit["ratio"] - 1) < 0.15
    knows = named.name_worth(on & (rng.random(4_000) < 0.5), on, ~on, who, 1)
    assert knows["ratio_low"] > 100 and knows["without"] == 0
    assert named.name_worth(on, on & (who < 4), ~on, who, 1)["ratio"] is None, "too few customers"
    assert named.name_worth(~on, on, ~on, who, 1)["ratio"] == 0


@pytest.mark.fast
def test_thresholds_keep_the_declared_rate_and_never_fall_below_what_is_worth_a_word():
    d = changes.DETECTORS[0]
    scores = pd.DataFrame({d.name: np.arange(1_000) / 10})
    found = named.thresholds(scores, [d]).loc[d.name]
    assert (scores[d.name] >= found.threshold).mean() <= d.rate < (scores[d.name] >= found.threshold - 0.2).mean()
    assert named.thresholds(scores * 0, [d]).threshold[d.name] == d.least


@pytest.mark.fast
def test_the_list_holds_the_highest_test_rows_and_weeks_that_only_look_bad_are_counted_apart():
    rows = pd.DataFrame(
        dict(customer_id=np.arange(100), as_of=pd.Timestamp("2025-05-05"), probability=np.arange(100) / 100)
    )
    rows = naming_dues(rows.assign(split=["live", *["test"] * 99], repeat=0, eligible=True))
    assert named.worked_list(rows, 0.05).customer_id.tolist() == [95, 96, 97, 98, 99]
    days = pd.to_datetime(["2025-05-01"] * 30)
    went = pd.DataFrame(dict(customer_id=np.r_[np.arange(70, 90), np.arange(90, 100)], start_on=days, end_on=days))
    went["stress"] = ["refund"] * 20 + ["gambling"] * 10
    found = named.cry_wolf(rows, went, threshold=0.8, share=0.15, seed=1)
    assert found["flagged"] == 0.5 and found["flagged_calm"] == 0 and found["customers"] == 20
    assert found["contacted"] == 0.2, "customers 86 to 89: the gamblers above them are not counted"


def test_strangers_are_listed_from_the_same_score_on_and_nothing_is_asked_of_the_others(lives):
    p = params.load(project_folder() / "params.yaml")
    some = {name: t[t.customer_id < 60] for name, t in lives[0].items()}

    class Poor:
        features = ("balance",)

        def probability(self, x):
            return np.where(x[:, 0] < 50_000, 0.3, 0.01)

    seen = named.watch(some, lives[1], Poor(), p.base, 7, least=0.3)
    assert 0 < len(seen.questions) < len(seen.weeks) and (seen.questions.probability == 0.3).all()
    assert seen.questions.eligible.all() and set(seen.found.customer_id) <= set(seen.questions.customer_id)
    twice = named.joined_lists([seen, seen])
    assert len(twice.found) == 2 * len(seen.found)
    found = named.validate(seen, 0.3, 0.05, seed=1)
    assert found["silent"] == pytest.approx(
        1 - len(seen.found.groupby(["customer_id", "as_of"])) / len(seen.questions), abs=1e-4
    )
    assert set(named.worth_table(found["named"]).index) == {
        n.replace("_", " ") for n in (*named.HARMFUL, *named.BENIGN)
    }
