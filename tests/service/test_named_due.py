"A request may name the due it asks about; a model that was taught about single dues answers no request that names none."

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from served import example, said

from predelinquency.features import catalogue
from predelinquency.ground import params
from predelinquency.ground.core import project_folder
from predelinquency.ground.dues import Rule
from predelinquency.model import champion as model_champion
from predelinquency.model import learners
from predelinquency.reasons.scorer import Scorer
from predelinquency.service import bento, contents, http, wire
from predelinquency.service import desk as service_desk
from predelinquency.service import scoring as service_scoring

NAMES = catalogue.names()
LEAD = NAMES.index("asked_lead_days")


@pytest.fixture(scope="module")
def of_customers(trained: Path) -> service_scoring.Scoring:
    return service_scoring.load_scoring(trained / "model")


@pytest.fixture(scope="module", params=["lightgbm", "committee"])
def of_dues(request: pytest.FixtureRequest, of_customers: service_scoring.Scoring) -> service_scoring.Scoring:
    "The same service with a model that was taught about dues: the nearer, the riskier."
    rng = np.random.default_rng(4)
    x = rng.normal(size=(2_000, len(NAMES))).astype(np.float32)
    x[:, LEAD], y = rng.integers(1, 29, 2_000), rng.random(2_000)
    y = (y < 1 / (1 + np.exp((x[:, LEAD] - 8) / 3))).astype(float)
    settings = replace(params.load(project_folder() / "params.yaml").train, trees=30, min_child_weight=2)
    how = learners.Recipe(NAMES, settings, {}, 1)
    fitted = learners.fit("lightgbm", x, y, how)
    if request.param == "committee":
        fitted = learners.committee([fitted, learners.fit("scorecard", x, y, how)])
    champion = of_customers.scorer.champion
    manifest = champion.manifest | dict(calibration=dict(kind="platt", intercept=0.0, slope=1.0))
    return replace(of_customers, scorer=Scorer(model_champion.Champion(fitted, manifest)))


def asked(**more: Any) -> wire.History:
    parsed = wire.parse_request(said({**example(), "features": True, **more}))
    assert isinstance(parsed, wire.History)
    return parsed


def coming() -> pd.DataFrame:
    "The dues of the example that lie ahead, the nearest first."
    told = contents.request_tables(asked(), Rule(5, 100, 100)).tables["obligations"]
    dues = pd.DataFrame({c: list(told[c]) for c in ("obligation_id", "instalment", "due_on", "amount_minor")})
    dues = dues.assign(due_on=pd.to_datetime(dues.due_on.astype("int64"), unit="ms"))
    return dues[dues.due_on >= example()["as_of"]].sort_values("due_on")


def test_a_model_taught_about_dues_refuses_a_request_that_names_none(of_dues: service_scoring.Scoring) -> None:
    assert of_dues.leans_on_a_due
    with pytest.raises(wire.Refused, match="taught about single dues") as told:
        of_dues.score(asked())
    assert told.value.status == 422 and "obligation_id" in str(told.value.errors)


def test_the_example_names_a_due_where_one_has_to_be_named(
    of_dues: service_scoring.Scoring, of_customers: service_scoring.Scoring
) -> None:
    named = http.example_for(of_dues)
    assert named.obligation_id in coming().obligation_id.tolist() and of_dues.score(named).probability > 0
    assert http.example_for(of_customers).obligation_id is None
    desk = service_desk.Desk("key", of_dues)
    with mock.patch("gc.freeze"):
        bento.warm(desk)
    assert desk.ready, "such a model can be served"


def test_a_model_taught_about_customers_answers_the_same_whether_a_due_is_named_or_not(
    of_customers: service_scoring.Scoring,
) -> None:
    due = coming().iloc[0]
    bare, named = (of_customers.score(a) for a in (asked(), asked(obligation_id=int(due.obligation_id))))
    assert not of_customers.leans_on_a_due and bare.probability == named.probability
    assert bare.features["asked_lead_days"] is None and named.features["asked_lead_days"] is not None


def test_each_due_has_a_score_of_its_own_from_the_features_of_that_due(of_dues: service_scoring.Scoring) -> None:
    dues, as_of = coming(), pd.Timestamp(example()["as_of"])
    assert len(dues) >= 2
    for due in dues.itertuples():
        one = of_dues.score(asked(obligation_id=int(due.obligation_id), instalment=int(due.instalment)))
        assert one.features["asked_lead_days"] == (pd.Timestamp(due.due_on) - as_of).days
        assert one.features["asked_due"] == due.amount_minor
        row = np.array([[np.nan if v is None else v for v in one.features.values()]], np.float32)
        assert one.probability == pytest.approx(float(of_dues.scorer.champion.probability(row)[0]), abs=1e-9)


@pytest.mark.parametrize("more", [dict(obligation_id=987_654), dict(instalment=1)], ids=["no such", "of what"])
def test_a_due_that_is_not_there_is_refused_by_its_field(of_customers: service_scoring.Scoring, more: Any) -> None:
    with pytest.raises(wire.Refused) as told:
        of_customers.score(asked(**more))
    assert told.value.status == 422 and "obligation_id" in str(told.value.errors)
