"""Who may import whom: `walls.toml` says it, and the code keeps it."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from functools import cache
from graphlib import TopologicalSorter

import pytest
from project import ROOT, at_import, imported, libraries, modules, stages

WALLS = tomllib.loads((ROOT / "walls.toml").read_text())
WINGS, DOORS, SIZES = WALLS["wings"], WALLS["doors"], WALLS["sizes"]
NUMBER = {f"predelinquency.{n.module}": n.number for n in libraries()}


@cache
def everything(name: str) -> set[str]:
    "All that a module imports, inside its functions too."
    return imported(modules()[name].read_text(), name)


@cache
def early(name: str) -> set[str]:
    "What it imports when it is loaded."
    return at_import(modules()[name].read_text())


def direct(name: str) -> set[str]:
    return everything(name) & modules().keys()


def wing(name: str) -> str:
    return name.split(".")[1]


def lines() -> Counter[str]:
    "Module → how many lines it has."
    return Counter({name: len(path.read_text().splitlines()) for name, path in modules().items()})


def refused(name: str, other: str) -> bool:
    "Whether a wall stands between a room and one that it imports."
    return (
        NUMBER[other] >= NUMBER[name] if wing(name) == wing(other) else wing(other) not in WINGS[wing(name)]["imports"]
    )


@pytest.mark.parametrize("name", modules())
def test_a_room_imports_earlier_rooms_of_its_wing_and_the_wings_that_its_wall_names(name: str) -> None:
    assert sorted(other for other in direct(name) if refused(name, other)) == []


def test_a_wall_would_be_noticed() -> None:
    assert refused("predelinquency.features.fold", "predelinquency.world.world") and refused(
        "predelinquency.ground.core", "predelinquency.ground.schema"
    )
    assert not refused("predelinquency.ground.schema", "predelinquency.ground.core")


def test_every_module_is_exported_from_a_notebook_of_its_wing() -> None:
    assert modules().keys() == NUMBER.keys()
    assert [
        n.module
        for n in libraries()
        if n.path.parent.name.split("_", 1)[1] != n.module.split(".")[0]
        or n.path.stem.split("_", 1)[1] != n.module.split(".")[1]
    ] == []


def test_every_wing_stands_on_its_floor_and_looks_down() -> None:
    folders = {p.name for p in (ROOT / "nbs").glob("[0-9]*_*") if p.is_dir()}
    assert folders == {f"{w['floor']:02d}_{name}" for name, w in WINGS.items()}
    assert [
        (name, below) for name, w in WINGS.items() for below in w["imports"] if WINGS[below]["floor"] >= w["floor"]
    ] == []


def test_the_rooms_have_no_circle() -> None:
    assert len(list(TopologicalSorter({name: direct(name) for name in modules()}).static_order())) == len(modules())


def test_no_wing_and_no_room_outgrows_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    rooms, wings = lines(), Counter()
    for name, n in rooms.items():
        wings[wing(name)] += n
    (largest, n_wing), (room, n_room), everything = wings.most_common(1)[0], rooms.most_common(1)[0], rooms.total()
    with capsys.disabled():
        print(
            f"\nlargest wing {largest}: {n_wing / everything:.1%}; largest room {room.removeprefix('predelinquency.')}: {n_room / everything:.1%} of {everything:,} lines"
        )
    assert n_wing <= SIZES["largest_wing"] * everything and n_room <= SIZES["largest_room"] * everything


def test_only_the_truth_imports_the_world_and_nobody_but_stages_and_commands_the_truth() -> None:
    assert {name for name, w in WINGS.items() if "world" in w["imports"]} == {"truth", "ops"}
    assert {name for name, w in WINGS.items() if "truth" in w["imports"]} == {"ops"}
    assert {name for name, w in WINGS.items() if "ops" in w["imports"]} == set()
    assert WINGS["decide"]["imports"] == ["ground"] and not {"world", "truth"} & {
        *WINGS["features"]["imports"],
        *WINGS["model"]["imports"],
    }


@pytest.mark.parametrize("name", [n for n in modules() if wing(n) in ("features", "model")])
def test_no_planted_truth_reaches_features_or_model(name: str) -> None:
    assert "/truth" not in modules()[name].read_text()


def test_the_hold_out_and_the_shock_make_customers_and_ask_no_oracle() -> None:
    for name in ("predelinquency.truth.holdout", "predelinquency.truth.shock"):
        assert not {f"predelinquency.truth.{r}" for r in ("forks", "oracle", "twins", "worlds")} & direct(name), name


def test_only_audits_among_the_stages_read_the_planted_truth() -> None:
    reading = {
        n.name for n in stages() if any(re.search(r"""(\[|get\()["']truth["']""", c) for c in n.code)
    }  # asking whether there is one reads nothing
    assert {"50_prove.ipynb"} <= reading <= {"10_simulate.ipynb", "50_prove.ipynb", "51_evaluate.ipynb"}


def test_a_stage_has_a_number_of_its_own_above_those_it_reads_and_on_a_floor_that_is_there() -> None:
    number = {n.name.split("_", 1)[1].removesuffix(".ipynb"): int(n.name[:2]) for n in stages()}
    assert len(set(number.values())) == len(number)
    assert {n // 10 for n in number.values()} <= {w["floor"] // 10 for w in WINGS.values()}
    above = {
        name: ast.literal_eval(next(re.search(r"^upstream = (.+)$", c, re.M)[1] for c in n.code if "upstream = " in c))
        for n in stages()
        for name in [n.name.split("_", 1)[1].removesuffix(".ipynb")]
    }
    assert [
        (name, other) for name, others in above.items() for other in others or () if number[other] >= number[name]
    ] == []


@pytest.mark.parametrize("library", DOORS)
def test_a_heavy_library_has_one_door(library: str) -> None:
    through = {
        name.removeprefix("predelinquency.")
        for name in modules()
        if any(i.split(".")[0] == library for i in everything(name))
    }
    assert through <= set(DOORS[library])
    hasty = {name for name in modules() if any(i.split(".")[0] == library for i in early(name))}
    assert not hasty, f"imported before it is used: {hasty}"


def reached(*starts: str) -> set[str]:
    "Rooms that these import, and those that those import, and so on."
    found, left = set(), [*starts]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += direct(name)
    return found


def test_no_event_of_the_day_goes_through_the_queue_of_the_night() -> None:
    "Who tells, keeps, reads and serves events reaches no room that knows Celery; the queue is reached by commands only."
    queues = {name for name in modules() if any(i.split(".")[0] == "celery" for i in everything(name))}
    assert queues == {"predelinquency.ops.workers"}
    way = {name for name in modules() if wing(name) in ("live", "service")}
    way |= {f"predelinquency.ops.{room}" for room in ("live", "telling", "play", "stats", "tonight")}
    assert way <= modules().keys() and not reached(*way) & queues
    assert {name for name in modules() if queues & direct(name)} == {"predelinquency.ops.cli"}


def test_importing_every_room_loads_no_heavy_library() -> None:
    code = f"import sys, importlib\nfor name in {sorted(modules())!r}: importlib.import_module(name)\nprint(*sorted(set({sorted(DOORS)!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
