"""Other worlds: what differs is what was said to differ, and everything is judged by the futures of its own world."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from predelinquency.ground import params
from predelinquency.truth import forks, oracle, worlds
from predelinquency.world.stress import STRESSES


@pytest.fixture(scope="module")
def few(settings: params.Params) -> list[worlds.Lived]:
    "Two worlds small enough to live in a test."
    quick = replace(settings.train, trees=10)
    return [
        worlds.lived(settings, settings.base, quick, v, worlds.Size(120, 50, 80))
        for v in (worlds.WORLDS[3], worlds.WORLDS[0])
    ]


def test_the_worlds_that_are_made_hide_nothing_a_quarter_half_and_more_and_two_differ_otherwise() -> None:
    assert sorted(w.hidden_share for w in worlds.WORLDS if not w.rates and w.income == 1) == [0, 0.25, 0.5, 0.7]
    assert {w.name for w in worlds.WORLDS if w.rates or w.income != 1} == {"other stresses", "hard times"}


def test_a_world_differs_in_what_its_variant_says_and_in_nothing_else(settings: params.Params) -> None:
    usual, hard = forks.ground(settings), worlds.ground_of(settings, worlds.WORLDS[5])
    names = [s.name for s in STRESSES]
    for table, column, factor in (("stresses", "per_year", 1.8), ("personas", "income", 0.92)):
        changed, before = getattr(hard.tables, table), getattr(usual.tables, table)
        moved = before["benign"] == 0 if table == "stresses" else np.ones(len(before), bool)  # what is harmless stays
        assert np.allclose(changed[column][moved], factor * before[column][moved])
        assert (changed[column][~moved] == before[column][~moved]).all()
        assert all((changed[c] == before[c]).all() for c in before.dtype.names if c != column)
    other = worlds.ground_of(settings, worlds.WORLDS[4]).tables.stresses["per_year"] / usual.tables.stresses["per_year"]
    assert dict(zip(names, other.round(6), strict=True)) == {n: worlds.WORLDS[4].rates.get(n, 1.0) for n in names}
    assert worlds.ground_of(settings, worlds.WORLDS[1]).hidden_share == 0 and hard[:5] == usual[:5]


def test_the_sweep_goes_by_what_is_hidden_and_holds_the_bound_and_every_score_with_its_error(
    few: list[worlds.Lived], settings: params.Params
) -> None:
    found = worlds.sweep(few, settings, settings.base, settings.train)
    assert [w["hidden_share"] for w in found] == [0.5, 0.7]
    for w in found:
        for name in ("latent", "model", "logistic", "calendar", "balance", "projected"):
            assert 0 <= w[f"{name}_soft_auc"] <= 1 and w[f"{name}_soft_auc_se"] >= 0
        assert w["rows"] > w["positives"] > 0 and w["replays"] == 80 and "visible_soft_auc" not in w


def test_a_world_with_other_stresses_is_no_part_of_the_sweep(few: list[worlds.Lived], settings: params.Params) -> None:
    odd = replace(few[0], variant=worlds.WORLDS[5])
    assert [w["world"] for w in worlds.sweep([*few, odd], settings, settings.base, settings.train)] == [
        "as it is",
        "more hidden",
    ]


def test_at_home_a_model_loses_nothing_and_the_bound_stands_in_every_world(few: list[worlds.Lived]) -> None:
    table = worlds.transfer(few)
    assert table.keys() == {"as it is", "more hidden", "bound"} and all(
        row.keys() == {"as it is", "more hidden"} for row in table.values()
    )
    for name in ("as it is", "more hidden"):
        assert table[name][name]["loss"] == table[name][name]["loss_se"] == 0
    away, home = table["more hidden"]["as it is"], table["as it is"]["as it is"]
    assert away["loss"] == pytest.approx(home["soft_auc"] - away["soft_auc"], abs=1.1e-4) and away["loss_se"] >= 0


def made_up(p: Sequence[float], replays: int = 4000) -> worlds.Lived:
    "A world of known probabilities."
    u, p = np.random.default_rng(2), np.asarray(p)
    outcomes = np.where(u.random((len(p), replays)) < p[:, None], forks.MISSED, forks.PAID).astype(np.int8)
    rows = pd.DataFrame(dict(customer_id=np.arange(len(p)), target=(u.random(len(p)) < p).astype(float), weight=1.0))
    return worlds.Lived(worlds.WORLDS[0], {}, None, rows, oracle.Oracle(outcomes, np.ones(len(p), bool)))


def test_no_score_is_better_than_the_truth_and_the_bound_is_the_truth() -> None:
    p = np.random.default_rng(3).random(600) ** 3
    one = made_up(p)
    truth, noisy = (
        worlds.measure_score(one, p),
        worlds.measure_score(one, p + np.random.default_rng(4).normal(0, 0.3, 600), p),
    )
    assert worlds.bounded(one)["soft_auc"] == pytest.approx(truth["soft_auc"], abs=0.003)
    assert noisy["soft_auc"] < truth["soft_auc"] and noisy["loss"] > 3 * noisy["loss_se"] > 0
    assert worlds.measure_score(one, -p)["soft_auc"] == pytest.approx(1 - truth["soft_auc"], abs=0.01)


def test_where_nobody_misses_nothing_is_measured() -> None:
    found = worlds.measure_score(made_up([0.0] * 20), np.arange(20.0), np.arange(20.0))
    assert set(found.values()) == {None}
