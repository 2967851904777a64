"From a panel to a champion, and back from its files."

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from signal_rows import NAMES, SIGNS, TRAIN, book, few, write
from tables import base

from predelinquency.ground import schema
from predelinquency.ground.core import LeakageError, SchemaError, StoreError
from predelinquency.judge import baselines
from predelinquency.model import calibrate, learners, train
from predelinquency.model import champion as model_champion
from predelinquency.model import labels as lb
from predelinquency.model import rows as model_rows
from predelinquency.model.rows import Rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    "Features and labels of 600 customers with a known signal."
    path = tmp_path_factory.mktemp("book")
    write(path, *book())
    return path


@pytest.fixture(scope="module")
def rows(folder):
    return model_rows.gather(folder, NAMES, base(), 10**6)


def learn(rows, p=TRAIN):
    "A champion without the rules, which need the catalogue's inputs."
    fits = train.fit_boosters(rows, learners.Recipe(NAMES, p, SIGNS, 1))
    held = rows["calibrate"].usable()
    numbers = {n: calibrate.calibrate(learners.predict_margin(f, held.x), held.y, held.onsets) for n, f in fits.items()}
    return fits, model_champion.manifest(
        model_champion.Trained(fits, "xgboost", "lightgbm", numbers, 0.2), rows, base(), p, {"panel": "00"}
    )


def scored(rows, fits, about):
    margin = learners.predict_margin(fits["xgboost"], rows["test"].x)
    scores = pd.DataFrame(
        dict(probability=calibrate.probability(margin, about["calibrations"]["xgboost"]), margin=margin)
    ).assign(**dict.fromkeys((*model_champion.BASELINES, "challenger"), np.nan))
    return model_champion.predictions(rows["test"].labels, scores, "test")


def test_gathered_rows_carry_their_own_inputs(rows):
    frame, x = book()
    for name in lb.SPLITS:
        wanted = (frame.split == name).to_numpy()
        assert (
            np.array_equal(rows[name].x, x[wanted], equal_nan=True)
            and (rows[name].labels.customer_id.to_numpy() == frame.customer_id[wanted]).all()
        )


def test_some_splits_are_gathered_as_among_all_of_them(folder, rows):
    found = model_rows.gather(folder, NAMES, base(), 10**6, ["stop", "train"])
    assert list(found) == ["stop", "train"]
    for name, some in found.items():
        assert np.array_equal(some.x, rows[name].x, equal_nan=True) and some.labels.equals(rows[name].labels)


def test_of_the_live_rows_only_the_latest_moment_is_scored(rows):
    assert set(rows["live"].labels.as_of) == {pd.Timestamp("2025-07-01")} and len(rows["live"].labels) == 600


def test_a_limit_on_rows_leaves_out_whole_customers(folder, rows):
    kept = model_rows.gather(folder, NAMES, base(), 2000)["train"].labels
    assert 1000 < len(kept) < 3000
    per_customer = kept.groupby("customer_id").size()
    assert (per_customer == rows["train"].labels.groupby("customer_id").size()[per_customer.index]).all()


def test_a_panel_whose_rows_are_not_the_labels_rows_is_refused(tmp_path):
    frame, x = book(200)
    write(tmp_path, frame, x)
    moved = frame.assign(as_of=(frame.as_of + pd.Timedelta(days=1)).astype("datetime64[ms]"))
    write(tmp_path / "other", moved, x)
    (tmp_path / "panel").rename(tmp_path / "gone")
    (tmp_path / "other/panel").rename(tmp_path / "panel")
    with pytest.raises(SchemaError, match="is not the question of the labels' row"):
        model_rows.gather(tmp_path, NAMES, base(), 10**6)


def test_walls_that_do_not_stand_are_refused_before_anything_is_fitted(tmp_path):
    frame, x = book(200)
    someone = frame.customer_id[frame.split == "test"].iloc[0]
    frame.loc[(frame.customer_id == someone) & (frame.as_of < "2024-09-01"), "split"] = "train"
    write(tmp_path, frame, x)
    for splits in (model_rows.GATHERED, ["stop"]):  # the walls between all of them, whichever are asked for
        with pytest.raises(LeakageError, match="both in train and in test"):
            model_rows.gather(tmp_path, NAMES, base(), 10**6, splits)


