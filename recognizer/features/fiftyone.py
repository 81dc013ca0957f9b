"""What FiftyOne reads with `Dataset.from_json`: a JSON text that needs neither its package nor its database to write.

The format is that of `SampleCollection.to_dict` in fiftyone/core/collections.py, read by `Dataset.from_dict` in
fiftyone/core/dataset.py (1.22.1). Fields are declared in `sample_fields`, by the names of their classes.
"""

from __future__ import annotations

import base64
import io
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from db.errors import UserError
from recognizer.datasets.records import Video
from recognizer.video.frames import frame_indices, image_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LABEL = "fiftyone.core.fields.EmbeddedDocumentField(fiftyone.core.labels.{})"


@dataclass(frozen=True)
class Media:
    """The files that FiftyOne shows, one for each video."""

    kind: Literal["video", "image"]
    folder: Path  # absolute: what `paths` begin in
    paths: tuple[str, ...]  # from `folder`, with "/"


def find_media(videos: Sequence[Video], root: Path) -> Media:
    """Return the file of each video; of a folder of images its middle one, for FiftyOne shows no folders.

    Args:
        videos: on disk: `path` is set.
        root: the folder of the videos, or their .csv file. The paths begin in its folder if all videos are there,
            else in the deepest folder that holds them all.

    Raises:
        UserError: some videos are files and some are folders of images.
    """
    paths = [video.path for video in videos if video.path]
    folders = sum(path.is_dir() for path in paths)
    if folders not in (0, len(paths)):
        raise UserError(
            f"{folders} of {len(paths)} videos are folders of images and the others files; a dataset of FiftyOne holds "
            "one or the other. Export each kind by a .csv file of its own, with the columns path and label"
        )
    files = [(_middle_image(path) if folders else path).absolute() for path in paths]
    top = (root if root.is_dir() else root.parent).absolute()
    if not all(file.is_relative_to(top) for file in files):
        top = Path(os.path.commonpath([file.parent for file in files]))
    return Media("image" if folders else "video", top, tuple(file.relative_to(top).as_posix() for file in files))


def _middle_image(folder: Path) -> Path:
    names = image_names(folder)
    return folder / names[frame_indices(len(names), 1)[0]]


def document(
    vectors: NDArray[np.float32],
    media: Media,
    ids: Sequence[str],
    classes: Sequence[Sequence[str]],
    *,
    info: Mapping[str, Any],
    multi_label: bool,
) -> dict[str, Any]:
    """Return the dataset as a JSON object.

    Args:
        vectors: [V, D].
        media: of V videos.
        ids: of V videos: their field `video`.
        classes: the names of the classes of each of V videos; one for each if not `multi_label`.
        info: about the whole dataset; `dataset` names it.
        multi_label: whether the field `ground_truth` is a list of labels.
    """
    samples = [
        {
            "filepath": path,
            "_media_type": media.kind,  # else FiftyOne guesses it from the suffix, and refuses those it does not know
            "video": video,
            "ground_truth": _several(names) if multi_label else _label(names[0]),
            "embedding": _binary(vector),
        }
        for path, video, names, vector in zip(media.paths, ids, classes, vectors, strict=True)
    ]
    fields = {
        "video": "fiftyone.core.fields.StringField",
        "ground_truth": _LABEL.format("Classifications" if multi_label else "Classification"),
        "embedding": "fiftyone.core.fields.VectorField",
    }
    return {
        "name": info["dataset"], "media_type": media.kind, "sample_fields": fields, "info": info, "samples": samples,
    }  # fmt: skip


def _label(name: str) -> dict[str, Any]:
    return {"_cls": "Classification", "label": name}


def _several(names: Sequence[str]) -> dict[str, Any]:
    return {"_cls": "Classifications", "classifications": [_label(name) for name in names]}


def _binary(vector: NDArray[np.float32]) -> dict[str, Any]:
    """Return an array as `serialize_numpy_array` in fiftyone/core/utils.py and MongoDB's extended JSON write it."""
    file = io.BytesIO()
    np.save(file, vector, allow_pickle=False)
    return {"$binary": {"base64": base64.b64encode(zlib.compress(file.getvalue())).decode(), "subType": "00"}}
