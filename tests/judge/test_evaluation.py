"""What an evaluation joins: the bank and the strangers, the tripwires and the proof's, the figures and their places."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from predelinquency.features import catalogue
from predelinquency.ground import schema
from predelinquency.ground.core import LeakageError
from predelinquency.judge import drift, evaluation, exhibits, groups, statistics
from predelinquency.judge.tripwires import Tripwire
from predelinquency.model.rows import Rows

pytestmark = pytest.mark.fast


def bank(customers=300, seed=2):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        dict(
            customer_id=np.arange(customers),
            as_of=pd.Timestamp("2025-03-03"),
            repeat=0,
            probability=rng.uniform(0.01, 0.4, customers),
            y=(rng.random(customers) < 0.2) * 1.0,
        )
    )


def test_strangers_stand_behind_the_bank_s_own_in_every_table_and_bring_no_column_of_their_own():
    run = SimpleNamespace(
        predictions=pd.DataFrame(dict(customer_id=[0, 1])),
        due=pd.DataFrame(dict(customer_id=[1])),
        known=pd.DataFrame(dict(customer_id=[0, 1], segment=["a", "b"])),
    )
    some = pd.DataFrame(dict(customer_id=[9]))
    extra = evaluation.Extra(scored=some, due=some, about=some.assign(segment="c", sex="f"))
    many, due, known = evaluation.everybody(run, extra)
    assert many.customer_id.tolist() == [0, 1, 9] and due.customer_id.tolist() == [1, 9]
    assert known.columns.tolist() == ["customer_id", "segment"] and known.segment.tolist() == ["a", "b", "c"]
    alone, due, known = evaluation.everybody(run, evaluation.Extra())
    assert len(alone) == len(known) == 2 and due is run.due and evaluation.Extra().strangers == 0


def test_a_tripwire_of_the_proof_that_broke_stops_the_evaluation_under_a_name_of_its_own():
    here = [Tripwire("no_name", True, "")]
    both = evaluation.with_proof(here, {"no_name": False, "money_conserved": True})
    assert [(w.name, w.held) for w in both] == [
        ("no_name", True),
        ("no_name_in_world", False),
        ("money_conserved", True),
    ]
    with pytest.raises(LeakageError, match="no_name_in_world"):
        _ = evaluation.Watch(both, None, {}).held
    assert evaluation.Watch(evaluation.with_proof(here, {}), None, {}).held == {"no_name": True}


def test_quick_fits_see_every_other_moment_and_all_rows_of_it():
    weeks = pd.Series(pd.to_datetime(["2025-03-10", "2025-03-03", "2025-03-10", "2025-03-17", "2025-03-03"]))
    assert evaluation.alternate(weeks).tolist() == [False, True, False, True, True]


def test_the_population_has_moved_where_it_has_and_the_score_stands_first():
    rng, names = np.random.default_rng(5), catalogue.names()
    x = [rng.normal(size=(500, len(names))) for _ in range(2)]
    x[1][:, 3] += 1.0
    found = drift.shift((x[0][:, 0], x[1][:, 0]), *(Rows(pd.DataFrame(), rows) for rows in x))
    assert found.name.iloc[0] == "score" and found.name.iloc[1] == names[3] and found.times.iloc[1] > 1
    told = drift.shift_figures(found)
    assert told["inputs"] == len(names) and told["inputs_moved"] == int((found.times.iloc[1:] > 1).sum()) >= 1


def test_each_kind_of_due_is_judged_among_those_who_have_one():
    rows, known = bank(), pd.DataFrame(dict(customer_id=np.arange(300), segment="all", joined_on=pd.Timestamp("2020")))
    rows = schema.naming_dues(rows)
    kinds = rows[list(schema.ROW)].assign(**{f"due_count_{k}": 0 for k in schema.TARGET_KINDS})
    kinds["due_count_loan"] = (kinds.customer_id < 150).astype(int)
    plans = evaluation.slices(statistics.Rows(rows, np.arange(300)), known, kinds)
    paths = {path for plan in plans for path in plan.statistics if path.endswith(".auc")}
    assert paths == {"slices.segment.all.auc", "slices.tenure.longer.auc", "slices.due.loan.auc"}
    share = next(
        plan.statistics["slices.due.loan.share"] for plan in plans if "slices.due.loan.share" in plan.statistics
    )
    assert share(np.ones(300)) == 0.5
    assert len(evaluation.slices(statistics.Rows(rows, np.arange(300)), known, None)) == 1


def test_help_by_group_is_what_fairlearn_counts_and_nothing_where_nothing_is_known():
    rows = bank()
    rows = rows.assign(contacted=(rows.probability > 0.3) * 1.0)
    sex = pd.DataFrame(dict(customer_id=np.arange(300), sex=np.where(np.arange(300) % 3, "f", "m")))
    found, counted = evaluation.by_group(rows, sex), groups.help_offered(rows, sex).set_index("group")
    assert found["sex"]["f"]["rows"] == 200 and isinstance(found["sex"]["f"]["rows"], int)
    assert found["sex"]["m"]["offered"] == pytest.approx(counted.offered["m"], rel=1e-3)
    assert evaluation.by_group(rows, None) == {}


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (dict(impact_ratio=0.79, impact_ratio_low=0.6, impact_ratio_high=0.9), "**Below .8: sex, help offered: 0.79 (0.60–0.90).**"),
        (dict(opportunity_ratio=0.5, opportunity_ratio_low=None), "**Below .8: sex, misses found: 0.50.**"),
        (dict(impact_ratio=0.8, opportunity_ratio=None), "No ratio that could be worked out is below .8."),
    ],
)  # fmt: skip
def test_a_ratio_below_four_fifths_is_said_with_its_interval(block, said):
    assert exhibits.below(dict(fairness=dict(sex=block, why="words"))).startswith(said)


def test_every_month_is_shown_where_it_is_known_and_words_are_no_month():
    report = dict(by_month={"2025-03": {}, "why": "few"}, every_month={"2024-11": {}, "auc": None})
    assert exhibits.months(report) == {"2024-11": "every_month.2024-11"}
    assert exhibits.months(report | dict(every_month={})) == {"2025-03": "by_month.2025-03"}
