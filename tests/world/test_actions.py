"""What actions of the bank do to a life."""

import json
from dataclasses import replace

import numpy as np
import pytest

from predelinquency.ground import params
from predelinquency.ground.core import DAY_MS, ParamsError, project_folder
from predelinquency.ground.schema import FACTS
from predelinquency.truth.forks import NO_DAY, ground, until
from predelinquency.world import actions, evidence
from predelinquency.world.money import DUE, LIFE, LOG_WIDTH, OPEN, RENT_DUE, SLOTS
from predelinquency.world.personas import PERSON
from predelinquency.world.world import step

EVENING = int(np.datetime64("2025-04-01").astype(int))


@pytest.fixture(scope="module")
def town():
    return ground(params.load(project_folder() / "params.yaml", {"simulate.customers": 60}))


def sure() -> np.recarray:
    "Actions that everybody notices and accepts."
    acts = actions.act_matrix()
    acts["reads"] = acts["accepts"] = 1.0
    return acts


def lived(town, customer):
    t, s = np.zeros(1, PERSON).view(np.recarray), np.zeros(1, LIFE).view(np.recarray)
    log = np.zeros((20_000, LOG_WIDTH), np.int64)
    until(town, customer, EVENING + 1, -1, NO_DAY, t[0], s[0], log)
    log[0, 0] = 0
    return t[0], s[0], log


def targets(s):
    return [
        (k, j)
        for k in range(SLOTS)
        if s.active[k] and s.seen[k] and s.kind[k] <= RENT_DUE
        for j in range(OPEN)
        if s.left[k, j] > 0
    ]


@pytest.mark.parametrize("number", range(len(actions.ACTS)), ids=[a.name for a in actions.ACTS])
def test_no_action_makes_or_loses_money(town, number):
    acts, taken = sure(), 0
    for customer in range(60):
        t, s, log = lived(town, customer)
        for k, j in targets(s)[:1]:
            if actions.feasible(s, t, k, j, acts[number]):
                taken += actions.act(s, t, log, acts, number, k, j, town.tables.free) > 0
        for day in range(EVENING + 1, EVENING + 60):
            assert s.money.sum() == 0, (customer, day)
            step(s, t, log, town.tables, day)
            log[0, 0] = 0
    assert taken > 0


def test_what_is_agreed_is_written_before_its_date(town):
    acts, facts = sure(), {}
    for number in range(len(acts)):
        for customer in range(60):
            t, s, log = lived(town, customer)
            for k, j in targets(s)[:1]:
                if actions.feasible(s, t, k, j, acts[number]):
                    actions.act(s, t, log, acts, number, k, j, town.tables.free)
            for row in log[1 : 1 + log[0, 0]]:
                if row[0] == DUE:
                    fact = FACTS[row[8]]
                    facts[fact] = facts.get(fact, 0) + 1
                    assert row[6] >= 1
                    assert fact == "cancelled" or row[4] <= (row[5] + 1) * DAY_MS, (fact, row)
    assert facts["moved"] > 10 and facts["cancelled"] > 10 and "announced" not in facts


def test_who_asked_to_hear_no_more_is_reached_by_nothing(town):
    acts = sure()
    for number, one in enumerate(actions.ACTS):
        t, s, log = lived(town, 3)
        s.deaf = 1
        k, j = targets(s)[0]
        assert actions.act(s, t, log, acts, number, k, j, town.tables.free) == 0, one.name


def test_a_date_moves_once(town):
    acts, again = sure(), 0
    move = [a.name for a in actions.ACTS].index("date_change")
    for customer in range(60):
        t, s, log = lived(town, customer)
        for k, j in targets(s)[:1]:
            if actions.feasible(s, t, k, j, acts[move]):
                actions.act(s, t, log, acts, move, k, j, town.tables.free)
                again += bool(s.shifted[k]) and not actions.feasible(s, t, k, j, acts[move])
    assert again > 3


def test_the_actions_are_those_of_the_evidence():
    assert tuple(a.name for a in actions.ACTS) == evidence.ACTIONS


def test_an_action_that_nobody_knows_is_refused():
    with pytest.raises(ParamsError, match="does of reminder is hypnotise"):
        actions.table(actions.Act, "\n".join([" ".join(vars(actions.ACTS[0])), " ".join(odd().values())]))


def odd() -> dict[str, str]:
    row = {k: str(v) for k, v in vars(replace(actions.ACTS[0])).items()}
    return row | dict(does="hypnotise")


def test_what_was_measured_is_of_these_actions_and_agrees_with_the_trials():
    from predelinquency.truth import acted

    folder = project_folder() / "data/reports"
    bands = evidence.load_evidence().bands
    found = acted.load_acted(folder)
    assert [(m.action, m.timing) for m in found] == [(b.action, b.timing) for b in bands]
    wrong = {m.action: w for m, b in zip(found, bands, strict=True) if (w := acted.outside(m, b))}
    assert not wrong
    assert json.loads((folder / acted.FILE).read_text())["size"]["moments"] >= 60_000
