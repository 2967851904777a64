"""Alerts, months, drift, help and refits, each against a slow count or a case made by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as peer

from predelinquency.features import catalogue
from predelinquency.ground import params
from predelinquency.ground.core import project_folder
from predelinquency.judge import alerts as st
from predelinquency.judge import drift, intervals, metrics, needs, statistics
from predelinquency.judge import groups as judge_groups
from predelinquency.model.learners import Recipe
from predelinquency.model.rows import Rows

PARAMS = params.load(project_folder() / "params.yaml")
BASE, FEW = replace(PARAMS.base, seed=11), replace(PARAMS.evaluate, bootstrap=60)
MONDAY = pd.Timestamp("2025-03-03")


def lists(*rows):
    "A customer a row, a week a digit: 1 on the list, 0 not, - not eligible."
    return pd.DataFrame(
        [
            dict(customer_id=c, as_of=MONDAY + pd.Timedelta(days=7 * k), on_list=word == "1")
            for c, row in enumerate(rows)
            for k, word in enumerate(row)
            if word != "-"
        ]
    )


def watched(customers=300, weeks=14, seed=4):
    "Weekly rows with a miss that comes, and a score that knows something of it."
    rng = np.random.default_rng(seed)
    grid = np.datetime64("2025-03-03", "ms") + np.arange(weeks) * np.timedelta64(7, "D")
    days = np.repeat(np.where(rng.random(customers) < 0.4, rng.integers(20, 120, customers), 10_000), weeks) - np.tile(
        np.arange(weeks) * 7, customers
    )
    p = np.clip(0.02 + 0.2 * (days < 50) * rng.random(len(days)) + 0.02 * rng.random(len(days)), 0, 1)
    frame = pd.DataFrame(
        dict(
            customer_id=np.repeat(np.arange(customers), weeks),
            as_of=np.tile(grid, customers),
            repeat=0,
            split="test",
            onset_in_days=np.where((days >= 0) & (days <= 28), days, np.nan),
            eligible=True,
            imminent=(days > 0) & (days < 15),
            target=((days >= 15) & (days <= 28)).astype(int),
            probability=p,
        )
    )
    return statistics.judged(statistics.checked(frame[days > 0]), imminent=True)


def test_a_customer_on_the_list_week_after_week_is_alerted_once_in_four_weeks():
    sent = st.alerts(lists("111111111", "010001000", "000000001"))
    weeks = ((sent.as_of - MONDAY).dt.days // 7).groupby(sent.customer_id).apply(list)
    assert weeks.to_dict() == {0: [0, 4, 8], 1: [1, 5], 2: [8]}


@pytest.mark.parametrize(
    ("row", "first", "in_time"),
    [
        ("1000000", 40, True),
        ("0001000", 19, True),
        ("0000100", 12, False),
        ("0000000", None, False),
        ("1000100", 40, True),
    ],
)
def test_an_alert_counts_when_it_comes_15_to_42_days_before_the_due_date(row, first, in_time):
    missed = pd.DataFrame(dict(customer_id=[0], on=[MONDAY + pd.Timedelta(days=40)]))
    told = st.warned(missed, st.alerts(lists(row)))
    assert (told.in_time.iloc[0], None if pd.isna(told["first"].iloc[0]) else told["first"].iloc[0]) == (in_time, first)


@pytest.mark.parametrize(
    ("days", "fate"), [(14, "late"), (15, "in_time"), (42, "in_time"), (43, "false"), (0, "late"), (-1, "false")]
)
def test_the_fate_of_an_alert_is_decided_by_the_days_to_the_next_miss(days, fate):
    missed = pd.DataFrame(dict(customer_id=[0], on=[MONDAY + pd.Timedelta(days=days)]))
    assert st.fates(st.alerts(lists("1000")), missed).tolist() == [fate]


def test_a_timely_miss_outweighs_a_late_one():
    missed = pd.DataFrame(dict(customer_id=[0, 0], on=MONDAY + pd.to_timedelta([3, 33], unit="D")))
    assert st.fates(st.alerts(lists("1000")), missed).tolist() == ["in_time"]


def test_who_leaves_the_list_and_returns_within_four_weeks_flaps():
    found = st.flapping(lists("11000000", "10100000", "10000100", "1-100000", "00000011"), 7)
    assert found.groupby("customer_id").stays.apply(list).to_dict() == {
        0: [True, False],
        1: [False, False],
        2: [False],
        3: [False],
    }
    assert found.groupby("customer_id").back.apply(list).to_dict() == {
        0: [False, False],
        1: [True, False],
        2: [False],
        3: [False],
    }


def by_hand(everyone, share):
    "Recall in time, false per timely alert and median days, customer by customer, the slow way."
    weeks = sorted(everyone.as_of.unique())
    on_list = {
        w: set(g.nlargest(round(share * len(g)), "probability").customer_id) for w, g in everyone.groupby("as_of")
    }
    sent, misses = {}, {}
    for c, g in everyone.groupby("customer_id"):
        sent[c] = []
        for w in g.as_of:
            if c in on_list[w] and (not sent[c] or (w - sent[c][-1]).days >= 28):
                sent[c].append(w)
        misses[c] = {w + pd.Timedelta(days=int(d)) for w, d in zip(g.as_of, g.onset_in_days, strict=True) if d >= 0}
    day = pd.Timedelta(days=1)
    counted = [
        (c, on)
        for c in misses
        for on in misses[c]
        if on - 42 * day > weeks[0] - 7 * day and on - 15 * day < weeks[-1] + 7 * day
    ]
    leads = [max([(on - w).days for w in sent[c] if 0 <= (on - w).days <= 42], default=None) for c, on in counted]
    recall = np.mean([any(15 <= (on - w).days <= 42 for w in sent[c]) for c, on in counted])
    judged = [(c, w) for c in sent for w in sent[c] if w <= weeks[-1] - 14 * day]
    true = [any(15 <= (on - w).days <= 42 for on in misses[c]) for c, w in judged]
    none = [not any(0 <= (on - w).days <= 42 for on in misses[c]) for c, w in judged]
    return recall, np.median([d for d in leads if d is not None]), sum(none) / sum(true), len(counted)


def test_recall_lead_and_false_alerts_equal_a_slow_count():
    everyone = watched()
    plan = st.lead(everyone, np.arange(300), 0.1)
    found = {k.removeprefix("lead."): f(np.ones(300)) for k, f in plan.statistics.items()}
    # a share of a week may end inside a customer: the list keeps those with more than half of a place, as rounding does
    recall, median, false, misses = by_hand(everyone, 0.1)
    assert found["recall_5pct_15_42d"] == pytest.approx(recall)
    assert abs(found["median_days"] - median) <= 1
    assert found["false_per_true"] == pytest.approx(false)
    assert found["misses"] == misses > 30


def test_a_median_over_draws_is_the_median_of_the_drawn():
    days, owner = np.array([5.0, 9.0, 20.0, 30.0, 31.0]), np.array([0, 1, 2, 0, 1])
    for weight in ([1, 1, 1], [3, 0, 0], [0, 5, 1]):
        drawn = np.repeat(days, np.array(weight)[owner])
        assert st.median_days(days, owner)(np.array(weight, float)) == np.sort(drawn)[(len(drawn) - 1) // 2]


def test_without_weekly_lists_there_is_no_lead_time():
    everyone = watched(60).assign(split="fold")
    found = needs.measure_needs([st.lead(everyone, np.arange(60))], np.arange(60), BASE, FEW)["lead"]
    assert found["recall_5pct_15_42d"] is None and found["why"]


def test_groups_are_judged_among_their_own():
    everyone = watched()
    rows = everyone[~everyone.imminent]
    side = np.where(rows.customer_id % 3 == 0, "a", "b")
    found = needs.measure_needs(
        [drift.grouped(statistics.Rows(rows, np.arange(300)), {"side": side}, "slices")], np.arange(300), BASE, FEW
    )["slices"]["side"]
    for word in "ab":
        some = rows[side == word]
        assert found[word]["auc"] == pytest.approx(peer.roc_auc_score(some.y, some.probability), abs=1e-4)
        assert found[word]["observed_expected"] == pytest.approx(some.y.sum() / some.probability.sum(), rel=1e-3)
        assert found[word]["share"] == pytest.approx((side == word).mean(), abs=1e-4)


def test_the_worst_month_is_the_lowest_of_all_months_when_they_are_known():
    every = {"2025-01": {"auc": 0.7, "low": 0.6, "high": 0.8}, "2025-02": {"auc": 0.8}, "why": "x"}
    assert drift.worst_month({"by_month": {"2025-03": {"auc": 0.6}}, "every_month": every}) == dict(
        worst_month="2025-01", worst_month_auc=0.7, worst_month_auc_low=0.6, worst_month_auc_high=0.8
    )
    assert drift.worst_month({"by_month": {"2025-03": {"auc": 0.6}}}) == dict(
        worst_month="2025-03", worst_month_auc=0.6, worst_month_auc_low=None, worst_month_auc_high=None
    )
    assert drift.worst_month({"by_month": {"auc": None, "why": "none"}}) == dict(
        worst_month_why="in no month did enough customers miss for an AUC",
        worst_month=None,
        worst_month_auc=None,
        worst_month_auc_low=None,
        worst_month_auc_high=None,
    )


def test_the_stability_index_is_the_sum_over_bins():
    before, after = np.arange(1000.0), np.r_[np.arange(0.0, 500.0), np.arange(0.0, 1000.0)]
    value, bins = drift.psi(before, after)
    a = np.bincount(np.minimum((before // 100).astype(int), 9)) / 1000
    b = np.bincount(np.minimum((after // 100).astype(int), 9)) / 1500
    assert bins == 10 and value == pytest.approx(((a - b) * np.log(a / b)).sum(), abs=0.003)


def test_what_is_unknown_is_a_bin_of_its_own():
    before, grown = np.r_[np.arange(500.0), np.full(500, np.nan)], np.r_[np.arange(500.0), np.full(500, 490.0)]
    assert drift.psi(before, before)[0] == pytest.approx(0) and drift.psi(before, grown)[0] > 1


@pytest.mark.parametrize(("n", "m"), [(200, 300), (2000, 700)])
def test_when_nothing_moved_the_limit_is_exceeded_as_often_as_it_says(n, m):
    rng, over = np.random.default_rng(5), 0
    for _ in range(600):
        value, bins = drift.psi(rng.normal(size=n), rng.normal(size=m))
        over += value > drift.psi_limit(n, m, bins, 0.95)
    assert 12 <= over <= 52, (
        over
    )  # 30 of 600 expected; two standard deviations of chance, and the edges come from one of the samples


def test_help_offered_is_counted_as_by_hand():
    everyone = watched().assign(contacted=lambda d: (d.probability > 0.1) * 1.0)
    people = pd.DataFrame(dict(customer_id=np.arange(300), side=np.where(np.arange(300) < 100, "few", "many")))
    found = judge_groups.help_offered(everyone, people).set_index("group")
    plan = judge_groups.fairness(everyone, people, np.arange(300))
    for word, some in everyone.groupby(np.where(everyone.customer_id < 100, "few", "many")):
        assert found.loc[word, "rows"] == len(some)
        assert found.loc[word, "offered"] == pytest.approx(some.contacted.mean())
        assert found.loc[word, "found"] == pytest.approx(some.contacted[some.y > 0].mean())
        assert found.loc[word, ["missed", "said"]].tolist() == pytest.approx([some.y.mean(), some.probability.mean()])
    for key, column in (("impact_ratio", "offered"), ("opportunity_ratio", "found")):
        assert plan.statistics[f"fairness.side.{key}"](np.ones(300)) == pytest.approx(
            found[column].min() / found[column].max()
        )


def test_a_ratio_of_groups_lies_in_its_own_interval():
    who = np.repeat(np.arange(300), 4)
    everyone = pd.DataFrame(
        dict(customer_id=who, y=(who // 12 % 3 == 0) * 1.0, contacted=((who // 12 % 2 == 1) | (who == 0)) * 1.0)
    ).assign(as_of=np.tile(MONDAY + pd.to_timedelta(np.arange(4) * 7, unit="D"), 300))
    people = pd.DataFrame(
        dict(customer_id=np.arange(300), letter=[f"{i % 12}" for i in range(300)])
    )  # a dozen groups, all alike but for one customer
    for key, found in intervals.estimate(
        judge_groups.fairness(everyone, people, np.arange(300)).statistics, 300, 200
    ).items():
        assert found.low < found.value < found.high, key


def slowly_in_time(everyone, share, low, high):
    "The promised recall of the weekly lists, counted miss by miss."
    sent = {}
    for day, week in everyone.groupby("as_of"):
        taken = week.sort_values("probability", ascending=False).customer_id.iloc[: round(share * len(week))]
        for who in taken:
            if not sent.get(who) or (day - sent[who][-1]).days >= st.QUIET_DAYS:
                sent.setdefault(who, []).append(day)
    first, last = everyone.as_of.min() - pd.Timedelta(days=7), everyone.as_of.max() + pd.Timedelta(days=7)
    told = [
        any(low <= (miss.on - day).days <= high for day in sent.get(miss.customer_id, []))
        for miss in st.misses(everyone).itertuples()
        if miss.on - pd.Timedelta(days=high) > first and miss.on - pd.Timedelta(days=low) < last
    ]
    return np.mean(told), len(told)


def full_weeks():
    "Weeks with the same two hundred customers, so that a tenth of each is a whole number."
    everyone = watched(200)
    wanted = pd.MultiIndex.from_product([np.unique(everyone.customer_id), np.unique(everyone.as_of)])
    rows = (
        everyone.set_index(["customer_id", "as_of"]).reindex(wanted.set_names(["customer_id", "as_of"])).reset_index()
    )
    words = dict(repeat=0, split="test", y=0.0, probability=0.0, obligation_id=-1, instalment=0)
    return rows.fillna(words).astype({"repeat": int})


def test_recall_as_promised_counts_alerts_of_the_promised_days_and_no_earlier_ones():
    everyone = full_weeks()
    found = st.as_promised(everyone, np.arange(200), 0.1, seed=1).statistics
    slow, of = slowly_in_time(everyone, 0.1, 15, 28)
    wider, _ = slowly_in_time(everyone, 0.1, 15, 42)
    assert of > 30 and found["recall.15_28d"](np.ones(200)) == pytest.approx(slow) and slow < wider
    lead = st.lead(everyone, np.arange(200), 0.1).statistics
    assert lead["lead.recall_5pct_15_42d"](np.ones(200)) == pytest.approx(wider)


def test_a_blind_list_is_of_the_same_size_and_finds_what_its_size_lets_it():
    everyone = full_weeks()
    lists = [st.listed(st.blind(everyone, k, 3), 0.1) for k in range(40)]
    assert all((one.groupby("as_of").on_list.sum() == 20).all() for one in lists)
    assert not lists[0].equals(lists[1]) and lists[0].equals(st.listed(st.blind(everyone, 0, 3), 0.1))
    found = st.as_promised(everyone, np.arange(200), 0.1, seed=3).statistics
    slow = np.mean([slowly_in_time(st.blind(everyone, k, 3), 0.1, 15, 28)[0] for k in range(st.BLIND_LISTS)])
    assert found["recall.random"](np.ones(200)) == pytest.approx(slow)
    assert 0.1 < slow < 0.2 < found["recall.15_28d"](np.ones(200))  # two places in ten weeks' lists, less the quiet


def test_precision_is_of_those_contacted_and_of_a_blind_list_the_base_rate():
    everyone = full_weeks()
    found = st.as_promised(everyone, np.arange(200), 0.1, seed=1).statistics
    taken = everyone.groupby("as_of").probability.rank(ascending=False, method="first") <= 20
    assert found["precision_at_capacity.missed"](np.ones(200)) == pytest.approx(everyone.y[taken].mean())
    assert found["precision_at_capacity.random"](np.ones(200)) == pytest.approx(everyone.y.mean())


def test_without_weekly_lists_nothing_was_promised_and_a_score_that_knows_nobody_has_no_list():
    everyone = watched()
    folded = st.as_promised(everyone.assign(split="fold"), np.arange(300), 0.1, seed=1)
    assert set(folded.absent) == {"recall.15_28d", "recall.random"} and len(folded.statistics) == 2
    blank = st.as_promised(everyone.assign(probability=0.02), np.arange(300), 0.1, seed=1)
    assert set(blank.absent) == {"recall.15_28d", "recall.random", "precision_at_capacity.missed"}
    assert set(blank.absent.values()) == {statistics.SAME}


def made(customers=400, weeks=10, seed=2):
    "Rows whose first input moves the risk, whose second copies it with noise, and whose third says nothing."
    rng, n = np.random.default_rng(seed), customers * weeks
    x = np.c_[rng.normal(size=n), np.zeros(n), rng.normal(size=n)].astype(np.float32)
    x[:, 1] = x[:, 0] + rng.normal(size=n) * 0.05
    y = (rng.random(n) < 1 / (1 + np.exp(3 - 1.6 * x[:, 0]))).astype(int)
    labels = pd.DataFrame(
        dict(
            customer_id=np.repeat(np.arange(customers), weeks),
            as_of=np.tile(MONDAY + pd.to_timedelta(np.arange(weeks) * 7, unit="D"), customers),
            target=y,
        )
    )
    return Rows(labels, x)


def quick(names):
    return Recipe(list(names), PARAMS.train, {}, seed=1)


def test_leaving_out_a_group_that_another_copies_costs_nothing_and_leaving_out_both_costs_much():
    teachers, test = made(), made(seed=3)
    for groups, least, most in (
        ({"a": "one", "b": "two", "c": "three"}, -0.01, 0.02),
        ({"a": "one", "b": "one", "c": "three"}, 0.15, 0.5),
    ):
        margins = needs.ablation(teachers, test, groups, quick(groups))
        found = needs.measure_needs(
            [needs.scored_by(margins, test, np.arange(400), "ablation", "all")], np.arange(400), BASE, FEW
        )["ablation"]
        assert least < found["one"]["loss"] < most
        assert found["one"]["loss"] == pytest.approx(found["all"]["auc"] - found["one"]["auc"], abs=2e-4)
        assert abs(found["three"]["loss"]) < 0.02


def test_levels_alone_are_asked_beside_the_groups_and_hold_nothing_that_moves():
    groups = {"a": "one", "mean_ever": "two", "c": "three"}
    margins = needs.ablation(made(), made(seed=3), groups, quick(groups))
    assert margins.columns.tolist() == ["all", "one", "two", "three", "levels"]
    alone = needs.refit(needs.thin(made(), 12_000, 1), ["mean_ever"], quick(groups), made(seed=3).x)[0]
    assert (margins.levels == alone).all()
    named = [catalogue.BY_NAME[f] for f in needs.LEVELS]
    assert not {f.name for f in named} & set(needs.late_family(catalogue.names()))
    assert not [
        f.name
        for f in named
        if any(
            word in f.name
            for word in ("pace", "shift", "surprise", "trend", "days_late", "due_", "_30d", "_14d", "ago", "projected")
        )
    ]


def test_a_group_is_calibrated_by_its_own_line():
    frame = statistics.judged(watched().assign(split="test"))
    rows, kind = statistics.Rows(frame, np.arange(300)), np.where(frame.customer_id < 150, "low", "high")
    found = needs.measure_needs([drift.grouped(rows, {"kind": kind}, "slices")], np.arange(300), BASE, FEW)["slices"][
        "kind"
    ]
    for word in ("low", "high"):
        some = frame[kind == word]
        slope, level = metrics.slope_intercept(
            some.probability.to_numpy(), some.y.to_numpy(), some.customer_id.to_numpy()
        )
        assert found[word]["slope"] == pytest.approx(slope(np.ones(300)), abs=1e-3) and found[word][
            "intercept"
        ] == pytest.approx(level(np.ones(300)), abs=1e-3)
        assert found[word]["slope_low"] < found[word]["slope"] < found[word]["slope_high"]
    assert found["low"]["slope"] != found["high"]["slope"]


def test_more_customers_are_never_fewer_and_contain_the_few():
    found = needs.learning(made(), made(seed=3), quick(["a", "b", "c"]))
    sizes = [int(c) for c in found]
    assert sizes == sorted(sizes) and sizes[-1] == 400 and sizes[0] == pytest.approx(50, abs=20)


def test_thinning_keeps_every_customer_with_a_miss_and_whole_customers():
    rows = made()
    few = needs.thin(rows, 200, 5)
    missed = set(rows.labels.customer_id[rows.y > 0])
    assert missed <= set(few.labels.customer_id) and (few.labels.groupby("customer_id").size() == 10).all()


def test_one_row_a_customer_comes_from_every_week():
    rows = made()
    one = drift.one_each(rows, 3)
    assert one.labels.customer_id.tolist() == list(range(400)) and one.labels.as_of.nunique() == 10


def test_the_cohort_of_dues_is_read_as_it_was_written(trained):
    names = catalogue.names()
    keys, x = needs.cohort(trained / "features", names)
    whole = pd.concat(
        [pd.read_parquet(p) for p in sorted((trained / "features/due_panel").glob("*.parquet"))], ignore_index=True
    )
    assert (
        len(keys) == len(whole) > 0
        and (keys == whole[keys.columns]).all().all()
        and np.array_equal(x, whole[names].to_numpy(np.float32), equal_nan=True)
    )
    assert needs.cohort(trained / "raw", names) is None


def test_the_late_family_is_what_speaks_after_something_has_failed():
    from predelinquency.features import catalogue

    late = needs.late_family(catalogue.names())
    assert {"failed_debits_30d", "failed_debits_90d", "failed_debits_180d", "overdue_days"} <= set(late) and len(
        late
    ) < 12
    assert not {"pay_late_days", "late_share"} & set(late)


def test_every_week_of_those_who_never_trained_is_scored_as_in_training(trained):
    from predelinquency.model import champion as model_champion
    from predelinquency.model import labels as lb
    from predelinquency.model import roll_up

    champion, roll = model_champion.load_champion(trained / "model"), roll_up.load_roll_up(trained / "model")
    base = params.section(params.Base, champion.manifest["params"]["base"])

    def score(part, some):
        return roll_up.of_part(trained / "features", part, some, champion, roll)[1]

    found = drift.year(trained / "features", score, base, 10**6)
    assert (
        (lb.split(found.customer_id.to_numpy(), base) == 3).all()
        and found.eligible.all()
        and found.target.notna().all()
    )
    scored = pd.read_parquet(trained / "model/predictions.parquet")
    both = found.merge(scored[scored.split == "test"], on=["customer_id", "as_of"], suffixes=("", "_then"))
    assert len(both) == (scored.eligible & scored.target.notna() & (scored.split == "test")).sum()
    assert (both.probability == both.probability_then).all() and found.as_of.nunique() > both.as_of.nunique()
    fewer = drift.year(trained / "features", score, base, len(found) // 3)
    kept = found[found.customer_id.isin(fewer.customer_id)].reset_index(drop=True)
    assert 0 < len(fewer) < 0.7 * len(found) and kept.equals(fewer)  # whole customers
