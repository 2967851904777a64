"""A real PostgreSQL server of each worker's own, Redis servers, and places for ledgers: fixtures for every test."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import debian
import pytest
from live_server import Server

MISSING = "PostgreSQL is not here and cannot be installed: `apt-get install postgresql` (or put its initdb on PATH)"

NO_REDIS = "Redis is not here and cannot be installed: `apt-get install redis-server` (or put redis-server on PATH)"


def _programs() -> Path | None:
    "The folder of `initdb` and `pg_ctl`; Debian keeps them off PATH."
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    path = shutil.which("initdb") or (found[-1] if found else None)
    return Path(path).resolve().parent if path else None


class Postgres:
    "A PostgreSQL server behind a socket; it refuses to run as root, so there it runs as its own user."

    def __init__(self, *settings: str):  # fsync=off
        self.programs = _programs()
        self.folder = Path(tempfile.mkdtemp(prefix="pg"))  # a socket's path must be short
        self.url, self.settings = f"postgresql://keeper@/postgres?host={self.folder}", settings
        self.how: dict[str, Any] = dict(cwd=self.folder, stdin=subprocess.DEVNULL)
        if os.geteuid() == 0:
            own = pwd.getpwnam("postgres")
            os.chown(self.folder, own.pw_uid, own.pw_gid)
            self.how |= dict(user="postgres", group=own.pw_gid, extra_groups=[])
        words = ["-D", f"{self.folder}/data", "-U", "keeper", "-A", "trust", "-E", "UTF8", "--no-sync"]
        done = subprocess.run(
            [self.programs / "initdb", *words], check=False, capture_output=True, text=True, **self.how
        )
        assert done.returncode == 0, done.stderr
        self.start()

    def start(self) -> None:
        "Until it answers: after a kill it first reads what it had written ahead."
        import psycopg

        asked = ("listen_addresses=", f"unix_socket_directories={self.folder}", *self.settings)
        words = [word for one in asked for word in ("-c", one)]
        for left in range(1_500, -1, -1):
            if left == 1_500 or self.process.poll() is not None:  # what a kill left behind may still be going
                with (self.folder / "log").open("ab") as log:
                    self.process = subprocess.Popen(
                        [self.programs / "postgres", "-D", f"{self.folder}/data", *words],
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        **self.how,
                    )
            try:
                return psycopg.connect(self.url, connect_timeout=5).close()
            except psycopg.OperationalError:
                assert left, (self.folder / "log").read_text()
                time.sleep(0.02)

    def kill(self) -> None:
        "The server and all that it has started, at once."
        mine = [self.process.pid, *_children(self.process.pid)]
        for pid in mine:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        while any(Path(f"/proc/{pid}").exists() and "Z" not in _stat(pid)[:1] for pid in mine):
            time.sleep(0.005)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _stat(pid: int) -> list[str]:  # state, parent, …
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return ["Z", "0"]


def _children(pid: int) -> list[int]:
    return [int(p.name) for p in Path("/proc").glob("[0-9]*") if _stat(int(p.name))[1] == str(pid)]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Callable[..., Postgres]]:
    "`postgres_server('fsync=off')`: a server with these settings; all of them end with the tests."
    pytest.importorskip("psycopg", reason="pip install 'predelinquency[postgres]'")
    debian.install("postgresql", _programs)
    if not _programs():
        pytest.skip(MISSING)
    made: list[Postgres] = []

    def one(*settings: str) -> Postgres:
        made.append(Postgres(*settings))
        return made[-1]

    try:
        yield one
    finally:
        for server in made:
            server.end()


@pytest.fixture(scope="session")
def postgres(postgres_server: Callable[..., Postgres]) -> str:
    "A PostgreSQL server, as the URL of its first database."
    return postgres_server("fsync=off").url


@pytest.fixture
def postgres_url(postgres: str) -> str:
    "The PostgreSQL database, emptied: much faster than a new one for every test."
    import psycopg

    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    "A place for a new ledger, on either database."
    return f"sqlite:///{tmp_path}/ledger.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Callable[..., Server]]:
    "`redis_server('--appendonly', 'no')`: a server with these settings; all of them end with the tests."
    pytest.importorskip("redis", reason="pip install 'predelinquency[redis]'")
    debian.install("redis-server", lambda: shutil.which("redis-server"))
    if not shutil.which("redis-server"):
        pytest.skip(NO_REDIS)
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
