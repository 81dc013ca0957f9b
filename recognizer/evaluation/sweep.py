"""Many evaluations from one pass over the videos: lists of choices in, a run for each of their products out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

from db.progress import Progress
from db.records import Dataset, Descriptor, Run
from db.store import Store
from encoders.protocol import Preprocessing
from recognizer.datasets.find import VideoList
from recognizer.evaluation.evaluate import run_of
from recognizer.evaluation.ranking import WITH_DESCRIPTORS, Embedded, Ranked, embed, ranked
from recognizer.evaluation.settings import Settings
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.scoring.ensemble import Ensemble, build_ensembles, labels_again
from recognizer.scoring.pooling import Pooling, VideoBatch
from recognizer.scoring.protocols import Protocol
from recognizer.scoring.selection import Choice, choose_descriptors

Chosen = Mapping[Choice, Sequence[Descriptor]]


@dataclass(frozen=True)
class Grid:
    """Lists of choices, each as in `Settings` and `Choice`."""

    kinds: tuple[tuple[str, ...] | None, ...] = (None,)
    methods: tuple[str, ...] = ("mean",)
    templates: tuple[str, ...] = ("protocol",)
    conditions: tuple[bool, ...] = (False,)
    llms: tuple[str | None, ...] = (None,)
    statuses: tuple[tuple[str, ...], ...] = (("pending", "accepted"),)
    poolings: tuple[Pooling, ...] = ("avg",)
    protocols: tuple[str, ...] = ("default",)

    def settings(self, base: Settings) -> list[Settings]:
        """Return the settings of each product; `base` has what is the same in all.

        Labels alone are there once: under them no method, source, or conditioning makes a difference. Under a protocol
        in which the label stands again (`tear`), methods and conditioning are kept: there they do.
        """
        choices = [Choice(*parts) for parts in product(self.kinds, self.statuses, self.llms)]
        wordings = product(self.protocols, self.templates, self.conditions)
        every = [
            replace(
                base, protocol=protocol, templates=templates, condition=condition, pooling=pooling, method=method,
                choice=choice,
            )
            for (protocol, templates, condition), pooling, method, choice in product(
                wordings, self.poolings, self.methods, choices
            )
        ]  # fmt: skip
        return list(dict.fromkeys(_without_idle_choices(settings) for settings in every))


def _without_idle_choices(settings: Settings) -> Settings:
    if settings.choice.kinds != ():
        return settings
    settings = replace(settings, choice=Choice(kinds=()))
    return settings if settings.wording().label_again else replace(settings, method="label", condition=False)


GRIDS = {
    "tear": Grid(  # the 40 of its scripts: what is said, how it is compared, in which templates, after the label or not
        kinds=((), ("description",), ("decomposition",), ("context",), ("decomposition", "description", "context")),
        methods=("mean", "ensemble"),
        templates=("tear16", "single"),
        conditions=(True, False),
        protocols=("tear",),
    )
}


def choose_for(store: Store, dataset: Dataset, settings: Sequence[Settings]) -> Chosen:
    """Return the descriptors of each choice that the settings name.

    Raises:
        UserError: there are none for one of them, some are missing, or they are of several sources.
    """
    choices = dict.fromkeys(each.choice for each in settings)
    return {choice: choose_descriptors(store, dataset, choice) for choice in choices}


def embed_for(
    dataset: Dataset,
    videos: VideoList,
    encoder: CachingEncoder,
    *,
    settings: Sequence[Settings],
    on_progress: Progress = lambda done, total: None,
) -> dict[Preprocessing, Embedded]:
    """Embed the videos once for each way of preprocessing that the settings name; nearly always one.

    Raises:
        UserError: no video is on disk, or none of them can be read.
    """
    needed = {each.wording().preprocessing: each for each in settings}
    return {
        preprocessing: embed(dataset, videos, encoder, settings=each, on_progress=on_progress)
        for preprocessing, each in needed.items()
    }


def score_grid(
    embedded: Mapping[Preprocessing, Embedded],
    chosen: Chosen,
    *,
    settings: Sequence[Settings],
    with_predictions: bool = False,
    on_progress: Progress = lambda done, total: None,
) -> list[Run]:
    """Return a run for each of the settings, the best top-1 first; each distinct string is encoded once for all.

    Args:
        embedded: the videos, by preprocessing.
        chosen: the descriptors, by choice.
        settings: what to evaluate.
        with_predictions: whether the runs keep every prediction, as those that are stored do.
        on_progress: told (runs done, runs in all).
    """
    ensembles = _ensembles(embedded, chosen, settings)
    seen = cache(lambda preprocessing, pooling: VideoBatch.of(embedded[preprocessing].features.frames, pooling=pooling))
    baselines: dict[object, Ranked] = {}
    runs: list[Run] = []
    for each in settings:
        choice, protocol = each.choice, each.wording()
        job, videos = embedded[protocol.preprocessing], seen(protocol.preprocessing, each.pooling)
        texts, of_labels = ensembles[choice, protocol], (protocol.name, protocol.label_templates, each.pooling)
        if of_labels not in baselines:  # the same for every method
            baselines[of_labels] = ranked(job, videos, texts.label_only(), settings=each)
        run = run_of(
            job, videos, texts, chosen[choice], settings=each, baseline=baselines[of_labels],
            with_predictions=with_predictions,
        )  # fmt: skip
        runs.append(run)
        on_progress(len(runs), len(settings))
    return sorted(runs, key=top1, reverse=True)


def top1(run: Run) -> float:
    """Return the share of videos that a run ranked rightly, 0 to 1."""
    return float(run.results["rows"][WITH_DESCRIPTORS]["top1"]["value"])


def _ensembles(
    embedded: Mapping[Preprocessing, Embedded], chosen: Chosen, settings: Iterable[Settings]
) -> dict[tuple[Choice, Protocol], Ensemble]:
    job = next(iter(embedded.values()))
    keys = list(dict.fromkeys((each.choice, each.wording()) for each in settings))
    wanted = [(chosen[choice] or labels_again(job.dataset, protocol), protocol) for choice, protocol in keys]
    return dict(zip(keys, build_ensembles(job.dataset, wanted, job.encoder), strict=True))
