"""Two models side by side: on the same rows, or not at all."""

import json
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from predelinquency.ground.core import SchemaError, StoreError
from predelinquency.judge import intervals, paired, statistics
from predelinquency.ops import cli, runs

CUSTOMERS, WEEKS = 900, 8


def scored(noise: float, level: float = 1.0, seed: int = 3) -> pd.DataFrame:
    "What a model says that sees the risk through so much noise, its probabilities `level` times the right ones."
    rng, n = np.random.default_rng(seed), CUSTOMERS * WEEKS
    risk = np.repeat(rng.normal(size=CUSTOMERS), WEEKS)
    chance = 0.15 / (1 + np.exp(-2 * risk))
    missed = rng.random(n) < chance
    said = level * 0.15 / (1 + np.exp(-2 * (risk + np.random.default_rng(9).normal(size=n) * noise)))
    when = pd.Timestamp("2025-04-01") + pd.to_timedelta(np.tile(np.arange(WEEKS) * 7, CUSTOMERS), "D")
    table = dict(
        customer_id=np.repeat(np.arange(CUSTOMERS), WEEKS),
        as_of=when,
        repeat=0,
        split="test",
        target=missed.astype(float),
        eligible=True,
        imminent=False,
        probability=said,
        calendar=risk + rng.normal(size=n) * 3,
        straight_roller=rng.random(n) < 0.6,
        onset_in_days=np.where(missed, 20.0, np.nan),
    )
    return statistics.checked(pd.DataFrame(table))


def said(old: pd.DataFrame, new: pd.DataFrame) -> dict[str, paired.Paired]:
    return {p.figure.key: p for p in paired.compare_models(old, new, replicates=120)}


GOOD, POOR = scored(0.3), scored(2.5)


def test_a_model_beside_itself_is_the_same_in_all_eight():
    assert len(paired.FIGURES) == 8
    assert {p.verdict for p in said(GOOD, GOOD).values()} == {"the same"}


def test_a_better_order_is_said_to_be_better_and_the_other_way_round_worse():
    there, back = said(POOR, GOOD), said(GOOD, POOR)
    for key in ("auc", "gain_over_calendar", "straight_rollers", "recall_at_5pct"):
        assert (there[key].verdict, back[key].verdict) == ("better", "worse"), key
        assert there[key].change.value == -back[key].change.value
    assert paired.sentence(there["recall_at_5pct"]).startswith(
        "finds "
    ) and "more of those who will miss" in paired.sentence(there["recall_at_5pct"])
    assert "fewer of those who will miss" in paired.sentence(back["recall_at_5pct"])


def test_both_models_are_drawn_together_so_a_small_change_shows_that_separate_intervals_hide():
    old, new = scored(0.5), scored(0.3)
    pair = said(old, new)["auc"]
    customers = np.arange(CUSTOMERS)
    alone = intervals.estimate(
        {"auc": statistics.ranked_by(statistics.Rows(statistics.judged(new), customers))}, CUSTOMERS, 120
    )["auc"]
    assert pair.change.high - pair.change.low < 0.5 * (alone.high - alone.low)


def test_a_larger_gap_of_the_probabilities_is_worse_and_said_as_farther():
    found = said(scored(0.3), scored(0.3, level=1.6))
    assert found["auc"].verdict == "the same"
    assert {found[k].verdict for k in ("ece", "observed_expected")} == {"worse"}
    assert "farther from" in paired.sentence(found["observed_expected"])


def test_coming_nearer_to_what_was_observed_is_better():
    found = paired.sentence(said(scored(0.3, level=1.6), scored(0.3))["observed_expected"])
    assert "nearer to" in found and found.endswith("better")


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda f: f[f.customer_id < 800].reset_index(drop=True), "do not judge the same rows"),
        (lambda f: f.assign(as_of=f.as_of + pd.Timedelta(days=1)), "both have 0"),
        (lambda f: f.assign(target=scored(0.3, seed=4).target), "two worlds, or two labels"),
        (lambda f: f.assign(eligible=f.index > 0), "1 of 7,200 rows have another outcome"),
    ],
)
def test_what_cannot_be_paired_is_refused_in_words(change, words):
    with pytest.raises(SchemaError, match=words):
        paired.compare_models(GOOD, change(GOOD))


