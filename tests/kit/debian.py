"""Debian's packages, for tests that need a real server."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock


def install(package: str, there: Callable[[], object]) -> None:
    "Where that is allowed and it is not there; one worker at a time, for there is one installer on a machine."
    if there() or os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    with FileLock(Path(tempfile.gettempdir()) / "predelinquency-apt.lock"):
        if there():
            return
        quiet = dict(
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
        subprocess.run(["apt-get", "update"], check=False, **quiet)
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", package], check=False, **quiet)
