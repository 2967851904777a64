"""Each measure of how a bank works tells a bank that works from one with the fault, on tables written by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from predelinquency.ground import disk, params, schema
from predelinquency.ground.core import ParamsError
from predelinquency.world import calibration, mechanics, world
from predelinquency.world.mechanics import ORDER, Scene, groups_of, hits, order_of, scene, share_of

pytestmark = pytest.mark.fast
DAY = pd.Timedelta(days=1)
MONTHS = pd.date_range("2024-01-01", periods=18, freq="MS")


@pytest.fixture(scope="module")
def p() -> params.Params:
    return params.load(Path(__file__).parents[2] / "params.yaml")


class Bank:
    "Tables that grow row by row; customers 0 … n - 1, each with a current account."

    def __init__(self, folder: Path, p: params.Params, customers: int = 2, persona: str = "salaried_monthly"):
        self.folder, self.p, self.n, self.persona = folder, p, customers, persona
        self.moves: list[tuple] = []
        self.dues: list[tuple] = []
        self.paid: list[tuple] = []
        self.wrong: list[tuple] = []

    def move(self, at: str, category: str, minor: int, name: str = "Somebody", **more) -> None:
        row = dict(customer=0, status="booked", balance=0) | more
        self.moves.append((row["customer"], pd.Timestamp(at), minor, category, name, row["balance"], row["status"]))

    def due(self, on: str, kind: str, minor: int, autopay: bool, paid: str | None, contract: int = 1) -> None:
        "A due of customer 0, and when it was paid."
        number = 1 + sum(d[0] == contract for d in self.dues)
        self.dues.append((contract, number, kind, pd.Timestamp(on), minor, autopay))
        if paid:
            self.paid.append((contract, number, pd.Timestamp(paid), pd.Timestamp(on), minor))

    def collect(self, on: str, kind: str, minor: int, at: str, failed: bool = False) -> None:
        "A due that is asked for, and paid unless that fails."
        self.due(on, kind, minor, True, None if failed else at)
        category = dict(loan="loan_payment", card="card_payment").get(kind, kind)
        self.move(at, category, -minor, status="failed" if failed else "booked")

    def tables(self) -> dict[str, pd.DataFrame]:
        who, n = range(self.n), self.n
        moves = pd.DataFrame(
            self.moves,
            columns=("customer_id booked_at amount_minor category counterparty balance_after_minor status").split(),
        ).sort_values(["customer_id", "booked_at"], kind="stable")
        moves = moves.assign(
            seq=range(len(moves)),
            transaction_id=range(len(moves)),
            account_id=moves["customer_id"],
            arrived_at=moves["booked_at"],
            currency="GBP",
        )
        dues = pd.DataFrame(self.dues, columns="obligation_id instalment kind due_on amount_minor autopay".split())
        dues = dues.assign(
            customer_id=0,
            announced_at=pd.to_datetime(dues["due_on"]) - 9 * DAY,
            currency="GBP",
            fact="announced",
            enough_minor=dues["amount_minor"],
        ).sort_values(["obligation_id", "instalment"])
        paid = pd.DataFrame(self.paid, columns="obligation_id instalment paid_at due_on amount_minor".split())
        paid = paid.assign(customer_id=0, arrived_at=paid["paid_at"], payment_id=range(len(paid)))
        joined = pd.Timestamp("2020-01-01")
        return dict(
            customers=pd.DataFrame(
                dict(customer_id=who, source_id=[str(i) for i in who], joined_on=joined, segment="plus")
            ).assign(time_zone="Europe/London"),
            accounts=pd.DataFrame(
                dict(account_id=who, customer_id=who, kind="current", opened_on=joined, currency="GBP", limit_minor=0)
            ),
            obligations=dues,
            transactions=moves,
            payments=paid,
            episodes=pd.DataFrame(self.wrong, columns="customer_id stress start_on end_on size".split()),
            protected=pd.DataFrame(
                dict(customer_id=who, age_band="30-44", sex=["female", "male"] * (n // 2), ethnicity="group_a")
            ).assign(region="south"),
            latent=pd.DataFrame(
                dict(customer_id=who, persona=self.persona, income_minor=200_000, hidden_pay_share=0.0)
            ).assign(hidden_spend_share=0.0, forgets=0.0, family=0.0, hardship=1.0, buffer_days=20.0),
        )

    def write(self) -> None:
        contracts = {t.name: t for t in (*schema.TABLES.values(), *world.TRUTH)}
        kinds = dict(int64="int64", int32="int32", float64="float64", bool="bool", time="datetime64[ms]")
        frames = {}
        for name, frame in self.tables().items():
            types = {c.name: kinds.get(c.kind, "category") for c in contracts[name].columns}
            frames[name] = frame.astype(types).reset_index(drop=True)
            for c in contracts[name].columns:
                if c.kind == "word":
                    frames[name][c.name] = pd.Categorical(frames[name][c.name], categories=c.words)
        for folder, tables in (("raw", schema.TABLES.values()), ("truth", world.TRUTH)):
            with disk.writing(self.folder / folder, tables) as writer:
                writer.add(disk.Part(0, self.n), {t.name: frames[t.name] for t in tables})

    def measured(self) -> dict[str, float]:
        self.write()
        return mechanics.mechanics(self.folder / "raw", self.folder / "truth", self.p)

    def scene(self) -> Scene:
        self.write()
        return scene(self.folder / "raw", self.folder / "truth", disk.Part(0, self.n), self.p)


@pytest.fixture
def bank(tmp_path: Path, p: params.Params) -> Bank:
    return Bank(tmp_path, p)


def salaries(bank: Bank, amounts: list[int], name: str = "Works") -> None:
    for month, minor in zip(MONTHS, amounts, strict=False):
        bank.move(month + 24 * DAY, "salary", minor, name)


# what repeats


def test_a_salary_that_repeats_is_told_from_one_that_does_not(tmp_path: Path, p: params.Params) -> None:
    found = []
    for name, amounts in (("same", [200_000] * 18), ("other", [200_000 + i for i in range(18)])):
        bank = Bank(tmp_path / name, p)
        salaries(bank, amounts)
        found.append(bank.measured()["salary_repeats"])
    assert found == [1, 0]


def test_a_salary_is_not_asked_to_repeat_while_something_goes_wrong(bank: Bank) -> None:
    salaries(bank, [200_000] * 6 + [100_000] * 12)
    assert bank.measured()["salary_repeats"] == 16 / 17
    bank.wrong.append((0, "cut_hours", "2024-07-03", "2024-08-01", 0.5))
    assert bank.measured()["salary_repeats"] == 1


def test_rents_and_pensions_are_asked_each_by_its_own(tmp_path: Path, p: params.Params) -> None:
    bank = Bank(tmp_path, p, persona="pension")
    for i, month in enumerate(MONTHS):
        bank.move(month, "pension", 90_000, "Pensions")
        bank.move(month, "rent", -60_000 - 100 * (i >= 9), "Homes")
    found = bank.measured()
    assert found["pension_repeats"] == 1 and found["home_repeats"] == 16 / 17 and np.isnan(found["salary_repeats"])
    assert found["whole_rents"] == 1


@pytest.mark.parametrize(
    ("amounts", "share"),
    [
        ([200_000] * 8 + [206_000] * 10, 1),
        ([200_000] * 18, 0),
        ([200_000] * 8 + [260_000] * 10, 0),
        ([200_000] * 6 + [206_000] * 5 + [212_000] * 7, 0),
        ([200_000 + 7 * i for i in range(18)], 0),
    ],
    ids=["one rise", "none", "too much", "two", "nothing lasts"],
)
def test_one_lasting_rise_in_a_year(bank: Bank, amounts: list[int], share: float) -> None:
    salaries(bank, amounts)
    assert bank.measured()["wages_rise"] == share


def test_two_employers_in_a_quarter_are_two_and_a_new_employer_is_one(bank: Bank) -> None:
    salaries(bank, [200_000] * 9, "Works")
    for month in MONTHS[9:]:
        bank.move(month + 24 * DAY, "salary", 190_000, "Mill")
    bank.move("2024-11-30", "salary", 20_000, "School")  # once is a holiday job
    assert bank.measured()["second_pay"] == 0
    for month in MONTHS[9:12]:
        bank.move(month + 10 * DAY, "salary", 90_000, "School")
    assert bank.measured()["second_pay"] == 0.5


# tills and clocks


def test_bets_at_one_minute_and_meals_at_eight_are_seen(bank: Bank) -> None:
    for i in range(100):
        day = MONTHS[0] + i * DAY
        bank.move(day + pd.Timedelta(hours=22), "gambling", -500)
        bank.move(day + pd.Timedelta(hours=8 if i < 70 else 12), "restaurant", -1_530)
    found = bank.measured()
    assert (found["busiest_bet_minute"], found["evening_meals"], found["night_purchases"]) == (1, 0.3, 0)
    bank.moves = [(*m[:1], m[1] + pd.Timedelta(minutes=i), *m[2:]) for i, m in enumerate(bank.moves)]
    assert bank.measured()["busiest_bet_minute"] == 0.01


def test_whole_pounds_tens_and_night(bank: Bank) -> None:
    for i, (category, minor) in enumerate([("groceries", 1_000), ("fuel", 1_001), ("atm", 2_000), ("atm", 2_500)]):
        bank.move(f"2024-01-0{i + 1} 03:00", category, -minor)
    found = bank.measured()
    assert (found["whole_purchases"], found["rounded_cash"], found["night_purchases"]) == (0.5, 0.5, 1)


def test_shops_that_share_the_market_and_customers_without_favourites_are_seen(bank: Bank) -> None:
    for i in range(100):
        bank.move(MONTHS[0] + i * DAY, "groceries", -999, f"Shop {i}")
    found = bank.measured()
    assert found["top_shops"] == 0.01 and found["favourite_shops"] == 0.03
    for i in range(300):
        bank.move(MONTHS[0] + i * DAY, "groceries", -999, "Shop 1")
    found = bank.measured()
    assert found["top_shops"] == 301 / 400 and found["favourite_shops"] == 303 / 400


# collections


@pytest.mark.parametrize(
    ("on", "at", "share"),
    [
        ("2024-06-03", "2024-06-03", 0),
        ("2024-06-02", "2024-06-02", 1),
        ("2024-06-02", "2024-06-03", 0),
        ("2024-06-01", "2024-06-01", 1),
        ("2024-05-06", "2024-05-06", 1),
        ("2024-03-29", "2024-04-02", 0),
    ],
    ids=["a Monday", "a Sunday", "moved from a Sunday", "a Saturday", "a bank holiday", "moved over Easter"],
)
def test_a_debit_on_a_closed_day_is_seen(bank: Bank, on: str, at: str, share: float) -> None:
    bank.collect(on, "utility", 7_000, f"{at} 02:00")
    assert bank.measured()["debits_on_closed_days"] == share


def test_first_attempts_by_kind_and_what_comes_after_them(bank: Bank) -> None:
    for i, month in enumerate(MONTHS[:10]):
        bank.collect(month + 2 * DAY, "subscription", 1_500, month + 2 * DAY + pd.Timedelta(hours=2), failed=i < 4)
    for month in MONTHS[:3]:  # three of four are tried again, two of them with success
        bank.move(month + 5 * DAY, "subscription", -1_500, status="booked" if month.month < 3 else "failed")
    bank.paid += [(1, i + 1, MONTHS[i] + 5 * DAY, MONTHS[i] + 2 * DAY, 1_500) for i in range(2)]
    found = bank.measured()
    assert found["failed_subscription"] == 0.4 and np.isnan(found["failed_mortgage"])
    assert found["represented"] == 0.75 and found["represented_paid"] == pytest.approx(2 / 3)


def test_failures_in_the_published_order_and_the_other_way_round() -> None:
    rates = dict(zip(ORDER, np.linspace(0.005, 0.05, len(ORDER)), strict=True))
    assert order_of(rates) == pytest.approx(1) and order_of({k: -v for k, v in rates.items()}) == pytest.approx(-1)
    assert np.isnan(order_of(dict.fromkeys(ORDER, np.nan)))


@pytest.mark.parametrize("kind", ["card", "loan"])
def test_a_missed_due_beside_a_full_account_is_a_fault_and_beside_an_empty_one_is_none(bank: Bank, kind: str) -> None:
    bank.move("2024-01-02", "salary", 200_000, balance=50_000)
    bank.due("2024-03-01", kind, 5_000, True, None)
    assert bank.measured()["covered_misses"] == 1
    bank.move("2024-03-04 09:00", "groceries", -49_000, balance=1_000)  # the second working day
    assert bank.measured()["covered_misses"] == 0


def test_who_forgets_with_money_in_hand_and_forgets_again(tmp_path: Path, p: params.Params) -> None:
    def forgetful(name: str, late: set[int], balance: int) -> dict[str, float]:
        bank = Bank(tmp_path / name, p)
        bank.move("2024-01-02", "salary", 200_000, balance=balance)
        for i, month in enumerate(MONTHS[:16]):
            on = month + 9 * DAY
            bank.due(on, "utility", 7_000, False, on + (6 * DAY if i in late else 0 * DAY))
        return bank.measured()

    habit, chance = forgetful("habit", {1, 2, 3}, 90_000), forgetful("chance", {1, 14}, 90_000)
    assert habit["forgotten"] == 3 / 16 and habit["forgets_again"] > 1 > chance["forgets_again"] == 0
    assert forgetful("poor", {1, 2, 3}, 100)["forgotten"] == 0


def test_a_payday_loan_that_takes_back_three_times_what_it_lent(bank: Bank) -> None:
    bank.move("2024-01-05", "payday_loan", 10_000)
    bank.move("2024-02-05", "payday_repayment", -12_000, status="failed")
    bank.move("2024-02-19", "payday_repayment", -15_000)
    bank.move("2024-03-05", "payday_repayment", -15_000)
    bank.move("2024-04-05", "payday_loan", 10_000)
    bank.move("2024-05-05", "payday_repayment", -12_000)
    found = bank.measured()
    assert found["payday_multiple"] == pytest.approx(3, abs=0.01) and found["payday_failed"] == 0.25


# who is hit, and who is who


def test_episodes_are_counted_by_the_year_of_those_they_can_hit(tmp_path: Path, p: params.Params) -> None:
    bank = Bank(tmp_path, p)
    bank.wrong.append((0, "job_loss", "2024-05-01", "2024-09-01", 1.0))
    bank.wrong.append((1, "illness", "2023-11-01", "2024-03-01", 0.4))  # began before anything was visible
    found = bank.measured()
    assert found["job_loss"] == pytest.approx(1 / (2 * 547 / 365.25)) and found["illness"] == 0
    assert np.isnan(Bank(tmp_path / "old", p, persona="pension").measured()["job_loss"])


def test_look_alikes_that_are_no_trouble_are_known_by_their_names(bank: Bank) -> None:
    bank.wrong.append((0, "rate_rise", "2025-02-01", "2025-02-01", 0.1))
    found = bank.scene()
    assert share_of(hits(found)["benign_share"]) == 0
    renamed = found._replace(episodes=found.episodes.assign(stress="annual_bill"))
    assert share_of(hits(renamed)["benign_share"]) == 0.5


def test_groups_that_are_drawn_by_coin_are_seen() -> None:
    who = pd.DataFrame(
        dict(
            sex=["female", "male"] * 4,
            ethnicity=["group_a", "group_b"] * 4,
            age_band=["18-29", "60-74", "75+", "30-44"] * 2,
            persona=["student", "pension", "gig", "gig"] * 2,
            income_minor=[80, 100] * 4,
            buffer_days=[30.0, 15.0] * 4,
        )
    )
    found = groups_of(who)
    assert found == dict(sex_income=0.8, ethnic_buffer=0.5, old_workers=0.5, young_workers=0)


def test_a_sign_that_comes_as_often_without_its_cause_is_seen(bank: Bank) -> None:
    bank.wrong.append((0, "job_loss", "2024-01-05", "2024-09-20", 1.0))  # nine months of eighteen
    for month in MONTHS:
        bank.move(month + 3 * DAY, "fee", -1_200)
        bank.move(month + 3 * DAY, "groceries", -8_000)
        bank.move(month + 4 * DAY, "atm", -1_000 if month.year == 2025 else -2_000)
    bank.move("2024-02-01", "payday_loan", 10_000)
    bank.move("2025-02-01", "payday_loan", 10_000, customer=1)
    found = bank.measured()
    assert found["sign_charge"] == pytest.approx(1 / (9 / 27)) and found["sign_payday"] == pytest.approx(3)
    assert found["sign_cash"] > 1 and np.isnan(found["sign_gambling"])


def test_spending_is_shared_by_purpose_and_cash_is_left_out(bank: Bank) -> None:
    for category, minor in dict(groceries=3_000, medical=1_000, utility=6_000, rent=70_000, atm=5_000).items():
        bank.move("2024-03-05", category, -minor)
    found = bank.measured()
    assert (found["spend_food"], found["spend_health"], found["spend_transport"]) == (0.3, 0.1, 0)
    assert found["medical_purchases"] == pytest.approx(1 / (2 * 547 / 365.25))


# the list of bands


def test_every_measure_has_a_band_and_nothing_of_the_kind_is_not_known(bank: Bank) -> None:
    found = bank.measured()
    bands = bank.p.simulate.mechanics
    assert list({b["name"] for b in bands} ^ found.keys()) == [] and len(bands) == len(found)
    certain = {name for name, value in found.items() if not np.isnan(value)}
    assert certain == {"second_pay", "benign_share", "sex_income", "ethnic_buffer", "medical_purchases"} | {
        "job_loss",
        "cut_hours",
        "illness",
        "separation",
    }
    table = calibration.compare(found, bands, of="mechanics")
    assert not table.loc[~table["name"].isin(certain), "inside"].any()


BAND = dict(name="job_loss", low=0.0, high=1.0, unit="share", source="assumption")


@pytest.mark.parametrize(
    ("bands", "of", "says"),
    [
        ([BAND | dict(was=0.1)], "calibration", "wrong keys"),
        ([BAND], "mechanics", "give name, low, high, was, unit, source"),
        ([BAND | dict(name="job_los", was=0.1)], "mechanics", "mechanics record 'job_los' is not measured"),
        ([BAND | dict(low=2, was=0.1)], "mechanics", "swap them"),
        ([BAND, BAND], "calibration", "two records"),
    ],
)
def test_a_band_of_another_shape_is_refused(bands: list[dict], of: str, says: str) -> None:
    with pytest.raises(ParamsError, match=says):
        calibration.compare(dict(job_loss=0.5), bands, of=of)


def test_what_the_first_world_gave_stands_beside_what_this_one_gives() -> None:
    table = calibration.compare(dict(job_loss=0.5), [BAND | dict(was=None)], of="mechanics")
    assert table["inside"].tolist() == [True] and table["was"].isna().all()
    assert "was" not in calibration.compare(dict(job_loss=0.5), [BAND])
