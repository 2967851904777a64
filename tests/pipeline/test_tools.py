"""DVC and Ploomber run the same graph, in a clone of the project with a tiny world. A worker runs whole files, so these tests never meet in the clone."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from served import free_port

from predelinquency.judge import promotion

pytestmark = pytest.mark.slow
TINY = {
    "simulate": {"customers": 160},
    "base": {"customers_per_part": 80},
    "evaluate": {"bootstrap": 20, "strangers": 2000, "shock_customers": 300},
    "prove": {"rows": 60, "replays": 100, "pairs": 60, "pair_replays": 100, "seeds": 2, "bootstrap": 20},
}
AUTHOR = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")


class Clone:
    "A git clone and the tools in it."

    def __init__(self, folder: Path):
        self.folder = folder

    def run(self, *words: str) -> str:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            words, cwd=self.folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=900
        )
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def commit(self, why: str) -> None:
        self.run("git", "add", "--all")
        self.run("git", *AUTHOR, "commit", "--quiet", "--allow-empty", "-m", why)

    def opened(self, page: str, *words: str) -> str:
        "The first answer of a server started in the clone; it is ended afterwards."
        port, log = free_port(), self.folder.parent / f"{words[0]}.log"
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        with log.open("w") as heard:
            server = subprocess.Popen(
                [*words, "--port", str(port)],
                cwd=self.folder,
                env={**os.environ, "PATH": path},
                stdout=heard,
                stderr=heard,
                start_new_session=True,
            )
        try:
            while server.poll() is None:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=300) as answer:
                        return answer.read().decode()
                except urllib.error.URLError:
                    time.sleep(0.2)  # not listening yet
            raise AssertionError(f"{words} ended: {log.read_text()[-2000:]}")
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(60)

    @property
    def changed(self) -> str:
        return self.run("git", "status", "--porcelain")

    @property
    def metrics(self) -> dict:
        return json.loads((self.folder / "data/reports/metrics.json").read_text())


@pytest.fixture(scope="module")
def clone(once: Callable[..., Path], project: Path) -> Clone:
    "What git has, with tiny parameters, reproduced once and committed."

    def make(made: Path) -> None:
        folder = made / "project"
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=project,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name in (
            n for n in listed.split("\n") if n and (project / n).is_file() and n not in ("dvc.lock", *promotion.FIGURES)
        ):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(project / name, folder / name)
        values = yaml.safe_load((folder / "params.yaml").read_text())
        for section, keys in TINY.items():
            values[section] |= keys
        (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
        one = Clone(folder)
        one.run("git", "init", "--quiet", "--initial-branch=main")
        one.commit("the project")
        one.run("dvc", "repro")
        one.commit("its results")

    return Clone(once("clone", make) / "project")


def test_reproducing_adds_only_the_lock_and_the_metrics_to_git(clone: Clone):
    names = clone.run("git", "diff", "--name-only", "HEAD~1", "HEAD").split()
    assert names == ["data/reports/headline.json", "data/reports/metrics.json", "dvc.lock"]


def test_reproducing_again_does_nothing_and_git_stays_clean(clone: Clone):
    said = clone.run("dvc", "repro")
    assert "Running stage" not in said
    assert "up to date" in said
    assert clone.changed == ""


def test_nothing_that_dvc_tracks_was_left_out_of_its_cache(clone: Clone):
    shutil.rmtree(clone.folder / "data/model")
    clone.run("dvc", "checkout")
    assert (clone.folder / "data/model").is_dir()
    assert "Running stage" not in clone.run("dvc", "repro")


def test_ploomber_makes_the_same_bytes(clone: Clone):
    clone.run("ploomber", "build", "--force")
    assert clone.run("dvc", "status").strip() == "Data and pipelines are up to date."
    assert clone.changed == ""


def test_ploomber_tells_the_state_of_every_stage(clone: Clone):
    said = clone.run("ploomber", "status")
    for task in yaml.safe_load((clone.folder / "pipeline.yaml").read_text())["tasks"]:
        assert task["name"] in said


def test_an_experiment_changes_one_parameter_and_its_metrics_stand_beside_the_last(clone: Clone):
    before = clone.metrics
    said = clone.run("dvc", "exp", "run", "-S", "train.max_depth=2")
    assert "Running stage 'train'" in said
    assert "Running stage 'simulate'" not in said
    assert "Running stage 'featurize'" not in said
    assert clone.metrics["headline"] != before["headline"]
    beside = json.loads(clone.run("dvc", "metrics", "diff", "--json"))
    assert set(beside) == {"data/reports/headline.json"}
    assert 1 <= len(beside["data/reports/headline.json"]) <= 12
    auc = beside["data/reports/headline.json"]["auc"]
    assert (auc["old"], auc["new"]) == (before["headline"]["auc"], clone.metrics["headline"]["auc"])
    assert [f for f in json.loads(clone.run("dvc", "params", "diff", "--json"))["params.yaml"]] == ["train.max_depth"]
    clone.run("git", "checkout", "--quiet", ".")
    clone.run("dvc", "checkout")
    assert clone.metrics == before
    assert clone.changed == ""


def test_plots_are_drawn(clone: Clone):
    said = clone.run("dvc", "plots", "show", "--json")
    for plot in yaml.safe_load((clone.folder / "dvc.yaml").read_text())["plots"]:
        assert next(iter(plot)) in said


def test_papermill_on_a_stage_notebook_says_what_to_type(clone: Clone, tmp_path: Path):
    with pytest.raises(AssertionError, match="run `predelinquency stage NAME`"):
        clone.run("papermill", "nbs/pipeline/30_train.ipynb", str(tmp_path / "train.ipynb"))


def test_bentoml_build_takes_the_model_along_and_no_customer(clone: Clone, tmp_path: Path):
    clone.run("env", f"BENTOML_HOME={tmp_path}", "bentoml", "build", "--output", "tag")
    source = next((tmp_path / "bentos/predelinquency").glob("*/src"))
    assert (source / "data/model/manifest.json").is_file() and not list(source.rglob("*.parquet"))
    assert clone.changed == ""


def test_mlflow_shows_what_was_trained(clone: Clone):
    store = "sqlite:///data/mlflow/mlflow.db"
    said = clone.opened(
        "/ajax-api/2.0/mlflow/registered-models/search", "mlflow", "ui", "--workers", "1", "--backend-store-uri", store
    )
    assert [model["name"] for model in json.loads(said)["registered_models"]] == ["predelinquency"]
    assert clone.changed == ""


def test_voila_alone_serves_the_page(clone: Clone):
    said = clone.opened("/", "voila", "nbs/dashboards/risk.ipynb", "--no-browser")
    assert "<title>" in said and "Traceback" not in said
    assert clone.changed == ""
