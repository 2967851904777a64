"""Whose rules of contact hold, and on which days: every pack bites, what is over does not, what is missing stops everything."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from decide_cases import everything_in_order

from predelinquency.decide import messages, packs, policy
from predelinquency.ground.core import PolicyError

NAMES = ("uk", "us", "india", "eu")
ZONES = {"uk": "Europe/London", "us": "America/New_York", "india": "Asia/Kolkata", "eu": "Europe/Madrid"}
LAST = {"uk": (20, 18), "us": (21, 21), "india": (19, 19), "eu": (20, 18)}  # contact ends: weekday, weekend
FIRST = {"uk": (8, 10), "us": (8, 8), "india": (8, 8), "eu": (8, 10)}
FREE = {"uk": "2026-05-04", "us": "2026-11-26", "india": "2026-01-26", "eu": "2026-05-01"}
TUESDAY, SUNDAY = date(2026, 3, 3), date(2026, 3, 8)


@pytest.fixture
def of(tmp_path: Path) -> Callable[..., policy.Policy]:
    "The policy of a jurisdiction, perhaps with its file changed."

    def load(name: str, change: Callable[[list[dict[str, Any]]], object] | None = None) -> policy.Policy:
        folder = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(policy.shipped(), folder)
        caps = (folder / "caps.yaml").read_text()
        (folder / "caps.yaml").write_text(caps.replace("value: uk,", f"value: {name},"))
        if change:
            path = folder / "packs" / f"{name}.yaml"
            rows = yaml.safe_load(path.read_text())
            change(rows)
            path.write_text(yaml.safe_dump(rows, allow_unicode=True))
        return policy.load_policy(folder)

    return load


def asked(rules: policy.Policy, zone: str, on: date, hour: int, **changes: Any) -> policy.Question:
    case, score = everything_in_order(time_zone=zone, as_of=str(on - timedelta(days=1)), **changes)
    due = replace(case.due, due_on=on + timedelta(days=20)) if case.due else None
    return policy.put_question(rules, replace(case, due=due), score, policy.moment(on, hour, zone))


def said(q: policy.Question) -> set[str]:
    _, stopped = policy.option_refusals(q, q.policy.actions["reminder"])
    return {r.rule for r in (*policy.case_refusals(q), *stopped)}


@pytest.mark.parametrize("name", NAMES)
def test_the_hours_of_each_jurisdiction_bite(of: Callable[..., policy.Policy], name: str) -> None:
    rules = of(name)
    for day, which in ((TUESDAY, 0), (SUNDAY, 1)):
        first, last = FIRST[name][which], LAST[name][which]
        quiet = [h for h in range(24) if "quiet_hours" in said(asked(rules, ZONES[name], day, h))]
        assert quiet == [h for h in range(24) if not first <= h < last]


@pytest.mark.parametrize("name", NAMES)
def test_the_caps_and_holidays_of_each_jurisdiction_bite(of: Callable[..., policy.Policy], name: str) -> None:
    rules, zone = of(name), ZONES[name]
    assert not said(asked(rules, zone, TUESDAY, 11))
    at = datetime(2026, 3, 3, 6, tzinfo=UTC)
    once = (policy.PastContact(at - timedelta(days=3), "out", "sms"),)
    twice = tuple(policy.PastContact(at - timedelta(days=d), "out", "sms") for d in (10, 20))
    assert said(asked(rules, zone, TUESDAY, 11, contacts=once)) == {"cap_week"}
    assert said(asked(rules, zone, TUESDAY, 11, contacts=twice)) == {"cap_month"}
    assert "working_day" in said(asked(rules, zone, date.fromisoformat(FREE[name]), 11))


def test_what_the_customer_calls_inconvenient_is_heeded_where_the_pack_says_so(
    of: Callable[..., policy.Policy],
) -> None:
    for spans, hours in {((10, 12),): {10, 11}, ((22, 9),): {22, 23, *range(9)}, ((9, 10), (17, 18)): {9, 17}}.items():
        found = {h for h in range(24) if "own_times" in said(asked(of("us"), ZONES["us"], TUESDAY, h, not_at=spans))}
        assert found == {h for h in hours if 8 <= h < 21}, "the hours that are no quiet ones anyway"

    def not_asked(rows: list[dict[str, Any]]) -> None:
        next(r for r in rows if r["id"] == "own_times")["value"] = "not_asked"

    assert "own_times" not in said(asked(of("us", not_asked), ZONES["us"], TUESDAY, 11, not_at=((10, 12),)))


def test_a_rule_that_is_over_does_not_bite_and_the_next_one_does(of: Callable[..., policy.Policy]) -> None:
    def later(rows: list[dict[str, Any]]) -> None:
        row = next(r for r in rows if r["id"] == "weekday_to_hour")
        rows.append({**row, "value": 15, "valid_from": date(2026, 3, 1)})
        row["valid_until"] = date(2026, 2, 28)

    rules = of("uk", later)
    assert "quiet_hours" not in said(asked(rules, ZONES["uk"], date(2026, 2, 27), 19))
    assert "quiet_hours" in said(asked(rules, ZONES["uk"], date(2026, 3, 2), 15))


def test_a_sentence_speaks_of_the_number_of_its_day(of: Callable[..., policy.Policy]) -> None:
    def longer(rows: list[dict[str, Any]]) -> None:
        row = next(r for r in rows if r["id"] == "cap_week_days")
        rows.append({**row, "value": 14, "valid_from": date(2026, 3, 1)})
        row["valid_until"] = date(2026, 2, 28)

    rules = of("uk", longer)
    for day, days in ((date(2026, 2, 27), 7), (TUESDAY, 14)):
        asked_then = asked(rules, ZONES["uk"], day, 11)
        assert f"in the last {days} days" in asked_then.policy.refusal("cap_week").sentence


def test_on_a_day_without_a_rule_nothing_is_sent(of: Callable[..., policy.Policy]) -> None:
    assert said(asked(of("india"), ZONES["india"], date(2022, 8, 10), 11)) >= {"rules_in_force"}
    assert "rules_in_force" not in said(asked(of("india"), ZONES["india"], date(2022, 8, 16), 11))

    def ended(rows: list[dict[str, Any]]) -> None:
        next(r for r in rows if r["id"] == "keep_contacts_days")["valid_until"] = date(2026, 3, 2)

    q = asked(of("uk", ended), ZONES["uk"], TUESDAY, 11)
    assert said(q) == {"rules_in_force"} and q.policy.lapsed == ("keep_contacts_days",)
    assert "not on record" in policy.case_refusals(q)[0].sentence


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("atlantis", None, "there is no pack 'atlantis'.*caps|caps.*there is no pack 'atlantis'"),
        ("uk", lambda rows: rows.pop(0), "lacks cap_week_days"),
        ("uk", lambda rows: rows.append({**rows[0], "value": 9}), "two values hold on one day"),
        ("uk", lambda rows: rows[0].update(valid_from="soon"), "its days are no days"),
        ("uk", lambda rows: rows[0].update(source=""), "has no source"),
        ("uk", lambda rows: rows[0].update(id="cap_weak_days"), "is no rule of a pack"),
        ("uk", lambda rows: rows[1].update(value=4), "cap_week_contacts is 4, the house allows"),
        ("uk", lambda rows: rows[0].update(value="many"), "its value is 'many'"),
    ],
)
def test_a_pack_that_nobody_can_keep_to_is_refused_by_name(
    of: Callable[..., policy.Policy], name: str, change: Callable[[list[dict[str, Any]]], object] | None, says: str
) -> None:
    with pytest.raises(PolicyError, match=f"(?s){says}"):
        of(name, change)


def test_one_switch_stops_everything(tmp_path: Path) -> None:
    folder = shutil.copytree(policy.shipped(), tmp_path / "policy")
    caps = (folder / "caps.yaml").read_text()
    old = "all_stopped: {label: the one switch that stops every contact, value: 0"
    assert caps.count(old) == 1
    (folder / "caps.yaml").write_text(caps.replace(old, old[:-1] + "1"))
    refused = policy.case_refusals(asked(policy.load_policy(folder), ZONES["uk"], TUESDAY, 11))
    assert [r.rule for r in refused] == ["all_stopped"] and refused[0].sentence == "All contact is stopped."


def test_what_a_jurisdiction_requires_is_said_in_every_language(of: Callable[..., policy.Policy]) -> None:
    words = messages.load_words(of("eu"))
    for spoken, said_there in ((words, "independent debt advice"), (words.others["es"], "gratuita e independiente")):
        for (action, _), text in spoken.templates.items():
            assert (said_there in dict(text.parts).get("notice", "")) == (action in ("payment_holiday", "payment_plan"))
    plain = messages.load_words(of("uk"))
    assert not any("notice" in dict(t.parts) for t in plain.templates.values())


def test_evidence_is_kept_for_as_long_as_the_pack_says() -> None:
    kept = {n: packs.read_pack(policy.shipped() / "packs", n)[0] for n in NAMES}
    assert {n: (packs.kept_until(p, TUESDAY) - TUESDAY).days for n, p in kept.items()} == dict(
        uk=1096, us=1096, india=1096, eu=183
    )


def test_every_rule_says_where_and_when_it_was_read() -> None:
    for name in NAMES:
        for rule in packs.read_pack(policy.shipped() / "packs", name)[0].rules:
            assert rule.source and rule.read_on == date(2026, 11, 28)
