"""Write a wheel that holds data: the same files give the same bytes, on any machine and at any time.

The format is that of https://packaging.python.org/en/latest/specifications/binary-distribution-format/. Nothing is
compressed: what a compressor writes depends on its version.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from db.errors import UserError

_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a ZIP archive can hold
_MODE = 0o644 << 16
_UNIX = 3  # the system whose file modes these are
_WHEEL = "Wheel-Version: 1.0\nGenerator: descgen pack\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def write_wheel(
    folder: Path, files: Mapping[str, bytes], *, name: str, version: str, metadata: str, entry_points: str
) -> Path:
    """Write a wheel and return its path.

    Args:
        folder: made if it is missing.
        files: by their paths in the folder of installed packages.
        name: of the distribution, with `_` for `-`.
        version: in normal form.
        metadata: the content of METADATA.
        entry_points: the content of entry_points.txt.

    Raises:
        UserError: it cannot be written, or a wheel of that name with other content is there.
    """
    info = f"{name}-{version}.dist-info"
    described = {"METADATA": metadata, "WHEEL": _WHEEL, "entry_points.txt": entry_points}
    every = {**files, **{f"{info}/{file}": text.encode() for file, text in described.items()}}
    record = "".join(f"{path},sha256={_digest(content)},{len(content)}\n" for path, content in every.items())
    content = _archive({**every, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()})
    path = folder / f"{name}-{version}-py3-none-any.whl"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.read_bytes() != content:
            raise UserError(f"{path} holds other texts or facts. Give the changed ones a new --version, or delete it")
        path.write_bytes(content)
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}") from error
    return path


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _archive(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path, content in files.items():
            member = zipfile.ZipInfo(path, _TIME)
            member.external_attr, member.create_system = _MODE, _UNIX
            archive.writestr(member, content)
    return buffer.getvalue()
