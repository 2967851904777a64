"""Places for a log: a file, and a real Redis server of each worker's own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live_server import Server

from predelinquency.live.door import open_log


@pytest.fixture(scope="session")
def trusted(redis_server: Callable[..., Server]) -> Server:
    "A server that may hold a log, and has written what it acknowledges: `everysec` may wait for a busy disk."
    return redis_server("--appendonly", "yes", "--appendfsync", "always")


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
