"""Who may import whom."""
import subprocess
import sys

import pytest
from project import at_import, imported, libraries, modules, stages

# heavy library → the modules that may import it, and only inside the function that uses it
DOORS = {
    "bentoml": {"service"}, "ipywidgets": {"dashboard.views"}, "anywidget": {"dashboard.views"}, "xgboost": {"model.learners"}, "lightgbm": {"model.learners"}, "shap": {"model.explain"}, "optuna": {"model.promotion"},
    "mlflow": {"model.registry"}, "fairlearn": {"model.stability"},
    "pandera": {"schema"}, "papermill": {"pipeline"}, "nbdev": set(), "dvc": set(), "ploomber": set(), "dask": set(), "redis": set(), "feast": set(), "celery": set(),
}
NUMBER = {f"predelinquency.{n.module}": n.number for n in libraries()}


def direct(name:str)->set[str]: return imported(modules()[name].read_text(), name) & modules().keys()


@pytest.mark.parametrize("name", modules())
def test_a_room_imports_only_rooms_with_smaller_numbers(name:str)->None:
    later = {other for other in direct(name) if NUMBER[other] >= NUMBER[name]}
    assert not later, f"{name} ({NUMBER[name]}) imports {later}"


def test_every_module_is_exported_from_a_notebook()->None: assert modules().keys() == NUMBER.keys()


def test_no_planted_truth_reaches_features_or_model()->None:
    for name in modules():
        if name.split(".")[1] not in ("features", "model"): continue
        assert not {i for i in imported(modules()[name].read_text(), name) if "predelinquency.simulate" in i}, name
        assert "/truth" not in modules()[name].read_text(), name


# the proof and its other worlds ask the truth; the opening and the shock only make customers to judge on; compiling ahead runs the proof on a world of its own
WORLDLY = {f"predelinquency.{name}" for name in ("proof", "worlds", "opening", "shock", "ahead")}


def test_only_the_proof_opens_the_door_to_the_world_that_knows_the_truth()->None:
    inside = {name for name in modules() if name.startswith("predelinquency.simulate")}
    assert {name for name in modules() if name not in inside and direct(name) & inside} == WORLDLY & modules().keys()
    assert not {name for name in modules() if WORLDLY & direct(name) and name.split(".")[1] in ("features", "model", "decide", "service")}
    for name in ("predelinquency.opening", "predelinquency.shock"): assert not {"predelinquency.proof", "predelinquency.worlds"} & direct(name), name


def test_only_audits_among_the_stages_read_the_planted_truth()->None:
    reading = {n.name for n in stages() if any('"truth"' in c or "'truth'" in c for c in n.code)}
    assert reading <= {"10_simulate.ipynb", "35_prove.ipynb", "40_evaluate.ipynb"}


def test_decisions_know_neither_features_nor_model()->None:
    for name in (n for n in modules() if n.startswith("predelinquency.decide.") and not n.endswith(".effects")):
        assert not {i for i in direct(name) if i.split(".")[1] in ("features", "model")}, name


@pytest.mark.parametrize("library", DOORS)
def test_a_heavy_library_has_one_door(library:str)->None:
    through = {name.removeprefix("predelinquency.") for name in modules() if any(i.split(".")[0] == library for i in imported(modules()[name].read_text(), name))}
    assert through <= DOORS[library]
    early = {name for name in modules() if any(i.split(".")[0] == library for i in at_import(modules()[name].read_text()))}
    assert not early, f"imported before it is used: {early}"


def test_importing_every_room_loads_no_heavy_library()->None:
    code = f"import sys, importlib\nfor name in {sorted(modules())!r}: importlib.import_module(name)\nprint(*sorted(set({sorted(DOORS)!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
