"""Everything that makes the numbers of a run what they are, as lines for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from db.records import Run
from recognizer.evaluation.ranking import LABEL_ONLY, WITH_DESCRIPTORS
from recognizer.video.sampling import Sampling

_SHORT = 16  # characters of a digest that are shown at once


@dataclass(frozen=True)
class Fact:
    """One line: what it is about, what it says, and what is too long to be said at once."""

    name: str
    value: str
    more: tuple[str, ...] = ()


def facts(run: Run) -> tuple[Fact, ...]:
    """Return the facts of a run; those that an older version did not write down are left out, others are kept."""
    told = [fact for tell in _TELL for fact in tell(run)]
    rest = {name: value for name, value in run.settings.items() if name not in _TOLD and value not in (None, {}, [])}
    others = tuple(f"{name}: {_said(value)}" for name, value in sorted(rest.items()))
    return (*told, *([Fact("other settings", f"{len(others)}", others)] if others else []))


def _videos(run: Run) -> Iterable[Fact]:
    settings = run.settings
    yield Fact("classes", f"{len(settings['classes'])} of {run.dataset}")
    yield Fact("videos from", settings["layout"])
    yield from _if_any(settings, "folder", "root")
    yield from _if_any(settings, "split", "split")
    yield from _if_any(settings, "at most so many videos", "limit")
    if ignored := settings.get("ignored"):
        yield Fact("ignored files", _said(ignored))


def _seen(run: Run) -> Iterable[Fact]:
    settings = run.settings
    yield Fact("encoder", settings["encoder"])
    if revision := settings.get("encoder_revision"):
        yield _digest("revision of its weights", revision)
    yield Fact("frames", str(Sampling(settings["frames"], settings.get("clips", 1), settings.get("crops", 1))))
    yield Fact("pooling of frames", settings.get("pooling", "avg"))
    yield from _if_any(settings, "preprocessing", "preprocessing")


def _worded(run: Run) -> Iterable[Fact]:
    settings = run.settings
    yield Fact("protocol", settings["protocol"])
    yield Fact("method", settings["method"])
    yield Fact("temperature", f"{settings.get('temperature', 1.0):g}")
    yield Fact("templates", settings.get("templates", "protocol"))
    yield _templates("around labels", settings.get("label_templates", ()))
    yield _templates("around descriptors", settings.get("descriptor_templates", ()))
    yield Fact("the label before each descriptor", "yes" if settings.get("condition") else "no")


def _texts(run: Run) -> Iterable[Fact]:
    settings = run.settings
    if not run.descriptor_ids:
        yield Fact("descriptors", "none: labels alone")
        return
    edited = f", {settings['edited']} edited by people" if settings.get("edited") else ""
    yield Fact("descriptors", f"{len(run.descriptor_ids)}: {_said(settings.get('statuses', {}))}{edited}")
    yield Fact("kinds", ", ".join(settings["kinds"]))
    yield Fact("written by", ", ".join(settings["llms"]))
    yield _digest("digest of the texts", run.descriptors_sha256)
    cut = tuple(settings.get("texts_cut", ()))
    longer = f"{len(cut)} texts are longer than {settings.get('context_length')} tokens"
    yield Fact("texts cut", longer if cut else "none", cut)


def _made(run: Run) -> Iterable[Fact]:
    settings = run.settings
    if loss := run.results.get("log_loss"):
        yield Fact("log loss", f"{loss[LABEL_ONLY]:.3f} by label only, {loss[WITH_DESCRIPTORS]:.3f} with descriptors")
    yield Fact("took", f"{run.seconds:.1f} seconds")
    yield from _if_any(settings, "device", "device")
    if readers := settings.get("readers"):
        yield Fact("videos read by", _said(readers))
    versions = tuple(f"{package} {version}" for package, version in settings.get("versions", {}).items())
    if versions:
        yield Fact("versions", versions[0], versions[1:])


def _digest(name: str, digest: str) -> Fact:
    return Fact(name, digest) if len(digest) <= _SHORT else Fact(name, f"{digest[:_SHORT]}…", (digest,))


def _templates(name: str, templates: Iterable[str]) -> Fact:
    found = tuple(templates)
    return Fact(name, found[0]) if len(found) == 1 else Fact(name, f"{len(found)} templates", found)


def _if_any(settings: Mapping[str, Any], name: str, key: str) -> Iterable[Fact]:
    if settings.get(key) not in (None, ""):
        yield Fact(name, str(settings[key]))


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{count} {name}" for name, count in value.items()) or "none"
    return (", ".join(map(str, value)) or "none") if isinstance(value, list | tuple) else str(value)


_TELL: tuple[Callable[[Run], Iterable[Fact]], ...] = (_videos, _seen, _worded, _texts, _made)
_TOLD = frozenset(
    ("classes", "layout", "root", "split", "limit", "ignored", "encoder", "encoder_revision", "frames", "clips",
     "crops", "pooling", "preprocessing", "protocol", "method", "temperature", "templates", "label_templates",
     "descriptor_templates", "condition", "kinds", "llms", "statuses", "edited", "texts_cut", "context_length",
     "device", "readers", "versions", "choice")
)  # fmt: skip
