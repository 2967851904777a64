"""What a customer says opens a case whatever the score: through the command, a ledger and the nights after it."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from typer.testing import CliRunner

from predelinquency.decide import cases, engine, memory, night, policy
from predelinquency.decide.night import Scored, Worked
from predelinquency.ground.ledger import Ledger
from predelinquency.ops import cli

BOOK, GRACE = engine.load_book(), SimpleNamespace(grace_days=5)
PEOPLE = pd.DataFrame(dict(customer_id=[7, 8], source_id=["C-0007", "C-0008"], time_zone="Europe/London"))


def due(customer: int, instalment: int, announced: str, on: str) -> dict[str, object]:
    return dict(
        customer_id=customer, obligation_id=3, instalment=instalment, kind="loan", autopay=False, currency="GBP",
        amount_minor=30_000, announced_at=pd.Timestamp(announced), due_on=pd.Timestamp(on),
    )  # fmt: skip


def a_night(root: Path, as_of: str, dues: list[dict[str, object]], chance: dict[cases.Key, float]) -> Worked:
    "One night that remembers by the ledger beside the results, and keeps its steps there."
    known = pd.DataFrame(dues).astype({"announced_at": "datetime64[ms]", "due_on": "datetime64[ms]"})
    none = pd.DataFrame(dict(customer_id=[8], obligation_id=[3], instalment=[11], amount_minor=[0]))
    none = none.assign(**dict.fromkeys(("paid_at", "arrived_at"), pd.Timestamp("2026-01-01")))
    told = engine.Told(memory=memory.of_address(root / "ledger.db", pd.Timestamp(as_of)))
    rows = [[*key, p, -5.0] for key, p in chance.items()]
    scored = pd.DataFrame(rows, columns=["customer_id", "obligation_id", "instalment", "probability", "margin"])
    tables = dict(customers=PEOPLE, obligations=known, payments=none)
    done = night.work(BOOK, tables, Scored(pd.Timestamp(as_of), scored, frozenset([7, 8]), "v1"), told, GRACE)
    with Ledger.open(f"sqlite:///{root}/ledger.db") as ledger:
        ledger.append(done.steps, f"{as_of}T00:10:00+00:00")
    return done


@pytest.fixture
def says(tmp_path: Path) -> Callable[..., None]:
    "`says(said_at, why)`: a line of a file goes through `ledger record`."

    def recorded(said_at: str, why: str, instalment: int = 12) -> None:
        line = dict(record="note", customer_id=7, obligation_id=3, instalment=instalment, said_at=said_at)
        (tmp_path / "said.jsonl").write_text(json.dumps(line | dict(kind="cannot_pay", said_by="customer", why=why)))
        words = ["ledger", "record", tmp_path / "said.jsonl", "--root", tmp_path]
        done = CliRunner().invoke(cli.app, [str(word) for word in words])
        assert done.exit_code == 0 and "recorded 1 of 1" in done.output, done.output

    return recorded


APRIL = [due(who, 12, "2026-02-20", "2026-04-01") for who in (7, 8)]
CALM = {(7, 3, 12): 0.004, (8, 3, 12): 0.004}


def test_who_says_i_cannot_pay_is_a_case_the_next_night_and_the_plan_speaks_of_it(tmp_path: Path, says) -> None:
    before = a_night(tmp_path, "2026-03-10", APRIL, CALM)
    assert before.steps == [] and max(CALM.values()) < cases.lines(BOOK.policy).opens_at
    says("2026-03-10T14:00:00+00:00", "I cannot pay on the 1st.")
    after = a_night(tmp_path, "2026-03-11", APRIL, CALM)
    assert [(s.case_id, s.event, s.to_state) for s in after.steps] == [("7-3-12-1", "opened", "early")]
    asked = {q.case.customer_id: q for q in after.questions}
    assert (asked[7].case.case_id, asked[8].case.case_id) == ("7-3-12-1", "")
    stops = {who: {r.rule for r in policy.case_refusals(q)} for who, q in asked.items()}
    assert "case_open" in stops[8] and "case_open" not in stops[7]
    row = cases.case_table(after.cases.values()).iloc[0]
    assert row.why == "The customer said: I cannot pay on the 1st." and row.probability == 0.004


def test_what_was_said_opens_one_case_only_and_not_again_when_it_is_dealt_with(tmp_path: Path, says) -> None:
    says("2026-03-10T14:00:00+00:00", "I cannot pay on the 1st.")
    nights = [a_night(tmp_path, f"2026-03-{d}", APRIL, CALM) for d in (11, 12, 18)]
    assert [s.event for done in nights for s in done.steps if s.event != "scored"] == ["opened", "near"]
    moved = [*APRIL[1:], due(7, 12, "2026-03-19", "2026-04-20")]
    later = [a_night(tmp_path, f"2026-03-{d}", moved, CALM) for d in (20, 21)]
    assert [(s.event, s.outcome) for done in later for s in done.steps] == [("closed", "moved")]
    says("2026-03-21T09:00:00+00:00", "Nor on the 20th.")
    again = a_night(tmp_path, "2026-03-22", moved, CALM)
    assert [(s.case_id, s.event, s.after) for s in again.steps] == [("7-3-12-2", "opened", "7-3-12-1")]


def test_what_is_said_of_a_payment_that_is_not_announced_waits_for_its_announcement(tmp_path: Path, says) -> None:
    says("2026-03-10T14:00:00+00:00", "I cannot pay in May.", instalment=13)
    may = [*APRIL, due(7, 13, "2026-03-25", "2026-05-01")]
    assert a_night(tmp_path, "2026-03-11", may, CALM).steps == []
    first, second = (a_night(tmp_path, f"2026-03-{d}", may, CALM) for d in (26, 27))
    assert [(s.case_id, s.why) for s in first.steps] == [("7-3-13-1", "The customer said: I cannot pay in May.")]
    assert second.steps == []


def test_a_payment_that_is_only_expected_is_a_case_from_its_announcement_on_with_the_score_of_that_night(
    tmp_path: Path,
) -> None:
    may = [*APRIL, due(7, 13, "2026-04-13", "2026-05-01"), due(8, 13, "2026-04-13", "2026-05-01")]
    chances = {
        "2026-04-06": (0.3, 0.3),
        "2026-04-13": (0.2, 0.2),
        "2026-04-20": (0.07, 0.01),
        "2026-04-27": (0.1, 0.03),
    }
    opened = []
    for as_of, (one, other) in chances.items():
        done = a_night(tmp_path, as_of, may, {(7, 3, 13): one, (8, 3, 13): other})
        opened += [(as_of[5:], s.case_id, s.probability, s.due_on) for s in done.steps if s.event == "opened"]
    assert opened == [("04-20", "7-3-13-1", 0.07, "2026-05-01"), ("04-27", "8-3-13-1", 0.03, "2026-05-01")]
