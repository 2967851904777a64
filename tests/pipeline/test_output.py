"""What commands say on an output that is not UTF-8, and where nothing can be written."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from predelinquency.ground.core import StoreError
from predelinquency.ops import ask, doctor, say


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_character_that_the_output_cannot_show_is_replaced(encoding: str, project: Path) -> None:
    command = [Path(sys.executable).parent / "predelinquency", "doctor"]
    done = subprocess.run(command, cwd=project, env={**os.environ, "PYTHONIOENCODING": encoding}, capture_output=True)
    assert b"foresaw" not in done.stderr, done.stderr
    assert b"? Python" in done.stdout or b"?  Python" in done.stdout, done.stdout


def test_json_loses_nothing_on_a_poor_output() -> None:
    code = "from predelinquency.ops.say import answer; answer(dict(said='5 €'))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True
    )
    assert done.stdout.isascii() and json.loads(done.stdout) == {"said": "5 €"}, done.stderr


def test_our_own_files_are_read_as_they_are_written_where_the_system_has_another_encoding(
    project: Path, tmp_path: Path
) -> None:
    "A real one: its files would be read as Latin-1, and the graph's comments are no Latin-1."
    known = shutil.which("localedef") and subprocess.run(
        ["localedef", "-i", "en_US", "-f", "ISO-8859-1", tmp_path / "en_US.ISO-8859-1"], capture_output=True
    )
    if not known or known.returncode:
        pytest.skip("no locale of another encoding can be made here (Debian and Ubuntu: apt-get install locales)")
    own = dict(LOCPATH=str(tmp_path), LC_ALL="en_US.ISO-8859-1")
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONUTF8", "PYTHONIOENCODING")}
    for words in (["graph"], ["source", "draft", str(tmp_path / "none")]):
        command = [Path(sys.executable).parent / "predelinquency", *words]
        done = subprocess.run(command, cwd=project, env=clean | own, capture_output=True)
        assert b"foresaw" not in done.stderr and done.returncode == (words != ["graph"]), done.stderr
    assert b"\xe2\x9c\x97" not in done.stderr and done.stderr.startswith(b"? "), "the terminal keeps its own encoding"


def test_a_folder_that_cannot_be_written_is_named_with_its_remedy() -> None:
    said = str(say._unwritten(OSError(errno.EROFS, "Read-only file system", "data/reports")))
    assert "data/reports: could not read or write" in said
    assert "--root" in said
    copied = OSError(errno.ENOSPC, "No space left on device", "data/from", None, "data/runs/to")
    assert "data/runs/to: could not" in str(say._unwritten(copied)), "of a copy, where it goes"


def test_what_a_command_cannot_read_beside_its_request_is_not_said_of_the_request(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="model"), ask.of_a_request(tmp_path / "request.json"):
        (tmp_path / "model").read_bytes()
    with pytest.raises(StoreError, match="request.json: cannot be read"), ask.of_a_request(tmp_path / "request.json"):
        (tmp_path / "request.json").read_bytes()


EVERYWHERE = """
import contextlib, sys
from pathlib import Path
from predelinquency.ops.cli import app
commands = ["run --customers 100 --root R", "stage simulate --root R", "compare R R", "report --root R", "graph", "graph --write",
            "source check berka --data .", "score 17 --root R", "score --file request.json --root R", "explain 17 --root R",
            "decide --root R", "decide --record --root R", "ledger migrate --root R", "ledger roles --root R", "ledger drill --root R", "ledger backup R/a.zip --root R",
            "ledger restore R --into sqlite:///R/new.db", "ledger remove --before 2020-01-15 --who anna --why over --ledger sqlite:///R/ledger.db", "ledger state --root R", "ledger record R --root R", "doctor",
            "final --by somebody --reason because-it-is-time --root R", "final --log --root R", "challenge R --root R",
            "rollback", "proof --root R", "fidelity --against R --root R", "actions --root R", "trials --root R", "effects --root R", "effects --power --root R",
            "outcomes --root R", "twice --root R", "contest --root R", "live begin --root R",
            "live tell --since 2025-06-24 --root R", "live day --began 2025-06-25 --root R", "live work --once --root R", "live work --share 5/4 --root R", "live work --metrics nine --root R",
            "live progress --root R", "live renew --root R",
            "jobs run digest --day 2025-06-25 --root R", "jobs night --day 2025-06-25 --root R", "jobs list --root R", "jobs give digest --redis redis://127.0.0.1:9/0",
            "stats --root R", "keys list --root R", "keys revoke anna --root R",
            "feast init data/feast", "feast sync data/feast --root R", "feast compare data/feast --root R",
            "fallback --root R", "fallback --measure --root R", "fallback --approve anna", "incident list --root R", "incident open wrong --who anna --root R", "incident close 7 over --who anna --root R",
            "brake --root R", "brake on --root R", "brake stop --root R", "ring --once --root R", "send --once --to nowhere --root R", "send --once --to http://127.0.0.1:9/ --root R",
            "keys add anna --role nobody --until 2099-01-01 --root R", "serve --root R", "dashboard --root R"]
