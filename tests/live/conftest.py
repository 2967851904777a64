"""Places for a log: a file, and a real Redis server of each worker's own."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from predelinquency.live.door import open_log

MISSING = "Redis is not here and cannot be installed: `apt-get install redis-server` (or put redis-server on PATH)"


def _install() -> None:
    "Debian's package, where that is allowed; one worker does it, the others wait."
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    with FileLock(Path(tempfile.gettempdir()) / "predelinquency-redis.lock"):
        if shutil.which("redis-server"):
            return
        quiet = dict(
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
        subprocess.run(["apt-get", "update"], check=False, **quiet)
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", "redis-server"], check=False, **quiet)


class Server:
    "A redis-server on this machine that can be killed and started again."

    def __init__(self, folder: Path, *words: str):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.words, self.url = folder, words, f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        from redis import Redis
        from redis.exceptions import ConnectionError

        where = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        self.process = subprocess.Popen(
            ["redis-server", *where, *self.words],
            stdin=subprocess.DEVNULL,
            stdout=open(self.folder / "log", "ab"),
            stderr=subprocess.STDOUT,
        )
        client = Redis(port=self.port, protocol=2)
        for left in range(500, -1, -1):
            try:
                if not client.info()["loading"]:
                    return client.close()
            except ConnectionError:
                pass
            assert self.process.poll() is None and left, (self.folder / "log").read_text()
            time.sleep(0.02)

    def ask(self, *words: object) -> object:
        "Past the software, straight to the server."
        from redis import Redis

        with Redis(port=self.port, protocol=2) as client:
            return client.execute_command(*words)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Callable[..., Server]]:
    "`redis_server('--appendonly', 'no')`: a server with these settings; all of them end with the tests."
    pytest.importorskip("redis", reason="pip install 'predelinquency[redis]'")
    if not shutil.which("redis-server"):
        _install()
    if not shutil.which("redis-server"):
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(MISSING)
    made: list[Server] = []

    def one(*words: str) -> Server:
        made.append(Server(Path(tempfile.mkdtemp(prefix="redis")), *words))
        return made[-1]

    try:
        yield one
    finally:
        for server in made:
            server.kill()
            shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def trusted(redis_server: Callable[..., Server]) -> Server:
    "A server that may hold a log."
    return redis_server("--appendonly", "yes")


@pytest.fixture
def redis_log(trusted: Server) -> Server:
    "That server, emptied."
    trusted.ask("FLUSHALL")
    return trusted


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    "A place for a new log, in each of the ways."
    return f"sqlite:///{tmp_path}/log.db" if request.param == "sqlite" else request.getfixturevalue("redis_log").url


@pytest.fixture
def opened(url: str) -> Iterator[Callable[..., object]]:
    "`opened(keep_days=7)`: the log, opened anew; all of them are closed with the test."
    logs = []

    def one(**how: int) -> object:
        logs.append(open_log(url, **how))
        return logs[-1]

    yield one
    for log in logs:
        log.close()
