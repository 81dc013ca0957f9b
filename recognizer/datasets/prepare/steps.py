"""The steps from a download to a folder that an evaluation reads; each can be run, or printed as shell commands."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from pathlib import Path
from urllib.parse import quote, urlsplit

from db.errors import UserError
from db.progress import Progress
from db.records import Dataset
from recognizer.datasets.prepare.archives import unpack, unpack_command, unpack_nested
from recognizer.datasets.prepare.download import common_digest, fetch
from recognizer.datasets.prepare.extract_frames import extract
from recognizer.datasets.records import Download
from recognizer.video.pool import Decoding

_CURL = "curl --fail --location --continue-at -"
_ADDRESS = "%:/?#[]@!$&'()*+,;=~"  # characters of an address that stay as they are


class Step(ABC):
    """One step of the preparation."""

    about: str
    unit: str  # of its progress bar
    done: bool = False  # nothing left to do
    needs_rar: bool = False

    @abstractmethod
    def commands(self) -> list[str]:
        """Return the commands of a POSIX shell."""

    @abstractmethod
    def run(self, on_progress: Progress) -> str | None:
        """Do the step; return a text to report, if any."""


class Fetch(Step):
    """Fetch a file and check it."""

    unit = "MB"

    def __init__(self, file: Download, root: Path, mirror: str | None) -> None:
        self.path, self.size, self.addresses = root / file.to, file.size, file.addresses
        if mirror:
            self.addresses = {_below(mirror, file.to): common_digest(file.addresses)}
        can_check = file.size or any(self.addresses.values())  # then an existing file still has to be checked
        self.done = _mark(self.path).exists() or (self.path.exists() and not can_check)
        self.about = f"fetch {self.path.name}"

    def commands(self) -> list[str]:
        [url, sha256], *_ = self.addresses.items()
        curl = f"{_CURL} --create-dirs --output {shlex.join([str(self.path), url])}"
        return [curl, *([f"echo {shlex.quote(f'{sha256}  {self.path}')} | sha256sum --check"] if sha256 else [])]

    def run(self, on_progress: Progress) -> None:
        fetch(self.addresses, self.path, size=self.size, on_progress=on_progress)


class Unpack(Step):
    """Unpack an archive; an empty file beside it then marks it as unpacked."""

    title, unit = "unpack {}", "files"

    def __init__(self, file: Download, root: Path, mirror: str | None) -> None:
        self.archive, self.into, self.mirror = root / file.to, root / file.into, mirror
        self.about = self.title.format(self.archive.name)
        self.done = _mark(self.archive).exists()
        self.needs_rar = self.archive.suffix == ".rar"

    def commands(self) -> list[str]:
        return [_mkdir(self.into), unpack_command(self.archive, self.into)]

    def run(self, on_progress: Progress) -> None:
        self.unpack(on_progress)
        _mark(self.archive).touch()

    def unpack(self, on_progress: Progress) -> None:
        unpack(self.archive, self.into)


class UnpackNested(Unpack):
    """Unpack the archives in an archive."""

    title, unit = "unpack {}, and the archives in it", "archives"

    def commands(self) -> list[str]:
        between = self.archive.with_suffix("")
        each = unpack_command(Path("ARCHIVE.rar"), self.into).replace("ARCHIVE.rar", '"$archive"')
        return [
            _mkdir(between, self.into),
            unpack_command(self.archive, between),
            f"find {shlex.quote(str(between))} -name '*.rar' | while read -r archive; do {each}; done",
            shlex.join(["rm", "-r", str(between)]),
        ]

    def unpack(self, on_progress: Progress) -> None:
        unpack_nested(self.archive, self.into, on_progress=on_progress)


class UnpackListed(Unpack):
    """Fetch and unpack the archives whose URLs are in a file; unpacked ones may be deleted."""

    title, unit = "fetch and unpack the archives listed in {}", "archives"

    def commands(self) -> list[str]:
        folder = self.archive.parent / self.into.name
        to, into, urls = (shlex.quote(str(path)) for path in (folder, self.into, self.archive))
        url = f'{shlex.quote(_below(self.mirror, ""))}"${{url##*/}}"' if self.mirror else '"$url"'
        return [
            _mkdir(folder, self.into),
            f'while read -r url || [ -n "$url" ]; do {_CURL} --remote-name --output-dir {to} {url}; done < {urls}',
            f'for archive in {to}/*.tar.gz; do tar -xzf "$archive" -C {into}; done',
        ]

    def unpack(self, on_progress: Progress) -> None:
        urls = self.archive.read_text(encoding="utf-8").split()
        if not urls:
            raise UserError(f"{self.archive} names no archives. Delete it and run this again")
        for done, url in enumerate(urls, start=1):
            archive = self.archive.parent / self.into.name / urlsplit(url).path.rpartition("/")[2]
            if not _mark(archive).exists():
                fetch({_below(self.mirror, url) if self.mirror else url: None}, archive)
                unpack(archive, self.into)
                _mark(archive).touch()
            on_progress(done, len(urls))


class UnpackWithPassword(Unpack):
    """Unpack an archive whose password only the page of its dataset gives: this is left to the user."""

    title = "unpack {}, with the password from the page of the dataset"

    def run(self, on_progress: Progress) -> None:
        commands = "\n".join(f"  {command}" for command in self.commands())
        raise UserError(
            f"{self.archive} is fetched, and asks for the password that the page of the dataset gives. Run:\n{commands}"
        )


class ExtractFrames(Step):
    """Write frames of the test videos as images: `count` of each, evenly spread; None means all."""

    unit = "videos"

    def __init__(
        self,
        dataset: Dataset,
        root: Path,
        *,
        count: int | None,
        into: Path,
        jobs: int = 4,
        typed: str | None = None,
        decoding: Decoding | None = None,
    ) -> None:
        """`typed`: the dataset as the user typed it, for the command that is printed; the rest as for `extract`."""
        self.dataset, self.root, self.count, self.into, self.jobs = dataset, root, count, into, jobs
        self.typed, self.decoding = typed or dataset.name, decoding
        self.about = f"write {f'{count} frames' if count else 'every frame'} of each test video"

    def commands(self) -> list[str]:
        options = ["--dataset", self.typed, "--videos", str(self.root), "--frames", str(self.count or "all")]
        return [shlex.join(["recognize", "prepare", *options, "--into", str(self.into), "--run"])]

    def run(self, on_progress: Progress) -> str:
        report = extract(
            self.dataset, self.root, self.into, frames=self.count, jobs=self.jobs, decoding=self.decoding,
            on_progress=on_progress,
        )  # fmt: skip
        counts = f"{report.written} written, {report.existing} already existed, {report.missing} missing"
        failed = [f"  {video}: {reason}" for video, reason in report.failed]
        return "\n".join([f"frames of {self.dataset.name} in {self.into}: {counts}, {len(failed)} failed", *failed])


_UNPACK = {
    "archive": Unpack,
    "archive of archives": UnpackNested,
    "list of archives": UnpackListed,
    "archive with a password": UnpackWithPassword,
}


def steps_of(file: Download, root: Path, mirror: str | None) -> list[Step]:
    """Return the steps that fetch a file and unpack it."""
    return [Fetch(file, root, mirror), *([_UNPACK[file.unpack](file, root, mirror)] if file.unpack else [])]


def _below(url: str, name: str) -> str:
    """Return the address of a file below a base URL, in which spaces and the like are encoded."""
    return f"{quote(url, safe=_ADDRESS).rstrip('/')}/{name.rpartition('/')[2]}"


def _mark(archive: Path) -> Path:
    """Return the empty file that marks an archive as unpacked."""
    return archive.with_name(f"{archive.name}.unpacked")


def _mkdir(*folders: Path) -> str:
    return shlex.join(["mkdir", "-p", *map(str, folders)])
