"""A world that was calibrated stays as it is: what makes it is frozen under a number, and a change of it is a new world with a new number."""

import hashlib
import json
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


def test_each_version_says_what_is_new_in_it():
    versions = yaml.safe_load(FILE.read_text())
    assert list(versions) == list(range(1, len(versions) + 1)) and all(
        set(v) == {"hash", "new"} and v["new"] for v in versions.values()
    )
    assert len({v["hash"] for v in versions.values()}) == len(versions)
