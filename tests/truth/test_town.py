"""A town that lives on week by week is the simulated world, what a bank sees of it is what its tables say, and nobody's life hangs on the others."""

import numpy as np
import pandas as pd
import pytest

from predelinquency.features import catalogue, offline
from predelinquency.ground import params, schema
from predelinquency.ground.core import ParamsError, project_folder
from predelinquency.ground.disk import Part
from predelinquency.ground.facts import outcomes
from predelinquency.model import dues, labels
from predelinquency.truth import folk, sight
from predelinquency.truth.folk import ORDER, SENT
from predelinquency.truth.forks import ground
from predelinquency.truth.town import Way, hushed, jobs_taken, live_through
from predelinquency.world.actions import act_matrix, null_acts
from predelinquency.world.world import tables_of

P = params.load(project_folder() / "params.yaml", {"simulate.customers": 60})
WEEKS = 26
START = ground(P).end - 7 * WEEKS
CAME = dict(
    customers="joined_on",
    accounts="opened_on",
    obligations="announced_at",
    transactions="arrived_at",
    payments="arrived_at",
)
NAMED = ("date_change", "payment_plan", "payment_holiday", "autopay", "respread", "just_in_time")


def a_score(x):
    "Nearly every due has another chance."
    chance = (x[:, catalogue.names().index("asked_due")] % 97) / 100
    return chance, chance


def by_turns(seen):
    "Everything is tried on somebody; who is asked hangs on nobody else."
    some = seen.dues[seen.dues["probability"] > 0.4].drop_duplicates("customer_id")
    return some.assign(action=[NAMED[(c + i) % len(NAMED)] for c, i in zip(some.customer_id, some.instalment)])[ORDER]


WAY = Way(by_turns, a_score)


@pytest.fixture(scope="module")
def start():
    return folk.settle(P, range(60), START, keep=True)


@pytest.fixture(scope="module")
def calm(start):
    return hushed(start)


@pytest.fixture(scope="module")
def alone(calm):
    return live_through(calm, WEEKS)


def test_where_nothing_is_done_the_town_is_the_simulated_world_to_the_byte(start):
    alone = live_through(start, WEEKS)
    found, world = folk.canonical(alone.town), tables_of(P, Part(0, 60))[0]
    assert alone.town.day == ground(P).end
    for name, table in found.items():
        arrived = world[name][world[name][CAME[name]] < alone.town.as_of].reset_index(drop=True)
        pd.testing.assert_frame_equal(table, arrived)
    assert len(found["transactions"]) > 40_000


def test_misses_are_those_of_the_tables(start):
    "A due is counted on the evening on which its grace has ended, and once."
    alone = live_through(start, WEEKS)
    world = tables_of(P, Part(0, 60))[0]
    judged = outcomes(world["obligations"], world["payments"], P.base.grace_days)
    judged = judged[judged["kind"].isin(schema.TARGET_KINDS)]
    over = (judged["due_on"] - pd.Timestamp(START, unit="D")).dt.days + P.base.grace_days
    mine = judged[judged["missed"] & (over >= 0) & (over < 7 * WEEKS)]
    counted = pd.Series(alone.weeks[..., folk.MISSES].sum(1), alone.town.folk.who)
    assert counted[counted > 0].to_dict() == mine["customer_id"].value_counts().sort_index().to_dict()
    assert counted.sum() > 5


def test_where_nothing_works_two_lives_are_equal_but_for_the_contacts(calm, alone):
    lived = live_through(calm, WEEKS, WAY, null_acts())
    assert lived.weeks[..., SENT].sum() == len(lived.sent) > 300
    assert (lived.weeks[..., SENT + 1 :] == alone.weeks[..., SENT + 1 :]).all()
    assert (lived.purses == alone.purses).all()
    for name, table in folk.canonical(lived.town).items():
        pd.testing.assert_frame_equal(table, folk.canonical(alone.town)[name])


