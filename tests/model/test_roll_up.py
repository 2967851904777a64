"""The window's question, answered from the dues: which dues count, what they come to, and the same answer everywhere."""

import json

import numpy as np
import pandas as pd
import pytest

from predelinquency.ground import disk, params
from predelinquency.model import champion as model_champion
from predelinquency.model import dues, each_due, roll_up
from predelinquency.model.rows import Rows, gather_dues
from predelinquency.features import catalogue

DAY = pd.Timestamp("2025-03-03")
PLAIN = dict(kind="lead", intercept=0.0, slope=1.0, fortnight=0.0)


class Said:
    "A model of dues that says what its first input says."

    calibration = PLAIN

    def probability(self, x):
        return x[:, 0]


def rolled(line=None):
    return roll_up.RollUp(Said(), line or dict(kind="platt", intercept=0.0, slope=1.0), 15, 28)


def owed(*said):
    "Dues: customer, lead, chance."
    frame = pd.DataFrame(said, columns=["customer_id", "onset_in_days", "chance"])
    return Rows(frame.assign(as_of=DAY), frame[["chance"]].to_numpy())


def moments(*who):
    return pd.DataFrame(dict(customer_id=list(who), as_of=DAY))


@pytest.mark.fast
def test_a_chance_is_that_of_at_least_one_due_of_the_window():
    found = rolled().chance(moments(1, 2, 3), owed((2, 20, 0.25), (1, 15, 0.1), (1, 28, 0.2)))
    assert found == pytest.approx([1 - 0.9 * 0.8, 0.25, 0], abs=2e-5)


@pytest.mark.fast
@pytest.mark.parametrize(("lead", "counts"), [(14, False), (15, True), (28, True), (29, False)])
def test_only_the_days_of_the_window_count(lead, counts):
    [found] = rolled().chance(moments(7), owed((7, lead, 0.5)))
    assert bool(found > 0.4) is counts


@pytest.mark.fast
def test_nobody_is_safe_beyond_doubt_and_a_certain_miss_is_a_number():
    low, high = rolled().margin(moments(1, 2), owed((2, 20, 1.0)))
    assert low == pytest.approx(np.log(roll_up.FLOOR)) and np.isfinite(high) and high > 30


@pytest.mark.fast
def test_a_due_of_another_moment_does_not_count():
    later = owed((1, 20, 0.5))
    later.labels["as_of"] = DAY + pd.Timedelta(days=7)
    assert rolled().margin(moments(1), later)[0] == pytest.approx(np.log(roll_up.FLOOR))


@pytest.mark.fast
def test_one_customer_gets_what_a_book_gets_to_the_last_bit():
    rng = np.random.default_rng(5)
    said = [(0, int(lead), chance) for lead, chance in zip(rng.integers(1, 29, 9), rng.random(9) ** 3, strict=True)]
    lead, chance = (np.array([s[k] for s in said], float) for k in (1, 2))
    assert rolled().of_one(chance, lead) == rolled().margin(moments(0), owed(*said))[0]


@pytest.mark.fast
def test_the_reasons_are_about_the_likeliest_due_of_the_window_or_else_of_all():
    lead = np.array([3.0, 20.0, 16.0])
    assert rolled().speaks_of(np.array([0.9, 0.1, 0.2]), lead) == 2
    assert rolled().speaks_of(np.array([0.1, 0.3]), np.array([9.0, 2.0])) == 1


@pytest.mark.fast
def test_the_line_mends_a_level_and_learns_from_nobody_who_is_imminent():
    rng, n = np.random.default_rng(2), 6_000
    true = 1 / (1 + np.exp(-rng.normal(-3, 1.2, n)))
    who = pd.DataFrame(dict(customer_id=np.arange(n), as_of=DAY, eligible=True, imminent=False))
    missed = pd.array((rng.random(n) < true).astype(int), dtype="Int32")
    windows = Rows(who.assign(target=missed), np.empty((n, 0)))
    ahead = Rows(who.assign(target=missed, onset_in_days=20.0), np.empty((n, 0)))
    doubled = np.log(true / (1 - true)) + np.log(2)
    settings = params.load().base
    of = dict(train=doubled, calibrate=doubled[:0])
    none = np.zeros(n, bool)
    each = each_due.LearnedDues(dict(xgboost=None), "xgboost", PLAIN, {}, of)
    both = dict(train=ahead, calibrate=ahead.where(none)), dict(train=windows, calibrate=windows.where(none))
    line = roll_up.fit_line(each, *both, settings).line
    assert line["slope"] == pytest.approx(1, abs=0.12) and line["intercept"] == pytest.approx(-np.log(2), abs=0.3)
    soon = np.arange(n) < 1_000
    flagged = Rows(windows.labels.assign(imminent=soon), windows.x)
    lines = [
        roll_up.fit_line(each, both[0], dict(train=some, calibrate=windows.where(none)), settings).line
        for some in (flagged, windows.where(~soon))
    ]
    assert lines[0] == lines[1] != line


def test_every_answer_of_a_run_is_what_its_dues_come_to(trained):
    root, champion = trained, model_champion.load_champion(trained / "model")
    roll = roll_up.load_roll_up(root / "model")
    base = params.section(params.Base, champion.manifest["params"]["base"])
    scored = pd.read_parquet(root / "model/predictions.parquet")
    scored = scored[(scored.split == "test") & scored.eligible].reset_index(drop=True)
    rows = gather_dues(root / "features", catalogue.names(), base, 10**6, ["test"])["test"]
    assert (roll.chance(scored, rows) == scored.probability).all() and scored.direct.notna().all()
    assert scored.probability.nunique() > 50 and not (scored.direct == scored.margin).any()
    part = disk.parts(root / "features", "labels")[0]
    labels = disk.read(root / "features", "labels", part)
    some = labels[labels.eligible & (labels.split == "test")]
    _, again = roll_up.of_part(root / "features", part, some, champion, roll)
    both = some.assign(again=again).merge(scored, on=["customer_id", "as_of"])
    assert len(both) and (both.again == both.probability).all()


def test_another_line_is_another_model(trained):
    about = json.loads((trained / "model/manifest.json").read_text())
    other = about | dict(roll_up=about["roll_up"] | dict(intercept=9.0))
    assert model_champion.version_of(about, about["files"]) == about["version"]
    assert model_champion.version_of(other, about["files"]) != about["version"]


def test_what_a_request_asks_about_is_what_the_table_of_dues_holds(trained):
    base = params.section(params.Base, model_champion.load_champion(trained / "model").manifest["params"]["base"])
    part = disk.parts(trained / "raw", "obligations")[0]
    owed_, paid = (disk.read(trained / "raw", name, part) for name in ("obligations", "payments"))
    table = disk.read(trained / "features", "dues", part)
    for who in table.customer_id.unique()[:6]:
        mine = owed_[owed_.customer_id == who].reset_index(drop=True)
        facts = dues._targets(mine, paid[paid.customer_id == who].reset_index(drop=True), base)
        for when, rows in table[table.customer_id == who].groupby("as_of"):
            day = int(when.to_datetime64().astype("datetime64[D]").astype(int))
            asked = dues.ahead(facts.facts, facts.paid, facts.kind, day, base.horizon_to_days)
            assert set(map(tuple, rows[["obligation_id", "instalment"]].to_numpy())) <= set(map(tuple, asked))
