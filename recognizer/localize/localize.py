"""Find the actions of a dataset in long videos, and evaluate the segments against annotations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from db.errors import UsageError, UserError
from db.progress import Progress, ProgressBars, no_bars
from db.records import Dataset, Descriptor
from encoders.protocol import Encoder, Precision
from encoders.registry import label_templates
from recognizer.datasets.given import videos_at
from recognizer.evaluation.evaluate import package_versions, text_settings
from recognizer.evaluation.predict import ClassTexts
from recognizer.evaluation.ranking import LABEL_ONLY, WITH_DESCRIPTORS
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.features.long import load_long_video
from recognizer.localize.annotations import Annotations
from recognizer.localize.mean_ap import AnnotatedAction, DetectionMetrics, Segment, evaluate_detection
from recognizer.localize.segments import Segmentation, find_segments
from recognizer.localize.settings import LocalizeSettings
from recognizer.localize.text_roles import Roles, build_roles
from recognizer.scoring.protocols import Protocol, protocol_of
from recognizer.scoring.selection import descriptors_digest
from recognizer.video.frames import UnreadableVideo
from recognizer.video.long import LongVideo, declared_seconds
from recognizer.video.pool import Pool


@dataclass(frozen=True)
class Query:
    """The settings of a localization besides its videos and texts."""

    encoder: str  # its `--encoder` name
    protocol: str = "default"  # see `protocol_of`
    fps: float = 4.0  # embedded frames a second
    settings: LocalizeSettings = field(default_factory=LocalizeSettings)
    allow_truncated: bool = False  # see `embed_long_video`
    precision: Precision = "float32"  # of the encoder
    texts: str | None = None  # the text pack that the descriptors are of

    def wording(self) -> Protocol:
        """Return the protocol with the encoder's templates, if it names any."""
        return protocol_of(self.protocol, of_encoder=label_templates(self.encoder))


@dataclass(frozen=True)
class Timeline:
    """One video to draw: its embeddings, segments by row (see `VideoSegments`) and annotations."""

    video: LongVideo
    rows: Mapping[str, Segmentation]
    annotations: tuple[AnnotatedAction, ...] | None  # None: the video is not annotated


@dataclass(frozen=True)
class VideoSegments:
    """The segments of one video, by row: label only, label + descriptors."""

    video: str  # the path, as given
    annotated_as: str | None  # its id in the annotations; None: not annotated
    seconds: float = 0.0  # the duration
    segments: Mapping[str, tuple[Segment, ...]] = field(default_factory=dict)  # best first
    left_out: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # see `Segmentation`
    unreadable: str | None = None  # the reason
    truncated: str | None = None  # how much is there of a file that breaks off


@dataclass(frozen=True)
class Localization:
    """The segments of all videos, with everything needed to repeat it."""

    dataset: Dataset  # gives the classes
    settings: Mapping[str, Any]  # encoder, protocol, frame rate, texts, and `LocalizeSettings`
    videos: tuple[VideoSegments, ...]  # in the order given
    counts: Mapping[str, int]  # of videos: see `_counts`
    results: Mapping[str, DetectionMetrics]  # by row; empty without annotations

    @property
    def row(self) -> str:
        """The row to show: the one with descriptors, if there are any."""
        return WITH_DESCRIPTORS if self.settings["descriptors"] else LABEL_ONLY


def localize_videos(
    dataset: Dataset,
    paths: Sequence[Path],
    descriptors: Sequence[Descriptor],
    encoder: CachingEncoder,
    *,
    query: Query,
    annotations: Annotations | None = None,
    on_video: Callable[[Timeline], None] = lambda timeline: None,
    on_progress: Progress = lambda done, total: None,
) -> Localization:
    """Find the actions of a dataset in videos, by its labels alone and with its descriptors.

    Args:
        descriptors: if empty, the labels alone are used.
        encoder: opened by `query.encoder`.
        annotations: videos without annotations are searched but not evaluated.
        on_video: called with each readable video when it is done.
        on_progress: called with (seconds of video done, seconds in all).

    Raises:
        UsageError: unknown protocol, or there is only one class and the scale compares classes.
        UserError: annotations are given, and none of the readable videos is annotated.
    """
    encoder.refuse_clips("recognize localize scores single frames")
    protocol = query.wording()
    roles = {LABEL_ONLY: build_roles(dataset, [], encoder, protocol)}
    if descriptors:
        roles[WITH_DESCRIPTORS] = build_roles(dataset, descriptors, encoder, protocol)
    videos = []
    for path, video in _load_videos(paths, encoder, query, on_progress):
        id_ = annotations.id_of(path) if annotations else None
        if isinstance(video, UnreadableVideo):
            videos.append(VideoSegments(str(path), id_, unreadable=str(video)))
            continue
        rows = {
            name: find_segments(video.frames, texts, fps=query.fps, settings=query.settings)
            for name, texts in roles.items()
        }
        segments = {name: row.segments for name, row in rows.items()}
        left_out = {name: row.left_out for name, row in rows.items()}
        truncated = video.truncated or None
        videos.append(VideoSegments(str(path), id_, video.seconds, segments, left_out, truncated=truncated))
        on_video(Timeline(video, rows, annotations.videos[id_] if annotations and id_ else None))
    settings = _settings(query, dataset, encoder, descriptors, list(roles.values())[-1])
    settings["annotations"] = annotations.source if annotations else None
    return Localization(dataset, settings, tuple(videos), _counts(videos, annotations), _results(videos, annotations))


