"""Going back to the model before: on a small clone with DVC and a registry, and everything that must be refused."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from predelinquency.ground.core import StoreError
from predelinquency.judge import promotion

pytestmark = pytest.mark.slow
DVC = str(Path(sys.executable).parent / "dvc")
GRAPH = dict(
    stages=dict(
        train=dict(cmd=f"{sys.executable} make.py model", deps=["make.py"], params=["version"], outs=["data/model"]),
        evaluate=dict(
            cmd=f"{sys.executable} make.py metrics",
            deps=["data/model"],
            outs=["data/reports/big.txt"],
            metrics=[{"data/reports/metrics.json": dict(cache=False)}],
        ),
    )
)
MAKE = """
import json, pathlib, sys
version = json.loads(pathlib.Path("params.yaml").read_text())["version"]
out = pathlib.Path("data/model" if sys.argv[1] == "model" else "data/reports")
out.mkdir(parents=True, exist_ok=True)
if sys.argv[1] == "model":
    (out/"manifest.json").write_text(json.dumps({"version": version}))
    (out/"weights.txt").write_text(version * 3)
else:
    (out/"metrics.json").write_text(json.dumps({"model": {"version": version}}))
    (out/"big.txt").write_text(version)
    if version != "one": (out/"headline.json").write_text(json.dumps({"auc": len(version)}))
"""


def run(folder, *words):
    return subprocess.run(
        words,
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"GIT_CONFIG_GLOBAL": os.devnull},
    ).stdout


def trained(folder, version):
    (folder / "params.yaml").write_text(json.dumps(dict(version=version)))
    run(folder, DVC, "repro", "-q")
    run(folder, "git", "add", "-A")
    run(folder, "git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", version)


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    "Two versions of a model, each committed with its lock; a third commit changes the lock but not the model."
    folder = tmp_path_factory.mktemp("origin")
    run(folder, "git", "init", "-q")
    run(folder, DVC, "init", "-q")
    (folder / "make.py").write_text(MAKE)
    (folder / "dvc.yaml").write_text(yaml.safe_dump(GRAPH, sort_keys=False))
    trained(folder, "one")  # from before there was a headline
    GRAPH["stages"]["evaluate"]["metrics"].append({"data/reports/headline.json": dict(cache=False)})
    (folder / "dvc.yaml").write_text(yaml.safe_dump(GRAPH, sort_keys=False))
    trained(folder, "two")
    (folder / "dvc.lock").write_text((folder / "dvc.lock").read_text() + "# touched\n")
    run(folder, "git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qam", "no new model")
    return folder


@pytest.fixture
def clone(origin, tmp_path):
    shutil.copytree(origin, tmp_path / "clone", symlinks=True)
    return tmp_path / "clone"


def state(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted([folder / "dvc.lock", *(folder / "data").rglob("*")])
        if p.is_file()
    }


def test_the_model_before_comes_back_with_its_lock_its_figures_and_all_it_made(clone):
    done = promotion.rollback(clone, registered=False)
    assert (done["was"], done["version"]) == ("two", "one")
    assert (clone / "data/model/weights.txt").read_text() == "oneoneone" and (
        clone / "data/reports/big.txt"
    ).read_text() == "one"
    assert json.loads((clone / "data/reports/metrics.json").read_text())["model"]["version"] == "one"
    assert (clone / "dvc.lock").read_text() == run(clone, "git", "show", f"{done['commit']}:dvc.lock")


def test_going_back_twice_is_refused_until_the_first_is_committed_and_then_ends_at_the_first_model(clone):
    promotion.rollback(clone, registered=False)
    with pytest.raises(StoreError, match="not committed"):
        promotion.rollback(clone, registered=False)
    run(clone, "git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qam", "back to one")
    assert not (clone / "data/reports/headline.json").exists(), "the first model had none"
    assert promotion.rollback(clone, registered=False)["version"] == "two"  # the model before this one
    assert json.loads((clone / "data/reports/headline.json").read_text()) == {"auc": 3}


def test_what_is_not_committed_is_never_overwritten(clone):
    (clone / "data/reports/metrics.json").write_text("{}")
    before = state(clone)
    with pytest.raises(StoreError, match=r"not committed: data/reports/metrics.json"):
        promotion.rollback(clone, registered=False)
    assert state(clone) == before


def test_a_model_that_the_cache_has_lost_is_refused_before_anything_changes(clone):
    first = promotion.outs(run(clone, "git", "show", f"{promotion.previous(clone)}:dvc.lock"))["data/model"]
    inside = json.loads((clone / ".dvc/cache/files/md5" / first[:2] / first[2:]).read_text())
    lost = clone / ".dvc/cache/files/md5" / inside[0]["md5"][:2] / inside[0]["md5"][2:]
    lost.unlink()
    before = state(clone)
    with pytest.raises(StoreError, match=r"no longer holds data/model.*"):
        promotion.rollback(clone, registered=False)
    assert state(clone) == before


def test_a_first_model_has_none_before_it(clone):
    run(clone, "git", "reset", "-q", "--hard", "HEAD~2")
    with pytest.raises(StoreError, match="no earlier model"):
        promotion.rollback(clone, registered=False)


def test_a_folder_without_git_or_lock_is_refused(tmp_path):
    with pytest.raises(StoreError, match="git"):
        promotion.rollback(tmp_path)
    with pytest.raises(StoreError, match="no dvc.lock"):
        promotion.previous(tmp_path)


def test_a_checkout_that_fails_puts_everything_back(clone, monkeypatch):
    monkeypatch.setattr(promotion, "missing", lambda lock, cache: [])
    first = promotion.outs(run(clone, "git", "show", f"{promotion.previous(clone)}:dvc.lock"))["data/model"]
    (clone / ".dvc/cache/files/md5" / first[:2] / first[2:]).unlink()
    before = state(clone)
    with pytest.raises(StoreError, match="checkout"):
        promotion.rollback(clone, registered=False)
    assert state(clone) == before
