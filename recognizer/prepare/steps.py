"""The steps from nothing to a folder that an evaluation reads. A step is data: it is printed as shell commands, or run."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from db.errors import UsageError, UserError
from db.progress import Progress
from db.records import Dataset
from recognizer.datasets.official import OFFICIAL_DATASETS
from recognizer.datasets.records import Address, Download
from recognizer.prepare.archives import missing_tool, unpack, unpack_command, unpack_nested
from recognizer.prepare.download import fetch
from recognizer.prepare.extract_frames import extract

_CURL = "curl --fail --location --continue-at -"


class Step(ABC):
    """One step."""

    unit: ClassVar[str]  # of its progress
    about: str
    done: bool = False  # nothing is left to do
    needs_rar: bool = False

    @abstractmethod
    def commands(self) -> list[str]:
        """Return the commands of a POSIX shell."""

    @abstractmethod
    def run(self, on_progress: Progress) -> str | None:
        """Do it, and return what to report."""


class Fetch(Step):
    """Fetch a file and check it."""

    unit = "MB"

    def __init__(self, file: Download, root: Path) -> None:
        self.file, self.path = file, root / file.to
        self.about = f"fetch {self.path.name}"
        can_check = file.size or any(address.sha256 for address in file.addresses)  # then it is, before it is unpacked
        self.done = _mark(self.path).exists() or (self.path.exists() and not can_check)

    def commands(self) -> list[str]:
        address, path = self.file.addresses[0], str(self.path)
        curl = f"{_CURL} --create-dirs --output {shlex.join([path, address.url])}"
        check = f"echo {shlex.quote(f'{address.sha256}  {path}')} | sha256sum --check"
        return [curl, check] if address.sha256 else [curl]

    def run(self, on_progress: Progress) -> None:
        fetch(self.file.addresses, self.path, size=self.file.size, on_progress=on_progress)


class Unpack(Step):
    """Unpack an archive; an empty file beside it then marks it as unpacked."""

    unit = "files"
    title = "unpack {}"

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

    unit = "archives"
    title = "unpack {}, and the archives in it"

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
    """Fetch and unpack the archives whose URLs a file lists; an unpacked one may be deleted, and is not fetched again."""

    unit = "archives"
    title = "fetch and unpack what {} lists"

    def commands(self) -> list[str]:
        folder = self.archive.parent / self.into.name
        url = f'{shlex.quote(_below(self.mirror, ""))}"${{url##*/}}"' if self.mirror else '"$url"'
        target = shlex.quote(str(folder))
        return [
            _mkdir(folder, self.into),
            f"while read -r url; do {_CURL} --remote-name --output-dir {target} {url}; done < "
            f"{shlex.quote(str(self.archive))}",
            f'for archive in {target}/*.tar.gz; do tar -xzf "$archive" -C {shlex.quote(str(self.into))}; done',
        ]

    def unpack(self, on_progress: Progress) -> None:
        urls = self.archive.read_text(encoding="utf-8").split()
        if not urls:
            raise UserError(f"{self.archive} names no archives. Delete it and run this again")
        for done, url in enumerate(urls, start=1):
            archive = self.archive.parent / self.into.name / urlsplit(url).path.rpartition("/")[2]
            if not _mark(archive).exists():
                fetch([Address(_below(self.mirror, url) if self.mirror else url)], archive)
                unpack(archive, self.into)
                _mark(archive).touch()
            on_progress(done, len(urls))


@dataclass(frozen=True)
class FrameOptions:
    """Frames to extract.

    Attributes:
        count: frames of each video, evenly spread; None is all.
        into: the folder to put them.
        jobs: threads.
    """

    count: int | None
    into: Path
    jobs: int = 4


class ExtractFrames(Step):
    """Write frames of the test videos as images."""

    unit = "videos"

    def __init__(self, dataset: Dataset, root: Path, options: FrameOptions) -> None:
        self.dataset, self.root, self.options = dataset, root, options
        frames = "every frame" if options.count is None else f"{options.count} frames"
        self.about = f"write {frames} of each test video"

    def commands(self) -> list[str]:
        name, count, into = self.dataset.name, str(self.options.count or "all"), str(self.options.into)
        options = ["--dataset", name, "--root", str(self.root), "--frames", count, "--into", into, "--run"]
        return [shlex.join(["recognize", "prepare", *options])]

    def run(self, on_progress: Progress) -> str:
        into, count, jobs = self.options.into, self.options.count, self.options.jobs
        report = extract(self.dataset, self.root, into, frames=count, jobs=jobs, on_progress=on_progress)
        counts = f"{report.written} written, {report.existing} there before, {report.missing} missing"
        failed = [f"  {video}: {reason}" for video, reason in report.failed]
        return "\n".join([f"frames of {self.dataset.name} in {into}: {counts}, {len(failed)} failed", *failed])


_UNPACK = {"archive": Unpack, "archive of archives": UnpackNested, "list of archives": UnpackListed}


def steps(dataset: Dataset, root: Path, *, mirror: str | None = None, frames: FrameOptions | None = None) -> list[Step]:
    """Return the steps in their order, those that are done included.

    Args:
        dataset: what to prepare.
        root: the folder of the dataset; it need not exist.
        mirror: an URL below which every file is found by its name, instead of the official ones.
        frames: frames to extract in a last step.

    Raises:
        UsageError: it is not known where the dataset is published, and no frames are wanted.
    """
    official = OFFICIAL_DATASETS.get(dataset.stored_as)
    if not official and not frames:
        raise UsageError(
            f"It is not known where {dataset.name} is published. Known: {', '.join(OFFICIAL_DATASETS)}. "
            "Of your own videos, frames can be extracted: --frames 16"
        )
    planned: list[Step] = []
    for file in official.publication.files if official else ():
        addresses = (Address(_below(mirror, file.to), file.sha256),) if mirror else file.addresses
        planned.append(Fetch(replace(file, addresses=addresses), root))
        if file.unpack:
            planned.append(_UNPACK[file.unpack](file, root, mirror))
    return [*planned, ExtractFrames(dataset, root, frames)] if frames else planned


def refuse_without_tools(planned: Iterable[Step]) -> None:
    """Check, before gigabytes are fetched, that the tools are installed that the steps need.

    Raises:
        UserError: with what to install.
    """
    missing = missing_tool() if any(step.needs_rar and not step.done for step in planned) else None
    if missing:
        raise UserError(missing)


def script(dataset: Dataset, root: Path, planned: Sequence[Step]) -> str:
    """Return steps as a shell script with comments."""
    official = OFFICIAL_DATASETS.get(dataset.stored_as)
    about = (
        (f"{official.publication.title}: {official.publication.page}", official.publication.about) if official else ()
    )
    tool = missing_tool() if any(step.needs_rar for step in planned) else None
    lines = [f"# {comment}" for comment in (*about, tool) if comment]
    for step in planned:
        lines += [f"# {step.about}{' (done)' if step.done else ''}", *step.commands()]
    check = shlex.join(["recognize", "check", "--dataset", dataset.name, "--root", str(root)])
    return "\n".join([*lines, "# then", check])


def _below(mirror: str | None, name: str) -> str:
    return f"{(mirror or '').rstrip('/')}/{name.rpartition('/')[2]}"


def _mark(archive: Path) -> Path:
    """Return the empty file that marks an archive as unpacked."""
    return archive.with_name(f"{archive.name}.unpacked")


def _mkdir(*folders: Path) -> str:
    return shlex.join(["mkdir", "-p", *map(str, folders)])
