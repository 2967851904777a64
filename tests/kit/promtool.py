"""Prometheus's own tool for rules: from PATH, or out of Debian's package, without installing it or starting a server."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock

MISSING = "promtool is not here and cannot be had: `apt-get install prometheus` (or put promtool on PATH)"


def _unpacked() -> str | None:
    "Debian's package, fetched and unpacked once for all workers."
    folder = Path(tempfile.gettempdir()) / f"predelinquency-prometheus-{os.getuid()}"
    tool = folder / "usr/bin/promtool"
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return None
    with FileLock(f"{folder}.lock"):
        if tool.is_file():
            return str(tool)
        with tempfile.TemporaryDirectory() as came:
            for words in (["download", "prometheus"], ["update"], ["download", "prometheus"]):
                subprocess.run(
                    ["apt-get", *words], cwd=came, check=False, capture_output=True, stdin=subprocess.DEVNULL
                )
                if packages := sorted(Path(came).glob("*.deb")):
                    packed = subprocess.run(
                        ["dpkg-deb", "--fsys-tarfile", packages[0]], check=True, capture_output=True
                    )
                    Path(f"{folder}.new").mkdir(exist_ok=True)
                    words = ["tar", "-x", "-C", f"{folder}.new", "./usr/bin/promtool"]
                    subprocess.run(words, input=packed.stdout, check=True, capture_output=True)
                    Path(f"{folder}.new").rename(folder)
                    break
    return str(tool) if tool.is_file() else None


def promtool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    "What it says; a skip where it cannot be had, and a failure where everything must be there."
    found = shutil.which("promtool") or _unpacked()
    if found is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(MISSING)
    return subprocess.run([found, *map(str, words)], capture_output=True, text=True, check=False)
