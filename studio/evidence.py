"""Load the stored embeddings of a dataset's videos: those of the newest run, or those in a folder."""

from __future__ import annotations

import logging
import shlex
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from db import vocabulary
from db.errors import UserError
from db.local_paths import public_names, without_folders
from db.records import Dataset, Descriptor, Run
from db.store import Store
from recognizer.datasets.find import Video, VideoList, find_videos
from recognizer.datasets.official import clip_groups
from recognizer.evaluation.ranking import pooled
from recognizer.evaluation.replay import settings_of, wording_of
from recognizer.evaluation.settings import Options, Settings
from recognizer.features.caching_encoder import CachingEncoder, open_caching_encoder
from recognizer.features.embed import Features, stored_videos, videos_on_disk
from recognizer.features.text_memory import TextMemory
from recognizer.scoring.ensemble import Ensemble, build_ensemble, strings_of
from recognizer.scoring.pooling import VideoBatch
from recognizer.scoring.protocols import Protocol
from recognizer.scoring.selection import choose_among

if TYPE_CHECKING:
    from torch import Tensor


_log = logging.getLogger(__name__)
DEFAULT_ENCODER = Options().encoder
LOADING = "The videos are being loaded."


@dataclass(frozen=True)
class Evidence:
    """The V embedded videos of a dataset of C classes, and how texts are compared with them.

    Attributes:
        run: id of the run whose settings are used; None: the settings of a plain `recognize eval`.
        root: folder or manifest of the videos.
        settings: every choice of that evaluation.
        protocol: how texts are worded.
        encoder: open; a thread that uses it must hold `lock`.
        texts: encodes texts; a thread that uses it must hold `lock` too.
        video_list: the listed videos, embedded or not.
        features: of the V videos that are in the feature store.
        batch: their views, pooled as in the evaluation.
        left_out: reason -> number of listed videos that are not among the V.
        advice: the command that embeds those that are not in the store; empty if there are none.
        is_benchmark: whether the videos are a published test set, on which texts must not be selected.
    """

    dataset: Dataset
    run: int | None
    root: Path
    settings: Settings
    protocol: Protocol
    encoder: CachingEncoder
    texts: TextMemory
    video_list: VideoList
    features: Features
    batch: VideoBatch
    left_out: Mapping[str, int]
    advice: str
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def is_benchmark(self) -> bool:
        return self.dataset.stored_as in vocabulary.BUILT_IN

    @cached_property
    def groups(self) -> list[str]:
        """The source that each of the V videos was cut from; see `clip_groups`."""
        return clip_groups(video.id for video in self.features.videos)

    @cached_property
    def labels(self) -> Tensor:
        """The true labels of the V videos, int64 [V]; only if each video has one label."""
        return self.features.labels

    @cached_property
    def members(self) -> list[list[int]]:
        """The videos of each of the C classes, as numbers in `features.videos`."""
        members: list[list[int]] = [[] for _ in self.dataset.actions]
        for row, video in enumerate(self.features.videos):
            for label in video.classes:
                members[label].append(row)
        return members

    @cached_property
    def names(self) -> list[str]:
        """The names of the V videos to show to others, without folders of this machine."""
        ids = [video.id for video in self.features.videos]
        names = public_names(ids)
        return [names[id_] for id_ in ids]

    @cached_property
    def paths(self) -> dict[str, Path]:
        """The files or folders of the V videos, by id."""
        return {video.id: video.path for video in self.features.videos if video.path}

    def choose(self, descriptors: Sequence[Descriptor], *, partial: bool = False) -> list[Descriptor]:
        """Return the descriptors that an evaluation would use.

        Args:
            descriptors: the texts in use, whatever their status, such as those of a review's snapshot.
            partial: whether to keep classes that lack texts, where an evaluation would refuse.

        Raises:
            UserError: as in `choose_among`.
        """
        choice = self.settings.with_texts_used().choice
        if choice.texts:
            raise UserError(
                f"The texts of run {self.run} are those of {choice.texts}, not those that are reviewed here"
            )
        return choose_among(self.dataset, descriptors, replace(choice, partial=choice.partial or partial))

    def ensemble(self, descriptors: Sequence[Descriptor]) -> Ensemble:
        """Return the labels and some descriptors as vectors; only strings that are new are encoded."""
        with self.lock:
            self.texts.learn(strings_of(self.dataset, descriptors, self.protocol))
            return build_ensemble(self.dataset, descriptors, self.texts, self.protocol)


@contextmanager
def load_evidence(
    store: Store, dataset: Dataset, *, videos: Path | None, encoder: str | None, features: Path
) -> Iterator[Evidence | None]:
    """Load what is in the feature store about the videos of a dataset; no video is decoded.

    The encoder is closed after the block.

    Args:
        store: has the runs.
        dataset: C classes.
        videos: folder or manifest of its videos, to be evaluated with the settings of a plain `recognize eval`; None:
            the videos and the settings of the newest run of the dataset.
        encoder: the encoder of the plain `eval`, or of the run to take; None: the default one, or that of any run.
        features: folder of the feature store.

    Yields:
        None: no folder is given, and there is no run.

    Raises:
        UserError: the videos or the encoder are not there any more, or no video is in the feature store.
    """
    if videos is None:
        run = _newest(store.runs(dataset.name), encoder)
        if run is None:
            yield None
            return
        settings, protocol, number = settings_of(run), wording_of(run, settings_of(run)), run.id
    else:
        settings = replace(Options(encoder=encoder or DEFAULT_ENCODER).settings, root=str(videos.resolve()))
        protocol, number = settings.wording(), None
    with open_caching_encoder(settings.encoder, features, precision=settings.precision) as opened:
        yield _of_stored(dataset, settings, protocol, opened, run=number)


