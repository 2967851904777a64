"""What changed is found in a customer's own record, is not invented for a calm one, and never read before it was known."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from predelinquency.ground import params, schema
from predelinquency.ground.core import SchemaError, project_folder
from predelinquency.ground.disk import Part
from predelinquency.reasons import changes
from predelinquency.reasons.past import by_hand, columns, cut, pasts
from predelinquency.truth import named
from predelinquency.world import world
from predelinquency.world.stress import STRESSES

pytestmark = pytest.mark.fast

ON = "2025-06-20"
PAYDAYS = (204, 175, 143, 112, 84, 53, 23)  # the 28th, or the Friday before
SHOPS = [(ago, -3_000 - 10 * (ago % 7), "groceries", "Grocer") for ago in range(1, 230, 2)]
SALARY = [(ago, 200_000, "salary", "Acme") for ago in PAYDAYS]
RENT = [(ago, 60_000, 1, "rent") for ago in (190, 160, 130, 100, 70, 40, 10, -20)]
CALM = [*SHOPS, *SALARY]


def every(count, amount, category, name, step=4):
    return [(3 + step * k, amount, category, name) for k in range(count)]


STORIES = {  # what happened → moves, dues, and the first change told
    "pay a week late": ([*SHOPS, *SALARY[:-1], (15, 200_000, "salary", "Acme")], RENT, "pay_late"),
    "pay has stopped": ([*SHOPS, *SALARY[:-1]], RENT, "pay_stopped"),
    "pay is halved": ([*SHOPS, *SALARY[:-1], (23, 100_000, "salary", "Acme")], RENT, "pay_smaller"),
    "a benefit begins": ([*CALM, (12, 60_000, "benefit", "Benefits")], RENT, "benefit_begun"),
    "bets": ([*CALM, *every(6, -4_000, "gambling", "Bets")], RENT, "gambling_up"),
    "medicine": ([*CALM, *every(8, -1_500, "medical", "Pharmacy")], RENT, "medical_up"),
    "a repair": ([*CALM, (9, -90_000, "repair", "Motors")], RENT, "large_bill"),
    "a dearer home": (CALM, [*RENT[:-1], (-20, 66_000, 1, "rent")], "due_grown"),
    "a contract more": (CALM, [*RENT, (-10, 2_500, 2, "telecom")], "new_commitment"),
    "paying later": ([*CALM, *every(3, -2_500, "bnpl", "Pay Later", 14)], RENT, "pay_later"),
    "a loan": ([*CALM, (20, 300_000, "loan_disbursement", "Finance")], RENT, "loan_taken"),
    "dear credit": ([*CALM, (6, 15_000, "payday_loan", "Quick Cash")], RENT, "dear_credit"),
    "family helps": ([*CALM, *every(2, 20_000, "family_support", "Family", 9)], RENT, "help_begun"),
    "cash": ([*CALM, *every(6, -9_000, "atm", "Cashpoint")], RENT, "cash_up"),
    "a new payday": (
        [*SHOPS, *SALARY[:-2], (46, 200_000, "salary", "Acme"), (15, 200_000, "salary", "Acme")],
        RENT,
        "payday_moved",
    ),
    "another bank": (
        [*SHOPS, *SALARY[:-1], (23, 180_000, "own_transfer", "Own account, other bank")],
        RENT,
        "bank_moved",
    ),
    "a yearly bill": ([*CALM, (9, -50_000, "insurance", "Mutual")], RENT, "annual_bill"),
    "given back": ([*CALM, (30, -50_000, "retail", "Bazaar"), (20, 50_000, "refund", "Bazaar")], RENT, "refund"),
}


@pytest.mark.parametrize("story", STORIES)
def test_what_happened_is_told_first_and_what_did_not_happen_is_not_told(story):
    moves, owed, first = STORIES[story]
    told = changes.tell_changes(by_hand(ON, moves, owed, opening=500_000), "GBP")
    assert told and told[0].name == first, [(c.name, c.severity) for c in told]
    assert told[0].benign == (first in changes.HARMLESS) and told[0].severity >= 1
    assert all(at < int(np.datetime64(ON, "D").astype(int)) + 60 for at, _ in told[0].seen) and told[0].seen
    assert not re.search(r"[{}]|nan", " ".join(c.analyst for c in told))


def test_of_a_calm_life_nothing_is_told_and_an_empty_record_is_no_error():
    assert changes.tell_changes(by_hand(ON, CALM, RENT, opening=500_000)) == ()
    calm = by_hand(ON, CALM, RENT)
    nobody = cut(calm.as_of - 10_000, calm.moves, calm.owed, calm.paid)
    assert changes.tell_changes(nobody) == () and len(nobody.moves.day) == 0


def test_the_same_life_in_another_year_and_in_larger_money_is_told_the_same():
    moves, owed, _ = STORIES["a repair"]
    names = [c.name for c in changes.tell_changes(by_hand(ON, moves, owed, opening=500_000))]
    many = [(ago, 7 * amount, category, name) for ago, amount, category, name in moves]
    dear = [(ago, 7 * amount, contract, kind) for ago, amount, contract, kind in owed]
    assert names == [c.name for c in changes.tell_changes(by_hand(ON, many, dear, opening=3_500_000))]


def test_causes_are_told_before_traces_and_harmless_ones_last():
    moves = [*STORIES["dear credit"][0], *STORIES["bets"][0][len(CALM) :], (9, -50_000, "insurance", "Mutual")]
    told = changes.tell_changes(by_hand(ON, moves, RENT, opening=500_000), top=9)
    ranks = [(c.benign, not c.of) for c in told]
    assert ranks == sorted(ranks) and {"gambling_up", "dear_credit", "annual_bill"} <= {c.name for c in told}


def test_a_detector_fires_at_its_threshold_and_not_below():
    d = replace(changes.DETECTORS[0], threshold=2.0, strong=20.0)
    assert changes.severity(d, 1.999) == 0 and changes.severity(d, 2.0) == 1 and changes.severity(d, np.nan) == 0
    assert changes.severity(d, 20.0) == pytest.approx(2) and changes.severity(replace(d, strong=2.0), 3.0) > 2


def test_every_detector_is_measured_worded_and_belongs_to_a_trouble_that_exists():
    names = {d.name for d in changes.DETECTORS}
    assert set(changes.WORDS) == names and set(changes.HARMLESS) == set(named.BENIGN)
    assert (
        {cause for d in changes.DETECTORS for cause in d.of}
        == set(named.HARMFUL)
        == {s.name for s in STRESSES if not s.benign}
    )
    assert all(0 < d.least <= d.threshold <= d.strong and 0 < d.rate <= 0.02 for d in changes.DETECTORS)


def test_customers_read_a_topic_and_never_a_finding():
    every_word = {**changes.WORDS, **changes.HARMLESS}
    sensitive = ("gambling_up", "medical_up", "benefit_begun", "help_begun", "bank_moved")
    assert all(every_word[name].customer == "" for name in sensitive)
    said = [w.customer for w in every_word.values() if w.customer]
    assert not [s for s in said if re.search(r"\d|[{}]|\b(we|noticed|late|less|missed|stopped)\b", s, re.I)]


@pytest.fixture(scope="module")
def bank():
    p = params.load(project_folder() / "params.yaml", {"base.seed": 99})
    return world.tables_of(p, Part(0, 40))[0]


@pytest.fixture(scope="module")
def asked():
    return pd.DataFrame(dict(customer_id=np.arange(40), as_of=pd.Timestamp("2025-03-03"))).astype(
        {"as_of": "datetime64[ms]"}
    )


def test_all_customers_at_once_are_told_what_each_is_told_alone(bank, asked):
    found = changes.tabulate(asked, pasts(columns(bank), asked), dict.fromkeys(range(40), "GBP"))
    schema.validate(changes.CHANGES, found, where="test")
    assert found.customer_id.nunique() > 8 and found["rank"].max() <= changes.TOLD
    for who in found.customer_id.unique()[:6]:
        alone = {name: t[t.customer_id == who] for name, t in bank.items() if "customer_id" in t}
        told = changes.of_customer(alone, asked.as_of[0], currency="GBP")
        assert [c.analyst for c in told] == found[found.customer_id == who].analyst.tolist()
        assert told == changes.of_customer(bank, asked.as_of[0], int(who), "GBP")
    with pytest.raises(SchemaError, match="tables of 40 customers"):
        changes.of_customer(bank, asked.as_of[0])


def test_nothing_is_read_that_was_not_known_on_the_day(bank, asked):
    day = np.datetime64("2025-03-03", "ms")
    told = changes.tabulate(asked, pasts(columns(bank), asked), {})
    now = {"transactions": "arrived_at", "payments": "arrived_at", "obligations": "announced_at"}
    known = bank | {name: bank[name][bank[name][column] < day] for name, column in now.items()}
    assert len(known["transactions"]) < len(bank["transactions"])
    pd.testing.assert_frame_equal(told, changes.tabulate(asked, pasts(columns(known), asked), {}))
    later = {name: bank[name].copy() for name in now}
    for name, frame in later.items():  # what comes to be known later may say anything
        frame.loc[frame[now[name]] >= day, "amount_minor"] *= 50
    pd.testing.assert_frame_equal(told, changes.tabulate(asked, pasts(columns(bank | later), asked), {}))


def test_a_question_without_a_change_has_no_row(bank, asked):
    found = changes.tabulate(asked.iloc[:0], iter(()), {})
    assert len(found) == 0 and schema.validate(changes.CHANGES, found, where="test") is not None


def test_changes_are_written_whole_or_not_at_all(bank, asked, tmp_path):
    good = changes.tabulate(asked, pasts(columns(bank), asked), {})
    written = changes.write_changes(tmp_path / "changes.parquet", [good, good.iloc[:0]], dict(model="m1"))
    assert len(written) == len(good) == len(pd.read_parquet(tmp_path / "changes.parquet"))
    before = (tmp_path / "changes.parquet").read_bytes()
    with pytest.raises(SchemaError, match="severity"):
        changes.write_changes(tmp_path / "changes.parquet", [good, good.assign(severity=0.5)])
    assert (tmp_path / "changes.parquet").read_bytes() == before
    assert len(changes.write_changes(tmp_path / "none.parquet", [])) == 0
    often = changes.how_often(good, len(asked))
    assert often.told.sum() == len(good) and often.share.max() <= 1
    assert len(changes.examples(good, 2).customer.unique()) == 2
