"""The controls of a stored run: whether its texts are better than other texts, and what order and motion add."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from db.errors import UserError
from db.progress import ProgressBars, no_bars
from db.records import Descriptor, Run
from db.store import Store
from encoders.protocol import Encoder
from recognizer.datasets.official import clip_groups
from recognizer.evaluation.controls.frames import FRAMES, changed
from recognizer.evaluation.controls.random_texts import RANDOM_TEXTS
from recognizer.evaluation.controls.results import DEFAULTS, ClassControl, Control, ControlSettings, RunControls
from recognizer.evaluation.controls.swapped import Permuted, margins_of, permute
from recognizer.evaluation.controls.verdicts import verdicts, verdicts_by_class, verdicts_by_kind
from recognizer.evaluation.multi_label import refuse_multi_label
from recognizer.evaluation.replay import Replay, replay
from recognizer.evaluation.tables import cautions, method_notes
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.scoring.ensemble import Ensemble, build_ensemble
from recognizer.scoring.intervals import Design, Flags, Floats, tango
from recognizer.scoring.methods import METHODS, method_of, scores
from recognizer.scoring.metrics import Rate, rate
from recognizer.scoring.pooling import VideoBatch

if TYPE_CHECKING:
    from torch import Tensor

SWAPPED = "swapped"
WHOLE = "all kinds"
_ENOUGH = 19  # replicates, the fewest with which p can be 1 / 20


def measure_controls(
    store: Store,
    run: Run,
    encoder: CachingEncoder,
    *,
    settings: ControlSettings = DEFAULTS,
    root: Path | None = None,
    bars: ProgressBars = no_bars,
) -> RunControls:
    """Measure the controls of a stored run from its stored embeddings, and store their verdicts with the run.

    Only random texts are encoded; frames never are. Other arguments and errors as in `replay`.

    Raises:
        UserError: the run has no descriptors, or its dataset has only one class.
    """
    refuse_multi_label(run, "recognize controls")
    with bars(f"run {run.id}", "videos") as advance:
        replayed = replay(store, run, encoder, root=root, on_progress=advance)
    texts = (replayed.ensemble.kind >= 0).any()
    if not texts or len(replayed.ensemble.present) < 2:
        reason = "used no descriptors" if not texts else "has one class only"
        raise UserError(f"Run {run.id} {reason}: there are no texts to exchange. Runs with descriptors: recognize runs")
    measured = controls_of(replayed, encoder, settings=settings, bars=bars)
    if run.id is not None and not store.read_only:
        store.save_results(run.id, _summary(measured))
    return measured


def controls_of(
    replayed: Replay, encoder: Encoder, *, settings: ControlSettings = DEFAULTS, bars: ProgressBars = no_bars
) -> RunControls:
    """Return the controls of a replayed run, which has descriptors of two or more classes; nothing is stored.

    Args:
        replayed: the run with its videos and texts.
        encoder: encodes random texts.
        settings: how controls are made.
        bars: opens a progress bar.
    """
    return _Bench(replayed, encoder, settings, bars).controls()


def with_controls(store: Store, run: Run, encoder: CachingEncoder, *, bars: ProgressBars = no_bars) -> Run:
    """Return a run with its controls among its results; arguments and errors as in `measure_controls`."""
    measured = measure_controls(store, run, encoder, bars=bars)
    return replace(run, results={**run.results, **_summary(measured)})


def _summary(controls: RunControls) -> dict[str, Any]:
    """Return what is stored with a run; the review shows its sentences about texts."""
    kept = asdict(controls)
    by_class = verdicts_by_class(controls.classes)
    return {
        "controls": {
            **{name: kept[name] for name in ("settings", "texts", "kinds", "frames", "verdicts")},
            "by_kind": verdicts_by_kind(controls.kinds),
            "by_class": {each.name: {"verdict": by_class[each.name], "texts": each.texts} for each in controls.classes},
        }
    }


@dataclass(frozen=True)
class _Bench:
    """A replayed run, against which controls are measured."""

    replayed: Replay
    encoder: Encoder
    settings: ControlSettings
    bars: ProgressBars

    def controls(self) -> RunControls:
        replayed, run = self.replayed, self.replayed.run
        labels = replayed.features.labels
        design = Design.of(labels.tolist(), clip_groups(video.id for video in replayed.features.videos))
        margins = self._margins(replayed.scores())
        own = margins > 0
        everything = self._permuted(WHOLE)
        texts = (_swapped(WHOLE, everything, margins, design), *self._random_texts(own, design))
        kinds = replayed.ensemble.kinds if len(replayed.ensemble.kinds) > 1 else ()
        labels_alone = self._hits(replayed.label_scores())
        frames = tuple(self._frames(design))
        return RunControls(
            run=run.id or 0,
            dataset=run.dataset,
            protocol=replayed.settings.protocol,
            encoder=run.settings["encoder"],
            method=replayed.settings.method,
            videos=len(labels),
            left_out=len(run.left_out),
            groups=design.group_count,
            settings=self.settings,
            label_only=rate(labels_alone.numpy(), design),
            top1=rate(own.numpy(), design),
            texts=texts,
            kinds=tuple(_swapped(kind, self._permuted(kind), margins, design) for kind in kinds),
            classes=self._classes(everything, own, labels),
            frames=frames,
            verdicts=tuple(verdicts(texts, frames)),
            cautions=(*method_notes(run.settings), *cautions(run)),
        )

    def _hits(self, scored: Tensor) -> Tensor:
        """Return which videos are right, bool [V], of scores [V, C]; a tie is wrong."""
        return self._margins(scored) > 0

    def _margins(self, scored: Tensor) -> Tensor:
        return margins_of(scored.T.clone(), self.replayed.features.labels)

    def _score(self, part: slice, ensemble: Ensemble) -> Tensor:
        """Return the scores [v, C] of some of the videos, the mean over their views."""
        views, chosen = self.replayed.features.views, self.replayed.settings
        rows = self.replayed.batch.select(slice(part.start * views, part.stop * views))
        scored = scores(rows, ensemble, method=chosen.method, temperature=chosen.temperature)
        return scored.reshape(part.stop - part.start, views, -1).mean(dim=1)

    def _permuted(self, kind: str) -> Permuted:
        """Return the videos scored with the texts of a kind, or with all texts, given to other classes."""
        ensemble = self.replayed.ensemble
        moved = ensemble.kind >= 0 if kind == WHOLE else ensemble.kind == ensemble.kinds.index(kind)
        with self.bars(f"run {self.replayed.run.id}, texts of other classes: {kind}", "lists") as advance:
            return permute(
                self._score, ensemble, moved, self.replayed.features.labels,
                count=self.settings.permutations, seed=self.settings.seed,
                apart=method_of(self.replayed.settings.method).classes_apart, on_progress=advance,
            )  # fmt: skip

    def _random_texts(self, own: Tensor, design: Design) -> Iterator[Control]:
        """Yield each control of `RANDOM_TEXTS`, in the words of the run's texts."""
        replayed, count = self.replayed, self.settings.replicates
        labels = set(replayed.ensemble.ids[:, 0].tolist())  # ids of names that stand for labels: these stay
        names = [text for text in replayed.descriptors if text.id in labels]
        others = [text for text in replayed.descriptors if text.id not in labels]
        made = {
            name: [[*names, *make(others, Random(self.settings.seed + n))] for n in range(count)]
            for name, (_, make) in RANDOM_TEXTS.items()
        }
        if not count:
            return
        with self.bars(f"run {replayed.run.id}, random texts", "lists") as advance:
            for number, (name, replicates) in enumerate(made.items()):
                hits = np.stack([self._hits_with(texts) for texts in replicates])
                p = _p(own.numpy(), hits) if count >= _ENOUGH else None
                advance((number + 1) * count, len(made) * count)
                yield control(name, RANDOM_TEXTS[name][0], WHOLE, own.numpy(), hits, design, p=p)

    def _hits_with(self, texts: Sequence[Descriptor]) -> Flags:
        """Return which videos are right with other descriptors, [V]."""
        replayed = self.replayed
        ensemble = build_ensemble(replayed.dataset, texts, self.encoder, replayed.protocol)
        own = replayed.ensemble
        scored = replayed.scores(replace(ensemble, logit_scale=own.logit_scale, logit_bias=own.logit_bias))
        flags: Flags = self._hits(scored).numpy()
        return flags

    def _classes(self, permuted: Permuted, own: Tensor, labels: Tensor) -> tuple[ClassControl, ...]:
        """Return each class that has videos, by its p."""
        made, ensemble = [], self.replayed.ensemble
        for label in labels.unique().tolist():
            right, share = permuted.hits[:, labels == label].double().mean(dim=1), own[labels == label].double().mean()
            as_good, as_bad = int((right >= share - 1e-9).sum()), int((right <= share + 1e-9).sum())
            p, p_worse = (n / len(right) if permuted.exact else (n + 1) / (len(right) + 1) for n in (as_good, as_bad))
            name, videos = self.replayed.dataset.actions[label].name, int((labels == label).sum())
            texts = tuple(ensemble.ids[label, ensemble.kind[label] >= 0].tolist())
            made.append(ClassControl(name, videos, texts, float(share), float(right.mean()), p, p_worse))
        return tuple(sorted(made, key=lambda c: (c.p, -(c.real - c.swapped), c.name)))

    def _frames(self, design: Design) -> Iterator[Control]:
        """Yield each control of `FRAMES` for the run's method, and for those that compare steps with single frames.

        A method that pools the frames first does not see their order, so it has no control of order.
        """
        batch, replayed = self.replayed.batch, self.replayed
        if replayed.features.of_clips or batch.frames.shape[1] < 2:
            return
        in_order = [m.name for m in METHODS.values() if m.needs_frames and not m.pools]
        ordered = in_order if (replayed.ensemble.steps() >= 0).any() else []
        for name, (about, _) in FRAMES.items():
            count = self.settings.replicates if name == "shuffled" else 1
            made = [changed(batch, name, self.settings.seed + n) for n in range(count)]
            methods = (replayed.settings.method,) if name == "one frame" else ()
            for method in dict.fromkeys((*methods, *ordered)) if made else ():
                real = self._by(method, batch)
                yield control(name, about, method, real, np.stack([self._by(method, each) for each in made]), design)

    def _by(self, method: str, batch: VideoBatch) -> Flags:
        """Return which videos are right by another method, or with other frames."""
        chosen = self.replayed.settings
        scored = scores(batch, self.replayed.ensemble, method=method, temperature=chosen.temperature)
        flags: Flags = self._hits(self.replayed.features.over_views(scored)).numpy()
        return flags