def test_only_eligible_rows_that_are_not_imminent_and_known_teach():
    rows = few(6)
    rows = Rows(
        rows.labels.assign(
            eligible=[True, False, True, True, True, True],
            imminent=[False, False, True, False, False, False],
            target=pd.array([1, 1, 1, None, 0, 1], dtype="Int32"),
        ),
        rows.x,
    )
    assert rows.usable().labels.index.size == 3 and rows.usable().y.tolist() == [1, 0, 1]


def test_neighbouring_weeks_speak_of_one_onset():
    rows = few(4)
    labels = rows.labels.assign(
        customer_id=[7, 7, 7, 8],
        as_of=pd.to_datetime(["2024-09-01", "2024-09-08", "2024-10-01", "2024-09-01"]),
        target=1,
        onset_in_days=[24.0, 17.0, 20.0, 24.0],
    )
    assert Rows(labels, rows.x).onsets == 3


def test_the_same_parameters_give_the_same_bytes(rows, tmp_path):
    for name in ("a", "b"):
        fits, about = learn(rows)
        model_champion.save(tmp_path / name, fits, about, scored(rows, fits, about))
    first, second = ({p.name: p.read_bytes() for p in sorted((tmp_path / n).iterdir())} for n in ("a", "b"))
    assert first == second and set(first) == {"xgboost.ubj", "lightgbm.txt", "manifest.json", "predictions.parquet"}


def test_other_parameters_are_another_version(rows, tmp_path):
    versions = set()
    for depth in (2, 3):
        fits, about = learn(rows, replace(TRAIN, max_depth=depth))
        versions.add(model_champion.save(tmp_path / str(depth), fits, about, scored(rows, fits, about)).version)
    assert len(versions) == 2


def test_the_champion_comes_back_as_it_was(rows, tmp_path):
    fits, about = learn(rows)
    champion = model_champion.save(tmp_path / "model", fits, about, scored(rows, fits, about))
    saved = pd.read_parquet(tmp_path / "model/predictions.parquet")
    x = rows["test"].x
    assert (
        (champion.probability(x) == saved.probability).all()
        and (champion.margin(x) == saved.margin).all()
        and champion.threshold == 0.2
    )
    assert (
        model_champion.load_champion(tmp_path / "model", challenger=True).margin(x)
        == learners.predict_margin(fits["lightgbm"], x)
    ).all()


def test_the_manifest_says_what_the_model_is_and_where_it_comes_from(rows, tmp_path):
    fits, about = learn(rows)
    model_champion.save(tmp_path / "model", fits, about, scored(rows, fits, about))
    manifest = json.loads((tmp_path / "model/manifest.json").read_text())
    assert (
        manifest["features"] == list(NAMES)
        and manifest["champion"] == "xgboost"
        and manifest["params"]["train"]["max_depth"] == 3
        and manifest["seed"] == 1
    )
    assert (
        manifest["data"] == {"panel": "00"}
        and {"xgboost", "xgboost-cpu"} & set(manifest["libraries"])
        and manifest["package"]["sources"]
        and manifest["rows"]["train"]["positives"] > 0
    )


def test_a_failed_save_leaves_the_model_that_was_there(rows, tmp_path):
    fits, about = learn(rows)
    first = model_champion.save(tmp_path / "model", fits, about, scored(rows, fits, about))

    def broken(champion):
        raise ValueError("no cohort")

    fits, about = learn(rows, replace(TRAIN, max_depth=2))
    with pytest.raises(ValueError, match="no cohort"):
        model_champion.save(tmp_path / "model", fits, about, scored(rows, fits, about), dues=broken)
    assert model_champion.load_champion(tmp_path / "model").version == first.version and [
        p.name for p in tmp_path.iterdir()
    ] == ["model"]


def test_a_manifest_of_other_inputs_is_refused(rows, tmp_path):
    fits, about = learn(rows)
    model_champion.save(tmp_path / "model", fits, about, scored(rows, fits, about))
    path = tmp_path / "model/manifest.json"
    path.write_text(
        json.dumps(
            model_champion.sealed(
                json.loads(path.read_text()) | {"features": ["drain", "noise", "cushion", "rarely_known"]}
            )
        )
    )
    with pytest.raises(SchemaError, match="not those of its manifest"):
        model_champion.load_champion(tmp_path / "model")


@pytest.fixture(scope="module")
def two(rows, tmp_path_factory):
    "Two models with the same inputs."
    folder = tmp_path_factory.mktemp("two")
    for name, depth in (("one", 2), ("other", 3)):
        fits, about = learn(rows, replace(TRAIN, max_depth=depth))
        model_champion.save(folder / name, fits, about, scored(rows, fits, about))
    return folder


