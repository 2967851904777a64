"""Months in which everybody is hit: the same customers and the same luck, the shock and nothing else."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from predelinquency.ground import params
from predelinquency.ground.core import ParamsError, to_day
from predelinquency.ground.disk import Part
from predelinquency.model import labels as lb
from predelinquency.truth import shock
from predelinquency.world import stress, world

PROJECT = Path(__file__).parents[2]
SOME = Part(20_000, 20_150)


@pytest.fixture(scope="module")
def lived(settings):
    "The same customers in the world as it is, under a shock that changes nothing, and under the declared one."
    at, hard = world.Settings(settings.base, settings.simulate), shock.declared(settings.base, settings.evaluate)
    return dict(
        calm=world.tables_of(at, SOME),
        same=shock.shock_tables(shock.Shock(hard.on, 1.0, 1.0))(at, SOME),
        hard=shock.shock_tables(hard)(at, SOME),
    ), hard


def test_a_shock_that_changes_nothing_is_the_world_to_the_last_bit(lived):
    tables, _ = lived
    for name, frame in tables["same"][0].items():
        pd.testing.assert_frame_equal(frame, tables["calm"][0][name])
    pd.testing.assert_frame_equal(tables["same"][1]["protected"], tables["calm"][1]["protected"])


def test_everything_before_its_day_is_as_it_was_and_much_after_it_is_not(lived):
    tables, hard = lived
    calm, hit = (tables[k][0]["transactions"] for k in ("calm", "hard"))
    day = np.datetime64(hard.on, "D")
    pd.testing.assert_frame_equal(
        calm[calm.booked_at < day].reset_index(drop=True), hit[hit.booked_at < day].reset_index(drop=True)
    )
    after = [f[f.booked_at >= day] for f in (calm, hit)]
    pay, bills = ([f[f.category == c].amount_minor.sum() for f in after] for c in ("salary", "utility"))
    assert pay[1] < pay[0] and bills[1] < bills[0] < 0


def test_it_begins_some_days_before_the_first_judged_week_and_hits_work_alone(settings):
    hard = shock.declared(settings.base, settings.evaluate)
    assert hard.on == lb.blocks(settings.base)["test"][0] - settings.evaluate.shock_days
    after, before = hard.stresses(), stress.stress_matrix()
    ratio = after["per_year"] / before["per_year"]
    assert (ratio[:3] == settings.evaluate.shock_work).all() and (ratio[3:] == 1).all()
    assert all((after[name] == before[name]).all() for name in before.dtype.names if name != "per_year")
    with pytest.raises(ParamsError, match="factors above 0"):
        shock.declared(settings.base, replace(settings.evaluate, shock_work=0.0))


def by_hand(times, people=400):
    rng = np.random.default_rng(5)
    p = np.repeat(rng.uniform(0.02, 0.3, people), 2)
    rows = pd.DataFrame(
        dict(
            customer_id=np.repeat(np.arange(people), 2),
            as_of=np.tile(np.array(["2025-04-08", "2025-05-06"], "datetime64[ms]"), people),
            eligible=True,
            imminent=False,
            onset_in_days=20.0,
        )
    )
    return shock.frame(rows.assign(target=(rng.random(2 * people) < times * p).astype(int)), p)


def test_twice_the_misses_at_the_same_scores_double_observed_over_expected_and_the_loss_is_paired(settings):
    hard, few = shock.declared(settings.base, settings.evaluate), replace(settings.evaluate, bootstrap=50)
    same = shock.measure_shock(by_hand(1), by_hand(1), hard, settings.base, few)
    assert (
        same["lost_auc"] == same["lost_auc_low"] == same["lost_auc_high"] == 0 and same["onsets"] == same["onsets_calm"]
    )
    worse = shock.measure_shock(by_hand(1), by_hand(2), hard, settings.base, few)
    assert (
        worse["observed_expected"] / worse["observed_expected_calm"] == pytest.approx(2, rel=0.15)
        and worse["onsets"] > 1.7 * worse["onsets_calm"]
    )
    assert worse["auc_low"] < worse["auc"] < worse["auc_high"] and set(worse["by_month"]) == {"2025-04", "2025-05"}
    assert (
        f"instead of {worse['onsets_calm']}" in shock.shock_sentence(worse)
        and "by_month" in worse
        and "low" not in worse
    )
    table = shock.shock_table(worse)
    assert table.when.tolist()[::4] == ["all judged weeks", "2025-04", "2025-05"] and table["with"].notna().all()


def test_a_month_with_too_few_misses_says_nothing(settings):
    calm = by_hand(1)
    empty = calm.assign(target=np.where(calm.as_of < np.datetime64("2025-05-01"), 0, calm.target))
    found = shock.measure_shock(
        empty,
        empty,
        shock.declared(settings.base, settings.evaluate),
        settings.base,
        replace(settings.evaluate, bootstrap=30),
    )
    assert (
        found["by_month"]["2025-04"] == dict(auc=None, why="too few customers missed a payment")
        and found["by_month"]["2025-05"]["auc"] is not None
    )


def test_the_evaluation_tells_what_the_shock_does(trained, settings):
    metrics = json.loads((trained / "reports/metrics.json").read_text())
    base = params.section(params.Base, json.loads((trained / "model/manifest.json").read_text())["params"]["base"])
    found = metrics["shock"]
    assert (
        found["customers"] <= 600
        and to_day(found["begins"]) == lb.blocks(base)["test"][0] - settings.evaluate.shock_days
    )
    assert 0 < found["missed_share_calm"] < 0.02 and found["auc"] is not None and found["observed_expected"] > 0
    assert metrics["headline"]["customers"] > 600, "the shocked are in no other figure"
    assert "The same customers with and without the shock" in (trained / "reports/evaluate.ipynb").read_text()


def test_among_the_customers_of_the_shipped_report_hard_times_make_more_of_them_miss():
    "A world of some hundred customers misses a handful of payments and cannot show it."
    found = json.loads((PROJECT / "data/reports/metrics.json").read_text())["shock"]
    assert found["customers"] >= 3000 and found["onsets"] > found["onsets_calm"]
    assert found["missed_share"] > found["missed_share_calm"]
    assert found["observed_expected"] > found["observed_expected_calm"]
