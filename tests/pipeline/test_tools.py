"""DVC and Ploomber run the same graph, in a clone of the project with a small world. A worker runs whole files, so these tests never meet in the clone."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from clone import Clone

pytestmark = pytest.mark.slow


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


def test_ploomber_runs_a_stage_to_the_same_bytes(clone: Clone):
    clone.run("ploomber", "task", "simulate", "--force")
    assert clone.run("dvc", "status").strip() == "Data and pipelines are up to date."
    assert clone.changed == ""


@pytest.mark.long
def test_ploomber_makes_the_same_bytes(clone: Clone):
    clone.run("ploomber", "build", "--force")
    assert clone.run("dvc", "status").strip() == "Data and pipelines are up to date."
    assert clone.changed == ""


def test_ploomber_tells_the_state_of_every_stage(clone: Clone):
    said = clone.run("ploomber", "status")
    for task in yaml.safe_load((clone.folder / "pipeline.yaml").read_text())["tasks"]:
        assert task["name"] in said


@pytest.mark.long
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