def _swapped(kind: str, permuted: Permuted, margins: Tensor, design: Design) -> Control:
    """Return the comparison of a run with margins [V] with its permutations."""
    p = permuted.p(margins > 0, float(margins.double().mean()))
    about = "the texts of other classes" if kind == WHOLE else f"their {kind} from other classes"
    hits = permuted.hits.numpy()
    return control(SWAPPED, about, kind, (margins > 0).numpy(), hits, design, p=p, exact=permuted.exact)


def control(
    name: str, about: str, part: str, own: Flags, hits: Flags, design: Design, *,
    p: float | None = None, exact: bool = False,
) -> Control:  # fmt: skip
    """Return the comparison of a run's hits [V] with those of replicates [N, V].

    The interval is Tango's for paired differences, with each video's change in place of counts: its hit minus the mean
    of its hits over the replicates. It holds for a replicate drawn anew for each video, so it is a little too wide.
    """
    replicates = hits.mean(axis=1)
    changes: Floats = own.astype(float) - hits.mean(axis=0)
    low, high = tango(
        design.mean(changes.clip(min=0)), design.mean((-changes).clip(min=0)), design.effective_videos(changes)
    )
    spread = float(replicates.std(ddof=1)) if len(hits) > 1 else None
    difference = Rate(float(design.mean(changes)), float(low), float(high))
    real, mean = float(own.mean()), float(replicates.mean())
    return Control(name, about, part, len(hits), real, mean, spread, difference, p, exact)


def _p(own: Flags, hits: Flags) -> float:
    """Return how likely a replicate is at least as good as the run, which counts as one more replicate."""
    return (int((hits.sum(axis=1) >= own.sum()).sum()) + 1) / (len(hits) + 1)
