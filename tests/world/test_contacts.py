"""Consents, circumstances and past contacts lie beside the world: they move no payment, and everybody keeps theirs in any company."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from predelinquency.ground import disk, params, schema
from predelinquency.ground.disk import Part
from predelinquency.world import contacts, world

UNTIL, SEED = 20_000, 7
NAMES = [t.name for t in contacts.BESIDE]


def people(low: int = 0, high: int = 3_000, joined: str = "2023-05-01") -> pd.DataFrame:
    return pd.DataFrame(dict(customer_id=np.arange(low, high), joined_on=np.datetime64(joined, "ms")))


def troubled(customers: int, ends: str = "2024-09-01", stress: str = "illness") -> pd.DataFrame:
    return pd.DataFrame(
        dict(
            customer_id=np.arange(customers),
            stress=stress,
            start_on=pd.Timestamp("2024-03-01"),
            end_on=pd.Timestamp(ends),
        )
    )


@pytest.fixture(scope="module")
def made() -> dict[str, pd.DataFrame]:
    return contacts.tables(people(), SEED, troubled(1_000), UNTIL)


def hashes(folder: Path, names: list[str]) -> dict[str, str]:
    "A hash of every file of some tables."
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for name in names
        for p in sorted((folder / name).glob("*.parquet"))
    }


def test_the_tables_keep_their_contracts(made: dict[str, pd.DataFrame]) -> None:
    for table in contacts.BESIDE:
        assert len(schema.validate(table, made[table.name])) == len(made[table.name]) > 0


def test_a_simulated_world_has_all_three_and_every_customer_has_circumstances(world: Path) -> None:
    for name in NAMES:
        assert disk.parts(world / "raw", name) == disk.parts(world / "raw", "customers")
    who = disk.read(world / "raw", "customers", columns=["customer_id"]).customer_id
    assert disk.read(world / "raw", "circumstances").customer_id.tolist() == who.tolist()
    assert set(disk.read(world / "raw", "contacts").customer_id) <= set(who)


def test_adding_them_changes_no_byte_of_the_world_and_no_truth(
    settings: params.Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = world.Settings(
        params.section(params.Base, vars(settings.base) | {"customers_per_part": 20}),
        params.section(params.Simulate, vars(settings.simulate) | {"customers": 60}),
    )
    world.simulate(small, tmp_path / "with/raw", tmp_path / "with/truth", progress=False)
    monkeypatch.setattr(contacts, "BESIDE", ())
    monkeypatch.setattr(contacts, "tables", lambda *who: {})
    world.simulate(small, tmp_path / "without/raw", tmp_path / "without/truth", progress=False)
    assert {p.name for p in (tmp_path / "with/raw").iterdir()} == {
        p.name for p in (tmp_path / "without/raw").iterdir()
    } | set(NAMES)
    for kind, names in (("raw", list(schema.TABLES)), ("truth", [t.name for t in world.TRUTH])):
        assert hashes(tmp_path / "with" / kind, names) == hashes(tmp_path / "without" / kind, names) != {}


def test_their_draws_are_used_nowhere_else() -> None:
    import re

    mine = range(contacts.AGREED, contacts.SPOKE + 1)
    from predelinquency.world import cashflow, personas, stress

    for room in (cashflow, personas, stress, world):
        taken = {value for name, value in vars(room).items() if re.fullmatch(r"[A-Z_]+", name) and type(value) is int}
        literal = {
            int(n)
            for n in re.findall(
                r"(?:uniform|normal|draws_of)\((?:[^,()]+, ){2,3}(\d+), ", Path(str(room.__file__)).read_text()
            )
        }
        assert not (taken - {value for name, value in vars(schema).items() if type(value) is int} | literal) & set(
            mine
        ), room.__name__


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_people(made: dict[str, pd.DataFrame]) -> None:
    again, other = (contacts.tables(people(), seed, troubled(1_000), UNTIL) for seed in (SEED, SEED + 1))
    for name in NAMES:
        assert again[name].equals(made[name]) and not other[name].equals(made[name]), name


@pytest.mark.parametrize("low,high", [(0, 1), (17, 18), (500, 1_300), (2_999, 3_000)])
def test_neither_the_population_nor_its_parts_change_anybody(
    low: int, high: int, made: dict[str, pd.DataFrame]
) -> None:
    part = contacts.tables(people(low, high), SEED, troubled(1_000), UNTIL)
    for name, whole in made.items():
        assert part[name].equals(whole[whole.customer_id.between(low, high - 1)].reset_index(drop=True)), name


def test_a_part_in_which_nobody_was_asked_or_spoken_to_is_no_accident(made: dict[str, pd.DataFrame]) -> None:
    silent = next(
        c
        for c in range(3_000)
        if c not in set(made["contacts"].customer_id) and c not in set(made["preferences"].customer_id)
    )
    alone = contacts.tables(people(silent, silent + 1), SEED, troubled(0), UNTIL)
    assert len(alone["preferences"]) == len(alone["contacts"]) == 0 and len(alone["circumstances"]) == 1
    for table in contacts.BESIDE:
        schema.validate(table, alone[table.name])


def test_the_shares_are_those_of_the_tables(made: dict[str, pd.DataFrame]) -> None:
    asked = made["preferences"]
    for way in contacts.WAYS:
        mine = asked[asked.channel == way.channel]
        for purpose in schema.PURPOSES:
            share = (
                getattr(way, purpose) + (1 - getattr(way, purpose)) * way.wished
            )  # whoever wishes for a channel agrees to it
            found = mine[mine.purpose == purpose].consent
            assert abs(found.mean() - share) < 4 * (share * (1 - share) / len(found)) ** 0.5, (way.channel, purpose)
    assert asked[asked.preferred].consent.dropna().all()
    assert abs(asked.groupby("customer_id").preferred.any().mean() - sum(w.wished for w in contacts.WAYS)) < 0.035
    assert abs(1 - asked.customer_id.nunique() / 3_000 - contacts.NEVER_ASKED) < 0.01
    assert 0 < asked.consent.isna().mean() < 2 * contacts.NOT_KNOWN


def test_trouble_that_runs_or_ran_lately_is_told_more_often(made: dict[str, pd.DataFrame]) -> None:
    told = made["circumstances"].set_index("customer_id").vulnerable
    assert told[:1_000].mean() > 2 * told[1_000:].mean() > 0
    past = (
        contacts.circumstances(people(), SEED, troubled(1_000, ends="2024-04-01"), UNTIL)
        .set_index("customer_id")
        .vulnerable
    )
    ordinary = (
        contacts.circumstances(people(), SEED, troubled(1_000, stress="creeping"), UNTIL)
        .set_index("customer_id")
        .vulnerable
    )
    assert past.equals(ordinary) and past[:1_000].mean() < told[:1_000].mean()
    future = troubled(1_000, ends="2025-06-01").assign(start_on=pd.Timestamp("2024-12-01"))  # after the record was made
    assert contacts.circumstances(people(), SEED, future, UNTIL).set_index("customer_id").vulnerable.equals(past)


def test_nothing_is_recorded_after_the_end_or_before_somebody_joined() -> None:
    late = contacts.tables(people(joined="2024-09-20"), SEED, troubled(0), UNTIL)
    end, joined = pd.Timestamp(UNTIL, unit="D"), pd.Timestamp("2024-09-20")
    assert late["preferences"].recorded_at.between(joined, end, inclusive="left").all()
    assert late["contacts"].contacted_at.between(joined, end, inclusive="left").all() and len(late["contacts"]) > 100


def test_what_goes_out_goes_where_it_is_wanted_and_only_the_last_month_waits_for_an_answer(
    made: dict[str, pd.DataFrame],
) -> None:
    said, (yes, _) = made["contacts"], contacts.agreed(people(), SEED)
    out = said[said.direction == "out"]
    way = [w.channel for w in contacts.WAYS]
    assert yes[out.customer_id, [way.index(c) for c in out.channel], schema.PURPOSES.index("service")].all()
    waiting = said[~said.answered]
    assert 0 < len(waiting) < 0.03 * len(said) and (waiting.direction == "in").all()
    assert (waiting.contacted_at >= pd.Timestamp(UNTIL - contacts.MONTH_DAYS, unit="D")).all()
    assert said.contacted_at.dt.hour.between(9, 17).all()


def test_a_part_of_the_world_carries_its_own_contacts(settings: params.Params) -> None:
    raw, _ = world.tables_of(settings, Part(40, 50))
    assert raw["circumstances"].customer_id.tolist() == list(range(40, 50))
    assert set(raw) == set(schema.TABLES) | set(NAMES) | {"letters"}
