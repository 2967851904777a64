"""What the page's server writes down when something fails: where, and about whom only to who has the key."""

import logging
from pathlib import Path

import pytest

from predelinquency.app import customer, visit
from predelinquency.app.results import example
from predelinquency.ground.pseudonyms import PSEUDONYM_KEY, pseudonym

KEY = "a-key-for-tests-0123456789"
WHO = "B-200"


def broken(*_: object) -> None:
    raise ValueError(f"customer {WHO} earns 918273645 a month")


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logging.getLogger("predelinquency"), "disabled", False)
    caplog.set_level(logging.DEBUG)
    return caplog


def test_a_failure_of_the_page_names_a_place_and_no_customer(
    tmp_path: Path, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PSEUDONYM_KEY, KEY)
    page = visit.Page(example(tmp_path / "results"))
    other = next(str(who) for who in page.over.people.source_id if who != WHO)
    visit.answered(page, "open", WHO)
    assert page.shown == WHO and not log.records
    monkeypatch.setattr(customer, "load_customer", broken)
    visit.answered(page, "open", other)
    monkeypatch.setattr(visit, "list_html", broken)
    visit.answered(page, "sort", "change")
    said = [record.getMessage() for record in log.records]
    assert len(said) == 2 and all(line.startswith("ValueError test_page_log.py:") for line in said), said
    assert [line.rsplit(" ", 1)[1] for line in said] == [pseudonym(other), pseudonym(WHO)]
    assert WHO not in log.text and other not in log.text and "918273645" not in log.text


def test_a_pseudonym_is_the_same_with_one_key_and_says_nothing_without_it() -> None:
    with_key, other, none = {PSEUDONYM_KEY: KEY}, {PSEUDONYM_KEY: "another"}, dict[str, str]()
    assert pseudonym(17, with_key) == pseudonym("17", with_key) != pseudonym(17, other)
    assert len({pseudonym(who, with_key) for who in range(1_000)}) == 1_000
    assert pseudonym(17, none) not in (pseudonym(17, with_key), pseudonym(17, {PSEUDONYM_KEY: "0"}))
    assert pseudonym(17, none) == pseudonym(17, none)
