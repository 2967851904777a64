"""The package is what the notebooks say, and the check that says so agrees with nbdev."""
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from predelinquency.ops import stages


@pytest.fixture
def copy(tmp_path:Path, project:Path)->Path:
    "Notebooks, package and settings, to be edited freely."
    for name in ("nbs", "predelinquency"): shutil.copytree(project/name, tmp_path/name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    for name in ("settings.ini", "pyproject.toml", "pipeline.yaml", "params.yaml"): shutil.copy(project/name, tmp_path/name)
    return tmp_path


def test_the_package_is_in_sync_with_the_notebooks(project:Path)->None: assert stages.stale(project) == []


def test_a_fresh_export_changes_no_file(copy:Path, project:Path)->None:
    shutil.rmtree(copy/"predelinquency")
    (copy/"predelinquency").mkdir()
    shutil.copy(project/"predelinquency/__init__.py", copy/"predelinquency")
    shutil.copytree(project/"predelinquency/ground/migrations", copy/"predelinquency/ground/migrations", ignore=shutil.ignore_patterns("__pycache__")) # written by hand
    subprocess.run([Path(sys.executable).parent/"nbdev_export"], cwd=copy, check=True, capture_output=True)
    made = {p.relative_to(copy): p.read_bytes() for p in copy.glob("predelinquency/**/*.py")}
    here = {p.relative_to(project): p.read_bytes() for p in project.glob("predelinquency/**/*.py")}
    assert made.keys() == here.keys()
    assert [str(p) for p in made if made[p] != here[p]] == []


@pytest.mark.parametrize("edit", [("DAY_MS = 86_400_000", "DAY_MS = 86_400_001"), ("#| export\\n\",\n    \"DAY_MS", "\\n\",\n    \"DAY_MS")], ids=["code", "a cell no longer exported"])
def test_an_edit_that_was_not_exported_is_noticed(copy:Path, edit:tuple[str, str])->None:
    notebook = copy/"nbs/00_ground/00_core.ipynb"
    text = notebook.read_text()
    assert edit[0] in text
    notebook.write_text(text.replace(*edit))
    assert stages.stale(copy) == ["00_ground/00_core.ipynb"]


def test_prose_and_lessons_may_change_without_an_export(copy:Path)->None:
    notebook = copy/"nbs/00_ground/00_core.ipynb"
    notebook.write_text(notebook.read_text().replace("# Core", "# The core"))
    assert stages.stale(copy) == []


def test_exporting_brings_the_package_up_to_date(copy:Path)->None:
    notebook = copy/"nbs/00_ground/00_core.ipynb"
    notebook.write_text(notebook.read_text().replace("DAY_MS = 86_400_000", "DAY_MS = 24 * 3_600_000"))
    assert stages.export(copy) == ["00_ground/00_core.ipynb"]
    assert "DAY_MS = 24 * 3_600_000" in (copy/"predelinquency/ground/core.py").read_text()
    assert stages.export(copy) == []
