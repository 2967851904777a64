"""One name for a request: in its answer, in its refusal, and in each line of the log."""

import asyncio
import io
import logging
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import httpx
import pytest
from guests import HOUSE_KEY, asker, desk_of
from live_events import payment
from records import reply

from predelinquency.service import bento, doors, history
from predelinquency.service.desk import LOG, Problem
from predelinquency.service.request_id import REQUEST_ID

SEVERAL = ["checkout-2026.07_a", "A" * 64]
NO_TOKENS = ["", "two words", "A" * 65, "né", "a;b", '"quoted"', "17/3"]


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    "What the service writes, as it is set up by itself."
    kept, heard = (LOG.handlers, LOG.propagate, LOG.level), io.StringIO()
    bento._log_to(heard)
    yield heard
    LOG.handlers, LOG.propagate, level = kept
    LOG.setLevel(level)


def told(answer: httpx.Response) -> str:
    "The id of a refusal, which is the same in header and body."
    assert answer.json()["request_id"] == answer.headers["x-request-id"], answer.text
    return answer.headers["x-request-id"]


@pytest.mark.parametrize("given", SEVERAL)
def test_a_plain_token_of_the_callers_is_the_name_everywhere(given: str, tmp_path: Path, lines: io.StringIO) -> None:
    here = asker(desk_of(tmp_path), HOUSE_KEY)
    for path, status in (("/v1/cases", 200), ("/v1/nowhere", 404), ("/v1/cases?most=0", 422), ("/v1/score", 405)):
        answer = here.get(path, headers={"X-Request-Id": given})
        assert (answer.status_code, answer.headers["x-request-id"]) == (status, given), path
        assert status == 200 or told(answer) == given
    written = lines.getvalue().splitlines()
    assert len(written) == 4 and all(line.endswith(f" ms request_id={given}") for line in written), written


@pytest.mark.parametrize("given", NO_TOKENS)
def test_what_is_no_plain_token_stands_nowhere(given: str, tmp_path: Path, lines: io.StringIO) -> None:
    here = asker(desk_of(tmp_path), HOUSE_KEY)
    mine = told(here.get("/v1/nowhere", headers={"X-Request-Id": given.encode()}))
    assert re.fullmatch("[0-9a-f]{16}", mine) and f"request_id={mine}\n" in lines.getvalue()
    assert not given or given not in lines.getvalue()


def test_every_kind_of_refusal_has_one_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("nobody foresaw this")

    desk = desk_of(tmp_path)
    here, stranger = asker(desk, HOUSE_KEY), asker(desk, "guess")
    monkeypatch.setattr(history, "_kept_book", broken)
    answers = [
        stranger.get("/v1/cases"),
        here.get("/nowhere"),
        here.get("/v1/replies"),
        here.post("/v1/replies", {}),
        here.request("POST", "/v1/replies", content=b"x", headers={"Content-Type": "text/csv"}),
        here.get("/v1/customers/7"),
        asker(desk_of(tmp_path, key=""), host="127.0.0.1").get("/v1/cases", headers={"Host": "bank.example"}),
    ]
    assert [a.status_code for a in answers] == [401, 404, 405, 422, 415, 500, 421]
    assert len({told(a) for a in answers}) == len(answers)
    for answer in answers:
        Problem.model_validate_json(answer.content)


def test_a_line_that_a_thread_writes_has_the_id_of_its_request(
    tmp_path: Path, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    meet = asyncio.Barrier(2)

    async def together() -> list[httpx.Response]:
        async def one(name: str) -> httpx.Response:
            async with httpx.AsyncClient(transport=here.transport, base_url="http://localhost") as http:
                await meet.wait()
                head = here.headers | {"X-Request-Id": name}
                return await http.post("/v1/replies", json=asdict(reply()), headers=head)

        return await asyncio.gather(one("first"), one("second"))

    kept = doors._kept_book

    def noisy(desk: object) -> object:
        LOG.info("within")
        return kept(desk)

    monkeypatch.setattr(doors, "_kept_book", noisy)
    here = asker(desk_of(tmp_path), HOUSE_KEY)
    assert [a.headers["x-request-id"] for a in asyncio.run(together())] == ["first", "second"]
    within = [line.rsplit("=", 1)[1] for line in lines.getvalue().splitlines() if " within " in line]
    assert sorted(within) == ["first", "second"] and REQUEST_ID.get() == ""


def test_a_line_that_belongs_to_no_request_says_so(lines: io.StringIO) -> None:
    LOG.info("asked to end")
    assert lines.getvalue().endswith("INFO asked to end request_id=-\n")


def test_the_description_says_what_it_is_for(tmp_path: Path) -> None:
    described = asker(desk_of(tmp_path), HOUSE_KEY).get("/openapi.json").json()
    problem = described["components"]["schemas"]["Problem"]
    assert "request_id" in problem["required"] and "X-Request-Id" in problem["properties"]["request_id"]["description"]


PLANTED = 918_273_645_546  # a customer's number that nothing else contains


def test_no_line_of_the_log_names_a_customer(
    tmp_path: Path, lines: io.StringIO, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(f"customer {PLANTED}")

    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.CRITICAL, "httpx")  # the asking side
    here = asker(desk_of(tmp_path), HOUSE_KEY)
    event = payment(1)._replace(customer_id=PLANTED)._asdict()
    asked = [
        here.get(f"/v1/customers/{PLANTED}"),
        here.post("/v1/replies", asdict(reply(customer_id=PLANTED))),
        here.post("/v1/events", event),
        here.post("/v1/exports", {"customer_id": PLANTED}),
        here.get(f"/v1/{PLANTED}"),
        here.get(f"/v1/cases?customer={PLANTED}"),
    ]
    monkeypatch.setattr(history, "_kept_book", broken)
    asked += [here.get(f"/v1/customers/{PLANTED}")]
    assert [a.status_code for a in asked][-1] == 500 and {200} < {a.status_code for a in asked}
    written = lines.getvalue()
    assert written.count("request_id=") >= len(asked) and str(PLANTED) not in written + caplog.text