@pytest.mark.parametrize("file", ["xgboost.ubj", "lightgbm.txt", "predictions.parquet"])
def test_a_file_of_another_model_is_refused_by_its_name(two, tmp_path, file):
    shutil.copytree(two / "one", tmp_path / "model")
    shutil.copy(two / "other" / file, tmp_path / "model" / file)
    with pytest.raises(StoreError, match=rf"{file}: is not the file that was written with model") as refused:
        model_champion.load_champion(tmp_path / "model")
    assert "dvc checkout" in refused.value.remedy and "run the train stage again" in refused.value.remedy


def test_a_folder_under_the_manifest_of_another_model_is_refused(two, tmp_path):
    shutil.copytree(two / "one", tmp_path / "model")
    shutil.copy(two / "other/manifest.json", tmp_path / "model/manifest.json")
    with pytest.raises(StoreError, match="is not the file that was written with model"):
        model_champion.load_champion(tmp_path / "model")


@pytest.mark.parametrize(
    "where,value",
    [
        (("calibrations", "xgboost", "slope"), 2.0),
        (("threshold",), 0.01),
        (("contact_share",), 0.5),
        (("version",), "0123456789ab"),
        (("files", "xgboost.ubj"), "00"),
    ],
)
def test_a_number_corrected_by_hand_is_refused(two, tmp_path, where, value):
    shutil.copytree(two / "one", tmp_path / "model")
    path = tmp_path / "model/manifest.json"
    about = json.loads(path.read_text())
    inner = about
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    path.write_text(json.dumps(about))
    with pytest.raises(StoreError, match="was changed after model"):
        model_champion.load_champion(tmp_path / "model")


def test_a_manifest_written_in_another_way_is_the_same_manifest(two, tmp_path):
    shutil.copytree(two / "one", tmp_path / "model")
    path = tmp_path / "model/manifest.json"
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items()))))
    assert model_champion.load_champion(tmp_path / "model").version == model_champion.load_champion(two / "one").version


def test_what_nobody_needs_may_be_absent(two, tmp_path):
    shutil.copytree(two / "one", tmp_path / "model")
    for name in ("lightgbm.txt", "predictions.parquet"):
        (tmp_path / "model" / name).unlink()
    assert model_champion.load_champion(tmp_path / "model").version == model_champion.load_champion(two / "one").version
    (tmp_path / "model/xgboost.ubj").unlink()
    with pytest.raises(SchemaError, match="there is no such model"):
        model_champion.load_champion(tmp_path / "model")


def test_a_model_from_before_there_were_hashes_says_what_to_do(two, tmp_path):
    shutil.copytree(two / "one", tmp_path / "model")
    path = tmp_path / "model/manifest.json"
    path.write_text(
        json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k not in (model_champion.SEAL, "files")})
    )
    with pytest.raises(StoreError, match="an earlier version of this software") as refused:
        model_champion.load_champion(tmp_path / "model")
    assert refused.value.remedy == "run the train stage again"


def test_a_version_names_what_a_model_says_and_nothing_else(two):
    about = model_champion.read_manifest(two / "one")
    assert (
        model_champion.version_of(about, about["files"])
        == about["version"]
        == model_champion.version_of(
            about | dict(threshold=0.5, package={}), about["files"] | {"predictions.parquet": "00"}
        )
    )
    for other in (about | dict(features=[]), about | dict(calibrations={}), about | dict(champion="lightgbm")):
        assert model_champion.version_of(other, about["files"]) != about["version"]
    assert model_champion.version_of(about, about["files"] | {"xgboost.ubj": "00"}) != about["version"]


def test_without_a_model_the_stage_is_named(tmp_path):
    with pytest.raises(SchemaError, match="run the train stage"):
        model_champion.load_champion(tmp_path)


def test_a_fingerprint_changes_with_one_value(tmp_path):
    frame, x = book(200)
    write(tmp_path / "a", frame, x)
    x[0, 0] = 9.0
    write(tmp_path / "b", frame, x)
    a, b = (model_champion.table_hashes(tmp_path / n, ["panel", "labels", "absent"]) for n in "ab")
    assert set(a) == {"panel", "labels"} and a["panel"] != b["panel"] and a["labels"] == b["labels"]


