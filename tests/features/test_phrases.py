"Every phrase of the catalogue is read with the values it may meet: nought, one, two, below nought, missing, huge."

import re

import numpy as np
import pytest
import yaml

from predelinquency.features.catalogue import BY_NAME, CATALOGUE
from predelinquency.features.phrases import phrase, say
from predelinquency.ground.core import package_folder

NAN = float("nan")
STEP = dict(money=100.0)  # one, as people count it
VALUES = (
    0.0,
    0.003,
    0.04,
    0.5,
    0.77,
    1.0,
    1.04,
    2.0,
    2.4,
    13.0,
    365.0,
    1e6,
    -0.003,
    -0.26,
    -1.0,
    -1.3,
    -40.0,
    NAN,
    float("inf"),
    float("-inf"),
)
EVERY = [(f, v * STEP.get(f.unit, 1.0)) for f in CATALOGUE for v in VALUES]


def said(f, value):
    return f.says(value, "GBP")


def test_no_phrase_shows_how_it_is_made():
    for f, v in EVERY:
        assert not re.search(r"[{}|]| / |nan|inf\b|None| {2}|^ | $|\.$", said(f, v)), (f.name, v, said(f, v))


def test_no_phrase_stammers():
    for f, v in EVERY:
        assert not re.search(r"\b(\w+) \1\b", said(f, v)), (f.name, v, said(f, v))


def test_one_is_not_many():
    for f in CATALOGUE:
        if f.unit in ("count", "days"):
            assert said(f, 1.0) != said(f, 2.0).replace("2", "1"), said(f, 1.0)
    for f, v in EVERY:
        assert not re.search(
            r"(?<![\d.,−])1 (days|months|kinds|times|points|payments|standard deviations)\b", said(f, v)
        ), said(f, v)


def test_nothing_is_counted_as_nought():
    for f in CATALOGUE:
        if f.unit == "count":
            assert not re.search(r"(?<!\d)0\b", said(f, 0.0)), said(f, 0.0)


@pytest.mark.parametrize("value", [0.77, 0.5, 0.04, 1.0])
def test_parts_are_per_cent_days_or_multiples_never_bare_decimals(value):
    for f in CATALOGUE:
        if f.unit in ("share", "ratio"):
            assert not re.search(r"\b\d\.\d+(?! (months|times))", said(f, value)), said(f, value)


def test_a_very_small_part_is_not_nought():
    for f in CATALOGUE:
        if f.unit in ("share", "ratio"):
            assert "0%" not in said(f, 0.003) and not re.search(r"\b0 (days|months)", said(f, 0.003)), said(f, 0.003)


def test_what_is_below_nought_has_its_own_words_or_a_true_minus():
    for f, v in EVERY:
        assert not re.search(r"-\d", said(f, v)), said(f, v)
    backed = [
        f
        for f in CATALOGUE
        if re.match(
            r"(projected|low|balance|headroom|visible_money|mean|peak)_.*over_|days_late|window_days_late|pay_delay|.*_shift_|.*_surprise_|.*_trend_",
            f.name,
        )
    ]
    assert len(backed) > 30
    for f in backed:
        assert "−" not in said(f, -1.3) and said(f, -1.3) != said(f, 1.3), said(f, -1.3)


def test_what_is_not_known_is_said_in_words():
    for f in CATALOGUE:
        for v in (NAN, float("inf"), float("-inf")):
            assert said(f, v) == said(f, NAN) and not re.search(r"unknown (of|times|days|months)\b", said(f, v)), said(
                f, v
            )


def test_money_has_its_currency():
    amounts = [f for f in CATALOGUE if f.unit == "money"]
    assert len(amounts) > 10
    for f in amounts:
        assert (
            "£1,235" in f.says(123_456.0, "GBP")
            and "1,235 CZK" in f.says(123_456.0, "CZK")
            and "¥123,456" in f.says(123_456.0, "JPY")
            and "1,235" in f.says(123_456.0)
        )
        assert "−£1,235" in f.says(-123_456.0, "GBP")


