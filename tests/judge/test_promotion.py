"""The champion changes only by the rule, on validation customers, and the same run always decides the same."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from signal_rows import NAMES, SIGNS, TRAIN, book, write
from tables import base

from predelinquency.ground.core import ParamsError
from predelinquency.judge import baselines, promotion
from predelinquency.model import calibrate, champion, learners, registry, train
from predelinquency.model import rows as model_rows
from predelinquency.model.rows import Rows

RULE = replace(TRAIN, promote_min_gain_auc=0.002, promote_max_ece=0.05, promote_max_loss_to_logistic=0.003)
THREE = learners.Recipe(NAMES[:3], TRAIN, {}, 1)
FINE = dict(auc=0.9, ece=0.001, gain=0.02, gain_low=0.01, gain_high=0.03, behind_logistic=-0.01)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("book")
    write(path, *book())
    return model_rows.gather(path, NAMES, base(), 10**6)


@pytest.fixture(scope="module")
def fits(rows):
    teachers = rows["train"].usable()
    return train.fit_boosters(rows, learners.Recipe(NAMES, TRAIN, SIGNS, 1)) | {
        "scorecard": learners.fit("scorecard", teachers.x, teachers.y, learners.Recipe(NAMES, TRAIN, SIGNS, 1))
    }


def numbers(fits, rows):
    held = rows["calibrate"].usable()
    return {n: calibrate.calibrate(learners.predict_margin(f, held.x), held.y, held.onsets) for n, f in fits.items()}


def test_a_challenger_that_keeps_every_part_of_the_rule_is_promoted():
    found = promotion.verdict({"xgboost": dict(auc=0.88, ece=0.001), "lightgbm": FINE}, "xgboost", RULE)
    assert (found["champion"], found["incumbent"]) == ("lightgbm", "xgboost") and found["rule"]["min_gain_auc"] == 0.002


@pytest.mark.parametrize(
    "worse,says",
    [
        (dict(gain_low=0.0019), "gain in AUC"),
        (dict(gain_low=None), "too few missed payments"),
        (dict(ece=0.06), "calibration error"),
        (dict(behind_logistic=0.0031), "behind the scorecard"),
        (dict(ece=None), "calibration error"),
    ],
)
def test_one_broken_part_is_enough_to_stay_a_challenger(worse, says):
    found = promotion.verdict({"xgboost": dict(auc=0.88, ece=0.001), "lightgbm": FINE | worse}, "xgboost", RULE)
    assert (
        found["champion"] == "xgboost"
        and says in found["learners"]["lightgbm"]["refused"][0]
        and "none of lightgbm" in found["because"]
    )


def test_the_edges_of_the_rule_are_within_it():
    edge = FINE | dict(gain_low=0.002, ece=0.05, behind_logistic=0.003)
    assert promotion.broken(edge, RULE) == []


def test_of_two_that_keep_the_rule_the_surer_gain_wins():
    found = promotion.verdict(
        {"xgboost": dict(auc=0.88, ece=0.001), "lightgbm": FINE, "scorecard": FINE | dict(auc=0.95, gain_low=0.005)},
        "xgboost",
        RULE,
    )
    assert found["champion"] == "lightgbm"


def test_the_comparison_is_paired_by_customer():
    rng = np.random.default_rng(5)
    n = 4000
    truth = rng.normal(-2, 1.5, n)
    y = (rng.random(n) < 1 / (1 + np.exp(-truth))).astype(int)
    held = Rows(pd.DataFrame(dict(customer_id=np.arange(n) // 8, target=pd.array(y, dtype="Int32"))), np.empty((n, 0)))
    margins = {"xgboost": truth + rng.normal(0, 1, n)}
    margins["lightgbm"] = margins["xgboost"] + rng.normal(
        0, 0.05, n
    )  # nearly the same: unpaired, the interval would be ten times as wide
    chance = {k: calibrate.probability(m, calibrate.platt(m, y)) for k, m in margins.items()}
    one = promotion.compare_learners(margins, chance, held, "xgboost", 1)["lightgbm"]
    assert one["gain_high"] - one["gain_low"] < 0.004 and one["gain_low"] < one["gain"] < one["gain_high"]


def test_the_test_customers_have_no_say(rows, fits):
    held = promotion.validation(rows)
    assert set(held.labels.split) == {"stop", "calibrate"} and not set(held.labels.customer_id) & set(
        rows["test"].labels.customer_id
    )
    other = {**rows, "test": rows["train"]}
    assert promotion.choose(fits, numbers(fits, rows), rows, RULE, 1) == promotion.choose(
        fits, numbers(fits, rows), other, RULE, 1
    )


def test_the_same_run_decides_the_same_and_says_why_in_plain_json(rows, fits):
    one, two = (promotion.choose(fits, numbers(fits, rows), rows, RULE, 1) for _ in range(2))
    assert one == two == json.loads(json.dumps(one, allow_nan=False))
    assert set(one["learners"]) == {"xgboost", "lightgbm", "scorecard"} and "gain" not in one["learners"]["xgboost"]


def test_a_learner_that_sees_nothing_never_becomes_champion(rows, fits):
    blind = {
        **fits,
        "lightgbm": learners.fit(
            "lightgbm", rows["train"].usable().x * 0, rows["train"].usable().y, learners.Recipe(NAMES, TRAIN, {}, 1)
        ),
    }
    found = promotion.choose(blind, numbers(blind, rows), rows, replace(RULE, learner="lightgbm"), 1)
    assert found["champion"] != "lightgbm" and found["incumbent"] == "lightgbm"  # and a blind incumbent is replaced


def test_the_budget_of_trials_is_kept_begins_with_the_settings_as_they_stand_and_repeats(rows):
    few = replace(RULE, trials=3, trees=20)
    how = learners.Recipe(NAMES, few, SIGNS, 7)
    study = promotion.tune("xgboost", rows, how)
    assert len(study["trials"]) == 3 and study["trials"][0]["params"] == {n: getattr(few, n) for n in promotion.SPACE}
    assert study == promotion.tune("xgboost", rows, how) == json.loads(json.dumps(study))
    assert study["trials"][study["best"]]["log_loss"] == min(t["log_loss"] for t in study["trials"])


def test_tuning_never_reads_a_test_row(rows):
    how = learners.Recipe(NAMES, replace(RULE, trials=2, trees=20), SIGNS, 7)
    poisoned = {**rows, "test": Rows(rows["test"].labels, rows["test"].x * np.nan)}
    assert promotion.tune("lightgbm", rows, how) == promotion.tune("lightgbm", poisoned, how)


def test_without_trials_nothing_is_tuned(rows):
    assert promotion.tuned(rows, learners.Recipe(NAMES, RULE, SIGNS, 1)) == ({}, {})


def test_a_new_model_is_held_against_the_one_in_use(rows, fits, tmp_path):
    write(tmp_path / "features", *book())
    for name in ("old", "new"):
        about = champion.manifest(
            champion.Trained(fits, "xgboost", "lightgbm", numbers(fits, rows), 0.2),
            rows,
            base(),
            TRAIN,
            {"panel": "00"},
        )
        margin = learners.predict_margin(fits["xgboost"], rows["test"].x)
        scores = pd.DataFrame(
            dict(probability=calibrate.probability(margin, about["calibrations"]["xgboost"]), margin=margin)
        ).assign(**dict.fromkeys((*champion.BASELINES, "challenger"), np.nan))
        champion.save(tmp_path / name, fits, about, champion.predictions(rows["test"].labels, scores, "test"))
    found = promotion.against(tmp_path / "new", tmp_path / "old", tmp_path / "features", base(), RULE)
    assert found["champion"] == "old" and found["learners"]["new"]["gain"] == 0  # the same model adds nothing
    few = train.fit_boosters({k: Rows(r.labels, r.x[:, :3]) for k, r in rows.items()}, THREE)
    champion.save(
        tmp_path / "fewer",
        few,
        {**about, "features": list(NAMES[:3])},
        champion.predictions(rows["test"].labels, scores, "test"),
    )
    with pytest.raises(ParamsError, match="same inputs"):
        promotion.against(tmp_path / "new", tmp_path / "fewer", tmp_path / "features", base(), RULE)


def trained(rows, fits, folder):
    "A model folder."
    fewer = {k: Rows(r.labels, r.x[:, : len(fits["xgboost"].features)]) for k, r in rows.items()}
    about = champion.manifest(
        champion.Trained(fits, "xgboost", "lightgbm", numbers(fits, fewer), 0.2), rows, base(), TRAIN, {"panel": "00"}
    )
    scores = pd.DataFrame(
        dict.fromkeys(("probability", "margin", *champion.BASELINES, "challenger"), 0.5),
        index=range(len(rows["test"].labels)),
    )
    return champion.save(folder, fits, about, champion.predictions(rows["test"].labels, scores, "test"))


def test_a_champion_is_made_by_the_rule_and_by_nothing_else(rows, fits, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    write(tmp_path / "features", *book())
    weak = train.fit_boosters(rows, learners.Recipe(NAMES, replace(TRAIN, trees=1, max_depth=1), SIGNS, 1))
    versions = {name: trained(rows, made, tmp_path / name).version for name, made in (("weak", weak), ("good", fits))}
    store, easy, hard = (
        tmp_path / "mlflow",
        replace(RULE, promote_min_gain_auc=0.001, promote_max_ece=1.0),
        replace(RULE, promote_min_gain_auc=0.9),
    )

    def entered(name, rule):
        registry.record(store, tmp_path / name)
        return promotion.enter(store, tmp_path / name, tmp_path / "features", base(), rule)

    def held():
        return {h["version"]: h["aliases"] for h in registry.history(store)}

    assert entered("weak", hard) == dict(champion=versions["weak"], because="nobody was champion") and held() == {
        versions["weak"]: ["champion"]
    }
    assert entered("weak", hard)["because"] == "it is the champion already" and held() == {
        versions["weak"]: ["champion"]
    }
    stays = entered("good", hard)
    assert (
        stays["champion"] == versions["weak"]
        and "its gain in AUC" in stays["because"]
        and held() == {versions["weak"]: ["champion"], versions["good"]: ["challenger"]}
    )
    assert entered("good", easy)["champion"] == versions["good"] and held() == {
        versions["weak"]: [],
        versions["good"]: ["champion"],
    }
    assert entered("weak", easy)["champion"] == versions["good"] and held() == {
        versions["weak"]: ["challenger"],
        versions["good"]: ["champion"],
    }
    few = train.fit_boosters({k: Rows(r.labels, r.x[:, :3]) for k, r in rows.items()}, THREE)
    trained(rows, few, tmp_path / "fewer")
    said = entered("fewer", easy)
    assert (
        "cannot be compared" in said["because"]
        and "same inputs" in said["because"]
        and registry.champion(store).version == versions["good"]
    )


@pytest.mark.parametrize(
    "won,tuned", [("xgboost", False), ("lightgbm", False), ("lightgbm_tuned", True), ("scorecard", False)]
)
def test_the_winner_is_the_model_that_is_kept_and_a_loser_leaves_no_trace_among_the_models(
    rows, fits, monkeypatch, won, tuned
):
    monkeypatch.setattr(promotion, "choose", lambda found, counted, *rest: dict(champion=won, among=sorted(found)))
    how = learners.Recipe(NAMES, replace(RULE, trials=1, trees=20), SIGNS, 1)
    ruling, kept, numbered = baselines._promoted(fits, numbers(fits, rows), rows, how)
    name = won.removesuffix("_tuned")
    assert (
        ruling["champion"] == name
        and set(kept) == set(numbered) == set(fits)
        and ruling["among"] == sorted([*fits, "lightgbm_tuned", "xgboost_tuned"])
    )
    assert {n for n in kept if kept[n] is not fits[n]} == ({name} if tuned else set()) and ("tuned" in ruling) == tuned
