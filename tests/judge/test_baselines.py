"Four simple scores beside the model."

import numpy as np
import pandas as pd
import pytest
from signal_rows import labels, settings
from sklearn.metrics import roc_auc_score
from tables import base

from predelinquency.features import catalogue
from predelinquency.judge import baselines
from predelinquency.model import champion as model_champion
from predelinquency.model import learners, train
from predelinquency.model.rows import Rows

NAMES = catalogue.names()


def rows(n: int = 600, seed: int = 1) -> Rows:
    "Catalogue inputs in which the balance over what is due decides."
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(NAMES))).astype(np.float32)
    cover = NAMES.index(baselines.RULES["balance"])
    y = (rng.random(n) < 1 / (1 + np.exp(2 + 1.5 * x[:, cover]))).astype(float)
    frame = labels(x, y, np.arange(n) // 2, np.datetime64("2024-01-01", "ms") + np.arange(n) * np.timedelta64(1, "D"))
    frame["due_count_loan"] = rng.integers(0, 3, n).astype(np.int32)
    return Rows(frame, x)


def test_the_calendar_sees_nothing_but_the_calendar():
    one, other = rows(), rows()
    other.x[:] = 0
    other.labels["straight_roller"] = False
    fit = baselines.calendar(one, settings(), 1)
    assert (
        learners.predict_margin(fit, baselines.calendar_inputs(one.labels))
        == learners.predict_margin(fit, baselines.calendar_inputs(other.labels))
    ).all()


def test_the_calendar_learns_that_only_who_owes_can_miss():
    some = rows()
    some.labels["target"] = pd.array(
        ((some.labels.due_count_loan > 0) & (np.arange(600) % 3 == 0)).astype(int), dtype="Int32"
    )
    fit = baselines.calendar(some, settings(), 1)
    assert roc_auc_score(some.y, learners.predict_margin(fit, baselines.calendar_inputs(some.labels))) > 0.6


@pytest.mark.parametrize("name", ["balance", "projected"])
def test_less_cover_is_more_risk_nothing_due_is_safest_and_no_balance_is_unknown(name):
    some = rows(4)
    some.x[:, NAMES.index(baselines.RULES[name])] = [2.0, 0.1, np.nan, np.nan]
    some.x[:, NAMES.index("balance")] = [1.0, 1.0, 1.0, np.nan]
    found = baselines.rule(some, NAMES, name)
    assert found[1] > found[0] > found[2] and np.isnan(found[3])


def test_the_rules_stand_on_features_of_the_catalogue():
    assert set(baselines.RULES.values()) <= set(NAMES)


@pytest.mark.slow
def test_a_source_gets_every_score_for_every_row_of_every_repeat(tmp_path):
    some = rows()
    seen = np.arange(600) % 2 == 1
    p = settings(folds=3, repeats=2)
    how = learners.Recipe(NAMES, p, catalogue.monotone(), base().seed)
    learned = baselines.learn_moments(some, seen, how, base(), {})
    inside = learned.scored[learned.scored.split == "fold"]
    assert (
        len(inside) == 1200
        and inside.groupby("repeat").size().tolist() == [600, 600]
        and inside[["calendar", "balance", "logistic", "challenger"]].notna().all().all()
    )
    assert (inside.seen_before.to_numpy(bool)[:600] == seen).all() and set(inside.fold) == {0, 1, 2}
    assert roc_auc_score(inside.target[:600].astype(int), inside.probability[:600]) > 0.65
    champion = model_champion.save(tmp_path / "model", learned.fits, learned.about, learned.scored)
    parts = champion.contributions(some.x[:40])
    assert champion.manifest["champion"] == "committee" and np.allclose(
        parts.sum(1), champion.margin(some.x[:40]), atol=1e-5
    )
    later = learned.scored[learned.scored.split == "out_of_time"]
    assert len(later) and set(later["repeat"]) == {-1} and later.as_of.min() > some.labels.as_of.quantile(0.7)
    told, taught = learned.about["out_of_time"], train.out_of_time(some, base()).earlier.labels.customer_id
    assert told["judged_rows"] == len(later) and told["taught_customers"] == taught.nunique() and "why" not in told
    assert (later.seen_before.to_numpy(bool) == later.customer_id.isin(taught).to_numpy()).all()


def test_out_of_time_who_has_a_contract_on_both_sides_is_marked_and_a_late_answer_calibrates_nothing():
    some = rows(2000)
    who = np.arange(2000) % 1500  # the last five hundred moments are of customers who taught
    late = some.labels.assign(customer_id=who, known_on=some.labels.as_of + pd.Timedelta(days=1))
    late["known_on"] = late.known_on.where(np.arange(2000) % 2 == 0, late.as_of.max())
    some, how = Rows(late, some.x), learners.Recipe(NAMES, settings(folds=2, repeats=1), {}, 1)
    apart = train.out_of_time(some, base())
    noise = np.random.default_rng(2).normal(size=2000)
    scores = pd.DataFrame(dict(repeat=0, row=np.arange(2000), margin=noise))
    wild = scores.assign(margin=np.where(apart.teaches, noise, 50.0))
    found, other = (baselines._later(apart, s, how) for s in (scores, wild))
    assert (found.seen_before.to_numpy(bool) == found.customer_id.isin(apart.earlier.labels.customer_id)).all()
    assert 0 < found.seen_before.mean() < 1 and found.equals(other)
    assert apart.teaches[:1400:2].all() and not apart.teaches[1:1400:2].any()


@pytest.mark.slow
def test_a_source_s_predictions_do_not_depend_on_the_outcome_of_the_row():
    "Turn one row's outcome round: its own margins stay, for they are out of fold."
    how = learners.Recipe(NAMES, settings(folds=3, repeats=1), catalogue.monotone(), 1)
    some = rows(300)
    dealt = train.folds(some.labels.customer_id.to_numpy(), some.y, 3, 1, 1)
    turned = Rows(
        some.labels.assign(
            target=pd.array(np.where(np.arange(300) == 7, 1 - some.y, some.y).astype(int), dtype="Int32")
        ),
        some.x,
    )
    one, other = (train.out_of_fold(r, dealt, lambda a, b: baselines.judge(a, b, how)) for r in (some, turned))
    same_fold = dealt[0] == dealt[0][7]
    assert (one.margin[same_fold] == other.margin[same_fold]).all() and (
        one.margin[~same_fold] != other.margin[~same_fold]
    ).any()
