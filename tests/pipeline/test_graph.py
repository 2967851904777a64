"""Ploomber's graph and DVC's are one graph."""

import json
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from project import ROOT, modules, notebook

from predelinquency.ground import core
from predelinquency.ground.core import ParamsError
from predelinquency.judge import promotion
from predelinquency.model import champion
from predelinquency.ops import graph
from predelinquency.ops import stages as ops_stages

TASKS = {t["name"]: t for t in yaml.safe_load((ROOT / "pipeline.yaml").read_text())["tasks"]}
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())
STAGES = {name: stage for name, stage in ops_stages.graph(ROOT).items() if name not in ops_stages.STAND_IN}


def outs(name: str) -> dict[str, dict]:
    "Path → flags, of everything a DVC stage makes."
    stage = DVC["stages"][name]
    return {
        path: flags for entry in [*stage.get("outs", []), *stage.get("metrics", [])] for path, flags in entry.items()
    }


def made() -> dict[str, str]:
    "Product path → the stage that makes it."
    return {path: name for name, stage in STAGES.items() for path in stage.products.values()}


def read(name: str) -> set[str]:
    "Products of earlier stages that a stage's notebook names."
    text = "\n".join(notebook(ROOT / STAGES[name].notebook).code)
    return {
        STAGES[stage].products[product]
        for stage, product in re.findall(r"""upstream\[["'](\w+)["']\]\[["'](\w+)["']\]""", text)
    }


