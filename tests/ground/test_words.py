"""Amounts, days, chances and counts: one way of writing them, in every place where they are shown."""

import re
from datetime import date
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predelinquency.decide import engine, language, messages
from predelinquency.decide.policy import Due
from predelinquency.features import phrases
from predelinquency.ground import words
from predelinquency.ground.core import CURRENCY_DIGITS

BOOK = engine.load_book()
FEWEST, MOST = 1, 10**12  # amounts that the service takes


def exact(minor: int, currency: str) -> str:
    return f"{Decimal(minor).scaleb(-CURRENCY_DIGITS[currency]):,.{CURRENCY_DIGITS[currency]}f}"


@pytest.mark.parametrize("currency", CURRENCY_DIGITS)
@given(minor=st.integers(-MOST, MOST))
def test_an_amount_has_the_digits_of_its_currency_and_is_exact(currency: str, minor: int) -> None:
    shown = words.money(minor, currency)
    assert shown.replace("−", "-") in (
        exact(minor, currency) + f" {currency}",
        re.sub("^(-?)", rf"\g<1>{words.SYMBOLS.get(currency, '')}", exact(minor, currency)),
    )
    assert (currency in shown) != (currency in words.SYMBOLS)


@pytest.mark.parametrize(
    ("minor", "currency", "shown"),
    [
        (123_456, "GBP", "£1,234.56"),
        (-5, "EUR", "−€0.05"),
        (123_456, "CZK", "1,234.56 CZK"),
        (1_200, "JPY", "¥1,200"),
        (1_200, "KWD", "1.200 KWD"),
        (0, "GBP", "£0.00"),
        (1_200, "", "12.00"),
        (1_200, "XAU", "12.00 XAU"),
    ],
)
def test_money_is_written_in_its_own_currency(minor: int, currency: str, shown: str) -> None:
    assert words.money(minor, currency) == shown


def test_there_is_no_minus_before_nought() -> None:
    assert (
        words.money(-4, "GBP", whole=True) == "£0"
        and words.money(-60, "GBP", whole=True) == "−£1"
        and words.signed(-0.04, 1) == "0"
    )


@pytest.mark.parametrize("currency", CURRENCY_DIGITS)
def test_a_message_a_reason_and_the_page_write_every_currency(currency: str) -> None:
    action = next(a for a in BOOK.policy.actions.values() if a.channels)
    said = messages.facts(Due(1, 1, "loan", date(2026, 3, 20), 1_234_567, currency, False), action, BOOK.words.bank)[
        "amount"
    ]
    assert exact(1_234_567, currency) in said and re.fullmatch(language.english().forms["amount"], said), (
        "the one form that a message lets through"
    )
    whole = f"{Decimal(1_234_567).scaleb(-CURRENCY_DIGITS[currency]):,.0f}"
    assert phrases.show(1_234_567, "", currency) == words.money(1_234_567, currency, whole=True)
    assert re.sub(r"[^\d,]", "", words.money(1_234_567, currency, whole=True)) == whole


@pytest.mark.parametrize("currency", CURRENCY_DIGITS)
def test_the_command_line_writes_every_currency(currency: str, capsys: pytest.CaptureFixture[str]) -> None:
    from predelinquency.ops import ask

    ask.show_plan(
        dict(
            as_of="2026-03-02",
            contacted=1,
            customers=2,
            value_minor=1_234_567.2,
            currency=currency,
            actions={"reminder": 1},
            rules={"value": 1},
        ),
        "data",
    )
    assert f"{exact(1_234_567, currency)} {currency}" in re.sub(r"\s+", " ", capsys.readouterr().out)


def test_the_hover_of_a_picture_names_the_currency_that_has_no_sign() -> None:
    from predelinquency.ground import portraits

    on = pd.to_datetime(["2026-01-01", "2026-01-02"])
    balance = pd.DataFrame(dict(on=on, balance_minor=[1_200_000, 1_300_000], savings_minor=[float("nan")] * 2))
    flows = pd.DataFrame(dict(week=on, in_minor=[0, 5], out_minor=[5, 0]))
    dues = pd.DataFrame(dict(kind=["loan"], due_on=on[:1], amount_minor=[9_000], state=["open"], main=[True]))
    fig = portraits.cash_timeline(
        balance,
        flows,
        dues,
        pd.DataFrame(dict(on=on[:1], amount_minor=[7_000])),
        on[1],
        portraits.Currency(CURRENCY_DIGITS["KWD"], words.SYMBOLS.get("KWD", "KWD ")),
    )
    hovers = [t.hovertemplate for t in fig.data if t.hovertemplate]
    assert len(hovers) >= 3 and all("KWD " in h for h in hovers)
    assert any(1300 in list(t.y) for t in fig.data if t.y is not None), "1,300,000 of a thousandth each"


@pytest.mark.parametrize(
    ("p", "shown", "counted"),
    [
        (float("nan"), "–", ""),
        (0.0, "under 0.1%", ""),
        (0.0004, "under 0.1%", "about 1 in 2,500"),
        (0.0132, "1.3%", "about 1 in 80"),
        (0.17, "17%", "about 1 in 6"),
        (0.28, "28%", "about 1 in 4"),
        (0.41, "41%", "about 4 in 10"),
        (0.61, "61%", "more likely than not"),
        (0.5, "50%", "more likely than not"),
        (0.999, "over 99%", "more likely than not"),
    ],
)
def test_a_chance_is_said_in_per_cent_and_as_a_count(p: float, shown: str, counted: str) -> None:
    assert (words.chance(p), words.one_in(p)) == (shown, counted)


@pytest.mark.parametrize(
    ("value", "noun", "said"),
    [
        (0, "bill", "no bills"),
        (1, "bill", "1 bill"),
        (1.4, "bill", "1 bill"),
        (2, "bill", "2 bills"),
        (-1, "day", "−1 day"),
        (1200, "due", "1,200 dues"),
        (1, "bill past its date|bills past their date", "1 bill past its date"),
        (3, "bill past its date|bills past their date", "3 bills past their date"),
    ],
)
def test_one_of_something_is_singular(value: float, noun: str, said: str) -> None:
    assert words.counted(value, noun) == said


def test_a_date_is_written_as_in_a_letter() -> None:
    assert [
        words.day(d) for d in ("2026-03-01", date(2026, 12, 31), pd.Timestamp("2026-01-02 13:00"), None, pd.NaT)
    ] == ["1 March 2026", "31 December 2026", "2 January 2026", "", ""]
    assert words.day("2026-03-01", year=False) == "1 March"
