"""What a source lacks is named, with its reason: nothing is made up for it, and no library is asked the impossible."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from lacking import Gone, evaluated, rows_of, tables_of, trained

from predelinquency.ground import coverage, params, schema
from predelinquency.ground.core import ParamsError, SchemaError, project_folder
from predelinquency.judge import baselines, rival, statistics, window_rivals
from predelinquency.judge import report as judge_report
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


NOTHING = ("accounts", "obligations", "transactions", "payments")
LACKING = {
    "nothing": Gone(),
    "transactions": Gone(("transactions",)),
    "segments": Gone(segment=False),
    "misses to stop and calibrate on": Gone(spared=("stop", "calibrate")),
    "a second round": Gone(trees=1),
    "any known input": Gone(unknown=True),
    "dues, with moments of its own": Gone(("obligations", "payments"), own=True),
    "payments, with moments of its own": Gone(("payments",), own=True),
    "accounts, with moments of its own": Gone(("accounts", "transactions"), own=True),
    "a second day, with moments of its own": Gone(own=True, days=1),
    "everything but moments": Gone(NOTHING, own=True),
}


@pytest.fixture(scope="module")
def few():
    changes = {"simulate.customers": 160, "base.customers_per_part": 200, "base.test_share": 0.4}
    changes |= {"base.train_share": 0.35, "train.folds": 2, "train.repeats": 1, "evaluate.bootstrap": 20}
    return params.load(project_folder() / "params.yaml", changes)


@pytest.fixture(scope="module")
def tables(few, tmp_path_factory):
    from predelinquency.world import world

    made = tmp_path_factory.mktemp("world")
    world.simulate(few, made / "raw", made / "truth", progress=False)
    return tables_of(made / "raw")


@pytest.fixture
def small(monkeypatch):
    def suited(p, positives):
        return replace(p, max_depth=2, trees=4, min_child_weight=1.0, colsample=0.3), 1

    monkeypatch.setattr(train, "suited", suited)


def shown(thing: object):
    "Every sentence, table and picture of it."
    if isinstance(thing, dict | list | tuple):
        for one in thing.values() if isinstance(thing, dict) else thing:
            yield from shown(one)
    elif thing is not None:
        yield thing


def wrong(thing: object) -> str:
    "What a reader would see where nothing is known, without a word."
    if isinstance(thing, go.Figure):
        seen = [
            t for t in thing.data if getattr(t, "mode", "") != "lines" or len(t.x) > 1
        ]  # a line of one point is none
        points = [v for t in seen for k in ("x", "y", "z") if (v := getattr(t, k, None)) is not None and len(v)]
        drawn = any(pd.notna(np.asarray(v, object)).any() for v in points)
        return (
            "" if drawn and not re.search(r"\bnan\b", str(thing.layout.title)) else f"empty: {thing.layout.title.text}"
        )
    if isinstance(thing, str):
        return thing if re.search(r"\bnan\b|\bNone\b", re.sub(r"<[^>]*>", "", thing)) else ""
    page = thing.to_html()
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", page)
    return "" if cells and not {"nan", "NaN", "None", "NaT", "<NA>"} & {c.strip() for c in cells} else page[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("gone", LACKING.values(), ids=LACKING)
def test_a_source_that_lacks_something_is_trained_and_judged_and_says_what_is_not_known(
    gone, few, tables, small, tmp_path
):
    rows = rows_of(Path(tmp_path), tables, gone, few.base)
    one, figures = trained(tmp_path, rows, gone, few)
    other, report = evaluated(tmp_path, few)
    assert [said for thing in shown([one, other]) if (said := wrong(thing))] == []
    assert judge_report.without_reason(report) == []
    unknown = {name for name, value in figures["auc"].items() if value is None}
    assert unknown == set(figures["auc_not_known"])
    assert all(why.startswith("not known, because ") for why in figures["auc_not_known"].values())
    blind = gone.unknown or gone.tables == NOTHING
    assert (report["headline"]["auc"] is None) == blind, "a score that ranks nobody has no AUC, not one of .5"
    assert not blind or report["baselines"]["logistic"]["why"] == statistics.SAME
    easy = [report["baselines"][name] for name in window_rivals.READS]
    assert all(("reads" in block) == gone.own for block in easy)
    assert all((block["auc"] is None) == (block["columns"] == 0) for block in easy if gone.own)


def test_a_figure_that_is_not_known_has_a_reason_that_can_be_reached():
    told = dict(a=dict(auc=None, why="few"), b=dict(x=None, x_low=None, x_why="none"), c=dict(held=None))
    assert judge_report.without_reason(told) == ["c.held"]
    assert judge_report.without_reason(told | dict(c_not_known=dict(held="it is a bank's"))) == []
    assert judge_report.without_reason(dict(a=dict(why="above"), b=dict(c=dict(auc=None)), d=None)) == ["b.c.auc", "d"]