def test_the_stages_have_the_same_names_in_the_same_order():
    assert list(DVC["stages"]) == list(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_dvc_calls_the_runner_with_the_name_of_the_stage(name):
    assert DVC["stages"][name]["cmd"] == f"predelinquency stage {name}"


@pytest.mark.parametrize("name", TASKS)
def test_the_edges_are_the_same(name):
    edges = {made()[d] for d in DVC["stages"][name]["deps"] if d in made()}
    assert edges == set(STAGES[name].upstream), "DVC's dependencies on products, against the notebook's own `upstream`"


@pytest.mark.parametrize("name", TASKS)
def test_dvc_depends_on_exactly_what_the_notebook_reads(name):
    assert {d for d in DVC["stages"][name]["deps"] if d in made()} == read(name)


def test_dvc_yaml_is_what_the_command_writes():
    assert (ROOT / graph.FILE).read_text() == graph.render(graph.nodes(ROOT)), "run `predelinquency graph --write`"


@pytest.mark.parametrize("name", ["evaluate", "package"])
def test_dvc_depends_on_every_module_that_python_itself_loads_for_the_notebook(name):
    book = ROOT / STAGES[name].notebook
    first = sorted(graph.imported(graph.code_of(book)) & modules().keys())
    code = f"import importlib, sys\nfor name in {first!r}: importlib.import_module(name)\nprint(*(n for n in sys.modules if n.startswith('predelinquency')))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {str(modules()[n].relative_to(ROOT)) for n in loaded if n in modules()} <= set(DVC["stages"][name]["deps"])


def test_everything_beside_the_code_that_is_declared_is_there_and_belongs_to_a_stage():
    assert graph.BESIDE.keys() <= TASKS.keys()
    assert [path for paths in graph.BESIDE.values() for path in paths if not (ROOT / path).exists()] == []


@pytest.fixture
def small(tmp_path):
    "A project of two stages; `write` puts the notebooks, with the code given, and the package's files."

    def write(files, simulate="", featurize="upstream['simulate']['raw']", declared="['simulate']"):
        for name, (ahead, code) in dict(simulate=("None", simulate), featurize=(declared, featurize)).items():
            cells = [
                dict(cell_type="code", metadata={"tags": ["parameters"]}, source=[f"upstream = {ahead}"]),
                dict(cell_type="code", metadata={}, source=[code]),
            ]
            (tmp_path / f"{name}.ipynb").write_text(json.dumps({"cells": cells}))
        tasks = [
            dict(
                name=n,
                source=f"{n}.ipynb",
                product={p: f"data/{p}", "nb": f"data/{n}.ipynb"},
                params={"base": "{{base}}", "section": "{{" + n + "}}"},
            )
            for n, p in (("simulate", "raw"), ("featurize", "panel"))
        ]
        (tmp_path / "pipeline.yaml").write_text(yaml.safe_dump({"tasks": tasks}))
        for name, text in files.items():
            (tmp_path / "predelinquency" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "predelinquency" / name).write_text(text)
        return {node.name: node for node in graph.nodes(tmp_path)}

    return write


def test_modules_are_followed_at_any_depth_through_functions_and_relative_imports(small):
    files = {
        "core.py": "",
        "ground/deep/dues.py": "from ... import core",
        "world/lives.py": "def f():\n    from ..ground.deep.dues import rest",
        "other.py": "",
        "ground/__init__.py": "",
        "_modidx.py": "",
        "ground/migrations/first.py": "",
    }
    node = small(files, simulate="%time 1\nimport pandas\nfrom predelinquency.world import lives")["simulate"]
    assert node.code == tuple(f"predelinquency/{n}" for n in ("core.py", "ground/deep/dues.py", "world/lives.py"))


def test_modules_that_import_each_other_are_both_found(small):
    node = small(
        {"a.py": "from predelinquency.b import y", "b.py": "def f():\n    from .a import x"},
        simulate="import predelinquency.b",
    )["simulate"]
    assert node.code == ("predelinquency/a.py", "predelinquency/b.py")


@pytest.mark.parametrize(("code", "declared"), [("1", "['simulate']"), ("upstream['simulate']['raw']", "None")])
def test_a_stage_that_reads_what_it_did_not_declare_or_declares_what_it_does_not_read_is_refused(small, code, declared):
    with pytest.raises(ParamsError, match=r"featurize.ipynb: .*simulate"):
        small({"core.py": ""}, featurize=code, declared=declared)


def test_writing_again_touches_nothing_and_a_changed_import_is_written(small, tmp_path):
    small({"core.py": "", "more.py": ""})
    assert [graph.write_graph(tmp_path), graph.write_graph(tmp_path)] == [True, False]
    small({}, simulate="from predelinquency import more")
    assert not graph.is_written(graph.nodes(tmp_path), tmp_path)
    assert graph.write_graph(tmp_path)
    stages = yaml.safe_load((tmp_path / graph.FILE).read_text())["stages"]
    assert stages["simulate"]["deps"] == ["simulate.ipynb", "predelinquency/more.py"]
    assert stages["featurize"] == dict(
        cmd="predelinquency stage featurize",
        deps=["featurize.ipynb", "data/raw"],
        params=["base", "featurize"],
        outs=[{"data/panel": {"persist": True}}],
    )


def test_the_manifest_s_hash_of_the_code_covers_exactly_what_the_train_stage_runs():
    assert {f"predelinquency/{name}" for name in champion.SOURCES} == {
        d for d in DVC["stages"]["train"]["deps"] if d.endswith(".py")
    }


@pytest.mark.parametrize(
    ("module", "same"),
    [("service/http.py", True), ("features/fold.py", True), *((name, False) for name in champion.SOURCES)],
)
def test_a_change_moves_the_model_s_code_hash_only_where_the_train_stage_runs_it(module, same, tmp_path, monkeypatch):
    shutil.copytree(ROOT / "predelinquency", tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(core, "package_folder", lambda: tmp_path / "copy")
    before = core.package_hash(champion.SOURCES)
    with open(tmp_path / "copy" / module, "a") as changed:
        changed.write("# more\n")
    assert (core.package_hash(champion.SOURCES) == before) is same


def test_the_manifest_holds_that_hash(trained):
    assert json.loads((trained / "model/manifest.json").read_text())["package"]["sources"] == core.package_hash(
        champion.SOURCES
    )


@pytest.mark.parametrize("name", TASKS)
def test_the_products_are_the_same_but_for_the_executed_notebook(name):
    assert set(outs(name)) == {path for product, path in TASKS[name]["product"].items() if product != "nb"}


@pytest.mark.parametrize("name", TASKS)
def test_both_give_a_stage_the_base_and_its_own_section(name):
    section = {"package": "decide"}.get(name, name)  # the service proposes by the rules of the plan
    assert TASKS[name]["params"] == {"base": "{{base}}", "section": "{{" + section + "}}"}
    assert DVC["stages"][name]["params"] == ["base", section]


def test_no_two_stages_make_the_same_thing():
    paths = [path for t in TASKS.values() for path in t["product"].values()]
    assert len(paths) == len(set(paths))


def test_only_the_two_files_of_metrics_are_in_git_and_only_evaluate_writes_them():
    uncached = {(name, path) for name in TASKS for path, flags in outs(name).items() if flags.get("cache") is False}
    assert uncached == {("evaluate", "data/reports/metrics.json"), ("evaluate", "data/reports/headline.json")}
    assert set(promotion.FIGURES) == {path for _, path in uncached}, "they come back with a rollback"


def test_dvc_sets_beside_each_other_only_the_headline():
    assert [path for stage in DVC["stages"].values() for entry in stage.get("metrics", []) for path in entry] == [
        "data/reports/headline.json"
    ]


def test_every_plot_is_drawn_from_something_a_stage_makes():
    for plot in DVC["plots"]:
        for path in plot:
            assert any(path == out or path.startswith(f"{out}/") for name in TASKS for out in outs(name)), path


def test_ploomber_and_the_runner_read_the_same_parameters_cell():
    for stage in STAGES.values():
        assert stage.upstream == ops_stages.upstream_of(ROOT / stage.notebook)
        first = next(c for c in notebook(ROOT / stage.notebook).cells if c["cell_type"] == "code")
        assert first["metadata"].get("tags") == ["parameters"], stage.notebook


@pytest.mark.parametrize("name", TASKS)
def test_a_stage_imports_every_name_it_uses(name):
    "Ploomber refuses a notebook that leans on names which only a notebook's kernel has, such as `display`."
    code = "\n".join(line for cell in notebook(ROOT / STAGES[name].notebook).code for line in [*cell.split("\n"), ""])
    done = subprocess.run([sys.executable, "-m", "pyflakes"], input=code, capture_output=True, text=True)
    given = re.compile(r"undefined name '(upstream|product|base|section)'")
    assert [line for line in done.stdout.split("\n") if "undefined name" in line and not given.search(line)] == []
