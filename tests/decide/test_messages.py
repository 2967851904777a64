"""What may be said, and how: good messages pass every rule, planted bad ones are caught by the rule that is meant for them."""

import random
import re
import shutil
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
import yaml

from predelinquency.decide import messages, policy
from predelinquency.decide.policy import Due
from predelinquency.ground.core import PolicyError

HERE = Path(__file__).parent
BAD = [
    (language, bad)
    for language, name in (("en", "bad_messages.yaml"), ("es", "bad_messages.es.yaml"))
    for bad in yaml.safe_load((HERE / name).read_text())
]
RULES = policy.load_policy()
WORDS = messages.load_words(RULES)
SPOKEN = {"en": WORDS, **WORDS.others}
EVERY = [(language, *key) for language in SPOKEN for key in WORDS.templates]


def message(
    action: str, channel: str, changed: dict[str, str | None] | None = None, language: str = "en", **due: object
) -> messages.Message:
    words = SPOKEN[language]
    template = words.templates[action, channel]
    parts = tuple((n, t) for n, words in template.parts if (t := (changed or {}).get(n, words)) is not None)
    fields = (
        dict(
            obligation_id=1,
            instalment=4,
            kind="loan",
            due_on=date(2026, 3, 24),
            amount_minor=25_000,
            currency="GBP",
            autopay=False,
        )
        | due
    )
    return messages.fill(
        replace(template, parts=parts),
        messages.facts(Due(**fields), RULES.actions[action], words.bank, words.language),  # type: ignore[arg-type]
    )


def broken(m: messages.Message, language: str = "en") -> set[str]:
    return {b.rule for b in messages.broken(SPOKEN[language], m, RULES.actions[m.action])}


def planted(language: str, bad: dict[str, str]) -> messages.Message:
    action, channel = bad.get("action", "due_date_change"), bad.get("channel", "app")
    return message(action, channel, {bad["part"]: bad["words"]}, language)


@pytest.mark.parametrize(
    ("language", "bad"), BAD, ids=[f"{s}-{b['breaks']}-{b['part']}-{str(b['words'])[-28:]}" for s, b in BAD]
)
def test_a_planted_bad_message_is_caught_by_its_rule(language: str, bad: dict[str, str]) -> None:
    action, channel = bad.get("action", "due_date_change"), bad.get("channel", "app")
    assert not broken(message(action, channel, language=language), language), "the good message it is made from"
    assert bad["breaks"] in broken(planted(language, bad), language)


@pytest.mark.parametrize("language", list(SPOKEN))
def test_every_rule_of_tone_has_a_planted_message_that_only_it_catches(language: str) -> None:
    alone = {b["breaks"] for s, b in BAD if s == language and broken(planted(s, b), s) == {b["breaks"]}}
    assert alone == {t.id for t in SPOKEN[language].tone} == {t.id for t in WORDS.tone}
    assert sum(s == language for s, _ in BAD) >= 25


def places(template: messages.Template) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", " ".join(text for _, text in template.parts)))


@pytest.mark.parametrize(("language", "action", "channel"), EVERY)
def test_every_language_says_the_same_facts_in_the_same_parts(language: str, action: str, channel: str) -> None:
    here, there = WORDS.templates[action, channel], SPOKEN[language].templates[action, channel]
    assert places(here) == places(there) and [n for n, _ in here.parts] == [n for n, _ in there.parts]
    english, other = message(action, channel), message(action, channel, language=language)
    assert set(english.facts) == set(other.facts)


def test_spanish_writes_dates_and_amounts_as_spanish_does() -> None:
    text = message("due_date_change", "email", language="es", amount_minor=1_234_550).whole
    assert all(
        part in text for part in ("24 de marzo de 2026", "12.345,50 £", "del préstamo", "unos días de intereses")
    )
    assert not re.search("March|loan|credit file", text)


def test_a_text_message_holds_only_letters_that_do_not_shorten_it() -> None:
    for action, channel in WORDS.templates:
        if channel == "sms":
            assert messages._GSM.fullmatch(message(action, channel, language="es").text)
    longer = message("reminder", "sms", {"choice": "Sí: no hace falta que haga nada."}, "es")
    assert broken(longer, "es") == {"short_enough"}


