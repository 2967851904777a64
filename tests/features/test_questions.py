"A question may name a due: the fold's answer against a plain rescan, at every hour, in every order, with nothing from later."

import fuzz
import numpy as np
import pandas as pd
import pytest
import rescan

from predelinquency.features import offline, questions
from predelinquency.features.catalogue import CATALOGUE
from predelinquency.ground.core import SchemaError
from predelinquency.ground.schema import ANY, NO_DUE, naming_dues

NAMES = [f.name for f in CATALOGUE]
ASKED = [k for k, f in enumerate(CATALOGUE) if f.group == "asked"]


@pytest.fixture(scope="module")
def bank():
    tables = fuzz.tables(21, 80, days=300, most=40)
    return tables | {"contracts": fuzz.contracts(21, tables)}


@pytest.fixture(scope="module")
def asked(bank):
    return fuzz.about_dues(21, bank, fuzz.spine(80, days=300, every=9))


@pytest.fixture(scope="module")
def found(bank, asked):
    return offline.features(bank, asked)[NAMES].to_numpy()


def declared(contracts, row):
    "The latest row that was known before the question, or nothing."
    mine = contracts[
        (contracts.customer_id == row.customer_id)
        & (contracts.obligation_id == row.obligation_id)
        & (contracts.known_at < row.as_of)
    ]
    return tuple(mine[list(questions.DECLARED)].iloc[-1].astype(float)) if len(mine) else (np.nan,) * 3


def test_a_question_about_a_due_is_answered_as_a_plain_rescan_answers_it(bank, asked, found):
    plain, lives = np.empty_like(found), {c: rescan.Life(bank, c) for c in asked.customer_id.unique()}
    for i, row in enumerate(asked.itertuples()):
        day = int(np.datetime64(row.as_of, "D").astype(int))
        due, terms = (row.obligation_id, row.instalment), declared(bank["contracts"], row)
        plain[i] = rescan.rescan(lives[row.customer_id], day, due=due, contract=terms)
    np.testing.assert_allclose(found, plain, rtol=1e-9, atol=1e-12)
    assert (~np.isnan(found[:, ASKED])).mean(axis=0).min() > 0.02  # each is known of somebody


def test_what_no_due_is_named_for_says_nothing_of_one_and_the_rest_to_the_bit(bank, asked, found):
    bare = offline.features(bank, asked[["customer_id", "as_of"]])[NAMES].to_numpy()
    assert np.isnan(bare[:, ASKED]).all()
    others = [k for k in range(len(NAMES)) if k not in ASKED]
    assert bare[:, others].tobytes() == found[:, others].tobytes()


def test_the_order_of_the_questions_changes_no_answer(bank, asked, found):
    mixed = asked.sample(frac=1, random_state=3)
    assert offline.features(bank, mixed).loc[asked.index, NAMES].to_numpy().tobytes() == found.tobytes()


def test_several_contracts_of_one_day_are_several_rows(bank):
    owed = bank["obligations"].drop_duplicates(["customer_id", "obligation_id"]).groupby("customer_id").head(2)
    both = owed[owed.customer_id.duplicated(keep=False)][["customer_id", "obligation_id"]]
    rows = both.assign(as_of=pd.Timestamp("2024-09-01"), instalment=ANY)
    panel = offline.panel(bank, rows.iloc[::-1])
    assert (
        panel[["customer_id", "obligation_id"]].to_numpy().tolist()
        == both.sort_values(["customer_id", "obligation_id"]).to_numpy().tolist()
    )
    pairs = panel.groupby("customer_id")[["asked_due", "asked_lead_days"]].nunique()
    assert (pairs > 1).any(axis=1).sum() > 5


def test_what_a_contract_declares_counts_from_the_day_after_it_was_known(bank):
    said = (
        bank["contracts"].iloc[[0]].assign(known_at=pd.Timestamp("2024-06-01"), rate=0.05, term=12, principal_minor=900)
    )
    who, contract = int(said.customer_id.iloc[0]), int(said.obligation_id.iloc[0])
    days = pd.to_datetime(["2024-06-01", "2024-06-02"])
    rows = pd.DataFrame(dict(customer_id=who, as_of=days, obligation_id=contract, instalment=ANY))
    found = offline.features(bank | {"contracts": said}, rows)
    assert found.asked_rate.isna().tolist() == [True, False]
    assert found.asked_term.iloc[1] == 12 and found.asked_principal.iloc[1] == 900


def test_a_payment_taken_back_is_no_part_payment(bank):
    due = dict(
        announced_at="2025-01-01", obligation_id=3, instalment=1, kind="loan", autopay=False, due_on="2025-01-20"
    )
    due = pd.DataFrame([due | dict(customer_id=1, amount_minor=500, enough_minor=500, fact="announced")])
    paid = pd.DataFrame(
        dict(customer_id=1, paid_at=["2025-01-20", "2025-01-20"], arrived_at=["2025-01-20", "2025-01-25"])
    ).assign(obligation_id=3, instalment=1, amount_minor=[200, -200], payment_id=pd.array([4, 5], "Int64"))
    times = {c: "datetime64[ms]" for c in ("announced_at", "due_on", "paid_at", "arrived_at")}
    tables = {
        name: frame.astype({k: v for k, v in times.items() if k in frame})
        for name, frame in (("obligations", due), ("payments", paid))
    }
    rows = pd.DataFrame(dict(customer_id=1, as_of=pd.to_datetime(["2025-01-24", "2025-01-26"])))
    assert offline.features(tables, rows).part_paid_90d.tolist() == [1, 0]


def test_a_question_in_the_middle_of_a_day_is_refused(bank, asked):
    with pytest.raises(SchemaError, match="midnight"):
        offline.features(bank, asked.head(1).assign(as_of=pd.Timestamp("2024-05-01 12:00")))


def test_a_row_that_names_nothing_names_no_due():
    rows = naming_dues(pd.DataFrame(dict(customer_id=[1, 2], obligation_id=pd.array([None, 5], "Int64"))))
    assert rows.obligation_id.tolist() == [NO_DUE, 5] and rows.instalment.tolist() == [ANY, ANY]


def test_moments_as_a_source_brings_them_may_leave_the_due_empty(bank, asked):
    rows = asked.head(40).reset_index(drop=True)
    empty = rows.assign(
        obligation_id=rows.obligation_id.astype("Int64").mask(rows.index % 2 == 0),
        instalment=rows.instalment.astype("Int32").mask(rows.index % 2 == 0),
    )
    named = rows.assign(
        obligation_id=rows.obligation_id.mask(rows.index % 2 == 0, NO_DUE),
        instalment=rows.instalment.mask(rows.index % 2 == 0, ANY),
    )
    pd.testing.assert_frame_equal(offline.features(bank, empty)[NAMES], offline.features(bank, named)[NAMES])


def test_the_features_of_a_due_come_last_so_that_a_customer_is_counted_without_them():
    assert ASKED == list(range(len(CATALOGUE) - len(ASKED), len(CATALOGUE)))
