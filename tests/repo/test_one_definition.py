"""What is asked in many rooms is answered in one."""

import ast
import re

import pytest
from project import modules, stages

PAID, DUE = re.compile(r"paid|short|timely|rest\b"), re.compile(r"amount|owed|need")
OF_THE_FOLD = re.compile(r"s\[at \+ (?:AMOUNT|PAID)\]")  # amount and paid of a due in a customer's state


def own_answers(code: str) -> list[str]:
    "Comparisons that judge a due by themselves: what was paid with what is due, or a day with a grace."
    found = []
    for node in (n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Compare)):
        sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
        money = any(PAID.search(s) for s in sides) and any(DUE.search(s) for s in sides)
        if money or re.search("grace", " ".join(sides)) or len(OF_THE_FOLD.findall(" ".join(sides))) > 1:
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("name", sorted(modules()))
def test_no_other_room_decides_whether_a_due_is_paid_or_its_grace_over(name: str) -> None:
    if name != "predelinquency.ground.dues":
        assert own_answers(modules()[name].read_text()) == []


def test_no_stage_decides_it_either() -> None:
    for notebook in stages():
        for cell in notebook.code:
            if not cell.startswith("%"):
                assert own_answers(cell) == [], notebook.name


@pytest.mark.parametrize(
    "code",
    [
        "paid.get(due, 0) >= amount",
        "paid < dues['amount_minor'].to_numpy()",
        "open_.amount_minor > open_.paid_minor.fillna(0)",
        "s[at + PAID] >= s[at + AMOUNT]",
        "day < -grace",
        "when < due_on + (p.base.grace_days + 1) * day",
        "log[row, 3] < (log[row, 5] + grace + 1) * DAY_MS",
    ],
)
def test_ways_in_which_it_has_been_written_would_be_found(code: str) -> None:
    assert own_answers(code) == [ast.unparse(ast.parse(code).body[0].value)]  # type: ignore[attr-defined]
