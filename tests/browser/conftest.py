"""A server and a browser for the page."""

import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from predelinquency.app import server as app_server

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(url, timeout=5).status == 200
    except OSError:
        return False


@pytest.fixture(scope="session")
def chromium() -> str:
    "Debian's browser, or a skip that says how to get it."
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no browser here: `make browser` installs Debian's chromium (as root), or install one by hand")
    return found


@pytest.fixture(scope="module")
def serving(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    "`serving(root, **options)`: the address of a page on a folder of results; asked until it answers, given up when the server has ended."
    running: list[subprocess.Popen[bytes]] = []

    def started(root: Path, **options: Any) -> str:
        server = app_server.page_command(
            root, port=free_port(), notebook=project / "nbs/dashboards/risk.ipynb", **options
        )
        log = (tmp_path_factory.mktemp("server") / "log.txt").open("wb")
        running.append(
            process := subprocess.Popen(
                server.argv, env=dict(server.env), cwd=project, stdout=log, stderr=subprocess.STDOUT
            )
        )
        while not answers(server.url.split("?")[0] + "voila/static/voila.js"):
            assert process.poll() is None, f"the server ended: {Path(log.name).read_text()}"
            time.sleep(0.1)  # between questions; what ends the loop is the answer
        started.process = process
        return server.url

    yield started
    for process in running:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.fixture(scope="module")  # its event loop would be in the way of other files' own
def browser(chromium: str) -> Iterator[Any]:
    "One browser for a file."
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def pictures(project: Path) -> Path:
    "Where screenshots are kept: git ignores it."
    folder = project / "data/runs/screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
