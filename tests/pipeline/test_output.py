"""What commands say on an output that is not UTF-8, and where nothing can be written."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from predelinquency.ops import doctor, say


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_character_that_the_output_cannot_show_is_replaced(encoding: str, project: Path) -> None:
    command = [Path(sys.executable).parent / "predelinquency", "doctor"]
    done = subprocess.run(command, cwd=project, env={**os.environ, "PYTHONIOENCODING": encoding}, capture_output=True)
    assert b"foresaw" not in done.stderr, done.stderr
    assert b"? Python" in done.stdout or b"?  Python" in done.stdout, done.stdout


def test_a_folder_that_cannot_be_written_is_named_with_its_remedy() -> None:
    said = str(say._unwritten(OSError(errno.EROFS, "Read-only file system", "data/reports")))
    assert "data/reports: could not read or write" in said
    assert "--root" in said


EVERYWHERE = """
import contextlib, sys
from pathlib import Path
from predelinquency.ops.cli import app
commands = ["run --customers 100 --root R", "stage simulate --root R", "compare R R", "report --root R", "graph", "graph --write",
            "source check berka --data .", "score 17 --root R", "score --file request.json --root R", "explain 17 --root R",
            "decide --root R", "decide --record --root R", "ledger migrate --root R", "ledger state --root R", "doctor",
            "final --by somebody --reason because-it-is-time --root R", "final --log --root R", "challenge R --root R",
            "rollback", "proof --root R", "serve --root R", "dashboard --root R"]
for command in commands:
    print("==", command, flush=True)
    with contextlib.suppress(SystemExit): app(command.replace("R", "data/runs/x").split())
"""


@pytest.mark.parametrize("encoding", ["ascii", pytest.param("latin-1", marks=pytest.mark.long)])
@pytest.mark.parametrize("place", ["outside", "read-only", "full"])
def test_every_command_says_what_is_wrong_in_an_odd_place(place: str, encoding: str, toy, tmp_path_factory) -> None:
    "Really read-only and really full: with mounts of this process's own."
    folder = tmp_path_factory.mktemp("elsewhere") if place == "outside" else toy.folder
    mounts = {
        "outside": "true",
        "read-only": "mount --bind . . && mount -o remount,ro,bind .",
        "full": "mkdir data && mount -t tmpfs -o size=4k none data && ! head -c 9999 /dev/zero > data/filled",
    }[place]
    own = [] if place == "outside" else ["unshare", "--mount"]
    if own and subprocess.run([*own, "sh", "-c", "mount -t tmpfs none /mnt"], capture_output=True).returncode:
        pytest.skip("mounts of one's own need rights that are not given here")
    done = subprocess.run(
        [*own, "sh", "-c", f'{mounts} 2>/dev/null; cd "$PWD" && exec "$0" -c "$1"', sys.executable, EVERYWHERE],
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PWD": str(folder)},
        capture_output=True,
    )
    said = (done.stdout + done.stderr).decode(encoding)
    assert "foresaw" not in said and "Traceback" not in said, said
    assert done.returncode == 0 and said.count("to fix: ") > 8, said


def test_a_refusal_is_json_where_json_was_asked_for(toy) -> None:
    done = toy.typed("report", "--root", "data/none", "--json")
    told = json.loads(done.stdout)["error"]
    assert done.returncode == 1
    assert (told["where"], told["problem"]) == ("data/none", "holds no results")
    assert "make run" in told["remedy"]


def test_doctor_names_the_notebook_and_the_cell_that_python_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "predelinquency").mkdir()
    (tmp_path / "nbs/00_ground").mkdir(parents=True)
    cells = [
        dict(id="one", cell_type="code", source=["#| default_exp ground.bad\n"]),
        dict(id="broken", cell_type="code", source=["#| export\n", "def half(:"]),
    ]
    (tmp_path / "nbs/00_ground/00_bad.ipynb").write_text(json.dumps(dict(cells=cells)))
    found = doctor.check_export(tmp_path)
    assert found.fine is False
    assert "nbs/00_ground/00_bad.ipynb, cell broken" in found.found