for command in commands:
    print("==", command, flush=True)
    with contextlib.suppress(SystemExit): app(command.replace("R", "data/runs/x").split())
"""


RESULTS = """
import sys
from predelinquency.ops.cli import app
for command in sys.argv[1:]:
    print("==", command, flush=True)
    try: app(command.split())
    except SystemExit as e: print("== ended with", e.code or 0, flush=True)
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


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", pytest.param("latin-1", marks=pytest.mark.long)])
def test_every_command_with_results_says_them_on_a_poor_output(
    encoding: str, project: Path, trained: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(trained, tmp_path / "results")
    words = [
        "report", "report --json", "compare R R", "graph", "score 17", "score 17 --json", "explain 17", "decide",
        "score --file predelinquency/example.json", "check predelinquency/example.json", "challenge R/model",
        "decide --record", "ledger migrate", "ledger drill", "ledger state", "outcomes", "effects", "effects --power", "stage pack",
    ]  # fmt: skip
    takes = [
        w.replace("R", str(root)) + ("" if w.startswith(("compare", "graph")) else f" --root {root}") for w in words
    ]
    done = subprocess.run(
        [sys.executable, "-c", RESULTS, *takes],
        cwd=project,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
    )
    said = (done.stdout + done.stderr).decode(encoding)
    assert "foresaw" not in said and "Traceback" not in said, said
    assert said.count("== ended with 0") == len(words), said


@pytest.mark.slow
@pytest.mark.parametrize("place", ["read-only", "full", "not permitted"])
def test_the_first_write_beside_results_is_refused_in_words_and_leaves_them_as_they_are(
    place: str, project: Path, trained: Path, tmp_path: Path
) -> None:
    root = tmp_path / "results"
    shutil.copytree(trained, root)
    before = {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    close = {
        "read-only": f"mount --bind {root} {root} && mount -o remount,ro,bind {root}",
        "full": f"cp -r {root} {tmp_path}/as && mount -t tmpfs -o size=$(du -sk {root} | cut -f1)k none {root} && "
        f"cp -r {tmp_path}/as/. {root}; cat /dev/zero > {root}/.filled; true",
        "not permitted": f"chmod -R a-w {root}",
    }[place]
    rights = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner", "--inh-caps", "-all", "--"]
    own = ["unshare", "--mount"]
    if subprocess.run([*own, "sh", "-c", "mount -t tmpfs none /mnt"], capture_output=True).returncode:
        pytest.skip("mounts of one's own need rights that are not given here")
    words = ["stage pack", "decide --record", "ledger migrate", "source draft . --out R/my.yaml"]
    takes = [w.replace("R", str(root)) + ("" if "R" in w else f" --root {root}") for w in words]
    ask = [*(rights if place == "not permitted" else []), sys.executable, "-c", RESULTS, *takes]
    try:
        done = subprocess.run(
            [*own, "sh", "-c", f'{close} 2>/dev/null; exec "$@"', "sh", *ask],
            cwd=project,
            capture_output=True,
            text=True,
        )
    finally:
        subprocess.run(["chmod", "-R", "u+w", root], check=True)
    assert "foresaw" not in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert done.stdout.count("== ended with 1") == len(words) and done.stderr.count("to fix: ") == len(words), done
    assert {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()} == before


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


def test_doctor_says_when_the_environment_is_that_of_another_folder(project: Path, tmp_path: Path) -> None:
    (tmp_path / "predelinquency").mkdir()
    shutil.copy(project / "requirements.lock", tmp_path)
    found = doctor.check_environment(tmp_path)
    assert (found.fine, doctor.another_folder(project)) == (False, None)
    assert f"those of {project}" in found.found and "make setup" in found.remedy


@pytest.mark.parametrize("named, anew", [("{here}", False), ("/where/it/was", True), ("", False)])
def test_make_makes_the_environment_of_a_moved_or_copied_folder_anew(
    project: Path, tmp_path: Path, named: str, anew: bool
) -> None:
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy2(project / name, tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/.ready").write_text(named.format(here=tmp_path))
    done = subprocess.run(["make", "--dry-run", "setup"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ("rm -rf .venv; }\n" in done.stdout and "-m venv .venv" in done.stdout) == anew, done.stdout


def test_what_a_command_of_make_has_compiled_once_is_kept_whatever_the_shell_says(
    project: Path, tmp_path: Path
) -> None:
    "The environment comes without compiled bytecode: what nobody imports is never compiled."
    shutil.copy2(project / "Makefile", tmp_path)
    (tmp_path / "asked.mk").write_text("asked:\n\t@env\n")
    given = os.environ | dict(PYTHONDONTWRITEBYTECODE="1", ASKED="yes")
    command = ["make", "--no-print-directory", "-f", "Makefile", "-f", "asked.mk", "asked"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, env=given)
    assert "ASKED=yes" in done.stdout and "PYTHONDONTWRITEBYTECODE" not in done.stdout
    assert "--compile-bytecode" not in (project / "Makefile").read_text()