def test_a_learner_with_few_positives_still_learns(folder):
    "Leaves need a thirtieth of the positives, not `min_child_weight`, when that is more."
    small = model_rows.gather(folder, NAMES, base(), 900)
    fits = train.fit_boosters(small, learners.Recipe(NAMES, replace(TRAIN, min_child_weight=1000.0), SIGNS, 1))
    assert all(
        model_champion.rounds(f) and np.ptp(learners.predict_margin(f, small["test"].x)) > 0.5 for f in fits.values()
    )


# calibration and threshold


def test_platt_finds_the_two_parameters_that_made_the_data():
    rng = np.random.default_rng(1)
    margin = rng.normal(-3, 1, 40_000)
    y = (rng.random(40_000) < 1 / (1 + np.exp(-(0.5 + 0.7 * margin)))).astype(float)
    found = calibrate.calibrate(margin, y, 900)
    assert found["kind"] == "platt" and abs(found["intercept"] - 0.5) < 0.1 and abs(found["slope"] - 0.7) < 0.05


def test_below_a_thousand_onsets_calibration_has_two_parameters_and_above_it_bends():
    rng = np.random.default_rng(2)
    margin = rng.normal(-2, 1.5, 30_000)
    truth = np.where(margin > -1, 0.4, 0.05)
    y = (rng.random(30_000) < truth).astype(float)
    few_, many = calibrate.calibrate(margin, y, 999), calibrate.calibrate(margin, y, 1000)
    assert set(few_) == {"kind", "intercept", "slope", "onsets"} and many["kind"] == "isotonic"
    error = [np.abs(calibrate.probability(margin, c) - truth).mean() for c in (few_, many)]
    assert error[1] < error[0] / 3


@given(seed=st.integers(0, 10_000), onsets=st.sampled_from([5, 5000]), rate=st.floats(-5, 0))
@example(seed=264, onsets=5000, rate=-0.21875)
@example(seed=11, onsets=5000, rate=0.0)  # two steps that differ in the last bit alone
@example(seed=238, onsets=5000, rate=-5.0)  # margins far above all that the calibration was fitted on
@settings(max_examples=40, deadline=None)
def test_calibration_keeps_the_order_and_the_bounds(seed, onsets, rate):
    rng = np.random.default_rng(seed)
    margin = rng.normal(rate, 1, 300)
    y = (rng.random(300) < 1 / (1 + np.exp(-margin))).astype(float)
    y[:2] = 0, 1
    swept = calibrate.probability(
        np.linspace(-12, 12, 400), json.loads(json.dumps(calibrate.calibrate(margin, y, onsets)))
    )
    assert (np.diff(swept) > 0).all() and swept.min() >= 0 and swept.max() <= 1


def test_outcomes_against_the_ranking_do_not_turn_it_round():
    margin = np.linspace(-5, 0, 50)
    assert calibrate.calibrate(margin, (margin < -4.5).astype(float), 5)["slope"] > 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200), st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_the_threshold_never_asks_for_more_contacts_than_there_are(probabilities, share):
    p = np.array(probabilities)
    assert (p >= calibrate.threshold(p, share)).sum() <= share * len(p) + 1e-9


def test_the_threshold_uses_the_capacity_when_scores_differ():
    p = np.random.default_rng(1).random(1000)
    assert (p >= calibrate.threshold(p, 0.05)).sum() == 50


# few rows


def test_every_row_is_judged_once_a_repeat_by_a_model_that_never_saw_its_customer():
    rows = few()
    dealt = train.folds(rows.labels.customer_id.to_numpy(), rows.y, 3, 2, 1)
    met = []

    def score(teachers, held):
        met.append(set(teachers.labels.customer_id) & set(held.labels.customer_id))
        return pd.DataFrame(dict(margin=held.labels.customer_id.to_numpy(float)))

    found = train.out_of_fold(rows, dealt, score)
    assert not any(met) and len(met) == 6
    assert (
        found.row.tolist() == [*range(400)] * 2
        and (found.margin == rows.labels.customer_id.to_numpy()[found.row]).all()
        and (found.fold == dealt[found["repeat"], found.row]).all()
    )


def test_out_of_fold_calibration_keeps_the_ranking_of_a_repeat():
    rng = np.random.default_rng(3)
    scores = pd.DataFrame(dict(repeat=np.repeat([0, 1], 300), margin=rng.normal(-2, 1, 600)))
    p = train.cross_calibrate(scores, (rng.random(600) < 0.15).astype(float))
    for r in (0, 1):
        assert (
            np.argsort(p[scores["repeat"] == r]) == np.argsort(scores.margin[scores["repeat"] == r].to_numpy())
        ).all()


