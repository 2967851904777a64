"""All processes of the service share one limit for a key; without the server each goes by its share, and says so."""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from guests import NOW, Asker, desk_of, grant
from live_server import Server

from predelinquency.service import desk as service_desk
from predelinquency.service import http
from predelinquency.service.bento import PACKAGES
from predelinquency.service.keys import Guest, Pace, add_key
from predelinquency.service.rates import REST_SECONDS, SharedPace, pace_of

ANN, BEN = Guest("ann", "agent", "a1", 60), Guest("ben", "agent", "b1", 60)
ASK = """
import sys
from predelinquency.service.keys import Guest
from predelinquency.service.rates import pace_of
pace = pace_of({"REDIS_URL": sys.argv[1]}, seconds=5.0)
print(sum(pace.wait(Guest("ann", "agent", "a1", 4), 0.0) == 0 for _ in range(10)))
"""


@pytest.fixture
def server(redis_server: Callable[..., Server]) -> Server:
    return redis_server()


def shared(server: Server, **other: object) -> SharedPace:
    pace = pace_of({"REDIS_URL": server.url}, seconds=5.0)
    assert isinstance(pace, SharedPace)
    for name, value in other.items():
        setattr(pace, name, value)
    return pace


def test_several_processes_share_one_limit(server: Server) -> None:
    began, ann = time.monotonic(), ANN._replace(per_minute=4)
    asked = subprocess.run([sys.executable, "-c", ASK, server.url], capture_output=True, text=True, check=True)
    let_in = int(asked.stdout)
    pace = shared(server)
    left = [pace.wait(ann, 0.0) for _ in range(10)]
    assert pace.wait(BEN, 0.0) == 0, "another key has a jar of its own"
    assert 4 <= let_in + left.count(0) <= 4 + (time.monotonic() - began) / 15, "it fills up by four a minute"


def test_many_threads_take_no_token_twice(server: Server) -> None:
    pace, told = shared(server), list[int]()
    slow = Guest("eve", "agent", "e1", 1)  # a token a minute: the time that this takes adds none
    asking = [threading.Thread(target=lambda: told.append(pace.wait(slow, 0.0))) for _ in range(8)]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    assert told.count(0) == 1 and min(n for n in told if n) > 30


def test_where_the_server_is_gone_each_goes_by_its_share_says_so_once_and_comes_back(
    redis_server: Callable[..., Server], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("predelinquency.service"), "propagate", True)
    server, at = redis_server(), [100.0]
    pace = shared(server, share=4, clock=lambda: at[0])
    assert pace.wait(ANN, 0.0) == 0 and not caplog.records
    server.kill()
    assert [pace.wait(ANN, 0.0) for _ in range(16)] == [0] * 15 + [4], "a quarter of sixty"
    (said,) = caplog.messages
    assert "each process counts by itself" in said and "127.0.0.1" in said
    at[0] += REST_SECONDS
    pace.wait(ANN, 0.0)
    assert len(caplog.messages) == 1
    server.start()
    assert pace.wait(ANN, 0.0) == 4, "it is left alone for some seconds"
    at[0] += REST_SECONDS
    assert pace.wait(ANN, 0.0) == 0 and "answers again" in caplog.messages[-1]


def test_the_service_refuses_by_the_shared_jar(server: Server, tmp_path: Path) -> None:
    desk = desk_of(tmp_path)
    desk.pace = shared(server)
    key = add_key(desk.book, grant("carl", "viewer", per_minute=1), NOW)
    here, another = (Asker(http.app(desk), key) for _ in range(2))
    assert here.get("/v1/stats").status_code == 200
    refused = another.get("/v1/stats")
    assert refused.status_code == 429 and 30 < int(refused.headers["Retry-After"]) <= 60


class Hesitant(dict):
    "Jars that take a while to be looked into."

    def get(self, *of: Any) -> Any:
        found = super().get(*of)
        time.sleep(0.001)
        return found


def test_a_jar_in_memory_gives_no_token_twice_to_threads() -> None:
    pace, told = Pace(Hesitant()), list[int]()
    gate = threading.Barrier(8)

    def ask() -> None:
        gate.wait()
        told.extend(pace.wait(ANN, 0.0) for _ in range(20))

    asking = [threading.Thread(target=ask) for _ in range(8)]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    assert told.count(0) == ANN.per_minute


def test_the_packaged_service_brings_the_client() -> None:
    assert "redis" in PACKAGES and isinstance(service_desk.Desk().pace, Pace)