def test_an_accent_that_is_left_out_hides_no_threat() -> None:
    for words in ("Habrá consecuencias.", "Iniciaremos la vía judicial.", "Iniciaremos la via judicial."):
        offer = "{bank}: puede cambiar la fecha de su pago {kind} del {due_on}. " + words
        assert "no_threat" in broken(message("due_date_change", "app", {"offer": offer}, "es"), "es")


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("es/reminder.app.txt", "{amount}", "x", "facts differ"),
        ("es/reminder.app.txt", "podemos", "tiene que", "no_demand"),
        ("es/payment_plan.email.txt", "cost: {total_cost}\n", "", "effects_stated"),
        ("es/language.yaml", "  payment_plan:\n    total_cost", "  payment_plam:\n    total_cost", "not said"),
        ("es/language.yaml", "enero, ", "", "months"),
        ("es/language.yaml", "sign: after", "sign: behind", "sign"),
    ],
)
def test_a_language_that_says_something_else_is_refused(folder: Path, file: str, old: str, new: str, says: str) -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    assert re.search(says, refused(folder))


def test_patterns_of_another_language_must_be_there_for_every_rule(folder: Path, tmp_path: Path) -> None:
    for name in ("tone.yaml", "tone.es.yaml"):
        shutil.copy(policy.shipped() / name, tmp_path / name)
    text = (tmp_path / "tone.es.yaml").read_text()
    (tmp_path / "tone.es.yaml").write_text(text.replace("no_score:", "no_skore:"))
    assert "no_score, no_skore" in refused(folder, tmp_path / "tone.yaml")


def test_a_bank_with_words_in_one_language_only_is_a_bank(folder: Path) -> None:
    shutil.rmtree(folder / "es")
    alone = messages.load_words(RULES, folder)
    assert not alone.others and messages.in_language(alone, "es") is None
    assert messages.in_language(alone, None) is alone and messages.in_language(alone, "en") is alone


@pytest.mark.parametrize(("language", "action", "channel"), EVERY)
def test_every_shipped_message_is_good_for_every_due_it_may_speak_about(
    language: str, action: str, channel: str
) -> None:
    for kind in RULES.actions[action].kinds:
        for minor, currency in (
            (1, "GBP"),
            (99, "EUR"),
            (123_456_789, "USD"),
            (2_000_000, "CZK"),
            (700, "JPY"),
            (1_234_567, "BHD"),
        ):
            for on in (date(2026, 1, 1), date(2027, 9, 30), date(2028, 2, 29)):
                about = dict(kind=kind, amount_minor=minor, currency=currency, due_on=on)
                assert not broken(message(action, channel, language=language, **about), language)  # type: ignore[arg-type]


def test_a_message_holds_only_the_date_the_amount_the_kind_and_who_we_are() -> None:
    text = message("due_date_change", "email").whole
    assert all(part in text for part in ("24 March 2026", "£250.00", "loan", WORDS.bank["bank"], WORDS.bank["phone"]))


@pytest.mark.parametrize("kind", ["gambling debt", "LOAN", "", "loan. Pay now"])
def test_nothing_can_hide_in_a_fact(kind: str) -> None:
    assert "known_facts" in broken(message("reminder", "app", kind=kind))


def test_effects_are_told_whenever_the_policy_knows_of_one() -> None:
    effects = {a.id for a in RULES.actions.values() if a.total_cost or a.credit_file}
    assert effects == {"due_date_change", "payment_holiday", "payment_plan"}
    for name, channel in WORDS.templates:
        action, text = RULES.actions[name], message(name, channel).text
        assert all(effect in text for effect in (action.total_cost, action.credit_file) if effect)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(policy.shipped().parent / "messages", tmp_path / "messages")
    return tmp_path / "messages"


def refused(folder: Path, tone: Path | None = None) -> str:
    with pytest.raises(PolicyError) as e:
        messages.load_words(RULES, folder, tone)
    return str(e.value)


def test_a_missing_file_a_stray_file_and_a_bad_word_refuse_the_whole_folder(folder: Path) -> None:
    text = (folder / "reminder.sms.txt").read_text()
    (folder / "reminder.sms.txt").unlink()
    assert "reminder.sms.txt" in refused(folder)
    (folder / "reminder.sms.txt").write_text(text.replace("If it helps", "Act now, and"))
    assert "no_urgency" in refused(folder) and "'act now'" in refused(folder)
    (folder / "reminder.sms.txt").write_text(text)
    (folder / "reminder.fax.txt").write_text(text)
    assert "reminder.fax.txt" in refused(folder)