def test_later_rows_are_judged_by_what_was_known_a_whole_outcome_before_them():
    apart = train.out_of_time(few(800), base())
    earlier, later = apart.earlier, apart.later
    assert (later.labels.as_of.min() - earlier.labels.as_of.max()).days >= lb.gap_days(base()) and len(later.y) == 240
    assert apart.why == "" and apart.purged == 800 - len(earlier.y) - 240 > 0


def test_a_row_whose_answer_became_known_too_late_teaches_nothing_out_of_time():
    rows = few(800)
    first = rows.labels.as_of[train.out_of_time(rows, base()).judged].min()
    known = rows.labels.as_of + pd.Timedelta(days=1)
    known[:100], known[100] = first, first - pd.Timedelta(milliseconds=1)
    known[500] = pd.NaT  # not told: the row is as old as an outcome takes
    told = train.out_of_time(Rows(rows.labels.assign(known_on=known), rows.x), base())
    assert not told.teaches[:100].any() and told.teaches[100:500].all() and not (told.teaches & told.judged).any()
    ago = rows.labels.as_of[500] <= rows.labels.as_of.quantile(0.7) - pd.Timedelta(days=lb.gap_days(base()))
    assert told.teaches[500] == ago and told.purged == int((~told.teaches & ~told.judged).sum())
    nobody = rows.labels.assign(known_on=pd.Series(pd.NaT, rows.labels.index, dtype="datetime64[ms]"))
    assert (train.out_of_time(Rows(nobody, rows.x), base()).teaches == train.out_of_time(rows, base()).teaches).all()


@pytest.mark.parametrize("rows", [150, 1])
def test_with_too_few_positives_nothing_is_judged_out_of_time_and_the_counts_say_why(rows):
    apart = train.out_of_time(few(rows), base())
    one, other = int(apart.earlier.y.sum()), int(apart.later.y.sum())
    assert f"earlier rows hold {one} positives, the later ones {other}, and each side needs 20" in apart.why
    assert (f"{apart.purged} rows with answers not known yet" in apart.why) == (apart.purged > 1)


@pytest.mark.parametrize(("positives", "depth", "seats"), [(24, 2, 5), (199, 2, 5), (200, 3, 2), (5000, 3, 2)])
def test_what_suits_few_positives_is_a_rule_of_their_number(positives, depth, seats):
    p, n = train.suited(TRAIN, positives)
    assert (p.max_depth, n) == (depth, seats)


@pytest.mark.parametrize(("rows", "repeats"), [(354, 2), (24_000, 2), (30_000, 1), (10**6, 1)])
def test_large_sources_are_dealt_less_often(rows, repeats):
    assert train.repeats(rows, TRAIN) == repeats


def test_predictions_keep_their_contract(tmp_path):
    rows = few(50)
    scores = pd.DataFrame(
        dict(
            probability=0.1,
            margin=-2.0,
            calendar=1.0,
            balance=np.nan,
            projected=np.nan,
            logistic=0.0,
            challenger=0.1,
            repeat=1,
            fold=2,
            seen_before=True,
        ),
        index=range(50),
    )
    frame = model_champion.predictions(rows.labels, scores, "fold")
    model_champion.write_frame(model_champion.PREDICTIONS, frame, tmp_path / "p.parquet")
    back = pd.read_parquet(tmp_path / "p.parquet")
    assert (
        list(back.columns) == model_champion.PREDICTIONS.names
        and set(back.split) == {"fold"}
        and back.fold.eq(2).all()
        and back.balance.isna().all()
    )
    with pytest.raises(SchemaError, match="probability"):
        model_champion.write_frame(model_champion.PREDICTIONS, frame.assign(probability=-1.0), tmp_path / "bad.parquet")


def test_a_champion_is_calibrated_on_customers_it_never_saw(rows):
    fits, about = learn(rows)
    te = rows["test"].usable()
    p = calibrate.probability(learners.predict_margin(fits["xgboost"], te.x), about["calibrations"]["xgboost"])
    error = np.sqrt(1 / rows["calibrate"].usable().y.sum() + 1 / te.y.sum())
    assert abs(np.log(p.mean() / te.y.mean())) < 2.6 * error, "seed 1; 99 % interval of a ratio of two rates"


def test_baselines_module_and_contract_agree_on_names():
    assert set(baselines.RULES) < set(model_champion.BASELINES) and schema.TARGET_KINDS == tuple(
        k.removeprefix("due_count_") for k in baselines.CALENDAR[:4]
    )
