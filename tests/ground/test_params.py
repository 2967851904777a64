"""A parameter that can only be a slip is refused when the file is read, by its key, its value and its range."""

import re
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from predelinquency.ground import params
from predelinquency.ground.core import ParamsError
from predelinquency.model import learners, rows
from predelinquency.ops import cli, stages

ROOT = Path(__file__).parents[2]

SLIPS = {
    "train.max_depth": (-3, "at least 1"),
    "train.learning_rate": (float("nan"), "above 0 and at most 1"),
    "train.reg_lambda": (float("inf"), "at least 0"),
    "train.promote_min_gain_auc": (float("nan"), "a finite number"),
    "train.colsample": (30.0, "at most 1"),
    "train.folds": (1, "at least 2"),
    "base.first_visible": ("2024-13-01", "a date"),
    "base.scored_months": (0, "at least 1"),
    "base.warm_months": (-1, "at least 0"),
    "base.stop_share": (0.0, "above 0"),
    "simulate.hidden_share": (1.5, "from 0 to 1"),
    "simulate.customers": (0, "at least 1"),
    "prove.replays": (0, "at least 1"),
    "evaluate.strangers": (-1, "at least 0"),
    "evaluate.shock_work": (0.0, "above 0"),
    "featurize.every_days": (0, "at least 1"),
    "explain.top_reasons": (0, "at least 1"),
}


@pytest.mark.parametrize("key", SLIPS)
def test_a_value_out_of_range_is_refused_with_its_key_and_its_range(key: str) -> None:
    value, words = SLIPS[key]
    with pytest.raises(ParamsError, match=re.escape(f"{key} is {value!r}, expected")) as told:
        params.load(ROOT / "params.yaml", {key: value})
    assert words in told.value.problem and words in told.value.remedy and told.value.where == "params.yaml"


@pytest.mark.parametrize("text", ["20240101", "2024-1-1", "2023-02-29", "2024-01-01T00:00", "", "soon"])
def test_a_date_is_written_in_one_way_and_exists(text: str) -> None:
    with pytest.raises(ParamsError, match="YYYY-MM-DD"):
        params.load(ROOT / "params.yaml", {"base.first_visible": text})
    assert params.load(ROOT / "params.yaml", {"base.first_visible": "2024-02-29"}).base.first_visible == "2024-02-29"


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"base.test_share": 0.3}, ("0.5, 0.1, 0.15, 0.3: 1.05 in all", "sum 1")),
        ({"base.train_share": 0.4}, ("0.9 in all", "sum 1")),
        ({"base.horizon_from_days": 29}, ("horizon_from_days is 29", "horizon_to_days, 28")),
    ],
)
def test_keys_that_contradict_each_other_are_refused_together(
    changes: dict[str, object], words: tuple[str, ...]
) -> None:
    with pytest.raises(ParamsError) as told:
        params.load(ROOT / "params.yaml", changes)
    assert [w for w in words if w not in str(told.value)] == []


def test_shares_that_sum_to_one_but_for_rounding_are_taken() -> None:
    shares = dict(train=0.7, stop=0.1, calibrate=0.1, test=0.1)
    assert sum(shares.values()) != 1
    assert params.load(ROOT / "params.yaml", {f"base.{k}_share": v for k, v in shares.items()}).base.train_share == 0.7


def test_every_number_has_a_range_or_is_free_on_purpose() -> None:
    numbers = {
        f"{s.name}.{f.name}"
        for s in fields(params.Params)
        if s.name != "pack"
        for f in fields(s.type)
        if f.type in (int, float)
    }
    ranged = [key for _, keys in params.RANGES.values() for key in keys.split()]
    assert len(ranged) == len(set(ranged))
    assert numbers - set(ranged) == {"base.seed", "train.promote_min_gain_auc", "train.promote_max_loss_to_logistic"}
    assert set(ranged) - numbers == {"base.first_visible"}


def test_the_shortened_and_the_full_length_settings_of_the_makefile_are_in_range() -> None:
    lines = re.findall(r"^(?:TRIAL|PROOF)\s*\??= (.*)$", (ROOT / "Makefile").read_text(), re.M)
    lines.append(" ".join(cli.AT_LENGTH))
    assert len(lines) == 2
    for line in lines:
        changes = stages.overrides(line.split())
        assert {
            k: asdict(params.load(ROOT / "params.yaml", changes))[k.split(".")[0]][k.split(".")[1]] for k in changes
        } == changes


@pytest.mark.parametrize(
    ("key", "slip", "meant"), [("train.learner", "xgbost", "xgboost"), ("train.outcomes", "control", "controls")]
)
def test_a_word_outside_its_list_is_refused_with_the_nearest_one(key: str, slip: str, meant: str) -> None:
    with pytest.raises(ParamsError, match=f"{key} is '{slip}', expected one of .*\n.*did you mean {meant}\\?"):
        params.load(ROOT / "params.yaml", {key: slip})


def test_the_lists_of_words_are_those_of_the_code_that_takes_them() -> None:
    assert params.CHOICES["train.outcomes"] == rows.OUTCOMES
    with pytest.raises(ParamsError) as refused:
        learners.fit("none", *[None] * 3)
    assert params.CHOICES["train.learner"] == tuple(refused.value.remedy.removeprefix("use one of ").split(", "))


@pytest.mark.parametrize(
    "text", ["train:\n  trees: 300\n  trees: 30\n", "train: {}\nbase: {}\ntrain: {}\n"], ids=["key", "section"]
)
def test_a_key_that_is_given_twice_is_refused_with_both_lines(text: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ParamsError, match=r"key '(train|trees)' is given twice, in lines \d and \d"):
        params.load(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("train:\n  trees: !!int many\n", "this is no int: .*\n.*line 2, column 10"),
        ("base:\n  start: 2025-13-45\n", "this is no timestamp"),
        ("base:\n  start: !!timestamp soon\n", "this is no timestamp"),
        ("base:\n  on: !!bool 3\n", "this is no bool"),
        ("base: " + "[" * 5000, "nested too deeply"),
        ("base: [seed]\n", "'base' is no section"),
    ],
    ids=["int", "month 13", "timestamp", "bool", "brackets", "list"],
)
def test_what_yaml_cannot_read_is_refused_with_its_place(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ParamsError, match=told):
        params.load(tmp_path / "params.yaml")


def test_a_doubled_key_in_the_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text("tasks: []\ntasks: []\n")
    with pytest.raises(ParamsError, match="'tasks' is given twice"):
        stages.graph(tmp_path)
