"""Fetch a file over HTTP: resume, try the next address, check size and digest."""

from __future__ import annotations

import hashlib
import re
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from db.addresses import hide, public_address, secrets_in
from db.errors import UserError
from db.progress import Progress
from encoders.weights import sha256_of
from recognizer.datasets.records import Addresses

_CHUNK = 1 << 20
_TIMEOUT = 60  # seconds without an answer
_MEGABYTE = 1_000_000


class _AddressFailed(Exception):  # noqa: N818 (the next address may work)
    pass


def fetch(
    addresses: Addresses,
    path: Path,
    *,
    size: int | None = None,
    on_progress: Progress = lambda done, total: None,
) -> None:
    """Fetch a file from the first address that serves all of it; an existing file is only checked.

    A file of another size is given up as soon as that shows, and leaves nothing behind. An incomplete download is kept
    beside it, one for each address, and resumed.

    Args:
        addresses: its URLs, each with the sha256 of the file there.
        path: the file to write; it appears when it is complete.
        size: in bytes, if it is known.
        on_progress: called with (megabytes done, megabytes in all).

    Raises:
        UserError: no address gives it, or its size or digest are wrong.
    """
    if path.exists():
        _verify(path, path, size, common_digest(addresses))  # it may be from any address
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    for url, sha256 in addresses.items():
        part = path.with_name(f"{path.name}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part")
        try:
            _fetch(url, part, size, on_progress)
        except _AddressFailed as reason:
            reasons.append(f"  {public_address(url)}: {hide(str(reason), secrets_in(url))}\n")
            continue
        _verify(part, path, size, sha256)
        part.replace(path)
        return
    raise UserError(
        f"{path.name} could not be fetched:\n{''.join(reasons)}Run it again to resume, or put the file at {path}"
    )


def common_digest(addresses: Addresses) -> str | None:
    """Return the digest that is the same at all addresses, if there is one."""
    digests = set(addresses.values())
    return digests.pop() if len(digests) == 1 else None


def _verify(file: Path, path: Path, size: int | None, sha256: str | None) -> None:
    """Refuse a file of another size or digest; `path` is its final name."""
    actual = file.stat().st_size
    if size is not None and actual != size:
        raise UserError(f"{file} has {actual} bytes; {path.name} is known to have {size}. Delete it and run this again")
    if sha256 is not None and (digest := sha256_of(file)) != sha256:
        raise UserError(
            f"{file} is damaged, or was published again: its sha256 is {digest}; {path.name} is known to have "
            f"{sha256}. Delete it and run this again"
        )


def _fetch(url: str, part: Path, size: int | None, on_progress: Progress) -> None:
    """Fetch a whole file; reconnect as long as every connection brings some of it."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise _AddressFailed("the address is not http or https")
    while True:
        before, cause = _size(part), None
        try:
            if _resume(url, part, size, on_progress):
                return
            reason = f"it ends after {_size(part)} bytes"
        except HTTPError as error:
            raise _AddressFailed(f"the server answers {error.code} {error.reason}") from error
        except (HTTPException, OSError) as error:  # URLError is an OSError
            reason, cause = str(getattr(error, "reason", error)) or type(error).__name__, error
        if _size(part) <= before:
            raise _AddressFailed(reason) from cause


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _resume(url: str, part: Path, size: int | None, on_progress: Progress) -> bool:
    """Fetch the rest of a file over one connection; return whether it is complete."""
    done = _size(part)
    headers = {"User-Agent": "recognize", "Accept-Encoding": "identity"}
    request = Request(url, headers=headers | ({"Range": f"bytes={done}-"} if done else {}))  # noqa: S310 - checked
    try:
        response = urlopen(request, timeout=_TIMEOUT)  # noqa: S310 - checked by the caller
    except HTTPError as error:
        if error.code != 416 or not done:
            raise
        if done == _total(error.headers.get("Content-Range")):  # there is no more: it is complete
            return True
        part.unlink()  # the file on the server has changed
        return _resume(url, part, size, on_progress)
    with response:
        if response.headers.get_content_type() == "text/html":
            raise _AddressFailed("the server answers with a web page")
        resumed = response.status == 206
        length = response.headers.get("Content-Length")
        total = _total(response.headers.get("Content-Range")) if resumed else _number(length)
        if size is not None and total is not None and total != size:
            raise _AddressFailed(f"the file there has {total} bytes; {_name(part)} is known to have {size}")
        return _append(response, part, done if resumed else 0, total, size, on_progress)


def _append(response: Any, part: Path, done: int, total: int | None, size: int | None, on_progress: Progress) -> bool:
    """Write the response after the first `done` bytes; return whether the file now has `total` bytes."""
    most = size if total is None else total
    with part.open("r+b" if done else "wb") as file:
        file.seek(done)
        while (most is None or done <= most) and (chunk := response.read1(_CHUNK)):
            done += file.write(chunk)
            on_progress(done // _MEGABYTE, (total or done) // _MEGABYTE)
    if most is not None and done > most:
        part.unlink()
        raise _AddressFailed(f"it sends more than {most} bytes, which {_name(part)} has")
    return total is None or done == total


def _number(length: str | None) -> int | None:
    return int(length) if length and length.isdecimal() and len(length) < 20 else None


def _name(part: Path) -> str:
    return part.name.rsplit(".", 2)[0]


def _total(content_range: str | None) -> int | None:
    """Return 200 for `bytes 100-199/200` and for `bytes */200`."""
    match = re.fullmatch(r"bytes .+/(\d+)", content_range or "")
    return int(match[1]) if match else None
