"""Weeks of plans on a small bank with its real scores: a due is expected first, then announced, and is one case or none."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from predelinquency.decide import cases, memory
from predelinquency.decide.cases import Key, Night
from predelinquency.ground import disk, facts
from predelinquency.ground.facts import KEY
from predelinquency.ground.ledger import Ledger
from predelinquency.ground.params import Params
from predelinquency.ground.records import CaseEvent
from predelinquency.ground.schema import TARGET_KINDS

pytestmark = pytest.mark.slow
LINE = cases.Lines(0.002, 0.15, 14)  # low: most dues cross it at some time


class Weeks(NamedTuple):
    scores: pd.DataFrame  # every due ahead of the judged customers, week by week
    known: dict[pd.Timestamp, pd.DataFrame]  # how every due stood at each midnight
    steps: list[CaseEvent]  # from the ledger, after all the nights


@pytest.fixture(scope="module")
def weeks(trained: Path, settings: Params, tmp_path_factory: pytest.TempPathFactory) -> Weeks:
    scores = pd.read_parquet(trained / "model/due_predictions.parquet").query("split == 'test'")
    tables = [disk.read(trained / "raw", name) for name in ("obligations", "payments")]
    mine, paid = (table[table.customer_id.isin(scores.customer_id)].reset_index(drop=True) for table in tables)
    mine, known, grace = mine[mine.kind.isin(TARGET_KINDS)].reset_index(drop=True), {}, settings.base.grace_days
    with Ledger.open(f"sqlite:///{tmp_path_factory.mktemp('expected')}/ledger.db") as ledger:
        for as_of, week in scores.groupby("as_of"):
            known[as_of] = facts.standings(mine, paid, as_of, grace)
            steps = memory.remembered(ledger, str(as_of.date())).steps
            chances: dict[Key, float] = {(c, o, n): p for c, o, n, p in week[[*KEY, "probability"]].to_numpy().tolist()}
            chances = {tuple(map(int, due)): p for due, p in chances.items()}  # type: ignore[misc]
            one = Night(str(as_of.date()), cases.stood(known[as_of]), chances, {}, grace)
            ledger.append(cases.tonight(LINE, cases.followed(steps).values(), one), f"{as_of}+00:00")
        return Weeks(scores, known, ledger.of(CaseEvent))


def opened(weeks: Weeks) -> dict[Key, list[CaseEvent]]:
    found: dict[Key, list[CaseEvent]] = {}
    for step in weeks.steps:
        if step.event == "opened":
            found.setdefault((step.customer_id, step.obligation_id, step.instalment), []).append(step)
    return found


def test_an_expected_due_is_the_next_instalment_of_its_contract(trained: Path, weeks: Weeks) -> None:
    record = disk.read(trained / "raw", "obligations").query("fact == 'announced'")
    record = record[record.kind.isin(TARGET_KINDS)]
    expected, known = weeks.scores[weeks.scores.expected], 0
    for row in expected.itertuples():
        later = record[(record.obligation_id == row.obligation_id) & (record.announced_at >= row.as_of)]
        if len(later):
            known += 1
            assert later.sort_values("announced_at").instalment.iloc[0] == row.instalment, row
    assert known > 10


def test_no_case_is_lost_and_none_is_doubled(weeks: Weeks) -> None:
    first: dict[Key, tuple[str, float]] = {}
    for as_of, week in weeks.scores.sort_values("as_of").groupby("as_of"):
        waits = weeks.known[as_of].query("state == 'open'")[list(KEY)]
        for c, o, n, p in week.merge(waits, on=list(KEY))[[*KEY, "probability"]].itertuples(index=False, name=None):
            if p >= LINE.opens_at:
                first.setdefault((int(c), int(o), int(n)), (str(as_of.date()), p))
    found = opened(weeks)
    assert len(first) > 50
    assert {due: (steps[0].at[:10], steps[0].probability) for due, steps in found.items()} == first
    dated = Counter((due, s.due_on) for due, steps in found.items() for s in steps if "taken back" not in s.why)
    assert [due for due, n in dated.items() if n > 1] == []


def test_what_was_only_expected_becomes_one_case_when_it_is_announced(weeks: Weeks) -> None:
    found, ahead = opened(weeks), weeks.scores[weeks.scores.expected & (weeks.scores.probability >= LINE.opens_at)]
    became = 0
    for due, rows in ahead.groupby(list(KEY)):
        steps = found.get(tuple(map(int, due)), [])  # type: ignore[arg-type]
        assert len(steps) <= 1 and all(s.at[:10] > str(rows.as_of.max().date()) for s in steps), due
        became += len(steps)
    assert became > 3