def test_a_life_hangs_neither_on_the_others_nor_on_threads(calm, alone):
    lived = live_through(calm, 8, WAY)
    assert (lived.purses != alone.purses[:, :56]).any(), "something was done"
    few = [3, 17, 31, 32, 58]
    other = live_through(hushed(folk.settle(P, few, START, threads=1)), 8, WAY)
    assert (other.weeks == lived.weeks[few]).all() and (other.purses == lived.purses[few]).all()
    mine = lived.sent[lived.sent["customer_id"].isin(few)].reset_index(drop=True)
    pd.testing.assert_frame_equal(other.sent, mine)


def test_what_is_seen_is_what_the_tables_say_to_the_byte(start):
    "The state that is kept and moved on against whole histories, with everything that can be agreed in them."
    town, seen, sure, compared = start.again(), None, act_matrix(), 0
    sure["reads"] = sure["accepts"] = 1.0
    for week in range(WEEKS):
        now, seen = sight.look(town, seen, a_score)
        if week % 5 == 0:
            compared += held_beside_tables(town, now)
        folk.live_on(town, 7, by_turns(now), sure)
    facts = folk.canonical(town)["obligations"]["fact"].value_counts()
    assert compared > 300 and facts["moved"] > 5 and facts["cancelled"] > 5


def held_beside_tables(town, now):
    tables = folk.canonical(town)
    for name, table in tables.items():
        schema.validate(schema.TABLES[name], table)
    people, owed, paid = (tables[name] for name in ("customers", "obligations", "payments"))
    label = labels.label(people[["customer_id"]].assign(as_of=town.as_of), people, owed, paid, P.base)
    assert (label["eligible"] == now.people["eligible"]).all()
    each = dues.table({name: tables[name] for name in CAME if name != "customers"}, label, owed, paid, P.base)
    keys = ["customer_id", "obligation_id", "instalment"]
    both = each[[*keys, "as_of"]].merge(now.dues.reset_index(), on=keys)
    assert len(both) == len(each) == len(now.dues)
    x = offline.matrix(tables, both[["customer_id", "as_of", "obligation_id", "instalment"]]).astype(np.float32)
    np.testing.assert_array_equal(x, now.x[both["index"]])
    kinds = owed.drop_duplicates("obligation_id").set_index("obligation_id")["kind"].astype(str)
    assert (kinds[both["obligation_id"]].to_numpy() == both["kind"]).all()
    return len(both)


def test_what_has_not_arrived_is_not_seen(start):
    _, came, _ = sight.take_in(start.again(), None)
    assert all((rows[4] < start.day * 86_400_000).all() for rows in came)
    waiting = sight.take_in(start.again(), None)[0].waiting
    assert waiting[0].shape[1] > 0 and (waiting[0][4] >= start.day * 86_400_000).all()


def test_a_rule_may_look_every_day(start):
    nightly = live_through(start, 2, Way(by_turns, a_score, 1))
    assert nightly.sent["as_of"].nunique() == 14 and nightly.weeks.shape == (60, 2, folk.TOLD)


def test_so_many_jobs_are_taken_and_whoever_has_none_keeps_nothing(calm, alone):
    hit = jobs_taken(calm, 20)
    assert (hit >= 0).sum() == 20 and (calm.folk.people["works"][hit >= 0] == 1).all()
    shaken = live_through(calm, WEEKS, hit=hit)
    assert (shaken.purses[hit < 0] == alone.purses[hit < 0]).all()
    assert shaken.weeks[..., folk.MISSES].sum() > alone.weeks[..., folk.MISSES].sum()
    with pytest.raises(ParamsError, match="61 jobs"):
        jobs_taken(calm, 61)


def test_somebody_who_does_not_live_here_is_refused(start):
    strange = pd.DataFrame(dict(customer_id=[99], obligation_id=[99 * 64], instalment=[1], action=["reminder"]))
    with pytest.raises(ParamsError, match="customer 99"):
        folk.live_on(start.again(), 7, strange)