def _newest(runs: Sequence[Run], encoder: str | None) -> Run | None:
    """Return the newest run, or the newest one with `encoder`.

    Raises:
        UserError: there are runs, but none with that encoder.
    """
    fitting = [run for run in runs if encoder in (None, run.settings["encoder"])]
    if encoder and not fitting:
        known = ", ".join(sorted({run.settings["encoder"] for run in runs})) or "none"
        raise UserError(f"No run with the encoder {encoder} (runs have: {known}). Name the videos too: --videos ROOT")
    return fitting[-1] if fitting else None


def _of_stored(
    dataset: Dataset, settings: Settings, protocol: Protocol, encoder: CachingEncoder, *, run: int | None
) -> Evidence:
    if settings.root is None:
        raise UserError(f"Run {run} does not say where its videos are. Name them: --videos ROOT")
    settings.check_for(encoder)
    root = Path(settings.root)
    video_list = find_videos(dataset, root, split=settings.split)
    present = videos_on_disk(dataset, video_list, settings.limit)
    features, absent = stored_videos(present, encoder, sampling=settings.sampling)
    advice = embed_command(dataset, root, settings) if absent else ""
    if not features.videos:
        raise UserError(
            f"None of the {len(present)} videos is in the feature store, or can be read. "
            f"Embed them: {advice or embed_command(dataset, root, settings)}"
        )
    return Evidence(
        dataset, run, root, settings, protocol, encoder, TextMemory(encoder), video_list, features,
        pooled(features, settings=settings), _left_out(video_list, present, features, absent), advice,
    )  # fmt: skip


def _left_out(
    video_list: VideoList, present: Sequence[Video], features: Features, absent: Sequence[Video]
) -> dict[str, int]:
    missing = len(video_list.missing)
    counts = {
        "not embedded yet": len(absent),
        "unreadable": len(features.unreadable),
        "not on disk": missing,
        "beyond the limit of the run": len(video_list.videos) - missing - len(present),
    }
    return {reason: count for reason, count in counts.items() if count}


def embed_command(dataset: Dataset, root: Path, settings: Settings) -> str:
    """Return the command that embeds the videos of an evaluation."""
    plain = Settings()
    words = ["recognize", "embed", "--dataset", dataset.argument, "--encoder", shlex.quote(settings.encoder)]
    for name in ("precision", "protocol", "frames", "clips", "crops", "split", "limit"):
        if (value := getattr(settings, name)) != getattr(plain, name):
            words += [f"--{name}", str(value)]
    words += ["--allow-truncated"] if settings.allow_truncated else []
    return " ".join([*words, "--root", shlex.quote(str(root))])  # last: pages cut folders off


class Videos:
    """The evidence of an application, loaded in a thread once a page has asked for it.

    Attributes:
        note: what pages say while there is no evidence: that it is loading, or why it cannot load; empty once it is
            loaded, and if there are no videos.
        is_closed: whether the server has stopped.
    """

    def __init__(
        self, load: Callable[[], AbstractContextManager[Evidence | None]], report: Callable[[str], None] = _log.error
    ) -> None:
        """`load` opens the evidence; `report` prints a fault in full, while pages leave folders out."""
        self.note, self.is_closed = LOADING, False
        self._load, self._report = load, report
        self._stack = ExitStack()
        self._evidence: Evidence | None = None
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def evidence(self) -> Evidence | None:
        """The evidence; None while it is loading, and if there are no videos."""
        return self._evidence

    @property
    def is_loading(self) -> bool:
        return not self._done.is_set()

    def start(self) -> None:
        """Begin to load, unless loading has begun already."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()

    def wait(self, seconds: float) -> Evidence | None:
        """Begin to load; return the evidence once it is loaded, or None if it is not after some seconds."""
        self.start()
        self._done.wait(seconds)
        return self._evidence

    def close(self) -> None:
        """Close the encoder; a load that still runs ends with the process."""
        self.is_closed = True
        if self._done.is_set():
            self._stack.close()

    def _run(self) -> None:
        try:
            self._evidence = self._stack.enter_context(self._load())
            if self._evidence and self._evidence.advice:
                left_out = self._evidence.left_out["not embedded yet"]
                self._report(f"{left_out} videos are not embedded yet. Embed them: {self._evidence.advice}")
            self.note = ""
        except UserError as error:
            self._fail(str(error))
        except Exception as error:  # whatever a model's library raises: the review goes on without videos
            self._fail(repr(error))
        finally:
            self._done.set()

    def _fail(self, reason: str) -> None:
        self._report(f"Videos are not shown: {reason}")
        self.note = f"Videos are not shown: {without_folders(reason)}"
