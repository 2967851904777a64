"""Customers who never train: scored as everybody else, and nobody's neighbour."""

import json

import numpy as np
import pandas as pd
import pytest

from predelinquency.features import catalogue
from predelinquency.ground import disk, params
from predelinquency.ground.core import LeakageError
from predelinquency.ground.disk import Part
from predelinquency.model import champion as model_champion
from predelinquency.model import rows as model_rows
from predelinquency.model.roll_up import load_roll_up
from predelinquency.truth import strangers as st
from predelinquency.world import world as wd

NAMES = catalogue.names()


@pytest.fixture(scope="module")
def base(trained) -> params.Base:
    return params.section(params.Base, model_champion.load_champion(trained / "model").manifest["params"]["base"])


@pytest.fixture(scope="module")
def make(trained, settings, base):
    return st.maker(wd.Settings(base, settings.simulate), wd.tables_of)


def test_strangers_are_numbered_after_the_customers_and_never_more_than_twice_as_many():
    assert st.parts(100, 250, 80) == [Part(100, 180), Part(180, 260), Part(260, 300)]
    assert st.parts(100, 30, 80) == [Part(100, 130)] and st.parts(100, 0, 80) == []
    assert st.meet([], None, NAMES, None, 7) is None


def test_a_customer_met_as_a_stranger_has_the_rows_of_the_panel_bit_for_bit(trained, make, base):
    part = disk.parts(trained / "features", "panel")[0]
    them = st.meet([part], make, NAMES, base, 7)
    panel, labels = (disk.read(trained / "features", name, part) for name in ("panel", "labels"))
    asked = them.rows.labels[["customer_id", "as_of"]].merge(panel, how="left")
    assert (asked[NAMES].to_numpy(np.float32).view(np.int32) == them.rows.x.view(np.int32)).all()
    same = them.rows.labels.merge(labels, on=["customer_id", "as_of"], suffixes=("", "_stored"))
    tested = same[same.split_stored == "test"]
    assert len(same) == len(them.rows.labels) and len(tested) and (them.rows.labels.split == "test").all()
    for name in ("target", "eligible", "imminent", "onset_in_days", "due_minor_rent"):
        assert tested[name].equals(tested[f"{name}_stored"]), name
    assert set(them.rows.labels.as_of) == set(labels.as_of[labels.split == "test"])


def test_the_cohort_of_dues_holds_the_test_customers_dues_and_those_of_the_others(trained, make, base):
    part = disk.parts(trained / "features", "due_panel")[0]
    them, stored = st.meet([part], make, NAMES, base, 7), disk.read(trained / "features", "due_panel", part)
    keys = ["customer_id", "as_of", "obligation_id", "instalment", "lead_days"]
    both = them.due.merge(stored, on=keys, suffixes=("", "_stored"))
    assert len(both) == len(stored) < len(them.due) and (both.missed == both.missed_stored).all()
    assert both[NAMES].equals(both[[f"{n}_stored" for n in NAMES]].set_axis(NAMES, axis=1))


def test_a_stranger_is_scored_as_the_train_stage_scores(trained, make, base):
    part = Part(300, 400)
    them, rows = st.meet([part], make, NAMES, base, 7), model_rows.gather(trained / "features", NAMES, base, 400_000)
    manifest = model_champion.load_champion(trained / "model").manifest
    found = st.scored(
        them,
        np.arange(300),
        rows["train"].usable(),
        trained / "model",
        params.section(params.Train, manifest["params"]["train"]),
        base.seed,
    )
    assert (found.customer_id >= 300).all()
    champion, stored = (
        model_champion.load_champion(trained / "model"),
        pd.read_parquet(trained / "model/predictions.parquet"),
    )
    assert (found.direct == champion.margin(them.rows.x)).all() and found.columns.tolist() == stored.columns.tolist()
    assert (found.probability == load_roll_up(trained / "model").chance(them.rows.labels, them.dues)).all()
    dues = model_rows.gather_dues(trained / "features", NAMES, base, 400_000, ["test"])["test"]
    known = st.Strangers(rows["test"], dues, them.due, them.about)
    again = st.scored(
        known,
        np.arange(0),
        rows["train"].usable(),
        trained / "model",
        params.section(params.Train, manifest["params"]["train"]),
        base.seed,
    )
    both = again.merge(stored, on=["customer_id", "as_of"], suffixes=("", "_stored"))
    for name in ("probability", "margin", "direct", "calendar", "balance", "projected", "logistic", "challenger"):
        assert both[name].equals(both[f"{name}_stored"]), name


def test_a_strangers_dues_are_scored_as_the_train_stage_scores_them(trained, make, base):
    part = disk.parts(trained / "features", "dues")[0]
    them = st.meet([part], make, NAMES, base, 7)
    found = st.scored_dues(them, trained / "model")
    stored = pd.read_parquet(trained / "model/due_predictions.parquet")
    keys = ["customer_id", "as_of", "obligation_id", "instalment", "split"]
    both = found.astype({"split": str}).merge(stored.astype({"split": str}), on=keys, suffixes=("", "_stored"))
    assert found.columns.tolist() == model_champion.DUE_PREDICTIONS.names and both.split.nunique() == 2
    for name in ("lead_days", "missed", "probability", "challenger", *model_champion.RIVALS):
        one, other = (both[c].astype(float).to_numpy() for c in (name, f"{name}_stored"))
        assert len(both) > 500 and np.array_equal(one, other, equal_nan=True), name


def test_a_stranger_who_is_a_customer_is_refused(trained, make, base):
    them, rows = (
        st.meet([Part(250, 320)], make, NAMES, base, 7),
        model_rows.gather(trained / "features", NAMES, base, 400_000),
    )
    with pytest.raises(LeakageError, match="who never train are also customers"):
        st.scored(them, np.arange(300), rows["train"].usable(), trained / "model", None, base.seed)


def test_strangers_are_judged_on_and_are_on_no_list_of_the_bank(trained):
    metrics = json.loads((trained / "reports/metrics.json").read_text())
    assert metrics["world"]["strangers"] == 1200 and metrics["headline"]["customers"] > 1200
    assert pd.read_parquet(trained / "reports/scored.parquet").customer_id.max() < 600
