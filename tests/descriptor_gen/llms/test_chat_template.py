"""Chat templates of local models: those that refuse a system message or drop it, and those that begin with thoughts."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from db.errors import UserError
from descriptor_gen.llms import Message
from descriptor_gen.llms.local.chat import ChatTemplate

CONVERSATION: tuple[Message, ...] = (
    {"role": "system", "content": "Reply in JSON."},
    {"role": "user", "content": "Action: waving"},
    {"role": "assistant", "content": "{}"},
    {"role": "user", "content": "Action: running"},
)
TURNS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
ASK = "{% if add_generation_prompt %}<assistant>{% endif %}"
GEMMA = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
ALTERNATE = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/...') }}{% endif %}{% endfor %}"
)
DROPS = "{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content }}{% endfor %}"
QWEN3 = (
    "{% if add_generation_prompt %}<assistant>"
    "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
ALWAYS_THINKS = "{% if add_generation_prompt %}<assistant><think>\n{% endif %}"
PLAIN = "<system>Reply in JSON.<user>Action: waving<assistant>{}<user>Action: running<assistant>"
FOLDED = "<user>Reply in JSON.\n\nAction: waving<assistant>{}<user>Action: running<assistant>"
ENDED = "<think>\n\n</think>\n\n"


def template(source: str) -> ChatTemplate:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"x": 0}, unk_token="x")))  # noqa: S106 - no password
    tokenizer.chat_template = source
    return ChatTemplate(tokenizer, name="tiny")


@pytest.mark.parametrize(
    ("source", "folds", "text"),
    [
        (TURNS + ASK, False, PLAIN),
        (GEMMA + TURNS + ASK, True, FOLDED),
        (ALTERNATE + TURNS + ASK, True, FOLDED),
        (DROPS + ASK, True, FOLDED),
        (TURNS + QWEN3, False, PLAIN + ENDED),
        (TURNS + ALWAYS_THINKS, False, PLAIN + ENDED),
        (TURNS + ASK.replace("<assistant>", "<assistant>[THINK]"), False, PLAIN + "[THINK][/THINK]"),
        (
            TURNS + ASK.replace("<assistant>", "<|start|>assistant"),
            False,
            PLAIN.removesuffix("<assistant>") + "<|start|>assistant<|channel|>final<|message|>",
        ),
    ],
)
def test_the_system_message_is_there_and_the_reply_begins_after_the_thoughts(
    source: str, folds: bool, text: str
) -> None:
    chat = template(source)
    assert chat.text(CONVERSATION, ask=True) == text
    assert chat.folds_system == folds


def test_a_beginning_of_a_conversation_ends_no_thoughts() -> None:
    chat = template(TURNS + ALWAYS_THINKS)
    assert chat.text(CONVERSATION[:-1], ask=False) == "<system>Reply in JSON.<user>Action: waving<assistant>{}"


def test_a_template_that_refuses_every_conversation_says_so() -> None:
    with pytest.raises(UserError, match="chat template of tiny refuses the conversation: no talk"):
        template("{{ raise_exception('no talk') }}").text(CONVERSATION, ask=True)
