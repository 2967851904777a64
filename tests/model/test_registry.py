"What was trained is remembered, and the champion comes back by its alias."

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import numpy as np
import pandas as pd
import pytest
from signal_rows import NAMES, SIGNS, TRAIN, few
from tables import base

from predelinquency.ground.core import SchemaError, StoreError
from predelinquency.model import calibrate, champion, learners, registry, train


@pytest.fixture(autouse=True)
def own_database(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def model(folder, seed=1):
    "A trained model folder."
    rows = few()
    fits = {n: learners.fit(n, rows.x, rows.y, learners.Recipe(NAMES, TRAIN, SIGNS, seed)) for n in train.BOOSTERS}
    numbers = {n: calibrate.calibrate(learners.predict_margin(f, rows.x), rows.y, 50) for n, f in fits.items()}
    about = champion.manifest(
        champion.Trained(fits, "xgboost", "lightgbm", numbers, 0.2), {"train": rows}, base(), TRAIN, {"panel": "00ff"}
    )
    scores = dict.fromkeys(("probability", "margin", *champion.BASELINES, "challenger"), 0.5)
    return champion.save(
        folder, fits, about, champion.predictions(rows.labels, pd.DataFrame(scores, index=range(len(rows.y))), "test")
    )


def test_the_champion_comes_back_by_its_alias_and_predicts_the_same(tmp_path):
    first = model(tmp_path / "model")
    registry.point(tmp_path / "mlflow", tmp_path / "model")
    back = registry.champion(tmp_path / "mlflow")
    assert back.version == first.version and (back.probability(few().x) == first.probability(few().x)).all()


def test_a_new_training_is_a_challenger_and_moves_no_champion(tmp_path):
    first = model(tmp_path / "model")
    registry.point(tmp_path / "mlflow", tmp_path / "model")
    for seed in (2, 3):
        model(tmp_path / "model", seed)
        registry.record(tmp_path / "mlflow", tmp_path / "model")
    assert [(h["number"], h["aliases"]) for h in registry.history(tmp_path / "mlflow")] == [
        (3, ["challenger"]),
        (2, []),
        (1, ["champion"]),
    ]
    assert registry.champion(tmp_path / "mlflow").version == first.version


def test_the_same_model_is_registered_once(tmp_path):
    model(tmp_path / "model")
    assert [registry.record(tmp_path / "mlflow", tmp_path / "model") for _ in range(2)] == ["1", "1"] and len(
        registry.history(tmp_path / "mlflow")
    ) == 1


def test_a_run_holds_parameters_metrics_data_and_plain_files_only(tmp_path):
    about = model(tmp_path / "model").manifest
    registry.record(
        tmp_path / "mlflow", tmp_path / "model", {"test": {"auc": 0.8, "note": "text is left out", "flag": True}}
    )
    run = registry.history(tmp_path / "mlflow")[0]
    assert (
        run["params"]["train.max_depth"] == "3"
        and run["metrics"]["test.auc"] == 0.8
        and "test.note" not in run["metrics"]
        and "test.flag" not in run["metrics"]
    )
    found = registry.client(tmp_path / "mlflow").search_runs(["1"])[0].data.tags
    assert found["data.panel"] == "00ff" and found["version"] == about["version"] and found["sources"]
    files = {p.name for p in (tmp_path / "mlflow/artifacts").rglob("*") if p.is_file()}
    assert files == {"xgboost.ubj", "lightgbm.txt", "manifest.json", "MLmodel"}


def test_the_evaluation_finds_the_run_of_its_model(tmp_path):
    first = model(tmp_path / "model")
    registry.record(tmp_path / "mlflow", tmp_path / "model")
    registry.measure(tmp_path / "mlflow", first.version, {"headline": {"auc": 0.77, "why": None}})
    assert registry.history(tmp_path / "mlflow")[0]["metrics"]["headline.auc"] == 0.77


def test_the_evaluation_of_a_model_trained_twice_stands_on_its_version(tmp_path):
    first = model(tmp_path / "model")
    for _ in range(2):
        registry.record(tmp_path / "mlflow", tmp_path / "model")
    registry.measure(tmp_path / "mlflow", first.version, {"headline": {"auc": 0.77}})
    assert [h["metrics"]["headline.auc"] for h in registry.history(tmp_path / "mlflow")] == [0.77]


def test_metrics_of_an_unknown_version_are_refused(tmp_path):
    with pytest.raises(StoreError, match="no run has recorded version abc"):
        registry.measure(tmp_path, "abc", {})


def test_without_a_champion_the_stage_is_named(tmp_path):
    with pytest.raises(StoreError, match="run the train stage"):
        registry.champion(tmp_path)
    assert registry.history(tmp_path) == []


def test_a_committee_comes_back_whole(tmp_path):
    rows = few()
    team = train.fit_committee(rows, learners.Recipe(NAMES, TRAIN, SIGNS, 1))
    about = champion.manifest(
        champion.Trained(
            {"committee": team},
            "committee",
            "committee",
            {"committee": calibrate.platt(learners.predict_margin(team, rows.x), rows.y)},
            0.2,
        ),
        {"fold": rows},
        base(),
        TRAIN,
        {},
    )
    scores = pd.DataFrame(
        dict.fromkeys(("probability", "margin", *champion.BASELINES, "challenger"), 0.5), index=range(len(rows.y))
    )
    first = champion.save(
        tmp_path / "model", {"committee": team}, about, champion.predictions(rows.labels, scores, "fold")
    )
    registry.point(tmp_path / "mlflow", tmp_path / "model")
    assert np.array_equal(registry.champion(tmp_path / "mlflow").margin(rows.x), first.margin(rows.x))


def test_the_alias_follows_the_model_folder_back_and_a_registry_that_never_saw_it_records_it(tmp_path):
    for seed, name in ((1, "one"), (2, "two")):
        model(tmp_path / name, seed)
        registry.point(tmp_path / "mlflow", tmp_path / name)
    assert registry.champion(tmp_path / "mlflow").version == champion.load_champion(tmp_path / "two").version
    assert registry.point(tmp_path / "mlflow", tmp_path / "one") == "1"
    assert (
        registry.champion(tmp_path / "mlflow").version == champion.load_champion(tmp_path / "one").version
        and len(registry.history(tmp_path / "mlflow")) == 2
    )
    assert registry.point(tmp_path / "fresh", tmp_path / "two") == "1"


ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def addresses(folder):
    with closing(sqlite3.connect(folder / "mlflow.db")) as db:
        return [row[0] for table, column in ADDRESSES for row in db.execute(f"select {column} from {table}")]


def files(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.suffix != ".db"
    }


class Figure:
    def to_json(self):
        return "{}"


def test_a_moved_registry_holds_its_models_and_a_copy_never_writes_into_the_original(tmp_path):
    first = model(tmp_path / "model")
    registry.point(tmp_path / "old", tmp_path / "model")
    assert str(tmp_path).encode() not in (tmp_path / "old/mlflow.db").read_bytes() and all(
        a.startswith("beside:") for a in addresses(tmp_path / "old")
    )
    shutil.copytree(tmp_path / "old", tmp_path / "copy")
    before = files(tmp_path / "old")
    second = model(tmp_path / "model", 2)
    registry.record(tmp_path / "copy", tmp_path / "model")
    registry.measure(tmp_path / "copy", first.version, {"headline": {"auc": 0.7}}, {"late": Figure()})
    assert files(tmp_path / "old") == before and {p.name for p in (tmp_path / "copy").rglob("late.json")} == {
        "late.json"
    }
    (tmp_path / "old").rename(tmp_path / "new")
    assert registry.champion(tmp_path / "new").version == registry.champion(tmp_path / "copy").version == first.version
    registry.point(tmp_path / "new", tmp_path / "model")
    assert registry.champion(tmp_path / "new").version == second.version and not (tmp_path / "old").exists()


def test_a_database_that_holds_absolute_paths_is_put_right_when_it_is_opened(tmp_path):
    first = model(tmp_path / "model")
    registry.point(tmp_path / "mlflow", tmp_path / "model")
    with closing(sqlite3.connect(tmp_path / "mlflow/mlflow.db")) as db:
        for table, column in ADDRESSES:
            db.execute(f"update {table} set {column} = replace({column}, 'beside:', 'file:///somewhere/else/mlflow/')")
        db.commit()
    assert registry.champion(tmp_path / "mlflow").version == first.version and all(
        a.startswith("beside:") for a in addresses(tmp_path / "mlflow")
    )


ASK = {
    "its commands": "import mlflow; mlflow.set_tracking_uri(at); found = mlflow.artifacts.list_artifacts('models:/predelinquency@champion')",
    "its page": """
from mlflow.server.constants import BACKEND_STORE_URI_ENV_VAR
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
os.environ[BACKEND_STORE_URI_ENV_VAR] = at
found = get_artifact_repository(address).list_artifacts()""",
}


@pytest.mark.parametrize("by", ASK)
def test_mlflow_itself_finds_what_lies_beside_a_moved_database(tmp_path, by):
    model(tmp_path / "model")
    registry.point(tmp_path / "old", tmp_path / "model")
    (tmp_path / "old").rename(tmp_path / "new")
    given = f"import os\nat, address = 'sqlite:///{tmp_path}/new/mlflow.db', {addresses(tmp_path / 'new')[-1]!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{given}{ASK[by]}\nprint(*sorted(f.path for f in found))"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["MLmodel", "lightgbm.txt", "manifest.json", "xgboost.ubj"], done.stderr


def test_a_champion_whose_files_are_gone_is_told_in_words(tmp_path):
    model(tmp_path / "model")
    registry.point(tmp_path / "mlflow", tmp_path / "model")
    shutil.rmtree(tmp_path / "mlflow/artifacts")
    with pytest.raises(StoreError, match="are not in the registry") as refused:
        registry.champion(tmp_path / "mlflow")
    assert "copy the registry's folder as a whole" in refused.value.remedy


LOADED = """
import sys
import mlflow
import numpy as np
import pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/predelinquency@champion")
print(np.asarray(model.predict(pd.read_parquet(sys.argv[2]))).tobytes().hex())
"""


def test_mlflow_scores_with_the_champion_bit_for_bit_without_a_pickle_from_a_moved_folder(tmp_path):
    first, rows = model(tmp_path / "model"), few()
    registry.point(tmp_path / "old", tmp_path / "model")
    (tmp_path / "old").rename(tmp_path / "new")
    shutil.rmtree(tmp_path / "model")
    pd.DataFrame(rows.x, columns=list(NAMES))[::-1].iloc[:, ::-1].to_parquet(tmp_path / "rows.parquet")
    given = (f"sqlite:///{tmp_path}/new/mlflow.db", str(tmp_path / "rows.parquet"))
    done = subprocess.run([sys.executable, "-c", LOADED, *given], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == first.probability(rows.x)[::-1].tobytes().hex()
    kept = [p.suffix for p in (tmp_path / "new/artifacts").rglob("*") if p.is_file()]
    assert set(kept) == {".ubj", ".txt", ".json", ""}


def test_rows_that_lack_a_feature_are_refused_by_name(tmp_path):
    lacking = pd.DataFrame(few().x, columns=list(NAMES)).drop(columns=NAMES[0])
    with pytest.raises(SchemaError, match=f"1 of {len(NAMES)} features are missing, {NAMES[0]} first"):
        registry.Pyfunc(model(tmp_path / "model")).predict(lacking)
