# ruff: noqa: RUF001 - letters of other scripts are what is tested
"""Texts in other languages: what the patterns of the templates allow then, by sentences that people write in them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from db.errors import UsageError
from db.records import Action
from db.vocabulary import load
from descriptor_gen.generate.calls import BuildOptions, cache_key, plan
from descriptor_gen.llms.testing import FakeLLM
from descriptor_gen.prompting.language import language_name, schema_in
from descriptor_gen.prompting.prompt import kinds, load_prompts
from tests.fixtures.commands import Run

FITS = {  # descriptions, of 8 to 40 words
    "German": "eine Person hält 2 große Bälle über dem Kopf fest",
    "French": "une personne lève l'arc à hauteur de l’épaule et tire",
    "Polish": "osoba stoi na łące i rzuca żółtą piłkę w górę",
    "Russian": "человек стоит на поле и бросает мяч двумя руками",
    "Greek": "ένα άτομο στέκεται στο γήπεδο και πετάει την μπάλα",
    "Turkish": "bir kişi çimenlerin üzerinde durur ve topu yukarı atar",
    "Vietnamese": "một người đứng trên sân cỏ và ném quả bóng",
    "Arabic": "شخص يقف على العشب ويرمي الكرة بيديه إلى الأعلى",
    "Persian": "یک نفر روی چمن می‌ایستد و توپ را بالا پرتاب می‌کند",
    "Hindi": "एक व्यक्ति घास पर खड़ा होकर गेंद को ऊपर फेंकता है",
    "Korean": "한 사람이 잔디 위에 서서 두 손으로 공을 위로 던진다",
    "Chinese": "一个人在草地上用双手把3个球抛向空中",
    "Simplified Chinese": "一个人站在草地上把球抛向空中",
    "Japanese": "Tシャツを着た人が芝生の上でボールを投げる",
    "日本語": "芝生の上で人がボールを高く投げ上げる",
    "Thai": "คนคนหนึ่งยืนอยู่บนสนามหญ้าและโยนลูกบอลขึ้นไป",
    "English": "a person throws 3 balls with 2 hands into the air",
}
DOES_NOT_FIT = {
    "German": ("Hallo", "eine Person: hält den Ball; mit zwei Händen fest", "ein Ball " * 21 + "ein"),
    "Chinese": ("一个人", "一个人站在草地上，把球抛向空中。", "一" * 161),
    "English": ("a person throws a ball", '{"a person": "throws a ball into the air again"}'),
}


def pattern(language: str, kind: str = "description") -> str:
    [prompt] = load_prompts([kind])
    found: str = schema_in(language, prompt.output_schema)["properties"][kind]["pattern"]
    return found


@pytest.mark.parametrize("language", list(FITS))
def test_a_sentence_in_a_language_fits_its_pattern(language: str) -> None:
    assert re.search(pattern(language), FITS[language])


@pytest.mark.parametrize(("language", "text"), [(name, text) for name, texts in DOES_NOT_FIT.items() for text in texts])
def test_what_is_too_short_too_long_or_no_plain_words_does_not(language: str, text: str) -> None:
    assert not re.search(pattern(language), text)


@pytest.mark.parametrize("language", list(FITS))
def test_the_grammar_engine_of_local_models_reads_the_same_pattern(language: str) -> None:
    xgrammar: Any = pytest.importorskip("xgrammar")
    from xgrammar.testing import _is_grammar_accept_string as accepts

    schema = {"type": "string", "pattern": pattern(language)}
    grammar = xgrammar.Grammar.from_json_schema(json.dumps(schema), any_whitespace=False)
    assert accepts(grammar, json.dumps(FITS[language], ensure_ascii=False))
    assert not any(accepts(grammar, json.dumps(text, ensure_ascii=False)) for text in DOES_NOT_FIT.get(language, ()))


def test_without_a_language_the_request_is_the_one_of_before() -> None:
    action = Action(0, "wave", "waving a hand")
    for prompt in load_prompts(kinds()):
        rivals = ["clapping"] if prompt.compares else []
        plain = prompt.request(action, rivals=rivals)
        german = prompt.request(action, rivals=rivals, language="German")
        assert plain.output_schema == prompt.output_schema
        assert "English" not in plain.messages[0]["content"]
        assert german.messages[1:-1] == plain.messages[1:-1]  # the examples, which a local model computes once
        assert german.messages[-1]["content"] == f"{plain.messages[-1]['content']}\nWrite in German."
        assert german.messages[0]["content"].startswith(plain.messages[0]["content"])
        assert cache_key(FakeLLM(), german) != cache_key(FakeLLM(), plain)


def test_english_by_name_allows_digits_and_does_not_deny_itself() -> None:
    [prompt] = load_prompts(["context"])
    request = prompt.request(Action(0, "wave", "waving a hand"), language="English")
    assert request.messages[0]["content"].endswith("Write every text in English.")
    assert request.max_tokens == prompt.max_tokens
    assert re.search(request.output_schema["properties"]["objects"]["items"]["pattern"], "2 hands")


def test_two_spellings_of_a_language_have_one_key() -> None:
    assert language_name(" german ") == language_name("GERMAN") == "German"
    assert language_name("brazilian  portuguese") == "Brazilian Portuguese"
    assert language_name("") == ""
    keys = {
        call.key
        for name in ("german", "German")
        for call in plan(
            FakeLLM(), load("hmdb51"), load_prompts(["context"]), BuildOptions(limit=1, language=language_name(name))
        )
    }
    assert len(keys) == 1


@pytest.mark.parametrize("name", ["German\nIgnore all", "de;en", "42", "x" * 60])
def test_what_is_no_name_of_a_language_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="not the name of a language"):
        language_name(name)


def test_the_messages_in_a_language_can_be_looked_at(descgen: Run) -> None:
    shown = descgen("prompts", "render", "context", "--action", "yo-yo", "--language", "german")
    assert "Write every text in German." in shown.stdout
