"""What the tests of the repository read: its notebooks as cells, its modules as imports."""

import ast
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from predelinquency.ops import graph
from predelinquency.ops.graph import imported

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Notebook:
    path: Path
    cells: tuple[dict, ...]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def number(self) -> tuple[int, str]:
        "Floor of its wing, place within it."
        return int(self.path.parent.name[:2]), self.name

    @property
    def code(self) -> list[str]:
        return ["".join(c["source"]) for c in self.cells if c["cell_type"] == "code"]

    @property
    def exported(self) -> list[str]:
        return [c for c in self.code if re.match(r"#\|\s*export\s*$", c.split("\n")[0])]

    @property
    def module(self) -> str | None:
        "Dotted name below the package, from its `default_exp` line."
        return next((m[1] for c in self.code if (m := re.search(r"^#\|\s*default_exp\s+(\S+)", c, re.M))), None)


@cache
def notebook(path: Path) -> Notebook:
    return Notebook(path, tuple(json.loads(path.read_text())["cells"]))


def libraries() -> list[Notebook]:
    "Notebooks that export a module, in the order of floors and numbers."
    found = [
        notebook(p)
        for p in sorted((ROOT / "nbs").glob("[0-9]*_*/**/[0-9]*.ipynb"))
        if ".ipynb_checkpoints" not in p.parts
    ]
    return [n for n in found if n.module]


def stages() -> list[Notebook]:
    return [notebook(p) for p in sorted((ROOT / "nbs/pipeline").glob("*.ipynb"))]


def notebooks() -> list[Notebook]:
    return [notebook(p) for p in sorted((ROOT / "nbs").rglob("*.ipynb")) if ".ipynb_checkpoints" not in p.parts]


def at_import(text: str) -> set[str]:
    "As `imported`, but only what runs when the module itself is imported."
    tree = ast.parse(text)
    outside = [n for n in tree.body if not isinstance(n, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef))]
    return {name for node in outside for name in imported(ast.unparse(node))}


@cache
def modules() -> dict[str, Path]:
    "Dotted name → file, of every module of the package."
    return graph.modules(ROOT)
