"""The package is what the notebooks say, and the check that says so agrees with nbdev."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from predelinquency.ground.core import StoreError
from predelinquency.ops import exports


@pytest.fixture
def copy(tmp_path: Path, project: Path) -> Path:
    "Notebooks, package and settings, to be edited freely."
    for name in ("nbs", "predelinquency"):
        shutil.copytree(
            project / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
        )
    for name in ("settings.ini", "pyproject.toml", "pipeline.yaml", "params.yaml"):
        shutil.copy(project / name, tmp_path / name)
    return tmp_path


def test_the_package_is_in_sync_with_the_notebooks(project: Path) -> None:
    assert exports.stale(project) == []


def test_a_fresh_export_changes_no_file(copy: Path, project: Path) -> None:
    shutil.rmtree(copy / "predelinquency")
    (copy / "predelinquency").mkdir()
    shutil.copy(project / "predelinquency/__init__.py", copy / "predelinquency")
    for by_hand in ("ground/migrations", "templates"):
        at = Path("predelinquency") / by_hand
        shutil.copytree(project / at, copy / at, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([Path(sys.executable).parent / "nbdev_export"], cwd=copy, check=True, capture_output=True)
    made = {p.relative_to(copy): p.read_bytes() for p in copy.glob("predelinquency/**/*.py")}
    here = {p.relative_to(project): p.read_bytes() for p in project.glob("predelinquency/**/*.py")}
    assert made.keys() == here.keys()
    assert [str(p) for p in made if made[p] != here[p]] == []


@pytest.mark.parametrize(
    "edit",
    [("DAY_MS = 86_400_000", "DAY_MS = 86_400_001"), ('#| export\\n",\n    "DAY_MS', '\\n",\n    "DAY_MS')],
    ids=["code", "a cell no longer exported"],
)
def test_an_edit_that_was_not_exported_is_noticed(copy: Path, edit: tuple[str, str]) -> None:
    notebook = copy / "nbs/00_ground/00_core.ipynb"
    text = notebook.read_text()
    assert edit[0] in text
    notebook.write_text(text.replace(*edit))
    assert exports.stale(copy) == ["00_ground/00_core.ipynb"]


def test_prose_and_lessons_may_change_without_an_export(copy: Path) -> None:
    notebook = copy / "nbs/00_ground/00_core.ipynb"
    notebook.write_text(notebook.read_text().replace("# Core", "# The core"))
    assert exports.stale(copy) == []


@pytest.mark.slow
def test_exporting_brings_the_package_up_to_date(copy: Path) -> None:
    notebook = copy / "nbs/00_ground/00_core.ipynb"
    notebook.write_text(notebook.read_text().replace("DAY_MS = 86_400_000", "DAY_MS = 24 * 3_600_000"))
    assert exports.export(copy) == ["00_ground/00_core.ipynb"]
    assert "DAY_MS = 24 * 3_600_000" in (copy / "predelinquency/ground/core.py").read_text()
    assert exports.export(copy) == []


def test_a_slip_in_a_cell_leaves_the_package_as_it_was(copy: Path) -> None:
    notebook = copy / "nbs/00_ground/00_core.ipynb"
    before = {p: p.read_bytes() for p in (copy / "predelinquency").rglob("*.py")}
    notebook.write_text(notebook.read_text().replace("DAY_MS = 86_400_000", "DAY_MS = = 86_400_000"))
    with pytest.raises(StoreError, match=r"nbs/00_ground/00_core\.ipynb, cell \w+: invalid syntax"):
        exports.export(copy)
    assert {p: p.read_bytes() for p in (copy / "predelinquency").rglob("*.py")} == before


@pytest.mark.slow
def test_cells_that_only_together_are_no_python_leave_the_package_as_it_was(copy: Path) -> None:
    notebook = copy / "nbs/00_ground/00_core.ipynb"
    before = (copy / "predelinquency/ground/core.py").read_bytes()
    text = notebook.read_text()
    notebook.write_text(text.replace("CURRENCY_DIGITS: dict", 'global DAY_MS\\n",\n    "CURRENCY_DIGITS: dict'))
    with pytest.raises(StoreError, match="predelinquency/ground/core.py: would not compile"):
        exports.export(copy)
    assert (copy / "predelinquency/ground/core.py").read_bytes() == before


@pytest.mark.slow
def test_a_module_goes_with_its_notebook_and_what_is_written_by_hand_stays(copy: Path) -> None:
    (copy / "nbs/60_service/05_client.ipynb").unlink()
    by_hand = copy / "predelinquency/by_hand.py"
    by_hand.write_text("x = 1\n")
    assert exports.stale(copy) == ["60_service/05_client.ipynb"]
    assert exports.export(copy) == ["60_service/05_client.ipynb"]
    assert not (copy / "predelinquency/service/client.py").exists()
    assert by_hand.exists()
    assert exports.stale(copy) == []


@pytest.mark.slow
def test_a_notebook_that_was_moved_is_read_at_any_depth_and_told_by_its_path(copy: Path) -> None:
    (copy / "nbs/00_ground/deeper").mkdir()
    shutil.move(copy / "nbs/00_ground/00_core.ipynb", copy / "nbs/00_ground/deeper/00_core.ipynb")
    assert exports.stale(copy) == ["00_ground/deeper/00_core.ipynb"]
    exports.export(copy)
    assert "nbs/00_ground/deeper/00_core.ipynb." in (copy / "predelinquency/ground/core.py").read_text()
    assert exports.stale(copy) == []


def test_a_file_that_is_no_notebook_is_told_by_name(copy: Path) -> None:
    (copy / "nbs/00_ground/00_core.ipynb").write_text("<<<<<<< HEAD")
    with pytest.raises(StoreError, match=r"00_core\.ipynb: is not a notebook"):
        exports.stale(copy)
