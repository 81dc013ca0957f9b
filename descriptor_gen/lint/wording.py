"""Faults in the words of a single descriptor: words of the prompt, refusals, what no camera sees, glued words.

Each function returns the fault in words, or an empty string.
"""

from __future__ import annotations

import re

from descriptor_gen.lint.clip_tokens import is_word

# Anchored at the beginning where the same words may be legitimate later: "a hand holds a photo of a child".
_ECHOES = {
    "prompt echo": r"^(action( label)?|class( label)?|label|description|decomposition|context|setting|objects?"
    r"|situation|before|after|answer|output|response|caption|sub-?actions?)\s*:|\baction label\b",
    "chat": r"^(sure|certainly|absolutely|of course|okay|ok)\s*[,!.:]|^here(\s+(is|are)\b|['\u2019]s\s)",
    "numbering": r"^\(?(\d{1,2}|[a-e])[.):]\s|^(sub-?action|step)\s+(\d+|one|two|three|four|five)\b",
    "markup": r"^[-*\u2022#>]+\s|\*\*|__|`|[{}\[\]]|\\[nt\"]",
    "scaffolding": r"^(in\s+)?(an?|the|this)\s+(short\s+)?(video|clip|footage|photo|image|picture|scene|frame)"
    r"(\s+clip)?\s+(of|shows|showing|depicts|depicting)\b|\b(the|this)\s+action\s+(of|is|involves|requires|label)\b",
}

_REFUSAL = (
    r"^(i['\u2019]?m|i\s+am)\s+(sorry|not\s+sure|unable|here\s+to)\b|^(sorry|i\s+apologi[sz]e)\b|\bas\s+an\s+ai\b"
    r"|^i\s+(can\s?not|can['\u2019]t)\b|\b(could|can)\s+you\s+(please\s+)?(provide|specify)\b"
    r"|\bhow\s+(can|may)\s+i\s+(help|assist)\b"
)

# The most frequent words for invisible things in the published descriptors of UCF101, HMDB51 and Kinetics, without
# words that also name visible things: music (stand), safety (goggles), practice, power, taste, think.
_INVISIBLE = (
    r"feels?|feeling|enjoy(s|ing|ed|ment|able)?|emotions?|emotional|intent|intentions?|intend(s|ed|ing)?",  # mind
    r"important(ly)?|essential|crucial|necessary|beneficial|benefits?",  # judgement
    r"skills?|skill?ful(ly)?|technique|techniques|expertise|strength|agility|coordination",  # ability
    r"requires?|required|requiring|demands?|helps?\s+to|helps|in\s+order\s+to|aims?\s+to|purposes?",  # purpose
    r"improv(e|es|ed|ing)|ensur(e|es|ed|ing)",  # effect
    r"sounds?|noises?|smells?|aromas?",  # other senses
)

_GLUE_BEFORE = r"their|the|and|with|into|from|onto|while"
_GLUE_AFTER = r"their|the|and|with|into|from"  # not "her": musher, lather

_echoes = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _ECHOES.items()}
_refusal = re.compile(_REFUSAL, re.IGNORECASE)
# For lower-case text: ignoring case takes seven times as long.
_invisible = re.compile(rf"\b({'|'.join(_INVISIBLE)})\b")
_glued = re.compile(rf"\b(?:(?:{_GLUE_BEFORE})([a-z]{{3,}})|([a-z]{{3,}})(?:{_GLUE_AFTER}))\b")


def echo(text: str) -> str:
    """Find words of the prompt or of the reply's form: `Action label: ...`, `Here are`, `Step 1`, `a video of`."""
    stripped = text.strip()
    matches = ((name, pattern.search(stripped)) for name, pattern in _echoes.items())
    return "; ".join(f'{name}: "{match.group().strip()}"' for name, match in matches if match)


def refusal(text: str) -> str:
    """Find a model that speaks of itself instead of the action."""
    match = _refusal.search(text.strip())
    return f'the model speaks of itself: "{match.group()}"' if match else ""


def not_visual(text: str) -> str:
    """Find words for what a camera cannot see: mind, judgement, ability, purpose, sound, smell."""
    words = dict.fromkeys(match.group() for match in _invisible.finditer(text.lower()))
    return f"a camera cannot see: {', '.join(words)}" if words else ""


def glued(text: str) -> str:
    """Find two words without a space (`theirhands`): a model writes it when the grammar allows no further word."""
    matches = _glued.finditer(text.lower())
    words = [match.group() for match in matches if is_word(match[1] or match[2]) and not is_word(match.group())]
    return f"two words without a space: {', '.join(words)}" if words else ""
