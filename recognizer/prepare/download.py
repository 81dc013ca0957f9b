"""Fetch a file over HTTP: goes on where it broke off, tries the next address, checks size and digest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from db.errors import UserError
from db.progress import Progress
from recognizer.prepare.addresses import Address

_CHUNK = 1 << 20
_SECONDS = 60  # that a server may be silent
_MEGABYTE = 1_000_000


class _Unfetched(Exception):  # noqa: N818 (one address failed; the next may do)
    pass


def fetch(
    addresses: Sequence[Address],
    path: Path,
    *,
    size: int | None = None,
    on_progress: Progress = lambda done, total: None,
) -> None:
    """Fetch a file from the first address that gives it whole; a file that is there is only checked.

    What came of a file so far lies beside it, in a file of its own for each address, and is gone on with.

    Args:
        addresses: where it is, with the digest that it has there.
        path: what to write, in one step at the end.
        size: in bytes, where it is known.
        on_progress: told (megabytes here, megabytes in all).

    Raises:
        UserError: no address gives it, or what is there is not what it should be.
    """
    if path.exists():
        _verify(path, path, size, _known_digest(addresses))
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    for address in addresses:
        part = path.with_name(f"{path.name}.{hashlib.sha256(address.url.encode()).hexdigest()[:8]}.part")
        try:
            _fetch(address.url, part, on_progress)
        except _Unfetched as reason:
            reasons.append(f"  {address.url}: {reason}")
            continue
        _verify(part, path, size, address.sha256)
        part.replace(path)
        return
    said = "\n".join(reasons)
    raise UserError(f"{path.name} could not be fetched:\n{said}\nRun it again to go on, or put the file at {path}")


def _known_digest(addresses: Sequence[Address]) -> str | None:
    """Return the digest of a file that may be from any of the addresses: the one that all agree on."""
    digests = {address.sha256 for address in addresses}
    return digests.pop() if len(digests) == 1 else None


def _verify(file: Path, path: Path, size: int | None, sha256: str | None) -> None:
    """Refuse a file that is not the one that is known; `path` is what it will be."""
    here = file.stat().st_size
    if size is not None and here != size:
        raise UserError(f"{file} has {here} bytes; {path.name} is known to have {size}. Delete it and run this again")
    if sha256 is not None:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
        if found != sha256:
            raise UserError(
                f"{file} is damaged, or was published anew: its sha256 is {found}; {path.name} is known to have "
                f"{sha256}. Delete it and run this again"
            )


def _fetch(url: str, part: Path, on_progress: Progress) -> None:
    """Fetch all of a file; a connection that breaks is made again as long as it brings anything."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise _Unfetched("no address of http or https")
    best = _size(part)
    while True:
        try:
            if _go_on(url, part, on_progress):
                return
        except HTTPError as error:
            raise _Unfetched(f"the server answers {error.code} {error.reason}") from error
        except (HTTPException, OSError) as error:  # URLError is an OSError
            if _size(part) <= best:
                raise _Unfetched(str(getattr(error, "reason", error)) or type(error).__name__) from error
        if _size(part) <= best:
            raise _Unfetched(f"it ends after {_size(part)} bytes")
        best = _size(part)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _go_on(url: str, part: Path, on_progress: Progress) -> bool:
    """Fetch what is lacking; tell whether the file is whole then."""
    have = _size(part)
    headers = {"User-Agent": "recognize", "Accept-Encoding": "identity"}
    request = Request(url, headers=headers | ({"Range": f"bytes={have}-"} if have else {}))  # noqa: S310 - checked
    try:
        response = urlopen(request, timeout=_SECONDS)  # noqa: S310 - checked by the caller
    except HTTPError as error:
        if error.code == 416 and have:  # nothing lies beyond: it is whole, or another file by now
            if have == _total(error.headers.get("Content-Range")):
                return True
            part.unlink()
            return _go_on(url, part, on_progress)
        raise
    with response:
        if response.headers.get_content_type() == "text/html":
            raise _Unfetched("the server answers with a web page")
        goes_on = response.status == 206
        total = _total(response.headers.get("Content-Range")) if goes_on else _length(response)
        return _append(response, part, have if goes_on else 0, total, on_progress)


def _append(response: Any, part: Path, have: int, total: int | None, on_progress: Progress) -> bool:
    """Write what comes after the `have` bytes that are kept."""
    with part.open("r+b" if have else "wb") as file:
        file.seek(have)
        while chunk := response.read1(_CHUNK):
            have += file.write(chunk)
            on_progress(have // _MEGABYTE, (total or have) // _MEGABYTE)
    return total is None or have == total


def _total(content_range: str | None) -> int | None:
    """Return 200 of `bytes 100-199/200` and of `bytes */200`."""
    match = re.fullmatch(r"bytes .+/(\d+)", content_range or "")
    return int(match[1]) if match else None


def _length(response: Any) -> int | None:
    length = response.headers.get("Content-Length")
    return int(length) if length else None
