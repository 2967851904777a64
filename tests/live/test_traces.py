"""The spans of an event hang together from the request that told it to the score that it led to, and tell nobody's data."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import live_bank
import pytest
import sqlalchemy as sa
from guests import HOUSE_KEY, asker, desk_of
from opentelemetry.sdk.trace import sampling
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from receiver import receiving
from records import decision

from predelinquency.ground.core import StoreError
from predelinquency.ground.following import LIVE_SCORES
from predelinquency.live import places, traces, worker
from predelinquency.live.events import Event
from predelinquency.live.log import Entry
from predelinquency.live.traces import MOST, TRACING, Place, begin_tracing, trace_of, tracer_of

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def told() -> Iterator[InMemorySpanExporter]:
    found = InMemorySpanExporter()
    TRACING.tracer = tracer_of(SimpleSpanProcessor(found), "tests")
    yield found
    TRACING.tracer = None


def test_from_the_request_over_the_log_to_the_score_it_is_one_trace(told: InMemorySpanExporter, tmp_path: Path) -> None:
    tables = live_bank.bank(3, 6)
    kept = live_bank.archive(tmp_path / "archive", tables)
    desk = desk_of(tmp_path)
    sent = live_bank.sent(tables, 4)[:MOST]
    events = [event for _, event in sent]
    desk.clock.at = (datetime(1970, 1, 1) + timedelta(milliseconds=sent[-1][0])).astimezone()
    rows = [event._asdict() | {"row": dict(event.row)} for event in events]
    here = asker(desk, HOUSE_KEY)
    headers = {"X-Request-Id": "request-of-the-test", "traceparent": CALLER}
    answers = here.post("/v1/events", {"events": rows}, headers=headers).json()["answers"]
    made = live_bank.worker(desk.log, desk.book, kept, live_bank.scorer(tables))
    live_bank.read_all(made)
    spans = told.get_finished_spans()
    (request,) = (one for one in spans if one.name == "POST /v1/events")
    assert f"{request.context.trace_id:032x}" == CALLER.split("-")[1]
    assert request.attributes["http.response.status_code"] == 200
    with desk.book.engine.connect() as book:
        t = LIVE_SCORES.c
        scored = set(map(tuple, book.execute(sa.select(t.partition, t.position).distinct())))
    assert scored and sum(one["state"] == "taken" for one in answers) > 20
    for one in answers:
        if one["state"] != "taken":  # sent twice, or too late
            continue
        number, first = trace_of(Place(one["partition"], one["position"], one["arrived_at"]))
        mine = {s.name: s for s in spans if s.context.trace_id == number}
        expected = {"append", "fold"} | ({"score", "write"} if (one["partition"], one["position"]) in scored else set())
        assert mine.keys() == expected
        begun = mine.pop("append")
        assert begun.context.span_id == first and begun.parent is None
        assert begun.attributes["predelinquency.request_id"] == "request-of-the-test"
        assert begun.links[0].context == request.context
        assert {s.parent.span_id for s in mine.values()} == {first}
        assert all(s.start_time <= s.end_time for s in mine.values())


def test_no_span_holds_somebodys_data(told: InMemorySpanExporter, tmp_path: Path) -> None:
    here = asker(desk_of(tmp_path), HOUSE_KEY)
    who = 31_415_926
    reply = dict(customer_id=who, received_at="2026-03-02T10:00:30+00:00", channel="app", kind="stop")
    asked = [
        here.get(f"/v1/customers/{who}"),
        here.get(f"/v1/cases?who=Xanthippe-{who}"),
        here.get(f"/nowhere/{who}"),
        here.request(f"X{who}", "/v1/cases"),
        here.post("/v1/replies", reply),
        here.post("/v1/replies", reply | dict(kind=f"Xanthippe-{who}")),
        here.post("/v1/score", dict(customer_id=who)),
    ]
    spans = told.get_finished_spans()
    assert {one.status_code for one in asked} >= {200, 404, 422} and len(spans) >= len(asked)
    text = "".join(one.to_json() for one in spans)
    assert str(who) not in text and "Xanthippe" not in text and HOUSE_KEY not in text
    assert "GET /v1/customers/{id}" in {one.name for one in spans}


def test_an_error_tells_its_type_and_none_of_its_words(told: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError), TRACING.span("decide"):
        raise ValueError("customer 31415926 is late")
    (span,) = told.get_finished_spans()
    assert span.attributes["error.type"] == "ValueError" and "31415926" not in span.to_json()


def test_probes_are_not_told(told: InMemorySpanExporter, tmp_path: Path) -> None:
    here = asker(desk_of(tmp_path))
    assert here.get("/livez").status_code == here.get("/metrics").status_code == 200
    assert told.get_finished_spans() == ()


def test_both_sides_choose_the_same_events(monkeypatch: pytest.MonkeyPatch) -> None:
    told = InMemorySpanExporter()
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.3")
    here = traces.Tracing(tracer_of(SimpleSpanProcessor(told), "tests"))
    assert isinstance(here.tracer.sampler, sampling.ParentBasedTraceIdRatio)
    entries = [Entry(n, 1_000 + n, Event("payment", 7, "core", f"{n}", {})) for n in range(1, MOST + 1)]
    here.begin_events([Place(5, e.position, e.arrived_at) for e in entries], "")
    here.tell_batch(5, entries, {}, [1, 2, 3, 4])
    names = {
        name: {s.context.trace_id for s in told.get_finished_spans() if s.name == name} for name in ("append", "fold")
    }
    assert names["append"] == names["fold"] and 10 < len(names["fold"]) < 60


def test_of_one_batch_only_some_are_told_and_the_scored_ones_first(told: InMemorySpanExporter) -> None:
    entries = [Entry(n, 1_000 + n, Event("payment", 7, "core", f"{n}", {})) for n in range(1, 3 * MOST)]
    TRACING.tell_batch(5, entries, {3 * MOST - 1: "score"}, [1, 2, 3, 4])
    spans = told.get_finished_spans()
    assert len({s.context.trace_id for s in spans}) == MOST and [s.name for s in spans[:3]] == [
        "fold",
        "score",
        "write",
    ]
    assert {s.kind for s in spans} == {SpanKind.INTERNAL}


def test_of_an_event_that_led_to_a_decision_it_is_told_how_long_that_took(told: InMemorySpanExporter) -> None:
    entries = [Entry(n, 1_000 + n, Event("payment", 7, "core", f"{n}", {})) for n in (1, 2, 3)]
    TRACING.tell_batch(5, entries, {2: "decide", 3: "score"}, [10, 20, 30, 40])
    of = {e.position: trace_of(Place(5, e.position, e.arrived_at))[0] for e in entries}
    spans = {
        n: {s.name: s for s in told.get_finished_spans() if s.context.trace_id == trace} for n, trace in of.items()
    }
    assert {n: list(some) for n, some in spans.items()} == {
        1: ["fold"],
        2: ["fold", "score", "write", "decide"],
        3: ["fold", "score", "write"],
    }
    assert (spans[2]["decide"].start_time, spans[2]["decide"].end_time) == (30, 40)


def test_what_came_of_an_event_is_a_decision_where_it_was_asked_about_and_one_was_made() -> None:
    score = dict(customer_id=1, arrived_at=5, position=7, as_of="2026-03-02")
    asked, other = score | dict(customer_id=2, position=8), score | dict(arrived_at=6, position=9)
    found = places.Found(scores=[score, asked, other], decided=[decision(customer_id=1, as_of="2026-03-02")])
    found.proposals = {(1, 5): lambda mine: None, (2, 5): lambda mine: None}
    assert worker._led_to(found) == {7: "decide", 8: "score", 9: "score"}


SILENT = """
import json, sys
import predelinquency.live.worker, predelinquency.service.http
from predelinquency.live.traces import TRACING, Place, begin_tracing
began = begin_tracing({}, "predelinquency") or begin_tracing({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, "x")
with TRACING.span("score"): TRACING.begin_events([Place(1, 1, 1)], "r")
TRACING.tell_batch(1, [], {}, [])
print(json.dumps([began, sorted(m for m in sys.modules if m.partition(".")[0] == "opentelemetry")]))
"""


def test_where_no_collector_is_named_nothing_of_it_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", SILENT], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [False, []]


def test_a_collector_that_is_named_is_told_and_one_that_is_gone_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as there:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", there.url)
        assert begin_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": there.url}, "predelinquency")
        try:
            with TRACING.span("score"):
                pass
            TRACING.tracer.span_processor.force_flush()
            assert len(there.took) == 1 and b"predelinquency" in there.took[0].body
        finally:
            TRACING.tracer.span_processor.shutdown()
            TRACING.tracer = None


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(StoreError, match=r"predelinquency\[tracing\]"):
        begin_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, "predelinquency")
