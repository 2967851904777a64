"""Rows of dues: which are asked about, what they know, what became of them, and who may teach with them."""

import numpy as np
import pandas as pd
import pytest

from predelinquency.features import catalogue, offline
from predelinquency.ground import disk, params
from predelinquency.ground.core import SchemaError
from predelinquency.ground.facts import KEY, outcomes, standings
from predelinquency.ground.schema import FACTS, TARGET_KINDS
from predelinquency.model import champion, dues, each_due, rows
from predelinquency.model import labels as lb
from predelinquency.model.learners import Recipe

NAMES = catalogue.names()
BY = ["customer_id", "as_of", "obligation_id", "instalment"]


@pytest.fixture(scope="module")
def base(trained) -> params.Base:
    return params.section(params.Base, champion.load_champion(trained / "model").manifest["params"]["base"])


@pytest.fixture(scope="module")
def part(trained):
    return disk.parts(trained / "features", "dues")[0]


@pytest.fixture(scope="module")
def bank(trained, part):
    "The tables of one part, its labels and its dues."
    raw = {name: disk.read(trained / "raw", name, part) for name in ("obligations", "payments")}
    kept = {name: disk.read(trained / "features", name, part) for name in ("labels", "dues")}
    return raw | kept


def some_moments(bank, many=6):
    moments = np.sort(bank["labels"].as_of.unique())
    return [pd.Timestamp(t) for t in moments[:: max(len(moments) // many, 1)]]


def test_the_announced_dues_asked_about_are_those_that_stand_open(bank, base):
    known = bank["dues"][bank["dues"].asked_expected == 0]
    for moment in some_moments(bank):
        stand = standings(bank["obligations"], bank["payments"], moment, base.grace_days)
        ahead = (stand.due_on - moment).dt.days
        open_ = stand[stand.kind.isin(TARGET_KINDS) & (stand.state == "open") & ahead.between(1, 28)]
        eligible = bank["labels"].customer_id[(bank["labels"].as_of == moment) & bank["labels"].eligible]
        wanted = open_[open_.customer_id.isin(eligible)].sort_values(list(KEY))
        mine = known[known.as_of == moment]
        assert mine[list(KEY)].to_numpy().tolist() == wanted[list(KEY)].to_numpy().tolist()
        assert mine.asked_lead_days.tolist() == (wanted.due_on - moment).dt.days.tolist()


def test_an_expected_due_is_the_next_of_a_contract_that_has_announced_nothing_ahead(bank):
    expected = bank["dues"][bank["dues"].asked_expected == 1]
    assert len(expected) > 50 and (expected.asked_card == 1).mean() > 0.9
    owed = bank["obligations"]
    for row in expected.iloc[:: max(len(expected) // 40, 1)].itertuples():
        mine = owed[(owed.customer_id == row.customer_id) & (owed.obligation_id == row.obligation_id)]
        known = mine[mine.announced_at < row.as_of]
        assert known.instalment.max() + 1 == row.instalment and (known.due_on < row.as_of).all()
        later = mine[mine.instalment == row.instalment]
        if len(later):
            assert abs((later.due_on.iloc[0] - row.as_of).days - row.asked_lead_days) <= 4


def test_what_became_of_a_due_is_what_its_date_says_when_the_grace_is_over(bank, base):
    judged = outcomes(bank["obligations"], bank["payments"], base.grace_days)
    both = bank["dues"].merge(judged[[*KEY, "due_on", "missed"]], on=list(KEY))
    known = both[both.target.notna()]
    assert len(known) > 1000 and known.target.sum() > 5
    assert (known.target.astype(bool) == known.missed).all()
    assert ((known.due_on - known.as_of).dt.days <= base.horizon_to_days).all()
    assert both[both.split == "live"].target.isna().all()


def test_nothing_that_comes_later_changes_what_is_asked_or_known(trained, bank, base, part):
    whole, moment = offline.read_tables(trained / "raw", part), some_moments(bank)[3]
    came = dict(accounts="opened_on", obligations="announced_at", transactions="arrived_at", payments="arrived_at")
    known = {name: table[table[came[name]] < moment] for name, table in whole.items() if name in came}
    asks = bank["labels"][bank["labels"].as_of == moment]
    owed = bank["obligations"][bank["obligations"].announced_at < moment]
    paid = bank["payments"][bank["payments"].arrived_at < moment]
    early = dues.table(known, asks, owed, paid, base)
    late = bank["dues"][bank["dues"].as_of == moment].reset_index(drop=True)
    features = [f.name for f in catalogue.ASKED]
    pd.testing.assert_frame_equal(early[BY + features], late[BY + features])


def test_a_row_of_a_due_knows_its_customer_as_the_panel_does(trained, base, part):
    taken = rows.gather_dues(trained / "features", NAMES, base, 400_000, ["train"])["train"]
    panel = disk.read(trained / "features", "panel", part)
    own = {f.name for f in catalogue.ASKED}
    mine = taken.labels.customer_id.between(part.low, part.high - 1).to_numpy()
    there = taken.labels[mine][["customer_id", "as_of"]].merge(panel, on=["customer_id", "as_of"], how="left")
    others = [k for k, name in enumerate(NAMES) if name not in own]
    expected = there[[NAMES[k] for k in others]].to_numpy(np.float32)
    np.testing.assert_array_equal(taken.x[mine][:, others], expected)


def test_nobody_teaches_and_is_judged_and_sampling_takes_whole_customers(trained, base):
    taken = rows.gather_dues(trained / "features", NAMES, base, 400_000)
    people = {word: set(r.labels.customer_id) for word, r in taken.items() if word != "live"}
    words = list(people)
    assert all(not people[a] & people[b] for i, a in enumerate(words) for b in words[i + 1 :])
    few = rows.gather_dues(trained / "features", NAMES, base, 1_000, ["train"])["train"].labels
    many = taken["train"].labels
    assert 0 < len(few) < len(many)
    assert len(few) == len(many[many.customer_id.isin(few.customer_id)])


def test_a_due_asked_about_at_a_moment_that_is_not_there_is_refused():
    moments = pd.DataFrame(dict(customer_id=[1], as_of=pd.to_datetime(["2025-03-03"])))
    with pytest.raises(SchemaError, match="1 dues are asked about at moments that are not there"):
        rows.positions(moments, moments.assign(customer_id=2))


def card(**changes):
    "Three dues of a card, the last one with another fact."
    times = pd.to_datetime(["2025-03-15", "2025-04-15", "2025-05-15"])
    owed = pd.DataFrame(dict(customer_id=1, obligation_id=4, instalment=[1, 2, 3], kind="card", due_on=times))
    owed = owed.assign(amount_minor=100, enough_minor=100, currency="GBP", autopay=False, fact="announced")
    owed = owed.assign(announced_at=times - pd.Timedelta(days=21))
    more = owed.iloc[[2]].assign(**{k: pd.Timestamp(v) if k.endswith(("at", "on")) else v for k, v in changes.items()})
    owed = pd.concat([owed, more] if changes else [owed], ignore_index=True)
    times = {c: "datetime64[ms]" for c in ("due_on", "announced_at")}
    return owed.assign(fact=pd.Categorical(owed.fact, categories=FACTS)).astype(times)


def asked(owed, base, *days):
    paid = owed.drop_duplicates("instalment").iloc[:2]
    paid = paid[list(KEY)].assign(paid_at=paid.due_on, arrived_at=paid.due_on, amount_minor=100)
    moments = pd.DataFrame(dict(customer_id=1, as_of=pd.to_datetime(days))).astype({"as_of": "datetime64[ms]"})
    moments = moments.assign(eligible=True, split=pd.Categorical(["train"] * len(days), categories=lb.SPLIT_WORDS))
    paid = paid.assign(payment_id=pd.array([1, 2], "Int64"))
    found = dues.table(dict(obligations=owed, payments=paid), moments, owed, paid, base)
    told = found.target.astype(object).where(found.target.notna(), None)
    return list(zip(found.instalment, found.asked_lead_days.astype(int), told, strict=True))


def test_a_due_that_is_moved_is_asked_about_at_the_date_that_is_known(base):
    moved = card(fact="moved", announced_at="2025-05-05", due_on="2025-05-25")
    assert asked(moved, base, "2025-05-01", "2025-05-10") == [(3, 14, 1), (3, 15, 1)]


def test_a_due_that_is_waived_has_no_answer_and_is_asked_about_no_more(base):
    waived = card(fact="waived", announced_at="2025-05-05")
    assert asked(waived, base, "2025-05-01") == [(3, 14, None)]
    assert (3, 5) not in [one[:2] for one in asked(waived, base, "2025-05-10")]


def test_a_due_of_today_or_past_is_not_asked_about(base):
    assert asked(card(), base, "2025-05-14", "2025-05-15") == [(3, 1, 1)]


def test_a_card_is_asked_about_before_it_says_what_is_due(base):
    assert asked(card(), base, "2025-04-20") == [(3, 25, 1)]


def test_everybody_who_teaches_is_scored_by_a_fit_that_never_saw_them(trained, base, monkeypatch):
    taken = rows.gather_dues(trained / "features", NAMES, base, 400_000, ["train", "stop"])
    seen, of_customer = [], {}

    def fit(some, how, names):
        seen.append(set(some["train"].labels.customer_id))
        return {names[0]: len(seen) - 1}

    def margin(which, x):
        return np.full(len(x), float(which))

    monkeypatch.setattr(each_due, "fit_boosters", fit)
    monkeypatch.setattr(each_due.learners, "predict_margin", margin)
    settings = params.section(params.Train, champion.load_champion(trained / "model").manifest["params"]["train"])
    found = each_due.out_of_fold(taken, Recipe(NAMES, settings, {}, 1), "xgboost")
    for who, which in zip(taken["train"].labels.customer_id, found, strict=True):
        of_customer.setdefault(who, set()).add(int(which))
    assert len(seen) == each_due.FOLDS and {k for ks in of_customer.values() for k in ks} == set(range(len(seen)))
    assert all(who not in seen[k] for who, ks in of_customer.items() for k in ks)


def test_the_model_of_the_dues_keeps_every_declared_sign_and_says_what_it_is(trained):
    model, about = each_due.load_dues(trained / "model"), champion.read_manifest(trained / "model")["due"]
    assert about["calibration"]["kind"] == "lead" and about["rows"]["train"]["missed_dues"] > 5
    rng, at = np.random.default_rng(3), {name: k for k, name in enumerate(model.features)}
    x = disk.read_arrow(trained / "features", "panel", disk.parts(trained / "features", "panel")[0], NAMES)
    x = np.column_stack([x[name].to_numpy() for name in model.features]).astype(np.float32)[:400]
    x[:, at[lb.LEAD]] = rng.integers(1, 29, len(x))
    for feature in (f for f in catalogue.CATALOGUE if f.sign):
        low, high = x.copy(), x.copy()
        low[:, at[feature.name]], high[:, at[feature.name]] = -1e6, 1e6
        assert (feature.sign * (model.margin(high) - model.margin(low)) >= -1e-6).all(), feature.name


def test_a_model_of_dues_is_part_of_what_the_model_is(trained):
    about = champion.read_manifest(trained / "model")
    files = about["files"]
    assert {"due/xgboost.ubj", "due/lightgbm.txt"} <= set(files)
    assert champion.version_of(about, files) == about["version"]
    changed = dict(about, due=dict(about["due"], calibration=dict(about["due"]["calibration"], intercept=9.0)))
    assert champion.version_of(changed, files) != about["version"]
    assert champion.version_of(about, dict(files, **{"due/xgboost.ubj": "0" * 16})) != about["version"]
