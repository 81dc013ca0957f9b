"""Separate a reasoning model's thoughts from its answer: a draft in the thoughts is never the answer."""

from __future__ import annotations

import re

_NAMES = "think|thinking|thoughts?|reason|reasoning|reflection|analysis|scratchpad|rationale"
_BEGIN = re.compile(
    rf"[<◁](?:\w{{1,20}}:)?(?:{_NAMES})(?:\s[^<>]{{0,200}})?[>▷]"  # <think>, <seed:think>, ◁think▷
    r"|\[THINK(?:ING)?\]"
    r"|<\|(?:begin_of_thought|start_thinking|thinking)\|>"
    r"|<\|channel>\s*thought|<unused94>",
    re.IGNORECASE,
)
_END = re.compile(
    rf"[<◁]/(?:\w{{1,20}}:)?(?:{_NAMES})\s*[>▷]"
    r"|\[/THINK(?:ING)?\]"
    r"|<\|(?:end_of_thought|end_thinking|/thinking)\|>"
    r"|<channel\|>|<unused95>",
    re.IGNORECASE,
)
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w*)")  # harmony, the format of gpt-oss
_MESSAGE = re.compile(r"<\|message\|>")
_PLAIN_CHANNEL = re.compile(r"\A\s*(?:analysis|commentary)(?=[A-Z{\"])")  # harmony without its special tokens
_PLAIN_FINAL = "assistantfinal"
_END_OF_TURN = re.compile(
    r"<\|(?:im_end|im_start|eot_id|eom_id|end|return|call|endoftext|end_of_text|start_header_id|user|assistant)\|>"
    r"|</s>|<(?:end|start)_of_turn>|\[INST\]|<\uff5c[^\uff5c<>]{1,30}\uff5c>",
    re.IGNORECASE,
)


def holds_thoughts(text: str) -> bool:
    """Return whether a text has a tag of thoughts, or a token that ends a turn."""
    return any(pattern.search(text) for pattern in (_BEGIN, _END, _CHANNEL, _END_OF_TURN))


def answer_of(reply: str) -> str | None:
    """Return what follows the last thought, up to the end of the turn; None if the reply ends within its thoughts.

    What stands before a thought, or between two, is never the answer: the model went on to think about it.
    """
    final = _final_channel(reply)
    if final is None:
        return None
    ends = [tag.end() for tag in _END.finditer(final)]
    rest = final[ends[-1] :] if ends else final
    if _BEGIN.search(rest):
        return None
    turn = _END_OF_TURN.search(rest, rest.find("{") + 1)
    return rest[: turn.start()] if turn else rest


def _final_channel(reply: str) -> str | None:
    """Return the final channel of a reply in harmony, any other reply as it is; None if the final channel is missing.

    https://github.com/openai/harmony: channels are analysis, commentary and final; only final is for the user.
    """
    channels = list(_CHANNEL.finditer(reply))
    if channels:
        message = _MESSAGE.search(reply, channels[-1].end())
        return reply[message.end() :] if message and channels[-1].group(1) == "final" else None
    if not _PLAIN_CHANNEL.search(reply):
        return reply
    _, marker, final = reply.rpartition(_PLAIN_FINAL)
    return final if marker else None
