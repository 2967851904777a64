"""Leaks planted in copies of a small world, each watched being caught; and honest copies that hold."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from predelinquency.features import catalogue
from predelinquency.ground import disk, params
from predelinquency.ground.core import LeakageError, project_folder
from predelinquency.judge import tripwires as tw
from predelinquency.model import rows as model_rows
from predelinquency.model.rows import Rows
from predelinquency.ops import stages

PROJECT = project_folder()
PARAMS = params.load(PROJECT / "params.yaml")
NAMES = catalogue.names()


@pytest.fixture(scope="module")
def few(trained) -> tw.Sample:
    "A handful of the small world's rows."
    return tw.sample(trained / "raw", trained / "features", NAMES, 5, 10)


@pytest.fixture(scope="module")
def gathered(trained) -> dict[str, Rows]:
    return model_rows.gather(trained / "features", NAMES, PARAMS.base, 10_000)


def held(wires) -> dict[str, bool | None]:
    return {w.name: w.held for w in wires}


def strangers(customers, weeks=6, seed=0):
    "Rows whose inputs are a customer's face: the same numbers every week."
    rng, face = np.random.default_rng(seed), np.random.default_rng(99).normal(size=(4_000, 4)).astype(np.float32)
    who = np.repeat(customers, weeks)
    return Rows(
        pd.DataFrame(
            dict(
                customer_id=who,
                as_of=np.tile(pd.date_range("2025-01-06", periods=weeks, freq="7D"), len(customers)),
                target=(rng.random(len(who)) < 0.12).astype(int),
            )
        ),
        face[who],
    )


def test_a_broken_tripwire_is_refused_by_name_and_one_that_cannot_be_asked_is_not():
    fine, broken, silent = (
        tw.Tripwire("truncation", True, "fine"),
        tw.Tripwire("future_noise", False, "3 of 24 differ"),
        tw.Tripwire("timeless", None, "one moment"),
    )
    assert tw.check_wires([fine, silent]) == dict(truncation=True, timeless=None)
    with pytest.raises(LeakageError, match="tripwire future_noise: 3 of 24 differ"):
        tw.check_wires([fine, broken, silent])


def test_outcomes_change_hands_as_whole_sequences_and_nothing_is_lost():
    rows = strangers(np.arange(50))
    given = tw.shuffled([rows], 3, 0)[0]
    mine, theirs = (y.reshape(50, 6).astype(int) for y in (rows.y, given))
    turned = {tuple(np.roll(row, k)) for row in mine for k in range(6)}
    assert given.sum() == rows.y.sum() and all(tuple(row) in turned for row in theirs)
    assert (
        (mine.sum(1) != theirs.sum(1)).any()
        and (tw.shuffled([rows], 3, 1)[0] != given).any()
        and (tw.shuffled([rows], 3, 0)[0] == given).all()
    )


def test_a_customer_in_both_parts_takes_the_same_outcomes_along():
    a, b = strangers(np.arange(40)), strangers(np.arange(40))
    ones = (
        Rows(a.labels.assign(target=(a.labels.customer_id % 2).astype(int)), a.x),
        Rows(b.labels.assign(target=(b.labels.customer_id % 2).astype(int)), b.x),
    )
    first, second = tw.shuffled(list(ones), 3, 0)
    assert (first == second).all()


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_labels_teach_nothing_when_nobody_is_on_both_sides(seed):
    aucs = tw.shuffled_aucs(
        strangers(np.arange(500)), strangers(np.arange(500, 900), seed=1), list("abcd"), PARAMS.train, seed
    )
    assert tw.shuffled_labels(aucs).held


def test_customers_on_both_sides_of_the_split_are_noticed_by_shuffled_labels():
    aucs = tw.shuffled_aucs(strangers(np.arange(500)), strangers(np.arange(300), seed=1), list("abcd"), PARAMS.train, 1)
    assert tw.shuffled_labels(aucs).held is False and np.mean(aucs) > 0.55


def test_the_band_is_students_at_one_in_a_thousand():
    assert pytest.approx(stats.t.ppf(0.9995, 19), abs=1e-4) == tw.STUDENT_999
    rng, over = np.random.default_rng(0), 0
    for _ in range(20_000):
        over += not tw.shuffled_labels(rng.normal(0.5, 0.02, 20)).held
    assert 8 <= over <= 36, over  # 20 of 20,000 expected


def test_features_of_the_panel_do_not_know_the_future_nor_the_customers_number(few):
    wires = [*tw.future(few, 5), tw.service_path(few), tw.nameless(few)]
    assert held(wires) == dict.fromkeys(["panel_again", "truncation", "future_noise", "service_path", "nameless"], True)
    assert all("10 rows" in w.says for w in wires)


def test_a_panel_that_was_touched_is_noticed(few):
    stored = few.stored.copy()
    stored[3, 7] = np.nextafter(stored[3, 7], np.float32(np.inf)) if np.isfinite(stored[3, 7]) else 0
    touched = replace(few, stored=stored)
    assert held([*tw.future(touched, 5), tw.service_path(touched), tw.nameless(touched)]) == dict.fromkeys(
        ["panel_again", "truncation", "future_noise", "service_path", "nameless"], False
    )


def test_a_feature_of_the_next_four_weeks_is_caught(few):
    leaky = replace(few, stored=tw.future_leak(few.tables, few.asked))
    assert held(tw.future(leaky, 5, tw.future_leak)) == dict(panel_again=True, truncation=False, future_noise=False)


def test_a_feature_that_peeks_one_day_ahead_is_caught(few):
    def tomorrow(tables, asked):
        found = tw.computed(tables, asked)
        later = tw.computed(tables, asked.assign(as_of=asked.as_of + pd.Timedelta(days=1)))
        found[:, 5] = later[:, 5]
        return found

    column = next(
        j
        for j in range(len(NAMES))
        if (
            tw.computed(few.tables, few.asked)[:, j]
            != tw.computed(few.tables, few.asked.assign(as_of=few.asked.as_of + pd.Timedelta(days=1)))[:, j]
        ).any()
        and NAMES[j].startswith("balance")
    )

    def peek(tables, asked):
        found = tw.computed(tables, asked)
        found[:, column] = tw.computed(tables, asked.assign(as_of=asked.as_of + pd.Timedelta(days=1)))[:, column]
        return found

    assert held(tw.future(replace(few, stored=peek(few.tables, few.asked)), 5, peek))["truncation"] is False


def test_a_feature_that_is_the_customers_number_is_caught(few):
    assert tw.nameless(replace(few, stored=tw.name_leak(few.tables, few.asked)), tw.name_leak).held is False


def test_a_feature_that_is_the_label_is_caught_and_a_good_one_is_not():
    rng = np.random.default_rng(1)
    rows = strangers(np.arange(600))
    good = tw.with_input(rows, rows.y * 1.5 + rng.normal(size=len(rows.y)))
    assert tw.single_feature(good, list("abcd")).held and tw.single_aucs(good)[0] > 0.8
    for leak in (rows.y, -rows.y, rows.y * 9 + rng.normal(size=len(rows.y))):
        assert tw.single_feature(tw.with_input(rows, leak), list("abcd")).held is False


def test_few_misses_do_not_make_a_leak_of_a_good_feature():
    rng = np.random.default_rng(1)
    rows = strangers(np.arange(40), weeks=5)
    rows = Rows(rows.labels.assign(target=(rows.labels.customer_id < 4).astype(int)), rows.x)
    lucky = tw.with_input(rows, rows.y * 3 + rng.normal(size=len(rows.y)))
    assert tw.single_aucs(lucky)[0] > 0.95 and tw.single_feature(lucky, list("abcd")).held


def test_a_feature_that_is_the_week_is_caught_whatever_its_form(gathered):
    rows = gathered["train"].usable()
    day = rows.labels.as_of.to_numpy("datetime64[D]").astype(np.int64)
    assert tw.timeless(rows, NAMES).held
    for clock in (day, np.sin(day), np.unique(day, return_inverse=True)[1] % 2):
        assert tw.timeless(tw.with_input(rows, clock.astype(np.float32)), NAMES).held is False
    told = tw.timeless(tw.with_input(rows, day.astype(np.float32)), NAMES, simulated=False)
    assert told.held is None and "100%" in told.says, (
        "a bank's extract begins on one day for everybody: its history is a clock"
    )
    assert tw.timeless(rows, NAMES, simulated=False).held


def test_a_column_from_elsewhere_is_caught(trained, tmp_path):
    assert tw.columns(trained / "raw", trained / "features", trained / "model").held
    shutil.copytree(trained / "features", tmp_path / "features")
    path = sorted((tmp_path / "features/panel").glob("*.parquet"))[-1]
    pd.read_parquet(path).assign(hidden_pay_share=0.5).to_parquet(path)
    found = tw.columns(trained / "raw", tmp_path / "features", trained / "model")
    assert found.held is False and "panel has or lacks hidden_pay_share" in found.says
    shutil.copytree(trained / "model", tmp_path / "model")
    manifest = json.loads((tmp_path / "model/manifest.json").read_text())
    (tmp_path / "model/manifest.json").write_text(
        json.dumps(manifest | dict(features=[*manifest["features"], "hardship"]))
    )
    assert "hardship" in tw.columns(trained / "raw", trained / "features", tmp_path / "model").says


def test_a_penny_too_much_is_caught(trained, tmp_path):
    assert tw.money_wire(trained / "raw").held
    part = disk.parts(trained / "raw", "transactions")[0]
    frame = disk.read(trained / "raw", "transactions", part)
    booked = np.flatnonzero(frame.status != "failed")
    (tmp_path / "transactions").mkdir()
    for column, value in (("amount_minor", 1), ("balance_after_minor", -1)):
        odd = frame.copy()
        odd.loc[odd.index[booked[500]], column] += value
        odd.to_parquet(tmp_path / "transactions" / part.file)
        assert tw.money_wire(tmp_path).held is False
        own = tw.money_wire(tmp_path, simulated=False)  # a bank's own books are told of, not judged
        assert own.held is None and "do not fit their balance" in own.says
    frame.assign(balance_after_minor=pd.array([pd.NA] * len(frame), dtype="Int64")).to_parquet(
        tmp_path / "transactions" / part.file
    )
    assert tw.money_wire(tmp_path).held is None


def test_a_future_cannot_leak_where_none_is_on_record(few, gathered):
    last = few.asked["as_of"].min()
    ended = replace(few, tables={name: frame[frame[tw.ARRIVES[name]] < last] for name, frame in few.tables.items()})
    assert held(tw.planted(gathered["train"].usable(), NAMES, ended, 5))["planted_future"] is None


def test_every_plant_is_caught_and_a_plant_that_is_not_is_a_broken_tripwire(few, gathered, monkeypatch):
    rows = gathered["train"].usable()
    assert held(tw.planted(rows, NAMES, few, 5)) == dict(planted_label=True, planted_future=True, planted_identity=True)
    monkeypatch.setattr(tw, "nameless", lambda *a: tw.Tripwire("nameless", True, "asleep"))
    found = tw.planted(rows, NAMES, few, 5)
    assert held(found)["planted_identity"] is False and "not caught by nameless" in found[-1].says


def test_the_run_asks_every_question_and_its_report_says_so(trained):
    metrics = json.loads((trained / "reports/metrics.json").read_text())
    asked = {
        "shuffled_labels",
        "panel_again",
        "truncation",
        "future_noise",
        "service_path",
        "nameless",
        "timeless",
        "single_feature",
        "no_latent_column",
        "money_conserved",
        "planted_label",
        "planted_future",
        "planted_identity",
    }
    assert metrics["tripwires"].keys() >= asked and all(metrics["tripwires"][name] is True for name in asked)


def test_a_run_whose_panel_knows_the_future_stops_before_it_writes_a_figure(trained, tmp_path):
    root = tmp_path / "run"
    shutil.copytree(trained, root)
    for path in (root / "features/panel").glob("*.parquet"):
        table = pd.read_parquet(path)
        table["balance"] = table["balance"] + np.float32(1)
        table.to_parquet(path)
    before = (root / "reports/metrics.json").read_bytes()
    with pytest.raises(LeakageError, match=r"tripwire panel_again.*tripwire truncation"):
        stages.run(
            "evaluate",
            root,
            {"simulate.customers": 300, "base.customers_per_part": 100, "evaluate.bootstrap": 20},
            PROJECT,
        )
    assert (root / "reports/metrics.json").read_bytes() == before
    assert "BROKEN" in (root / "reports/evaluate.failed.ipynb").read_text()
