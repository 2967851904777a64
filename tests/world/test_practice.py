"""What the bank did by lot before anybody planned it: at the chances it says, to those who agreed, and it moved lives."""

import numpy as np
import pandas as pd
import pytest

from predelinquency.ground import params, schema
from predelinquency.ground.disk import Part
from predelinquency.ground.schema import TARGET_KINDS
from predelinquency.world import practice, world
from predelinquency.world.personas import PERSONAS
from predelinquency.world.stress import EFFECTS, HAZARDS, STRESSES, hazard_matrix, stress_matrix

DAY = pd.Timedelta(days=1)
SIZE = 600


@pytest.fixture(scope="module")
def made(settings: params.Params) -> dict[str, pd.DataFrame]:
    return world.tables_of(settings, Part(0, SIZE))[0]


def quietly(settings: params.Params, monkeypatch: pytest.MonkeyPatch) -> dict[str, pd.DataFrame]:
    calm = practice.quiet(practice.all_tables())
    monkeypatch.setattr(world, "all_tables", lambda: calm)
    return world.tables_of(settings, Part(0, SIZE))[0]


def dues_ahead(made: dict[str, pd.DataFrame], settings: params.Params) -> pd.DataFrame:
    "The dues ahead of which the bank drew a lot: everybody's who had settled in."
    dues = made["obligations"].loc[lambda d: d["kind"].isin(TARGET_KINDS) & (d["fact"] == "announced")]
    joined = (
        made["customers"].set_index("customer_id")["joined_on"].clip(lower=pd.Timestamp(settings.base.first_visible))
    )
    asked = dues["due_on"] - practice.AHEAD_DAYS * DAY
    return dues[
        (asked >= dues["customer_id"].map(joined) + practice.SETTLED_DAYS * DAY) & (dues["announced_at"] < asked)
    ]


def test_letters_go_out_at_the_chances_they_name_and_never_without_consent(made, settings):
    sent, asked = made["letters"], dues_ahead(made, settings)
    schema.validate(schema.LETTERS, sent)
    agreed = made["preferences"].set_index(["customer_id", "channel", "purpose"])["consent"]
    for habit in practice.HABITS:
        mine = sent[sent["action"] == habit.action]
        assert (mine["propensity"] == habit.share).all() and len(mine)
        refused = agreed.xs((habit.channel, habit.purpose), level=(1, 2)).eq(False)
        gone = made["contacts"].query("direction == 'out'").groupby("customer_id").size()
        left_alone = set(refused.index[refused]) - set(gone.index)
        assert not left_alone & set(mine["customer_id"])
    app = agreed.xs(("app", "service"), level=(1, 2))
    willing = asked["customer_id"].map(app).eq(True)
    share = (sent["action"] == "reminder").sum() / willing.sum()
    error = np.sqrt(0.03 * 0.97 / willing.sum())
    assert abs(share - 0.03) < 4 * error, (share, error)


def test_a_letter_is_about_a_due_ten_days_ahead_and_stands_among_the_contacts(made):
    sent = made["letters"].merge(
        made["obligations"].query("fact == 'announced'"), on=["customer_id", "obligation_id", "instalment"]
    )
    assert len(sent) == len(made["letters"])
    assert ((sent["due_on"] - sent["sent_at"].dt.normalize()) / DAY == practice.AHEAD_DAYS).mean() > 0.99
    said = made["contacts"].merge(
        made["letters"],
        left_on=["customer_id", "contacted_at", "action"],
        right_on=["customer_id", "sent_at", "action"],
    )
    assert (
        len(said) == len(sent) and (said["direction"] == "out").all() and said["sent_at"].dt.hour.between(9, 17).all()
    )


def test_the_past_has_moved_lives_and_only_of_those_who_were_written_to(made, settings, monkeypatch):
    calm = quietly(settings, monkeypatch)
    assert not len(calm["letters"]) and (calm["obligations"]["fact"] == "announced").all()
    written, changed = set(made["letters"]["customer_id"]), set()
    for name in ("obligations", "payments"):
        both = [
            t[name].groupby("customer_id").apply(lambda d: pd.util.hash_pandas_object(d, index=False).sum())
            for t in (made, calm)
        ]
        changed |= set(both[0].index[both[0].reindex(both[1].index) != both[1]])
    assert changed and changed <= written


def test_a_date_that_was_agreed_moves_the_schedule(settings, monkeypatch):
    often = practice.all_tables()
    often.habits["share"] = [0.0, 0.0, 1.0]
    often.acts["reads"], often.acts["accepts"] = 1.0, 1.0
    monkeypatch.setattr(world, "all_tables", lambda: often)
    dues = world.tables_of(settings, Part(0, 60))[0]["obligations"]
    moved = dues[dues["fact"] == "moved"]
    first = dues[dues["fact"] == "announced"].set_index(["obligation_id", "instalment"])["due_on"]
    was = first.loc[pd.MultiIndex.from_frame(moved[["obligation_id", "instalment"]])].to_numpy()
    assert len(moved) > 20 and ((moved["due_on"].to_numpy() - was) / DAY > 0).all()


def test_who_wants_no_more_words_gets_none_and_it_is_on_record(settings, monkeypatch):
    rude = practice.all_tables()
    rude.habits["share"], rude.acts["annoys"] = [1.0, 0.0, 0.0], 1.0
    monkeypatch.setattr(world, "all_tables", lambda: rude)
    raw = world.tables_of(settings, Part(0, 60))[0]
    sent = raw["letters"].groupby("customer_id")["sent_at"].agg(["size", "max"])
    assert len(sent) and (sent["size"] == 1).all()
    told = raw["preferences"].set_index("customer_id").loc[sent.index]
    assert told["consent"].eq(False).all() and (told["recorded_at"] > told.index.map(sent["max"])).all()


def test_hazards_are_multiples_of_the_table_and_others_follow_hardship():
    rows, factor = stress_matrix(), hazard_matrix(stress_matrix())
    for n, (persona, hazard) in enumerate(
        zip(PERSONAS, sorted(HAZARDS, key=lambda h: [p.name for p in PERSONAS].index(h.persona)), strict=True)
    ):
        for i, stress in enumerate(STRESSES):
            a_year = rows.per_year[i] * persona.hardship * factor[n, i]
            times = getattr(hazard, EFFECTS[rows.does[i]]) if hasattr(hazard, stress.does) else persona.hardship
            assert a_year == pytest.approx(stress.per_year * times), (persona.name, stress.name)
