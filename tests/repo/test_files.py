"""What the other files of the repository promise."""

import ast
import re
import subprocess
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from project import ROOT
from readme import readme

from predelinquency.ground import params

# hosts that packages come from: a lock or a page that names one works only where that host is reached
HOSTS = re.compile(
    r"(files\.)?python"
    + r"hosted\.org|pypi"
    + r"\.org|npm"
    + r"js\.(org|com)|registry\."
    + r"yarn|deb\.deb"
    + r"ian\.org|--(extra-)?index"
    + r"-url|--find"
    + r"-links"
)


def tracked() -> list[Path]:
    "Files in git."
    return [
        ROOT / p
        for p in subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
            "\n"
        )
        if p and (ROOT / p).is_file()
    ]


def texts() -> list[tuple[str, str]]:
    "Name and content of every tracked text file."
    found = []
    for path in tracked():
        try:
            found.append((str(path.relative_to(ROOT)), path.read_text("utf-8")))
        except UnicodeDecodeError:
            continue
    return found


def test_the_lock_has_names_versions_and_hashes_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"://", lock)
    for block in re.split(r"\n(?=\S)", lock.strip()):
        assert re.match(r"[\w.-]+(\[.*\])?==\S+.*\\\n\s+--hash=sha256:", block), block[:80]


def test_the_lock_holds_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [
        re.match(r"[\w.-]+", r)[0]
        for r in [
            *project["project"]["dependencies"],
            *project["dependency-groups"]["dev"],
            *project["build-system"]["requires"],
        ]
    ]
    locked = {
        m.lower().replace("_", "-")
        for m in re.findall(r"^([\w.-]+)(?:\[.*\])?==", (ROOT / "requirements.lock").read_text(), re.M)
    }
    assert {a.lower().replace("_", "-") for a in asked} - locked == set()


def test_no_file_names_a_place_of_one_machine() -> None:
    places = re.compile(
        "|".join(
            [
                re.escape(f"{ROOT.parent}/") if len(ROOT.parent.parts) > 1 else r"\A\b\B",
                re.escape(f"{Path.home()}/"),
                r"(?<![\w.])/(ro" + r"ot|ho" + r"me|Us" + r"ers)/\w",
            ]
        )
    )
    assert [(name, m[0]) for name, text in texts() if (m := places.search(text))] == []


def test_no_file_names_a_package_host() -> None:
    assert [(name, m[0]) for name, text in texts() if (m := HOSTS.search(text))] == []


def test_nothing_is_left_to_do() -> None:
    unfinished = re.compile(r"\b(TO" + r"DO|FIX" + r"ME)\b")
    assert [(name, m[0]) for name, text in texts() if (m := unfinished.search(text))] == []


def test_no_model_is_pickled() -> None:
    assert [str(p) for p in tracked() if p.suffix in (".pkl", ".pickle", ".joblib")] == []
    assert [
        name
        for name, text in texts()
        if re.match(r"nbs/|predelinquency/", name) and re.search(r"\b(import|from) (pickle|joblib|cloudpickle)\b", text)
    ] == []


def test_params_yaml_has_exactly_the_keys_of_the_typed_view() -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert {s: set(keys or {}) for s, keys in raw.items()} == {
        s.name: {f.name for f in fields(s.type)} for s in fields(params.Params)
    }


def test_every_parameter_says_what_it_is() -> None:
    bare = [
        line for line in (ROOT / "params.yaml").read_text().split("\n") if re.match(r"  \w+:", line) and "#" not in line
    ]
    obvious = {
        "learning_rate",
        "min_child_weight",
        "subsample",
        "colsample",
        "reg_lambda",
        "early_stopping_rounds",
    }  # the learners' own words
    assert [b for b in bare if b.split(":")[0].strip() not in obvious] == []


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))


def test_make_help_lists_every_target() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert set(re.findall(r"^  make ([\w-]+)", shown, re.M)) == targets()
    assert targets() >= {"run", "try", "stage", "test", "lab", "bench", "doctor", "clean"}


def test_every_make_command_that_a_page_names_exists() -> None:
    named = {
        (name, target)
        for name, text in texts()
        if name.endswith((".md", ".ipynb"))
        for target in re.findall(r"`make ([a-z-]+)", text)
    }
    assert [n for n in named if n[1] not in targets()] == []


def test_the_readme_is_the_index_notebook() -> None:
    assert (ROOT / "README.md").read_text() == readme(), "run `make readme`"


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)]+)\)", (ROOT / "README.md").read_text())
    assert [link for link in links if not (ROOT / link.split("#")[0]).exists()] == []


def test_ci_calls_what_the_readme_tells_a_newcomer_to_type() -> None:
    command = re.search(r"^exec (.+)$", (ROOT / ".ci/run").read_text(), re.M)[1]
    assert command in (ROOT / "README.md").read_text()
    assert (ROOT / ".ci/run").stat().st_mode & 0o111


@pytest.mark.parametrize(
    "name",
    [
        "raw/x",
        "truth/x",
        "features/x",
        "model/x",
        "runs/try/x",
        "reports/train.ipynb",
        "reports/train.json",
        "mlflow.db",
    ],
)
def test_results_are_never_in_git(name: str) -> None:
    assert subprocess.run(["git", "check-ignore", "-q", f"data/{name}"], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("name", ["metrics", "headline"])
def test_the_metrics_of_the_last_kept_run_are_in_git(name: str) -> None:
    assert subprocess.run(["git", "check-ignore", "-q", f"data/reports/{name}.json"], cwd=ROOT).returncode == 1


def test_every_file_called_fast_is_there() -> None:
    fast = ast.literal_eval(
        re.search(r"^FAST = (\{.*?^\})", re.sub(r"#.*", "", (ROOT / "tests/conftest.py").read_text()), re.M | re.S)[1]
    )
    assert len(fast) >= 6
    assert [
        f"{folder}/{name}"
        for folder, names in fast.items()
        for name in sorted(names)
        if not (ROOT / "tests" / folder / f"{name}.py").is_file()
    ] == []
