"""What a source lacks is named, with its reason: nothing is made up for it, and no library is asked the impossible."""

import numpy as np
import pandas as pd
import pytest

from predelinquency.ground import coverage, params, schema
from predelinquency.ground.core import ParamsError, SchemaError, project_folder
from predelinquency.judge import baselines, rival
from predelinquency.model import labels, learners, train
from predelinquency.model.rows import Rows

P = params.Train(**{name: 0 for name in params.Train.__dataclass_fields__})
BASE = params.load(project_folder() / "params.yaml").base
Y = np.array([0.0, 1.0, 0.0, 0.0])


def rows(**changes) -> Rows:
    table = pd.DataFrame(0, index=range(4), columns=list(baselines.CALENDAR)).assign(
        target=Y, eligible=True, imminent=False, **changes
    )
    return Rows(table, np.zeros((4, 0), np.float32))


@pytest.mark.parametrize("x", [np.zeros((4, 2)), np.full((4, 3), np.nan)], ids=["one value", "never known"])
def test_a_scorecard_without_an_input_that_varies_says_the_base_rate(x):
    card = learners.fit("scorecard", x, Y, learners.Recipe([f"x{i}" for i in range(x.shape[1])], P, {}, 0))
    assert 1 / (1 + np.exp(-learners.predict_margin(card, x))) == pytest.approx(0.25, abs=1e-6)


def test_where_nothing_falls_due_in_the_window_the_calendar_has_no_score():
    assert np.isnan(baselines.calendar_scores(rows(), rows(), P, 0)).all()


def test_where_the_same_falls_due_for_everybody_the_calendar_says_the_same_of_all():
    same = rows(due_count_loan=1, due_minor_loan=500)
    assert len(set(baselines.calendar_scores(same, same, P, 0))) == 1


def test_where_nothing_is_known_of_anybody_the_reference_says_the_base_rate_of_the_others():
    moments = pd.DataFrame(
        dict(
            customer_id=range(4),
            as_of=pd.to_datetime(["2024-06-01"] * 4).astype("datetime64[ms]"),
            target=Y.astype(int),
        )
    )
    empty = {name: pd.DataFrame({c.name: [] for c in table.columns}) for name, table in schema.TABLES.items()}
    timed = {
        name: frame.astype({c.name: "datetime64[ms]" for c in schema.TABLES[name].columns if c.kind == "time"})
        for name, frame in empty.items()
    }
    found = rival.scores(timed, moments, np.array([[0, 1, 0, 1]]), P, 0)
    assert found.tolist() == [[0.5, 0.0, 0.5, 0.0]]


def test_a_source_without_accounts_is_told_that_weekly_moments_need_one():
    seen = coverage.Seen(19_723, 20_270)
    with pytest.raises(SchemaError, match="the source has no accounts"):
        labels.check_asked(0, BASE, seen, 0)
    with pytest.raises(SchemaError, match="no customer has joined"):
        labels.check_asked(0, BASE, seen, 5)


@pytest.mark.parametrize(
    "bad, said",
    [(0, "bring more moments that went badly"), (1, "bring more moments that went badly"), (3, "--set train.folds=3")],
)
def test_too_few_that_went_badly_are_refused_with_what_would_help(bad, said):
    target = (np.arange(40) < bad).astype(int)
    with pytest.raises(ParamsError) as refusal:
        train.folds(np.arange(40), target, 5, 2, 1)
    assert said in str(refusal.value)


@pytest.mark.parametrize("learner", ["xgboost", "lightgbm", "scorecard"])
@pytest.mark.parametrize("y", [np.zeros(4), np.ones(4)], ids=["nobody", "everybody"])
def test_one_outcome_is_refused_in_our_words_by_every_learner(learner, y):
    with pytest.raises(ParamsError, match="a model learns from both outcomes"):
        learners.fit(learner, np.arange(4.0)[:, None], y, learners.Recipe(["x"], P, {}, 0))
