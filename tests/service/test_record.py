"""Scores and decisions of a night are recorded together, or not at all."""

from pathlib import Path

import pandas as pd
import pytest
from records import AT, decision, score

from predelinquency.ground import ledger as ground_ledger
from predelinquency.ground.ledger import Ledger
from predelinquency.ground.records import Decision, Score
from predelinquency.service import verdicts


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    "A folder of results with one score and one decision."
    (tmp_path / "reports").mkdir()
    pd.DataFrame({"customer_id": [7]}).to_parquet(tmp_path / "reports/plan.parquet")
    monkeypatch.setattr(verdicts.champion, "check_belongs", lambda *_: None)
    monkeypatch.setattr(verdicts.tables, "scores", lambda _: [score()])
    monkeypatch.setattr(verdicts.engine, "decisions", lambda _: [decision()])
    return tmp_path


def test_scores_are_not_kept_when_their_decisions_cannot_be_written(
    night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, append = f"sqlite:///{night}/ledger.db", ground_ledger._append

    def fails(connection, kind, rows) -> int:
        if kind.record is Decision:
            raise OSError(28, "No space left on device")
        return append(connection, kind, rows)

    monkeypatch.setattr(ground_ledger, "_append", fails)
    with pytest.raises(OSError, match="No space left"):
        verdicts.record(night, url, AT)
    with Ledger.open(url) as book:
        assert book.of(Score) == []
    monkeypatch.setattr(ground_ledger, "_append", append)
    again = dict(as_of="2026-03-02", scores=1, decisions=1, stood=0, cases=0, of=1)
    assert verdicts.record(night, url, AT) == again
    with Ledger.open(url) as book:
        assert len(book.of(Score)) == len(book.of(Decision)) == 1