@pytest.mark.parametrize(
    ("line", "says"),
    [("offer: one more", "twice"), ("ps: hello", "no part"), ("stop:", "no part"), ("just words", "no part")],
)
def test_a_template_with_a_strange_line_is_refused(folder: Path, line: str, says: str) -> None:
    with (folder / "reminder.app.txt").open("a") as f:
        f.write(line + "\n")
    assert says in refused(folder) and "reminder.app.txt" in refused(folder)


@pytest.mark.parametrize(
    ("find", "put", "says"),
    [
        ("  sentence: Nothing is threatened.\n", "", "cannot be understood"),
        ("act now;", "act now; (;", "cannot be understood"),
        ("- id: way_to_stop", "- id: way_to_stay", "rules and functions differ"),
    ],
)
def test_a_broken_rule_of_tone_is_refused(folder: Path, tmp_path: Path, find: str, put: str, says: str) -> None:
    (tmp_path / "tone.yaml").write_text((policy.shipped() / "tone.yaml").read_text().replace(find, put))
    assert says in refused(folder, tmp_path / "tone.yaml")


def test_the_fingerprint_changes_with_a_word_and_with_nothing_else(folder: Path) -> None:
    before = messages.load_words(RULES, folder)
    assert before.version == WORDS.version
    path = folder / "reminder.app.txt"
    path.write_text(path.read_text().replace("glad", "happy"))
    after = messages.load_words(RULES, folder)
    assert (
        after.version != before.version
        and after.templates["reminder", "app"].id != before.templates["reminder", "app"].id
    )
    assert after.templates["reminder", "sms"].id == before.templates["reminder", "sms"].id


TEXTED = [action for action, channel in WORDS.templates if channel == "sms"]


def test_one_judgement_holds_for_every_date_and_amount_of_its_form(monkeypatch: pytest.MonkeyPatch) -> None:
    "What `sayable` says of one message must be true of all that differ from it in digits only; text messages are given so little room that the longer half of them is refused."
    rng, words, texts = random.Random(11), messages.load_words(RULES), [message(a, "sms") for a in TEXTED]
    monkeypatch.setitem(messages.LIMITS, "sms", min(len(m.text) for m in texts))
    for _ in range(3_000):
        action = RULES.actions[rng.choice([a for a in RULES.actions if a != "nothing"])]
        due = Due(
            1,
            1,
            rng.choice(["loan", "card", "mortgage", "rent"]),
            date(2026, 1, 1) + timedelta(days=rng.randrange(700)),
            int(10 ** rng.uniform(0, 6.4)),
            rng.choice(["GBP", "GBP", "CZK"]),
            None,
        )
        template, facts = (
            words.templates[action.id, rng.choice(action.channels)],
            messages.facts(due, action, words.bank),
        )
        assert messages.sayable(words, template, facts, action) is (
            not messages.broken(words, messages.fill(template, facts), action)
        ), (template.id, facts)
    assert 10 < len(words.judged) < 2_800 and {id for (id, *_), said in words.judged.items() if not said} == {
        m.id for m in texts
    }


@pytest.mark.parametrize("fact,value", [("amount", "all of it"), ("due_on", "29 Smarch 2026"), ("kind", "secret")])
def test_a_fact_of_no_known_form_is_judged_by_itself_and_not_remembered(fact: str, value: str) -> None:
    words, action = messages.load_words(RULES), RULES.actions["reminder"]
    facts = messages.facts(Due(1, 1, "loan", date(2026, 3, 24), 25_000, "GBP", None), action, words.bank) | {
        fact: value
    }
    assert not messages.sayable(words, words.templates["reminder", "app"], facts, action) and not words.judged


def test_other_words_are_judged_anew() -> None:
    words, action = messages.load_words(RULES), RULES.actions["reminder"]
    template, facts = (
        words.templates["reminder", "app"],
        messages.facts(Due(1, 1, "loan", date(2026, 3, 24), 25_000, "GBP", None), action, words.bank),
    )
    assert messages.sayable(words, template, facts, action)
    assert not messages.sayable(
        words, replace(template, parts=(*template.parts[:-1], ("stop", "Pay now!"))), facts, action
    )
    assert not messages.sayable(
        replace(words, bank={**words.bank}, tone=(messages.Tone("x", "", "", messages._pattern("team")),)),
        template,
        facts,
        action,
    )
