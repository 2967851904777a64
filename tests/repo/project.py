"""What the tests of the repository read: its notebooks as cells, its modules as imports."""
import ast
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT/"predelinquency"


@dataclass(frozen=True)
class Notebook:
    path: Path
    cells: tuple[dict, ...]

    @property
    def name(self)->str: return self.path.name

    @property
    def number(self)->tuple[int, int]:
        "Floor of its wing, place within it."
        return int(self.path.parent.name[:2]), int(self.name[:2])

    @property
    def code(self)->list[str]: return ["".join(c["source"]) for c in self.cells if c["cell_type"] == "code"]

    @property
    def exported(self)->list[str]: return [c for c in self.code if re.match(r"#\|\s*export\s*$", c.split("\n")[0])]

    @property
    def module(self)->str|None:
        "Dotted name below the package, from its `default_exp` line."
        return next((m[1] for c in self.code if (m := re.search(r"^#\|\s*default_exp\s+(\S+)", c, re.M))), None)


@cache
def notebook(path:Path)->Notebook: return Notebook(path, tuple(json.loads(path.read_text())["cells"]))


def libraries()->list[Notebook]:
    "Notebooks that export a module, in the order of floors and numbers."
    found = [notebook(p) for p in sorted((ROOT/"nbs").glob("[0-9]*_*/**/[0-9]*.ipynb")) if ".ipynb_checkpoints" not in p.parts]
    return [n for n in found if n.module]


def stages()->list[Notebook]: return [notebook(p) for p in sorted((ROOT/"nbs/pipeline").glob("*.ipynb"))]


def notebooks()->list[Notebook]: return [notebook(p) for p in sorted((ROOT/"nbs").rglob("*.ipynb")) if ".ipynb_checkpoints" not in p.parts]


def _python(text:str)->str: return "\n".join(line for line in text.split("\n") if not re.match(r"\s*[%!#]", line))


def imported(text:str, own:str="predelinquency.x")->set[str]:
    "Dotted names that a piece of code imports, wherever in it; `from a import b` gives a and a.b; `own` resolves relative imports."
    found: set[str] = set()
    for node in ast.walk(ast.parse(_python(text))):
        if isinstance(node, ast.Import): found |= {a.name for a in node.names}
        if isinstance(node, ast.ImportFrom):
            base = ".".join([*own.split(".")[:len(own.split(".")) - node.level], *filter(None, [node.module])]) if node.level else node.module or ""
            found |= {base, *(f"{base}.{a.name}" for a in node.names)}
    return found


def at_import(text:str)->set[str]:
    "As `imported`, but only what runs when the module itself is imported."
    tree = ast.parse(_python(text))
    outside = [n for n in tree.body if not isinstance(n, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef))]
    return {name for node in outside for name in imported(ast.unparse(node))}


@cache
def modules()->dict[str, Path]:
    "Dotted name → file, of every module of the package; migrations are data that Alembic runs, written by hand."
    return {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in sorted(PACKAGE.rglob("*.py")) if p.stem not in ("__init__", "_modidx") and "migrations" not in p.parts}


@cache
def uses(name:str)->frozenset[str]:
    "The modules of the package that a module imports, and those that they import, and so on."
    found: set[str] = set()
    todo = {name}
    while todo:
        one = todo.pop()
        found.add(one)
        todo |= (imported(modules()[one].read_text(), one) & modules().keys()) - found
    return frozenset(found)


def needs(book:Notebook)->set[str]:
    "The modules of the package that a notebook's code runs."
    direct = {name for code in book.code for name in imported(code)} & modules().keys()
    return {m for name in direct for m in uses(name)}
