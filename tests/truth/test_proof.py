"""Futures of a simulated present: the same as what happened, independent of company, certain where life is certain; and the bound, the twins and the alarms made from them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from predelinquency.features import measures
from predelinquency.ground import disk, params
from predelinquency.ground.core import ParamsError, SchemaError
from predelinquency.ground.dues import Rule, rule
from predelinquency.model import labels as lb
from predelinquency.truth import forks, oracle, seeds, spoken, twins
from predelinquency.world import money, pay, personas
from predelinquency.world import stress as world_stress
from predelinquency.world import world as worlds

NO_LOG = np.zeros((1, money.LOG_WIDTH), np.int64)


@pytest.fixture(scope="module")
def ground(settings: params.Params) -> forks.Ground:
    return forks.ground(settings)


@pytest.fixture(scope="module")
def moments() -> pd.DataFrame:
    "Ten customers at three moments."
    days = [np.datetime64(d, "ms") for d in ("2024-11-04", "2025-02-03", "2025-04-07")]
    return pd.DataFrame(dict(customer_id=np.repeat(np.arange(10), 3), as_of=days * 10))


def person(
    ground: forks.Ground, customer: int, day: int, stress: int = -1, on: int = forks.NO_DAY
) -> tuple[np.record, np.record, np.ndarray]:
    "A customer at midnight of a day."
    t, s = np.zeros(1, personas.PERSON).view(np.recarray)[0], np.zeros(1, money.LIFE).view(np.recarray)[0]
    log = np.zeros((20_000, money.LOG_WIDTH), np.int64)
    forks.until(ground, customer, day, stress, on, t, s, log)
    return t, s, log[: log[0, 0] + 1].copy()


def test_a_life_lived_again_is_the_life_of_the_world_bit_for_bit(ground: forks.Ground, settings: params.Params) -> None:
    people, lives, (tx, *_) = worlds.raw_part(settings, disk.Part(0, 20))
    for customer in range(20):
        t, s, log = person(ground, customer, ground.end)
        assert s.tobytes() == lives[customer].tobytes() and t.tobytes() == people[customer].tobytes()
        mine = log[1:][log[1:, 0] == money.TX]
        assert (mine[:, 1:] == tx[1:, tx[0] == customer].T).all()


def test_a_fork_with_the_same_randomness_is_what_happened_bit_for_bit(ground: forks.Ground) -> None:
    for customer in range(8):
        (t, s, _), (_, whole, _) = person(ground, customer, 20_000), person(ground, customer, 20_060)
        fork = s.copy()
        t.seed = forks.future_seed(ground.seed, customer, 20_000, -1)
        worlds.live(fork, t, NO_LOG, ground.tables, 20_000, 20_060)
        assert fork.tobytes() == whole.tobytes()


def test_the_future_that_did_happen_gives_the_label_of_the_tables(
    world: Path, settings: params.Params, ground: forks.Ground
) -> None:
    raw = {name: disk.read(world / "raw", name) for name in ("customers", "accounts", "obligations", "payments")}
    spine = lb.spine(raw["customers"], raw["accounts"], settings.base, 7)
    rows = lb.label(spine, raw["customers"], raw["obligations"], raw["payments"], settings.base)
    rows = rows[rows["eligible"] & rows["target"].notna()].iloc[::3].reset_index(drop=True)
    did = forks.futures(ground, rows, 1, settings.base, first=-1)[:, 0]
    assert rows["target"].sum() > 10 and rows["imminent"].sum() > 10
    assert ((did == forks.MISSED) == (rows["target"] == 1)).all() and (
        (did == forks.IMMINENT) == rows["imminent"]
    ).all()
    quiet = ~rows["imminent"].to_numpy()
    assert ((did[quiet] == forks.NOTHING_DUE) == ~rows["exposed"].to_numpy()[quiet]).all()


def test_futures_do_not_depend_on_order_company_threads_or_number(
    ground: forks.Ground, settings: params.Params, moments: pd.DataFrame
) -> None:
    all_of_them = forks.futures(ground, moments, 30, settings.base)
    order = np.random.default_rng(0).permutation(len(moments))
    assert (forks.futures(ground, moments.iloc[order], 30, settings.base, threads=1) == all_of_them[order]).all()
    assert (forks.futures(ground, moments.iloc[[7]], 30, settings.base)[0] == all_of_them[7]).all()
    assert (forks.futures(ground, moments, 10, settings.base, first=20) == all_of_them[:, 20:]).all()
    assert len({bytes(row) for row in all_of_them.T}) > 1, "the futures differ"


def test_forks_leave_the_present_as_it_was(ground: forks.Ground) -> None:
    t, s, log = person(ground, 3, 20_000)
    before, seed = s.tobytes(), t.seed
    w, k = np.zeros(2, money.LIFE), np.zeros(1, personas.PERSON)
    out, scratch, dues = (
        np.zeros((1, 50), np.int8),
        np.zeros((20_000, money.LOG_WIDTH), np.int64),
        np.zeros((2, 64, 5), np.int64),
    )
    forks.many(
        ground,
        np.array([3]),
        np.array([20_000]),
        np.array([-1]),
        np.array([forks.NO_DAY]),
        0,
        1,
        0,
        np.array([50]),
        np.full((1, 3), -1),
        15,
        28,
        Rule(5, 100, 100),
        k,
        k.view(np.int64).reshape(1, -1),
        w,
        w.view(np.int64).reshape(2, -1),
        scratch,
        dues,
        out,
    )
    assert w[0].tobytes() == before and s.tobytes() == before and t.seed == seed and w[1].tobytes() != before


def test_what_a_person_keeps_for_life_stays_in_a_fork(ground: forks.Ground) -> None:
    t, s, _ = person(ground, 5, 20_000)
    days = []
    for seed in (t.seed, 1, 2, 3):
        t.seed = seed
        days.append(pay.born_choice(t))
    assert len(set(days)) == 1


def certain(ground: forks.Ground, settings: params.Params, rich: bool) -> list[int]:
    "Outcomes of the 20 futures of somebody with a rent due on day 20, who has everything or nothing."
    base, day, found = settings.base, 20_100, []
    for seed in range(20):
        t, s, _ = person(ground, 2, day)
        t.seed, t.hidden_pay, t.hidden_spend, t.topup, t.overdraft, t.family, t.dear = seed, 0.0, 0.0, 0, 0, 0.0, 0.0
        t.pay = t.side = 0
        s.active[:], s.left[:], s.money[:], s.back_on, s.until[:] = 0, 0, 0, 0, 0
        s.money[money.CURRENT] = 90_000_000 if rich else 0
        s.opened[:] = -1
        s.active[0], s.kind[0], s.seen[0], s.autopay[0], s.amount[0], s.dom[0], s.months[0], s.contract[0] = (
            1,
            money.RENT_DUE,
            1,
            1,
            80_000,
            1,
            9999,
            1,
        )
        s.next_due[0], s.wake[0] = day + 20, day
        t.hardship = 0.0
        log, dues = np.zeros((20_000, money.LOG_WIDTH), np.int64), np.zeros((64, 5), np.int64)
        found.append(
            forks.outcome(
                ground, t, s, log, dues, 0, day, base.horizon_from_days, base.horizon_to_days, rule(base, "GBP")
            )
        )
    return found


def test_who_has_everything_never_misses_and_who_has_nothing_always_does(
    ground: forks.Ground, settings: params.Params
) -> None:
    assert certain(ground, settings, rich=True) == [forks.PAID] * 20
    assert certain(ground, settings, rich=False) == [forks.MISSED] * 20


def test_a_certain_oracle_says_one_and_zero() -> None:
    outcomes = np.array([[forks.MISSED] * 500, [forks.PAID] * 500, [forks.NOTHING_DUE] * 500], np.int8)
    p = oracle.shrunk(oracle.Oracle(outcomes, np.array([True, True, False])), np.ones(3))
    assert p[0] > 0.99 and p[1] < 0.01 and p[2] == 0


def test_futures_with_an_earlier_onset_do_not_count() -> None:
    outcomes = np.array([[forks.MISSED] * 30 + [forks.PAID] * 30 + [forks.IMMINENT] * 140], np.int8)
    hits, kept = oracle.Oracle(outcomes, np.array([True])).counts()
    assert (hits[0], kept[0]) == (30, 60)


def test_a_twin_without_a_stress_is_the_same_life(
    ground: forks.Ground, settings: params.Params, moments: pd.DataFrame
) -> None:
    twin = moments.assign(stress=0, on=forks.NO_DAY)
    assert (forks.futures(ground, twin, 20, settings.base) == forks.futures(ground, moments, 20, settings.base)).all()
    (x, ok, *_), (y, fine, *_) = (spoken.known(ground, some, settings.base) for some in (moments, twin))
    assert np.array_equal(x, y, equal_nan=True) and (ok == fine).all()
    assert twins.first_difference(*(np.array(person(ground, 4, 20_050)[2]) for _ in range(2))) == -1


def test_a_twin_is_the_same_until_the_day_it_is_struck_and_not_after(ground: forks.Ground) -> None:
    for stress in range(9):
        (_, _, one), (_, _, other) = person(ground, 6, 20_040), person(ground, 6, 20_040, stress, 19_950)
        early = [
            [tuple(row) for row in log[1:] if row[0] in (money.TX, money.PAYMENT) and row[3] < 19_950 * 86_400_000]
            for log in (one, other)
        ]
        assert early[0] == early[1] and len(early[0]) > 100
        trace = twins.first_difference(one, other)
        assert trace == -1 or trace >= 19_950
    assert twins.first_difference(person(ground, 6, 20_040)[2], person(ground, 6, 20_040, 2, 19_950)[2]) >= 19_950


def test_money_is_conserved_in_forks_and_in_twins_too(ground: forks.Ground) -> None:
    for stress in range(9):
        t, s, _ = person(ground, 11, 20_050, stress, 19_980)
        assert s.money.sum() == 0
        t.seed = forks.future_seed(ground.seed, 11, 20_050, 5)
        worlds.live(s, t, NO_LOG, ground.tables, 20_050, 20_090)
        assert s.money.sum() == 0
    assert forks.money_conserved(ground, np.arange(5))


def test_what_a_bank_would_know_of_a_moment_is_the_row_of_the_panel(
    trained: Path, ground: forks.Ground, settings: params.Params
) -> None:
    panel = disk.read(trained / "features", "panel")
    rows = panel.sample(40, random_state=1).sort_values(["customer_id", "as_of"])
    x = spoken.known(ground, rows[["customer_id", "as_of"]], settings.base).x
    assert np.array_equal(x.astype(np.float32), rows[oracle.NAMES].to_numpy(np.float32), equal_nan=True)


def test_the_soft_auc_with_labels_is_the_ordinary_one() -> None:
    from sklearn.metrics import roc_auc_score

    u = np.random.default_rng(3)
    score, y, weight = np.round(u.normal(size=400), 1), u.integers(0, 2, 400), u.integers(1, 5, 400).astype(float)
    assert oracle.soft_auc(score, y.astype(float), weight) == pytest.approx(
        roc_auc_score(y, score, sample_weight=weight), abs=1e-12
    )


def test_the_soft_auc_is_what_labels_drawn_from_the_probabilities_give_on_average() -> None:
    u = np.random.default_rng(4)
    p, score = u.beta(0.5, 4, 300), u.normal(size=300)
    drawn = [oracle.soft_auc(score + p, (u.random(300) < p).astype(float), np.ones(300)) for _ in range(2000)]
    assert oracle.soft_auc(score + p, p, np.ones(300)) == pytest.approx(
        np.mean(drawn), abs=4 * np.std(drawn) / np.sqrt(2000) + 0.002
    )  # seed 4; four standard errors, and a ratio's small bias


def test_a_sample_weighted_back_stands_for_all_rows() -> None:
    u = np.random.default_rng(5)
    rows = pd.DataFrame(
        dict(
            customer_id=np.arange(20_000), as_of=np.datetime64("2025-04-07", "ms"), probability=u.beta(0.3, 20, 20_000)
        )
    )
    rows["target"] = (u.random(20_000) < rows["probability"]).astype(int)
    some = oracle.sample(rows, 1500, 9)
    assert some["target"].sum() == rows["target"].sum() and 1000 < len(some) < 3000
    assert some["weight"].sum() == pytest.approx(20_000, rel=0.06)
    full, back = (
        oracle.soft_auc(rows["probability"].to_numpy(), rows["target"].to_numpy(float), np.ones(20_000)),
        oracle.soft_auc(some["probability"].to_numpy(), some["target"].to_numpy(float), some["weight"].to_numpy()),
    )
    assert back == pytest.approx(full, abs=0.02)


def planted(
    seed: int, score: Callable[[np.ndarray, np.ndarray], np.ndarray], n: int = 2000, futures: int = 1000
) -> dict[str, object]:
    "The numbers of `achievable` for a made-up bank whose probabilities are known."
    u = np.random.default_rng(seed)
    p = u.beta(0.3, 6, n)
    y = (u.random(n) < p).astype(int)
    o = oracle.Oracle(
        np.where(u.random((n, futures), dtype=np.float32) < p[:, None], forks.MISSED, forks.PAID).astype(np.int8),
        np.ones(n, bool),
    )
    return oracle.achievable(
        pd.DataFrame(dict(customer_id=np.arange(n), target=y, weight=1.0, probability=score(p, y))),
        o,
        replicates=100,
        seed=seed,
    )


def test_the_alarm_rings_for_a_model_that_knows_the_future_and_only_then() -> None:
    leaking, honest = planted(1, lambda p, y: p + 0.05 * y), [planted(seed, lambda p, y: p) for seed in range(20)]
    assert leaking["not_below_model"] is False
    assert all(h["not_below_model"] for h in honest), "twenty honest models with as much knowledge as the bound"


def test_a_model_as_good_as_the_bound_has_all_of_the_achievable_and_a_coin_nothing() -> None:
    all_of_it, nothing = planted(2, lambda p, y: p), planted(2, lambda p, y: np.random.default_rng(0).random(len(p)))
    # seed 2; standard errors are about .02, and 500 futures a half rank a little worse than the probabilities themselves
    assert all_of_it["share_of_latent_soft"] == pytest.approx(1, abs=0.06) and nothing[
        "share_of_latent_soft"
    ] == pytest.approx(0, abs=0.08)
    assert all_of_it["soft_auc_se"] < 0.6 * all_of_it["model_auc_se"]


def test_the_bound_rises_with_the_number_of_futures() -> None:
    u = np.random.default_rng(6)
    p = u.beta(0.2, 6, 3000)
    o = oracle.Oracle(
        np.where(u.random((3000, 800)) < p[:, None], forks.MISSED, forks.PAID).astype(np.int8), np.ones(3000, bool)
    )
    found = oracle.against_replays(o, (u.random(3000) < p).astype(float), np.ones(3000)).dropna()
    assert found["latent_soft_auc"].is_monotonic_increasing and found["replays"].iloc[-1] == 400


def test_every_stress_is_declared_with_groups_that_exist() -> None:
    assert set(twins.DECLARED) == {s.name for s in world_stress.STRESSES if not s.benign}
    assert all(
        set(d.groups) <= set(measures.GROUPS) and len(d.groups) == 2 and d.reason for d in twins.DECLARED.values()
    )


def cases(*rows: tuple[str, tuple[str, ...]]) -> pd.DataFrame:
    return pd.DataFrame(dict(stress_name=[r[0] for r in rows], top=[r[1] for r in rows], case=True))


def test_cases_are_counted_against_the_declaration() -> None:
    pairs = cases(
        ("job_loss", ("income", "savings", "credit")),
        ("job_loss", ("shocks",)),
        ("gambling", ("credit",)),
        ("gambling", ("liquidity",)),
        ("gambling", ("income",)),
    )
    found = twins.count_cases(pairs.assign(case=[True] * 4 + [False]))
    assert (
        found["pairs"] == 5
        and found["perturb_cases"] == 4
        and found["perturb_hit_rate"] == 0.75
        and found["perturb_own_group"] == 0.5
    )
    assert found["by_stress"]["gambling"] == dict(cases=2, hit_rate=1.0, own_group=0.5, first_declared=1.0)
    nobody = twins.count_cases(pairs.assign(case=False))
    assert (
        nobody["perturb_hit_rate"] is None
        and nobody["perturb_own_group_shuffled_high"] is None
        and nobody["by_stress"] == {}
    )


def test_the_rows_as_they_were_first_are_scored_beside_the_corrected_ones() -> None:
    found = twins.count_cases(
        cases(
            ("illness", ("shocks", "credit", "savings")),
            ("illness", ("liquidity",)),
            ("separation", ("obligations",)),
            ("job_loss", ("liquidity",)),
        )
    )
    assert found["perturb_hit_rate"] == 0.5 and found["perturb_first_declared"] == 0.75
    assert set(twins.FIRST_DECLARED) == {"illness", "separation"} and all(
        twins.DECLARED[n].groups[0] == g[0] and twins.DECLARED[n].groups != g for n, g in twins.FIRST_DECLARED.items()
    )


def test_a_habit_of_naming_the_same_groups_earns_no_more_than_causes_dealt_anew() -> None:
    u = np.random.default_rng(1)
    causes = [world_stress.STRESSES[i].name for i in u.integers(0, 9, 200)]
    habit = twins.count_cases(cases(*((c, ("liquidity", "obligations", "savings")) for c in causes)), 1)
    knows = twins.count_cases(cases(*((c, (twins.DECLARED[c].groups[0], "spending", "payment")) for c in causes)), 1)
    assert habit["perturb_hit_rate"] > 0.9 and habit["perturb_hit_rate"] <= habit["perturb_hit_rate_shuffled_high"]
    assert (
        habit["perturb_own_group_shuffled_low"]
        <= habit["perturb_own_group"]
        <= habit["perturb_own_group_shuffled_high"]
    )
    assert (
        knows["perturb_own_group"] == 1
        and knows["perturb_own_group_shuffled_high"] < 0.6
        and knows["perturb_own_group_others"] < knows["perturb_own_group_shuffled_high"]
    )
    assert twins.hit_sentence(knows, "own_group").startswith("100% (dealt anew ")
    assert twins.grid(cases(("job_loss", ("income",)), ("job_loss", ()))).loc["job loss"].to_dict() == {
        g: 0.5 * (g == "income") for g in measures.GROUPS
    }


def test_illness_and_separation_take_their_risk_with_the_loss_of_pay(
    ground: forks.Ground, settings: params.Params
) -> None:
    struck = twins.twins(ground, settings.base, np.arange(300), 20_100, 20_160, 250)
    for name in twins.FIRST_DECLARED:
        code = [s.name for s in world_stress.STRESSES].index(name)
        of = struck[struck["stress"] == code]
        whole, rest = (
            np.nan_to_num(np.diff(twins.risks(world, of, settings.base, 300), axis=1)).mean()
            for world in (ground, twins.unsized(ground, code))
        )
        assert len(of) > 10 and whole > 0.01 and rest < whole / 2, (
            name
        )  # 300 customers, 250 twins, seed of the settings
    harms = ground.tables.stresses.benign == 0
    assert all((ground.tables.stresses[name][harms] > 0).all() for name in ("size_low", "size_high"))


def test_a_column_of_the_truth_among_the_inputs_is_found(trained: Path) -> None:
    assert forks.reachable(trained / "truth", trained / "raw", trained / "features", inputs=oracle.NAMES) == []
    assert forks.reachable(trained / "truth", trained / "raw", inputs=[*oracle.NAMES, "hardship"]) == ["hardship"]


def test_a_world_without_a_recipe_or_with_other_times_is_refused(
    trained: Path, settings: params.Params, tmp_path: Path
) -> None:
    assert forks.made_by(trained / "truth", settings.base).simulate.customers == settings.simulate.customers
    with pytest.raises(SchemaError, match="no recipe"):
        forks.made_by(tmp_path, settings.base)
    with pytest.raises(ParamsError, match="grace_days"):
        forks.made_by(trained / "truth", replace(settings.base, grace_days=3))


def test_the_stage_says_what_was_achievable(trained: Path) -> None:
    import json

    found = json.loads((trained / "reports/prove.json").read_text())
    assert set(found["tripwires"]) == {
        "oracle_not_below_model",
        "replays_reproduce_labels",
        "money_conserved",
        "no_latent_column",
    } and all(found["tripwires"].values())
    assert {"latent_auc", "soft_auc", "replays", "share_of_latent"} <= set(found["oracle"])
    assert {
        "perturb_hit_rate",
        "perturb_cases",
        "jaccard",
        "perturb_first_declared",
        "perturb_own_group_shuffled_high",
        "deletion_reasons",
    } <= set(found["reasons"])
    latent = pd.read_parquet(trained / "reports/proof/latent.parquet")
    assert latent["latent"].between(0, 1).all() and len(latent) == found["oracle"]["rows"]


class Fixed:
    "A model whose strongest groups are given: a stand-in for what `top_groups` reads."

    def __init__(self, *rows: str):
        self.rows = [frozenset(r) for r in rows]


def test_what_two_models_share_stands_beside_what_two_customers_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeds, "top_groups", lambda model, x: model.rows)

    def found(*models: Fixed) -> dict:
        return seeds.agreement(models, np.zeros((4, 1)), np.arange(4), 1)

    same = found(Fixed("abc", "abc", "xyz", "xyz"), Fixed("abc", "abc", "xyz", "xyz"))
    assert same == dict(jaccard=1.0, jaccard_low=1.0, jaccard_high=1.0, jaccard_others=round(1 / 3, 4)), (
        "of six pairs of customers two share everything, four nothing"
    )
    habit = found(Fixed("abc", "abc", "abc", "abc"), Fixed("abc", "abc", "abd", "abc"))
    assert (
        habit["jaccard"] == (3 + 0.5) / 4
        and habit["jaccard_others"] == (1 + 0.75) / 2
        and habit["jaccard_low"] < 0.875 < habit["jaccard_high"]
    )
    assert found(Fixed("", "", "", ""), Fixed("", "", "", ""))["jaccard"] == 1.0, "two without any reason agree"
    assert set(seeds.agreement([Fixed(), Fixed()], np.zeros((0, 1)), np.zeros(0), 1).values()) == {None}


def test_where_nothing_could_be_measured_the_alarm_is_not_called_held() -> None:
    assert oracle._oracle_numbers(np.full(4, np.nan), np.empty((0, 4)), 0.0)["not_below_model"] is None
    assert oracle._oracle_numbers(np.array([0.7, 0.99, 0.7, 0.99]), np.empty((0, 4)), 0.0)["not_below_model"] is None, (
        "without an error there is nothing to measure a gap by"
    )
