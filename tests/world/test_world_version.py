"""A world that was calibrated stays as it is: what makes it is frozen under a number, and a change of it is a new world with a new number."""

import hashlib
import json
import re
from pathlib import Path

import pytest
import yaml

from predelinquency.truth import kept

FILE = Path(__file__).with_name("world_versions.yaml")
IDLE = kept.IDLE | {"customers"}  # a customer is the same however many there are


def fingerprint(sections, code):
    return hashlib.blake2b(json.dumps([sections, code], sort_keys=True).encode(), digest_size=8).hexdigest()


def today(params, **changed):
    sections = {
        name: {
            k: v for k, v in (params[name] | changed if name == "simulate" else params[name]).items() if k not in IDLE
        }
        for name in ("base", "simulate")
    }
    return fingerprint(sections, kept.code(kept.PARTS["world"]))


@pytest.fixture(scope="module")
def parameters():
    return yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())


def test_the_world_is_the_one_that_its_version_names(parameters):
    versions = yaml.safe_load(FILE.read_text())
    version, frozen = max(versions.items())
    assert frozen["hash"] == today(parameters), (
        f"the code or the parameters of world {version} have changed: the hash is {today(parameters)} now. "
        f"Where every table of `make run` is the same to the byte (a faster way, a name), write it into {FILE.name}; "
        f"otherwise this is another world: calibrate it before any model is tuned, and give it number {version + 1}"
    )


def test_another_share_of_hidden_accounts_is_another_world_and_more_customers_are_not(parameters):
    assert today(parameters, hidden_share=0.7) != today(parameters) == today(parameters, customers=7)


def test_the_bands_that_a_world_is_held_against_are_no_part_of_it(parameters):
    assert today(parameters, mechanics=[]) == today(parameters, calibration=[]) == today(parameters)


def lacking(versions):
    "The versions that do not say what they must: from the second on, the commit that fixed their bands beforehand, too."
    return [
        number
        for number, v in versions.items()
        if not {"hash", "new"} | ({"bands"} if number > 1 else set()) <= v.keys() <= {"hash", "new", "bands"}
        or not v["new"]
        or not re.fullmatch("[0-9a-f]{7,40}", str(v.get("bands", "0" * 7)))
    ]


def test_each_version_says_what_is_new_in_it():
    versions = yaml.safe_load(FILE.read_text())
    assert list(versions) == list(range(1, len(versions) + 1)) and lacking(versions) == []
    assert len({v["hash"] for v in versions.values()}) == len(versions)


def test_a_second_version_names_the_commit_that_fixed_its_bands():
    first, more = dict(hash="a", new="b"), dict(hash="c", new="d")
    assert lacking({1: first, 2: more | dict(bands="0c4a28f")}) == []
    assert lacking({1: first | dict(bands="0c4a28f")}) == []
    for bad in (more, more | dict(bands="soon"), more | dict(bands="0c4a28f", why="e")):
        assert lacking({1: first, 2: bad}) == [2]
