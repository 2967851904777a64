"""The customer's page says of each case since when, why, where it stands and what was told."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from predelinquency.app import cases as shown
from predelinquency.app import customer, state
from predelinquency.app.kit import WORDS
from predelinquency.ground import words
from predelinquency.ground.records import CASE_OUTCOMES, CASE_STATES


@pytest.fixture(scope="module")
def over(trained: Path) -> state.Overview:
    return state.load_book(trained)


def test_every_case_of_the_night_stands_on_its_customers_page(over: state.Overview, trained: Path) -> None:
    kept = pd.read_parquet(trained / "reports/cases.parquet")
    assert len(kept) > 3
    for who, mine in list(kept.groupby("customer_id"))[:20]:
        html = shown.cases_html(over, customer.load_customer(over, int(who)))
        assert html.count("Opened on") == len(mine) and html.count(WORDS["cases"]["untold"]) == len(mine)
        for row in mine.itertuples():
            assert words.day(row.due_on) in html and row.why in html and words.chance(row.probability) in html
    nobody = over.people.customer_id[~over.people.customer_id.isin(kept.customer_id)].iloc[0]
    assert shown.cases_html(over, customer.load_customer(over, int(nobody))) == ""


def test_what_was_told_put_off_or_ended_is_said_and_without_the_file_nothing(trained: Path, tmp_path: Path) -> None:
    gone = shutil.ignore_patterns("truth", "mlflow", "*.ipynb", "due_panel")
    root = Path(shutil.copytree(trained, tmp_path / "results", ignore=gone))
    path, day = root / "reports/cases.parquet", pd.Timestamp("2025-06-30")
    kept = pd.read_parquet(path)
    who, over = int(kept.customer_id.iloc[0]), state.load_book(root)
    said = kept.assign(told="reminder", told_on=day, until_on=pd.Timestamp("2025-07-09"))
    said.to_parquet(path)
    html = shown.cases_html(over, customer.load_customer(over, who))
    label = over.rules.policy.actions["reminder"].label
    assert f"Told: {label}, on {words.day(day)}." in html and "put off until 9 July 2025" in html
    kept.assign(state="closed", outcome="paid", closed_on=day).to_parquet(path)
    assert f"Closed on {words.day(day)}: it was paid in time" in shown.cases_html(
        over, customer.load_customer(over, who)
    )
    path.unlink()
    assert shown.cases_html(over, customer.load_customer(over, who)) == ""


def test_every_state_and_every_end_has_words() -> None:
    assert set(WORDS["cases"]["states"]) == set(CASE_STATES[:-1]) and set(WORDS["cases"]["outcomes"]) == set(
        CASE_OUTCOMES
    )
