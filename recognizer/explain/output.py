"""Write explanations to files: one page, one picture, or a folder of pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from db.errors import UsageError
from db.local_paths import distinct_ends, public_names, without_folders
from db.outputs import PAGES, PICTURES, check_file
from recognizer.evaluation.predict import ClassTexts
from recognizer.explain.explain import Explanation
from recognizer.explain.page import explanation_page
from recognizer.explain.picture import draw_explanation
from recognizer.explain.wording import lines_above
from recognizer.video.file_types import VIDEO_SUFFIXES


def check_output(output: Path, videos: int) -> None:
    """Refuse an output that cannot be written, before the work starts.

    Raises:
        UsageError: unknown suffix, missing folder, or one picture for several videos.
    """
    suffix = output.suffix.lower()
    if _is_folder(output):
        return
    if suffix not in (*PICTURES, *PAGES):
        known = ", ".join((*PICTURES, PAGES[0]))
        raise UsageError(f"--output is a file that ends in one of {known}, or a folder, not {output.name}")
    check_file(output, (*PICTURES, *PAGES))
    if suffix in PICTURES and videos > 1:
        raise UsageError(
            f"{output.name} would hold one of {videos} videos. One page for all: --output {output.stem}.html; "
            f"a picture of each: --output {output.stem}"
        )


def write_explanations(texts: ClassTexts, explanations: Sequence[Explanation], output: Path) -> Iterator[Path]:
    """Write a page of all videos, or a picture of each readable one; yield the paths.

    Args:
        texts: the classes and the settings.
        explanations: of the videos.
        output: .html for a page; .png, .svg or .pdf for the picture of one video; else a folder for PNG files, which
            are named after the videos, with their folders if names repeat.
    """
    lines = [without_folders(line) for line in lines_above(texts)]
    names = public_names([explanation.video for explanation in explanations])
    named = [_public(explanation, names[explanation.video]) for explanation in explanations]
    readable = [explanation for explanation in explanations if not explanation.unreadable]
    if not _is_folder(output) and output.suffix.lower() in PAGES:
        title = f"What the texts of {texts.dataset.name} did"
        output.write_text(explanation_page(named, title=title, made_with=lines), encoding="utf-8")
        yield output
        return
    files = [output]
    if _is_folder(output):
        output.mkdir(parents=True, exist_ok=True)
        files = [output / f"{name}.png" for name in _names([Path(explanation.video) for explanation in readable])]
    for explanation, file in zip(readable, files, strict=True):
        draw_explanation(explanation, file, made_with=lines)
        yield file


def _public(explanation: Explanation, name: str) -> Explanation:
    reason = explanation.unreadable and without_folders(explanation.unreadable)
    return replace(explanation, video=name, unreadable=reason)


def _is_folder(output: Path) -> bool:
    return output.is_dir() or not output.suffix


def _names(videos: Sequence[Path]) -> list[str]:
    """Return a name for each video: the shortest distinct ends of their paths."""
    paths = [video.resolve() for video in videos]
    return distinct_ends([p.with_suffix("") if p.suffix.lower() in VIDEO_SUFFIXES else p for p in paths], separator="-")
