"Walls between what teaches and what judges."

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import base

from predelinquency.ground.core import LeakageError, ParamsError
from predelinquency.model import labels as lb, train


def grid(customers: int, every_days: int = 7, **changes) -> pd.DataFrame:
    "Every moment of so many customers, with its split."
    b = base(**changes)
    moments = lb.moments(b, every_days)
    rows = pd.DataFrame(
        dict(customer_id=np.repeat(np.arange(customers), len(moments)), as_of=np.tile(moments, customers))
    )
    return rows.assign(split=lb.splits(rows, b).astype(str))


def test_splits_share_no_customer_and_lie_a_whole_outcome_apart():
    rows = grid(400)
    lb.check_splits(rows, base())
    used = rows[rows.split.isin(lb.SPLITS)].groupby("split")
    assert sum(used.customer_id.nunique()) == rows[rows.split.isin(lb.SPLITS)].customer_id.nunique()
    spans = used.as_of.agg(["min", "max"]).loc[list(lb.SPLITS)]
    assert all((spans["min"].iloc[i + 1] - spans["max"].iloc[i]).days >= 28 + 5 + 2 for i in range(3))


def test_training_gets_the_most_and_nobody_nothing():
    counts = grid(400).split.value_counts()
    assert counts["train"] == max(counts[list(lb.SPLITS)]) and counts[list(lb.SPLITS)].min() > 0


def test_moments_whose_outcome_is_not_known_are_live():
    rows = grid(50)
    live = rows.split == "live"
    assert rows.as_of[live].min() > pd.Timestamp("2025-05-27") >= rows.as_of[~live].max()


@given(
    seed=st.integers(0, 2**40),
    every=st.sampled_from([1, 5, 7, 14]),
    months=st.integers(7, 24),
    lag=st.integers(0, 5),
    weights=st.tuples(*[st.integers(1, 10)] * 4),
)
@settings(max_examples=60, deadline=None)
def test_the_walls_stand_for_any_parameters(seed, every, months, lag, weights):
    shares = np.array(weights) / sum(weights)
    names = dict(zip((f"{s}_share" for s in lb.SPLITS), shares.tolist(), strict=True))
    b = base(seed=seed, scored_months=months, arrival_lag_days=lag, **names)
    lb.check_splits(grid(60, every, seed=seed, scored_months=months, arrival_lag_days=lag, **names), b)


def test_a_customer_s_split_does_not_depend_on_how_many_there_are():
    assert (lb.split(np.arange(1000), base())[:50] == lb.split(np.arange(50), base())).all()


def test_another_seed_deals_differently():
    assert (lb.split(np.arange(1000), base()) != lb.split(np.arange(1000), base(seed=2))).mean() > 0.3


def test_shares_are_kept():
    dealt = np.bincount(lb.split(np.arange(40_000), base()), minlength=4) / 40_000
    assert np.abs(dealt - [0.5, 0.1, 0.15, 0.25]).max() < 0.01


def test_shares_that_do_not_sum_to_one_are_refused():
    with pytest.raises(ParamsError, match="sum 1"):
        lb.shares(replace(base(), test_share=0.3))


def test_a_period_too_short_for_four_blocks_is_refused():
    with pytest.raises(ParamsError, match="at least 6 months"):
        lb.blocks(base(scored_months=4))


def test_a_customer_on_both_sides_is_refused_by_number():
    rows = grid(50)
    someone = int(rows.customer_id[rows.split == "test"].iloc[0])
    rows.loc[rows.index[rows.split == "train"][0], "customer_id"] = someone
    with pytest.raises(LeakageError, match=f"both in train and in test, first: {someone}"):
        lb.check_splits(rows, base())


def test_blocks_too_near_to_each_other_are_refused():
    rows = grid(50)
    rows.loc[rows.split == "test", "as_of"] -= pd.Timedelta(days=7)
    with pytest.raises(LeakageError, match="days apart, an outcome takes 35"):
        lb.check_splits(rows, base())


def test_an_outcome_used_before_it_is_known_is_refused():
    rows = grid(50)
    rows.loc[rows.split == "live", "split"] = "purged"
    late = rows.as_of > pd.Timestamp("2025-05-27")
    testers = rows.customer_id.isin(rows.customer_id[rows.split == "test"])
    rows.loc[late & testers, "split"] = "test"
    with pytest.raises(LeakageError, match="not known at the visible end"):
        lb.check_splits(rows, base())


def test_folds_keep_customers_whole_and_spread_the_positives():
    rng = np.random.default_rng(1)
    ids, bad = rng.integers(0, 200, 800), (rng.random(800) < 0.08).astype(int)
    dealt = train.folds(ids, bad, 5, 3, 1)
    for fold in dealt:
        assert pd.Series(fold).groupby(ids).nunique().max() == 1
        counts = np.bincount(fold, weights=bad, minlength=5)
        assert counts.max() - counts.min() <= 4
    assert (dealt[0] != dealt[1]).mean() > 0.5


def test_folds_do_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(2)
    ids, bad, order = rng.integers(0, 100, 300), (rng.random(300) < 0.1).astype(int), rng.permutation(300)
    assert (train.folds(ids, bad, 5, 2, 1)[:, order] == train.folds(ids[order], bad[order], 5, 2, 1)).all()


def test_too_few_positives_for_the_folds_are_refused():
    with pytest.raises(ParamsError, match="train.folds: 3 customers with a positive cannot fill 5 folds"):
        train.folds(np.arange(50), (np.arange(50) < 3).astype(int), 5, 1, 1)
