"""Planted stress is found again in what the bank can see, and it comes before the miss."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from predelinquency.ground import disk, schema
from predelinquency.ground.facts import settlements
from predelinquency.ground.schema import CATEGORY_GROUP
from predelinquency.world import contracts, money, personas, practice, stress, world

START = 19_600
TABLES = practice.all_tables()
INCOME = [  # codes, benefits left aside
    k for k, c in enumerate(schema.CATEGORIES) if CATEGORY_GROUP[c] == "income" and c != "benefit"
]


def lives(which: str | None, days: int = 150, people: int = 250) -> np.ndarray:
    "Final states of working people who were struck on day 30 by one stress, or by none."
    calm, nowhere = TABLES._replace(stresses=TABLES.stresses.copy()), np.zeros((1, money.LOG_WIDTH), np.int64)
    calm.stresses["per_year"] = 0
    persons, states = (
        np.zeros(people, personas.PERSON).view(np.recarray),
        np.zeros(people, money.LIFE).view(np.recarray),
    )
    for i in range(people):
        personas.birth(persons[i], 7, i, TABLES, 0.0)
        contracts.begin(states[i], persons[i], TABLES, START)
        world.live(states[i], persons[i], nowhere, calm, START, START + 30)
        if which is not None and persons[i].works:
            stress.strike(
                states[i], persons[i], nowhere, TABLES.stresses, [s.name for s in stress.STRESSES].index(which)
            )
        world.live(states[i], persons[i], nowhere, calm, START + 30, START + days)
    return states[persons.works == 1]


def wealth(states: np.ndarray) -> float:
    "Mean liquid money, less what is owed on cards, minor units."
    return float(states.money[:, [money.CURRENT, money.SAVINGS, money.TERM, money.CARD]].sum(axis=1).mean())


@pytest.fixture(scope="module")
def calm() -> np.ndarray:
    return lives(None)


@pytest.mark.parametrize("which", ["cut_hours", "job_loss", "expense_shock", "gambling", "separation", "illness"])
def test_a_stress_costs_money_and_tightens(which: str, calm: np.ndarray) -> None:
    struck = lives(which)
    assert wealth(struck) < wealth(calm) and struck.ease.mean() < calm.ease.mean()


def test_late_salary_moves_paydays_and_no_money_is_lost_by_it(calm: np.ndarray) -> None:
    struck = lives("late_salary", days=60)
    assert struck.delay.mean() > 2 and lives(None, days=60).delay.mean() == 0


def test_creeping_commitments_add_contracts(calm: np.ndarray) -> None:
    assert lives("creeping").contracts.mean() > calm.contracts.mean() + 1


def test_a_rate_rise_raises_the_housing_instalment_for_good(calm: np.ndarray) -> None:
    housed = calm.active[:, 0] == 1
    assert (lives("rate_rise").amount[housed, 0] > calm.amount[housed, 0]).mean() > 0.95


def test_visible_income_falls_after_a_job_is_lost() -> None:
    calm = TABLES._replace(stresses=TABLES.stresses.copy())
    calm.stresses["per_year"] = 0
    job, before, after, struck = [s.name for s in stress.STRESSES].index("job_loss"), 0, 0, 0
    for customer in range(80):
        person, life = np.zeros(1, personas.PERSON).view(np.recarray)[0], np.zeros(1, money.LIFE).view(np.recarray)[0]
        log = np.zeros((3000, money.LOG_WIDTH), np.int64)
        personas.birth(person, 7, customer, TABLES, 0.0)
        if not person.works:
            continue
        contracts.begin(life, person, TABLES, START)
        world.live(life, person, log, calm, START, START + 60)
        stress.strike(life, person, log, TABLES.stresses, job)
        life.until[job] = START + 200
        world.live(life, person, log, calm, START + 60, START + 150)
        rows = log[1 : log[0, 0] + 1]
        earned = rows[(rows[:, 0] == money.TX) & np.isin(rows[:, 6], INCOME) & (rows[:, 5] > 0)]
        day, struck = earned[:, 3] // 86_400_000 - START, struck + 1
        before += earned[day < 60, 5].sum()
        after += earned[day >= 90, 5].sum()
    assert struck > 40 and after < 0.5 * before


def test_people_give_up_what_they_can_before_they_miss() -> None:
    struck, calm = lives("job_loss", days=90), lives(None, days=90)  # before Christmas loosens everybody
    assert struck.cut.mean() < calm.cut.mean() - 0.02 and struck.level.mean() < calm.level.mean() - 0.1


def test_most_misses_follow_a_stress_that_began_weeks_before(world: Path) -> None:
    dues, paid, wrong = (
        disk.read(world / place, name)
        for place, name in (("raw", "obligations"), ("raw", "payments"), ("truth", "episodes"))
    )
    dues = dues[dues["kind"].isin(schema.TARGET_KINDS) & (dues["due_on"] < "2025-06-20")]
    late = dues[~settlements(dues, paid, 5)["in_time"]]
    running = late.merge(wrong, on="customer_id").query("start_on <= due_on")
    running = running[running["end_on"] >= running["due_on"] - pd.Timedelta(days=90)]
    lead = (
        (running["due_on"] - running["start_on"])
        .dt.days.groupby([running["obligation_id"], running["instalment"]])
        .max()
    )
    assert (
        len(late) > 60 and 0.5 < len(lead) / len(late) < 0.98
    )  # the rest is forgetting and thin buffers: neither trivial nor hopeless
    assert (lead >= 15).mean() > 0.6
