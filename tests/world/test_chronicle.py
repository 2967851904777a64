"""The people of a made world, from far and from near."""

from pathlib import Path

import pandas as pd
import pytest

from predelinquency.ground import schema
from predelinquency.world import chronicle


def on(*days):
    return pd.to_datetime(list(days))


def part(dues, wrong, people=5):
    dues = pd.DataFrame(dues, columns=["customer_id", "due_on", "missed"]).assign(amount_minor=100, kind="loan")
    wrong = pd.DataFrame(wrong, columns=["customer_id", "stress", "start_on", "end_on"])
    times = dict(start_on=pd.to_datetime(wrong.start_on), end_on=pd.to_datetime(wrong.end_on))
    who = pd.DataFrame(dict(customer_id=range(people)))
    end = pd.Timestamp("2025-06-01")
    return chronicle.Part(
        Path("r"), Path("t"), 5, end, who, dues.assign(due_on=pd.to_datetime(dues.due_on)), wrong.assign(**times)
    )


def test_three_lives_are_of_three_kinds_and_others_stand_in_where_there_is_none():
    dues = [(4, "2025-03-01", True), (3, "2025-03-01", True), (2, "2025-03-01", True), (1, "2025-03-01", False)]
    wrong = [(4, "late_salary", "2025-02-01", "2025-02-20"), (3, "job_loss", "2025-01-01", "2025-04-01")]
    assert chronicle.three_lives(part(dues, wrong)) == [3, 4, 2]
    long_ago = [(4, "late_salary", "2024-02-01", "2024-02-20"), (3, "job_loss", "2024-01-01", "2024-04-01")]
    assert chronicle.three_lives(part(dues, long_ago)) == [2, 0, 1], (
        "only the one to whom nothing happened is of a kind"
    )


def test_a_stress_counts_once_for_a_due_and_only_while_it_was_near():
    dues = [(1, "2025-03-01", True), (2, "2025-03-01", True), (3, "2025-03-01", False)]
    twice = [(1, "illness", "2025-01-01", "2025-01-20"), (1, "illness", "2025-02-01", "2025-02-20")]
    far = [(2, "illness", "2024-06-01", "2024-07-01"), (3, "illness", "2025-02-01", "2025-03-01")]
    after = [(2, "gambling", "2025-03-02", "2025-04-01")]
    assert chronicle.stress_before(part(dues, twice + far + after)).to_dict() == {"illness": 0.5}


def test_a_month_without_a_miss_is_nought_and_what_lies_beyond_the_record_is_not_there():
    share = chronicle.missed_by_month(
        part(
            [(0, "2025-03-01", True), (1, "2025-03-09", False), (0, "2025-04-01", False), (0, "2025-06-01", False)], []
        )
    )
    assert share.to_dict() == {"2025-03": 0.5, "2025-04": 0.0}


def test_consents_are_shares_of_all_customers():
    one, other = schema.CHANNELS[:2]
    agreed = pd.DataFrame(dict(channel=[one, one, other], purpose=schema.PURPOSES[0], consent=[True, False, True]))
    found = chronicle.agreed_to(agreed, 4)
    assert found[f"agreed to {schema.PURPOSES[0]} by {one}"] == 0.25 and len(found) == len(schema.PURPOSES) * len(
        schema.CHANNELS
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_the_lot_draws_as_many_as_there_are(world, settings, seed):
    from predelinquency.world.world import Settings

    some = chronicle.read_part(world / "raw", world / "truth", Settings(settings.base, settings.simulate))
    assert some.people.missed.sum() == some.misses.customer_id.nunique() > 0
    assert chronicle.by_lot(some, seed, most=2).count("Customer ") == 2
    assert chronicle.by_persona(some).customers.sum() == len(some.people)
