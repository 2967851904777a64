"""Banks whose files lack something go the whole way, or are refused in words."""

import json
from datetime import date
from pathlib import Path

import pytest

from predelinquency.ground.core import PredelinquencyError
from predelinquency.ops import stages

pytestmark = pytest.mark.long
FEW = {"evaluate.bootstrap": 40, "train.trees": 60, "train.repeats": 2}
NOTHING_DUE = "2024-12-29"  # the window is 13 to 26 January; asked are only those whose instalments fall on the first twelve days of a month


def way(folder: Path, project: Path, mapping: Path) -> dict:
    "Every stage; the figures."
    changes = FEW | {"ingest.mapping": str(mapping), "ingest.data": str(mapping.parent)}
    for name in stages.way(stages.graph(project), ingest=True):
        stages.run(name, folder, changes, project)
    return json.loads((folder / "reports/metrics.json").read_text())


@pytest.fixture
def bank():
    import sys

    sys.path.insert(0, str(Path(__file__).parent.parent / "data"))
    import bare_bank

    return bare_bank


def test_a_source_in_which_nothing_falls_due_in_the_window_goes_the_whole_way(tmp_path, project, bank):
    mapping = bank.bank(tmp_path / "files", moments=True)
    mapping.write_text(
        mapping.read_text()
        .replace("date '2024-12-20' as asked", f"date '{NOTHING_DUE}' as asked")
        .replace("where n = 13", "where n = 13 and day(due) <= 12")
    )
    figures = way(tmp_path / "out", project, mapping)
    assert figures["baselines"]["calendar"] == {"auc": None, "why": "nothing falls due in the window"}
    assert figures["headline"]["auc"] > 0.5
    assert figures["gain_over_five_columns"]["low"] is not None
    assert "of 5 columns" in figures["baselines"]["five_columns"]["reads"]
    brief = json.loads((tmp_path / "out/reports/headline.json").read_text())
    assert brief["gain_over_calendar"] is None and brief["auc"] == figures["headline"]["auc"]


def test_a_source_of_moments_and_nothing_else_goes_the_whole_way_and_knows_nothing(tmp_path, project, bank):
    figures = way(tmp_path / "out", project, bank.bank(tmp_path / "files", moments=True, dues=False))
    assert figures["headline"]["auc"] is None and "says the same of everybody" in figures["headline"]["why"]
    assert {name for name, b in figures["baselines"].items() if b["auc"] is None} == {
        "calendar",
        "balance",
        "projected",
        "logistic",
        "five_columns",
        "plain_aggregates",
    }


@pytest.mark.parametrize(
    "has, said",
    [
        (dict(), "the source has no accounts"),
        (dict(money=True, dues=False), "no payment towards a due"),
        (dict(money=True, missed=lambda who, due: False), "a model learns from both outcomes"),
        (
            dict(money=True, missed=lambda who, due: (who + due.month) % 8 == 0 and due < date(2025, 4, 1)),
            "0 of them positive: nothing to measure",
        ),
    ],
    ids=["no accounts", "no dues", "nobody missed", "nobody missed in the test weeks"],
)
def test_a_source_that_cannot_answer_the_question_is_refused_in_words(tmp_path, project, bank, has, said):
    with pytest.raises(PredelinquencyError, match=said) as refusal:
        way(tmp_path / "out", project, bank.bank(tmp_path / "files", **has))
    assert type(refusal.value) is not stages.StageError, "foreseen, and not what a library said"
