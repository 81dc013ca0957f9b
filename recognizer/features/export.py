"""Export the stored embeddings of videos for other programs: .safetensors, .parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
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
from recognizer.features.embed import embed_videos, videos_on_disk
from recognizer.video.sampling import Sampling

if TYPE_CHECKING:
    from torch import Tensor

Format = Literal["safetensors", "parquet"]
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


def check_export(file: Path, to: str) -> None:
    """Refuse an output before the work starts.

    Raises:
        UsageError: the format is unknown, or the file has another suffix or lies in no folder.
        UserError: the format needs a package that is not installed.
    """
    if to not in get_args(Format):
        raise UsageError(unknown("format", to, get_args(Format)))
    check_file(file, (f".{to}",))
    if to == "parquet":
        _pyarrow()


def export_features(
    dataset: Dataset,
    video_list: VideoList,
    encoder: CachingEncoder,
    file: Path,
    *,
    to: Format,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    limit: int | None = None,
    on_progress: Progress = lambda done, total: None,
) -> ExportReport:
    """Write the embeddings of the videos that are on disk to a file; those that are not stored are computed first.

    The file is there as a whole or not at all, and holds no absolute path. Arguments as in `embed_dataset`.

    Raises:
        UsageError: see `check_export`.
        UserError: no video is on disk or can be read, or the file cannot be written.
    """
    check_export(file, to)
    present = videos_on_disk(dataset, video_list, limit)
    features = embed_videos(present, encoder, sampling=sampling, on_progress=on_progress)
    if not features.videos:
        raise UserError(f"None of {len(present)} videos can be read; the first: {': '.join(features.unreadable[0])}")
    views = features.frames.reshape(len(features.videos), features.views, *features.frames.shape[1:])  # [V, W, T, D]
    names = public_names([video.id for video in features.videos])
    classes = {NO_CLASS: NONE_OF_THESE, **{action.label: action.name for action in dataset.actions}}
    facts = {
        "ids": [names[video.id] for video in features.videos],
        "labels": [";".join(classes[label] for label in video.labels or (video.label,)) for video in features.videos],
        "dataset": without_folders(dataset.name),
        "encoder": without_folders(encoder.id),
        "revision": encoder.revision,
        "what": "clips" if features.of_clips else "frames",
        "sampling": asdict(sampling),
        "precision": encoder.traits.precision,
        "versions": {package: version(package) for package in _PACKAGES},
    }
    _write(file, lambda part: _WRITERS[to](part, views, facts))
    missing = len(video_list.missing)
    videos, width_views, frames, width = views.shape
    return ExportReport(
        file=str(file),
        shape=(videos, width_views, frames, width),
        embedded=features.new,
        unreadable=features.unreadable,
        missing=missing,
        beyond_the_limit=len(video_list.videos) - missing - len(present),
    )


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


def _safetensors(file: Path, views: Tensor, facts: Mapping[str, Any]) -> None:
    from safetensors.torch import save_file

    save_file({FRAMES: views.contiguous()}, file, metadata=_texts(facts))


def _parquet(file: Path, views: Tensor, facts: Mapping[str, Any]) -> None:
    """Write one row a video: id, label, embedding (float32, the mean over views and frames, not of unit length)."""
    pyarrow = _pyarrow()
    means = views.mean(dim=(1, 2))  # [V, D]
    vectors = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(means.flatten().numpy()), means.shape[1])
    columns = {"id": pyarrow.array(facts["ids"]), "label": pyarrow.array(facts["labels"]), "embedding": vectors}
    metadata = {name: text for name, text in _texts(facts).items() if name not in ("ids", "labels")}
    pyarrow.parquet.write_table(pyarrow.table(columns, metadata=metadata), file)


_WRITERS: Mapping[Format, Callable[[Path, Tensor, Mapping[str, Any]], None]] = {
    "safetensors": _safetensors,
    "parquet": _parquet,
}


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise UserError("Parquet needs pyarrow. Run: pip install 'descgen-recognize[parquet]'") from error
    return pyarrow
