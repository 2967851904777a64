"""Requests made from the description: schemathesis against the routes in this process."""

import collections
from pathlib import Path

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from served import KEY

from predelinquency.live.door import open_log
from predelinquency.service import desk, http, scoring

pytestmark = pytest.mark.slow


# A description can say neither that columns have one length nor that nothing comes from the future, so a request that fits it may still be refused, with 422; a generated body may be too large, 413;
# and a generated customer is not in the ledger, 404; what is told twice in two ways is a contradiction, 409. An event of a batch is refused in its answer, and the batch is not.
def settings(examples: int, corners: bool) -> dict[str, object]:
    "Of schemathesis: so many random requests for each way of making one, and those at the corners of every field."
    return {
        "seed": 7,
        "headers": {"Authorization": f"Bearer {KEY}"},
        "continue-on-failure": True,
        "generation": {"max-examples": examples, "database": "none"},
        "phases": {"stateful": {"enabled": False}, "coverage": {"enabled": corners}},
        "checks": {
            "positive_data_acceptance": {"expected-statuses": ["2xx", "404", "409", "413", "422"]},
            "negative_data_rejection": {"expected-statuses": ["401", "404", "405", "413", "415", "422"]},
        },
        "operations": [
            {"include-path": "/v1/events", "checks": {"negative_data_rejection": {"enabled": False}}},
        ],
    }


@pytest.mark.parametrize(
    ("examples", "requests"),
    [pytest.param(60, 100, id="a few"), pytest.param(400, 1000, id="a thousand", marks=pytest.mark.long)],
)
def test_generated_requests_meet_the_description_and_break_nothing(
    examples: int, requests: int, trained: Path, tmp_path: Path
) -> None:
    known = scoring.load_scoring(trained / "model", f"sqlite:///{tmp_path}/ledger.db")
    asked = desk.Desk(KEY, known, ready=True, log=open_log(f"sqlite:///{tmp_path}/log.db"))
    schema = schemathesis.openapi.from_asgi(
        "/openapi.json", http.app(asked), config=SchemathesisConfig.from_dict(settings(examples, requests >= 1000))
    )
    answers, failures, broken = collections.Counter[int](), [], []
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            broken.append(str(event))
        if not isinstance(event, events.ScenarioFinished):
            continue
        answers.update(i.response.status_code if i.response else 0 for i in event.recorder.interactions.values())
        failures += [
            (event.label, check.name, check.failure_info.failure.message)
            for checks in event.recorder.checks.values()
            for check in checks
            if check.failure_info
        ]
    assert not broken and not failures, (broken, len(failures), failures[:3])
    assert (
        sum(answers.values()) >= requests
        and answers[200] >= requests / 10
        and not any(status >= 500 or status == 0 for status in answers)
    ), answers