@pytest.mark.parametrize(
    "key, without",
    [
        ("gain_over_calendar", dict(calendar=np.nan)),
        ("straight_rollers", dict(straight_roller=None)),
        ("announced_15_42d", dict(onset_in_days=np.nan)),
    ],
)
def test_a_figure_that_the_source_cannot_have_says_why_and_the_others_stand(key, without):
    found = said(POOR.assign(**without), GOOD.assign(**without))
    assert (
        found[key].verdict == "not known"
        and paired.sentence(found[key]).startswith("not known, because ")
        and found[key].why
    )
    assert {k for k, p in found.items() if p.verdict == "not known"} == {key}


def test_where_nobody_missed_every_figure_says_so():
    calm = [f.assign(target=0.0, onset_in_days=np.nan) for f in (POOR, GOOD)]
    assert all("0 of 7,200 rows are misses" in paired.sentence(p) for p in said(*calm).values())


def test_a_source_without_test_weeks_is_compared_on_its_latest_moments_or_out_of_fold():
    folds = GOOD.assign(split="fold")
    assert paired.later(GOOD)[0] == ("test",) and "out of fold" in paired.later(folds)[1]
    late = pd.concat([folds, GOOD.assign(split="out_of_time", repeat=-1)])
    assert paired.later(late)[0] == ("out_of_time",)
    assert "no weekly lists" in said(POOR.assign(split="fold"), folds)["announced_15_42d"].why


@pytest.fixture
def two(tmp_path: Path) -> Path:
    "Two folders of results, `old` and `new`, with nothing but predictions."
    for name, frame in (("old", POOR), ("new", GOOD)):
        (tmp_path / name / "model").mkdir(parents=True)
        frame.to_parquet(tmp_path / name / "model/predictions.parquet")
    return tmp_path


def typed(project: Path, *words: Any) -> Any:
    with chdir(project):
        return CliRunner().invoke(cli.app, [str(w) for w in words], env=dict(NO_COLOR="1", COLUMNS="160"))


def test_two_folders_are_compared_for_programs_and_for_people(two, project):
    answer = json.loads(typed(project, "compare", two / "old", two / "new", "--json").stdout)
    assert set(answer) == {"old", "new", "rows", "figures"} and answer["rows"] == len(GOOD)
    assert (
        set(answer["figures"][0]) == {"figure", "old", "new", "change", "low", "high", "verdict", "said"}
        and len(answer["figures"]) == 8
    )
    shown = " ".join(typed(project, "compare", two / "old" / "model", two / "new").stdout.split())
    assert "out of time" in shown and all(p["said"] in shown for p in answer["figures"])


def test_a_folder_without_a_model_is_refused(two, project, tmp_path):
    with pytest.raises(StoreError, match="no predictions"):
        paired.predictions(tmp_path)
    done = typed(project, "compare", two / "old", tmp_path, "--json")
    assert (
        done.exit_code == 1
        and set(json.loads(done.stdout)) == {"error"}
        and "there are no predictions here" in done.stderr
    )


@pytest.mark.parametrize(
    "frame, said", [(POOR, "better"), (POOR[POOR.customer_id < 100], "not compared"), (None, "the first model here")]
)
def test_training_ends_beside_the_model_that_was_there_before(frame, said, two, project, monkeypatch):
    place = two / "new/model/predictions.parquet"
    place.unlink() if frame is None else frame.to_parquet(place)

    def trains(*_: Any) -> list[Any]:
        GOOD.to_parquet(place)
        return []

    monkeypatch.setattr(runs, "run_stages", trains)
    assert said in typed(project, "stage", "train", "--root", two / "new").stdout
