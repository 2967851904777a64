"""A real PostgreSQL server of each worker's own, Redis servers, and places for ledgers: fixtures for every test."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

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


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    "A PostgreSQL server behind a socket, as the URL of its first database; it refuses to run as root, so there it runs as its own user."
    pytest.importorskip("psycopg", reason="pip install 'predelinquency[postgres]'")
    debian.install("postgresql", _programs)
    if not (programs := _programs()):
        pytest.skip(MISSING)
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # a socket's path must be short
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)

    def run(program: str, *words: str) -> None:
        group = pwd.getpwnam(user).pw_gid if user else None
        done = subprocess.run(
            [programs / program, *words],
            cwd=folder,
            user=user,
            group=group,
            extra_groups=[] if user else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=open(folder / f"{program}.err", "wb"),
            check=False,
        )
        assert done.returncode == 0, (folder / f"{program}.err").read_text()

    try:
        run("initdb", "-D", f"{folder}/data", "-U", "keeper", "-A", "trust", "-E", "UTF8", "--no-sync")
        run(
            "pg_ctl",
            "-D",
            f"{folder}/data",
            "-w",
            "-l",
            f"{folder}/log",
            "-o",
            f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off",
            "start",
        )
        yield f"postgresql://keeper@/postgres?host={folder}"
    finally:
        if (folder / "data/postmaster.pid").exists():
            run("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)


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
