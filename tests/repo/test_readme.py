"""What the first page says is there is there, and does what it says."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import typer
from project import ROOT

from predelinquency.ops import cli
from predelinquency.service import http, scoring, wire

PAGE = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.S | re.M)
TREE = next(text for kind, text in BLOCKS if not kind)
DRAWN = {
    tuple(line.split(" --> "))
    for line in next(text for kind, text in BLOCKS if kind == "mermaid").split("\n")
    if " --> " in line
}
SHOWN = json.loads(next(text for kind, text in BLOCKS if kind == "json"))


def places() -> list[str]:
    "The files and folders that the tree names, from the project's folder."
    found, folder = [], ""
    for line in TREE.splitlines():
        words = re.findall(r"^\S+(?: \S+)*?(?=  )|(?<=\s)\S+\.ipynb", line.strip())
        if not line.startswith(" "):
            folder = line.split()[0]
        names = [n for w in words for n in w.split() if re.search(r"/$|\.\w+$|^\.", n)]
        found += [n if not line.startswith(" ") else folder + n for n in names]
    return found


def test_the_tree_is_read() -> None:
    assert {
        "nbs/",
        "nbs/index.ipynb",
        "nbs/000_tour.ipynb",
        "params.yaml",
        "pipeline.yaml",
        "dvc.yaml",
        "tests/",
        "benchmarks/",
        "predelinquency/example.json",
        ".env.example",
    } <= set(places())


@pytest.mark.parametrize("place", places())
def test_what_the_tree_names_is_there(place: str) -> None:
    assert (ROOT / place).exists()


def test_the_picture_is_drawn_from_the_walls() -> None:
    wings = tomllib.loads((ROOT / "walls.toml").read_text())["wings"]
    drawn = {(below.strip(), wing.strip()) for below, wing in DRAWN}
    assert {(below, wing) for below, wing in drawn if below not in wings[wing]["imports"]} == set()
    reached = {wing: set(w["imports"]) for wing, w in wings.items() if wing != "ops"}
    for wing, below in reached.items():
        assert below == below & set().union(*({a} | reached[a] for a, b in drawn if b == wing)), wing


def test_the_tree_names_every_wing_with_its_job() -> None:
    wings = tomllib.loads((ROOT / "walls.toml").read_text())["wings"]
    assert (
        len(wings) >= 12
        and [
            name
            for name, w in wings.items()
            if not re.search(rf"^  {w['floor']:02d}_{name}/ +{re.escape(w['job'])}$", TREE, re.M)
        ]
        == []
    )


@pytest.mark.parametrize(
    "path",
    sorted(set(re.findall(r"`((?:nbs|predelinquency|tests|benchmarks)/[\w./-]*|[\w.-]+\.yaml)`", PAGE)) - {"my.yaml"}),
)
def test_every_file_that_the_page_tells_to_edit_is_there(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(
    "words", sorted({tuple(m.split()) for m in re.findall(r"`predelinquency ([a-z]+(?: [a-z]+)?)", PAGE)}), ids=" ".join
)
def test_every_command_that_the_page_names_exists(words: tuple[str, ...]) -> None:
    tree = typer.main.get_command(cli.app)
    assert words[0] in tree.commands
    if hasattr(tree.commands[words[0]], "commands"):
        assert words[1] in tree.commands[words[0]].commands


def test_the_page_shows_the_request_as_the_commands_print_it() -> None:
    assert cli.curl() in PAGE


def test_the_answer_that_the_page_shows_has_the_form_of_an_answer() -> None:
    scoring.Answer.model_validate(SHOWN)
    assert json.loads(http.EXAMPLE.read_bytes())["customer_id"] == SHOWN["customer_id"]


def test_the_answer_that_the_page_shows_is_the_models_own(project: Path) -> None:
    "Where the results of the kept run are here, they give exactly this answer."
    model = project / "data/model"
    if (
        not (model / "manifest.json").exists()
        or json.loads((model / "manifest.json").read_text())["version"] != SHOWN["model_version"]
    ):
        pytest.skip("the model of the kept run is not here: `make run` makes it")
    whole = json.loads(
        scoring.load_scoring(model).score(wire.parse_request(http.EXAMPLE.read_bytes())).model_dump_json()
    )
    assert {k: SHOWN[k] for k in ("probability", "margin", "band", "feature_hash")} == {
        k: whole[k] for k in ("probability", "margin", "band", "feature_hash")
    }
    assert whole["reasons"][: len(SHOWN["reasons"])] == SHOWN["reasons"]


def test_the_pictures_are_small_and_the_page_shows_them() -> None:
    shown = [ROOT / p for p in re.findall(r"\]\((nbs/images/[\w.-]+)\)", PAGE)]
    assert {p.name for p in shown} >= {"story.svg", "book.png", "customer.png"}
    assert [(p.name, p.stat().st_size) for p in shown if p.stat().st_size > 200_000] == []
