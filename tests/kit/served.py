"""One customer's rows as a request, and a server that runs until the block ends."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from json import loads
from pathlib import Path
from typing import Any

import pandas as pd

from predelinquency.ground import disk
from predelinquency.model import champion
from predelinquency.service import bento, desk, http, scoring

KEY = "a-key-for-tests-0123456789"
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
TABLES = (
    "customers",
    "transactions",
    "obligations",
    "payments",
    "accounts",
    "preferences",
    "circumstances",
    "contacts",
)


class Bank:
    "The tables of a results folder, and the requests that can be made of them."

    def __init__(self, root: Path):
        self.bodies: dict[tuple[int, str], str] = {}
        self.root, self.tables = root, {name: disk.read(root / "raw", name) for name in TABLES}
        self.plan = pd.read_parquet(root / "reports/plan.parquet").set_index("customer_id")
        scored = pd.read_parquet(champion.in_use(root / "model") / "predictions.parquet").query("split == 'live'")
        self.as_of = str(scored.as_of.max().date())
        self.scored = scored[scored.as_of == scored.as_of.max()].set_index("customer_id")

    def request(self, customer: int, as_of: str = "") -> dict[str, Any]:
        "A body of one's own, to be changed at will."
        asked = customer, as_of or self.as_of
        if asked not in self.bodies:
            mine = {name: t[t.customer_id == customer] for name, t in self.tables.items()}
            self.bodies[asked] = json.dumps(scoring.request(mine, asked[1]))
        return loads(self.bodies[asked])


def example() -> dict[str, Any]:
    return json.loads(http.EXAMPLE.read_bytes())


def said(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


PATIENCE = 300.0  # seconds: a service that cannot start is started again for ever by what watches over it


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def started(
    what: Path | None, folder: Path, python: str = "", key: str = KEY, **environ: str
) -> Iterator[tuple[str, Path, subprocess.Popen]]:
    "A real server: its address, its log and its process."
    port, log = free_port(), folder / "server.log"
    command = bento.server_command(what, "127.0.0.1", port)
    known = {k: v for k, v in os.environ.items() if not k.startswith(("PREDELINQUENCY", "PYTEST", "PYTHON"))}
    with log.open("w") as out:
        process = subprocess.Popen(
            [python or command[0], *command[1:]],
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={
                **known,
                "BENTOML_HOME": str(folder / "home"),
                "BENTOML_DO_NOT_TRACK": "True",
                desk.KEY: key,
                **environ,
            },
        )
        try:
            url = f"http://127.0.0.1:{port}"
            assert bento.wait(url, process, patience=PATIENCE), log.read_text()
            yield url, log, process
        finally:
            bento.stop(process)


@contextmanager
def serving(
    what: Path | None, folder: Path, python: str = "", key: str = KEY, **environ: str
) -> Iterator[tuple[str, Path]]:
    "A real server: its address and its log."
    with started(what, folder, python, key, **environ) as (url, log, _):
        yield url, log
