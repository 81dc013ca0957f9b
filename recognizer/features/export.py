"""Export the stored embeddings of videos for other programs: .safetensors, .parquet, and .json for FiftyOne."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from db.errors import UsageError, UserError, unknown
from db.local_paths import public_names, without_folders
from db.outputs import check_file
from db.progress import Progress
from db.records import Dataset
from recognizer.datasets.find import VideoList
from recognizer.datasets.records import NO_CLASS, NONE_OF_THESE
from recognizer.features.arrays import FRAMES
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.features.embed import Features, embed_videos, videos_on_disk
from recognizer.features.fiftyone import Media, document, find_media
from recognizer.video.sampling import Sampling

if TYPE_CHECKING:
    from torch import Tensor

Format = Literal["safetensors", "parquet", "fiftyone"]
_SUFFIXES: Mapping[str, str] = {"safetensors": ".safetensors", "parquet": ".parquet", "fiftyone": ".json"}
_PACKAGES = ("descgen-recognize", "torch")


@dataclass(frozen=True)
class ExportReport:
    """What was written."""

    file: str
    shape: tuple[int, int, int, int]  # V, W, T, D, before any mean
    embedded: int  # videos that were not stored before
    unreadable: tuple[tuple[str, str], ...]  # (video id, reason): they are not in the file
    missing: int  # listed, but not on disk: not in the file
    beyond_the_limit: int
    rel_dir: str | None = None  # for FiftyOne: the folder in which the paths in the file begin


@dataclass(frozen=True)
class _Content:
    """What a format may write, of V videos."""

    views: Tensor  # [V, W, T, D]
    ids: list[str]
    classes: list[list[str]]  # names of the classes of each video
    multi_label: bool
    facts: Mapping[str, Any]  # about all of them
    media: Media | None = None  # for FiftyOne

    @property
    def labels(self) -> list[str]:
        """The class of each video; several with semicolons between."""
        return [";".join(names) for names in self.classes]

    @property
    def means(self) -> Tensor:
        """The mean over views and frames, not of unit length: float32 [V, D]."""
        return self.views.mean(dim=(1, 2))


def check_export(file: Path, to: str) -> None:
    """Refuse an output before the work starts.

    Raises:
        UsageError: the format is unknown, or the file has another suffix or lies in no folder.
        UserError: the format needs a package that is not installed.
    """
    if to not in get_args(Format):
        raise UsageError(unknown("format", to, get_args(Format)))
    check_file(file, (_SUFFIXES[to],))
    if to == "parquet":
        _pyarrow()


def export_features(
    dataset: Dataset,
    video_list: VideoList,
    encoder: CachingEncoder,
    file: Path,
    *,
    to: Format,
    root: Path,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    limit: int | None = None,
    on_progress: Progress = lambda done, total: None,
) -> ExportReport:
    """Write the embeddings of the videos that are on disk to a file; those that are not stored are computed first.

    The file is there as a whole or not at all, and holds no absolute path. `root` is the folder of the videos, or
    their .csv file. The other arguments are as in `embed_dataset`.

    Raises:
        UsageError: see `check_export`.
        UserError: no video is on disk or can be read, the file cannot be written, or see `find_media`.
    """
    check_export(file, to)
    present = videos_on_disk(dataset, video_list, limit)
    features = embed_videos(present, encoder, sampling=sampling, on_progress=on_progress)
    if not features.videos:
        raise UserError(f"None of {len(present)} videos can be read; the first: {': '.join(features.unreadable[0])}")
    facts = _facts(dataset, encoder, sampling, of_clips=features.of_clips)
    content = _content(dataset, features, facts, multi_label=video_list.multi_label)
    if to == "fiftyone":
        content = replace(content, media=find_media(features.videos, root))
    _write(file, lambda part: _WRITERS[to](part, content))
    missing = len(video_list.missing)
    videos, views, frames, width = content.views.shape
    return ExportReport(
        file=str(file),
        shape=(videos, views, frames, width),
        embedded=features.new,
        unreadable=features.unreadable,
        missing=missing,
        beyond_the_limit=len(video_list.videos) - missing - len(present),
        rel_dir=str(content.media.folder) if content.media else None,
    )


def _content(dataset: Dataset, features: Features, facts: Mapping[str, Any], *, multi_label: bool) -> _Content:
    names = public_names([video.id for video in features.videos])
    classes = {NO_CLASS: NONE_OF_THESE, **{action.label: action.name for action in dataset.actions}}
    return _Content(
        views=features.frames.reshape(len(features.videos), features.views, *features.frames.shape[1:]),
        ids=[names[video.id] for video in features.videos],
        classes=[[classes[label] for label in video.labels or (video.label,)] for video in features.videos],
        multi_label=multi_label,
        facts=facts,
    )


def _facts(dataset: Dataset, encoder: CachingEncoder, sampling: Sampling, *, of_clips: bool) -> dict[str, Any]:
    return {
        "dataset": without_folders(dataset.name),
        "encoder": without_folders(encoder.id),
        "revision": encoder.revision,
        "what": "clips" if of_clips else "frames",
        "sampling": asdict(sampling),
        "precision": encoder.traits.precision,
        "versions": {package: version(package) for package in _PACKAGES},
    }


def _write(file: Path, write: Callable[[Path], None]) -> None:
    part = file.with_name(f".{file.name}.part")
    try:
        write(part)
        part.replace(file)
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def _texts(facts: Mapping[str, Any]) -> dict[str, str]:
    return {name: json.dumps(value, ensure_ascii=False) for name, value in facts.items()}


def _safetensors(file: Path, content: _Content) -> None:
    from safetensors.torch import save_file

    metadata = _texts({"ids": content.ids, "labels": content.labels, **content.facts})
    save_file({FRAMES: content.views.contiguous()}, file, metadata=metadata)


def _parquet(file: Path, content: _Content) -> None:
    """Write one row a video: id, label, embedding."""
    pyarrow, means = _pyarrow(), content.means
    vectors = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(means.flatten().numpy()), means.shape[1])
    columns = {"id": pyarrow.array(content.ids), "label": pyarrow.array(content.labels), "embedding": vectors}
    pyarrow.parquet.write_table(pyarrow.table(columns, metadata=_texts(content.facts)), file)


def _fiftyone(file: Path, content: _Content) -> None:
    """Write one sample a video: filepath, video (its id), ground_truth, embedding."""
    assert content.media  # noqa: S101 - it is found for this format
    written = document(
        content.means.numpy(), content.media, content.ids, content.classes,
        info=content.facts, multi_label=content.multi_label,
    )  # fmt: skip
    file.write_text(json.dumps(written), encoding="utf-8")


_WRITERS: Mapping[Format, Callable[[Path, _Content], None]] = {
    "safetensors": _safetensors,
    "parquet": _parquet,
    "fiftyone": _fiftyone,
}


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise UserError("Parquet needs pyarrow. Run: pip install 'descgen-recognize[parquet]'") from error
    return pyarrow
