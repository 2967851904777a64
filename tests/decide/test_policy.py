"""The rules one by one, on a customer for whom everything else is in order; and the files they come from."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from decide_cases import AT, LIFE, everything_in_order

from predelinquency.decide import policy
from predelinquency.decide.policy import Consent, PastContact
from predelinquency.ground.core import PolicyError

RULES = policy.load_policy()
NAN = float("nan")


def stops(at: datetime = AT, **changes: Any) -> set[str]:
    return {r.rule for r in policy.case_refusals(policy.put_question(RULES, *everything_in_order(**changes), at))}


def channels(action: str, at: datetime = AT, **changes: Any) -> list[str]:
    return policy.option_refusals(
        policy.put_question(RULES, *everything_in_order(**changes), at), RULES.actions[action]
    )[0]


def due(**changes: Any) -> Any:
    return replace(everything_in_order()[0].due, **changes)  # type: ignore[type-var]


def ago(**time: float) -> datetime:
    return AT - timedelta(**time)


def out(at: datetime, **more: Any) -> PastContact:
    return PastContact(at, "out", "sms", **more)


def test_with_everything_in_order_nothing_stands_in_the_way() -> None:
    assert not stops() and channels("reminder") == ["app", "email", "sms"] and channels("hardship_call") == ["call"]


@pytest.mark.parametrize("answer", [False, None, NAN, 1, "yes", [True], policy.Consent(True, None)])
def test_a_rule_that_does_not_plainly_say_yes_has_said_no(answer: Any) -> None:
    assert policy.agrees(lambda: True) and not policy.agrees(lambda: answer) and not policy.agrees(lambda: 1 / 0 > 0)


CASES: list[tuple[str, dict[str, Any]]] = [
    ("identity_known", dict(source_id=None)),
    ("identity_known", dict(source_id="")),
    ("contested", dict(contested=True)),
    ("contested", dict(contested=None)),
    ("identity_known", dict(source_id=NAN)),
    *(
        ("identity_known", dict(source_id=other))
        for other in (" C-0007", "C-0007 ", "C-0007\n", "C-0007\u200b", "C-\x000007", "C-0007\u00a0", " ", "\t")
    ),
    ("control", dict(source_id=next(f"C-{n}" for n in range(99) if policy.arm(RULES, f"C-{n}") == "control"))),
    *(("score_known", dict(probability=p)) for p in (NAN, float("inf"), -0.01, 1.01, None, "0.1", True)),
    ("score_known", dict(customer_id=8)),
    *(("score_fresh", dict(as_of=d)) for d in ("2026-02-23", "2026-03-04", "yesterday", "", None)),
    *(
        ("time_zone_known", dict(time_zone=z))
        for z in (None, "", "Mars/Olympus", "localtime", "../../etc/localtime", "America", NAN, 3)
    ),
    *(("working_day", dict(at=datetime(2026, *d, 11, tzinfo=UTC))) for d in ((1, 1), (4, 3), (5, 25), (12, 25))),
    *(("data_sound", dict(doubts=d)) for d in (None, ("signs",), ["balances"], False, NAN)),
    *(("data_fresh", dict(data_age_days=d)) for d in (None, NAN, 36, -1, "yesterday", float("inf"))),
    *(("stopped", dict(stopped=s)) for s in (True, None, "no")),
    *(("case_open", dict(probability=p)) for p in (0.0199, NAN, None)),
    *(("case_put_off", dict(put_off_until=d)) for d in (date(2026, 3, 4), NAN, "soon")),
    ("due_known", dict(due=None)),
    ("due_known", dict(due=due(amount_minor=0))),
    ("due_known", dict(due=due(amount_minor=None))),
    ("due_known", dict(due=due(kind="utility"))),
    ("due_ahead", dict(due=due(due_on=date(2026, 3, 3)))),
    ("due_ahead", dict(due=due(due_on=None))),
    ("amount_plausible", dict(due=due(amount_minor=2_000_001))),
    ("same_currency", dict(due=due(currency="CZK"))),
    ("circumstances_known", dict(circumstances=None)),
    ("circumstances_known", dict(circumstances={})),
    *(
        ("circumstances_known", dict(circumstances=dict.fromkeys(LIFE, False) | {name: unknown}))
        for name in LIFE
        for unknown in (None, NAN, "no", 0)
    ),
    *((name, dict(circumstances=dict.fromkeys(LIFE, False) | {name: True})) for name in LIFE if name != "vulnerable"),
    ("contact_history_known", dict(contacts=None)),
    ("contact_history_known", dict(contacts=(out(ago(hours=-1)),))),
    ("contact_history_known", dict(contacts=(PastContact(ago(days=90), "sideways", "sms"),))),
    ("contact_history_known", dict(contacts=(out(datetime(2025, 1, 1)),))),
    ("reply_open", dict(contacts=(PastContact(ago(days=90), "in", "sms", answered=False),))),
    ("recent_contact", dict(contacts=(PastContact(ago(days=2.9), "in", "call"),))),
    ("cap_week", dict(contacts=(out(ago(days=6.9)),))),
    ("cap_month", dict(contacts=(out(ago(days=8)), PastContact(ago(days=29), "out", "email")))),
]


@pytest.mark.parametrize(("rule", "changes"), CASES, ids=lambda v: str(v)[:60])
def test_a_doubt_about_the_customer_is_refused_by_its_rule(rule: str, changes: dict[str, Any]) -> None:
    if "customer_id" in changes:  # of the score
        case, score = everything_in_order()
        assert rule in {
            r.rule for r in policy.case_refusals(policy.put_question(RULES, case, replace(score, **changes), AT))
        }
    else:
        assert rule in stops(**changes)


def test_every_rule_about_the_customer_has_its_case() -> None:
    of_the_day = {"all_stopped", "rules_in_force"}  # of no customer: test_packs
    assert {rule for rule, _ in CASES} | {"band_known"} | of_the_day == set(policy.CASE_RULES)
    assert stops(probability=NAN) == {"score_known", "band_known", "case_open"}


def test_a_case_stays_one_below_the_line_and_returns_on_its_day() -> None:
    assert not stops(probability=0.001, case_id="7-1-4-1") and "case_open" in stops(probability=0.001)
    assert not stops(put_off_until=date(2026, 3, 3)), "on the day it is there again"
    assert "case_open" not in stops(due=None), "no due is not a calm one"


def test_the_same_is_offered_once_for_a_payment_whenever_that_was() -> None:
    before = PastContact(ago(days=200), "out", "sms", "reminder", due=(1, 4))
    assert channels("reminder", contacts=(before,)) == []
    assert channels("hardship_call", contacts=(before,)) == ["call"]
    for other in (replace(before, due=(1, 3)), replace(before, due=None), replace(before, direction="in")):
        assert channels("reminder", contacts=(other,)) == ["app", "email", "sms"]


def test_caps_count_every_channel_and_open_again_to_the_second() -> None:
    assert "cap_week" in stops(contacts=(out(ago(days=7) + timedelta(seconds=1)),)) and not stops(
        contacts=(out(ago(days=7)),)
    )
    assert "cap_month" in stops(contacts=(out(ago(days=8)), out(ago(days=30) + timedelta(seconds=1)))) and not stops(
        contacts=(out(ago(days=8)), out(ago(days=30)))
    )
    for channel in ("app", "email", "sms", "call"):
        assert "cap_week" in stops(contacts=(PastContact(ago(days=1), "out", channel, "anything"),))


def test_a_score_lives_seven_days_of_the_customers_own_calendar() -> None:
    assert not stops(as_of="2026-02-24") and "score_fresh" in stops(as_of="2026-02-23")
    late = datetime(2026, 3, 2, 12, tzinfo=UTC)  # already 3 March in Kiritimati
    assert not stops(at=late, time_zone="Pacific/Kiritimati", as_of="2026-03-03") and "score_fresh" in stops(
        at=late, as_of="2026-03-03"
    )


@pytest.mark.parametrize(("zone", "at", "allowed"), [
    ("Europe/London", datetime(2026, 3, 27, 8, 0, tzinfo=UTC), True), ("Europe/London", datetime(2026, 3, 27, 7, 59, 59, tzinfo=UTC), False), # Friday, winter time
    ("Europe/London", datetime(2026, 3, 30, 7, 0, tzinfo=UTC), True), ("Europe/London", datetime(2026, 3, 30, 6, 59, 59, tzinfo=UTC), False), # Monday: the clocks went forward
    ("Europe/London", datetime(2026, 10, 26, 7, 30, tzinfo=UTC), False), ("Europe/London", datetime(2026, 10, 26, 19, 59, tzinfo=UTC), True), # Monday: the clocks went back
    ("Europe/London", datetime(2026, 3, 28, 9, 30, tzinfo=UTC), False), ("Europe/London", datetime(2026, 3, 28, 17, 59, tzinfo=UTC), True), # Saturday
    ("Europe/London", datetime(2026, 3, 29, 9, 0, tzinfo=UTC), True), ("Europe/London", datetime(2026, 3, 29, 17, 0, tzinfo=UTC), False), # Sunday of the change itself
    ("Australia/Lord_Howe", datetime(2026, 4, 5, 22, 0, tzinfo=UTC), True), ("America/St_Johns", datetime(2026, 3, 9, 10, 29, tzinfo=UTC), False), # half hours
    ("America/St_Johns", datetime(2026, 3, 9, 10, 30, tzinfo=UTC), True), ("Pacific/Kiritimati", datetime(2026, 3, 6, 18, 30, tzinfo=UTC), False), # there it is Saturday, 8:30
])  # fmt: skip
def test_quiet_hours_follow_the_customers_clock_through_every_change(zone: str, at: datetime, allowed: bool) -> None:
    agreed = {("sms", "service"): Consent(True, datetime(2025, 1, 1, tzinfo=UTC))}
    made = dict(
        time_zone=zone, consents=agreed, as_of=at.date().isoformat(), due=due(due_on=at.date() + timedelta(days=20))
    )
    assert channels("reminder", at, **made) == (["sms"] if allowed else [])
    assert allowed or "quiet_hours" in {
        r.rule
        for r in policy.option_refusals(
            policy.put_question(RULES, *everything_in_order(**made), at), RULES.actions["reminder"]
        )[1]
    }


def test_a_planned_hour_that_a_clock_change_skips_is_the_hour_after_it() -> None:
    assert policy.moment(date(2026, 3, 29), 1, "Europe/London") == datetime(
        2026, 3, 29, 1, tzinfo=UTC
    )  # shows 2:00 there
    assert policy.moment(date(2026, 7, 1), 11, "Asia/Kathmandu") == datetime(2026, 7, 1, 5, 15, tzinfo=UTC)
    with pytest.raises(PolicyError, match="no time zone"):
        policy.put_question(RULES, *everything_in_order(), datetime(2026, 3, 3, 11))


@pytest.mark.parametrize(
    "consent",
    [
        None,
        Consent(False, AT),
        Consent(None, AT),
        Consent(True, None),
        Consent(True, ago(hours=-1)),
        Consent(NAN, AT),  # type: ignore[arg-type]
        Consent("yes", AT),
        Consent(True, datetime(2025, 1, 1)),
    ],
)  # type: ignore[arg-type]
def test_only_a_plain_recorded_yes_is_consent(consent: Consent | None) -> None:
    agreed = {("email", "service"): Consent(True, ago(days=1)), ("app", "support"): Consent(True, ago(days=1))} | (
        {("app", "service"): consent} if consent else {}
    )
    assert channels("reminder", consents=agreed) == ["email"] and channels("due_date_change", consents=agreed) == [
        "app"
    ]
    assert channels("reminder", consents=None) == []


def test_nobody_leaves_the_control_group_by_another_spelling() -> None:
    mine = next(f"C-{n}" for n in range(99) if policy.arm(RULES, f"C-{n}") == "control")
    assert {policy.arm(RULES, s) for s in (f" {mine}", f"{mine} ", f"{mine}\n", f"{mine}\u200b", f"\ufeff{mine}")} == {
        "unknown"
    }
    assert policy.permanent("C 1/ž-07") and policy.arm(RULES, mine) == "control"


def test_an_offer_under_a_name_that_the_policy_does_not_know_may_have_been_any() -> None:
    def offered(action: str | None) -> set[str]:
        return {a for a in RULES.actions if channels(a, contacts=(out(ago(days=40), action=action),))}

    everything = offered(None)
    assert (
        offered("help-offer")
        == offered("")
        == {a for a in everything if RULES.actions[a].cool_off_days <= 40}
        < everything
    ), "a service message was part of none"
    assert offered("due_date_change") == everything - {"due_date_change"}


def test_whoever_prefers_a_channel_is_reached_by_no_other() -> None:
    assert (
        channels("reminder", preferred=frozenset({"sms"})) == ["sms"]
        and channels("autopay_nudge", preferred=frozenset({"sms"})) == []
    )


def test_a_vulnerable_customer_is_left_to_a_person() -> None:
    careful = dict(circumstances=dict.fromkeys(LIFE, False) | {"vulnerable": True})
    assert not stops(**careful) and {a for a in RULES.actions if channels(a, **careful)} == {"hardship_call"}


@pytest.mark.parametrize(("action", "changes", "allowed"), [
    ("reminder", dict(probability=.019), False),
    ("reminder", dict(probability=.02), True),
    ("reminder", dict(probability=.15), False),
    ("help_offer", dict(probability=.149), False),
    ("help_offer", dict(probability=.15, due=due(kind="rent")), True),
    ("payment_plan", dict(probability=.15), True),
    ("payment_plan", dict(probability=1.), True),
    ("payment_plan", dict(probability=.3, due=due(kind="rent")), False),
    ("autopay_nudge", dict(due=due(autopay=True)), False),
    ("autopay_nudge", dict(due=due(autopay=None)), False),
    ("reminder", dict(due=due(autopay=True)), True),
    ("due_date_change", dict(due=due(payday_after_days=NAN)), False),
    ("due_date_change", dict(due=due(payday_after_days=0)), False),
    ("due_date_change", dict(due=due(payday_after_days=14)), True),
    ("due_date_change", dict(due=due(payday_after_days=15)), False),
    ("reminder", dict(due=due(due_on=date(2026, 3, 5))), False),
    ("reminder", dict(due=due(due_on=date(2026, 3, 6))), True),
    ("reminder", dict(due=due(due_on=date(2026, 4, 1))), False),
    ("just_in_time", dict(due=due(due_on=date(2026, 3, 3))), False),
    ("just_in_time", dict(due=due(due_on=date(2026, 3, 4))), True),
    ("just_in_time", dict(due=due(due_on=date(2026, 3, 4), kind="rent", autopay=True), probability=.15), True),
    ("just_in_time", dict(due=due(due_on=date(2026, 3, 5))), False),
    ("payment_holiday", dict(probability=.15), True),
    ("payment_holiday", dict(probability=.149), False),
    ("payment_holiday", dict(probability=.3, due=due(kind="card")), False),
    ("payment_holiday", dict(probability=.3, due=due(due_on=date(2026, 3, 12))), False),
    ("debt_advice", dict(probability=.15, due=due(kind="rent", due_on=date(2026, 3, 6))), True),
    ("debt_advice", dict(probability=.149), False),
    ("reminder", dict(contacts=(out(ago(days=20), action="reminder"),)), False),
    ("reminder", dict(contacts=(out(ago(days=21), action="reminder"),)), True),
    ("reminder", dict(contacts=(out(ago(days=20), action="autopay_nudge"),)), True),
])  # fmt: skip
def test_an_action_is_for_its_own_cases_only(action: str, changes: dict[str, Any], allowed: bool) -> None:
    assert bool(channels(action, **changes)) == allowed


def test_the_control_group_is_a_tenth_for_ever_and_hangs_on_the_banks_own_id() -> None:
    arms = [policy.arm(RULES, f"C-{n:07d}") for n in range(50_000)]
    assert abs(arms.count("control") / 50_000 - 0.1) < 0.005  # four standard errors
    assert [n for n in range(100) if arms[n] == "control"] == [
        8,
        19,
        20,
        26,
        28,
        52,
        62,
        69,
        72,
        73,
        82,
    ]  # a change here draws another group: see holdout_salt
    assert "control" in stops(source_id=f"C-{arms.index('control'):07d}", customer_id=7)


# ── the files ──


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[str, str, str], Path]:
    def edit(file: str, old: str, new: str) -> Path:
        folder = tmp_path / "policy"
        shutil.copytree(policy.shipped(), folder, dirs_exist_ok=True)
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1))
        return folder

    return edit


@pytest.mark.parametrize(("file", "old", "new", "says"), [
    ("caps.yaml", "value: 0.10", "value: 0.01", "holdout_share is 0.01"),
    ("caps.yaml", "value: predelinquency-holdout-1", "value: ''", "holdout_salt is empty"),
    ("packs/uk.yaml", "value: 1, unit: contacts over all channels", "value: 2, unit: contacts over all channels", "cap_week_contacts is 2"),
    ("packs/uk.yaml", "value: 20, unit: local hour", "value: 23, unit: local hour", "weekday_to_hour is 23"),
    ("caps.yaml", "source: assumption}", "source: ''}", "has no source"),
    ("caps.yaml", "sms_capacity", "sms_kapacity", "lacks sms_capacity"),
    ("caps.yaml", "value: 0.70", "value: much", "loss_cured_share is 'much'"),
    ("caps.yaml", "value: 0.70", "value: .nan", "loss_cured_share is nan"),
    ("caps.yaml", "score_age_days:", "holdout_share: {}\nscore_age_days:", "given twice"),
    ("bands.yaml", "from: 0.05", "from: 0.20", "bands start at"),
    ("bands.yaml", "from: 0.00", "from: 0.01", "bands start at"),
    ("actions.yaml", "- id: nothing", "- id: something", "no action `nothing`"),
    ("actions.yaml", "channels: [app, email, sms]", "channels: [app, fax]", "reminder: channels has ['fax']"),
    ("actions.yaml", "value: 0.04,", "value: 4,", "uplift_low is a share"),
    ("actions.yaml", "value: 0.04,", "value: -1,", "uplift_low is"),
    ("actions.yaml", "approval: team_lead", "approval: nobody", "approval has ['nobody']"),
    ("actions.yaml", "  purpose: service\n", "", "missing key purpose"),
    ("actions.yaml", "  purpose: service\n", "  purpose: marketing\n", "purpose has ['marketing']"),
    ("actions.yaml", "bands: [watch, raised]", "bands: [watch, rised]", "bands has ['rised']"),
    ("rules.yaml", "- {id: bereavement,", "- {id: bereaved,", "rules and functions differ"),
    ("rules.yaml", "- {id: consent,               scope: channel", "- {id: consent,               scope: plan", "rules and functions differ"),
    ("rules.yaml", "- {id: identity_known", "- {id: [", "not valid YAML"),
    ("rules.yaml", "last {cap_week_days}", "last 7", "rules.yaml, cap_week, sentence: 'The customer was already contacted in the last 7 days.' "
                                           "holds the bare number '7'\n  to fix: name the value it speaks of, in braces, e.g. {cap_week_days}"),
    ("rules.yaml", "contacted {cap_month_contacts:times}", "contacted twice", "rules.yaml, cap_month, sentence: 'The customer was already contacted twice in the"),
    ("rules.yaml", "A complaint is open.", "Three complaints are open.", "rules.yaml, complaint, sentence: 'Three complaints are open.' holds"),
    ("rules.yaml", "last {cap_week_days}", "last {cap_weak_days}", "has a place that nothing fills: cap_weak_days"),
    ("rules.yaml", "last {cap_week_days}", "last {cap_week_days", "has a place that nothing fills: {"),
    ("rules.yaml", '"A complaint is open."', "''", "rules.yaml, complaint, sentence: expected words, got ''"),
    ("rules.yaml", '"A complaint is open."', "null", "rules.yaml, complaint, sentence: expected words, got None"),
    ("actions.yaml", "can add a few days of interest", "can add 3 days of interest", "actions.yaml, due_date_change, total_cost: 'Moving the date"),
    ("actions.yaml", "label: A friendly reminder", "label: 1 friendly reminder", "actions.yaml, reminder, label: '1 friendly reminder of the date' holds"),
    ("caps.yaml", "label: emails a day", "label: 2000 emails a day", "caps.yaml, email_capacity, label: '2000 emails a day' holds"),
    ("bands.yaml", "label: clearly above", "label: 5 % above", "bands.yaml, raised, label: '5 % above the average' holds"),
])  # fmt: skip
def test_a_broken_policy_is_refused_by_name(
    edited: Callable[[str, str, str], Path], file: str, old: str, new: str, says: str
) -> None:
    with pytest.raises(PolicyError) as e:
        policy.load_policy(edited(file, old, new))
    assert says in str(e.value)


def test_a_stricter_policy_is_welcome_and_has_another_fingerprint(edited: Callable[[str, str, str], Path]) -> None:
    stricter = policy.load_policy(edited("packs/uk.yaml", "value: 20, unit: local hour", "value: 19, unit: local hour"))
    assert stricter["weekday_to_hour"] == 19 and stricter.version != RULES.version


@pytest.mark.parametrize(
    ("old", "new", "rule", "says"),
    [
        (
            "cap_week_days, label: window of the short cap, value: 7",
            "cap_week_days, label: window of the short cap, value: 14",
            "cap_week",
            "The customer was already contacted in the last 14 days.",
        ),
        (
            "cap_month_contacts, label: contacts allowed in the long window, value: 2",
            "cap_month_contacts, label: contacts allowed in the long window, value: 1",
            "cap_month",
            "The customer was already contacted once in the last 30 days.",
        ),
        (
            "value: 30, unit: days",
            "value: 60, unit: days",
            "cap_month",
            "The customer was already contacted twice in the last 60 days.",
        ),
    ],
)
def test_a_sentence_speaks_of_the_number_that_is_in_force(
    edited: Callable[[str, str, str], Path], old: str, new: str, rule: str, says: str
) -> None:
    assert policy.load_policy(edited("packs/uk.yaml", old, new)).refusal(rule).sentence == says


def test_an_action_may_speak_of_its_own_numbers(edited: Callable[[str, str, str], Path]) -> None:
    told = "at most one in {cool_off_days} days, for {cost_minor}, {uplift_low} are helped"
    made = policy.load_policy(edited("actions.yaml", "label: A friendly reminder of the date", f'label: "{told}"'))
    assert made.actions["reminder"].label == "at most one in 21 days, for £0.00, 0% are helped"


def test_the_sentences_that_ship_are_these() -> None:
    assert RULES.refusal("cap_week").sentence == "The customer was already contacted in the last 7 days."
    assert RULES.refusal("cap_month").sentence == "The customer was already contacted twice in the last 30 days."
    assert not [r.id for r in RULES.rules.values() if set("{}") & set(r.sentence)]


def test_every_number_says_where_it_comes_from() -> None:
    assert all(n.source and n.unit and n.label for n in RULES.numbers.values())
    assert all("assumption" in s or s == "by definition" for a in RULES.actions.values() for s in a.sources.values()), (
        "no measurement of our own exists yet"
    )
    assert (
        RULES.actions["nothing"].intrusiveness == 0
        and len({a.intrusiveness for a in RULES.actions.values()}) == len(RULES.actions) == 10
    )


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("bands.yaml", "low: 0", "bands.yaml: expected a list"),
        ("caps.yaml", "- 5", "caps.yaml: expected keys and values"),
        ("actions.yaml", "", "actions.yaml: expected a list"),
        ("rules.yaml", "text", "rules.yaml: expected a list"),
    ],
)
def test_a_file_of_another_shape_is_refused_by_its_name(tmp_path: Path, file: str, text: str, says: str) -> None:
    folder = shutil.copytree(policy.shipped(), tmp_path / "policy")
    (folder / file).write_text(text)
    with pytest.raises(PolicyError, match=says):
        policy.load_policy(folder)
