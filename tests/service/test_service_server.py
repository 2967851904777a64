"""The packaged service as it really runs: BentoML, processes, sockets."""

import concurrent.futures
import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from served import HEADERS, KEY, Bank, example, said, serving, started
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from predelinquency.ground.ledger import Ledger, _writing
from predelinquency.live.feed import Message, publish
from predelinquency.service import bento as service_bento
from predelinquency.service import desk as service_desk
from predelinquency.service import scoring, verdicts, wire

pytestmark = pytest.mark.slow
CANARY = "Xanthippe-31415926"


@pytest.fixture(scope="module")
def bank(trained: Path) -> Bank:
    return Bank(trained)


@pytest.fixture(scope="module")
def bento(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    "A copy of what the stage packed: running leaves compiled files behind."
    return Path(shutil.copytree(trained / "bento", tmp_path_factory.mktemp("packed") / "bento"))


@pytest.fixture(scope="module")
def server(bento: Path, tmp_path_factory: pytest.TempPathFactory, trained: Path) -> Iterator[tuple[str, Path]]:
    "The Bento with two workers and a ledger."
    folder = tmp_path_factory.mktemp("server")
    url = f"sqlite:///{folder}/ledger.db"
    verdicts.record(trained, url)
    with serving(bento, folder, **{service_desk.WORKERS: "2", service_desk.LEDGER: url}) as running:
        yield running


@pytest.fixture
def http(server: tuple[str, Path]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server[0], headers=HEADERS, timeout=30, trust_env=False) as client:
        yield client


def scores(ask: Callable[[bytes], dict], bank: Bank) -> dict[int, tuple[float, ...]]:
    "Probability, margin and contributions of the customers whose history fits into one request."
    asked = {int(c): said(bank.request(int(c))) for c in bank.scored.index[:150]}
    answers = {c: ask(body) for c, body in asked.items() if len(body) <= wire.SINGLE_BYTES}
    assert len(answers) > 50
    return {c: (a["probability"], a["margin"], *(r["contribution"] for r in a["reasons"])) for c, a in answers.items()}


def test_served_scores_are_those_of_this_process_and_of_the_nightly_run(
    http: httpx.Client, bank: Bank, trained: Path
) -> None:
    here = scoring.load_scoring(trained / "model")
    served = scores(lambda body: http.post("/v1/score", content=body).raise_for_status().json(), bank)
    assert served == scores(lambda body: here.score(wire.parse_request(body)).model_dump(), bank)
    assert {c: s[:2] for c, s in served.items()} == {
        c: (bank.scored.probability[c], bank.scored.margin[c]) if bank.scored.eligible[c] else (None, None)
        for c in served
    }


def test_many_at_once_get_each_their_own_answer(server: tuple[str, Path], bank: Bank) -> None:
    asked = [b for b in (said(bank.request(int(c))) for c in bank.scored.index[:40]) if len(b) <= wire.SINGLE_BYTES]
    known = [said({"customer_id": int(c)}) for c in bank.plan.index[:40]]

    def ask(body: bytes) -> dict:
        with httpx.Client(timeout=60, trust_env=False) as client:
            return client.post(f"{server[0]}/v1/score", content=body, headers=HEADERS).raise_for_status().json()

    alone = [ask(b) for b in asked + known]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        together = list(pool.map(ask, (asked + known) * 3))
    assert together == alone * 3


def test_the_ledger_answers_for_known_customers(http: httpx.Client, bank: Bank) -> None:
    for customer in bank.plan.index[:20]:
        answer = http.post("/v1/score", json={"customer_id": int(customer)}).json()
        assert (answer["source"], answer["probability"], answer["decision"]["rule"]) == (
            "ledger",
            bank.scored.probability[customer],
            bank.plan.rule[customer],
        )
    assert http.post("/v1/score", json={"customer_id": 10**9}).status_code == 404


def test_figures_of_both_workers_are_added_up(server: tuple[str, Path]) -> None:
    def count() -> float:
        text = httpx.get(f"{server[0]}/metrics", trust_env=False).text
        return sum(
            float(line.split()[-1])
            for line in text.splitlines()
            if line.startswith('predelinquency_requests_total{route="/v1/score",status="200"}')
        )

    before = count()
    for _ in range(40):
        httpx.post(
            f"{server[0]}/v1/score", content=said(example()), headers=HEADERS, trust_env=False
        ).raise_for_status()  # each on its own connection
    assert count() == before + 40


@pytest.mark.parametrize(("status", "path", "body", "headers"), [
    (413, "/v1/score", b" " * 10_000_000, {}), (413, "/v1/score/batch", b" " * 10_000_000, {}),
    (401, "/v1/score", b"{}", {"Authorization": f"Bearer {CANARY}"}), (415, "/v1/score", CANARY.encode(), {"Content-Type": "text/plain"}),
    (422, "/v1/score", said({**example(), "time_zone": CANARY, "as_of": CANARY})[:-5], {}), (422, "/v1/score", said({**example(), CANARY: CANARY}), {}),
    (404, f"/v1/{CANARY}", b"{}", {}), (422, "/v1/score/batch", said({"requests": [{**example(), "currency": CANARY}]}), {}),
])  # fmt: skip
def test_refusals_reach_the_sender_and_nothing_of_them_is_written_down(
    http: httpx.Client, server: tuple[str, Path], status: int, path: str, body: bytes, headers: dict[str, str]
) -> None:
    refused = http.post(path, content=body, headers=headers)
    assert (
        refused.status_code == status
        and refused.headers["content-type"] == "application/problem+json"
        and refused.json()["status"] == status
    )
    for seen in (refused.text, server[1].read_text(), http.get("/metrics").text):
        assert CANARY not in seen and "Traceback" not in seen


def test_names_of_customers_are_not_written_down(http: httpx.Client, server: tuple[str, Path]) -> None:
    body = {**example(), "source_id": CANARY}
    assert http.post("/v1/score", json=body).status_code == 200 and CANARY not in server[1].read_text()


def test_it_says_when_it_is_ready_and_what_it_offers(http: httpx.Client) -> None:
    assert [
        http.get(path, headers={"Authorization": ""}).status_code
        for path in (
            "/health",
            "/healthz",
            "/livez",
            "/readyz",
            "/metrics",
            "/openapi.json",
            "/docs",
            "/docs/swagger-ui.css",
            "/",
        )
    ] == [200] * 9
    assert [http.get(path).headers["content-type"] for path in ("/static_content/index.css", "/docs.json")] == [
        "application/problem+json"
    ] * 2  # not BentoML's


def test_the_service_refuses_to_start_without_a_key(bento: Path, tmp_path: Path) -> None:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PREDELINQUENCY")} | {
        "BENTOML_HOME": str(tmp_path),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    refused = subprocess.run(
        service_bento.server_command(bento, "127.0.0.1", 3999),
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert refused.returncode and f"{service_desk.KEY} is not set" in refused.stdout + refused.stderr


BODY = said(example())


def half_asked(url: str, body: bytes = BODY) -> socket.socket:
    "A connection on which half of a request has been sent."
    line = socket.create_connection(("127.0.0.1", httpx.URL(url).port), timeout=60)
    head = {**HEADERS, "Host": "127.0.0.1", "Content-Length": str(len(body))}
    line.sendall(
        "".join(["POST /v1/score HTTP/1.1\r\n", *(f"{k}: {v}\r\n" for k, v in head.items()), "\r\n"]).encode()
        + body[: len(body) // 2]
    )
    return line


def heard(line: socket.socket) -> tuple[int, bytes]:
    "Status and all of an answer; the connection is closed behind it."
    got = b""
    while piece := line.recv(65536):
        got += piece
    return int(got[9:12]), got


def until(true: Callable[[], bool], seconds: float = 60.0) -> bool:
    "Ask until it is so, or until the time is up."
    end = time.monotonic() + seconds
    while not (so := true()) and time.monotonic() < end:
        time.sleep(0.05)
    return so


def test_who_hangs_up_leaves_one_quiet_line(server: tuple[str, Path]) -> None:
    before = len(server[1].read_text())
    half_asked(server[0]).close()

    def said_since() -> str:
        return server[1].read_text()[before:]

    assert until(lambda: "hung up" in said_since()), said_since()
    assert "INFO POST /v1/score hung up" in said_since() and not re.search("Traceback|ERROR| 500 ", said_since())


def test_a_body_that_stops_on_its_way_gets_a_problem_and_holds_nobody_up(
    server: tuple[str, Path], http: httpx.Client
) -> None:
    with half_asked(server[0]) as slow:
        assert http.post("/v1/score", content=BODY).status_code == 200
        status, answer = heard(slow)
    assert status == 408 and b"application/problem+json" in answer and b"Too slow" in answer, answer


def test_asked_to_end_it_is_not_ready_then_finishes_what_it_has_then_ends(bento: Path, tmp_path: Path) -> None:
    with started(bento, tmp_path) as (url, log, process):
        with half_asked(url) as line:
            assert until(lambda: "POST" not in log.read_text())
            process.send_signal(signal.SIGTERM)

            def ready() -> int:
                return httpx.get(f"{url}/readyz", timeout=5, trust_env=False).status_code

            assert until(lambda: ready() == 503, 5), log.read_text()
            line.sendall(BODY[len(BODY) // 2 :])
            status, answer = heard(line)
        assert status == 200 and b'"probability"' in answer
        assert process.wait(30) == 0, log.read_text()
    assert "not ready from now on" in log.read_text() and "Traceback" not in log.read_text()


def below(process: subprocess.Popen) -> list[psutil.Process]:
    "The processes that a server has begun."
    return psutil.Process(process.pid).children(recursive=True)


def live(some: list[psutil.Process]) -> list[psutil.Process]:
    return [one for one in some if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


@contextmanager
def lines(url: str, many: int) -> Iterator[list[ClientConnection]]:
    "Open lines to the feed, each on whichever worker took it."
    with ExitStack() as opened:
        made = []
        for _ in range(many):
            ticket = (
                httpx.post(f"{url}/v1/tickets", headers=HEADERS, trust_env=False).raise_for_status().json()["ticket"]
            )
            one = opened.enter_context(
                connect(f"ws{url.removeprefix('http')}/v1/live", proxy=None, max_queue=1, compression=None)
            )
            one.send(json.dumps({"ticket": ticket, "after": 0}))
            assert json.loads(one.recv(60)) == {"after": 0}
            made.append(one)
        yield made


def ending(line: ClientConnection) -> int:
    "How a line is closed."
    with pytest.raises(ConnectionClosed) as told:
        while True:
            line.recv(60)
    return told.value.rcvd.code if told.value.rcvd else 1006


def test_asked_to_end_it_closes_every_line_and_leaves_no_process(bento: Path, tmp_path: Path) -> None:
    "Also where a client takes nothing in: what it was sent is more than fits on the way."
    url = f"sqlite:///{tmp_path}/ledger.db"
    with Ledger.open(url) as ledger:
        environ = {service_desk.WORKERS: "2", service_desk.LEDGER: url}
        with started(bento, tmp_path, **environ) as (address, log, process), lines(address, 5) as made:
            workers, stalled = below(process), made.pop()
            for who in range(40):
                with _writing(ledger.engine) as book:
                    publish(book, [Message("score", who, 0, {"text": secrets.token_hex(400_000)})])
            for one in made:
                assert until(lambda one=one: json.loads(one.recv(60)).get("n") == 40)
            process.send_signal(signal.SIGTERM)
            assert [ending(one) for one in made] == [1012] * 4
            assert process.wait(14) == 0, log.read_text()
            assert until(lambda: not live(workers)), log.read_text()
            assert len(workers) >= 2 and ending(stalled) in (1006, 1012)
    assert "Traceback" not in log.read_text()


def test_workers_end_when_their_server_was_killed(bento: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    Ledger.open(url).close()
    environ = {service_desk.WORKERS: "2", service_desk.LEDGER: url}
    with started(bento, tmp_path, **environ) as (address, log, process), lines(address, 2) as made:
        workers = below(process)
        process.kill()
        assert [ending(one) for one in made] == [1012] * 2
        assert until(lambda: not live(workers)) and len(workers) >= 2, log.read_text()


def test_without_a_key_another_name_for_this_machine_is_not_answered(bento: Path, tmp_path: Path) -> None:
    with serving(bento, tmp_path, key="", **{service_desk.OPEN: "1"}) as (url, _):
        for path in ("/health", "/healthz", "/readyz", "/docs", "/v1/model", "/openapi.json", "/nothing"):
            assert (
                httpx.get(url + path, headers={"Host": "bank.example"}, trust_env=False, timeout=30).status_code == 421
            ), path
        assert httpx.get(f"{url}/v1/model", trust_env=False, timeout=30).status_code == 200


def digests(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.blake2b(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and "__pycache__" not in p.parts
    }


def test_the_same_inputs_make_the_same_bento_wherever_they_lie(trained: Path, tmp_path: Path, project: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(trained / "model", elsewhere / "model")
    reports = (trained / "reports" / name for name in ("metrics.json", "decisions.json"))
    for file in (*reports, project / "bentofile.yaml", project / "requirements.lock"):
        shutil.copy2(file, elsewhere)
    service_bento.package(tmp_path / "again", elsewhere / "model", elsewhere / "metrics.json", elsewhere)
    assert digests(tmp_path / "again") == digests(trained / "bento")


def test_a_bento_holds_what_it_needs_and_nobody(trained: Path, project: Path) -> None:
    files = set(digests(trained / "bento"))
    needed = {
        "bento.yaml",
        "env/docker/Dockerfile",
        "env/python/requirements.txt",
        "src/model/manifest.json",
        "src/model/metrics.json",
        "src/model/prices.json",
        "src/predelinquency/service/bento.py",
        "src/predelinquency/example.json",
        "src/predelinquency/policy/rules.yaml",
        "src/predelinquency/messages/bank.yaml",
        "src/predelinquency/features/catalogue.py",
        "src/predelinquency/reasons/scorer.py",
    }
    assert needed <= files
    assert not {
        f
        for f in files
        if f.endswith((".pkl", ".pickle", ".joblib", ".parquet", ".db")) or "simulate" in f or "dashboard" in f
    }
    own = {
        f for f in files if not f.startswith("env/docker/")
    }  # BentoML's templates name places in a container, where a project may lie too
    places = re.compile("|".join(rf"(?<![\w.<-]){re.escape(str(p))}(?![\w.-])" for p in (project, trained, sys.prefix)))
    assert [
        (f, m[0]) for f in sorted(own) if (m := places.search((trained / "bento" / f).read_text(errors="ignore")))
    ] == []


def test_a_bentos_packages_are_those_of_the_lock_and_none_of_the_workshop(trained: Path, project: Path) -> None:
    wanted = (trained / "bento/env/python/requirements.txt").read_text().splitlines()

    def plain(line: str) -> str:
        return line.removesuffix(" \\").replace(" ", "").replace("'", '"')

    assert len(wanted) > 30 and {plain(w) for w in wanted} <= {
        plain(line) for line in (project / "requirements.lock").read_text().splitlines() if line[:1].isalnum()
    }
    names = {w.split("==")[0] for w in wanted}
    assert not names & {
        "mlflow",
        "ploomber",
        "jupyterlab",
        "ipykernel",
        "papermill",
        "dvc",
        "shap",
        "plotly",
        "nbdev",
        "voila",
        "optuna",
        "matplotlib",
        "duckdb",
        "pandera",
    }
    assert {"bentoml", "fastapi", "numba", "sqlalchemy", "xgboost-cpu"} <= names


ONLY_ITS_OWN = """
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

listed, model, request = (Path(p) for p in sys.argv[1:])
own = {line.split("==")[0].strip().lower() for line in listed.read_text().splitlines() if "==" in line}
of = {top: {d.lower().replace("_", "-") for d in found} for top, found in packages_distributions().items()}


class Refuse:
    def find_spec(self, name, path=None, target=None):
        if path is None and name != "predelinquency" and of.get(name) and not of[name] & own:
            raise ModuleNotFoundError(f"{name} is in no package of the Bento")


sys.meta_path.insert(0, Refuse())
from predelinquency.service import scoring, verdicts, wire

print(scoring.load_scoring(model).score(wire.parse_request(request.read_bytes())).probability)
"""


def test_a_bento_needs_no_package_that_it_does_not_list(trained: Path, bank: Bank, tmp_path: Path) -> None:
    body = next(said(bank.request(int(c))) for c in bank.scored.index)
    (tmp_path / "request.json").write_bytes(body)
    listed = trained / "bento/env/python/requirements.txt"
    command = [sys.executable, "-c", ONLY_ITS_OWN, listed, trained / "model", tmp_path / "request.json"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stderr
    here = scoring.load_scoring(trained / "model").score(wire.parse_request(body)).probability
    assert float(answer.stdout) == here


@pytest.mark.long
def test_a_bento_in_an_environment_of_its_own_gives_the_same_bits(
    bento: Path, bank: Bank, trained: Path, tmp_path: Path
) -> None:
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if not uv:
        pytest.skip("uv is not here: pip install uv")
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, tmp_path / "own"], check=True)
    got = subprocess.run(
        [
            uv,
            "pip",
            "install",
            "-q",
            "--python",
            tmp_path / "own/bin/python",
            "-r",
            bento / "env/python/requirements.txt",
        ],
        capture_output=True,
        text=True,
        timeout=600,
    )
    if got.returncode:
        pytest.skip(f"the packages cannot be had here: {got.stderr.strip().splitlines()[-1]}")
    here = scoring.load_scoring(trained / "model")
    with (
        serving(bento, tmp_path, python=str(tmp_path / "own/bin/python")) as (url, _),
        httpx.Client(base_url=url, headers=HEADERS, timeout=30, trust_env=False) as http,
    ):
        assert scores(lambda body: http.post("/v1/score", content=body).raise_for_status().json(), bank) == scores(
            lambda body: here.score(wire.parse_request(body)).model_dump(), bank
        )


def test_the_key_that_the_tests_use_is_a_key() -> None:
    assert service_bento.allowed({service_desk.KEY: KEY}) == KEY and json.loads(said({})) == {}
