"""The same life with and without an action."""

import numpy as np
import pandas as pd
import pytest

from predelinquency.ground import params
from predelinquency.ground.core import project_folder
from predelinquency.ground.disk import Part
from predelinquency.truth import acted, potential
from predelinquency.truth.forks import ground
from predelinquency.truth.potential import LATER_DAYS, Outcome
from predelinquency.world.actions import ACTS, DEAF, HEARD, act_matrix, null_acts, perverse_acts
from predelinquency.world.world import tables_of

AT = {name: i for i, name in enumerate(Outcome._fields)}


@pytest.fixture(scope="module")
def town():
    p = params.load(project_folder() / "params.yaml", {"simulate.customers": 400})
    w = ground(p)
    owed = tables_of(p, Part(0, 400))[0]["obligations"]
    days = w.visible + 90, w.end - LATER_DAYS
    moments = acted.moments_of(owed, (0, 28), days, 900, 3)
    return w, p.base, moments, potential.outcomes(w, act_matrix(), moments, p.base)


def test_a_message_that_nobody_heard_changes_nothing(town):
    _, _, _, found = town
    can = found[:, 1:, 0, 0] >= 0
    unheard = can & (found[:, 1:, 0, AT["became"]] & HEARD == 0) & (found[:, 1:, 0, AT["became"]] & DEAF == 0)
    apart = (found[:, 1:, 0, :-1] != found[:, :1, 0, :-1]).any(2)
    assert unheard.sum() > 1_000
    assert not apart[unheard].any()
    assert apart[can & ~unheard].any()


def test_twins_whose_luck_has_slipped_look_like_an_effect(town):
    "The trap: the acted life with the luck of another future, as if the two had fallen out of step."
    w, base, moments, _ = town
    found = potential.outcomes(w, null_acts(), moments.iloc[:300], base, [0], replays=2)
    lives = found[:, 1, :, 0] >= 0
    in_step = (found[:, 1, :, :-1] != found[:, 0, :, :-1]).any(2)
    slipped = (found[:, 1, ::-1, :-1] != found[:, 0, :, :-1]).any(2)
    assert not in_step[lives].any()
    assert slipped[lives].mean() > 0.9


def test_the_null_world_has_no_effect_and_the_perverse_one_harms_who_is_short(town):
    w, base, moments, _ = town
    nothing = potential.outcomes(w, null_acts(), moments.iloc[:200], base)
    can = nothing[:, :, 0, 0] >= 0
    assert not (nothing[:, 1:, 0, :-1] != nothing[:, :1, 0, :-1]).any(2)[can[:, 1:]].any()
    remind = [a.name for a in ACTS].index("reminder")
    usual, worse = (potential.outcomes(w, acts, moments, base, [remind], 4) for acts in (act_matrix(), perverse_acts()))
    caused = [int(((o[:, 1, :, AT["about"]] == 1) & (o[:, 0, :, AT["about"]] == 0)).sum()) for o in (usual, worse)]
    assert caused[0] <= 2 and caused[1] > 20, caused


def test_each_moment_is_as_if_it_were_alone(town):
    w, base, moments, found = town
    some = moments.iloc[[5, 77, 400]]
    assert (potential.outcomes(w, act_matrix(), some.iloc[::-1], base)[::-1] == found[[5, 77, 400]]).all()


def test_a_pause_is_no_gain_by_the_schedule_that_stood_before(town):
    "The trap of the label: by its own date a paused due is never missed; by the money it is postponed."
    w, base, moments, _ = town
    sure = act_matrix()
    sure["reads"] = sure["accepts"] = 1.0
    pause = [a.name for a in ACTS].index("payment_holiday")
    found = potential.outcomes(w, sure, moments, base, [pause], 4)
    taken = (found[:, 1, :, 0] >= 0) & (found[:, 1, :, AT["became"]] > HEARD)
    taken &= ((moments["due_on"] - moments["as_of"]).dt.days >= 4).to_numpy()[:, None]
    nothing, acts = found[:, 0][taken], found[:, 1][taken]
    assert nothing[:, AT["about"]].sum() > 0 == acts[:, AT["about"]].sum()
    assert (acts[:, AT["overdue"]] > nothing[:, AT["overdue"]]).mean() > 0.9


def test_moments_lie_in_their_window_and_stand_for_all(town):
    w, base, moments, _ = town
    ahead = (moments["due_on"] - moments["as_of"]).dt.days
    assert ahead.between(0, 28).all() and set(ahead) == set(range(29))
    assert (moments["announced_at"] < moments["as_of"]).all()
    kept = acted.kept_of(w, act_matrix(), moments, base, 100, 1)
    assert abs(kept["weight"].sum() - len(moments)) <= 5  # of contracts that have ended, nothing is asked


def test_effects_count_all_to_whom_it_was_sent():
    "Ten people of whom five agree; two misses of those five are averted, one of another's caused."
    evidence = acted.load_evidence()
    band = next(b for b in evidence.bands if b.action == "autopay")
    lived = np.zeros((10, 2, 1, len(Outcome._fields)), np.int64)
    lived[:4, 0, 0, AT["about"]] = lived[2:5, 1, 0, AT["about"]] = 1
    lived[:5, 1, 0, AT["became"]] = 3
    lived[0, 1, 0, AT["charges"]] = 500
    found = acted.measured(band, lived, pd.DataFrame(dict(customer_id=range(10), weight=1.0)))
    assert (found.misses, found.take_up, found.effect) == (4, 0.5, 0.25)
    assert (found.displaced, found.postponed) == (0.5, 0.0)


def test_what_did_happen_is_judged_alike_from_the_life_and_from_the_tables(town):
    "The bank's own outcome of a decision, by tables alone, beside the world's."
    from predelinquency.decide import outcomes as decided

    w, base, moments, _ = town
    raw = tables_of(params.load(project_folder() / "params.yaml", {"simulate.customers": 400}), Part(0, 400))[0]
    end = pd.Timestamp(np.datetime64(w.end, "D"))
    asked = moments[moments["as_of"] + pd.Timedelta(days=60) <= end].reset_index(drop=True)
    lived = potential.outcomes(w, act_matrix(), asked, base, [], 0)[:, 0, 0]
    owed, paid = raw["obligations"], raw["payments"]
    said = decided.in_arrears(asked, owed, paid.astype({"payment_id": "Int64"}), base, end)
    there = lived[:, 0] >= 0
    assert said[there].notna().all() and said[there].sum() > 5
    assert (said[there].astype(int) == lived[there, AT["arrears"]]).all()
