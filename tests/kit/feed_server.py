"""The routes of the service over a ledger, without a model: in this process, or in one of its own."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import uvicorn
from served import KEY, free_port

from predelinquency.ground.ledger import Ledger
from predelinquency.service.desk import Desk
from predelinquency.service.http import app


def server(ledger: Ledger, port: int, key: str = KEY) -> tuple[uvicorn.Server, Desk]:
    desk = Desk(key, SimpleNamespace(ledger=ledger), ready=True)  # type: ignore[arg-type]
    return uvicorn.Server(uvicorn.Config(app(desk), "127.0.0.1", port, log_config=None)), desk


@contextmanager
def running(ledger: Ledger, port: int = 0, key: str = KEY) -> Iterator[tuple[str, Desk]]:
    "A server in a thread of this process: its address and its desk."
    port = port or free_port()
    made, desk = server(ledger, port, key)
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        while not made.started:
            assert thread.is_alive()
            time.sleep(0.005)
        yield f"http://127.0.0.1:{port}", desk
    finally:
        made.should_exit = True
        thread.join(30)
        made.force_exit = True
        assert not thread.is_alive(), "the server did not end"


if __name__ == "__main__":
    with Ledger.open(sys.argv[1]) as opened:
        server(opened, int(sys.argv[2]))[0].run()
