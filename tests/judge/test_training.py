"""How a training is shown: points that agree with the measures, and nothing where nothing is known."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from predelinquency.features import catalogue
from predelinquency.judge import training
from predelinquency.model.champion import BASELINES
from predelinquency.model.rows import Rows

pytestmark = pytest.mark.fast


def judged(n=500):
    rng = np.random.default_rng(1)
    y = (rng.random(n) < 0.2) * 1.0
    frame = pd.DataFrame(dict(repeat=np.arange(n) % 2, y=y, probability=rng.random(n), challenger=rng.random(n) + y))
    frame = frame.assign(exposed=rng.random(n) < 0.5, straight_roller=False)
    return frame.assign(**{name: np.nan for name in BASELINES})


def test_scores_rank_the_first_repeat_and_a_rule_without_a_score_has_no_figure():
    rows = judged()
    side = training.side_by_side(rows, "one", "other")
    first = rows[rows.repeat == 0]
    assert side.loc["other", "all rows"] == pytest.approx(roc_auc_score(first.y, first.challenger), abs=1e-12)
    some = first[first.exposed]
    assert side.loc["one", "something due"] == pytest.approx(roc_auc_score(some.y, some.probability), abs=1e-12)
    assert side.loc[list(BASELINES)].isna().all().all() and side["clean for 180 days"].isna().all()
    assert side.index.tolist() == ["one", "other", *BASELINES]


def test_a_split_without_rows_is_left_out_and_usable_rows_are_counted():
    week = pd.Timestamp("2025-03-03")
    labels = pd.DataFrame(dict(customer_id=[0, 1], as_of=week, eligible=True, imminent=[False, True], target=[1, 0]))
    rows = Rows(labels.assign(onset_in_days=20.0), np.zeros((2, 1)))
    found = training.blocks(dict(train=rows, stop=rows.where(np.zeros(2, bool))), False)
    assert found.split.tolist() == ["train"] and found[["rows", "usable", "positives", "onsets"]].values.tolist() == [
        [2, 1, 1, 1]
    ]
    assert training.blocks(dict(test=rows), True).split.tolist() == ["every row, out of fold"]


def test_the_report_says_none_for_what_is_not_known_and_names_what_pushes_most():
    names = catalogue.names()
    push = pd.DataFrame(dict(one=np.arange(len(names)), other=0.0), index=names)
    manifest = dict.fromkeys(training.CARRIED, 1) | dict(calibration=dict(kind="platt"))
    champion = SimpleNamespace(manifest=manifest, threshold=0.1, version="v")
    about = dict(outcomes={}, promotion=dict(because="x", studies=[1]))
    why = training.reasons_of(judged(), "one", "other")
    report = training.training_figures(champion, about, training.side_by_side(judged(), "one", "other"), push, why)
    assert report["auc_not_known"]["calendar"] == "not known, because nothing falls due in the window"
    assert {name for name, v in report["auc"].items() if v is None} == set(report["auc_not_known"]) == {*BASELINES}
    assert report["auc"][BASELINES[0]] is None and 0 < report["auc"]["one"] < 1
    assert next(iter(report["importance"])) == names[-1] and len(report["importance"]) == 20
    assert report["promotion"] == dict(because="x") and report["onsets_for_calibration"] is None
    assert training.ruling({})["learners"] == {}
