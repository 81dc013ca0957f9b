"""The job: descriptors and long videos in, segments out, measured where annotations are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from db.errors import UserError
from db.progress import ProgressBars, no_bars
from db.records import Dataset, Descriptor
from encoders.protocol import Encoder
from recognizer.evaluation.evaluate import package_versions, text_settings
from recognizer.evaluation.predict import ClassTexts, clips_below
from recognizer.evaluation.ranking import LABEL_ONLY, WITH_DESCRIPTORS
from recognizer.features.caching_encoder import StoredEncoder
from recognizer.features.long import long_video
from recognizer.localize.annotations import Annotated
from recognizer.localize.mean_ap import Annotation, Detection, Segment, evaluate_detection
from recognizer.localize.segments import Localized, localize
from recognizer.localize.settings import LocalizeSettings
from recognizer.localize.text_roles import Roles, build_roles
from recognizer.scoring.protocols import protocol_of
from recognizer.scoring.selection import descriptors_digest
from recognizer.video.frames import UnreadableVideo
from recognizer.video.long import LongVideo, declared_seconds


@dataclass(frozen=True)
class Query:
    """What is looked for, and how.

    Attributes:
        encoder: the name that `encoder` was opened by.
        protocol: see `protocol_of`.
        fps: frames a second that are looked at.
        settings: all choices between embeddings and segments.
    """

    encoder: str
    protocol: str = "default"
    fps: float = 4.0
    settings: LocalizeSettings = field(default_factory=LocalizeSettings)


@dataclass(frozen=True)
class Timeline:
    """All that is known of one video, to draw: see `draw_timeline`.

    Attributes:
        video: its embeddings.
        rows: what was found, by the labels alone and, where there are descriptors, with them.
        annotations: what people saw; None where the video is not annotated.
    """

    video: LongVideo
    rows: Mapping[str, Localized]
    annotations: tuple[Annotation, ...] | None


@dataclass(frozen=True)
class VideoSegments:
    """What was found in one video.

    Attributes:
        video: the path, as given.
        annotated_as: its id in the annotations; None where it is not there, or none are given.
        seconds: the duration.
        segments: by row (label only, label + descriptors): best first.
        left_out: by row: what became of the stretches that are no segments, by reason.
        unreadable: why nothing could be looked for.
    """

    video: str
    annotated_as: str | None
    seconds: float = 0.0
    segments: Mapping[str, tuple[Segment, ...]] = field(default_factory=dict)
    left_out: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    unreadable: str | None = None


@dataclass(frozen=True)
class Localization:
    """What was found in all videos, with everything needed to repeat it.

    Attributes:
        dataset: gives the classes.
        settings: encoder, protocol, rate, texts, and all choices between embeddings and segments.
        videos: in the order given.
        counts: videos searched and unreadable; with annotations also those annotated, missing (annotated but not
            given) and not annotated.
        results: the measure by row; empty without annotations.
    """

    dataset: Dataset
    settings: Mapping[str, Any]
    videos: tuple[VideoSegments, ...]
    counts: Mapping[str, int]
    results: Mapping[str, Detection]

    @property
    def row(self) -> str:
        """The row to show: that with descriptors where there are any."""
        return WITH_DESCRIPTORS if self.settings["descriptors"] else LABEL_ONLY


def localize_videos(
    dataset: Dataset,
    paths: Sequence[Path],
    descriptors: Sequence[Descriptor],
    encoder: StoredEncoder,
    *,
    query: Query,
    annotated: Annotated | None = None,
    on_video: Callable[[Timeline], None] = lambda timeline: None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Localization:
    """Find the actions of a dataset in videos, by its labels alone and with its descriptors.

    Args:
        dataset: C classes.
        paths: video files.
        descriptors: of those classes; without any, the labels alone are used.
        encoder: opened by `query.encoder`.
        query: everything else.
        annotated: what people saw; videos that are not in it are searched and not measured.
        on_video: told of each video that was read, when it is done.
        on_progress: told (seconds of video done, seconds in all).

    Raises:
        UsageError: unknown protocol, or one class where classes are compared.
        UserError: there are annotations, and of the videos that could be read none is annotated.
    """
    protocol = protocol_of(query.protocol)
    roles = {LABEL_ONLY: build_roles(dataset, [], encoder, protocol)}
    if descriptors:
        roles[WITH_DESCRIPTORS] = build_roles(dataset, descriptors, encoder, protocol)
    clock = _Clock(paths, on_progress)
    videos = []
    for path in paths:
        id_ = annotated.id_of(path) if annotated else None
        try:
            video = long_video(path, encoder, fps=query.fps, preprocessing=protocol.preprocessing, on_progress=clock.at)
        except UnreadableVideo as reason:
            videos.append(VideoSegments(str(path), id_, unreadable=str(reason)))
        else:
            rows = {
                name: localize(video.frames, of, fps=query.fps, settings=query.settings) for name, of in roles.items()
            }
            videos.append(_segments(path, id_, video, rows))
            on_video(Timeline(video, rows, annotated.videos[id_] if annotated and id_ else None))
        clock.next()
    return Localization(
        dataset,
        _settings(query, dataset, encoder, descriptors, list(roles.values())[-1], annotated),
        tuple(videos),
        _counts(videos, annotated),
        _results(videos, annotated),
    )


def find_actions(
    texts: ClassTexts,
    paths: Sequence[Path],
    encoder: StoredEncoder,
    *,
    fps: float,
    settings: LocalizeSettings,
    annotated: Annotated | None = None,
    on_video: Callable[[Timeline], None] = lambda timeline: None,
    bars: ProgressBars = no_bars,
) -> Localization:
    """Find the actions of a dataset in video files and folders of them; arguments as in `localize_videos`."""
    query = Query(texts.settings.encoder, texts.settings.protocol, fps, settings)
    with bars(f"{texts.dataset.name}, {query.encoder}", "seconds of video") as advance:
        return localize_videos(
            texts.dataset, clips_below(paths), texts.descriptors, encoder,
            query=query, annotated=annotated, on_video=on_video, on_progress=advance,
        )  # fmt: skip


class _Clock:
    """Progress in seconds of video, by the durations that headers declare."""

    def __init__(self, paths: Sequence[Path], tell: Callable[[int, int], None]) -> None:
        self._declared = [declared_seconds(path) for path in paths]
        self._number = 0
        self._tell = tell

    def at(self, seconds: float) -> None:
        """Tell that so many seconds of the current video are done."""
        done = sum(self._declared[: self._number]) + min(seconds, self._declared[self._number])
        self._tell(int(done), int(sum(self._declared)))

    def next(self) -> None:
        """Go on to the next video."""
        self.at(self._declared[self._number])
        self._number += 1


def _segments(path: Path, id_: str | None, video: LongVideo, rows: Mapping[str, Localized]) -> VideoSegments:
    return VideoSegments(
        str(path),
        id_,
        video.seconds,
        segments={name: found.segments for name, found in rows.items()},
        left_out={name: found.left_out for name, found in rows.items()},
    )


def _counts(videos: Sequence[VideoSegments], annotated: Annotated | None) -> dict[str, int]:
    counts = {
        "searched": sum(video.unreadable is None for video in videos),
        "unreadable": sum(video.unreadable is not None for video in videos),
    }
    if annotated is None:
        return counts
    given = {video.annotated_as for video in videos} - {None}
    return {
        "annotated": len(annotated.videos),
        **counts,
        "missing": len(annotated.videos) - len(given),
        "not annotated": sum(video.annotated_as is None for video in videos),
    }


def _results(videos: Sequence[VideoSegments], annotated: Annotated | None) -> dict[str, Detection]:
    """Measure each row on the annotated videos that could be read."""
    if annotated is None:
        return {}
    searched = {video.annotated_as: video for video in videos if video.annotated_as and not video.unreadable}
    if not searched:
        raise UserError(f"None of the videos is annotated in {annotated.source}: they go by the names of their files")
    seen = {id_: annotated.videos[id_] for id_ in searched}
    rows = next(iter(searched.values())).segments
    return {
        row: evaluate_detection(seen, {id_: video.segments[row] for id_, video in searched.items()}) for row in rows
    }


def _settings(
    query: Query,
    dataset: Dataset,
    encoder: Encoder,
    descriptors: Sequence[Descriptor],
    roles: Roles,
    annotated: Annotated | None,
) -> dict[str, Any]:
    texts = text_settings(dataset, descriptors, encoder, protocol_of(query.protocol), cut=roles.cut)
    return {
        "encoder": query.encoder,
        "protocol": query.protocol,
        "fps": query.fps,
        **asdict(query.settings),
        "descriptors": len(descriptors),
        "descriptors_sha256": descriptors_digest(descriptors),
        **texts,
        "situation_texts_left_out": roles.left_out,
        "annotations": annotated.source if annotated else None,
        "versions": package_versions(),
    }
