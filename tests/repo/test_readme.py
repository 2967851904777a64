"""What the first page says is there is there, and does what it says."""
import json
import re
from pathlib import Path

import pytest
import typer
from project import ROOT

from predelinquency import cli, service

PAGE = (ROOT/"README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.S | re.M)
TREE = next(text for kind, text in BLOCKS if not kind)
SHOWN = json.loads(next(text for kind, text in BLOCKS if kind == "json"))


def places()->list[str]:
    "The files and folders that the tree names, from the project's folder."
    found, folder = [], ""
    for line in TREE.splitlines():
        words = re.findall(r"^\S+(?: \S+)*?(?=  )|(?<=\s)\S+\.ipynb", line.strip())
        if not line.startswith(" "): folder = line.split()[0]
        names = [n for w in words for n in w.split() if re.search(r"/$|\.\w+$|^\.", n)]
        found += [n if not line.startswith(" ") else folder + n for n in names]
    return found


def numbers()->list[tuple[int, int]]:
    "The ranges of notebook numbers that the tree explains."
    spoken = re.findall(r"^  (\d\d(?:[–,] ?\d\d)*)", TREE, re.M)
    return [(int(part[:2]), int(part[-2:])) for text in spoken for part in re.split(r",\s*", text)]


def test_the_tree_is_read()->None:
    assert {"nbs/", "nbs/index.ipynb", "nbs/000_tour.ipynb", "params.yaml", "pipeline.yaml", "dvc.yaml", "tests/", "benchmarks/", "predelinquency/example.json", ".env.example"} <= set(places())


@pytest.mark.parametrize("place", places())
def test_what_the_tree_names_is_there(place:str)->None: assert (ROOT/place).exists()


def test_the_tree_explains_every_notebook()->None:
    bare = [p.name for p in sorted((ROOT/"nbs").glob("[0-9]*.ipynb")) if p.name != "000_tour.ipynb" and not any(low <= int(p.name[:2]) <= high for low, high in numbers())]
    assert bare == []


def test_every_range_of_the_tree_holds_a_notebook()->None:
    have = {int(p.name[:2]) for p in (ROOT/"nbs").glob("[0-9]*.ipynb")}
    assert [r for r in numbers() if not any(r[0] <= n <= r[1] for n in have)] == []


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:nbs|predelinquency|tests|benchmarks)/[\w./-]*|[\w.-]+\.yaml)`", PAGE)) - {"my.yaml"}))
def test_every_file_that_the_page_tells_to_edit_is_there(path:str)->None: assert (ROOT/path).exists()


@pytest.mark.parametrize("words", sorted({tuple(m.split()) for m in re.findall(r"`predelinquency ([a-z]+(?: [a-z]+)?)", PAGE)}), ids=" ".join)
def test_every_command_that_the_page_names_exists(words:tuple[str, ...])->None:
    tree = typer.main.get_command(cli.app)
    assert words[0] in tree.commands
    if hasattr(tree.commands[words[0]], "commands"): assert words[1] in tree.commands[words[0]].commands


def test_the_page_shows_the_request_as_the_commands_print_it()->None: assert cli.curl() in PAGE


def test_the_answer_that_the_page_shows_has_the_form_of_an_answer()->None:
    service.Answer.model_validate(SHOWN)
    assert json.loads(service.EXAMPLE.read_bytes())["customer_id"] == SHOWN["customer_id"]


def test_the_answer_that_the_page_shows_is_the_models_own(project:Path)->None:
    "Where the results of the kept run are here, they give exactly this answer."
    model = project/"data/model"
    if not (model/"manifest.json").exists() or json.loads((model/"manifest.json").read_text())["version"] != SHOWN["model_version"]: pytest.skip("the model of the kept run is not here: `make run` makes it")
    whole = json.loads(service.load(model).score(service.parse(service.EXAMPLE.read_bytes())).model_dump_json())
    assert {k: SHOWN[k] for k in ("probability", "margin", "band", "feature_hash")} == {k: whole[k] for k in ("probability", "margin", "band", "feature_hash")}
    assert whole["reasons"][:len(SHOWN["reasons"])] == SHOWN["reasons"]


def test_the_pictures_are_small_and_the_page_shows_them()->None:
    shown = [ROOT/p for p in re.findall(r"\]\((nbs/images/[\w.-]+)\)", PAGE)]
    assert {p.name for p in shown} >= {"story.svg", "book.png", "customer.png"}
    assert [(p.name, p.stat().st_size) for p in shown if p.stat().st_size > 200_000] == []
