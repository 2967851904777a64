"""The letter that explains: in both languages, about every topic, with a way to contest that works."""

import re
from datetime import date

import pytest

from predelinquency.decide import letters, memory, messages, policy
from predelinquency.features.catalogue import BY_NAME
from predelinquency.ground.core import PolicyError

WORDS = messages.load_words(policy.load_policy())
TOPICS = tuple(dict.fromkeys(f.customer for f in BY_NAME.values() if f.customer and not f.sensitive))
WHY = letters.Explained(7, date(2026, 3, 2), TOPICS[:3], TOPICS[3:5])


@pytest.mark.parametrize("language", [None, "en", "es", "pl"])
def test_a_letter_says_what_counted_what_would_have_and_how_to_disagree(language: str | None) -> None:
    letter = letters.write_letter(WORDS, WHY, language)
    assert letter.language == ("es" if language == "es" else "en") and not letters.broken_in_letter(WORDS, letter)
    assert letter.id in letter.text and letter.id.startswith(memory.LETTER) and WORDS.bank["phone"] in letter.text
    assert ("2 de marzo de 2026" if language == "es" else "2 March 2026") in letter.text
    assert not re.search(r"[{}]|\d ?%", letter.text)


def test_every_topic_has_its_words_in_every_language() -> None:
    english, spanish = (
        letters.write_letter(WORDS, WHY._replace(main=TOPICS, otherwise=TOPICS), s).text for s in ("en", "es")
    )
    assert all(t[:1].lower() + t[1:] in english for t in TOPICS)
    assert not any(t[:1].lower() + t[1:] in spanish for t in TOPICS)
    assert not letters.broken_in_letter(WORDS, letters.write_letter(WORDS, WHY._replace(main=TOPICS), "es"))


def test_what_has_no_words_or_no_reasons_is_refused() -> None:
    with pytest.raises(PolicyError, match="no words for the topic 'The moon'"):
        letters.write_letter(WORDS, WHY._replace(main=("The moon",)), "es")
    with pytest.raises(PolicyError, match="nothing is known of what counted"):
        letters.write_letter(WORDS, WHY._replace(main=()))


def test_where_nothing_would_have_changed_it_the_letter_says_so() -> None:
    letter = letters.write_letter(WORDS, WHY._replace(otherwise=()))
    assert "nothing in the record that you could change" in letter.text


@pytest.mark.parametrize(
    ("language", "words", "rule"),
    [
        ("en", "Act now.", "no_urgency"),
        ("en", "We will take legal action.", "no_threat"),
        ("es", "Tomaremos acciones legales.", "no_threat"),
        ("es", "Usted se olvidó.", "no_blame"),
    ],
)
def test_a_letter_threatens_and_blames_as_little_as_a_message(language: str, words: str, rule: str) -> None:
    letter = letters.write_letter(WORDS, WHY, language)
    assert rule in {b.rule for b in letters.broken_in_letter(WORDS, letter._replace(text=f"{letter.text} {words}"))}
