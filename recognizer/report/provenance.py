"""The settings behind the numbers of a run, as lines of a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from db.local_paths import without_folders
from db.records import Run
from recognizer.evaluation.ranking import LABEL_ONLY, WITH_DESCRIPTORS
from recognizer.evaluation.tables import in_words, method_notes, transductive_lines
from recognizer.scoring.protocols import NAMES
from recognizer.video.sampling import Sampling

_SHORT = 16  # characters shown of a digest before it is unfolded


@dataclass(frozen=True)
class Fact:
    """One line: a name, a value, and long lines that are folded."""

    name: str
    value: str
    more: tuple[str, ...] = ()


def facts(run: Run) -> tuple[Fact, ...]:
    """Return the settings of a run; those that older versions did not store are missing, unknown ones come last."""
    settings = {name: value for name, value in run.settings.items() if value not in (None, "", {}, [])}
    others = tuple(f"{name}: {_text(value)}" for name, value in sorted(settings.items()) if name not in _SHOWN)
    return (
        *_videos(run, settings),
        *_descriptors(run, settings),
        *_results(run, settings),
        *([Fact("other settings", f"{len(others)}", others)] if others else []),
    )


def _videos(run: Run, settings: Mapping[str, Any]) -> Iterator[Fact]:
    yield Fact("classes", f"{len(settings['classes'])} of {run.dataset}")
    names = {"videos from": "layout", "folder": "root", "split": "split", "limit of videos": "limit",
             "ignored files": "ignored", "truncated videos": "truncated", "encoder": "encoder"}  # fmt: skip
    yield from (Fact(name, _text(settings[key])) for name, key in names.items() if key in settings)
    if revision := settings.get("encoder_revision"):
        yield _digest("revision of its weights", revision)
    yield Fact("frames", str(Sampling(settings["frames"], settings.get("clips", 1), settings.get("crops", 1))))
    of_unit_length = ", each of unit length" if settings.get("unit_frames") else ""
    yield Fact("pooling of frames", settings.get("pooling", "avg") + of_unit_length)
    if "preprocessing" in settings:
        yield Fact("preprocessing", settings["preprocessing"])


def _descriptors(run: Run, settings: Mapping[str, Any]) -> Iterator[Fact]:
    yield Fact("protocol", settings["protocol"])
    yield Fact("method", ": ".join([settings["method"], *method_notes(settings)]))
    if lines := transductive_lines(run):
        yield Fact("transductive", without_folders(lines[0]), tuple(lines[1:]))
    yield Fact("temperature", f"{settings.get('temperature', 1.0):g}")
    yield Fact("templates", settings.get("templates", "protocol"))
    for name in ("label", "descriptor"):
        templates = tuple(settings.get(f"{name}_templates", ()))
        several = Fact(f"around {name}s", f"{len(templates)} templates", templates)
        yield Fact(f"around {name}s", *templates) if len(templates) == 1 else several
    yield Fact("the label before each descriptor", "yes" if settings.get("condition") else "no")
    if (names := settings.get("names", "off")) != "off":
        yield Fact("names of classes", NAMES[names])
    if not run.descriptor_ids:
        yield Fact("descriptors", "none: labels alone")
        return
    edited = f", {settings['edited']} edited by people" if settings.get("edited") else ""
    yield Fact("descriptors", f"{len(run.descriptor_ids)}: {_text(settings.get('statuses', {}))}{edited}")
    yield Fact("kinds", ", ".join(run.settings["kinds"]))
    yield Fact("written by", ", ".join(run.settings["llms"]))
    yield _digest("digest of the texts", run.descriptors_sha256)
    cut = tuple(settings.get("texts_cut", ()))
    yield Fact(
        "texts cut", f"{len(cut)} are longer than {settings.get('context_length')} tokens" if cut else "none", cut
    )


def _results(run: Run, settings: Mapping[str, Any]) -> Iterator[Fact]:
    if rejection := run.results.get("none_of_these"):
        texts = tuple(rejection["background"]["texts"])
        yield Fact("none of these below", f"{rejection['threshold']:g}")
        yield Fact("background texts", f"{len(texts)}: {_text(settings['background'])}", texts)
    if loss := run.results.get("log_loss"):
        yield Fact("log loss", f"{loss[LABEL_ONLY]:.3f} by label only, {loss[WITH_DESCRIPTORS]:.3f} with descriptors")
    yield Fact("took", f"{run.seconds:.1f} seconds")
    names = {"device": "device", "videos read by": "readers"}
    yield from (Fact(name, _text(settings[key])) for name, key in names.items() if key in settings)
    if versions := tuple(f"{package} {version}" for package, version in settings.get("versions", {}).items()):
        yield Fact("versions", versions[0], versions[1:])


def _digest(name: str, digest: str) -> Fact:
    return Fact(name, digest) if len(digest) <= _SHORT else Fact(name, f"{digest[:_SHORT]}…", (digest,))


def _text(value: Any) -> str:
    return in_words(value, separator=", ")


_SHOWN = frozenset(
    ("classes", "layout", "root", "split", "limit", "ignored", "encoder", "encoder_revision", "frames", "clips",
     "crops", "pooling", "unit_frames", "preprocessing", "protocol", "method", "temperature", "templates",
     "label_templates", "descriptor_templates", "condition", "names", "kinds", "llms", "statuses", "edited",
     "texts_cut", "context_length", "device", "readers", "versions", "choice", "truncated", "none_of_these",
     "background", "threshold", "transductive", "class_prior")
)  # fmt: skip
