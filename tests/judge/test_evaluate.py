"""Every measure against an independent one, and the rules about which rows a measure may see."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as peer
from sklearn.linear_model import LogisticRegression

from predelinquency.ground import params
from predelinquency.ground.core import SchemaError, project_folder
from predelinquency.ground.schema import ROW, naming_dues
from predelinquency.judge import intervals, metrics, statistics
from predelinquency.judge import report as ev

PARAMS = params.load(project_folder() / "params.yaml")
BASE, FEW = replace(PARAMS.base, seed=11, contact_share=0.05), replace(PARAMS.evaluate, bootstrap=60)


def sample(n=3000, customers=250, rate=0.08, seed=0, digits=1):
    rng = np.random.default_rng(seed)
    target = (rng.random(n) < rate).astype(int)
    return np.round(rng.normal(size=n) + 1.1 * target, digits), target, rng.integers(0, customers, n)


def predictions(customers=400, weeks=9, seed=1, splits=("test",)):
    "A world's predictions: weekly rows, misses that a row knows to lie 1–28 days ahead."
    rng, frames = np.random.default_rng(seed), []
    monday = np.datetime64("2025-03-03", "ms") + np.arange(weeks) * np.timedelta64(7, "D")
    for split in splits:
        n = customers * weeks
        frailty, miss_on = (
            np.repeat(rng.normal(size=customers), weeks),
            np.repeat(np.where(rng.random(customers) < 0.3, rng.integers(5, 90, customers), 10_000), weeks),
        )
        days = miss_on - np.tile(np.arange(weeks) * 7, customers)
        risk = 0.3 / (1 + np.exp(2 - frailty - 2.0 * ((days > 7) & (days < 35)))) + 0.001
        frames.append(
            pd.DataFrame(
                dict(
                    customer_id=np.repeat(np.arange(customers), weeks),
                    as_of=np.tile(monday, customers),
                    repeat=0,
                    split=split,
                    eligible=days > 0,
                    imminent=(days > 0) & (days < 15),
                    target=pd.array(((days >= 15) & (days <= 28)).astype(int), dtype="Int32"),
                    onset_in_days=np.where((days >= 0) & (days <= 28), days, np.nan).astype(np.float32),
                    probability=risk,
                    straight_roller=frailty < 1,
                    exposed=rng.random(n) < 0.8,
                    calendar=rng.random(n),
                    balance=frailty,
                    projected=np.nan,
                    logistic=risk + rng.normal(size=n) * 0.02,
                    challenger=risk * 0.9,
                )
            )
        )
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def made():
    frame = predictions()
    return frame, ev.report(frame, BASE, FEW)


@pytest.mark.parametrize("digits", [0, 1, 9])
def test_ranking_measures_equal_scikit_learn_at_any_weights_and_with_ties(digits):
    score, target, customer = sample(digits=digits)
    r = metrics.ranking(score, target, customer)
    for weight in (np.ones(250), intervals.multiplicities(250, 3, 0), np.random.default_rng(1).random(250)):
        w = weight[customer]
        false, true, _ = peer.roc_curve(target, score, sample_weight=w, drop_intermediate=False)
        assert metrics.auc(r, weight) == pytest.approx(peer.roc_auc_score(target, score, sample_weight=w), abs=1e-12)
        assert metrics.pr_auc(r, weight) == pytest.approx(
            peer.average_precision_score(target, score, sample_weight=w), abs=1e-12
        )
        assert metrics.ks(r, weight) == pytest.approx((true - false).max(), abs=1e-12)


def test_calibration_measures_equal_scikit_learn_at_any_weights():
    rng = np.random.default_rng(4)
    p, customer = np.clip(rng.beta(0.6, 9, 5000), 1e-3, 0.99), rng.integers(0, 300, 5000)
    y = (rng.random(5000) < p**1.2).astype(int)
    sums, (slope, intercept) = metrics.calibration_sums(p, y, customer, 300), metrics.slope_intercept(p, y, customer)
    for weight in (np.ones(300), intervals.multiplicities(300, 5, 1)):
        w, found = weight[customer], metrics.calibration_measures(sums, weight)
        assert found["brier"] == pytest.approx(peer.brier_score_loss(y, p, sample_weight=w), abs=1e-12)
        assert found["log_loss"] == pytest.approx(peer.log_loss(y, p, sample_weight=w), abs=1e-9)
        rate = np.average(y, weights=w)
        assert found["brier_skill"] == pytest.approx(1 - found["brier"] / (rate * (1 - rate)), abs=1e-12)
        logit = np.log(p / (1 - p))[:, None]
        assert slope(weight) == pytest.approx(
            LogisticRegression(C=np.inf, tol=1e-10).fit(logit, y, sample_weight=w).coef_[0, 0], abs=2e-3
        )
        level = intercept(weight)
        assert np.average(1 / (1 + np.exp(-level - logit[:, 0])), weights=w) == pytest.approx(rate, abs=1e-6)


def test_the_calibration_error_is_the_mean_gap_of_bins_of_equal_size():
    rng = np.random.default_rng(6)
    p = rng.random(1000)
    y = (rng.random(1000) < p).astype(float)
    order = np.argsort(p).reshape(10, 100)
    by_hand = np.mean([abs(p[b].mean() - y[b].mean()) for b in order])
    assert metrics.calibration_measures(metrics.calibration_sums(p, y, np.arange(1000), 1000))["ece"] == pytest.approx(
        by_hand, abs=1e-12
    )


def test_equal_probabilities_are_never_cut_into_two_bins():
    p = np.repeat([0.1, 0.2, 0.3], [550, 300, 150])
    assert {len(np.unique(metrics.equal_mass(p)[p == v])) for v in (0.1, 0.2, 0.3)} == {1}


def test_the_bootstrap_error_of_independent_rows_is_delongs():
    for seed in range(3):
        score, target, _ = sample(2500, rate=0.06, seed=seed, digits=9)
        up, down = np.sort(score[target == 1]), np.sort(score[target == 0])
        analytic = np.sqrt(
            (np.searchsorted(down, up) / len(down)).var(ddof=1) / len(up)
            + (np.searchsorted(up, down) / len(up)).var(ddof=1) / len(down)
        )
        r = metrics.ranking(score, target, np.arange(2500))
        e = intervals.estimate({"auc": lambda w, r=r: metrics.auc(r, w)}, 2500, 600, seed)["auc"]
        assert (e.high - e.low) / 3.92 == pytest.approx(analytic, rel=0.12)


def test_the_interval_covers_the_true_auc_when_rows_of_a_customer_resemble_each_other():
    covered, naive, truth = 0, 0, 0.5 * (1 + np.sign(1.5) * (1 - 2 * 0.144422))  # Φ(1.5/√2) = .855578
    for seed in range(150):
        rng = np.random.default_rng(seed)
        y = np.repeat((rng.random(150) < 0.3).astype(int), 8)
        score = np.repeat(rng.normal(size=150) * 0.95, 8) + rng.normal(size=1200) * 0.3122 + 1.5 * y
        rows, who = metrics.ranking(score, y, np.arange(1200)), metrics.ranking(score, y, np.repeat(np.arange(150), 8))
        a = intervals.estimate({"auc": lambda w, r=who: metrics.auc(r, w)}, 150, 120, seed)["auc"]
        b = intervals.estimate({"auc": lambda w, r=rows: metrics.auc(r, w)}, 1200, 120, seed)["auc"]
        covered, naive = covered + (a.low <= truth <= a.high), naive + (b.low <= truth <= b.high)
    assert 131 <= covered <= 148, covered  # 95 % of 150, less what 120 replicates and 45 customers with a miss cost
    assert naive < 100, naive  # rows as the unit are fooled


def test_eight_copies_of_every_row_make_no_interval_narrower():
    score, target, customer = sample(800, 80)
    once, eight = (
        metrics.ranking(score, target, customer),
        metrics.ranking(np.repeat(score, 8), np.repeat(target, 8), np.repeat(customer, 8)),
    )
    found = intervals.estimate(
        {"once": lambda w: metrics.auc(once, w), "eight": lambda w: metrics.auc(eight, w)}, 80, 100, 1
    )
    assert (found["once"].low, found["once"].high) == pytest.approx(
        (found["eight"].low, found["eight"].high), abs=1e-12
    )


def test_differences_are_paired():
    score, target, customer = sample(2000, 200, digits=9)
    a, b = (
        metrics.ranking(score, target, customer),
        metrics.ranking(score + np.random.default_rng(0).normal(size=2000) * 0.05, target, customer),
    )
    found = intervals.estimate(
        {"a": lambda w: metrics.auc(a, w), "b": lambda w: metrics.auc(b, w)}, 200, 200, 1, {"gain": ("a", "b")}
    )
    assert found["gain"].value == pytest.approx(found["a"].value - found["b"].value)
    assert found["gain"].high - found["gain"].low < 0.3 * (found["a"].high - found["a"].low)


def test_every_draw_takes_as_many_customers_as_there_are():
    draws = np.array([intervals.multiplicities(500, 7, r) for r in range(200)])
    assert (draws.sum(1) == 500).all()
    assert draws.var() == pytest.approx(1, abs=0.03)  # Poisson(1) in the limit
    assert abs(np.corrcoef(draws[0], draws[1])[0, 1]) < 0.15


def by_hand(score, period, customer, weight, share):
    "Contacted share of each row, the slow way."
    taken = np.zeros(len(score))
    for p in np.unique(period):
        rows = np.flatnonzero(period == p)
        left = share * weight[customer[rows]].sum()
        for s in sorted(set(score[rows]), reverse=True):
            group = rows[score[rows] == s]
            size = weight[customer[group]].sum()
            if size:
                taken[group] = min(left / size, 1)
            left = max(left - size, 0)
    return taken


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3, 1.0])
def test_contacts_go_to_the_riskiest_of_each_round_and_ties_share_the_last_places(share):
    score, target, customer = sample(1500, 100)
    period = np.arange(1500) % 7
    r = metrics.ranking(score, target, customer, period)
    for weight in (np.ones(100), intervals.multiplicities(100, 1, 1)):
        found = np.zeros(1500)
        found[r.order] = metrics.chosen(r, share, weight)
        w, slow = weight[customer], by_hand(score, period, customer, weight, share)
        assert found * w == pytest.approx(slow * w, abs=1e-9)
        assert metrics.recall_precision(r, share, weight) == pytest.approx(
            ((slow * w) @ target / (w @ target), (slow * w) @ target / (slow @ w)), abs=1e-9
        )


def test_two_weeks_that_warn_of_one_missed_payment_count_it_once(made):
    frame, report = made
    rows = statistics.judged(statistics.checked(frame))
    positive = rows[rows.y > 0]
    distinct = len(
        set(zip(positive.customer_id, positive.as_of + pd.to_timedelta(positive.onset_in_days, unit="D"), strict=True))
    )
    assert report["headline"]["onsets"] == distinct < report["headline"]["positives"] == len(positive)
    assert report["headline"]["onset_recall_at_5pct"] >= report["headline"]["recall_at_5pct"]


def test_imminent_rows_take_contacts_but_play_no_part_in_ranking_and_calibration(made):
    frame, report = made
    louder = ev.report(frame.assign(probability=frame.probability.mask(frame.imminent, 0.99)), BASE, FEW)
    for key in ("auc", "pr_auc", "ks", "ece", "brier_skill", "base_rate", "slope"):
        assert louder["headline"][key] == report["headline"][key]
    assert louder["headline"]["recall_at_5pct"] < report["headline"]["recall_at_5pct"]


def test_rows_that_something_was_fitted_on_are_never_judged(made):
    frame, report = made
    more = [
        predictions(seed=9).assign(split=s, customer_id=lambda d, k=k: d.customer_id + 1000 * (k + 1))
        for k, s in enumerate(("train", "stop", "calibrate", "purged", "live"))
    ]
    assert json.dumps(ev.report(pd.concat([frame, *more]), BASE, FEW), sort_keys=True) == json.dumps(
        report, sort_keys=True
    )


def test_rows_that_are_not_eligible_or_not_yet_known_are_never_judged(made):
    frame, report = made
    odd = predictions(seed=9).assign(customer_id=lambda d: d.customer_id + 1000)
    unfit, unknown = (
        odd.assign(eligible=False),
        odd.assign(
            target=pd.array([pd.NA] * len(odd), dtype="Int32"), imminent=False, customer_id=odd.customer_id + 5000
        ),
    )
    assert ev.report(pd.concat([frame, unfit, unknown]), BASE, FEW) == report


def test_the_order_of_the_rows_changes_nothing(made):
    frame, report = made
    assert ev.report(frame.sample(frac=1, random_state=3), BASE, FEW) == report


def test_the_report_holds_every_number_that_is_asked_for(made):
    _, report = made
    report = ev.report(made[0], BASE, FEW, dict(customers=400, transactions=1, miss_rate_28d=0.02))
    assert set(report["headline"]) >= {
        "auc",
        "auc_low",
        "auc_high",
        "pr_auc",
        "base_rate",
        "ks",
        "ece",
        "brier_skill",
        "recall_at_5pct",
        "onsets",
    }
    assert set(report["baselines"]) == set(statistics.BASELINES)
    assert set(report["due_date_auc"]) >= {"28", "14"}
    assert set(report["gain_over_calendar"]) >= {"auc", "low"}
    assert set(report["reference"]) >= {"auc", "difference", "difference_low"} - {"difference_low"}
    assert set(report["world"]) == {"customers", "transactions", "miss_rate_28d"}
    assert report["exposed_only"]["auc"] and report["straight_rollers"]["auc"]
    head = report["headline"]
    assert head["auc_low"] < head["auc"] < head["auc_high"] and head["gini"] == pytest.approx(
        2 * head["auc"] - 1, abs=2e-4
    )


def test_what_cannot_be_known_is_null_with_a_reason(made):
    _, report = made
    for block in (
        "reference",
        "due_date_auc",
        "seen_customers",
        "unseen_customers",
        "out_of_time",
        "gain_over_projected",
    ):
        assert report[block]["why"] and all(v is None for k, v in report[block].items() if k != "why")
    assert report["baselines"]["projected"] == dict(auc=None, why=report["baselines"]["projected"]["why"])


def test_a_baseline_known_for_some_rows_is_compared_on_those_rows_only():
    frame = predictions()
    half = frame.assign(balance=frame.balance.where(frame.customer_id % 2 == 0))
    found = ev.report(half, BASE, FEW)
    rows = statistics.judged(statistics.checked(half))
    rows = rows[rows.balance.notna()]
    assert found["baselines"]["balance"]["known_share"] == pytest.approx(0.5, abs=0.02)
    assert found["gain_over_balance"]["auc"] == pytest.approx(
        peer.roc_auc_score(rows.y, rows.probability) - peer.roc_auc_score(rows.y, rows.balance), abs=1e-4
    )


def test_subsets_are_judged_on_their_own_rows(made):
    frame, report = made
    rows = statistics.judged(statistics.checked(frame))
    for block, column in (("exposed_only", "exposed"), ("straight_rollers", "straight_roller")):
        some = rows[rows[column]]
        assert report[block]["auc"] == pytest.approx(peer.roc_auc_score(some.y, some.probability), abs=1e-4)
    march = rows[rows.as_of.dt.strftime("%Y-%m") == "2025-03"]
    assert report["by_month"]["2025-03"]["auc"] == pytest.approx(
        peer.roc_auc_score(march.y, march.probability), abs=1e-4
    )


def test_a_month_in_which_few_missed_a_payment_is_left_out():
    frame = predictions()
    april = frame.as_of >= "2025-04-01"
    few = frame.customer_id > frame.customer_id[frame.target.eq(1) & april].min()
    quiet = frame.assign(target=frame.target.mask(april & few, 0))
    assert list(ev.report(quiet, BASE, FEW)["by_month"]) == ["2025-03"]


def test_several_repeats_give_the_mean_of_their_measures():
    one, two = (
        predictions(seed=1),
        predictions(seed=1).assign(
            repeat=1,
            probability=lambda d: (d.probability * np.random.default_rng(0).uniform(0.5, 1.5, len(d))).clip(0, 1),
        ),
    )
    both = ev.report(pd.concat([one, two]), BASE, FEW)
    alone = [ev.report(f, BASE, FEW) for f in (one, two)]
    for key in ("auc", "ks", "brier_skill", "recall_at_5pct"):
        assert both["headline"][key] == pytest.approx(np.mean([a["headline"][key] for a in alone]), abs=2e-4)
    assert (
        both["headline"]["onsets"] == alone[0]["headline"]["onsets"]
        and both["headline"]["rows"] == alone[0]["headline"]["rows"]
    )


def source(seed=2, n=600, repeats=2):
    "A source's own moments: an approval each, folds drawn anew, a reference on the same rows."
    rng = np.random.default_rng(seed)
    quality, customer = rng.normal(size=n), rng.integers(0, n // 2, n)
    y = (rng.random(n) < 1 / (1 + np.exp(2 + quality))).astype(int)
    when = np.datetime64("2017-01-01", "ms") + np.arange(n) * np.timedelta64(1, "D")
    frames = [
        pd.DataFrame(
            dict(
                customer_id=customer,
                as_of=when,
                repeat=r,
                split="fold",
                target=y,
                eligible=True,
                imminent=False,
                seen_before=rng.random(n) < 0.6,
                probability=1 / (1 + np.exp(2 + quality + rng.normal(size=n) * 0.3)),
                reference=-quality + rng.normal(size=n) * 0.4,
            )
        )
        for r in range(repeats)
    ]
    frame = pd.concat(frames, ignore_index=True)
    frame = naming_dues(frame)
    return frame.drop(columns="reference"), frame[[*ROW, "repeat", "reference"]]


def test_the_reference_is_compared_in_pairs_on_the_same_rows_and_repeats():
    frame, reference = source()
    found = ev.report(frame, BASE, FEW, reference=reference)["reference"]
    y = frame.target[frame.repeat == 0]
    aucs = [
        [peer.roc_auc_score(y, s[frame.repeat == r]) for r in range(2)]
        for s in (frame.probability, reference.reference)
    ]
    assert found["auc"] == pytest.approx(np.mean(aucs[1]), abs=1e-4)
    assert found["difference"] == pytest.approx(np.mean(aucs[0]) - np.mean(aucs[1]), abs=1e-4)
    assert found["difference_low"] < found["difference"] < found["difference_high"]
    same = ev.report(frame, BASE, FEW, reference=frame.assign(reference=frame.probability))["reference"]
    assert same["difference"] == same["difference_low"] == same["difference_high"] == 0


def test_a_reference_that_left_rows_out_is_refused():
    frame, reference = source()
    with pytest.raises(SchemaError, match="no score for 3 of 1200 rows"):
        ev.report(frame, BASE, FEW, reference=reference.iloc[3:])


def test_a_sources_own_moments_are_no_contact_rounds():
    frame, _ = source(repeats=1)
    daily = frame.assign(
        as_of=frame.as_of.dt.to_period("M").dt.to_timestamp().astype("datetime64[ms]"),
        customer_id=np.arange(len(frame)),
    )
    found = ev.report(daily, BASE, FEW)["headline"]["recall_at_5pct"]
    cut = np.sort(daily.probability)[::-1][int(0.05 * len(daily)) - 1]
    assert found == pytest.approx(daily.target[daily.probability >= cut].sum() / daily.target.sum(), abs=1e-4)


def test_customers_seen_before_and_new_ones_are_reported_apart():
    frame, _ = source()
    found, first = ev.report(frame, BASE, FEW), frame[frame.repeat == 0]
    for block, keep in (("seen_customers", first.seen_before), ("unseen_customers", ~first.seen_before)):
        assert found[block]["share"] == pytest.approx(
            frame.seen_before.mean() if block == "seen_customers" else 1 - frame.seen_before.mean(), abs=1e-3
        )
        assert 0.5 < found[block]["auc"] < 1 and keep.any()


def test_rows_set_aside_as_later_are_reported_as_out_of_time_only():
    frame, _ = source(repeats=1)
    later, _ = source(seed=5, repeats=1)
    later = later.assign(split="out_of_time", as_of=later.as_of + pd.Timedelta(days=1000))
    found, alone = ev.report(pd.concat([frame, later]), BASE, FEW), ev.report(frame, BASE, FEW)
    assert found["out_of_time"]["auc"] == pytest.approx(peer.roc_auc_score(later.target, later.probability), abs=1e-4)
    assert found["headline"]["auc"] == alone["headline"]["auc"]
    new, block = later[~later.seen_before], found["out_of_time"]
    assert block["unseen"]["auc"] == pytest.approx(peer.roc_auc_score(new.target, new.probability), abs=1e-4)
    assert block["customers"] == later.customer_id.nunique() > block["seen_customers"] > 0
    assert block["seen_customers"] == later.customer_id[later.seen_before].nunique()
    assert any(
        f"{block['seen_customers']:,} ({block['seen_share']:.0%}) were also seen" in s for s in ev.in_words(found)
    )


def test_nineteen_misses_of_customers_who_never_taught_are_too_few_to_judge_them_apart():
    frame, _ = source(seed=5, repeats=1)
    new = frame.target.eq(1).cumsum().mask(frame.target.ne(1), 0)
    for many, known in ((19, False), (20, True)):
        paid = frame.target.eq(0) & (frame.index % 2 == 0)
        later = frame.assign(split="out_of_time", repeat=-1, seen_before=~new.between(1, many) & ~paid)
        block = ev.report(pd.concat([source(repeats=1)[0], later]), BASE, FEW)["out_of_time"]
        assert (block["unseen"]["auc"] is not None) == known
        assert known or "19 of the judged misses are of customers who never taught" in block["unseen"]["why"]


def test_dues_are_judged_at_each_lead_on_the_same_cohort(made):
    frame, _ = made
    rng = np.random.default_rng(3)
    missed = (rng.random(400) < 0.1).astype(int)
    due = pd.concat(
        [
            pd.DataFrame(
                dict(
                    customer_id=np.arange(400),
                    lead_days=lead,
                    missed=missed,
                    probability=1 / (1 + np.exp(-missed * 12 / (lead + 4) - rng.normal(size=400))),
                )
            )
            for lead in statistics.LEADS
        ]
    )
    found = ev.report(frame, BASE, FEW, due=due)["due_date_auc"]
    for lead in statistics.LEADS:
        some = due[due.lead_days == lead]
        assert found[str(lead)] == pytest.approx(peer.roc_auc_score(some.missed, some.probability), abs=1e-4)
        assert found[f"{lead}_low"] < found[str(lead)] < found[f"{lead}_high"]


def test_observed_over_expected_equals_a_count_by_hand(made):
    frame, report = made
    rows = statistics.judged(statistics.checked(frame))
    assert report["calibration"]["observed_expected"] == pytest.approx(rows.y.sum() / rows.probability.sum(), rel=1e-3)
    happened = expected = 0.0
    for _, week in rows.groupby("as_of"):
        left = 0.05 * len(week)
        for p, group in sorted(
            week.groupby("probability"), key=lambda item: -item[0]
        ):  # equal scores share the last places
            taken = min(left / len(group), 1)
            happened, expected, left = (
                happened + taken * group.y.sum(),
                expected + taken * p * len(group),
                max(left - len(group), 0),
            )
    assert report["calibration"]["observed_expected_top5"] == pytest.approx(happened / expected, rel=1e-3)


@pytest.mark.parametrize("scale,slope", [(0.5, 2.0), (1.0, 1.0), (2.0, 0.5), (3.0, 1 / 3)])
def test_the_slope_of_a_score_that_is_too_sure_of_itself_is_found_too(scale, slope):
    rng = np.random.default_rng(2)
    p = rng.beta(1, 8, 20_000)
    y, customer = (rng.random(20_000) < p).astype(int), np.arange(20_000) % 500
    found, _ = metrics.slope_intercept(1 / (1 + np.exp(-scale * np.log(p / (1 - p)))), y, customer)
    assert found(np.ones(500)) == pytest.approx(slope, abs=0.05)


def test_a_probability_twice_too_high_halves_observed_over_expected(made):
    frame, report = made
    double = ev.report(frame.assign(probability=frame.probability * 2), BASE, FEW)["calibration"]
    for key in ("observed_expected", "observed_expected_top5"):
        assert double[key] == pytest.approx(report["calibration"][key] / 2, rel=1e-3)
        assert double[f"{key}_low"] < double[key] < double[f"{key}_high"]
    assert report["calibration"]["slope"] == report["headline"]["slope"]


def test_the_proofs_figures_are_taken_over_and_missing_ones_are_null_with_a_reason(tmp_path):
    (tmp_path / "prove.json").write_text(
        json.dumps(
            dict(
                oracle=dict(latent_auc=0.93),
                reasons=dict(jaccard=0.8),
                tripwires=dict(oracle_above_model=True),
                other=1,
            )
        )
    )
    assert ev.proved(tmp_path / "prove.json") == dict(
        oracle=dict(latent_auc=0.93), reasons=dict(jaccard=0.8), tripwires=dict(oracle_above_model=True)
    )
    for path in (None, tmp_path / "none.json"):
        found = ev.proved(path)
        assert found["oracle"]["latent_auc"] is None and found["reasons"]["why"] and "tripwires" not in found


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: d.drop(columns="eligible"), "lack column eligible"),
        (lambda d: d.assign(probability=d.probability.where(d.index != 7)), "1 probabilities are outside 0–1"),
        (lambda d: d.assign(probability=d.probability + 1), "outside 0–1"),
        (lambda d: pd.concat([d, d.head(2)]), "2 rows are scored twice"),
        (lambda d: d.assign(target=0), "nothing to measure"),
    ],
    ids=[
        "a column is missing",
        "a probability is unknown",
        "a probability is above one",
        "a row is there twice",
        "nobody missed a payment",
    ],
)
def test_predictions_that_cannot_be_judged_are_refused(spoil, message):
    with pytest.raises(SchemaError, match=message):
        ev.report(spoil(predictions(60, 3)), BASE, FEW)


def test_the_report_is_the_same_bytes_again_and_plain_json(made):
    frame, report = made
    again = ev.report(frame.copy(), BASE, FEW)
    assert json.dumps(report, sort_keys=True, allow_nan=False) == json.dumps(again, sort_keys=True, allow_nan=False)


def test_shuffled_labels_give_one_half():
    frame = predictions(800)
    rows = statistics.judged(statistics.checked(frame))
    shuffled = rows.assign(target=np.random.default_rng(8).permutation(rows.y.to_numpy()).astype(int))
    head = ev.report(shuffled, BASE, FEW)["headline"]
    assert head["auc_low"] < 0.5 < head["auc_high"] and head["brier_skill_low"] < 0


def test_calibration_bins_have_an_honest_interval_where_nothing_happened():
    frame = predictions(300).assign(probability=lambda d: d.probability)
    rows = statistics.judged(statistics.checked(frame))
    rows.loc[rows.probability < rows.probability.quantile(0.3), "y"] = 0.0
    bins = ev.calibration_bins(rows)
    assert bins.observed.iloc[0] == 0 and bins.high.iloc[0] > 3 / bins.rows.iloc[0]
    assert ((bins.low <= bins.observed) & (bins.observed <= bins.high)).all() and bins.rows.sum() == len(rows)


def test_the_design_effect_counts_copies():
    rows = pd.DataFrame(
        dict(customer_id=np.arange(4000), y=(np.random.default_rng(1).random(4000) < 0.1).astype(float))
    )
    eight = rows.loc[rows.index.repeat(8)]
    assert ev.design_effect(rows) == pytest.approx(1, abs=0.01)
    assert ev.design_effect(eight) == pytest.approx(8, abs=0.1)


def test_a_model_that_says_the_same_of_everybody_still_has_a_report_and_sentences():
    frame = predictions().assign(probability=0.02, margin=-4.0)
    found = ev.report(frame, BASE, FEW)
    assert (found["headline"]["auc"], found["headline"]["slope"]) == (None, None)
    assert found["gain_over_calendar"]["why"] == ev.reason(found, "headline.auc") == statistics.SAME
    assert all("None" not in sentence and "nan" not in sentence for sentence in ev.in_words(found))
    assert len(ev.calibration_bins(statistics.judged(statistics.checked(frame)))) == 1


def test_sentences_hold_the_numbers_of_the_report_and_leave_out_what_is_not_known(made):
    _, report = made
    said = " ".join(ev.in_words(report))
    assert f"{report['headline']['auc']:.3f}" in said and f"{report['gain_over_calendar']['auc']:+.3f}" in said
    assert "LightGBM on plain aggregates" not in said
    frame, reference = source()
    said = " ".join(ev.in_words(ev.report(frame, BASE, FEW, reference=reference)))
    assert (
        "LightGBM on plain aggregates" in said
        and "The calendar alone" not in said
        and "The calendar: not known, because" in said
    )


def test_a_table_has_nan_where_nothing_is_known(made):
    table = ev.interval_table(
        made[1],
        {
            "model": "headline.auc",
            "calendar": "baselines.calendar",
            "out of time": "out_of_time",
            "28": "due_date_auc.28",
        },
    ).set_index("name")
    head = made[1]["headline"]
    assert table.loc["model"].tolist() == [head["auc"], head["auc_low"], head["auc_high"]]
    assert table.loc["calendar"].notna().all() and table.loc[["out of time", "28"]].isna().all().all()


def test_contacts_are_marked_within_each_round(made):
    found = ev.contacted(made[0], 0.05)
    eligible = found[found.eligible]
    share = eligible.groupby("as_of").contacted.sum() / eligible.groupby("as_of").size()
    assert share.to_numpy() == pytest.approx(0.05) and not found[~found.eligible].contacted.any()
    for _, week in eligible.groupby("as_of"):
        assert week.probability[week.contacted == 1].min() >= week.probability[week.contacted == 0].max()


def test_curves_go_from_nothing_to_everything_and_enclose_the_auc(made):
    rows = statistics.judged(statistics.checked(made[0]))
    model = ev.curves(rows, ["probability", "projected"])
    assert set(model["name"]) == {"model"}
    assert (model.false_positive_rate.iloc[[0, -1]].tolist(), model.true_positive_rate.iloc[[0, -1]].tolist()) == (
        [0, 1],
        [0, 1],
    )
    assert np.trapezoid(model.true_positive_rate, model.false_positive_rate) == pytest.approx(
        made[1]["headline"]["auc"], abs=2e-3
    )


def test_recall_grows_with_capacity_and_reaches_everybody(made):
    everyone = statistics.judged(statistics.checked(made[0]), imminent=True)
    table = ev.capacity_curve(everyone, (0.05, 0.2, 1.0), 40, 1)
    assert table.recall.is_monotonic_increasing and table.recall.iloc[-1] == 1
    assert table.recall.iloc[0] == pytest.approx(made[1]["headline"]["recall_at_5pct"], abs=1e-4)
    assert table.lift.iloc[-1] == pytest.approx(1)


def test_two_reports_are_laid_side_by_side():
    table = ev.change_table(
        {"headline": {"auc": 0.8, "gone": 1}, "x": {"auc": None}},
        {"headline": {"auc": 0.83}, "x": {"auc": 0.7, "why": "words"}},
    ).set_index("metric")
    assert table.change["headline.auc"] == pytest.approx(0.03)
    assert np.isnan(table.before["x.auc"]) and np.isnan(table.after["headline.gone"]) and "x.why" not in table.index
    assert len(ev.change_table({}, {"a": 1})) == 1


@pytest.mark.parametrize(
    "name, why",
    [
        ("calendar", "nothing falls due in the window"),
        ("balance", "no balance is known"),
        ("projected", "no balance is known"),
    ],
)
def test_a_baseline_that_this_source_cannot_have_is_named_with_its_reason(name, why):
    frame = predictions(customers=300)
    report = ev.report(frame.assign(**{"projected": frame.balance, name: np.nan}), BASE, FEW)
    assert report["baselines"][name]["auc"] is None and why in report["baselines"][name]["why"]
    assert report[f"gain_over_{name}"]["auc"] is None and report["headline"]["auc"] is not None
    assert f"because {report['baselines'][name]['why']}" in ev.in_words(report | dict(lead={}))[-1]


def test_the_headline_has_at_most_twelve_figures_and_each_is_one_of_the_report(made):
    report = made[1]
    assert 1 < len(ev.BRIEF) <= 12 and set(ev.brief(report)) == set(ev.BRIEF)
    assert (
        ev.brief(report)["auc"] == report["headline"]["auc"]
        and ev.brief(report)["missed_payments"] == report["headline"]["onsets"]
    )
    assert ev.brief(report)["share_of_achievable"] is None, "nothing was proved here"
