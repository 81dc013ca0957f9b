"""Read arrays of embeddings that other programs wrote, with the ids of their rows: .npy, and .safetensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db import strict_json
from db.errors import UsageError, UserError, first_few
from db.given_files import read_text
from encoders.checks import LONGEST, SHORTEST

FRAMES = "frames"  # the tensor that `recognize features export` writes
_TENSORS = (FRAMES, "embeddings")
_FLOATS = (np.float16, np.float32, np.float64)
_SCALE = ". float32 cannot compare such vectors rightly: multiply all by one number, such as 1 divided by a usual norm"


@dataclass(frozen=True)
class GivenArray:
    """The rows of a file.

    Attributes:
        vectors: float32, the shape of the file.
        ids: one for each row, all different.
        of_clips: whether the file says that a vector is of a whole clip.
    """

    vectors: NDArray[np.float32]
    ids: tuple[str, ...]
    of_clips: bool = False


def read_array(path: Path, *, ids: Path | None, ids_option: str) -> GivenArray:
    """Read a file of embeddings.

    Args:
        path: .npy, whose ids are in the file `ids`; or .safetensors, which may have them in its metadata.
        ids: a file with one id a line.
        ids_option: the option that gives it, for messages.

    Raises:
        UsageError: the suffix is unknown, or ids are given twice or not at all.
        UserError: the file is damaged, holds other things than numbers, its rows are not as many as its ids, an id
            stands twice, a vector is not finite, zero, or too long or too short for float32, or all vectors are equal.
    """
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        raise UsageError(f"{path.name} ends in {suffix or 'no suffix'}. Known: {', '.join(_READERS)}")
    values, metadata = _READERS[suffix](path)
    names = _ids(path, metadata, ids, ids_option)
    if values.ndim < 2 or len(values) != len(names):
        raise UserError(f"{path.name} has the shape {list(values.shape)}, and there are {len(names)} ids: one a row")
    _refuse_twice(path, names)
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is refused
        vectors = np.ascontiguousarray(values, np.float32)
    _check_vectors(path, vectors, names)
    return GivenArray(vectors, names, of_clips=metadata.get("what") == '"clips"')


def _npy(path: Path) -> tuple[NDArray[Any], dict[str, str]]:
    try:
        array = np.lib.format.open_memmap(path, mode="r")  # reads no pickled objects, and no .npz
    except (OSError, ValueError, EOFError, SyntaxError, MemoryError, OverflowError) as error:
        raise UserError(f"{path} cannot be read as an array of numbers in the format .npy: {error}") from error
    if array.dtype.newbyteorder("=") not in _FLOATS:
        raise UserError(f"{path.name} holds {array.dtype}. Save float32 (or float16, float64)")
    return array, {}


def _safetensors(path: Path) -> tuple[NDArray[Any], dict[str, str]]:
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in _TENSORS if name in file.keys()]  # noqa: SIM118 - not a mapping
            if len(names) != 1:
                raise UserError(f"{path.name} holds the tensors {first_few(sorted(file.keys()))}. Name one {_TENSORS}")
            tensor, metadata = file.get_tensor(names[0]), dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} cannot be read as .safetensors: {error}") from error
    if tensor.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        raise UserError(f"{path.name} holds {tensor.dtype}. Save float32 (or bfloat16, float16, float64)")
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy(), metadata


_READERS: Mapping[str, Callable[[Path], tuple[NDArray[Any], dict[str, str]]]] = {
    ".npy": _npy,
    ".safetensors": _safetensors,
}


def _ids(path: Path, metadata: Mapping[str, str], file: Path | None, option: str) -> tuple[str, ...]:
    if file and "ids" in metadata:
        raise UsageError(f"{path.name} has ids of its own. Leave {option} out")
    if file:
        return _lines(file)
    if "ids" not in metadata:
        raise UsageError(f"What are the rows of {path.name}? Give a file with one id a line: {option} FILE")
    try:
        ids = strict_json.loads(metadata["ids"])
    except ValueError as error:
        raise UserError(f"The ids in the metadata of {path.name} are no JSON: {error}") from error
    if not isinstance(ids, list) or not all(isinstance(name, str) for name in ids):
        raise UserError(f"The ids in the metadata of {path.name} are no JSON list of texts")
    return tuple(ids)


def _lines(file: Path) -> tuple[str, ...]:
    """Return the lines of a file as they are, spaces included; the last one need not end."""
    try:
        lines = read_text(file).split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read as text in UTF-8: {error}") from error
    return tuple(lines[:-1] if lines[-1] == "" else lines)


def _refuse_twice(path: Path, names: tuple[str, ...]) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(f"{len(twice)} ids of {path.name} stand there twice: {first_few(twice)}. Keep one of each")


def _check_vectors(path: Path, vectors: NDArray[np.float32], names: tuple[str, ...]) -> None:
    """Refuse vectors that carry nothing."""
    if not vectors.size:
        raise UserError(f"{path.name} has the shape {list(vectors.shape)}: it holds no vectors")
    rows = vectors.reshape(len(vectors), -1)
    for wrong, fault, advice in (
        (~np.isfinite(rows).all(axis=1), "a number that is not finite as float32", ""),
        (~vectors.any(axis=-1).reshape(len(vectors), -1).all(axis=1), "a vector that is zero", ""),
        (_beyond_norms(vectors), f"a vector whose norm is not from {SHORTEST:g} to {LONGEST:g}", _SCALE),
    ):
        if wrong.any():
            bad = [names[row] for row in np.flatnonzero(wrong)]
            raise UserError(f"{path.name} has {fault} for {len(bad)} of {len(names)} ids: {first_few(bad)}{advice}")
    if len(rows) > 1 and (rows == rows[0]).all():
        raise UserError(f"{path.name} has the same numbers for all {len(rows)} ids")


def _beyond_norms(vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return for each row whether it has a vector that float32 does not bring to unit norm without loss, [V]."""
    with np.errstate(over="ignore", invalid="ignore"):  # squares too large for float32 make the norm infinite
        norms = np.sqrt(np.einsum("...d,...d->...", vectors, vectors)).reshape(len(vectors), -1)
    wrong: NDArray[np.bool_] = ~((norms >= SHORTEST) & (norms <= LONGEST)).all(axis=1)
    return wrong
