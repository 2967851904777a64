"""What was compiled is found again by a copy of the same code, and by no other code."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from numba import config as numba_config

from predelinquency.ground import compiled, core

PACKAGE = core.package_folder()
LOADED = "import sys, {}; print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('predelinquency.')))"
DRAWN = "from predelinquency.ground import core; print(core.uniform(1, 2, 3, 4, 5))"


def python(code: str, **where: object) -> str:
    ran = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, **where)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout


@pytest.mark.parametrize("room", ["features/fold.py", "reasons/bundles.py", "service/bento.py", "truth/proving.py"])
def test_a_room_reads_all_that_python_loads_for_it(room: str) -> None:
    name = "predelinquency." + room.removesuffix(".py").replace("/", ".")
    loaded = {Path(file) for file in python(LOADED.format(name)).split()}
    assert {path for path in loaded if path.name != "__init__.py"} <= compiled.rooms_read(PACKAGE / room)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    "The folder of a copy of the package."
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(PACKAGE, tmp_path / "copy/predelinquency", ignore=ignored)).parent


def kept(folder: Path, copy: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, set[str]]:
    "A draw by the copy's code, and the files of kernels that lie in the cache afterwards."
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(copy))
    said = python(DRAWN, cwd=copy)
    return said, {str(path.relative_to(folder)) for path in folder.rglob("*.nb[ic]")}


def test_a_copy_that_lies_elsewhere_compiles_nothing(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = kept(tmp_path / "cache", copy, monkeypatch)
    assert len(first[1]) > 4
    other = shutil.copytree(copy, tmp_path / "other")
    for unread in ("service/http.py", "world/world.py"):
        (other / "predelinquency" / unread).unlink()
    assert kept(tmp_path / "cache", other, monkeypatch) == first


REFUSED = "from numba.core import caching; caching.{} = lambda *_: open('/dev/null/nowhere'); "
HITS = "; print(sum(core.uniform.stats.cache_hits.values()) > 0)"


def test_where_nothing_can_be_kept_a_kernel_is_compiled_in_memory(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = kept(tmp_path / "cache", copy, monkeypatch)[0]
    for name in ("NUMBA_CACHE_DIR", "HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "/dev/null/none")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert python(REFUSED.format("_CacheLocator.ensure_cache_path") + DRAWN + HITS, cwd=copy) == f"{said}False\n"


def test_what_was_compiled_is_read_where_nothing_can_be_written(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, before = kept(tmp_path / "cache", copy, monkeypatch)
    assert python(REFUSED.format("_CacheLocator.ensure_cache_path") + DRAWN + HITS, cwd=copy) == f"{said}True\n"
    assert {str(path.relative_to(tmp_path / "cache")) for path in (tmp_path / "cache").rglob("*.nb[ic]")} == before


@pytest.mark.parametrize("what", ["save", "load"])
def test_a_disk_that_takes_or_gives_nothing_stops_no_kernel(
    what: str, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = kept(tmp_path / "cache", copy, monkeypatch)[0]
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / ("cache" if what == "load" else "new")))
    assert python(REFUSED.format(f"IndexDataCacheFile.{what}") + DRAWN, cwd=copy) == said


@pytest.mark.parametrize(
    ("room", "old", "new"),
    [
        ("ground/core.py", "0xBF58476D1CE4E5B9", "0xBF58476D1CE4E5B7"),
        ("ground/compiled.py", "nogil=True", "nogil=False"),
    ],
)
def test_a_change_in_what_a_kernel_reads_is_compiled_anew(
    room: str, old: str, new: str, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, before = kept(tmp_path / "cache", copy, monkeypatch)
    path = copy / "predelinquency" / room
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    again, after = kept(tmp_path / "cache", copy, monkeypatch)
    assert len(after) == 2 * len(before) and before < after
    assert (again != said) is (room == "ground/core.py")


def test_a_room_is_kept_by_what_the_rooms_that_it_imports_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {
        "far.py": "RATE = 1\n",
        "near.py": "from .far import (\n    RATE,  # in parentheses\n)\n",
        "wing/room.py": "from .. import near\nfrom predelinquency.wing import lazy as other\n\n\ndef f():\n    from . import later\n",
        "wing/lazy.py": "",
        "wing/later.py": "",
        "apart.py": "",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(compiled, "_PACKAGE", tmp_path)
    read = {path.relative_to(tmp_path).as_posix() for path in compiled.rooms_read(tmp_path / "wing/room.py")}
    assert read == {"wing/room.py", "near.py", "far.py", "wing/lazy.py"}


def test_without_a_folder_for_kernels_none_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba_config, "CACHE_DIR", "")
    assert compiled.compiled() == 0
