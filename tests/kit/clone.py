"A git clone of the project with a small world, and the tools in it."

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml
from served import free_port

from predelinquency.judge import promotion
from predelinquency.truth import kept

AUTHOR = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")


def environ() -> dict[str, str]:
    "Today's, in which the tools of this Python are found first."
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


class Clone:
    "A git clone and the tools in it."

    def __init__(self, folder: Path):
        self.folder = folder

    def run(self, *words: str) -> str:
        done = subprocess.run(words, cwd=self.folder, env=environ(), capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def commit(self, why: str) -> None:
        self.run("git", "add", "--all")
        self.run("git", *AUTHOR, "commit", "--quiet", "--allow-empty", "-m", why)

    def opened(self, page: str, *words: str) -> str:
        "The first answer of a server started in the clone; it is ended afterwards."
        port, log = free_port(), self.folder.parent / f"{words[0]}.log"
        with log.open("w") as heard:
            server = subprocess.Popen(
                [*words, "--port", str(port)],
                cwd=self.folder,
                env=environ(),
                stdout=heard,
                stderr=heard,
                start_new_session=True,
            )
        try:
            while server.poll() is None:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=300) as answer:
                        return answer.read().decode()
                except urllib.error.URLError:
                    time.sleep(0.2)  # not listening yet
            raise AssertionError(f"{words} ended: {log.read_text()[-2000:]}")
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(60)

    @property
    def changed(self) -> str:
        return self.run("git", "status", "--porcelain")

    @property
    def metrics(self) -> dict:
        return json.loads((self.folder / "data/reports/metrics.json").read_text())


def reproduced(
    project: Path,
    folder: Path,  # does not exist yet
    small: dict[str, dict[str, int]],  # section → parameter → value
) -> Clone:
    "What git would take, with these parameters, reproduced once by DVC and committed."
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in listed:
        if (project / name).is_file() and name not in ("dvc.lock", *promotion.FIGURES):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(project / name, folder / name)
    (folder / "data/reports" / kept.FILE).write_text("{}\n")  # the proof of a larger world
    values = yaml.safe_load((folder / "params.yaml").read_text())
    for section, keys in small.items():
        values[section] |= keys
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    clone = Clone(folder)
    clone.run("git", "init", "--quiet", "--initial-branch=main")
    clone.commit("the project")
    clone.run("dvc", "repro")
    clone.commit("its results")
    return clone
