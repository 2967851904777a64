"A finished folder of results is moved, and copied: everything goes on there, and nothing reaches back."

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from predelinquency.app import state
from predelinquency.features import catalogue
from predelinquency.ground import disk
from predelinquency.ground.core import StoreError
from predelinquency.model import champion, registry
from predelinquency.ops import stages
from predelinquency.reasons import tables
from predelinquency.service import http, scoring, wire

pytestmark = pytest.mark.slow
REQUEST = http.EXAMPLE.read_bytes()


def typed(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).parent / "predelinquency", *words],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=600,
    )


def kept(root: Path) -> dict[str, bytes]:
    "Every file of a folder but what a run is told about itself: the executed notebooks hold the paths that were typed."
    return {
        str(p.relative_to(root)): p.read_bytes()
        for p in sorted(root.rglob("*"))
        if p.is_file() and p.suffix != ".ipynb"
    }


@pytest.fixture
def original(trained: Path, tmp_path: Path) -> Path:
    "A finished folder of its own, which may be moved."
    return Path(shutil.copytree(trained, tmp_path / "original"))


def test_nothing_that_is_kept_names_the_place_where_it_was_made(trained: Path, project: Path):
    names = [str(trained).encode(), str(project).encode()]
    assert [name for name, content in kept(trained).items() if any(n in content for n in names)] == []
    said = {p: pq.read_schema(p).metadata or {} for p in trained.rglob("*.parquet")}
    assert [p for p, metadata in said.items() if any(n in v for n in names for v in metadata.values())] == []
    inside = re.compile(rb"(?:file://)?/(?:home|root|tmp|work|Users)/[\\w.]+")
    assert {
        name: found[0]
        for name, content in kept(trained).items()
        if Path(name).suffix in (".json", ".jsonl", ".yaml", ".csv", ".db") and (found := inside.findall(content))
    } == {}


def versions(root: Path) -> tuple[str, str]:
    "Of the model that was judged, and of the one that answers."
    judged, used = (champion.load_champion(m) for m in (root / "model", champion.in_use(root / "model")))
    assert used.manifest[champion.JUDGED_AS] == judged.version != used.version
    return judged.version, used.version


def test_a_moved_folder_goes_on_as_if_it_had_always_been_there(original: Path, project: Path, tmp_path: Path):
    version, used = versions(original)
    moved = original.rename(tmp_path / "moved")
    assert registry.champion(moved / "mlflow").version == version
    assert registry.point(moved / "mlflow", moved / "model") == "1" and registry.history(moved / "mlflow")[0][
        "aliases"
    ] == ["champion"]
    registry.measure(moved / "mlflow", version, {"late": {"auc": 0.5}})
    assert scoring.load_scoring(moved / "model").score(wire.parse_request(REQUEST)).model_version == used
    assert scoring.load_scoring(moved / "bento/src/model").score(wire.parse_request(REQUEST)).model_version == used
    assert not [one for kind, one in state.remarks(state.load_book(moved)) if kind == "foreign"]
    done = typed(project, "report", "--root", str(moved), "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["foreign"] == [], done.stderr
    assert not original.exists()


def test_a_copy_trained_again_leaves_the_original_alone_and_everybody_says_that_its_rest_belongs_to_another_model(
    original: Path, project: Path, tmp_path: Path
):
    root, before = Path(shutil.copytree(original, tmp_path / "copy")), kept(original)
    (was, used), answering = versions(original), champion.ANSWERING
    assert champion.foreign(root) == []
    assert set(disk.versions(root / "reports/scores.parquet")) == {"data", "catalogue", "model"} and set(
        disk.versions(root / "reports/plan.parquet")
    ) == {"data", "catalogue", "model", "policy"}
    stages.run("train", root, {"base.customers_per_part": 100, "train.max_depth": 2}, project)
    assert kept(original) == before
    now, again = versions(root)
    aliases = {h["version"]: h["aliases"] for h in registry.history(root / "mlflow")}
    assert aliases == {was: ["champion"], now: ["challenger"]}
    assert now != was and {one.file for one in champion.foreign(root)} == set(champion.MADE_WITH)
    pair = {True: ("model", used, again), False: ("model", was, now)}
    assert all((one.what, one.was, one.now) == pair[one.stage in answering] for one in champion.foreign(root))
    said = [one for kind, one in state.remarks(state.load_book(root)) if kind == "foreign"]
    assert len(said) == 3 and all(used in one and again in one and "run the stage" in one for one in said)
    for words in (["report"], ["decide"]):
        done = typed(project, *words, "--root", str(root))
        assert (
            done.returncode == 0
            and f"reports/plan.parquet was made from model {used}, here is model {again}: run the stage decide again"
            in " ".join(done.stderr.split())
        ), done.stderr
    recorded = typed(project, "decide", "--record", "--root", str(root))
    assert recorded.returncode == 1 and f"here is model {again}" in " ".join(recorded.stderr.split())
    assert scoring.load_scoring(root / "model").about()["metrics"] == {}
    with pytest.raises(StoreError, match="was made from model"):
        list(tables.scores(root))
    for stage in ("decide", "package"):
        with pytest.raises(StoreError, match=f"was made from model {used}"):
            stages.run(stage, root, {}, project)


def test_a_file_that_does_not_say_what_it_was_made_from_belongs_to_nobody(original: Path):
    table = pq.read_table(original / "reports/plan.parquet")
    pq.write_table(table.replace_schema_metadata(None), original / "reports/plan.parquet")
    assert next(str(one) for one in champion.foreign(original)).startswith(
        "reports/plan.parquet does not say from which model it was made, here is model "
    )


def test_another_catalogue_is_another_origin(original: Path, monkeypatch: pytest.MonkeyPatch):
    path = original / "model/manifest.json"
    path.write_text(json.dumps(champion.sealed(json.loads(path.read_text()) | dict(catalogue="0123456789ab"))))
    assert {one.what for one in champion.foreign(original)} == {"catalogue"} and catalogue.version() != "0123456789ab"


@pytest.mark.parametrize("reader", ["library", "service", "page"])
def test_a_mixed_folder_is_refused_by_library_service_and_page(original: Path, reader: str):
    (original / "model/xgboost.ubj").write_bytes((original / "model/xgboost.ubj").read_bytes() + b" ")
    ask = dict(
        library=lambda: champion.load_champion(original / "model"),
        service=lambda: scoring.load_scoring(original / "model"),
        page=lambda: state.load_book(original),
    )[reader]
    with pytest.raises(StoreError, match="is not the file that was written with model"):
        ask()
