"""Holding times: every kind of record that can be removed has one, and the pack's evidence of a contact is never undercut."""

import shutil
from pathlib import Path

import pytest

from predelinquency.decide import holding, policy
from predelinquency.ground.core import PolicyError
from predelinquency.ground.removing import AGED_BY
from predelinquency.ops.stores import holding_days


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    "A policy of one's own."
    return shutil.copytree(policy.shipped(), tmp_path / "policy")


def changed(folder: Path, file: str, old: str, new: str) -> None:
    text = (folder / file).read_text()
    assert text.count(old) == 1
    (folder / file).write_text(text.replace(old, new))


def test_whatever_can_be_removed_has_a_time() -> None:
    assert set(holding_days()) == set(AGED_BY) and min(holding_days().values()) >= 183


@pytest.mark.parametrize("name, days", [("uk", 1096), ("us", 1096), ("india", 1096), ("eu", 183)])
def test_the_evidence_of_a_contact_is_kept_as_long_as_the_pack_in_force_says(
    folder: Path, name: str, days: int
) -> None:
    changed(folder, "caps.yaml", "value: uk,", f"value: {name},")
    found = holding.load_holding(policy.load_policy(folder), folder)
    assert {found[kind].value for kind in ("contacts", "replies", "decisions", "milestones", "answers")} == {days}


@pytest.mark.parametrize(
    "old, new",
    [
        ("scores of the nightly run, value: 1096", "scores of the nightly run, value: 182"),
        ("scores of the nightly run, value: 1096", "scores of the nightly run, value: 365.5"),
        ("scores of the nightly run, value: 1096", "scores of the nightly run, value: soon"),
        ('source: "part of the evidence of a contact"}\nmilestones', 'source: ""}\nmilestones'),
        ("label: scores of the nightly run, ", ""),
    ],
)
def test_a_time_out_of_its_range_or_without_a_source_is_refused(folder: Path, old: str, new: str) -> None:
    changed(folder, "holding.yaml", old, new)
    with pytest.raises(PolicyError, match="holding.yaml, (scores|replies)"):
        holding.load_holding(policy.load_policy(folder), folder)
