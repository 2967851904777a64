"""The house style, where it can be counted."""

import ast
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
import style
from project import ROOT, Notebook, libraries, notebooks, stages

LIBRARIES, STAGES = {f"{n.path.parent.name}/{n.name}": n for n in libraries()}, {n.name: n for n in stages()}
FOUND = {
    "libraries": 55,
    "stages": 10,
    "all": 68,
}  # how many there are at least: a reader of folders that finds none must not pass


def lines(cell: str) -> int:
    return sum(1 for line in cell.split("\n") if line.strip() and not line.startswith("#|"))


def symbols(cell: str) -> list[ast.FunctionDef | ast.ClassDef]:
    "The public functions and classes that a cell defines."
    return [
        n for n in ast.parse(cell).body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and not n.name.startswith("_")
    ]


def test_every_notebook_is_found() -> None:
    everything = {p for p in (ROOT / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts}
    assert len(LIBRARIES) >= FOUND["libraries"] and len(STAGES) >= FOUND["stages"] and len(notebooks()) >= FOUND["all"]
    apart = {ROOT / "nbs/index.ipynb", ROOT / "nbs/000_tour.ipynb", *(ROOT / "nbs/dashboards").glob("*.ipynb")}
    assert {n.path for n in (*libraries(), *stages())} | apart == everything


def test_exported_cells_are_short() -> None:
    sizes = [lines(c) for n in LIBRARIES.values() for c in n.exported]
    assert statistics.median(sizes) <= 12
    assert sum(s <= 30 for s in sizes) >= 0.9 * len(sizes)


@pytest.mark.parametrize("name", LIBRARIES)
def test_no_exported_cell_is_above_sixty_lines(name: str) -> None:
    assert [c.split("\n")[1] for c in LIBRARIES[name].exported if lines(c) > 60] == []


@pytest.mark.parametrize("name", LIBRARIES)
def test_an_exported_cell_defines_one_public_symbol(name: str) -> None:
    assert [[s.name for s in symbols(c)] for c in LIBRARIES[name].exported if len(symbols(c)) > 1] == []


@pytest.mark.parametrize("name", LIBRARIES)
def test_imports_stand_alone(name: str) -> None:
    kinds = (ast.Import, ast.ImportFrom)
    mixed = [
        c
        for c in LIBRARIES[name].exported
        if 0 < sum(isinstance(n, kinds) for n in ast.parse(c).body) < len(ast.parse(c).body)
    ]
    assert mixed == []


@pytest.mark.parametrize("name", LIBRARIES)
def test_public_functions_say_what_they_take_and_give(name: str) -> None:
    bare = []
    for f in (s for c in LIBRARIES[name].exported for s in symbols(c) if isinstance(s, ast.FunctionDef)):
        arguments = [*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs]
        if f.returns is None or any(a.annotation is None for a in arguments):
            bare.append(f"{f.name}: annotations")
        if not (said := ast.get_docstring(f)) or "\n" in said:
            bare.append(f"{f.name}: one docstring line")
    assert bare == []


def head(book: Notebook) -> tuple[str, str]:
    "Kind and text of the first cell."
    return book.cells[0]["cell_type"], "".join(book.cells[0]["source"])


@pytest.mark.parametrize("name", [*LIBRARIES, *STAGES])
def test_a_notebook_begins_with_its_title_and_purpose(name: str) -> None:
    kind, text = head((LIBRARIES | STAGES)[name])
    assert kind == "markdown" and re.match(r"# \S.*\n\n> \S", text), text


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_defines_nothing_of_its_own_but_short_local_functions(name: str) -> None:
    assert [d for cell in STAGES[name].code for d in style.definitions(cell)] == []


@pytest.mark.parametrize("path", [n.path.relative_to(ROOT) for n in notebooks()], ids=str)
def test_no_cell_is_hidden_from_the_tests(path: Path) -> None:
    text = (ROOT / path).read_text()
    assert not re.search(r"#\|\s*eval:\s*false", text)
    assert "@patch" not in text


@pytest.fixture(scope="module")
def cleaned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    "A copy of all notebooks after `nbdev_clean`."
    copy = tmp_path_factory.mktemp("clean")
    for name in ["settings.ini", *(n.path.relative_to(ROOT) for n in notebooks())]:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    clean = Path(sys.executable).parent / "nbdev_clean"
    subprocess.run([clean, "--fname", copy / "nbs"], cwd=copy, check=True, capture_output=True)
    return copy


@pytest.mark.parametrize("path", [n.path.relative_to(ROOT) for n in notebooks()], ids=str)
def test_a_notebook_is_clean(path: Path, cleaned: Path) -> None:
    assert (cleaned / path).read_bytes() == (ROOT / path).read_bytes(), f"run nbdev_clean --fname {path}"


def test_lessons_end_in_something_to_see() -> None:
    bare = [
        f"{n.name}: {c}"
        for n in LIBRARIES.values()
        for c in n.code
        if c not in n.exported and re.match(r"assert\b", c.rstrip().split("\n")[-1])
    ]
    assert bare == []
