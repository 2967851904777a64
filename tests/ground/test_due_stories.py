"""What becomes of a due, in sentences: the tables, the label, the plan, the page, the features and the service tell one story."""

import json
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import stories
from tables import base

from predelinquency.app import customer as page
from predelinquency.decide import engine
from predelinquency.features import catalogue, events, offline, online
from predelinquency.ground import disk, dues, facts
from predelinquency.ground.core import to_day
from predelinquency.ground.coverage import Seen
from predelinquency.ground.schema import TARGET_KINDS
from predelinquency.model import labels
from predelinquency.service import contents, wire
from predelinquency.sources import ingest
from predelinquency.sources.mapping import parse_mapping

STORIES = stories.load()
BASE = base(first_visible="2022-01-01", scored_months=60, min_history_days=0)
RULE = dues.rule(BASE, "GBP")
Told = dict[str, pd.DataFrame]


def kind(story: dict[str, Any]) -> tuple[str, str]:
    return story["calendar"], str(story["recorded"]["from"])


@pytest.fixture(scope="session")
def told(once: Callable[..., Path]) -> list[Told]:
    "Each story as canonical tables, made of a bank's files."

    def make(folder: Path) -> None:
        numbered = sorted(enumerate(STORIES), key=lambda s: kind(s[1]))
        for (calendar, first), group in groupby(numbered, key=lambda s: kind(s[1])):
            where = folder / f"{calendar}-{first}"
            where.mkdir()
            mine = {f"story{i}": story for i, story in group}
            stories.files(where, mine, pd.Timestamp(first).date())
            ingest.ingest(parse_mapping(stories.MAPPING.replace("CALENDAR", calendar)), where, where / "raw", BASE)

    folder, found = once("stories", make), []
    for i, story in enumerate(STORIES):
        raw = folder / "-".join(kind(story)) / "raw"
        all_of = {
            name: disk.read(raw, name) for name in ("customers", "accounts", "obligations", "transactions", "payments")
        }
        who = all_of["customers"].set_index("source_id").customer_id[f"story{i}"]
        found.append({name: t[t.customer_id == who].reset_index(drop=True) for name, t in all_of.items()})
    return found


def contracts(story: dict[str, Any]) -> list[str]:
    return sorted({d["contract"] for d in story["dues"]})


def names(story: dict[str, Any], t: Told, rows: pd.DataFrame) -> list[str]:
    "Dues as the stories call them: contract and instalment."
    number = t["obligations"].obligation_id.drop_duplicates().sort_values().tolist()
    return [f"{contracts(story)[number.index(r.obligation_id)]}{r.instalment}" for r in rows.itertuples()]


def standings(story: dict[str, Any], t: Told) -> pd.DataFrame:
    end = pd.Timestamp(story["recorded"]["to"])
    return facts.standings(t["obligations"], t["payments"], pd.Timestamp(story["asked"]), BASE.grace_days, end)


def speaks(t: Told, story: dict[str, Any]) -> dict[str, Any] | None:
    due = engine.coming(t["obligations"], t["payments"], pd.Timestamp(story["asked"]), 15, 28)
    if due.empty:
        return None
    return {
        "due": names(story, t, due)[0],
        "on": due.due_on.iloc[0].date(),
        "owed": f"{due.amount_minor.iloc[0] / 100:.2f}",
    }


def label(t: Told, story: dict[str, Any]) -> tuple[str, str]:
    "Whether the customer is eligible, and the label."
    rows = pd.DataFrame(dict(customer_id=t["customers"].customer_id, as_of=pd.Timestamp(story["asked"])))
    seen = Seen(*(to_day(str(story["recorded"][k])) for k in ("from", "to")))
    row = labels.label(
        rows.astype({"as_of": "datetime64[ms]"}), t["customers"], t["obligations"], t["payments"], BASE, seen
    ).iloc[0]
    if not row.eligible:
        return "no", "not eligible"
    word = "unknown" if row.split == "live" else "imminent" if row.imminent else ("clean", "hit")[int(row.target)]
    return "yes", word