def test_huge_values_stay_readable():
    for f in CATALOGUE:
        assert len(said(f, 1e6 * STEP.get(f.unit, 1.0))) <= 130 and not re.search(
            r"\d{4}", said(f, 1e6 * STEP.get(f.unit, 1.0))
        ), said(f, 1e6)


def test_values_are_seen():
    "Two values that differ are told apart, wherever a phrase has a place for its value."
    for f in CATALOGUE:
        if "{" in f.analyst.usual:
            assert said(f, 3.0 * STEP.get(f.unit, 1.0)) != said(f, 5.0 * STEP.get(f.unit, 1.0)), f.name


@pytest.mark.parametrize("name, value, words", [
    ("manual_count_15_28d", 1., "1 payment due in 15–28 days without automatic collection"),
    ("due_card_15_28d", 1., "1 card payment due in 15–28 days"),
    ("manual_due_15_28d_over_due_15_28d", .77, "77% of what is due in 15–28 days is not collected automatically"),
    ("visible_money_over_monthly_outgoings", -.26, "balance and savings together are below zero by 8 days of outgoings"),
    ("savings_over_monthly_outgoings", 0., "there are no savings with us"),
    ("savings_over_savings_90d_ago", NAN, "there were no savings with us 90 days ago"),
    ("days_late_last", -4., "the latest payment was made 4 days before its date"),
    ("days_since_failed_debits", 365., "no debit failed in the last year"),
    ("income_trend_180d", -.38, "income fell by 38% a month over 180 days"),
    ("card_debt_over_monthly_inflow", 2.02, "card debt is twice monthly inflow"),
])  # fmt: skip
def test_a_value_reads_as_a_colleague_would_say_it(name, value, words):
    assert BY_NAME[name].says(value, "GBP") == words


def test_a_value_that_reads_as_nought_is_said_as_nought():
    assert BY_NAME["days_late_3"].says(0.33) == "on average, each of the latest three payments was made on its date"
    assert say(phrase("{payment} late"), np.float32(0.0)) == "no payments late"


TOPICS = tuple(dict.fromkeys(f.customer for f in CATALOGUE if f.customer))
NEVER = {
    rule["id"]: re.compile(rf"(?<!\w)(?:{'|'.join(filter(None, map(str.strip, rule['never'].split(';'))))})(?!\w)")
    for rule in yaml.safe_load((package_folder() / "policy/tone.yaml").read_text())
    if "never" in rule
}
FINDING = re.compile(
    r"\b(is|has|have|had|was|were|may|might|not|no|never|changed|usual|more|less|larger?|lower|late|past|some|several)\b|^(A|An|You|Your)\b",
    re.I,
)


def test_what_a_customer_may_read_is_a_topic_without_numbers():
    assert len(TOPICS) > 40
    for topic in TOPICS:
        assert re.fullmatch(r"[A-Z][a-z, ]+[a-z]", topic) and len(topic) <= 60, topic


def test_a_topic_asserts_nothing_about_the_customer():
    'No finding, no direction, no comparison with what is usual; "is due" says only of which day a topic is.'
    for topic in TOPICS:
        assert not FINDING.search(topic.replace("when the next payment is due", "")), topic


@pytest.mark.parametrize(
    "said",
    [
        "Your pay has not arrived as usual",
        "You have been using your overdraft",
        "A payment is larger than usual",
        "Some payments were made after their date",
        "Money may be tight in the coming weeks",
        "More is going out than coming in",
        "Payments are late",
        "A large expense",
    ],
)
def test_what_asserts_something_is_told_from_a_topic(said):
    assert FINDING.search(said)


@pytest.mark.parametrize("rule", NEVER)
def test_a_topic_meets_the_rules_of_tone_that_messages_meet(rule):
    assert len(NEVER) > 8
    for topic in TOPICS:
        assert not (found := NEVER[rule].search(topic.lower())), (topic, found)


def test_the_patterns_of_tone_are_read_as_they_are_meant():
    assert (
        NEVER["no_inference"].search("you have been using your overdraft")
        and NEVER["no_inference"].search("money may be tight")
        and NEVER["no_blame"].search("a payment is overdue")
    )