def find_actions(
    texts: ClassTexts,
    paths: Sequence[Path],
    encoder: CachingEncoder,
    *,
    fps: float,
    settings: LocalizeSettings,
    annotations: Annotations | None = None,
    on_video: Callable[[Timeline], None] = lambda timeline: None,
    bars: ProgressBars = no_bars,
) -> Localization:
    """Find the actions of a dataset in video files and folders of them; arguments as in `localize_videos`."""
    chosen = texts.settings
    if chosen.choice.names != "off":
        raise UsageError("recognize localize compares segments with labels as they are: leave names out")
    query = Query(
        chosen.encoder,
        chosen.protocol,
        fps,
        settings,
        allow_truncated=chosen.allow_truncated,
        precision=chosen.precision,
        texts=chosen.choice.texts,
    )
    with bars(f"{texts.dataset.name}, {query.encoder}", "seconds of video") as advance:
        return localize_videos(
            texts.dataset, videos_at(paths).paths, texts.descriptors, encoder,
            query=query, annotations=annotations, on_video=on_video, on_progress=advance,
        )  # fmt: skip


def _load_videos(
    paths: Sequence[Path], encoder: CachingEncoder, query: Query, on_progress: Progress
) -> Iterator[tuple[Path, LongVideo | UnreadableVideo]]:
    """Yield each video, or why it is unreadable; progress is in seconds of the durations that headers declare."""
    durations = _declared(paths, encoder)

    def advance(number: int, seconds: float) -> None:
        on_progress(int(sum(durations[:number]) + min(seconds, durations[number])), int(sum(durations)))

    load = partial(
        load_long_video, fps=query.fps, preprocessing=protocol_of(query.protocol).preprocessing,
        allow_truncated=query.allow_truncated,
    )  # fmt: skip
    for number, path in enumerate(paths):
        video: LongVideo | UnreadableVideo
        try:
            video = load(path, encoder, on_progress=partial(advance, number))
        except UnreadableVideo as reason:
            video = reason
        yield path, video
        advance(number, durations[number])


def _declared(paths: Sequence[Path], encoder: CachingEncoder) -> list[float]:
    """Return the duration in seconds that each header declares; 0.0 if it declares none or cannot be read."""

    def of(path: Path) -> float:
        with suppress(UnreadableVideo):
            return pool.call(declared_seconds, path.absolute(), size=path.stat().st_size if path.is_file() else 0)
        return 0.0

    with Pool(encoder.decoding) as pool:
        return [of(path) for path in paths]


def _counts(videos: Sequence[VideoSegments], annotations: Annotations | None) -> dict[str, int]:
    """Count videos searched and unreadable; with annotations also those annotated, not given, and not annotated."""
    unreadable = sum(video.unreadable is not None for video in videos)
    truncated = sum(video.truncated is not None for video in videos)
    counts = {"searched": len(videos) - unreadable, "truncated": truncated, "unreadable": unreadable}
    if annotations is None:
        return counts
    given = {video.annotated_as for video in videos if video.annotated_as is not None}
    return {
        "annotated": len(annotations.videos),
        **counts,
        "missing": len(annotations.videos) - len(given),
        "not annotated": sum(video.annotated_as is None for video in videos),
    }


def _results(videos: Sequence[VideoSegments], annotations: Annotations | None) -> dict[str, DetectionMetrics]:
    """Evaluate each row on the annotated videos that are readable."""
    if annotations is None:
        return {}
    searched = {video.annotated_as: video.segments for video in videos if video.annotated_as and not video.unreadable}
    if not searched:
        raise UserError(
            f"None of the videos is annotated in {annotations.source}: videos are matched by their file names"
        )
    actions = {id_: annotations.videos[id_] for id_ in searched}
    return {
        row: evaluate_detection(actions, {id_: segments[row] for id_, segments in searched.items()})
        for row in next(iter(searched.values()))
    }


def _settings(
    query: Query, dataset: Dataset, encoder: Encoder, descriptors: Sequence[Descriptor], roles: Roles
) -> dict[str, Any]:
    texts = text_settings(dataset, descriptors, encoder, query.wording(), cut=roles.cut)
    return {
        "encoder": query.encoder,
        "precision": query.precision,
        "protocol": query.protocol,
        "fps": query.fps,
        "allow_truncated": query.allow_truncated,
        **asdict(query.settings),
        "texts": query.texts,
        "descriptors": len(descriptors),
        "descriptors_sha256": descriptors_digest(descriptors),
        **texts,
        "situation_texts_left_out": roles.left_out,
        "versions": package_versions(),
    }