each = pytest.mark.parametrize("number", range(len(STORIES)), ids=[s["story"].split(".")[0][:70] for s in STORIES])


def test_there_are_at_least_sixty_of_all_kinds() -> None:
    said = json.dumps(STORIES, default=str)
    assert len(STORIES) >= 60 and len({s["story"] for s in STORIES}) == len(STORIES)
    for word in ("moved", "cancelled", "waived", "written_off", "settled", "takes_back", "GB-ENG", "ECB", *dues.STATES):
        assert f'"{word}"' in said, word


@each
def test_the_tables_the_label_and_the_plan_tell_the_story(number: int, told: list[Told]) -> None:
    story, t = STORIES[number], told[number]
    expected, shown = story["expect"], standings(story, t)
    assert dict(zip(names(story, t, shown), shown.state, strict=True)) == expected["states"]
    missed = labels.onsets(t["obligations"], t["payments"], BASE.grace_days)
    assert [d.date() for d in missed.due_on] == expected["onsets"]
    yes = {True: "yes", False: "no"}[expected["eligible"]]
    assert label(t, story) == (yes, expected["label"])
    assert (speaks(t, story) if yes == "yes" else None) == expected["speak"]


@each
def test_the_service_tells_the_same_story(number: int, told: list[Told]) -> None:
    story, expected = STORIES[number], STORIES[number]["expect"]
    if story["recorded"]["to"] < story["asked"]:
        return  # a request is made while payments are recorded
    asked = wire.parse_request(json.dumps(stories.request(story)).encode())
    found = contents.request_tables(asked, RULE).tables
    stood = contents.standing(found, to_day(asked.as_of), vars(BASE))
    assert stood.overdue == (not expected["eligible"])
    if stood.overdue or stood.row < 0:
        assert expected["speak"] is None
        return
    d = found["obligations"]
    name = f"{contracts(story)[d['obligation_id'][stood.row]]}{d['instalment'][stood.row]}"
    on = str(d["due_on"][stood.row].astype("datetime64[ms]"))[:10]
    assert dict(due=name, on=on, owed=f"{stood.rest_minor / 100:.2f}") == {
        k: str(v) for k, v in expected["speak"].items()
    }


@each
def test_the_features_and_the_page_tell_the_same_story(number: int, told: list[Told]) -> None:
    story, t = STORIES[number], told[number]
    if story["recorded"]["to"] < story["asked"]:
        return
    shown, day = standings(story, t), pd.Timestamp(story["asked"])
    became = page._became(t, day, BASE.grace_days, True)
    assert sorted(zip(became.state, became.rest_minor, strict=True)) == sorted(
        zip(shown.state, shown.rest_minor, strict=True)
    )
    spine = pd.DataFrame(dict(customer_id=t["customers"].customer_id, as_of=day))
    batch = offline.features(t, spine)[catalogue.names()].to_numpy()[0]
    asked = wire.parse_request(json.dumps(stories.request(story)).encode())
    single = online.rows(events.history(contents.request_tables(asked, RULE).tables), np.array([to_day(asked.as_of)]))[
        0
    ]
    of_dues = [i for i, f in enumerate(catalogue.CATALOGUE) if f.group in ("obligations", "payment")]
    np.testing.assert_array_equal(batch[of_dues], single[of_dues])
    target, ahead = shown.kind.isin(TARGET_KINDS), (shown.due_on - day).dt.days
    open_, row = shown.state.eq("open") & target & (ahead >= 0), dict(zip(catalogue.names(), batch, strict=True))
    owed = shown.state.isin(["open", "unpaid", "written_off"]) & target & (ahead < -2)
    assert np.nan_to_num(row["instalments_left"]) == open_.sum()
    assert np.nan_to_num(row["due_count_15_28d"]) == (open_ & ahead.between(15, 28)).sum()
    if not np.isnan(row["overdue_count"]):
        assert row["overdue_count"] == owed.sum()
