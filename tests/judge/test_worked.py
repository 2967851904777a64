"""What worked, from tracked decisions whose effects are known; and what a year will be able to show."""

import numpy as np
import pandas as pd
import pytest

from predelinquency.ground.core import SchemaError
from predelinquency.judge import worked


def tracked(seed: int, n: int = 4_000, effect: float = 0.0, **other: object) -> pd.DataFrame:
    "Decisions by lot between nothing and a reminder, and beside them those whose case called for a moved date."
    rng = np.random.default_rng(seed)
    drawn = rng.choice(["nothing", "reminder"], n)
    rows = pd.DataFrame(dict(customer_id=np.arange(n), rule="lottery", arm="treated", arm_propensity=0.9))
    rows = rows.assign(stratum=rng.choice(["watch loan by_hand", "raised card collected"], n), action=drawn)
    rows = rows.assign(intended="nothing", propensities=[{"nothing": 0.5, "reminder": 0.5}] * n)
    base = np.where(rows.stratum.str.startswith("raised"), 0.3, 0.1)
    rows["in_arrears"] = pd.array(rng.random(n) < base + effect * (drawn == "reminder"), "boolean")
    held = rng.random(n) < 0.1
    more = rows.assign(customer_id=n + rows.customer_id, rule="best", intended="due_date_change")
    more = more.assign(arm=np.where(held, "control", "treated"), arm_propensity=np.where(held, 0.1, 0.9))
    more["action"] = np.where(held, "nothing", "due_date_change")
    more["in_arrears"] = pd.array(rng.random(n) < 0.2 + effect * ~held, "boolean")
    return pd.concat([rows, more], ignore_index=True).assign(**other)


def test_a_planted_effect_is_found_by_both_draws_and_said() -> None:
    found = {(w.action, w.draw): w for w in worked.what_worked(tracked(1, effect=-0.08))}
    assert set(found) == {("reminder", "lottery"), ("due_date_change", "control group")}
    for w in found.values():
        assert w.estimate and w.estimate.low < -0.08 < w.estimate.high and w.said == "averts misses"
    said = worked.in_a_sentence(list(found.values()), {"reminder": "A reminder"})
    assert "of a hundred customers" in said and "fewer came to be in arrears" in said


def test_harm_is_called_harm() -> None:
    found = worked.what_worked(tracked(12, effect=0.08))
    assert {w.said for w in found} == {"makes misses more frequent"}
    assert "more came to be in arrears" in worked.in_a_sentence(found, {})


def test_where_nothing_is_nothing_is_shown_nineteen_times_in_twenty() -> None:
    found = [w for seed in range(40) for w in worked.what_worked(tracked(100 + seed, 800))]
    shown = [w for w in found if w.estimate and w.said != "no effect is shown"]
    assert len(shown) <= 9 and sum(w.estimate is None for w in found) <= 4, "5 % of 80, and 1 % of true logs refused"


def test_an_outcome_that_is_not_known_is_no_outcome() -> None:
    rows = tracked(3)
    known = rows.assign(in_arrears=rows.in_arrears.mask(rows.customer_id % 2 == 0))
    assert {w.decisions for w in worked.what_worked(known)} == {2_000}
    none = worked.what_worked(rows.assign(in_arrears=pd.array([pd.NA] * len(rows), "boolean")))
    assert all(w.estimate is None and "not known yet" in w.said for w in none)
    assert "can we say yet" in worked.in_a_sentence(none, {}) and "Nothing is known yet" in worked.in_a_sentence([], {})


def test_a_log_that_cannot_be_true_gives_no_effect() -> None:
    rows = tracked(4)
    late = (rows.rule == "lottery") & (rows.action == "reminder") & rows.stratum.str.startswith("watch")
    rows.loc[late & (rows.customer_id % 3 == 0), "action"] = "nothing"  # places ran out, and the log does not say so
    by_lot = next(w for w in worked.what_worked(rows) if w.draw == "lottery")
    assert by_lot.estimate is None and "not to be believed" in by_lot.said


def test_few_customers_are_too_few_to_say_anything_of() -> None:
    found = worked.what_worked(tracked(5, 50))
    assert all(w.estimate is None and "30 are needed" in w.said for w in found)


def test_for_whom_it_worked_stands_by_stratum() -> None:
    rows = tracked(6)
    helped = rows.stratum.str.startswith("raised") & (rows.action == "reminder") & (rows.rule == "lottery")
    rows.loc[helped, "in_arrears"] = False
    table = worked.worked_by_stratum(rows).set_index("stratum")
    assert table.said.to_dict() == {
        "raised card collected": "averts misses",
        "watch loan by_hand": "no effect is shown",
    }


def test_the_smallest_effect_is_found_four_times_in_five() -> None:
    coming = [worked.Coming("reminder", "lottery", 3_000, 0.2, (0.5, 0.5))]
    least = worked.power_table(coming, {}).smallest[0]
    seen = 0
    for seed in range(60):
        rows = tracked(500 + seed, 3_000, effect=-0.2 * least)
        by_lot = next(w for w in worked.what_worked(rows) if w.draw == "lottery")
        seen += by_lot.said == "averts misses"
    assert 0.62 < seen / 60 < 0.97  # strata explain a little, so a little more


def test_what_nobody_can_know_is_said_and_what_nobody_is_given_too() -> None:
    coming = [
        worked.Coming("reminder", "lottery", 700, 0.05, (0.5, 0.5)),
        worked.Coming("payment_plan", "control group", 900_000, 0.3, (0.1, 0.9)),
    ]
    table = worked.power_table(
        coming, {"reminder": (-0.03, 0.03), "payment_plan": (0, 0.12), "hardship_call": (0, 0.1)}
    )
    assert table.said.tolist() == [worked.CANNOT, "can be known", worked.CANNOT]
    assert table.smallest[0] > 0.5 > table.smallest[1] and table.smallest[2] == np.inf
    with pytest.raises(SchemaError, match="share missed"):
        worked.power_table([coming[0]._replace(missed=float("nan"))], {})


def test_a_year_is_as_many_days_of_the_plan() -> None:
    plan = tracked(7, 200).assign(probability=0.1)
    year = {(c.action, c.draw): c for c in worked.coming_year(plan, 52, 0.1)}
    assert year["reminder", "lottery"].decisions == 200 * 52
    assert year["reminder", "lottery"].propensity == pytest.approx((0.5, 0.5))
    assert year["due_date_change", "control group"].propensity == (0.1, 0.9)
