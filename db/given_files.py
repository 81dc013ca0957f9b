"""Read files that come from elsewhere, up to a size: what is larger is refused before it fills the memory."""

from __future__ import annotations

from pathlib import Path

from db.errors import UserError

MOST_BYTES = 128 * 2**20
"""Of a file of descriptors or annotations; the largest published ones have some 30 MB."""


class TooLargeError(UserError):
    """A file is larger than allowed; `fault` continues a sentence that begins with the file's name."""

    def __init__(self, path: Path, at_most: int) -> None:
        self.fault = f"is larger than {_size(at_most)}, the most that is read"
        super().__init__(f"{path} {self.fault}. Split it into smaller files")


def _size(count: int) -> str:
    return f"{count // 2**20} MiB" if count >= 2**20 else f"{count // 2**10} KiB"


def read_bytes(path: Path, *, at_most: int = MOST_BYTES) -> bytes:
    """Return the content of a file.

    Raises:
        TooLargeError: it has more bytes than `at_most`.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(at_most + 1)  # not its size alone: a device or a pipe says 0
    if len(content) > at_most:
        raise TooLargeError(path, at_most)
    return content


def read_text(path: Path, *, at_most: int = MOST_BYTES, errors: str = "strict") -> str:
    """Return the text of a file in UTF-8, without its byte order mark, and with `\\n` at the end of each line.

    Raises:
        TooLargeError: it has more bytes than `at_most`.
        UnicodeDecodeError: it is not UTF-8.
        OSError: it cannot be read.
    """
    text = read_bytes(path, at_most=at_most).decode("utf-8-sig", errors)
    return text.replace("\r\n", "\n").replace("\r", "\n")
