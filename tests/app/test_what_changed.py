"The page tells what changed in a customer's own record, and says why where it tells nothing."

import html
import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from predelinquency.app import customer, customer_page, results, state
from predelinquency.app.kit import WORDS

pytestmark = pytest.mark.fast


@pytest.fixture
def over(tmp_path: Path) -> state.Overview:
    return state.load_book(results.example(tmp_path / "results"))


def told(over: state.Overview, who: int) -> str:
    "What is left for a reader."
    shown = customer_page.changed_html(over, customer.load_customer(over, who))
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", shown))).strip()


def rewritten(over: state.Overview, **columns: object) -> None:
    path = over.results.root / "reports/changes.parquet"
    pd.read_parquet(path).assign(**columns).to_parquet(path)


def test_each_change_is_a_sentence_with_its_days_and_amounts_and_the_topic_that_may_be_named(
    over: state.Overview,
) -> None:
    said = told(over, 1)
    assert "The last usual pay was £2,100.00 on 25 March 2025; none has come for 97 days" in said
    assert "may be named: “Your regular income”" in said and said.count("may be named") == 1
    assert said.count("25 March 2025") == 1, "what a sentence names is not named again"
    assert "9 June 2025: £40.00 ; 21 June 2025: £35.00" in said
    assert said.index("usual pay") < said.index("bets") and "harmless" not in said


def test_the_card_stands_between_why_and_what_is_proposed(over: state.Overview) -> None:
    shown = customer_page.why_html(over, customer.load_customer(over, 1))
    assert re.findall(r"<h2>(.*?)</h2>", shown) == ["Why", "What changed", "What is proposed"]


def test_what_only_looks_like_trouble_is_called_harmless_and_every_word_is_escaped(over: state.Overview) -> None:
    rewritten(over, benign=True, analyst="<b>Payday</b> has moved", seen=json.dumps([["2025-06-04", 1_000]]))
    shown = customer_page.changed_html(over, customer.load_customer(over, 1))
    assert "harmless" in shown and "<b>" not in shown and "4 June 2025: £10.00" in shown
    rewritten(over, change="income_down")
    assert "4 June" not in told(over, 1), "the sum of a month is no movement of a day"


def test_where_nothing_is_told_the_page_says_why(over: state.Overview) -> None:
    words = WORDS["changes"]
    assert told(over, 0) == words["nothing"] == "Nothing unlike this customer’s own past was found."
    assert told(over, 2) == words["unscored"]
    high = replace(over, settings=over.settings | dict(threshold=0.5))
    assert told(high, 1) == words["below"].format(line="50%") and customer.load_customer(high, 1).changes is None
    (over.results.root / "reports/changes.parquet").unlink()
    assert told(over, 1) == words["absent"]


def test_only_this_customers_changes_of_this_moment_are_told(over: state.Overview) -> None:
    path = over.results.root / "reports/changes.parquet"
    mine = pd.read_parquet(path)
    week = pd.Timedelta(days=7)
    others = [mine.assign(customer_id=0, analyst="not Ben"), mine.assign(as_of=mine.as_of - week, analyst="last week")]
    pd.concat([others[1], others[0], mine.iloc[::-1]]).to_parquet(path)
    ben = customer.load_customer(over, 1).changes
    assert ben is not None and ben.analyst.tolist() == mine.analyst.tolist()
