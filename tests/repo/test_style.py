"""The numbers of style.py may only improve, and they count what they say."""

import os
from pathlib import Path

import pytest
import style
from project import ROOT, Notebook

ROOM = """#| export
def long(a, b, *, c=lambda x: x): return a
===
long(1, 2)
===
#| export
import os
===
#| export
class Shown:
    def method(self, a): pass
===
#| export
@kernel
def fast(a, b, c, d, e, f, g, h): pass
===
#| hide
fast
===
Shown()
===
#| export
def _own(): pass
"""


@pytest.fixture
def room() -> Notebook:
    cells = tuple({"cell_type": "code", "source": [text]} for text in ROOM.strip().split("\n===\n"))
    return Notebook(Path("00_wing/00_room.ipynb"), cells)


@pytest.mark.parametrize("name", style.MEASURES)
def test_a_number_is_neither_worse_nor_much_better_than_the_one_kept(name: str) -> None:
    assert (said := style.verdict(name, style.count().now[name], style.kept()[name])) == "", said


def test_as_many_notebooks_are_counted_as_there_are() -> None:
    there = [
        f for at, _, files in os.walk(ROOT / "nbs") for f in files if f.endswith(".ipynb") and "checkpoints" not in at
    ]
    assert style.count().notebooks == len(there) > 0


def test_every_kept_number_has_its_measure_and_no_other_is_kept() -> None:
    assert list(style.kept()) == list(style.MEASURES)


@pytest.mark.parametrize(
    ("name", "now", "kept", "said"),
    [
        ("run", 9, 8, "may only improve"),
        ("run", 8, 8, ""),
        ("run", 7, 8, "`run: 7`"),
        ("shown", 0.4, 0.41, "may only improve"),
        ("shown", 0.42, 0.41, ""),
        ("shown", 0.45, 0.41, "`shown: 0.45`"),
        ("cell_characters", 2501, 2500, "may only improve"),
        ("cell_characters", 2450, 2500, ""),
    ],
)
def test_worse_is_refused_and_much_better_is_to_be_kept(name: str, now: float, kept: float, said: str) -> None:
    verdict = style.verdict(name, now, kept)
    assert said in verdict and bool(said) == bool(verdict)


def test_writing_tightens_and_never_loosens() -> None:
    worst = {name: 1e6 for name in style.MEASURES} | {"shown": 0.0, "lessons": 0.0}
    now = style.count().now
    assert style.tightened(now, worst) == now
    better = {name: value + m.better for (name, m), value in zip(style.MEASURES.items(), now.values(), strict=True)}
    assert style.tightened(now, better) == better
    assert style.tightened(now, {}) == now


def test_imports_do_not_lengthen_a_run_and_hidden_cells_do_not_end_it(room: Notebook) -> None:
    assert list(style.runs(room)) == [1, 2, 1]


def test_a_symbol_is_shown_by_a_lesson_within_two_cells(room: Notebook) -> None:
    assert dict(style.shown(room)) == {"long": True, "Shown": False, "fast": False}
    nearer = Notebook(room.path, room.cells[:4] + room.cells[6:])
    assert dict(style.shown(nearer))["Shown"]


def test_parameters_are_counted_of_every_kind_and_not_of_kernels(room: Notebook) -> None:
    assert {f.name: style.parameters(f) for f in style.functions(room) if not style.is_kernel(f)} == {
        "long": 3,
        "method": 1,
        "_own": 0,
    }


def test_a_table_of_data_may_be_wide() -> None:
    row = "x = 1 # " + "a" * 130
    assert style.free(f"#| export\n{row}\n# fmt: off\n{row}\n# fmt: on\ny = 2") == [row, "y = 2"]
    assert style.wide([row, "y = 2"]) == 0.5


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("def f(x): return x", []),
        ("def f(x):\n    a = x\n    b = a\n    c = b\n    return c", []),
        ("def f(x):\n    a = x\n    b = a\n    c = b\n    d = c\n    return d", ["f"]),
        ("class A: pass", ["A"]),
        ("%matplotlib inline\nx = 1", []),
    ],
)
def test_a_stage_may_define_functions_of_up_to_five_lines_and_no_classes(cell: str, found: list[str]) -> None:
    assert style.definitions(cell) == found
