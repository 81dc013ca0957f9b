"""The steps from a download to a folder that an evaluation reads; each can be run, or printed as shell commands."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from db.errors import UsageError, UserError
from db.progress import Progress
from db.records import Dataset
from recognizer.datasets.official import OFFICIAL_DATASETS
from recognizer.datasets.records import Download
from recognizer.prepare.archives import missing_tool, unpack, unpack_command, unpack_nested
from recognizer.prepare.download import common_digest, fetch
from recognizer.prepare.extract_frames import extract

_CURL = "curl --fail --location --continue-at -"


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
        mirrored = shlex.quote(f"s|.*/|{_below(self.mirror or '', '')}|" if self.mirror else "")
        return [
            _mkdir(folder, self.into),
            f"sed {mirrored} {urls} | xargs -n 1 {_CURL} --remote-name --output-dir {to}",
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


class ExtractFrames(Step):
    """Write frames of the test videos as images: `count` of each, evenly spread; None means all."""

    unit = "videos"

    def __init__(self, dataset: Dataset, root: Path, *, count: int | None, into: Path, jobs: int = 4) -> None:
        self.dataset, self.root, self.count, self.into, self.jobs = dataset, root, count, into, jobs
        self.about = f"write {f'{count} frames' if count else 'every frame'} of each test video"

    def commands(self) -> list[str]:
        options = ["--dataset", self.dataset.name, "--root", str(self.root), "--frames", str(self.count or "all")]
        return [shlex.join(["recognize", "prepare", *options, "--into", str(self.into), "--run"])]

    def run(self, on_progress: Progress) -> str:
        report = extract(self.dataset, self.root, self.into, frames=self.count, jobs=self.jobs, on_progress=on_progress)
        counts = f"{report.written} written, {report.existing} already existed, {report.missing} missing"
        failed = [f"  {video}: {reason}" for video, reason in report.failed]
        return "\n".join([f"frames of {self.dataset.name} in {self.into}: {counts}, {len(failed)} failed", *failed])


_UNPACK = {"archive": Unpack, "archive of archives": UnpackNested, "list of archives": UnpackListed}


def steps(dataset: Dataset, root: Path, *, mirror: str | None = None, frames: Step | None = None) -> list[Step]:
    """Return all steps in order, including those that are done.

    Args:
        dataset: what to prepare.
        root: the folder of the dataset; it need not exist.
        mirror: base URL to fetch every file from by its name, instead of the official addresses.
        frames: a last step that extracts frames, if any.

    Raises:
        UsageError: the download addresses of the dataset are unknown, and no frames are to be extracted.
    """
    official, planned = OFFICIAL_DATASETS.get(dataset.stored_as), list[Step]()
    if not official and not frames:
        raise UsageError(
            f"No download is known for {dataset.name}, only for {', '.join(OFFICIAL_DATASETS)}. "
            "To extract frames of your own videos: --frames 16"
        )
    for file in official.files if official else ():
        planned.append(Fetch(file, root, mirror))
        planned += [_UNPACK[file.unpack](file, root, mirror)] if file.unpack else []
    return [*planned, frames] if frames else planned


def missing_tool_of(planned: Iterable[Step]) -> str | None:
    """Return a hint what to install if an unfinished step needs a tool that is not installed, else None."""
    return missing_tool() if any(step.needs_rar and not step.done for step in planned) else None


def script(dataset: Dataset, root: Path, planned: Sequence[Step]) -> str:
    """Return steps as a shell script with comments."""
    official, tool = OFFICIAL_DATASETS.get(dataset.stored_as), missing_tool_of(planned)
    lines = [f"# {official.title}: {official.page}", f"# {official.about}"] if official else []
    lines += [f"# {tool}"] if tool else []
    for step in planned:
        lines += [f"# {step.about}{' (done)' if step.done else ''}", *step.commands()]
    check = shlex.join(["recognize", "check", "--dataset", dataset.name, "--root", str(root)])
    return "\n".join([*lines, "# then", check])


def _below(url: str, name: str) -> str:
    return f"{url.rstrip('/')}/{name.rpartition('/')[2]}"


def _mark(archive: Path) -> Path:
    """Return the empty file that marks an archive as unpacked."""
    return archive.with_name(f"{archive.name}.unpacked")


def _mkdir(*folders: Path) -> str:
    return shlex.join(["mkdir", "-p", *map(str, folders)])
