"""Video and image files, by their names."""

from __future__ import annotations

import unicodedata

VIDEO_SUFFIXES = frozenset(
    (".avi", ".mp4", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp",
     ".ts", ".m2ts", ".mts", ".asf", ".ogv", ".vob", ".gif")
)  # fmt: skip
IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp"))


def stem(name: str) -> str:
    """Return a video's name without its suffix; a folder of frames has none, even with a dot in its name."""
    kept = name.rpartition(".")[0] if suffix(name) in VIDEO_SUFFIXES else name
    return unicodedata.normalize("NFC", kept)  # macOS stores names decomposed


def suffix(name: str) -> str:
    """Return ".avi" for "a.AVI", ten times as fast as pathlib, for listing 600 000 names."""
    base, dot, end = name.rpartition(".")
    return dot + end.lower() if base else ""


def is_image(name: str) -> bool:
    """Whether a file is an image; hidden files do not count."""
    return not name.startswith(".") and suffix(name) in IMAGE_SUFFIXES
