"""The rules for alarms and the board: tried by Prometheus's own tool, and each query held against what is really told."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from guests import HOUSE_KEY, asker, desk_of
from live_events import payment
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from promtool import promtool
from records import AT, case_step, decision, message, score

from predelinquency.ground.core import package_folder
from predelinquency.ground.following import ALERTS
from predelinquency.live.events import PARTITIONS
from predelinquency.live.worker import Step
from predelinquency.ops.instruments import Meters
from predelinquency.service import http
from predelinquency.service.desk import MOST_BEHIND
from predelinquency.service.reply import Answer
from predelinquency.service.wire import RecordedCustomer

FOLDER = package_folder() / "monitoring"
BOARD = json.loads((FOLDER / "board.json").read_text())
RULES = [rule for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
TRIED = yaml.safe_load((FOLDER / "alerts_test.yaml").read_text())["tests"]
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
QUERIES = {f"{p['title']}, {t['refId']}": t["expr"] for p in PANELS for t in p["targets"]}
QUERIES |= {rule["alert"]: rule["expr"] for rule in RULES}
SCRAPED = {"job", "instance"}  # what Prometheus adds by itself
WORDS = {"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset"}
Told = dict[str, set[str]]  # metric → its labels

GROUPED = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
SELECTED = re.compile(r"([a-zA-Z_:][\w:]*)\s*(?:\{([^}]*)\})?(?!\w|\s*\()")


def asked(expr: str) -> tuple[Told, set[str]]:
    "Metrics of a query, with the labels by which each is chosen; and the labels by which it is grouped."
    plain = re.sub(r'"[^"]*"', '""', expr)
    grouped = {label.strip() for labels in GROUPED.findall(plain) for label in labels.split(",") if label.strip()}
    plain = re.sub(r"\[[^\]]*\]", "", GROUPED.sub("", plain))
    found: Told = {}
    for name, chosen in SELECTED.findall(plain):
        if name not in WORDS:
            found.setdefault(name, set()).update(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", chosen))
    return found, grouped


def wrong(expr: str, told: Told) -> Iterator[str]:
    "What a query asks for that nobody tells."
    metrics, grouped = asked(expr)
    if not metrics:
        yield "no metric"
    for name, chosen in metrics.items():
        if name not in told:
            yield name
        else:
            yield from (f"{name}: {label}" for label in sorted((chosen | grouped) - told[name] - SCRAPED))


def samples(text: str) -> Told:
    return {
        sample.name: set(sample.labels) for family in text_string_to_metric_families(text) for sample in family.samples
    }


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    "What a service with a ledger and a log tells, and a worker that has read a batch; `up` is Prometheus's own."
    desk = desk_of(tmp_path_factory.mktemp("told"))
    desk.book.append([score(), decision(), case_step(), message()], AT)
    rang = dict(rule="case_opens", subject="7", period=1, customer_id=7, level="now", said_at=1, body={})
    with desk.book.engine.begin() as book:
        book.execute(sa.insert(ALERTS), [rang])
    here = asker(desk, HOUSE_KEY)
    here.post("/v1/events", payment(1)._asdict()).raise_for_status()
    low = SimpleNamespace(score=lambda asked: Answer.model_construct(band="low", source="ledger"))
    http._counted(low, RecordedCustomer(customer_id=7))
    registry = CollectorRegistry()
    meters = Meters(registry)
    scorer = SimpleNamespace(champion=SimpleNamespace(version="tests"))
    worker: Any = SimpleNamespace(judge=SimpleNamespace(scorer=scorer), held=[], lives=SimpleNamespace(kept=[]))
    meters.watch(worker)
    worker.heard(Step(9, 1, 0, 0, 0.01, 0.01, 0.01))
    return samples(here.get("/metrics").text) | samples(generate_latest(registry).decode()) | {"up": set()}


@pytest.mark.parametrize("where", QUERIES)
def test_every_query_asks_for_what_is_told(where: str, told: Told) -> None:
    assert list(wrong(QUERIES[where], told)) == []


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("max(predelinquency_lag)", ["predelinquency_lag"]),
        ("rate(predelinquency_requests_total[5m]) / predelinquency_nothing > 3", ["predelinquency_nothing"]),
        ('predelinquency_requests_total{code="5"}', ["predelinquency_requests_total: code"]),
        ("sum by (part) (predelinquency_open_cases)", ["predelinquency_open_cases: part"]),
        ("time() > 3", ["no metric"]),
    ],
)
def test_a_query_for_what_nobody_tells_would_be_noticed(query: str, why: list[str], told: Told) -> None:
    assert list(wrong(query, told)) == why


def test_every_figure_of_ours_is_asked_for(told: Told) -> None:
    used = {re.sub("_(count|sum|bucket|created)$", "", m) for query in QUERIES.values() for m in asked(query)[0]}
    ours = {re.sub("_(count|sum|bucket|created)$", "", m) for m in told if m.startswith("predelinquency_")}
    made = {m.removesuffix("_total") for m in ours if m.endswith("_total")}  # `_created` of a counter
    assert ours - made <= used


def test_every_rule_is_tried_once_as_it_rings_and_once_as_it_is_quiet() -> None:
    tries = [one for test in TRIED for one in test["alert_rule_test"]]
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    for rings in (True, False):
        assert {one["alertname"] for one in tries if bool(one.get("exp_alerts")) == rings} == set(names)
    assert all(rule["annotations"].keys() == {"summary", "remedy"} for rule in RULES)


def test_numbers_in_the_words_of_a_rule_are_those_of_the_program() -> None:
    said = {rule["alert"]: rule for rule in RULES}
    assert f"at {MOST_BEHIND:,} the service" in said["TooManyEventsWait"]["annotations"]["summary"]
    assert said["PartitionsAreReadByNobody"]["expr"].endswith(f"< {PARTITIONS}")
    panels = {panel["title"]: panel for panel in PANELS}
    assert f"Partitions that are read, of {PARTITIONS}" in panels
    assert f"At {MOST_BEHIND:,}" in panels["Unread events"]["description"]


def test_the_rules_ring_when_they_should() -> None:
    done = promtool("test", "rules", FOLDER / "alerts_test.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_can_read_every_query(tmp_path: Path) -> None:
    rules = [dict(record=f"board:{n}", expr=expr) for n, expr in enumerate(QUERIES.values())]
    (tmp_path / "board.yaml").write_text(yaml.safe_dump(dict(groups=[dict(name="board", rules=rules)])))
    done = promtool("check", "rules", tmp_path / "board.yaml")
    assert done.returncode == 0 and f"{len(rules)} rules found" in done.stdout, done.stdout + done.stderr


def test_a_rule_that_no_longer_rings_would_be_noticed(tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text(
        (FOLDER / "alerts.yaml").read_text().replace("seconds) > 60", "seconds) > 600")
    )
    (tmp_path / "alerts_test.yaml").write_text((FOLDER / "alerts_test.yaml").read_text())
    done = promtool("test", "rules", tmp_path / "alerts_test.yaml")
    assert done.returncode == 1 and "EventsAreReadTooLate" in done.stdout + done.stderr


def test_the_panels_of_the_board_stand_beside_each_other() -> None:
    places = [p["gridPos"] for p in BOARD["panels"]]
    cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    assert len(set(cells)) == len(cells) and max(x for x, _ in cells) < 24
    assert len({p["id"] for p in BOARD["panels"]}) == len(places)
