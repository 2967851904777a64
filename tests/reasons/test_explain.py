"""Contributions are exact, add up for every row, and become words that may be said."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from predelinquency.features.catalogue import BY_NAME, CATALOGUE
from predelinquency.ground import core, disk, params, records, schema
from predelinquency.ground.core import PredelinquencyError, project_folder
from predelinquency.model import calibrate, learners
from predelinquency.model import champion as model_champion
from predelinquency.reasons import bundles, evidence, shapley, tables
from predelinquency.reasons import scorer as reasons_scorer
from predelinquency.reasons import trees as reasons_trees

SETTINGS = replace(params.load(project_folder() / "params.yaml").train, trees=60, min_child_weight=2)
NAMES = [f.name for f in CATALOGUE if f.group in ("payment", "credit", "income")]


def rows(n=2500, unknown=0.2, digits=1, seed=0):
    "Rows with ties at the thresholds, unknown values, exact zeros, huge and tiny ones."
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=(n, len(NAMES))), digits).astype(np.float32)
    y = (rng.random(n) < 1 / (1 + np.exp(2 - x[:, 0] - x[:, 3] * x[:, 5] + x[:, 7]))).astype(int)
    x[rng.random(x.shape) < unknown] = np.nan
    x[:, -1] = np.where(rng.random(n) < 0.5, 0, x[:, -1] * 1e9)
    return x, y


def fitted(learner, depth=4, unknown=0.2, seed=0, **more):
    x, y = rows(unknown=unknown, seed=seed)
    return learners.fit(
        learner, x, y, learners.Recipe(NAMES, replace(SETTINGS, max_depth=depth, **more), {NAMES[0]: 1}, 1)
    ), x


@pytest.fixture(scope="module")
def model():
    return fitted("xgboost")


@pytest.mark.parametrize("learner", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("depth", [1, 2, 4, 6])
@pytest.mark.parametrize("unknown", [0.0, 0.3])
def test_the_leaf_table_equals_the_learners_own_contributions(learner, depth, unknown):
    f, x = fitted(learner, depth, unknown)
    for data in (x, rows(400, 0.5, seed=9)[0], rows(400, 0.0, digits=9, seed=8)[0]):
        margin, parts = shapley.look_up(shapley.leaf_table(reasons_trees.trees_of(f)), data)
        own, size = learners.predict_margin(f, data), 1e-5
        assert np.all(np.abs(margin - own) <= size * np.maximum(1, np.abs(own)))
        assert np.all(np.abs(parts - learners.contributions(f, data)) <= size * np.maximum(1, np.abs(own))[:, None])
        assert np.all(np.abs(parts.sum(1) - own) <= size * np.maximum(1, np.abs(own)))


def brute_force(t, x):
    "Shapley values of one row from their definition: every subset of the inputs that the trees use."

    def value(node, known):
        if t.left[node] < 0:
            return t.value[node]
        f, left, right = t.feature[node], t.left[node], t.right[node]
        if f in known:
            goes_left = t.unknown_left[node] if np.isnan(x[f]) else x[f] <= t.threshold[node]
            return value(left if goes_left else right, known)
        return (t.cover[left] * value(left, known) + t.cover[right] * value(right, known)) / t.cover[node]

    used = sorted({int(f) for f, left in zip(t.feature, t.left, strict=True) if left >= 0})
    worth = {
        m: sum(value(r, {f for i, f in enumerate(used) if m >> i & 1}) for r in t.roots) for m in range(1 << len(used))
    }
    out = np.zeros(len(x) + 1)
    out[-1] = t.base + worth[0]
    from math import factorial as fact

    for i, f in enumerate(used):
        for m, w in worth.items():
            if m >> i & 1:
                continue
            s = m.bit_count()
            out[f] += fact(s) * fact(len(used) - s - 1) / fact(len(used)) * (worth[m | 1 << i] - w)
    return out


@pytest.mark.parametrize("learner", ["xgboost", "lightgbm"])
def test_the_leaf_table_equals_the_definition_of_shapley_values(learner):
    x, y = rows(800)
    f = learners.fit(
        learner, x[:, :6], y, learners.Recipe(NAMES[:6], replace(SETTINGS, trees=4, max_depth=4, colsample=1.0), {}, 1)
    )
    trees = reasons_trees.trees_of(f)
    table = shapley.leaf_table(trees)
    for row in x[:25, :6]:
        assert shapley.look_up(table, row[None])[1][0] == pytest.approx(brute_force(trees, row.astype(float)), abs=1e-9)


@pytest.mark.parametrize("learner", ["xgboost", "lightgbm"])
def test_the_shap_package_agrees(learner):
    f, x = fitted(learner)
    ours = shapley.look_up(shapley.leaf_table(reasons_trees.trees_of(f)), x[:100])[1][:, :-1]
    assert np.abs(shapley.second_opinion(f, x[:100]) - ours).max() < 1e-5


def test_a_committee_of_trees_is_one_forest():
    x, y = rows()
    members = [
        learners.fit(name, x, y, learners.Recipe(NAMES, SETTINGS, {}, s))
        for s, name in enumerate(("xgboost", "lightgbm", "lightgbm"))
    ]
    both = learners.committee([learners.committee(members[:2]), members[2]])
    margin, parts = shapley.look_up(shapley.leaf_table(reasons_trees.trees_of(both)), x)
    assert np.abs(margin - learners.predict_margin(both, x)).max() < 1e-5
    assert np.abs(parts - learners.contributions(both, x)).max() < 1e-5


def test_what_is_not_made_of_trees_is_explained_by_the_learner_itself():
    x, y = rows()
    card = learners.fit("scorecard", x, y, learners.Recipe(NAMES, SETTINGS, {}, 1))
    mixed = learners.committee([card, learners.fit("lightgbm", x, y, learners.Recipe(NAMES, SETTINGS, {}, 1))])
    for f in (card, mixed):
        assert reasons_trees.trees_of(f) is None
        assert np.abs(shapley.contributions(f, x).sum(1) - learners.predict_margin(f, x)).max() < 1e-9


def test_trees_too_deep_for_a_table_are_left_to_the_learner():
    f, _ = fitted("xgboost", depth=6)
    assert shapley.leaf_table(reasons_trees.trees_of(f), most=1000) is None


def test_a_model_without_any_tree_has_a_score_and_no_reasons():
    x, y = rows(300)
    empty = learners.fit("xgboost", x, y, learners.Recipe(NAMES, replace(SETTINGS, trees=0), {}, 1))
    assert reasons_trees.trees_of(empty) is None
    parts = shapley.contributions(empty, x)
    assert not parts[:, :-1].any() and bundles.reasons(parts[0], x[0], bundles.bundles(NAMES)) == ()
    keys = pd.DataFrame(dict(customer_id=np.arange(len(x)), as_of=np.datetime64("2025-03-03", "ms")))
    assert len(schema.validate(tables.REASONS, tables.tell(keys, parts, x, bundles.bundles(NAMES)))) == 0


def test_trees_without_a_split_give_nobody_anything():
    x, y = rows(300)
    f = learners.fit("xgboost", x, y, learners.Recipe(NAMES, replace(SETTINGS, min_child_weight=1e9, trees=3), {}, 1))
    stump = reasons_trees.Trees(*(np.array([v]) for v in (0, 0.0, False, -1, -1, 0.7, 10.0, 0)), base=-1.0)
    for trees, margins in ((reasons_trees.trees_of(f), learners.predict_margin(f, x)), (stump, np.full(len(x), -0.3))):
        margin, parts = shapley.look_up(shapley.leaf_table(trees), x)
        assert not parts[:, :-1].any() and margin == pytest.approx(margins, abs=1e-6)
        assert parts.sum(1) == pytest.approx(margin, abs=1e-9)


def test_contributions_that_do_not_add_up_are_an_error_that_names_the_row(model):
    f, x = model
    table, spoilt = shapley.leaf_table(reasons_trees.trees_of(f)), x.copy()
    cases = table.cases.copy()
    cases[np.abs(cases).argmax()] += 1e-3
    with pytest.raises(PredelinquencyError, match=r"rows do not sum to the margin"):
        shapley.contributions(f, spoilt, replace(table, cases=cases))
    parts, margin = shapley.contributions(f, x, table), learners.predict_margin(f, x)
    parts[17, 2] += 2e-5 * max(1, abs(margin[17]))
    with pytest.raises(PredelinquencyError, match=f"row 17: the contributions of 1 of {len(x)}"):
        shapley.check_additive(parts, margin)


def test_a_contribution_that_is_unknown_is_an_error(model):
    f, x = model
    parts = shapley.contributions(f, x)
    parts[3, 1] = np.nan
    with pytest.raises(PredelinquencyError, match="row 3"):
        shapley.check_additive(parts, learners.predict_margin(f, x))


def test_the_tolerance_grows_with_the_margin_and_never_shrinks_below_one():
    assert shapley.check_additive(np.array([[100.0005, 0]]), np.array([100.0])) <= shapley.TOLERANCE
    with pytest.raises(PredelinquencyError):
        shapley.check_additive(np.array([[0.00002, 0]]), np.array([0.0]))


def test_reasons_and_the_rest_add_up_to_the_margin(model):
    f, x = model
    voices, parts = bundles.bundles(NAMES), shapley.contributions(f, x)
    found = bundles.rank(parts, voices, top=len(NAMES), raising=False)
    total = np.where(found.feature >= 0, found.push, 0).sum(1) + parts[:, -1]
    assert total == pytest.approx(learners.predict_margin(f, x), abs=1e-5)


def test_reasons_come_strongest_first_and_only_raise_the_risk(model):
    f, x = model
    voices, parts = bundles.bundles(NAMES), shapley.contributions(f, x)
    for i in range(100):
        found = bundles.reasons(parts[i], x[i], voices, top=4)
        pushes = [r.contribution for r in found]
        assert pushes == sorted(pushes, reverse=True) and all(p > 0 for p in pushes)
        for r in found:
            assert parts[i, NAMES.index(r.feature)] > 0
            assert r.value == pytest.approx(x[i, NAMES.index(r.feature)], nan_ok=True)
    either = [abs(r.contribution) for r in bundles.reasons(parts[0], x[0], voices, top=4, raising=False)]
    assert either == sorted(either, reverse=True)


def test_one_topic_is_one_bundle_whatever_the_group():
    voices = bundles.bundles(list(BY_NAME))
    for f, own in zip(voices.features, voices.of, strict=True):
        assert {g.customer for g, o in zip(voices.features, voices.of, strict=True) if o == own} == {f.customer}
    phrases = [f.customer for f in CATALOGUE if not f.sensitive]
    assert len(set(voices.of)) == len(set(phrases)) + len({f.group for f in CATALOGUE if f.sensitive})


def test_nobody_reads_the_same_topic_twice(model):
    f, x = model
    voices, parts = bundles.bundles(NAMES), shapley.contributions(f, x)
    for i in range(200):
        told = bundles.reasons(parts[i], x[i], voices, top=8)
        said, bundle = [r.customer for r in told if r.customer], [voices.of[NAMES.index(r.feature)] for r in told]
        assert len(said) == len(set(said)) and len(bundle) == len(set(bundle))


def test_a_bundle_pushes_as_much_as_its_members_together():
    voices = bundles.bundles(["failed_debits_30d", "failed_debits_90d", "failed_debits_180d"])
    found = bundles.reasons(np.array([0.2, 0.5, -0.1, -3.0]), np.array([1.0, 2.0, 4.0]), voices)
    assert [(r.feature, r.value, round(r.contribution, 9)) for r in found] == [("failed_debits_90d", 2.0, 0.6)]


def test_sensitive_features_are_told_to_staff_and_never_to_the_customer():
    sensitive = [f for f in CATALOGUE if f.sensitive]
    assert sensitive
    for f in sensitive:
        (found,) = bundles.reasons(np.array([1.0, 0.0]), np.array([0.2]), bundles.bundles([f.name]))
        assert found.customer is None and found.analyst
    said = replace(sensitive[0], customer="You have been gambling")
    (found,) = bundles.reasons(np.array([1.0, 0.0]), np.array([0.2]), bundles.bundles([said.name], {said.name: said}))
    assert found.customer is None


VALUES = (0.0, 0.003, 0.5, 1.0, 1.04, 2.0, 4.4, 13.0, 365.0, 1e6, -0.003, -1.0, -40.0)


@pytest.mark.parametrize("unknown", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_known_is_told_to_staff_and_its_topic_is_not_named_to_the_customer(unknown):
    keys = pd.DataFrame(dict(customer_id=[1], as_of=np.array(["2025-03-03"], "datetime64[ms]")))
    for f in CATALOGUE:
        voices = bundles.bundles([f.name])
        (found,) = bundles.reasons(np.array([1.0, 0.0]), np.array([unknown]), voices)
        assert found.customer is None and found.analyst, f.name
        assert tables.tell(keys, np.ones((1, 1)), np.full((1, 1), unknown), voices).customer.isna().all(), f.name


def test_what_is_known_has_the_same_topic_whatever_the_value():
    keys = pd.DataFrame(dict(customer_id=np.arange(len(VALUES)), as_of=np.datetime64("2025-03-03", "ms")))
    for f in CATALOGUE:
        voices = bundles.bundles([f.name])
        told = tables.tell(keys, np.ones((len(VALUES), 1)), np.array(VALUES)[:, None], voices).customer
        assert [None if pd.isna(c) else c for c in told] == [f.customer] * len(VALUES), f.name
        for v in VALUES:
            assert bundles.reasons(np.array([1.0, 0.0]), np.array([v]), voices)[0].customer == f.customer, f.name


def test_a_score_that_nothing_raises_has_no_reasons():
    voices = bundles.bundles(NAMES[:3])
    assert bundles.reasons(np.array([-0.1, -0.2, 0.0, -3.0]), np.zeros(3), voices) == ()


def test_a_feature_that_is_not_in_the_catalogue_is_refused():
    with pytest.raises(
        PredelinquencyError, match="'fortune' which is not in the catalogue".replace("'fortune'", "'fortune',")
    ):
        bundles.bundles([*NAMES, "fortune"])


def test_the_table_of_reasons_keeps_its_contract_and_says_what_single_scores_say(model):
    f, x = model
    voices, parts = bundles.bundles(NAMES), shapley.contributions(f, x)
    keys = pd.DataFrame(
        dict(
            customer_id=np.arange(len(x)) // 2,
            as_of=np.datetime64("2025-03-03", "ms") + (np.arange(len(x)) % 2) * np.timedelta64(7, "D"),
        )
    )
    table = schema.validate(tables.REASONS, tables.tell(keys, parts, x, voices, top=3))
    for i in (0, 1, 500, len(x) - 1):
        mine = table[(table.customer_id == keys.customer_id[i]) & (table.as_of == keys.as_of[i])]
        alone = bundles.reasons(parts[i], x[i], voices, top=3)
        assert mine.feature.tolist() == [r.feature for r in alone] and mine.analyst.tolist() == [
            r.analyst for r in alone
        ]
        assert mine.contribution.tolist() == [r.contribution for r in alone] and mine["rank"].tolist() == list(
            range(1, len(alone) + 1)
        )
        assert [None if pd.isna(c) else c for c in mine.customer] == [r.customer for r in alone]


@pytest.fixture(scope="module")
def book(model, tmp_path_factory):
    "A panel in two parts, and a champion."
    f, x = model
    folder = tmp_path_factory.mktemp("book")
    frame = pd.DataFrame(
        dict(
            customer_id=np.repeat(np.arange(50, dtype=np.int64), 4),
            as_of=np.tile(np.datetime64("2025-03-03", "ms") + np.arange(4) * np.timedelta64(7, "D"), 50),
        )
    )
    frame = pd.concat([schema.naming_dues(frame), pd.DataFrame(x[:200], columns=NAMES)], axis=1)
    columns = [
        schema.Column("customer_id", "int64", "who"),
        schema.Column("as_of", "time", "when"),
        *schema.ASKED,
        *(schema.Column(n, "float32", "", nullable=True) for n in NAMES),
    ]
    with disk.writing(folder, [schema.Table("panel", "inputs", tuple(columns))]) as w:
        for part in disk.ranges(50, 30):
            w.add(part, {"panel": frame[(frame.customer_id >= part.low) & (frame.customer_id < part.high)]})
    return (
        folder,
        frame,
        model_champion.Champion(
            f, dict(threshold=0.1, version="v", calibration=dict(kind="platt", intercept=0.0, slope=1.0))
        ),
    )


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_batches_explain_the_rows_asked_for_and_no_others_whatever_their_size(book, size):
    folder, frame, champion = book
    rows = frame[list(schema.ROW)].iloc[::3].sample(frac=1, random_state=1).assign(word="kept")
    found = list(tables.batches(champion, folder, rows, size))
    keys = pd.concat([b.keys for b in found], ignore_index=True)
    assert (
        keys[["customer_id", "as_of"]].equals(frame[["customer_id", "as_of"]].iloc[::3].reset_index(drop=True))
        and (keys.word == "kept").all()
    )
    assert max(len(b.keys) for b in found) <= size
    parts = np.concatenate([b.contributions for b in found])
    assert np.abs(parts - champion.contributions(frame[NAMES].to_numpy()[::3])).max() < 1e-5
    assert all(b.gap <= shapley.TOLERANCE for b in found)


def test_rows_that_the_panel_does_not_have_are_refused(book):
    folder, frame, champion = book
    rows = frame[list(schema.ROW)]
    with pytest.raises(core.SchemaError, match="1 of 121 scored rows are not in the panel"):
        list(
            tables.batches(
                champion,
                folder,
                pd.concat([rows, rows.iloc[:1].assign(as_of=rows.as_of.iloc[:1] + pd.Timedelta(days=1))]),
            )
        )
    with pytest.raises(core.SchemaError, match="1 scored customers are in no part"):
        list(tables.batches(champion, folder, pd.concat([rows, rows.iloc[:1].assign(customer_id=99)])))


def test_reasons_are_written_whole_or_not_at_all(book, tmp_path):
    folder, frame, champion = book
    voices, path = bundles.bundles(NAMES), tmp_path / "reasons.parquet"
    with tables.writing(path, voices, 3) as write:
        told = [write(b) for b in tables.batches(champion, folder, frame[list(schema.ROW)], 64)]
    before = path.read_bytes()
    assert pd.read_parquet(path).analyst.tolist() == pd.concat(told).analyst.tolist()
    with pytest.raises(KeyboardInterrupt), tables.writing(path, voices, 3) as write:
        for b in tables.batches(champion, folder, frame[list(schema.ROW)], 64):
            write(b)
            raise KeyboardInterrupt
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["reasons.parquet"]


def test_directions_say_where_the_model_goes_against_the_catalogue():
    voices, rng = (
        bundles.bundles(["failed_debits_30d", "late_share", "pay_rhythm_days", "days_since_failed_debits"]),
        np.random.default_rng(1),
    )
    x = rng.random((300, 4))
    parts = np.column_stack([x[:, 0], -2 * x[:, 1], np.zeros(300), -0.1 * x[:, 3], np.zeros(300)])
    found = evidence.directions(parts, x, voices).set_index("name")
    assert found.agrees.to_dict() == {
        "failed_debits_30d": True,
        "late_share": False,
        "pay_rhythm_days": None,
        "days_since_failed_debits": True,
    }
    assert (
        found.found["failed_debits_30d"] == pytest.approx(1)
        and found.found["late_share"] == pytest.approx(-1)
        and np.isnan(found.found["pay_rhythm_days"])
    )
    assert found.index[0] == "late_share"


def vector_of(x):
    vector = np.full(len(BY_NAME), np.nan)
    vector[[list(BY_NAME).index(n) for n in NAMES]] = x
    return vector


@pytest.mark.parametrize("onsets", [50, 5000], ids=["platt", "isotonic"])
def test_one_row_alone_scores_as_it_does_in_a_batch(model, onsets):
    f, x = model
    margins = learners.predict_margin(f, x)
    calibration = calibrate.calibrate(
        margins, (np.random.default_rng(1).random(len(x)) < 1 / (1 + np.exp(-margins))).astype(float), onsets
    )
    champion = model_champion.Champion(f, dict(threshold=0.1, version="v", calibration=calibration))
    scorer = reasons_scorer.Scorer(champion)
    for row in x[:50]:
        margin, probability, *_, parts = scorer.score(vector_of(row)[None])
        assert margin == pytest.approx(champion.margin(row[None])[0], abs=1e-5)
        assert probability == pytest.approx(champion.probability(row[None])[0], abs=1e-6)
        assert parts == pytest.approx(champion.contributions(row[None])[0], abs=1e-5)


def test_a_score_with_its_reasons_is_the_record_that_crosses_layers(model):
    f, x = model
    scorer = reasons_scorer.Scorer(
        model_champion.Champion(
            f, dict(threshold=0.1, version="v", calibration=dict(kind="platt", intercept=0.0, slope=1.0))
        ),
        top=2,
    )
    told = scorer.score(vector_of(x[5])[None])
    found = scorer.record(7, "2025-03-03", vector_of(x[5])[None], told)
    assert isinstance(found, records.Score) and (found.customer_id, found.as_of, found.model_version) == (
        7,
        "2025-03-03",
        "v",
    )
    assert found.reasons == bundles.reasons(told.parts, x[5], scorer.bundles, 2)


def test_a_scorer_without_trees_still_scores_and_explains():
    x, y = rows()
    card = learners.fit("scorecard", x, y, learners.Recipe(NAMES, SETTINGS, {}, 1))
    scorer = reasons_scorer.Scorer(
        model_champion.Champion(
            card, dict(threshold=0.1, version="v", calibration=dict(kind="platt", intercept=0.0, slope=1.0))
        )
    )
    margin, *_, parts = scorer.score(vector_of(x[0])[None])
    assert margin == pytest.approx(learners.predict_margin(card, x[:1])[0]) and parts.sum() == pytest.approx(margin)


LEARNERS = ("xgboost", "lightgbm", "scorecard", "committee")


def learnt(learner):
    x, y = rows()
    if learner != "committee":
        return learners.fit(learner, x, y, learners.Recipe(NAMES, SETTINGS, {}, 1)), x
    return learners.committee(
        [learners.fit(name, x, y, learners.Recipe(NAMES, SETTINGS, {}, 1)) for name in LEARNERS[:3]]
    ), x


@pytest.mark.parametrize("learner", LEARNERS)
def test_the_gain_of_every_learner_stands_at_its_inputs_and_what_is_never_used_has_none(learner):
    f, x = learnt(learner)
    gain = evidence.gain(f)
    assert gain.shape == (len(NAMES),) and (gain >= 0).all() and set(np.argsort(-gain)[:4]) & {0, 3, 5, 7}
    assert not np.abs(learners.contributions(f, x)[:, :-1]).max(0)[gain == 0].any()


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_score_hangs_on_its_reasons_more_than_on_other_features(learner):
    f, x = learnt(learner)
    parts, margin = learners.contributions(f, x), learners.predict_margin(f, x)
    risky = np.argsort(-margin)[:200]
    fell = evidence.deletion(f, x[risky], parts[risky], evidence.Lenders(x, 1))
    found = evidence.fidelity(fell, risky // 2, 1)
    assert (
        found["deletion_over_random_low"] > 0
        and found["deletion_over_gain_low"] > 0
        and found["deletion_customers"] < 200 == found["deletion_rows"]
    )
    assert found["deletion_over_gain_low"] < found["deletion_over_gain"] < found["deletion_over_gain_high"]
    assert found["deletion_over_gain"] == pytest.approx(found["deletion_reasons"] - found["deletion_gain"], abs=2e-4)


def test_reasons_drawn_by_lot_are_no_better_than_any_others():
    f, x = learnt("xgboost")
    risky = np.argsort(-learners.predict_margin(f, x))[:200]
    lot = np.where(evidence.gain(f) > 0, np.random.default_rng(0).random((200, len(NAMES))), -1)
    found = evidence.fidelity(evidence.deletion(f, x[risky], lot, evidence.Lenders(x, 1)), np.arange(200), 1)
    assert found["deletion_over_random_low"] < 0 < found["deletion_over_random_high"]  # seed 1; 95 % interval


def test_everything_taken_away_leaves_the_margin_of_the_lenders():
    f, x = learnt("lightgbm")
    one = x[7:8]
    fell = evidence.falls(
        f, x[:50], np.broadcast_to(np.arange(len(NAMES)), (50, len(NAMES))), evidence.Lenders(one, 1), most=len(NAMES)
    )
    margin = learners.predict_margin(f, x[:50])
    assert fell[:, -1] == pytest.approx(margin - learners.predict_margin(f, one), abs=1e-9)
    changed = x[:50].copy()
    changed[:, 0] = one[0, 0]
    assert fell[:, 0] == pytest.approx(margin - learners.predict_margin(f, changed), abs=1e-9)


def test_scores_worth_telling_are_of_test_customers_with_a_known_outcome_at_the_threshold():
    n = 4000
    known = pd.DataFrame(
        dict(
            customer_id=np.arange(n),
            split=np.where(np.arange(n) % 2, "test", "live"),
            repeat=np.arange(n) % 3 - 1,
            eligible=np.arange(n) % 5 > 0,
            imminent=np.arange(n) % 7 == 0,
            target=np.where(np.arange(n) % 11, 0.0, np.nan),
            probability=np.arange(n) / n,
        )
    )
    asked, everybody = evidence.worth_telling(known, 0.6)
    assert len(asked) == len(everybody) == 300 and asked.probability.min() >= 0.6 and everybody.probability.min() < 0.01
    for some in (asked, everybody):
        assert (
            (some.split == "test").all()
            and some.eligible.all()
            and not some.imminent.any()
            and some.target.notna().all()
            and (some["repeat"] <= 0).all()
            and some.customer_id.is_unique
        )
    folds, _ = evidence.worth_telling(known.assign(split=known.split.replace("test", "fold")), 0.6)
    assert folds.index.equals(asked.index)
    none, _ = evidence.worth_telling(known, 2.0)
    assert (
        len(none) == 0
        and evidence.fidelity({k: np.empty((0, 3)) for k in ("reasons", "gain", "random")}, np.empty(0), 1)[
            "deletion_over_random"
        ]
        is None
    )
