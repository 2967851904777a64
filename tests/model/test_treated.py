"""Outcomes of those who were helped must not teach: a world whose truth is known, in which the policy helps the riskiest."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from signal_rows import TRAIN, labels
from tables import base

from predelinquency.ground import schema
from predelinquency.ground.core import ParamsError, SchemaError
from predelinquency.model import calibrate, champion, learners, train
from predelinquency.model import labels as lb
from predelinquency.model import rows as model_rows
from predelinquency.model.rows import Rows

BASE = base()
FREE = replace(TRAIN, min_child_weight=2.0, trees=80)
SHARE = 0.2  # of the control group
HELPS = 0.9  # of misses that an offer prevents


def lived(customers=24_000, seed=4):
    "One moment a customer: untreated risk, what the policy did, and what happened. Returns rows, decisions and the true untreated log-odds."
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(customers, 2)).astype(np.float32)
    truth = -2.2 + 1.2 * x[:, 0] + 0.5 * x[:, 1]
    risky = x[:, 0] > 0.6  # whom the policy means to help: the riskiest it can see
    control = rng.random(customers) < SHARE
    helped = risky & ~control
    y = (rng.random(customers) < 1 / (1 + np.exp(-truth)) * np.where(helped, 1 - HELPS, 1.0)).astype(float)
    as_of = np.full(customers, np.datetime64("2024-06-03", "ms"))
    frame = labels(x, y, np.arange(customers), as_of)
    decisions = pd.DataFrame(
        dict(
            customer_id=np.arange(customers),
            as_of="2024-06-03",
            arm=np.where(control, "control", "treated"),
            propensity=np.where(control, SHARE, 1 - SHARE),
            intended=np.where(risky, "reminder", "nothing"),
            action=np.where(helped, "reminder", "nothing"),
        )
    )
    return Rows(frame, x), decisions, truth


def noted(decisions, tmp_path, outcomes="weighted"):
    decisions.to_parquet(tmp_path / "plan.parquet")
    return model_rows.decided(tmp_path / "plan.parquet", outcomes)


@pytest.fixture(scope="module")
def world():
    return lived()


def ranking(rows, truth, kind):
    "How often the model puts two fresh customers in their true untreated order."
    used = rows.usable()
    fitted = learners.fit(kind, used.x, used.y, learners.Recipe(("seen", "other"), FREE, {}, 1), weight=used.weight)
    fresh = lived(4000, seed=9)
    margin, true = learners.predict_margin(fitted, fresh[0].x), fresh[2]
    a, b = np.random.default_rng(0).integers(0, 4000, (2, 40_000))
    return float((np.sign(margin[a] - margin[b]) == np.sign(true[a] - true[b]))[a != b].mean())


@pytest.mark.parametrize("kind", ["xgboost", "lightgbm", "scorecard"])
def test_controls_and_weights_recover_the_untreated_ranking_and_all_does_not(world, tmp_path, kind):
    rows, decisions, truth = world
    found = noted(decisions, tmp_path)
    orders = {"all": ranking(rows, truth, kind)}
    for outcomes in ("controls", "weighted"):
        orders[outcomes] = ranking(
            model_rows.untreated({"train": rows}, found, outcomes, BASE)[0]["train"], truth, kind
        )
    assert orders["all"] + 0.1 < min(orders["controls"], orders["weighted"]) > 0.92, orders


def test_weighted_probabilities_are_those_of_untreated_people(world, tmp_path):
    rows, decisions, truth = world
    kept = model_rows.untreated({"train": rows}, noted(decisions, tmp_path), "weighted", BASE)[0]["train"].usable()
    risky, untreated = kept.x[:, 0] > 0.6, 1 / (1 + np.exp(-truth))
    assert np.average(kept.y, weights=kept.weight) == pytest.approx(
        untreated.mean(), rel=0.05
    )  # seed 4; without weights 30 % lower
    assert kept.y.mean() < 0.85 * untreated.mean() and rows.y.mean() < 0.7 * untreated.mean()
    assert np.average(risky, weights=kept.weight) == pytest.approx((rows.x[:, 0] > 0.6).mean(), rel=0.05)


def test_calibration_hears_the_weights(world, tmp_path):
    rows, decisions, truth = world
    kept = model_rows.untreated({"train": rows}, noted(decisions, tmp_path), "weighted", BASE)[0]["train"].usable()
    for onsets in (100, 5000):
        numbers = calibrate.calibrate(
            kept.x[:, 1].astype(float), kept.y, onsets, kept.weight
        )  # a score that does not know whom the policy helps
        assert np.average(calibrate.probability(rows.x[:, 1], numbers)) == pytest.approx(
            (1 / (1 + np.exp(-truth))).mean(), rel=0.06
        ), onsets


def test_without_decisions_nothing_is_touched(world, tmp_path):
    rows, _, _ = world
    same, said = model_rows.untreated({"train": rows}, model_rows.decided(tmp_path / "nothing", "all"), "all", BASE)
    assert same["train"] is rows and said == dict(outcomes="all", decisions=0) and rows.weight is None


def test_all_is_refused_once_somebody_was_helped(world, tmp_path):
    rows, decisions, _ = world
    with pytest.raises(ParamsError, match="would learn the policy"):
        model_rows.untreated({"train": rows}, noted(decisions, tmp_path, "all"), "all", BASE)
    idle = decisions.assign(intended="nothing", action="nothing")
    assert model_rows.untreated({"train": rows}, noted(idle, tmp_path, "all"), "all", BASE)[0]["train"] is rows


@pytest.mark.parametrize("days,touched", [(-29, False), (-28, True), (0, True), (28, True), (29, False)])
def test_a_decision_touches_the_moments_whose_outcome_it_can_reach(tmp_path, days, touched):
    moment = pd.DataFrame(dict(customer_id=[7], as_of=pd.to_datetime(["2024-06-03"])))
    decisions = pd.DataFrame(
        dict(
            customer_id=[7],
            as_of=[str((pd.Timestamp("2024-06-03") + pd.Timedelta(days=days)).date())],
            arm=["treated"],
            propensity=[0.9],
        )
    )
    control, spared, _ = model_rows.untouched(moment, noted(decisions, tmp_path), BASE)
    assert (bool(control[0]), bool(spared[0])) == (not touched, not touched)


def test_an_arm_for_good_counts_once_and_arms_drawn_anew_multiply(tmp_path):
    moment = pd.DataFrame(dict(customer_id=[1], as_of=pd.to_datetime(["2024-06-03"])))
    weekly = pd.DataFrame(
        dict(customer_id=1, as_of=["2024-06-03", "2024-06-10", "2024-06-17"], arm="control", propensity=[0.5, 0.5, 0.5])
    )
    assert model_rows.untouched(moment, noted(weekly, tmp_path), BASE)[2][0] == pytest.approx(0.5)
    anew = pd.concat([weekly, weekly.assign(customer_id=2, arm=["control", "treated", "control"])])
    assert model_rows.untouched(moment, noted(anew, tmp_path), BASE)[2][0] == pytest.approx(0.125)


def test_what_is_judged_comes_from_controls_and_needs_no_weight(world, tmp_path):
    rows, decisions, _ = world
    kept, said = model_rows.untreated(
        {"train": rows, "test": rows, "live": rows}, noted(decisions, tmp_path), "weighted", BASE
    )
    judged, control = kept["test"].usable(), set(decisions.customer_id[decisions.arm == "control"])
    assert judged.weight is None and set(judged.labels.customer_id) == control and kept["live"] is rows
    assert said["kept"] < said["rows"] and said["largest_weight"] > 1 and said["effective_rows"] < said["kept"]
    json.dumps(said)


def test_unusable_decisions_are_refused_with_their_reason(world, tmp_path):
    rows, decisions, _ = world
    with pytest.raises(ParamsError, match="no decisions"):
        model_rows.decided(tmp_path / "nowhere", "controls")
    with pytest.raises(ParamsError, match="use one of all, controls, weighted"):
        model_rows.decided(tmp_path / "nowhere", "treated")
    with pytest.raises(SchemaError, match="propensity"):
        noted(decisions.drop(columns="propensity"), tmp_path)
    with pytest.raises(ParamsError, match="no probability above 0"):
        model_rows.untreated({"train": rows}, noted(decisions.assign(propensity=np.nan), tmp_path), "weighted", BASE)
    with pytest.raises(ParamsError, match="no outcome is left"):
        model_rows.untreated({"train": rows}, noted(decisions.assign(arm="treated"), tmp_path), "controls", BASE)


def test_without_weights_nothing_changes(world):
    rows, _, _ = world
    for kind in ("xgboost", "lightgbm", "scorecard"):
        plain, even = (
            learners.fit(kind, rows.x[:3000], rows.y[:3000], learners.Recipe(("seen", "other"), FREE, {}, 1), weight=w)
            for w in (None, np.ones(3000))
        )
        assert np.allclose(
            learners.predict_margin(plain, rows.x[:200]), learners.predict_margin(even, rows.x[:200]), atol=1e-5
        )
    assert calibrate.platt(rows.x[:, 0], rows.y) == calibrate.platt(rows.x[:, 0], rows.y, np.ones(len(rows.y)))


@pytest.mark.parametrize("kind", ["xgboost", "lightgbm", "scorecard"])
def test_every_learner_hears_the_heavy_rows_and_not_the_light_ones(kind):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(4000, 2)).astype(np.float32)
    y, light = (x[:, 0] > 0).astype(float), rng.random(4000) < 0.6
    told = np.where(light, 1 - y, y)  # the light rows say the opposite
    fitted = learners.fit(
        kind,
        x,
        told,
        learners.Recipe(("seen", "other"), FREE, {}, 1),
        (x[light], told[light], np.full(light.sum(), 0.001)),
        weight=np.where(light, 0.001, 1.0),
    )
    margin = learners.predict_margin(fitted, x)
    assert margin[x[:, 0] > 0.5].min() > margin[x[:, 0] < -0.5].max()


@pytest.mark.parametrize("kind", train.BOOSTERS)
def test_training_stops_where_the_heavy_rows_say(kind):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(4000, 2)).astype(np.float32)
    y = (rng.random(4000) < 1 / (1 + np.exp(-2 * x[:, 0]))).astype(float)
    against = 1 - y[:1000]  # stop rows that contradict: believed, they stop the training at once
    both = (np.r_[x[:1000], x[1000:2000]], np.r_[against, y[1000:2000]])

    def trees(heavy):
        return champion.rounds(
            learners.fit(
                kind,
                x[2000:],
                y[2000:],
                learners.Recipe(("seen", "other"), FREE, {}, 1),
                (*both, np.r_[np.full(1000, 1 - heavy), np.full(1000, heavy)]),
            )
        )

    assert trees(0.01) < 5 < trees(0.99)


def test_weights_follow_their_rows(world):
    rows, _, _ = world
    weighted = Rows(rows.labels, rows.x, np.arange(len(rows.y), dtype=float))
    assert (weighted.where(np.array([5, 2])).weight == [5, 2]).all() and schema.TABLES and lb.SPLITS
