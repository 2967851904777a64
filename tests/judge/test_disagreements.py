"""What people said against the score is read from the ledger, and held beside what became of the payment."""

import json
from pathlib import Path

import pandas as pd
import pytest

from predelinquency.ground import disk, schema
from predelinquency.ground.ledger import Ledger
from predelinquency.ground.records import CaseEvent, Note
from predelinquency.judge import disagreements

LINE, GRACE, UNTIL = 0.02, 5, pd.Timestamp("2026-05-01")
DUE_ON = pd.Timestamp("2026-04-01")


def note(
    customer: int, opinion: str, said_at: str = "2026-03-12", by: str = "A. Novak", kind: str = "disagrees"
) -> Note:
    until = "2026-03-20" if kind == "put_off" else None
    return Note(customer, 3, 12, f"{said_at}T14:00:00+00:00", kind, by, "a reason", until, opinion)


def step(customer: int, at: str, chance: float, event: str = "opened") -> CaseEvent:
    first = "" if event == "opened" else "early"
    name = f"{customer}-3-12-1"
    return CaseEvent(
        customer, name, f"{at}T00:00:00+00:00", event, first, "early", "why", 3, 12, "2026-04-01", chance, at
    )


def tables(folder: Path, customers: int, missed: set[int]) -> Path:
    "One loan instalment each, on 1 April; those in `missed` do not pay it."
    due = pd.DataFrame(dict(customer_id=range(customers), obligation_id=3, instalment=12, kind="loan", currency="GBP"))
    due = due.assign(fact="announced", amount_minor=30_000, enough_minor=29_900, autopay=False, due_on=DUE_ON)
    due["announced_at"] = pd.Timestamp("2026-02-20")
    paid = due[~due.customer_id.isin(missed)][["customer_id", "obligation_id", "instalment", "due_on", "amount_minor"]]
    paid = paid.assign(payment_id=pd.NA, **dict.fromkeys(("paid_at", "arrived_at"), pd.Timestamp("2026-03-31 10:00")))
    for name, frame in (("obligations", due), ("payments", paid)):
        words = {c.name: pd.CategoricalDtype(list(c.words)) for c in schema.TABLES[name].columns if c.words}
        whole = {c.name: "Int64" for c in schema.TABLES[name].columns if c.nullable and c.kind == "int64"}
        days = {c.name: "datetime64[ms]" for c in schema.TABLES[name].columns if c.kind == "time"}
        frame = frame.astype(words | whole | days | {"instalment": "int32"})
        disk.write(folder, schema.TABLES[name], frame[schema.TABLES[name].names])
    return folder


@pytest.fixture
def kept(tmp_path: Path):
    "`kept(records)`: a ledger that holds them."

    def made(*records: Note | CaseEvent) -> Path:
        where = tmp_path / "ledger.db"
        with Ledger.open(f"sqlite:///{where}") as ledger:
            ledger.append(records, "2026-03-12T15:00:00+00:00")
        return where

    return made


def test_each_direction_is_counted_with_who_was_right(kept, tmp_path: Path) -> None:
    said = [note(c, "pays") for c in range(35)] + [note(c, "misses") for c in range(40, 45)]
    steps = [step(c, "2026-03-11", 0.1) for c in range(35)]
    raw = tables(tmp_path / "raw", 50, missed={0, 1, 2, 3, 40, 41})
    found = disagreements.of_run(raw, kept(*said, *steps), LINE, GRACE, UNTIL)
    assert (found["count"], found["alike"], found["people"]) == (40, 0, 1)
    high, low = found["high_pays"], found["low_misses"]
    assert [high[k] for k in ("count", "decided", "person_right", "score_right")] == [35, 35, 31, 4]
    assert high["expected_misses"] == 3.5 and high["person_right_share"] == pytest.approx(31 / 35, abs=1e-4)
    assert [low[k] for k in ("count", "decided", "person_right", "score_right")] == [5, 5, 2, 3]
    assert low["person_right_share"] is None and "fewer than 30" in low["person_right_share_why"]
    assert low["expected_misses"] is None and "chance of their own" in low["expected_misses_why"]
    json.dumps(found, allow_nan=False)
    shown = disagreements.table_of_disagreements(found)
    assert isinstance(shown, pd.DataFrame) and shown["share of the person"].str.contains("not known|89%").all()


@pytest.mark.parametrize("records", [(), (note(1, "", kind="put_off"),)], ids=["nothing", "another word"])
def test_where_nobody_disagreed_it_is_not_known_and_says_why(kept, tmp_path: Path, records: tuple[Note, ...]) -> None:
    raw = tables(tmp_path / "raw", 2, missed=set())
    none = dict(count=None, why="no disagreement is on record")
    assert disagreements.of_run(raw, kept(*records), LINE, GRACE, UNTIL) == none
    assert disagreements.of_run(raw, tmp_path / "not there.db", LINE, GRACE, UNTIL) == none
    assert "not known, because no disagreement is on record" in disagreements.table_of_disagreements(none)


def test_a_word_is_held_against_the_chance_at_its_moment(kept, tmp_path: Path) -> None:
    raw = tables(tmp_path / "raw", 3, missed={1})
    steps = [step(c, "2026-03-11", 0.1) for c in (0, 1, 2)]
    steps += [step(0, "2026-03-20", 0.001, "scored"), step(1, "2026-03-13", 0.001, "scored")]
    found = disagreements.of_run(
        raw, kept(*steps, note(0, "pays"), note(1, "misses", "2026-03-14"), note(2, "misses")), LINE, GRACE, UNTIL
    )
    assert (found["high_pays"]["count"], found["low_misses"]["count"], found["alike"]) == (1, 1, 1)
    assert found["low_misses"]["expected_misses"] == 0.001 and found["low_misses"]["person_right"] == 1


def test_the_last_word_of_a_person_counts_and_hindsight_does_not(kept, tmp_path: Path) -> None:
    raw = tables(tmp_path / "raw", 3, missed={0, 1})
    steps = [step(c, "2026-03-11", 0.1) for c in (0, 1, 2)]
    words = [
        note(0, "misses"),
        note(0, "pays", "2026-03-15"),
        note(0, "pays", by="B. Osei"),
        note(2, "pays", "2026-04-06"),
    ]
    found = disagreements.of_run(raw, kept(*steps, *words, note(1, "pays", "2026-04-07")), LINE, GRACE, UNTIL)
    assert (found["count"], found["people"], found["alike"]) == (3, 2, 0), "the grace of customer 1 had ended"
    assert (found["high_pays"]["person_right"], found["high_pays"]["score_right"]) == (1, 2)


def test_what_is_not_over_has_no_outcome_yet(kept, tmp_path: Path) -> None:
    raw = tables(tmp_path / "raw", 2, missed={0})
    where = kept(step(0, "2026-03-11", 0.1), note(0, "pays"))
    for until, decided in (("2026-04-06", 0), ("2026-04-07", 1)):
        found = disagreements.of_run(raw, where, LINE, GRACE, pd.Timestamp(until))["high_pays"]
        assert (found["count"], found["decided"]) == (1, decided)


def test_the_evaluation_reads_the_ledger_beside_the_results(trained: Path) -> None:
    found = json.loads((trained / "reports/metrics.json").read_text())["disagreements"]
    assert found["count"] is None and found["why"] == disagreements.NONE
    assert "not known, because no disagreement is on record" in (trained / "reports/evaluate.ipynb").read_text()
