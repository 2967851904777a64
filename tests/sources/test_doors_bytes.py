"""A world that leaves as a bank's files comes back to the byte: CSV, Parquet and JSON lines make the files that the world makes."""

import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path

import exports
import pandas as pd
import pytest

from predelinquency.ground import disk, params, schema
from predelinquency.sources import ingest
from predelinquency.sources.mapping import parse_mapping

ENDINGS = [".csv", ".parquet", ".jsonl"]
PARAMS = Path(__file__).parents[2] / "params.yaml"


def digests(raw: Path) -> dict[str, str]:
    "Each file of the five tables and its bytes."
    files = itertools.chain.from_iterable(sorted((raw / name).iterdir()) for name in schema.TABLES)
    return {path.relative_to(raw).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def brought(folder: Path, tables: dict[str, pd.DataFrame], ending: str, base: params.Base) -> dict[str, str]:
    "What these tables become as a bank's files of this kind, read back."
    mapping = parse_mapping(exports.write(folder, tables, ending), "bank.yaml")
    ingest.ingest(mapping, folder, folder / "raw", base)
    return digests(folder / "raw")


def of(raw: Path) -> dict[str, pd.DataFrame]:
    return {name: disk.read(raw, name) for name in schema.TABLES}


@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(("customers", "in_a_part"), [(150, 50), pytest.param(2_000, 1_000, marks=pytest.mark.long)])
def test_a_world_comes_back_to_the_byte(
    tmp_path: Path, once: Callable[..., Path], customers: int, in_a_part: int, ending: str
):
    given = params.load(PARAMS, {"simulate.customers": customers, "base.customers_per_part": in_a_part})

    def make(folder: Path) -> None:
        from predelinquency.world import world

        world.simulate(given, folder / "raw", folder / "truth", progress=False)

    raw = once(f"world_of_{customers}", make) / "raw"
    there = digests(raw)
    assert len(there) == customers // in_a_part * len(schema.TABLES)
    assert brought(tmp_path, of(raw), ending, given.base) == there


def test_a_file_that_begins_with_the_newest_gives_the_same_bytes(tmp_path: Path, few: dict[str, pd.DataFrame]):
    base, turned = params.load(PARAMS).base, few | {"payments": few["payments"][::-1].reset_index(drop=True)}
    found = []
    for name, tables in (("as_it_is", few), ("turned", turned)):
        (tmp_path / name).mkdir()
        found.append(brought(tmp_path / name, tables, ".csv", base))
    assert found[0] == found[1]
