"""Ploomber's graph and DVC's are one graph."""
import json
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from predelinquency.model import champion
from predelinquency.ops import stages
from project import ROOT, modules, needs, notebook

from predelinquency.ground import core

TASKS = {t["name"]: t for t in yaml.safe_load((ROOT/"pipeline.yaml").read_text())["tasks"]}
DVC = yaml.safe_load((ROOT/"dvc.yaml").read_text())
STAGES = {name: stage for name, stage in stages.graph(ROOT).items() if name not in stages.STAND_IN}


def outs(name:str)->dict[str, dict]:
    "Path → flags, of everything a DVC stage makes."
    stage = DVC["stages"][name]
    return {path: flags for entry in [*stage.get("outs", []), *stage.get("metrics", [])] for path, flags in entry.items()}


def made()->dict[str, str]:
    "Product path → the stage that makes it."
    return {path: name for name, stage in STAGES.items() for path in stage.products.values()}


def read(name:str)->set[str]:
    "Products of earlier stages that a stage's notebook names."
    text = "\n".join(notebook(ROOT/STAGES[name].notebook).code)
    return {STAGES[stage].products[product] for stage, product in re.findall(r"""upstream\[["'](\w+)["']\]\[["'](\w+)["']\]""", text)}


def test_the_stages_have_the_same_names_in_the_same_order(): assert list(DVC["stages"]) == list(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_dvc_calls_the_runner_with_the_name_of_the_stage(name): assert DVC["stages"][name]["cmd"] == f"predelinquency stage {name}"


@pytest.mark.parametrize("name", TASKS)
def test_the_edges_are_the_same(name):
    edges = {made()[d] for d in DVC["stages"][name]["deps"] if d in made()}
    assert edges == set(STAGES[name].upstream), "DVC's dependencies on products, against the notebook's own `upstream`"


@pytest.mark.parametrize("name", TASKS)
def test_dvc_depends_on_exactly_what_the_notebook_reads(name):
    assert {d for d in DVC["stages"][name]["deps"] if d in made()} == read(name)


@pytest.mark.parametrize("name", TASKS)
def test_dvc_depends_on_the_notebook_and_on_every_module_it_runs(name):
    code = {str(modules()[m].relative_to(ROOT)) for m in needs(notebook(ROOT/STAGES[name].notebook))} | {str(STAGES[name].notebook)}
    listed = {d for d in DVC["stages"][name]["deps"] if d not in made() and d.endswith((".py", ".ipynb"))}
    assert listed == code, f"add {sorted(code - listed)}, remove {sorted(listed - code)}"


def test_the_manifest_s_hash_of_the_code_covers_exactly_what_the_train_stage_runs():
    assert {f"predelinquency/{name}" for name in champion.SOURCES} == {d for d in DVC["stages"]["train"]["deps"] if d.endswith(".py")}


@pytest.mark.parametrize(("module", "same"), [("service/http.py", True), ("features/fold.py", True), *((name, False) for name in champion.SOURCES)])
def test_a_change_moves_the_model_s_code_hash_only_where_the_train_stage_runs_it(module, same, tmp_path, monkeypatch):
    shutil.copytree(ROOT/"predelinquency", tmp_path/"copy", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(core, "package_folder", lambda: tmp_path/"copy")
    before, everything = core.package_hash(champion.SOURCES), core.package_hash()
    with open(tmp_path/"copy"/module, "a") as changed: changed.write("# more\n")
    assert (core.package_hash(champion.SOURCES) == before) is same
    assert core.package_hash() != everything, "compiled kernels are keyed by all of the package"


def test_the_manifest_holds_that_hash(trained):
    assert json.loads((trained/"model/manifest.json").read_text())["package"]["sources"] == core.package_hash(champion.SOURCES)


@pytest.mark.parametrize("name", TASKS)
def test_the_products_are_the_same_but_for_the_executed_notebook(name):
    assert set(outs(name)) == {path for product, path in TASKS[name]["product"].items() if product != "nb"}


@pytest.mark.parametrize("name", TASKS)
def test_both_give_a_stage_the_base_and_its_own_section(name):
    section = {"package": "decide"}.get(name, name) # the service proposes by the rules of the plan
    assert TASKS[name]["params"] == {"base": "{{base}}", "section": "{{" + section + "}}"}
    assert DVC["stages"][name]["params"] == ["base", section]


def test_no_two_stages_make_the_same_thing():
    paths = [path for t in TASKS.values() for path in t["product"].values()]
    assert len(paths) == len(set(paths))


def test_only_the_metrics_are_in_git_and_only_evaluate_writes_them():
    uncached = {(name, path) for name in TASKS for path, flags in outs(name).items() if flags.get("cache") is False}
    assert uncached == {("evaluate", "data/reports/metrics.json")}


def test_every_plot_is_drawn_from_something_a_stage_makes():
    for plot in DVC["plots"]:
        for path in plot: assert any(path == out or path.startswith(f"{out}/") for name in TASKS for out in outs(name)), path


def test_ploomber_and_the_runner_read_the_same_parameters_cell():
    for stage in STAGES.values():
        assert stage.upstream == stages.upstream_of(ROOT/stage.notebook)
        first = next(c for c in notebook(ROOT/stage.notebook).cells if c["cell_type"] == "code")
        assert first["metadata"].get("tags") == ["parameters"], stage.notebook


@pytest.mark.parametrize("name", TASKS)
def test_a_stage_imports_every_name_it_uses(name):
    "Ploomber refuses a notebook that leans on names which only a notebook's kernel has, such as `display`."
    code = "\n".join(line for cell in notebook(ROOT/STAGES[name].notebook).code for line in [*cell.split("\n"), ""])
    done = subprocess.run([sys.executable, "-m", "pyflakes"], input=code, capture_output=True, text=True)
    given = re.compile(r"undefined name '(upstream|product|base|section)'")
    assert [line for line in done.stdout.split("\n") if "undefined name" in line and not given.search(line)] == []
