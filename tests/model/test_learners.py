"Both boosters, the scorecard and the committee behind one interface."

import json

import numpy as np
import pytest
from signal_rows import NAMES, SIGNS, matrix, settings
from sklearn.metrics import roc_auc_score

from predelinquency.ground.core import ParamsError, SchemaError
from predelinquency.model import learners

X, Y = matrix(5000)
STOP = (X[3000:4000], Y[3000:4000])
JUDGED = slice(4000, 5000)
KINDS = ("xgboost", "lightgbm", "scorecard")


def fitted(kind, threads=1, seed=1, signs=SIGNS, **changes):
    if kind == "committee":
        return learners.committee([fitted(k) for k in KINDS])
    return learners.fit(
        kind, X[:3000], Y[:3000], learners.Recipe(NAMES, settings(**changes), signs, seed, threads), STOP
    )


@pytest.fixture(scope="module")
def fits():
    return {kind: fitted(kind) for kind in (*KINDS, "committee")}


@pytest.mark.parametrize("kind", [*KINDS, "committee"])
def test_a_learner_finds_a_signal_that_is_there(fits, kind):
    assert roc_auc_score(Y[JUDGED], learners.predict_margin(fits[kind], X[JUDGED])) > 0.75


@pytest.mark.parametrize("kind", KINDS)
def test_shuffled_outcomes_teach_nothing(kind):
    shuffled = np.random.default_rng(5).permutation(Y)
    fit = learners.fit(
        kind, X[:3000], shuffled[:3000], learners.Recipe(NAMES, settings(), {}, 1, 1), (STOP[0], shuffled[3000:4000])
    )
    found = roc_auc_score(shuffled[JUDGED], learners.predict_margin(fit, X[JUDGED]))
    assert abs(found - 0.5) < 0.1, "seed 5, 1,000 rows: standard error .03"


@pytest.mark.parametrize("kind", [*KINDS, "committee"])
def test_contributions_add_up_to_the_margin(fits, kind):
    margin, parts = learners.predict_margin(fits[kind], X[JUDGED]), learners.contributions(fits[kind], X[JUDGED])
    assert parts.dtype == np.float64 and parts.shape == (1000, len(NAMES) + 1)
    assert (np.abs(parts.sum(1) - margin) <= 1e-5 * np.maximum(1, np.abs(margin))).all()


@pytest.mark.parametrize("kind", [*KINDS, "committee"])
def test_a_saved_model_predicts_exactly_what_it_did(fits, kind, tmp_path):
    back = learners.load_learner(learners.save(fits[kind], tmp_path))
    assert back.learner == kind and back.features == NAMES
    assert (learners.predict_margin(back, X[JUDGED]) == learners.predict_margin(fits[kind], X[JUDGED])).all()
    assert (learners.contributions(back, X[JUDGED]) == learners.contributions(fits[kind], X[JUDGED])).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_inputs_give_the_same_bytes_on_one_thread_and_on_two(kind, tmp_path):
    files = []
    for name, threads in (("a", 1), ("b", 2), ("c", 2)):
        (tmp_path / name).mkdir()
        files.append(learners.save(fitted(kind, threads), tmp_path / name).read_bytes())
    assert files[0] == files[1] == files[2]


@pytest.mark.parametrize("kind", ["xgboost", "lightgbm"])
def test_another_seed_gives_another_model(kind, tmp_path):
    one, other = fitted(kind), fitted(kind, seed=2)
    assert (learners.predict_margin(one, X[JUDGED]) != learners.predict_margin(other, X[JUDGED])).any()


@pytest.mark.parametrize("kind", ["xgboost", "lightgbm"])
@pytest.mark.parametrize(("column", "sign"), [(0, 1), (1, -1)])
def test_the_risk_only_moves_the_way_the_catalogue_says(fits, kind, column, sign):
    "Swept over each of 200 rows, not only over the average one."
    for value in X[JUDGED][:200]:
        sweep = np.tile(value, (15, 1))
        sweep[:, column] = np.linspace(-3, 3, 15)
        assert (np.diff(learners.predict_margin(fits[kind], sweep)) * sign >= -1e-9).all()


@pytest.mark.parametrize("kind", ["xgboost", "lightgbm"])
def test_without_the_constraint_some_row_bends_the_other_way(kind):
    free = fitted(kind, signs={}, trees=200, early_stopping_rounds=200, max_depth=5, min_child_weight=0.0)
    sweep = np.repeat(X[JUDGED][:200], 15, axis=0)
    sweep[:, 0] = np.tile(np.linspace(-3, 3, 15), 200)
    assert (np.diff(learners.predict_margin(free, sweep).reshape(200, 15)) < -1e-6).any()


@pytest.mark.parametrize("kind", ["xgboost", "lightgbm"])
def test_training_stops_where_the_stop_rows_are_best(fits, kind):
    curve = fits[kind].curve["stop"]
    trees = {"xgboost": lambda m: m.num_boosted_rounds(), "lightgbm": lambda m: m.num_trees()}[kind](fits[kind].model)
    assert trees == int(np.argmin(curve)) + 1 < len(curve)


