"""The stage `decide` on a small world: its plan against the bank's own tables, read anew."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from books import reminding
from test_decide_fuzz import is_control

from predelinquency.decide import cases, engine, policy
from predelinquency.decide import day as days
from predelinquency.ground import disk, params, schema
from predelinquency.ground.core import project_folder
from predelinquency.ground import ledger as ground_ledger
from predelinquency.model import champion
from predelinquency.ops import stages
from predelinquency.reasons import tables
from predelinquency.sources import audit

pytestmark = pytest.mark.slow
ACTIONS = {a["id"]: a for a in yaml.safe_load((policy.shipped() / "actions.yaml").read_text())}
AT = "2026-01-01T00:00:00+00:00"


@pytest.fixture(scope="module")
def plan(trained: Path) -> pd.DataFrame:
    return schema.validate(engine.PLAN, pd.read_parquet(trained / "reports/plan.parquet"))


@pytest.fixture(scope="module")
def sent(plan: pd.DataFrame, trained: Path) -> pd.DataFrame:
    "The same night at a bank whose own trial found that a reminder helps: the shipped policy writes to one in hundreds."
    base, model = params.load(project_folder() / "params.yaml").base, champion.in_use(trained / "model")
    scored = pd.read_parquet(model / "predictions.parquet").query("split == 'live'")
    dues = pd.read_parquet(model / "due_predictions.parquet")
    dues = dues[(dues.split == "live") & (dues.as_of == scored.as_of.max())]
    book, raw = reminding(), trained / "raw"
    limits = audit.limits(base)
    looked = lambda part, as_of: audit.looked_at(raw, part, as_of, limits)
    day = days.Day(book, raw, trained / "features", base, scored, dues, "the model", looked)
    questions = days.worked(day).questions
    more = engine.frame(engine.decide_all(book, questions), questions)
    assert more.customer_id.tolist() == plan.customer_id.tolist()
    sent = more[more.channel != ""]
    assert 3 <= len(sent) < len(plan) / 3  # without this the tests below could pass by contacting nobody
    return sent


def test_everybody_who_is_eligible_is_decided_about_once_and_nobody_else(plan: pd.DataFrame, trained: Path) -> None:
    rows = pd.read_parquet(trained / "model/predictions.parquet").query("split == 'live'")
    rows = rows[(rows.as_of == rows.as_of.max()) & rows.eligible]
    assert plan.customer_id.tolist() == sorted(rows.customer_id)


def test_the_chance_in_the_plan_is_the_chance_of_the_due_it_is_about(plan: pd.DataFrame, trained: Path) -> None:
    key = ["customer_id", "obligation_id", "instalment"]
    scored = (
        pd.read_parquet(champion.in_use(trained / "model") / "due_predictions.parquet")
        .query("split == 'live'")
        .set_index(key)
    )
    named = plan[plan.obligation_id.notna() & plan.probability.notna()]
    assert len(named) > 100 and plan[plan.obligation_id.isna()].probability.isna().all()
    for d in named.itertuples():
        assert d.probability == scored.probability.loc[d.customer_id, d.obligation_id, d.instalment]


def test_no_coming_payment_is_known_is_said_where_it_is_true_and_nowhere_else(
    plan: pd.DataFrame, trained: Path
) -> None:
    as_of = pd.Timestamp(plan.as_of.iloc[0])
    known = disk.read(trained / "raw", "obligations")
    known = known[known.kind.isin(schema.TARGET_KINDS) & (known.announced_at < as_of) & (known.due_on > as_of)]
    paid = disk.read(trained / "raw", "payments").query("arrived_at < @as_of")
    key = ["customer_id", "obligation_id", "instalment"]
    sums = paid.groupby(key).amount_minor.sum().rename("paid_minor").reset_index()
    rest = known.merge(sums, on=key, how="left").fillna({"paid_minor": 0})
    waits = set(rest[rest.enough_minor - rest.paid_minor > 0].customer_id)
    said = plan[plan.refusals.str.contains('"due_known"')]
    assert set(said.customer_id) == set(plan.customer_id) - waits and len(said) > 5


def test_every_case_of_the_night_is_above_the_line_and_every_such_due_is_a_case(
    plan: pd.DataFrame, trained: Path
) -> None:
    found = schema.validate(cases.CASES, pd.read_parquet(trained / "reports/cases.parquet"))
    line = cases.lines(policy.load_policy())
    scored = pd.read_parquet(champion.in_use(trained / "model") / "due_predictions.parquet").query(
        "split == 'live' and not expected"
    )
    assert (found.probability >= line.opens_at).all() and len(found) > 10
    assert len(found) == (scored.probability >= line.opens_at).sum()
    mine = plan[plan.case_id != ""]
    assert set(mine.case_id) <= set(found.case_id) and set(mine.customer_id) == set(found.customer_id)
    assert not (plan[plan.case_id == ""].channel != "").any(), "a customer without a case gets nothing"
    assert {"case_open", "due_known"} >= set(plan[(plan.case_id == "") & (plan.arm == "treated")].rule)
    report = json.loads((trained / "reports/decisions.json").read_text())["cases"]
    assert report["adds_up"] and report["open"] == len(found) == report["events"]["opened"]


def test_the_control_group_is_the_salted_hash_and_hears_nothing(
    plan: pd.DataFrame, sent: pd.DataFrame, trained: Path
) -> None:
    source = disk.read(trained / "raw", "customers").set_index("customer_id").source_id.astype(str)
    control = {c for c in plan.customer_id if is_control(source[c])}
    assert set(plan[plan.arm == "control"].customer_id) == control and 0.04 < len(control) / len(plan) < 0.18
    assert not control & set(sent.customer_id) and not plan[plan.arm == "control"].review.any()


def test_whoever_is_contacted_agreed_to_it_and_nothing_stands_in_the_way(sent: pd.DataFrame, trained: Path) -> None:
    agreed = disk.read(trained / "raw", "preferences")
    agreed = agreed[agreed.consent == True].set_index(["customer_id", "channel", "purpose"]).index  # noqa: E712
    life = disk.read(trained / "raw", "circumstances").set_index("customer_id")
    said = disk.read(trained / "raw", "contacts")
    for d in sent.itertuples():
        assert (d.customer_id, d.channel, ACTIONS[d.action]["purpose"]) in agreed
        assert not life.loc[d.customer_id].drop("vulnerable").any() and life.loc[d.customer_id].notna().all()
        mine, at = said[said.customer_id == d.customer_id], pd.Timestamp(d.decided_at).tz_localize(None)
        assert (
            not ((mine.direction == "out") & (mine.contacted_at > at - pd.Timedelta(days=7))).any()
            and mine.answered.all()
        )
        assert ((mine.direction == "out") & (mine.contacted_at > at - pd.Timedelta(days=30))).sum() < 2


def test_each_message_is_about_a_payment_of_the_customers_own_that_is_still_to_come(
    sent: pd.DataFrame, trained: Path
) -> None:
    dues = (
        disk.read(trained / "raw", "obligations").set_index(["customer_id", "obligation_id", "instalment"]).sort_index()
    )
    for d in sent.itertuples():
        due = dues.loc[(d.customer_id, d.obligation_id, d.instalment)]
        lead = (due.due_on - pd.Timestamp(d.as_of)).days
        assert (due.amount_minor, due.kind) == (d.amount_minor, d.kind) and 1 <= lead <= 28
        assert f"£{d.amount_minor / 100:,.2f}" in d.message and f"{due.due_on:%-d %B %Y}" in d.message


def test_everybody_left_in_peace_has_a_rule_that_says_why(plan: pd.DataFrame) -> None:
    for d in plan[plan.channel == ""].itertuples():
        assert d.rule in {r["rule"] for r in json.loads(d.refusals)} and d.because


def test_the_report_counts_what_the_plan_holds(plan: pd.DataFrame, trained: Path) -> None:
    sent = plan[plan.channel != ""]
    report = json.loads((trained / "reports/decisions.json").read_text())
    assert report["contacted"] == len(sent) and report["customers"] == len(plan) and report["missing_tables"] == []
    assert sum(report["actions"].values()) == sum(report["arms"].values()) == len(plan) and report["actions"][
        "nothing"
    ] == len(plan) - len(sent)


def test_the_plan_and_its_scores_can_be_recorded_once(plan: pd.DataFrame, trained: Path, tmp_path: Path) -> None:
    scores, decisions = list(tables.scores(trained)), engine.decisions(plan)
    assert [(s.customer_id, s.as_of) for s in scores] == [(d.customer_id, d.as_of) for d in decisions]
    with ground_ledger.Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        assert ledger.append([*scores, *decisions], AT) == 2 * len(plan)
        assert ledger.append([*scores, *decisions], AT) == 0


def test_a_bank_without_these_tables_contacts_nobody(trained: Path, tmp_path: Path, project: Path) -> None:
    shutil.copytree(
        trained,
        tmp_path / "bank",
        ignore=shutil.ignore_patterns("preferences", "circumstances", "contacts", "*.ipynb", "mlflow"),
        dirs_exist_ok=True,
    )
    stages.run("decide", tmp_path / "bank", {"simulate.customers": 300, "base.customers_per_part": 100}, project)
    plan, report = (
        pd.read_parquet(tmp_path / "bank/reports/plan.parquet"),
        json.loads((tmp_path / "bank/reports/decisions.json").read_text()),
    )
    assert set(plan.action) == {"nothing"} and report["missing_tables"] == ["preferences", "circumstances", "contacts"]
    assert "circumstances_known" in set(plan.rule)
