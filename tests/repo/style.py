"""What a reader feels, counted over the whole of nbs/: `python tests/repo/style.py [--write]`.

The numbers kept in `style.yaml` may only improve: `--write` tightens those that became better and adds those that
are missing. One that became worse is mended in the notebooks; it is never written.
"""

import argparse
import ast
import re
import statistics
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml
from project import Notebook, libraries, notebooks, stages

KEPT = Path(__file__).with_name("style.yaml")
WIDTH, RUN, ROOMS, LOCAL = 120, 6, 2, 5  # of a line; without a lesson; of one function's name; lines of a stage's `def`
IMPORTS, FUNCTIONS = (ast.Import, ast.ImportFrom), (ast.FunctionDef, ast.AsyncFunctionDef)
SYMBOLS = (*FUNCTIONS, ast.ClassDef)
TYPED = ("ground", "features", "decide", "service")  # wings whose public signatures say what they take and give
KERNELS = {"kernel", "lean"}


class Measure(NamedTuple):
    what: str
    target: float
    margin: float = 1  # how much better than the kept number it may be before that has to be tightened
    better: int = -1  # -1: less is better, 1: more


# fmt: off
MEASURES = {
    "wide_exported": Measure("share of lines over 120 characters, exported cells", 0, .005),
    "wide_lessons": Measure("share of lines over 120 characters, all other cells", 0, .005),
    "cell_lines": Measure("largest exported cell, lines", 60),
    "cell_characters": Measure("largest exported cell, characters", 2500, 100),
    "cell_median": Measure("median exported cell, lines", 12),
    "room_lines": Measure("largest room, lines of its exported cells", 500, 20),
    "room_cells": Measure("largest room, exported cells", 40),
    "run": Measure("longest run of exported cells without a lesson", RUN),
    "rooms_above_six": Measure("rooms with a run longer than six", 0),
    "shown": Measure("share of public symbols shown within two cells", .8, .02, 1),
    "lessons": Measure("lessons for each exported cell", 1, .03, 1),
    "parameters": Measure("most parameters of a function, kernels apart", 6),
    "shared_names": Measure("functions whose name stands in more than two rooms", 0),
    "untyped": Measure("public signatures with `Any` in ground, features, decide, service", 0),
    "stage_lambdas": Measure("lambdas in stage notebooks", 0),
    "stage_cells": Measure("stage with the most code cells", 12),
    "stage_definitions": Measure("definitions in stages, apart from `def`s of up to five lines", 0),
}
# fmt: on


class Count(NamedTuple):
    notebooks: int  # all that were read
    now: dict[str, float]  # by the names of MEASURES
    where: dict[str, list[str]]  # the worst places, for those that have places


def tree(cell: str) -> ast.Module:
    return ast.parse(re.sub(r"(?m)^\s*[%!].*$", "", cell))


def full(cell: str) -> list[str]:
    return [li for li in cell.split("\n") if li.strip() and not li.startswith("#|")]


def free(cell: str) -> list[str]:
    "Its lines, those of a table of data (between `# fmt: off` and `# fmt: on`) left out."
    return full(re.sub(r"(?ms)^\s*# fmt: off.*?(^\s*# fmt: on|\Z)", "", cell))


def is_lesson(cell: str) -> bool:
    return bool(full(cell)) and not re.search(r"(?m)^#\|\s*(export|hide|default_exp)", cell)


