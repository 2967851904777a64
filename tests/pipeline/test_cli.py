"""What is typed, what comes back, and what is refused."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from predelinquency.ground.core import SchemaError, StoreError
from predelinquency.model import champion
from predelinquency.ops import ask, cli, doctor, results, say
from predelinquency.ops import stages as pipeline_stages
from predelinquency.reasons import shapley, tables

PLAIN = dict(
    NO_COLOR="1", FORCE_COLOR=None, CLICOLOR_FORCE=None, TTY_COMPATIBLE=None, COLUMNS="160", TERMINAL_WIDTH="160"
)
TREE = typer.main.get_command(cli.app)


def commands() -> Iterator[list[str]]:
    "Every command, as typed."
    for name, command in TREE.commands.items():
        if not hasattr(command, "commands"):
            yield [name]
        else:
            yield from ([name, inner] for inner in command.commands)


@pytest.fixture
def typed(project: Path) -> Callable[..., Any]:
    "A command in this process, in the project's folder."

    def run(*words: Any) -> Any:
        with chdir(project):
            return CliRunner().invoke(cli.app, [str(w) for w in words], env=PLAIN)

    return run


@pytest.fixture(scope="session")
def live(trained: Path) -> pd.DataFrame:
    "The latest snapshot of the small world, as the batch scored it."
    rows = pd.read_parquet(champion.in_use(trained / "model") / "predictions.parquet")
    return rows[rows.split == "live"].set_index("customer_id")


def result(done: Any) -> Any:
    "The JSON of a command that went well, and alone on the standard output."
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def documented(command: str) -> tuple[set[str], dict[str, set[str]], bool]:
    "The keys that the help promises, those of the records inside, and whether there may be more."
    text = say.KEYS[command].split(";")[0]
    inner = {name: set(re.split(r",\s*", keys)) for name, keys in re.findall(r"(\w+) \(([^)]*)\)", text)}
    return set(re.findall(r"\w+", re.sub(r"\([^)]*\)", "", text))), inner, "…" in text


def kept(command: str, answer: dict[str, Any]) -> bool:
    "Is an answer what the help promises?"
    keys, inner, more = documented(command)
    exact = keys <= answer.keys() if more else keys == answer.keys()
    return exact and all(set(record) == inside for name, inside in inner.items() for record in answer[name])


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_the_help_of_every_command_says_what_it_is_for_and_shows_how_it_is_typed(typed, words):
    done = typed(*words, "--help")
    said = " ".join(done.stdout.split())
    assert done.exit_code == 0
    assert re.search(rf"Usage: \S+ {' '.join(words)}.*?\. .*Examples: • predelinquency {' '.join(words)}\b", said), said
    assert all(word in said for word in ("--help",)) and ("--json" in said) == (words[-1] in say.KEYS)


def test_every_command_of_the_design_is_there():
    assert {
        "run",
        "stage",
        "source",
        "score",
        "explain",
        "decide",
        "serve",
        "dashboard",
        "doctor",
        "report",
    } <= TREE.commands.keys()


def no_answer(out: str) -> bool:
    "Nothing, or under --json the refusal as JSON and nothing beside it."
    return not out or set(json.loads(out)) == {"error"}


def test_help_is_cheap():
    heavy = {
        "pandas",
        "pyarrow",
        "sqlalchemy",
        "xgboost",
        "lightgbm",
        "shap",
        "bentoml",
        "pydantic",
        "fastapi",
        "plotly",
        "papermill",
        "voila",
        "ipywidgets",
        "mlflow",
        "duckdb",
    }
    code = f"import sys\nfrom predelinquency.ops import cli\nprint(*sorted({heavy!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []


def test_a_score_is_what_the_batch_said(typed, trained, live):
    batch = {s.customer_id: say.as_json_value(asdict(s)) for s in tables.scores(trained)}
    for customer in live.index[live.eligible][::60]:
        answer = result(typed("score", customer, "--root", trained, "--json"))
        row = live.loc[customer]
        assert kept("score", answer), answer.keys()
        assert {k: answer[k] for k in batch[customer]} == batch[customer], "reasons and fingerprint too"
        assert (answer["margin"], answer["probability"]) == (row.margin, row.probability), "to the last bit"
        assert (answer["as_of"], answer["eligible"]) == (str(row.as_of.date()), bool(row.eligible))


def test_the_story_of_a_score_adds_up_to_it_and_begins_with_the_same_reasons(typed, trained, live):
    customer = live.probability.idxmax()
    short, story = (
        result(typed("score", customer, "--root", trained, "--json")),
        result(typed("explain", customer, "--root", trained, "--json")),
    )
    assert kept("explain", story), story.keys()
    assert abs(
        story["base"] + sum(r["contribution"] for r in story["reasons"]) - story["margin"]
    ) <= shapley.TOLERANCE * max(1, abs(story["margin"]))
    assert "payment" in story["about"]
    same = ("probability", "band", "model_version")
    assert {k: story[k] for k in same} == {k: short[k] for k in same}
    assert [r for r in story["reasons"] if r["contribution"] > 0][: len(short["reasons"])] == short["reasons"]
    sizes = [abs(r["contribution"]) for r in story["reasons"]]
    assert sizes == sorted(sizes, reverse=True)


def test_whoever_is_not_eligible_is_not_scored(typed, trained, live):
    [customer, *_] = live.index[~live.eligible]
    found = typed("score", customer, "--root", trained)
    assert found.exit_code and "is not scored" in found.stderr and "--as-of" in found.stderr


def test_people_get_the_same_story_as_a_table(typed, trained, live):
    customer = live.probability.idxmax()
    story, said = (
        result(typed("explain", customer, "--root", trained, "--json")),
        typed("explain", customer, "--root", trained).stdout,
    )
    assert f"{story['probability']:.2%}" in said and f"{story['base']:+.3f}" in said
    lines = said.splitlines()
    for r in story["reasons"]:
        assert any(
            f"{r['contribution']:+.3f}" in line and r["group"] in line and r["analyst"] in line for line in lines
        ), r


def test_what_changed_stands_below_the_story_as_the_night_told_it(typed, trained, live):
    night = pd.read_parquet(trained / "reports/changes.parquet")
    night = night[night.as_of == live.as_of.max()]
    for customer, rows in list(night.groupby("customer_id"))[:3]:
        story = result(typed("explain", customer, "--root", trained, "--json"))
        assert [c["analyst"] for c in story["changes"]] == rows.analyst.tolist()
        assert [[[s["on"], s["amount_minor"]] for s in c["seen"]] for c in story["changes"]] == [
            json.loads(seen) for seen in rows.seen
        ]
    said = " ".join(typed("explain", customer, "--root", trained).stdout.split())
    assert all(sentence in said for sentence in rows.analyst)
    for customer in live.index[live.eligible]:
        story = result(typed("explain", customer, "--root", trained, "--json"))
        if not story["changes"]:
            break
    assert "nothing unlike this customer's own past was found" in typed("explain", customer, "--root", trained).stdout


def test_an_earlier_moment_is_answered_with_what_was_known_then(typed, trained):
    scored = (
        pd.read_parquet(champion.in_use(trained / "model") / "predictions.parquet").query("split == 'test'").iloc[0]
    )
    answer = result(typed("score", scored.customer_id, "--root", trained, "--as-of", scored.as_of.date(), "--json"))
    assert answer["as_of"] == str(scored.as_of.date()) and answer["margin"] == scored.margin
    assert (
        result(
            typed(
                "score",
                scored.customer_id,
                "--root",
                trained,
                "--as-of",
                scored.as_of.date() + pd.Timedelta(days=1),
                "--json",
            )
        )["eligible"]
        is None
    )


def test_the_first_moment_that_is_answered_is_the_day_after_the_records_begin(typed, trained):
    rows = ask.history_of(str(trained), 3)
    begins = max(rows["customers"].joined_on.min(), rows["transactions"].booked_at.min()).date()
    assert (
        result(typed("score", 3, "--root", trained, "--as-of", begins + pd.Timedelta(days=1), "--json"))["eligible"]
        is None
    )
    refused = typed("score", 3, "--root", trained, "--as-of", begins, "--json")
    assert refused.exit_code == 1 and no_answer(refused.stdout) and f"ask for a day after {begins}" in refused.stderr


def test_the_plan_of_the_day_is_the_stages_own_summary(typed, trained):
    day = result(typed("decide", "--root", trained, "--json"))
    assert day == json.loads((trained / "reports/decisions.json").read_text())
    said = typed("decide", "--root", trained).stdout
    assert f"{day['contacted']:,} of {day['customers']:,}" in said
    for action, count in day["actions"].items():
        assert re.search(rf"^{action} +{count:,}\s*$", said, re.M)


def test_one_customers_decision_names_every_rule_that_said_no(typed, trained):
    plan = pd.read_parquet(trained / "reports/plan.parquet")
    for row in plan.sort_values("value_minor").iloc[[0, len(plan) // 2, -1]].itertuples():
        answer = result(typed("decide", row.customer_id, "--root", trained, "--json"))
        assert documented("decide")[0] <= result(typed("decide", "--root", trained, "--json")).keys()
        assert (answer["action"], answer["channel"], answer["because"], answer["refusals"]) == (
            row.action,
            row.channel,
            row.because,
            json.loads(row.refusals),
        )
        said = typed("decide", row.customer_id, "--root", trained).stdout
        for r in answer["refusals"]:
            assert re.search(rf"^{r['rule']} .*{re.escape(r['sentence'][:80])}", said, re.M), (
                r
            )  # a long one goes on below
            assert r["sentence"].split()[-1] in said
        if row.message:
            assert row.message.split()[-1] in said


def test_who_is_not_eligible_is_not_decided_about_and_it_is_said_why(typed, trained, live):
    planned = set(pd.read_parquet(trained / "reports/plan.parquet").customer_id)
    done = typed("decide", next(c for c in live.index if c not in planned), "--root", trained)
    assert done.exit_code == 1 and "past its grace" in done.stderr


def test_the_ledger_takes_the_snapshot_once(typed, trained, tmp_path):
    from predelinquency.ground.ledger import Ledger
    from predelinquency.ground.records import Decision, Score

    url, planned = f"sqlite:///{tmp_path}/ledger.db", set(pd.read_parquet(trained / "reports/plan.parquet").customer_id)
    first, second = (
        result(typed("decide", "--record", "--root", trained, "--ledger", url, "--json")) for _ in range(2)
    )
    assert (first["scores"], first["decisions"], first["of"]) == (len(planned), len(planned), len(planned)) and (
        second["scores"],
        second["decisions"],
    ) == (0, 0)
    assert (
        "the others were in the ledger already"
        in typed("decide", "--record", "--root", trained, "--ledger", url).stdout
    )
    with Ledger.open(url) as book:
        assert {r.customer_id for r in book.of(Score)} == {r.customer_id for r in book.of(Decision)} == planned
    assert not (trained / "ledger.db").exists()


def test_a_ledger_that_cannot_be_reached_is_told_without_its_password(typed, trained):
    done = typed("decide", "--record", "--root", trained, "--ledger", "postgresql://me:secret@127.0.0.1:1/none")
    assert done.exit_code == 1 and "✗" in done.stderr and "secret" not in done.output and "Traceback" not in done.output


def test_a_request_from_a_file_is_answered_as_the_service_would(typed, trained, project, tmp_path):
    from predelinquency.service import http, scoring, wire

    answer = result(typed("score", "--file", project / "predelinquency/example.json", "--root", trained, "--json"))
    assert answer == json.loads(
        scoring.load_scoring(trained / "model").score(wire.parse_request(http.EXAMPLE.read_bytes())).model_dump_json()
    )
    assert (
        f"{answer['probability']:.2%}"
        in typed("score", "--file", project / "predelinquency/example.json", "--root", trained).stdout
    )
    (tmp_path / "bad.json").write_text(json.dumps(json.loads(http.EXAMPLE.read_bytes()) | {"windows": -3}))
    for name, said in (("bad.json", "windows"), ("none.json", "cannot be read")):
        done = typed("score", "--file", tmp_path / name, "--root", trained, "--json")
        assert done.exit_code == 1 and no_answer(done.stdout) and said in done.stderr and "Traceback" not in done.stderr


def test_the_rows_of_a_request_are_checked_without_a_score(typed, trained, tmp_path):
    from predelinquency.service import http

    good = json.loads(http.EXAMPLE.read_bytes())
    named = json.loads(http.EXAMPLE.read_bytes())
    named["transactions"]["counterparty"]["words"][0] = "requests"  # a name, not a batch
    turned = json.loads(http.EXAMPLE.read_bytes())
    turned["transactions"]["amount_minor"] = [-a for a in turned["transactions"]["amount_minor"]]
    for name, body in (("good", good), ("named", named), ("turned", turned), ("both", dict(requests=[good, turned]))):
        (tmp_path / f"{name}.json").write_text(json.dumps(body))
    for name, levels in (("good", [False]), ("named", [False]), ("turned", [True]), ("both", [False, True])):
        done = typed("check", tmp_path / f"{name}.json", "--root", trained, "--json")
        assert done.exit_code == any(levels), done.stderr
        found = json.loads(done.stdout)
        assert [any(f["level"] == "refuse" and f["rule"] == "signs" for f in one) for one in found] == levels
    shown = typed("check", tmp_path / "turned.json", "--root", trained)
    assert shown.exit_code == 1 and "signs" in shown.stdout and "transactions.1" in shown.stdout
    missing = typed("check", tmp_path / "none.json", "--root", trained)
    assert missing.exit_code == 1 and "cannot be read" in missing.stderr and "Traceback" not in missing.stderr


@pytest.mark.parametrize(
    "words, said",
    [
        (["score", "999999"], "there is no customer 999999"),
        (["explain", "999999"], "there is no customer 999999"),
        (["decide", "999999"], "there is no customer 999999"),
        (["score", "3", "--as-of", "yesterday"], "write it as YYYY-MM-DD"),
        (["explain", "3", "--as-of", "2031-01-01"], "nothing is known about 2031-01-01"),
        (["score", "3", "--as-of", "1990-01-01"], "nothing is known about customer 3 on 1990-01-01"),
        (["explain", "3", "--as-of", "1990-01-01"], "when their records begin"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_what_cannot_be_answered_is_refused_in_words(typed, trained, words, said):
    for more in ([], ["--json"]):
        done = typed(*words, "--root", trained, *more)
        assert done.exit_code == 1 and said in done.stderr and no_answer(done.stdout) and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words", [["score", "3"], ["explain", "3"], ["decide"], ["decide", "3"], ["report"]], ids=" ".join
)
def test_without_results_a_command_says_how_to_make_them(typed, tmp_path, words):
    done = typed(*words, "--root", tmp_path)
    assert done.exit_code == 1 and "make run" in done.stderr and "make try" in done.stderr and done.stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        ["score"],
        ["score", "3", "--file", "x.json"],
        ["score", "three"],
        ["score", "-3"],
        ["run", "--customers", "0"],
        ["run", "--customers", "5", "--source", "berka"],
        ["run", "--source", "berka"],
        ["run", "--data", "."],
        ["explain"],
        ["decide", "3", "--record"],
        ["serve", "--port", "0"],
        ["dashboard", "--port", "x"],
    ],
    ids=" ".join,
)
def test_what_is_typed_wrongly_ends_with_two(typed, words):
    done = typed(*words)
    assert done.exit_code == 2 and "Usage:" in done.stderr and done.stdout == ""


def test_a_report_for_programs_names_every_stage_and_the_headline(typed, trained):
    answer = result(typed("report", "--root", trained, "--json"))
    assert kept("report", answer)
    assert [s["stage"] for s in answer["stages"]] == [n for n in pipeline_stages.way(pipeline_stages.graph())]
    assert (
        answer["headline"]["headline.auc"]
        == json.loads((trained / "reports/metrics.json").read_text())["headline"]["auc"]
    )


def test_the_whole_way_is_the_graph_in_its_order_and_its_answer_stands_alone(toy):
    done = toy.typed("run", "--customers", "12", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert kept("run", answer)
    assert answer["root"] == "data/runs/customers-12" and [s["stage"] for s in answer["stages"]] == [
        "simulate",
        "featurize",
    ]
    assert toy.state() == {
        "runs/customers-12/raw/customers.txt": "12",
        "runs/customers-12/reports/simulate.json": '{"customers": 12}',
        "runs/customers-12/reports/featurize.json": '{"doubled": 24}',
    }
    assert "1/2 simulate" in done.stderr and "2/2 featurize" in done.stderr


def test_a_wrong_setting_is_refused_before_anything_runs(toy):
    done = toy.typed("run", "--root", "data/runs/x", "--set", "train.max_dept=5")
    assert done.returncode == 1 and "did you mean train.max_depth?" in done.stderr and "Traceback" not in done.stderr
    assert not (toy.folder / "data").exists()


@pytest.mark.parametrize(
    "words,said", [(("berca", "."), "there is no such mapping file"), (("berka", "nowhere"), "there is no such folder")]
)
def test_a_bank_that_cannot_be_read_leaves_no_folder_of_results(toy, words, said):
    done = toy.typed("run", "--source", words[0], "--data", words[1])
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr
    assert not (toy.folder / "data").exists()


def test_one_stage_for_programs_gives_its_numbers_and_the_last_ones(toy):
    assert json.loads(toy.typed("stage", "simulate", "--set", "simulate.customers=12", "--json").stdout)["before"] == {}
    answer = json.loads(toy.typed("stage", "simulate", "--set", "simulate.customers=13", "--json").stdout)
    assert kept("stage", answer) and (answer["before"], answer["after"]) == ({"customers": 12}, {"customers": 13})


def test_interrupting_the_whole_way_says_so_and_leaves_nothing_half_done(toy, blocked):
    run = blocked("run", "--root", "data/runs/x", "--json")
    run.send_signal(signal.SIGINT)
    out, said = run.communicate(timeout=60)
    toy.ended()
    assert (run.returncode, out) == (130, "") and "interrupted" in said and "Traceback" not in said
    assert {name for name in toy.state() if ".draft" not in name} == set()


def test_a_banks_own_files_go_the_same_way_without_the_stages_that_ask_for_the_truth(project):
    stages = pipeline_stages.graph(project)
    whole, given = pipeline_stages.way(stages), pipeline_stages.way(stages, ingest=True)
    assert given == ["ingest", *(name for name in whole if name not in ("simulate", "prove"))]


def test_who_reads_a_stage_that_asks_for_the_truth_goes_without_it_on_a_banks_own_files(tmp_path):
    from predelinquency.ops.stages import Stage, inputs

    stages = {
        n: Stage(n, Path(f"{n}.ipynb"), {"report": f"data/reports/{n}.json"}, up)
        for n, up in {"simulate": (), "prove": ("simulate",), "evaluate": ("simulate", "prove"), "ingest": ()}.items()
    }
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/ingest.json").touch()
    assert inputs(stages["evaluate"], stages, tmp_path) == {
        "simulate": {"report": str(tmp_path / "reports/ingest.json")}
    }
    (tmp_path / "reports/ingest.json").unlink()
    (tmp_path / "reports/simulate.json").touch()
    with pytest.raises(StoreError, match="stage prove"):
        inputs(stages["evaluate"], stages, tmp_path)


@pytest.fixture
def clumsy(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    "Lets `report` meet an error."

    def meets(error: Exception) -> None:
        def fails(_: str) -> None:
            raise error

        monkeypatch.setattr(results, "made_in", fails)

    return meets


def test_an_error_that_nobody_foresaw_is_one_line_with_a_way_to_see_more(typed, clumsy, monkeypatch):
    clumsy(ZeroDivisionError("division by zero\nand more"))
    done = typed("report")
    assert (
        done.exit_code == 1
        and "ZeroDivisionError: division by zero" in done.stderr
        and say.TRACEBACK in done.stderr
        and "Traceback" not in done.output
    )
    monkeypatch.setenv(say.TRACEBACK, "1")
    assert isinstance(typed("report").exception, ZeroDivisionError)


def test_a_refusal_is_said_with_its_remedy_and_nothing_else(typed, clumsy):
    clumsy(SchemaError("a broken row", where="accounts, row 3", remedy="mend it"))
    done = typed("report", "--json")
    assert (
        done.exit_code == 1
        and no_answer(done.stdout)
        and done.stderr == "✗ accounts, row 3: a broken row\n  to fix: mend it\n"
    )


def test_the_doctor_answers_programs_too(typed):
    done = typed("doctor", "--json")
    found = json.loads(done.stdout)
    assert all(set(f) == documented("doctor")[0] - {"a", "list", "of"} for f in found)
    assert {"Python", "packages", "browser", "port of serve", "port of dashboard", "results", "ledger"} <= {
        f["what"] for f in found
    }
    assert done.exit_code == (1 if any(f["fine"] is False for f in found) else 0)


def test_the_doctor_sees_a_port_that_is_taken_and_what_to_do(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setitem(doctor.PORTS, "serve", port)
        found = doctor.check_port("serve")
        assert "is taken" in found.found and f"--port {port + 1}" in found.remedy and found.fine is None
    assert "is free" in doctor.check_port("serve").found


@pytest.mark.parametrize(
    "url, fine",
    [
        (None, None),
        ("sqlite:///{}/none.db", None),
        ("mysql://x/y", False),
        ("not a url", False),
        ("postgresql://nobody@127.0.0.1:1/none", False),
    ],
    ids=str,
)
def test_the_doctor_asks_the_ledger_and_leaves_nothing_behind(tmp_path, url, fine):
    found = doctor.check_ledger(url and url.format(tmp_path))
    assert found.fine is fine and (fine is not False or found.remedy)
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_knows_a_ledger_that_is_there(tmp_path):
    from predelinquency.ground.ledger import Ledger

    Ledger.open(f"sqlite:///{tmp_path}/ledger.db").close()
    assert doctor.check_ledger(f"sqlite:///{tmp_path}/ledger.db").fine is True


def test_the_doctor_tells_which_results_are_missing(project, trained, tmp_path):
    with chdir(project):
        assert "complete" in doctor.check_results(trained).found
        assert (
            "simulate" in doctor.check_results(tmp_path).found and "make run" in doctor.check_results(tmp_path).remedy
        )


def test_the_doctor_is_asked_in_the_project_s_folder(tmp_path):
    with chdir(tmp_path):
        done = CliRunner().invoke(cli.app, ["doctor"], env=PLAIN)
    assert (
        done.exit_code == 1
        and "there is no pipeline.yaml here" in done.stderr
        and "run it in the project's folder" in done.stderr
    )


def test_the_doctor_ends_with_one_when_something_must_be_mended(typed, monkeypatch):
    monkeypatch.setattr(doctor, "check_python", lambda: doctor.Finding("Python", False, "3.9", "install a newer one"))
    done = typed("doctor")
    assert done.exit_code == 1 and "install a newer one" in done.stdout


def test_a_reader_that_stops_reading_is_no_error(project, trained):
    "`predelinquency explain 3 | head -1` must not end in a traceback."
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [Path(sys.executable).parent / "predelinquency", "explain", "3", "--root", str(trained), "--json"],
        cwd=project,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    assert done.stderr == "" and done.returncode != 0
