"""Each row of the first page's table "To change something" is tried: the edit is made in a copy, and is seen."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from project import ROOT, notebook

from predelinquency.ops import exports

pytestmark = pytest.mark.slow


class Change(NamedTuple):
    "What is edited for a row, and where its effect is seen."

    file: str  # edited; named in the row, or in the row whose words it borrows
    old: str
    new: str
    asked: str  # Python, run in the copy
    seen: str  # printed by it with the edit, and not without


CATALOGUE = "nbs/20_features/04_catalogue.ipynb"
WORDS = "from predelinquency.features.catalogue import CATALOGUE\nprint([f.analyst for f in CATALOGUE])"
LABELS = (
    "from predelinquency.ground import params\nfrom predelinquency.model import labels\n"
    "print(labels.gap_days(params.load().base), 'days')"
)
BANDS = "from predelinquency.decide import policy\nprint(policy.band(policy.load_policy(), 0.2))"
TOLD = (
    "from predelinquency.decide import messages, policy\n"
    "print(messages.load_words(policy.load_policy()).templates['reminder', 'sms'])"
)
REQUEST = (
    "from predelinquency.service import http, wire\n"
    "try:\n    wire.parse_request(http.EXAMPLE.read_bytes())\n    print('taken')\n"
    "except wire.Refused as e:\n    print('refused', e.detail)"
)
MEASURED = "from inspect import getsource\nfrom predelinquency.judge import report\nprint(getsource(report.headline))"
BANK = "from predelinquency.sources import mapping\nprint(mapping.load_mapping('predelinquency/mappings/berka.yaml').about)"
AUDITED = "from predelinquency.sources import audit\nprint([r.sentence for r in audit.RULES])"
README = "import runpy\nrunpy.run_path('tests/repo/readme.py', run_name='__main__')"

# by the first cell of a row
CHANGES = {
    "how people live, or what goes wrong": Change(
        "nbs/10_world/03_personas.ipynb",
        "salaried_monthly    1      .38    2350 ",
        "salaried_monthly    1      .38    2950 ",
        "from predelinquency.world.personas import PERSONAS\nprint(PERSONAS[0])",
        "2950",
    ),
    "a feature": Change(
        CATALOGUE,
        '(pace(\\"income\\", 30, 180), \\"-\\", f\\"income of the last 30 days',
        '(pace(\\"income\\", 45, 180), \\"-\\", f\\"income of the last 45 days',
        "from predelinquency.features.catalogue import CATALOGUE\nprint([(f.name, f.window_days) for f in CATALOGUE])",
        "45",
    ),
    "the target, the splits": Change("params.yaml", "horizon_to_days: 28", "horizon_to_days: 35", LABELS, "42 days"),
    "the learner, its size": Change(
        "params.yaml",
        "max_depth: 3",
        "max_depth: 9",
        "from predelinquency.ground import params\nprint('depth', params.load().train.max_depth)",
        "depth 9",
    ),
    "what is measured": Change(
        "nbs/35_judge/03_report.ipynb", "headline.gini", "headline.rank", MEASURED, "headline.rank"
    ),
    "a reason's wording": Change(
        CATALOGUE, "day} since the last pay /", "day} since any pay /", WORDS, "since any pay"
    ),
    "who may be contacted, how often, what an action is worth": Change(
        "predelinquency/policy/bands.yaml", "from: 0.15,", "from: 0.35,", BANDS, "raised"
    ),
    "what a customer reads": Change(
        "predelinquency/messages/reminder.sms.txt", "If it helps,", "If you like,", TOLD, "If you like,"
    ),
    "what a request may hold, what is answered": Change(
        "nbs/60_service/00_columns.ipynb", "MOST_ROWS = ", "MOST_ROWS = 3 or ", REQUEST, "refused"
    ),
    "what the page shows": Change(
        "predelinquency/app/page/kit.html",
        "no change",
        "as before",
        "from predelinquency.app import kit\nprint(kit._templates().get_template('kit.html').module.delta(0.0, ''))",
        "as before",
    ),
    "what makes data doubtful, or refused": Change(
        "predelinquency/audit/rules.yaml", "Income arrives.", "Wages arrive.", AUDITED, "Wages arrive."
    ),
    "another bank": Change(
        "predelinquency/mappings/berka.yaml", "354 loans granted", "A few loans granted", BANK, "A few loans granted"
    ),
    "this page": Change("nbs/index.ipynb", "nothing else is needed", "you need no more", README, "you need no more"),
}


def rows() -> dict[str, list[str]]:
    "The table: first cell → the others."
    texts = ["".join(c["source"]) for c in notebook(ROOT / "nbs/index.ipynb").cells if c["cell_type"] == "markdown"]
    table = next(text for text in texts if text.startswith("## To change something"))
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")]
    return {first: others for first, *others in cells[2:]}


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    "A copy of the project with every change made, exported as a stage would export it."
    copy = tmp_path_factory.mktemp("changed")
    for name in ("nbs", "predelinquency", "tests/repo"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    for name in ("settings.ini", "pyproject.toml", "pipeline.yaml", "params.yaml"):
        shutil.copy(ROOT / name, copy / name)
    for change in CHANGES.values():
        path = copy / change.file
        assert change.old in path.read_text(), change
        path.write_text(path.read_text().replace(change.old, change.new))
    edited = {c.file.removeprefix("nbs/") for c in CHANGES.values() if re.match(r"nbs/\d", c.file)}
    assert set(exports.export(copy)) == edited
    return copy


def printed(folder: Path, asked: str) -> str:
    "What a piece of Python says in a copy of the project; nothing is compiled for it."
    there = dict(os.environ, PYTHONPATH=str(folder), NUMBA_DISABLE_JIT="1")
    done = subprocess.run([sys.executable, "-c", asked], cwd=folder, env=there, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_row_has_its_change() -> None:
    assert rows().keys() == CHANGES.keys()


@pytest.mark.parametrize("what", CHANGES)
def test_a_row_names_what_is_edited(what: str) -> None:
    edit, change = rows()[what][0], CHANGES[what]
    places = [*re.findall(r"`([\w./]+)`", edit), *([CATALOGUE] if "catalogue row" in edit else [])]
    assert any(change.file.startswith(place) for place in places), f"{change.file} is not in: {edit}"


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_seen(what: str, changed: Path) -> None:
    change = CHANGES[what]
    assert change.seen in printed(changed, change.asked)
    assert change.seen not in printed(ROOT, change.asked)
