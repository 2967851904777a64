"""A service with a ledger and a log, without a model; a clock that a test turns; keys of every kind."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
from fastapi import FastAPI

from predelinquency.decide import engine
from predelinquency.ground.ledger import Ledger
from predelinquency.live.door import open_log
from predelinquency.service import desk as service_desk
from predelinquency.service import http
from predelinquency.service.keys import Grant, add_key, revoke_keys
from predelinquency.service.scoring import Scoring

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUSE_KEY = "a-key-for-tests-0123456789"
DAY = timedelta(days=1)


class Clock:
    "A clock that stands still until somebody turns it."

    def __init__(self, at: datetime = NOW):
        self.at = at

    def __call__(self) -> datetime:
        return self.at


def desk_of(folder: Path, ledger_url: str = "", log_url: str = "", key: str = HOUSE_KEY) -> service_desk.Desk:
    "A desk whose scoring knows customers by id alone."
    ledger = Ledger.open(ledger_url or f"sqlite:///{folder}/ledger.db")
    scorer = SimpleNamespace(champion=SimpleNamespace(version="tests"))
    scoring = Scoring(scorer, engine.load_book(), ledger)  # type: ignore[arg-type]
    log = open_log(log_url or f"sqlite:///{folder}/log.db")
    return service_desk.Desk(key, scoring, ready=True, log=log, clock=Clock())


def grant(name: str, role: str, **other: Any) -> Grant:
    return Grant(**dict(name=name, role=role, begins_at=NOW - DAY, ends_at=NOW + 100 * DAY) | other)


def keys_of_every_kind(ledger: Ledger, role: str) -> dict[str, str]:
    "By what is wrong with them: keys of a role."
    before = NOW - 50 * DAY
    made = {
        "expired": add_key(ledger, grant(f"{role}-expired", role, begins_at=before, ends_at=NOW), before),
        "early": add_key(ledger, grant(f"{role}-early", role, begins_at=NOW + DAY), NOW),
        "revoked": add_key(ledger, grant(f"{role}-revoked", role), NOW - DAY),
        "good": add_key(ledger, grant(role, role), NOW),
    }
    revoke_keys(ledger, f"{role}-revoked", NOW)
    return made


class Asker:
    "Somebody who asks an app in this process."

    def __init__(self, made: FastAPI, key: str = "", host: str = "10.1.2.3"):
        self.transport = httpx.ASGITransport(made, raise_app_exceptions=False, client=(host, 5))
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(
                transport=self.transport, base_url="http://localhost", headers=self.headers
            ) as client:
                return await client.request(method, path, **more)

        return asyncio.run(ask())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, json: Any, **more: Any) -> httpx.Response:
        return self.request("POST", path, json=json, **more)


def asker(desk: service_desk.Desk, key: str = "", host: str = "10.1.2.3") -> Asker:
    "Somebody who asks the service."
    return Asker(http.app(desk), key, host)


def routes_of(made: FastAPI) -> list[tuple[str, str]]:
    "Method and path of everything that an app answers."

    def walk(routes: list[Any]) -> Iterator[tuple[str, str]]:
        for route in routes:
            if inner := getattr(route, "original_router", None) or getattr(route, "app", None):
                if hasattr(inner, "routes"):
                    yield from walk(inner.routes)
                    continue
            for method in sorted({*(getattr(route, "methods", None) or ["WEBSOCKET"])} - {"HEAD"}):
                yield method, route.path

    return sorted(walk(made.routes))
