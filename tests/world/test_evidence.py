"""What is believed of help was fixed before any policy was run, and stays so; and no number of it slips in unchecked."""

import copy
import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from predelinquency.ground.core import ParamsError, package_folder
from predelinquency.world.evidence import FILE, Evidence, bands_fingerprint, lasting, load_evidence

FIXED = "e8e785399289"  # of the bands as they were committed, before anything used them
PAIRS = ("lead_days", "take_up", "effect", "displaced")


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return load_evidence()


@pytest.fixture(scope="module")
def raw() -> dict[str, list[dict[str, Any]]]:
    return yaml.safe_load((package_folder() / "world" / FILE).read_text())


@pytest.fixture(scope="module")
def short(raw: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    "Every band on one and the same finding, in few words: read in no time."
    study = raw["studies"][0]
    return dict(studies=[study], bands=[band | {"from": [study["id"]], "why": "assumption"} for band in raw["bands"]])


def refused(raw: Any, folder: Path) -> str:
    "What is said about such a file."
    (folder / FILE).write_text(json.dumps(raw))  # which YAML reads, too
    with pytest.raises(ParamsError) as e:
        load_evidence(folder / FILE)
    return str(e.value)


def test_the_bands_are_those_that_were_fixed_beforehand(evidence: Evidence) -> None:
    assert evidence.version == FIXED, (
        f"the bands have changed, their fingerprint is {evidence.version} now: every figure of a policy was made with "
        "the old ones. Fix new bands in a commit of their own, before anything is run with them, and then write it here"
    )


def test_the_fingerprint_sees_every_number_and_every_study_and_no_word_and_no_order(evidence: Evidence) -> None:
    bands = evidence.bands
    assert bands_fingerprint(tuple(reversed(bands))) == evidence.version
    assert bands_fingerprint(tuple(replace(b, why="", timing="") for b in bands)) == evidence.version
    for at, band in enumerate(bands):
        for key in PAIRS:
            low, high = getattr(band, key)
            for pair in ((low - 0.001, high), (low, high + 0.001)):
                other = (*bands[:at], replace(band, **{key: pair}), *bands[at + 1 :])
                assert bands_fingerprint(other) != evidence.version, (band.action, key)
        other = (*bands[:at], replace(band, studies=band.studies[1:]), *bands[at + 1 :])
        assert bands_fingerprint(other) != evidence.version


def test_a_file_that_a_program_wrote_says_the_same(raw: dict[str, Any], evidence: Evidence, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(yaml.safe_dump(raw, sort_keys=True, allow_unicode=True))
    assert load_evidence(tmp_path / FILE) == evidence


@pytest.mark.parametrize("key", PAIRS)
def test_no_pair_of_a_band_may_be_turned_round_or_be_no_number(short: dict[str, Any], key: str, tmp_path: Path) -> None:
    for at, row in enumerate(short["bands"]):
        low, high = row[key]
        more = ([low, "high"], [low, float("nan")], [low], [True, True], None) if row is short["bands"][-1] else ()
        for wrong in ([high + 0.1, low], *more):
            other = copy.deepcopy(short)
            other["bands"][at][key] = wrong
            assert f"band '{row['action']}'" in refused(other, tmp_path), (row["action"], wrong)


@pytest.mark.parametrize("part", ["studies", "bands"])
def test_no_row_may_lack_a_key(short: dict[str, Any], part: str, tmp_path: Path) -> None:
    for key in short[part][-1]:
        other = copy.deepcopy(short)
        del other[part][-1][key]
        assert f"missing key {key}" in refused(other, tmp_path)


@pytest.mark.parametrize("wrong", [None, [], "text", {"studies": [], "bands": []}, {"studies": ["a"], "bands": ["b"]}])
def test_what_is_no_such_file_is_refused_in_words(wrong: Any, tmp_path: Path) -> None:
    assert "to fix:" in refused(wrong, tmp_path)


def test_what_the_readings_say_holds_in_the_bands(evidence: Evidence) -> None:
    bands = {(b.action, b.lead_days): b for b in evidence.bands}
    middle = {key: sum(b.effect) / 2 for key, b in bands.items()}
    assert middle["reminder", (3, 28)] == 0  # words days ahead
    assert min(b.effect[0] for b in evidence.bands if b.action == "just_in_time") > 0  # words in the last hours
    holiday = bands["payment_holiday", (10, 28)]
    assert holiday.displaced[0] >= 0.5 and sum(holiday.displaced) == max(sum(b.displaced) for b in evidence.bands)
    medina = evidence.studies["medina_displaced"].effect.value
    for b in evidence.bands:
        if b.action in ("reminder", "just_in_time"):
            assert sum(b.displaced) / 2 == pytest.approx(medina / 100)  # type: ignore[operator]
    agent = evidence.studies["laudenbach_agent"].effect.value
    assert bands["hardship_call", (3, 28)].effect[1] < agent / 100 * bands["hardship_call", (3, 28)].take_up[1]  # type: ignore[operator]


def test_what_is_judgement_is_called_an_assumption(evidence: Evidence) -> None:
    assert [b.action for b in evidence.bands if "assumption" not in b.why] == []


def test_what_lasts_lies_between_nothing_and_what_is_averted_and_harm_stays(evidence: Evidence) -> None:
    for b in evidence.bands:
        (worst, best), (low, high) = lasting(b), b.effect
        assert worst <= best and best <= high
        assert worst == low if low <= 0 else 0 <= worst < low


def test_the_file_is_part_of_the_package(project: Path) -> None:
    packaged = tomllib.loads((project / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    found = {path for pattern in packaged["predelinquency"] for path in package_folder().glob(pattern)}
    assert package_folder() / "world" / FILE in found