@pytest.mark.parametrize("kind", [*KINDS, "committee"])
def test_a_row_alone_scores_as_among_others(fits, kind):
    whole = learners.predict_margin(fits[kind], X[JUDGED])
    assert all(learners.predict_margin(fits[kind], X[4000 + i : 4001 + i])[0] == whole[i] for i in range(0, 1000, 97))


@pytest.mark.parametrize("kind", [*KINDS, "committee"])
def test_many_rows_are_scored_slice_by_slice_to_the_same_bit(fits, kind, monkeypatch):
    whole = learners.predict_margin(fits[kind], X[JUDGED])
    monkeypatch.setattr(learners, "SLICE", 333)
    assert np.array_equal(learners.predict_margin(fits[kind], X[JUDGED]), whole)


def test_the_scorecard_is_the_same_whatever_is_held_at_a_time(fits, monkeypatch):
    monkeypatch.setattr(learners, "SLICE", 333)
    monkeypatch.setattr(learners, "COLUMNS", 2)
    again = fitted("scorecard")
    assert again.model.keys() == fits["scorecard"].model.keys() and all(
        np.array_equal(v, fits["scorecard"].model[k]) for k, v in again.model.items()
    )


def test_unknown_is_not_zero_even_where_training_never_saw_it(fits):
    assert np.isfinite(X[:, 1]).all()
    unknown, zero = X[JUDGED][:50].copy(), X[JUDGED][:50].copy()
    unknown[:, 1], zero[:, 1] = np.nan, 0.0
    for kind in KINDS:
        assert (learners.predict_margin(fits[kind], unknown) != learners.predict_margin(fits[kind], zero)).any(), kind


@pytest.mark.parametrize("kind", KINDS)
def test_an_input_that_is_never_known_does_no_harm(kind):
    x = X[:3000].copy()
    x[:, 2] = np.nan
    fit = learners.fit(kind, x, Y[:3000], learners.Recipe(NAMES, settings(), SIGNS, 1))
    assert np.isfinite(learners.predict_margin(fit, x)).all()


def test_a_committee_is_the_mean_of_its_members(fits):
    members = np.mean([learners.predict_margin(fits[k], X[JUDGED]) for k in KINDS], axis=0)
    assert np.allclose(learners.predict_margin(fits["committee"], X[JUDGED]), members, rtol=0, atol=1e-12)


def test_members_with_other_inputs_are_refused(fits):
    other = learners.fit("scorecard", X[:3000, :2], Y[:3000], learners.Recipe(NAMES[:2], settings(), {}, 1))
    with pytest.raises(ParamsError, match="share their features"):
        learners.committee([fits["scorecard"], other])


@pytest.mark.parametrize(
    ("kind", "outcome", "says"),
    [
        ("forest", Y[:3000], "unknown learner 'forest'"),
        ("xgboost", np.zeros(3000), "0 positives of 3000"),
        ("lightgbm", np.ones(3000), "3000 positives of 3000"),
        ("scorecard", np.zeros(3000), "0 positives"),
    ],
)
def test_what_cannot_be_learned_is_refused(kind, outcome, says):
    with pytest.raises(ParamsError, match=says):
        learners.fit(kind, X[:3000], outcome, learners.Recipe(NAMES, settings(), {}, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_model_file_is_refused_by_name(fits, kind, tmp_path):
    path = learners.save(fits[kind], tmp_path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(SchemaError, match=path.name):
        learners.load_learner(path)


def test_a_missing_model_is_refused_with_the_stage_that_makes_it(tmp_path):
    with pytest.raises(SchemaError, match="run the train stage"):
        learners.load_learner(tmp_path / "xgboost.ubj")


def test_no_model_file_can_run_code(fits, tmp_path):
    "Pickles begin with 0x80; these are UBJ, text and JSON."
    for kind in KINDS:
        assert learners.save(fits[kind], tmp_path).read_bytes()[:1] in (b"{", b"t")


def test_the_scorecard_learns_that_not_knowing_is_a_sign():
    unknown = np.isnan(X[:, 3])
    y = (np.random.default_rng(9).random(5000) < np.where(unknown, 0.1, 0.5)).astype(float)
    margin = learners.predict_margin(
        learners.fit("scorecard", X[:4000], y[:4000], learners.Recipe(NAMES, settings(), {}, 1)), X[JUDGED]
    )
    assert margin[unknown[JUDGED]].mean() < margin[~unknown[JUDGED]].mean() - 1


def test_the_margin_before_any_tree_is_the_one_that_xgboost_itself_begins_with():
    import xgboost as xgb

    two = xgb.DMatrix(np.zeros((2, 1)), label=[0, 1])
    for chance in np.random.default_rng(1).random(100):
        booster = xgb.train(dict(objective="binary:logistic", base_score=float(np.float32(chance))), two, 0)
        said = json.loads(booster.save_config())["learner"]["learner_model_param"]["base_score"]
        assert learners.base_margin(said) == float(booster.predict(two, output_margin=True)[0])