def symbols(cell: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    "The public functions and classes that a cell defines."
    return [n for n in tree(cell).body if isinstance(n, SYMBOLS) and not n.name.startswith("_")]


def names(cell: str) -> set[str]:
    "What a cell speaks of."
    nodes = list(ast.walk(tree(cell)))
    return {n.id for n in nodes if isinstance(n, ast.Name)} | {n.attr for n in nodes if isinstance(n, ast.Attribute)}


def runs(room: Notebook) -> Iterator[int]:
    "Lengths of what is exported between two lessons; imports show nothing and do not count."
    length = 0
    for cell in room.code:
        if is_lesson(cell):
            yield length
            length = 0
        elif cell in room.exported and not all(isinstance(n, IMPORTS) for n in tree(cell).body):
            length += 1
    yield length


def shown(room: Notebook) -> Iterator[tuple[str, bool]]:
    "Each public symbol, and whether one of the two code cells after its own is a lesson that speaks of it."
    for at, cell in enumerate(room.code):
        if cell not in room.exported:
            continue
        said = set().union(*(names(c) for c in room.code[at + 1 : at + 3] if is_lesson(c)))
        yield from ((symbol.name, symbol.name in said) for symbol in symbols(cell))


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    a = function.args
    named = [n for n in (*a.posonlyargs, *a.args, *a.kwonlyargs) if n.arg not in ("self", "cls")]
    return len(named) + bool(a.vararg) + bool(a.kwarg)


def is_kernel(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(isinstance(n, ast.Name) and n.id in KERNELS for d in function.decorator_list for n in ast.walk(d))


def signatures(body: list[ast.stmt], owner: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    "The public functions and methods of a module, each with its name."
    for node in body:
        if isinstance(node, FUNCTIONS) and not node.name.startswith("_"):
            yield owner + node.name, node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from signatures(node.body, f"{node.name}.")


def is_untyped(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    "Whether `Any` stands in its signature."
    a = function.args
    given = [n.annotation for n in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg) if n]
    said = [n for n in (*given, function.returns) if n]
    return any(isinstance(n, ast.Name) and n.id == "Any" for one in said for n in ast.walk(one))


def functions(room: Notebook) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    "Every function of a room, methods and inner ones too."
    yield from (n for c in room.exported for n in ast.walk(tree(c)) if isinstance(n, FUNCTIONS))


def definitions(cell: str) -> list[str]:
    "What a cell of a stage defines, apart from short local functions."
    found = [n for n in ast.walk(tree(cell)) if isinstance(n, SYMBOLS)]
    return [n.name for n in found if isinstance(n, ast.ClassDef) or n.end_lineno - n.lineno >= LOCAL]


def wide(cells: list[str]) -> float:  # a share, 0 of no cells
    lines = [li for c in cells for li in free(c)]
    return sum(len(li) > WIDTH for li in lines) / max(1, len(lines))


def places(found: dict[str, int], above: float) -> list[str]:
    return [f"{name} {n}" for name, n in sorted(found.items(), key=lambda x: (-x[1], x[0])) if n > above]


@cache
def count() -> Count:
    rooms, works = {n.module: n for n in libraries()}, {n.name: n for n in stages()}
    exported = [c for room in rooms.values() for c in room.exported]
    others = [c for n in notebooks() for c in n.code if c not in n.exported]
    longest = {name: max(runs(room)) for name, room in rooms.items()}
    lines = {name: sum(len(full(c)) for c in room.exported) for name, room in rooms.items()}
    cells = {name: len(room.exported) for name, room in rooms.items()}
    steps = {name: len(work.code) for name, work in works.items()}
    taken = {
        f"{name}.{f.name}": parameters(f) for name, room in rooms.items() for f in functions(room) if not is_kernel(f)
    }
    homes = defaultdict(set)
    for name, room in rooms.items():
        for symbol in (s for c in room.exported for s in symbols(c) if isinstance(s, FUNCTIONS)):
            homes[symbol.name].add(name)
    common = {name: len(where) for name, where in homes.items() if len(where) > ROOMS}
    seen = [is_shown for room in rooms.values() for _, is_shown in shown(room)]
    untyped = [
        f"{name}.{symbol}"
        for name, room in rooms.items()
        if name.partition(".")[0] in TYPED
        for cell in room.exported
        for symbol, function in signatures(tree(cell).body)
        if is_untyped(function)
    ]
    lambdas = {
        name: sum(isinstance(n, ast.Lambda) for c in w.code for n in ast.walk(tree(c))) for name, w in works.items()
    }
    own = {name: len([d for c in work.code for d in definitions(c)]) for name, work in works.items()}
    now = dict(
        wide_exported=round(wide(exported), 4),
        wide_lessons=round(wide(others), 4),
        cell_lines=max(len(full(c)) for c in exported),
        cell_characters=max(map(len, exported)),
        cell_median=statistics.median(len(full(c)) for c in exported),
        room_lines=max(lines.values()),
        room_cells=max(cells.values()),
        run=max(longest.values()),
        rooms_above_six=sum(n > RUN for n in longest.values()),
        shown=round(sum(seen) / len(seen), 4),
        lessons=round(sum(is_lesson(c) for room in rooms.values() for c in room.code) / len(exported), 4),
        parameters=max(taken.values()),
        shared_names=len(common),
        untyped=len(untyped),
        stage_lambdas=sum(lambdas.values()),
        stage_cells=max(steps.values()),
        stage_definitions=sum(own.values()),
    )
    where = dict(
        room_lines=places(lines, 500),
        room_cells=places(cells, 40),
        rooms_above_six=places(longest, RUN),
        parameters=places(taken, 6),
        shared_names=places(common, ROOMS),
        untyped=untyped,
        stage_lambdas=places(lambdas, 0),
        stage_cells=places(steps, 12),
        stage_definitions=places(own, 0),
    )
    return Count(len(notebooks()), now, where)


def verdict(name: str, now: float, kept: float) -> str:  # empty where the kept number stands
    "What is to be done about a number, in words."
    measure = MEASURES[name]
    gain = (now - kept) * measure.better
    if gain < -1e-9:
        return f"{measure.what}: {now:g}, and {kept:g} is kept in {KEPT.name}: it may only improve"
    if gain < measure.margin - 1e-9:
        return ""
    return f"{measure.what}: better than kept; write `{name}: {now:g}` in {KEPT.name} (style.py --write)"


def kept() -> dict[str, float]:
    return yaml.safe_load(KEPT.read_text()) if KEPT.exists() else {}


def tightened(now: dict[str, float], old: dict[str, float]) -> dict[str, float]:
    "What to keep: the better of both."
    best = {-1: min, 1: max}
    return {name: best[m.better](now[name], old.get(name, now[name])) for name, m in MEASURES.items()}


def table(found: Count, old: dict[str, float]) -> str:
    rows = [f"{'':62}{'now':>9}{'kept':>9}{'target':>9}"]
    for name, m in MEASURES.items():
        rows.append(f"{m.what:62}{found.now[name]:9.4g}{old.get(name, float('nan')):9.4g}{m.target:9.4g}")
        rows += textwrap.wrap(
            ", ".join(found.where.get(name, [])), WIDTH - 4, initial_indent="    ", subsequent_indent="    "
        )
    return "\n".join([*rows, f"{found.notebooks} notebooks"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="keep what became better")
    found, asked = count(), parser.parse_args()
    if asked.write:
        lines = [f"{name}: {value:g}\n" for name, value in tightened(found.now, kept()).items()]
        KEPT.write_text(
            "# What the notebooks have come to, by `python tests/repo/style.py`: may only improve.\n" + "".join(lines)
        )
    print(table(found, kept()))


if __name__ == "__main__":
    main()
