"""The model that answers: taught by all that is known, told apart from the judged one, silent about what taught it."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from predelinquency.features import catalogue
from predelinquency.ground import disk, params
from predelinquency.ground.core import SchemaError, StoreError
from predelinquency.judge import due_rivals
from predelinquency.model import champion, each_due, registry, roll_up, shipped
from predelinquency.model.rows import gather_dues


@pytest.fixture(scope="module")
def used(trained):
    return champion.in_use(trained / "model")


@pytest.fixture(scope="module")
def settings(trained):
    about = champion.read_manifest(trained / "model")["params"]
    return params.section(params.Base, about["base"]), params.section(params.Train, about["train"])


def everything(folder, name):
    return pd.concat([disk.read(folder, name, part) for part in disk.parts(folder, name)], ignore_index=True)


def test_it_names_the_model_that_it_was_judged_as_and_is_another_one(trained, used):
    judged, again = champion.read_manifest(trained / "model"), champion.read_manifest(used)
    assert used == trained / "model/shipped" and again[champion.JUDGED_AS] == judged["version"] != again["version"]
    assert champion.in_use(used) == used, "what answers has nothing below it"
    same = ("champion", "features", "calibrations", "seed", "data", "catalogue")
    assert all(judged[key] == again[key] for key in same) and judged["due"]["learner"] == again["due"]["learner"]
    trees = [champion.rounds(each_due.load_dues(folder).fitted) for folder in (trained / "model", used)]
    assert trees[0] == trees[1] > 1, "nothing is chosen anew"


def test_every_known_missed_due_teaches_and_none_of_a_moment_that_is_asked_about_today(trained, used):
    dues, taught = everything(trained / "features", "dues"), champion.read_manifest(used)["due"]["rows"]["everything"]
    known = dues[dues.target.notna()]
    before = champion.read_manifest(trained / "model")["due"]["rows"]["train"]
    assert taught["missed_rows"] == int(known.target.sum()) > 3 * before["missed_rows"]
    until = pd.Timestamp(champion.read_manifest(used)["due"]["until"])
    assert until == known.as_of.max() and (dues.as_of[dues.split == "live"] > until).all()


def test_drawn_weeks_weigh_as_much_as_all(trained, settings):
    base, p = settings
    names = catalogue.names()
    whole = shipped.evidence(trained / "features", names, base, p, None)
    few = params.section(
        params.Train, {**champion.read_manifest(trained / "model")["params"]["train"], "again_rows": 3_000}
    )
    some = shipped.evidence(trained / "features", names, base, few, None)
    assert (whole.dues.weight == 1).all() and whole.drawn.all(), "a small bank leaves out nothing"
    assert len(some.dues.labels) < len(whole.dues.labels) / 3 and some.dues.onsets == whole.dues.onsets
    assert some.weeks.weight.sum() == pytest.approx(len(whole.weeks.labels), rel=0.03)
    assert some.dues.weight.sum() == pytest.approx(len(whole.dues.labels), rel=0.05)
    keys = ["customer_id", "as_of"]
    ahead = whole.dues.labels.merge(some.weeks.labels[keys])
    assert len(ahead) == len(some.dues.labels), "a week that is kept keeps all its dues"
    free = some.weeks.labels[some.drawn]
    missed = [part.weeks.labels.target.eq(1).mean() for part in (whole,)] + [free.target.eq(1).mean()]
    assert missed[1] == pytest.approx(missed[0], abs=0.01), "the threshold is asked of weeks that no outcome has chosen"


def test_what_answers_today_is_the_model_and_of_the_past_a_fold_that_was_not_taught(trained, used, settings):
    base, _ = settings
    rows = gather_dues(trained / "features", catalogue.names(), base, 10**6, ["test", "live"])
    roll, unseen = roll_up.load_roll_up(used), each_due.load_unseen(used)
    told = pd.read_parquet(used / "due_predictions.parquet")
    for split in ("test", "live"):
        said = told[told.split == split]
        assert np.array_equal(said.probability, unseen.probability(rows[split].labels, rows[split].x)) and len(said)
        same = said.probability.to_numpy() == roll.due.probability(rows[split].x)
        assert same.all() if split == "live" else not same.any()
    answers = pd.read_parquet(used / "predictions.parquet").query("split == 'live'").reset_index(drop=True)
    assert np.array_equal(answers.probability, roll.chance(answers, rows["live"]))


def test_no_fold_was_taught_by_its_own_customers(trained, used, settings):
    base, p = settings
    known = shipped.evidence(trained / "features", catalogue.names(), base, p, None)
    labels = known.dues.labels
    mine = each_due.fold_of(labels.customer_id, base.seed) == 2
    was = labels.target.to_numpy(dtype=float, na_value=np.nan)
    turned = was.copy()
    turned[mine] = turned[mine][::-1]
    assert (turned[mine] == 1).sum() > 3 and (turned[mine] != was[mine]).sum() > 3
    told = labels.assign(target=pd.array(turned, dtype="Float64").astype("Int32"))
    other = shipped.Rows(told, known.dues.x, known.dues.weight)
    how = shipped.Recipe(catalogue.names(), p, catalogue.monotone(), base.seed)
    judged = each_due.load_dues(trained / "model").fitted
    fits = [shipped.fit_again(some.usable(), judged, how) for some in (known.dues, other)]
    same = [
        np.array_equal(*(champion.learners.predict_margin(f[k], known.dues.x[:200]) for f in fits)) for k in range(5)
    ]
    assert same == [False, False, False, True, False], "everybody, then the folds 0, 1, 2, 3"


def test_the_curve_of_the_page_is_told_by_the_folds(trained, used):
    scores = pd.read_parquet(trained / "reports/scores.parquet")
    part = disk.parts(trained / "features", "labels")[0]
    labels = disk.read(trained / "features", "labels", part)
    some = labels[labels.eligible.to_numpy(bool)].head(400)
    direct, roll = champion.load_champion(used), roll_up.load_roll_up(used)
    _, honest = roll_up.of_part(trained / "features", part, some, direct, roll, each_due.load_unseen(used))
    both = some.assign(said=honest).merge(scores, on=["customer_id", "as_of"])
    assert len(both) == len(some) and (both.said == both.probability).all()


def test_without_it_nobody_answers_and_another_ones_is_refused(trained, tmp_path):
    model = shutil.copytree(trained / "model", tmp_path / "model")
    path = model / "shipped/manifest.json"
    said = {k: v for k, v in json.loads(path.read_text()).items() if k != champion.SEAL}
    path.write_text(json.dumps(champion.sealed(said | {champion.JUDGED_AS: "000000000000"})))
    with pytest.raises(StoreError, match="was learned again from model 000000000000"):
        champion.in_use(model)
    shutil.rmtree(model / "shipped")
    with pytest.raises(SchemaError, match="no readable model"):
        champion.in_use(model)


def test_the_registry_keeps_both_and_nobody_s_row(trained, tmp_path):
    registry.point(tmp_path / "mlflow", trained / "model")
    kept = registry.champion_folder(tmp_path / "mlflow")
    assert champion.read_manifest(champion.in_use(kept)) == champion.read_manifest(trained / "model/shipped")
    assert not list(kept.rglob("*.parquet")) and (kept / "shipped/due/fold-3").is_dir()


def test_a_rival_that_was_changed_is_refused_and_is_no_part_of_the_version(trained, tmp_path):
    model = shutil.copytree(trained / "model", tmp_path / "model")
    about = champion.read_manifest(model)
    assert set(due_rivals.load_rivals(model)) == set(due_rivals.INPUTS)
    others = {name: "0" * 16 if name.startswith(champion.RIVAL_FOLDER) else was for name, was in about["files"].items()}
    assert others != about["files"] and champion.version_of(about, others) == about["version"]
    path = model / champion.RIVAL_FOLDER / "five_columns/lightgbm.txt"
    path.write_text(path.read_text() + " ")
    with pytest.raises(StoreError, match="is not the file that was written with model"):
        due_rivals.load_rivals(model)
