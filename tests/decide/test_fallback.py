"""The rule that stands in for a model: refused unless approved as it stands, it names payments for people, and needs no model."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from predelinquency.decide.fallback import load_fallback, points_of
from predelinquency.decide.files import shipped
from predelinquency.ground.core import PolicyError
from predelinquency.ops.cli import app

RULE = load_fallback()


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    "The shipped rule, as anna approved it."
    text = (shipped() / "fallback.yaml").read_text()
    line = CliRunner().invoke(app, ["fallback", "--approve", 'anna "ann" o\'neil']).stdout
    before, empty, rest = text.partition('approved: {by: "", day: "", says: ""}')
    assert empty and not rest.strip()
    (tmp_path / "fallback.yaml").write_text(before + line)
    return tmp_path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    "Results without a model: dues of two moments, of which the last counts."
    plain = dict(asked_autopay=[0.0, 1, 0, 0, np.nan], asked_late_share=[0.2, 0.9, 0.1, 0.0, np.nan])
    plain |= dict(asked_days_late_last=[3.0, 2, 0, 1, np.nan], balance_over_asked_due=[0.9, 0.9, 1.0, 2.0, np.nan])
    frame = pd.DataFrame(plain).assign(customer_id=range(5), obligation_id=3, instalment=12, asked_lead_days=9.0)
    last = frame.assign(as_of=pd.Timestamp("2026-03-02"), split="live")
    folder = tmp_path / "data/features/dues"
    folder.mkdir(parents=True)
    before = last.assign(as_of=pd.Timestamp("2026-02-23"), asked_late_share=1.0)
    pd.concat([before, last, last.assign(split="test")]).to_parquet(folder / "customers-000000000-000000999.parquet")
    return tmp_path / "data"


def typed(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["fallback", *map(str, words)])
    return done.exit_code, done.stdout, done.stderr


def test_an_approved_rule_names_payments_with_reasons_and_no_model_is_opened(policy: Path, root: Path) -> None:
    code, out, _ = typed("--root", root, "--policy", policy, "--json")
    told = json.loads(out)
    assert code == 0 and (told["as_of"], told["dues"]) == ("2026-03-02", 5)
    assert told["approved"]["by"] == 'anna "ann" o\'neil'
    assert [(one["customer_id"], one["points"]) for one in told["named"]] == [(0, 6), (1, 4), (3, 3)]
    assert told["named"][2]["because"] == "it is paid by hand; the last one came late"
    assert "probability" not in out


def test_unapproved_or_changed_it_is_refused_in_words(policy: Path, root: Path) -> None:
    code, _, said = typed("--root", root)
    assert code == 1 and "nobody has approved the rule" in said and "--approve" in said
    path = policy / "fallback.yaml"
    approved = path.read_text()
    for old, new in (("points: 1", "points: 2"), ("line: 3", "line: 4"), ("it is paid by hand", "paid by hand")):
        path.write_text(approved.replace(old, new, 1))
        code, _, said = typed("--root", root, "--policy", policy)
        assert code == 1 and "it was changed after anna" in said, (old, said)
    path.write_text("# read on Monday\n" + approved)
    assert typed("--root", root, "--policy", policy)[0] == 0, "a comment changes nothing"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("line: 3", "line: 7", "6 points at most"),
        ("line: 3", "line: 0", "its line is 0"),
        ("at_most: 0,", "at_most: 0, below: 2,", "by_hand"),
        ("at_most: 0,", "like: 0,", "by_hand"),
        ("points: 1,", "points: 0.5,", "fallback.yaml, last_late"),
        ("source:", "sauce:", "has label, sauce"),
    ],
)
def test_a_rule_that_nobody_can_follow_is_refused(policy: Path, old: str, new: str, said: str) -> None:
    path = policy / "fallback.yaml"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(PolicyError, match=said):
        load_fallback(policy)


def test_what_is_not_known_gets_no_points_and_a_column_that_is_not_there_is_named() -> None:
    columns = {one.column: [np.nan] for one in RULE.conditions}
    assert points_of(RULE, pd.DataFrame(columns)).tolist() == [0]
    with pytest.raises(PolicyError, match="asks for asked_autopay"):
        points_of(RULE, pd.DataFrame(columns).drop(columns="asked_autopay"))


def test_beside_the_model_as_many_payments_of_each_are_counted(policy: Path, root: Path) -> None:
    (root / "model").mkdir()
    keys = dict(customer_id=range(5), as_of=pd.Timestamp("2026-02-23"), obligation_id=3, instalment=12)
    judged = pd.DataFrame(keys).assign(split=["test"] * 4 + ["live"], missed=[True, False, False, True, True])
    judged.assign(probability=[0.1, 0.9, 0.8, 0.7, 0.6]).to_parquet(root / "model/due_predictions.parquet")
    told = json.loads(typed("--root", root, "--measure", "--json")[1])
    # everybody's late share was 1 then: points 6, 4, 4, 5
    assert told == dict(rows=4, missed=2, auc=1.0, model_auc=0.0, named=4, named_missed=2, model_missed=2)
