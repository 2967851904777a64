"""What is shown of a change is what it is made of: the risk of the same payments, and payments that left or entered."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from predelinquency.app import book_page, customer, customer_page, movement, state
from predelinquency.ground import disk
from predelinquency.ground.facts import KEY
from predelinquency.model import champion

NAMED = list(KEY)


@pytest.fixture(scope="module")
def over(trained: Path) -> state.Overview:
    return state.load_book(trained)


@pytest.fixture
def altered(trained: Path, tmp_path: Path) -> Callable[..., state.Overview]:
    "`altered(f)`: the same results with other chances of dues; `altered(None)`: with none."

    def made(change: Callable[[pd.DataFrame], pd.DataFrame] | None) -> state.Overview:
        gone = shutil.ignore_patterns("truth", "mlflow", "*.ipynb", "due_panel")
        root = Path(shutil.copytree(trained, tmp_path / "results", ignore=gone))
        path = root / "reports/due_scores.parquet"
        rows = pd.read_parquet(path)
        path.unlink()
        if change is not None:
            change(rows).to_parquet(path)
        return state.load_book(root)

    return made


def in_view(over: state.Overview, root: Path) -> tuple[dict[int, set[tuple[int, ...]]], ...]:
    "By customer: the dues of the window at the moment before, and now."
    dues = pd.read_parquet(root / "reports/due_scores.parquet")
    dues = dues[dues.lead_days.between(over.settings["horizon_from_days"], over.settings["horizon_to_days"])]
    found: tuple[dict[int, set[tuple[int, ...]]], ...] = ({}, {})
    for at, mine in zip((over.before, over.as_of), found, strict=True):
        for key in dues[dues.as_of == at][NAMED].itertuples(index=False, name=None):
            mine.setdefault(key[0], set()).add(key)
    return found


def test_the_parts_of_every_change_add_up(over: state.Overview) -> None:
    rows = over.scored[over.scored.before.notna()]
    assert len(rows) > 100 and rows.by_risk.notna().all() and rows.by_dues.notna().all()
    np.testing.assert_allclose(rows.by_risk + rows.by_dues, rows.change, atol=1e-6)
    assert over.people[~over.people.scored][["by_risk", "by_dues"]].isna().all(axis=None)


def test_who_has_the_same_payments_in_view_moved_by_risk_and_who_has_others_by_payments(
    over: state.Overview, trained: Path
) -> None:
    was, now = in_view(over, trained)
    same = other = 0
    for row in over.scored[over.scored.before.notna()].itertuples():
        mine, then = now.get(row.customer_id, set()), was.get(row.customer_id, set())
        if mine == then:
            same += 1
            assert row.by_dues == pytest.approx(0, abs=1e-9)
        elif not mine & then:
            other += 1
            assert row.by_risk == pytest.approx(0, abs=1e-9)
    assert same > 20 and other > 20


def test_the_chances_of_the_latest_moment_are_those_of_the_model(over: state.Overview, trained: Path) -> None:
    dues = pd.read_parquet(trained / "reports/due_scores.parquet")
    assert sorted(dues.as_of.unique()) == [over.before, over.as_of]
    live = pd.read_parquet(champion.in_use(trained / "model") / "due_predictions.parquet").query("split == 'live'")
    both = dues.merge(live, on=[*NAMED, "as_of"], suffixes=("", "_live"))
    assert len(both) == len(live) == (dues.as_of == over.as_of).sum()
    assert (both.probability == both.probability_live).all() and (both.lead_days == both.lead_days_live).all()
    assert disk.versions(trained / "reports/due_scores.parquet").keys() >= {"model", "data"}


def test_what_does_not_belong_to_the_scores_is_not_split(altered: Callable[..., state.Overview]) -> None:
    shaken = altered(lambda rows: rows.assign(probability=rows.probability * 0.7))
    split = shaken.scored.by_risk.notna()
    assert (shaken.scored.change.notna() & ~split).sum() > 50, "these dues do not come to the scores that are shown"
    some = shaken.scored[split]
    np.testing.assert_allclose(some.by_risk + some.by_dues, some.change, atol=1e-5)


def test_without_the_chances_of_dues_the_change_is_told_whole(altered: Callable[..., state.Overview]) -> None:
    bare = altered(None)
    assert bare.people.by_risk.isna().all() and bare.scored.change.notna().any()
    html = book_page.book_html(bare) + book_page.list_html(bare, state.Query())
    one = customer.load_customer(bare, int(bare.scored.customer_id.iloc[0]))
    html += customer_page.who_html(bare, one)
    assert "points" in html and "pd-parts" not in html and "risk changed" not in html


def test_both_pages_show_the_parts_and_they_add_up_as_they_are_read(over: state.Overview) -> None:
    number = r"([+−]?[\d.]+)"
    read = lambda text: float(text.replace("−", "-"))
    moved = over.scored[over.scored.change.abs() > 0.001]
    for row in moved.head(30).to_dict("records"):
        html = customer_page.who_html(over, customer.load_customer(over, int(row["customer_id"])))
        found = re.search(
            rf"> (up|down) ([\d.]+) points<.*risk changed</dt><dd>{number}<.*days</dt><dd>{number}<", html
        )
        assert found is not None
        whole = float(found[2]) * (1 if found[1] == "up" else -1)
        assert read(found[3]) + read(found[4]) == pytest.approx(whole, abs=1e-9)
    kpis, book = book_page._kpis(over), book_page.book_html(over)
    assert sum(kpis["expected_parts"].values()) == round(kpis["expected_change"])
    assert len(re.findall(r'pd-parts"><span[^>]*>risk', book)) == 1 + 10, "of what is expected, and of ten who moved"
    assert "pd-parts" in book_page.list_html(over, state.Query(sort="change"))


def test_rounded_parts_add_up_whatever_the_change() -> None:
    rng = np.random.default_rng(7)
    read = lambda text: float(text.replace("−", "-"))
    for change, risk in rng.normal(0, 0.08, (500, 2)):
        both = movement.split_points(change, risk)
        assert both is not None
        shown = round(change * 100, 1 if abs(change) < 0.0995 else 0)
        assert read(both[0]) + read(both[1]) == pytest.approx(shown, abs=1e-9)
