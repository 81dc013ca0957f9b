"""Parquet in the layout of a Hugging Face dataset: a folder with a data file and a card. Needs pyarrow, an extra."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from db import strict_json
from db.errors import UserError
from db.records import Dataset
from descriptor_gen.exchange.documents import ShapeError, dataset_document, read_dataset

_DATA = Path("data") / "train-00000-of-00001.parquet"
_MOST_ROWS = 2_000_000
_MOST_UNPACKED = 2**30  # bytes
_AT_A_TIME = 1000  # rows
_INTEGER_COLUMNS = ("label", "position")
_CLASSES = b"descgen"  # key of the dataset in the metadata of the file


def data_file(path: Path) -> Path:
    """Return the data file of an exported folder; any other path unchanged."""
    return path / _DATA if path.is_dir() else path


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise UserError("Parquet needs pyarrow. Run: pip install 'descgen-recognize[parquet]'") from error
    return pyarrow


def write(folder: Path, rows: Sequence[Mapping[str, Any]], *, dataset: Dataset, card: str) -> None:
    """Write the folder.

    Raises:
        UserError: pyarrow is not installed, or the folder holds other files.
    """
    pyarrow = _pyarrow()
    if folder.exists() and not (folder / _DATA).is_file() and any(folder.iterdir()):
        raise UserError(f"{folder} holds other files. Give --output a new folder")
    types = {name: pyarrow.int64() if name in _INTEGER_COLUMNS else pyarrow.string() for name in rows[0]}
    classes = json.dumps(dataset_document(dataset), ensure_ascii=False).encode()
    schema = pyarrow.schema(list(types.items()), metadata={_CLASSES: classes})
    (folder / _DATA).parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema=schema), folder / _DATA)
    (folder / "README.md").write_text(card, encoding="utf-8")


def read(data: bytes) -> tuple[list[dict[str, Any]], Dataset | None]:
    """Return the rows of a data file, and the dataset if the file lists its classes.

    Raises:
        UserError: pyarrow is not installed.
        ShapeError: it is not Parquet.
    """
    pyarrow = _pyarrow()
    try:
        file = pyarrow.parquet.ParquetFile(io.BytesIO(data))
        _refuse_bomb(file.metadata)
        rows = [row for batch in file.iter_batches(batch_size=_AT_A_TIME) for row in batch.to_pylist()]
        classes = (file.schema_arrow.metadata or {}).get(_CLASSES)
        document = strict_json.loads(classes.decode()) if classes else None
    except (pyarrow.ArrowException, OSError, ValueError, MemoryError) as error:
        raise ShapeError(f"is not Parquet: {str(error).partition(chr(10))[0]:.200}") from error
    return rows, read_dataset(document) if document else None


def _refuse_bomb(metadata: Any) -> None:
    """Refuse a file whose own account of it is too large, before anything is unpacked."""
    unpacked = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
    if metadata.num_rows > _MOST_ROWS or unpacked > _MOST_UNPACKED:
        raise ShapeError(
            f"has {metadata.num_rows} rows and {unpacked} bytes when unpacked; {_MOST_ROWS} and {_MOST_UNPACKED} are "
            "the most that is read. Split it into smaller files"
        )
