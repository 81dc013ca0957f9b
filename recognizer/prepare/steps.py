"""The official steps from nothing to a folder that an evaluation reads: fetch, check, unpack."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from db.errors import UsageError, UserError
from db.progress import Progress
from db.records import Dataset
from recognizer.prepare.addresses import Address, Download, Publication, publications
from recognizer.prepare.archives import missing_tool, shell, unpack, unpack_nested
from recognizer.prepare.download import fetch
from recognizer.prepare.extract_frames import extract


@dataclass(frozen=True)
class Step:
    """One step, as one would type it, and as a function."""

    about: str
    commands: tuple[str, ...]  # of a shell
    unit: str  # of its progress
    done: bool  # before: nothing is left to do
    run: Callable[[Progress], str | None] = field(repr=False)  # returns what there is to say of it
    unpacks_rar: bool = False


@dataclass(frozen=True)
class FramesWanted:
    """Frames to extract.

    Attributes:
        count: so many of each video, evenly spread; None is all.
        into: the folder to put them.
        jobs: threads.
    """

    count: int | None
    into: Path
    jobs: int = 4


def publication_of(dataset: Dataset) -> Publication | None:
    """Return where a dataset is published, if that is known."""
    return publications().get(dataset.stored_as)


def steps(dataset: Dataset, root: Path, *, mirror: str | None = None, frames: FramesWanted | None = None) -> list[Step]:
    """Return the steps in their order; those that are done say so.

    Args:
        dataset: what to prepare.
        root: the folder of the dataset; it need not be there.
        mirror: an address below which every file is to be found by its name, in place of the official ones.
        frames: those to extract, in a last step.

    Raises:
        UsageError: it is not known where the dataset is published, and no frames are wanted.
    """
    publication = publication_of(dataset)
    if not publication and not frames:
        raise UsageError(
            f"It is not known where {dataset.name} is published. Known: {', '.join(publications())}. "
            "Of your own videos, frames can be extracted: --frames 16"
        )
    files = [_mirrored(file, mirror) for file in publication.files] if publication else []
    found = [step for file in files for step in _STEPS[file.unpack](file, root, mirror)]
    return [*found, _extracting(dataset, root, frames)] if frames else found


def refuse_without_tools(planned: Iterable[Step]) -> None:
    """Refuse to begin where a tool is lacking that a step needs: before gigabytes are fetched, not after.

    Raises:
        UserError: with what to install.
    """
    missing = missing_tool() if any(step.unpacks_rar and not step.done for step in planned) else None
    if missing:
        raise UserError(missing)


def script(dataset: Dataset, root: Path, planned: Sequence[Step]) -> str:
    """Return steps as a shell script with comments."""
    publication = publication_of(dataset)
    head = [f"# {publication.title}: {publication.page}", f"# {publication.about}"] if publication else []
    tool = missing_tool() if any(step.unpacks_rar for step in planned) else None
    lines = [line for step in planned for line in (f"# {step.about}{' (done)' if step.done else ''}", *step.commands)]
    check = shlex.join(["recognize", "check", "--dataset", dataset.name, "--root", str(root)])
    return "\n".join([*head, *([f"# {tool}"] if tool else []), *lines, "# then", check])


def _extracting(dataset: Dataset, root: Path, frames: FramesWanted) -> Step:
    count = str(frames.count or "all")

    def run(advance: Progress) -> str:
        done = extract(dataset, root, frames.into, frames=frames.count, jobs=frames.jobs, on_progress=advance)
        counts = f"{done.written} written, {done.there} there before, {done.missing} missing, {len(done.lost)} lost"
        lost = [f"  {video}: {reason}" for video, reason in done.lost]
        return "\n".join([f"frames of {dataset.name} in {frames.into}: {counts}", *lost])

    options = ["--dataset", dataset.name, "--root", str(root), "--frames", count, "--into", str(frames.into), "--run"]
    command = shlex.join(["recognize", "prepare", *options])
    about = f"write {'every frame' if frames.count is None else f'{count} frames'} of each test video"
    return Step(about, (command,), "videos", False, run)


def _mirrored(file: Download, mirror: str | None) -> Download:
    """Replace the addresses of a file; a digest is kept where every address has the same."""
    if mirror is None:
        return file
    digests = {address.sha256 for address in file.addresses}
    return replace(file, addresses=(Address(_below(mirror, file.to), digests.pop() if len(digests) == 1 else None),))


def _below(mirror: str, name: str) -> str:
    return f"{mirror.rstrip('/')}/{name.rpartition('/')[2]}"


def _fetching(file: Download, root: Path, mirror: str | None) -> Iterator[Step]:
    path = root / file.to
    known = file.size or any(address.sha256 for address in file.addresses)
    yield Step(
        f"fetch {path.name}",
        tuple(_curl(path, file.addresses[0])),
        "MB",
        _mark(path).exists() or (path.exists() and not known),  # what can be checked is, before it is unpacked
        lambda advance: fetch(file.addresses, path, size=file.size, on_progress=advance),
    )


def _curl(path: Path, address: Address) -> Iterator[str]:
    to = ["--create-dirs", "--output", str(path)]
    yield shlex.join(["curl", "--fail", "--location", "--continue-at", "-", *to, address.url])
    if address.sha256:
        yield f"echo {shlex.quote(f'{address.sha256}  {path}')} | sha256sum --check"


def _archive(file: Download, root: Path, mirror: str | None) -> Iterator[Step]:
    yield from _fetching(file, root, mirror)
    path, into = root / file.to, root / file.into

    def run(advance: Progress) -> None:
        unpack(path, into)
        _mark(path).touch()

    yield Step(
        f"unpack {path.name}", (_mkdir(into), shell(path, into)), "files", _mark(path).exists(), run, _is_rar(path)
    )


def _archive_of_archives(file: Download, root: Path, mirror: str | None) -> Iterator[Step]:
    yield from _fetching(file, root, mirror)
    path, into = root / file.to, root / file.into

    def run(advance: Progress) -> None:
        unpack_nested(path, into, on_progress=advance)
        _mark(path).touch()

    between = path.with_suffix("")
    each = shell(Path("ARCHIVE.rar"), into).replace("ARCHIVE.rar", '"$archive"')
    commands = (
        _mkdir(between, into),
        shell(path, between),
        f"find {shlex.quote(str(between))} -name '*.rar' | while read -r archive; do {each}; done",
        shlex.join(["rm", "-r", str(between)]),
    )
    yield Step(
        f"unpack {path.name}, and the archives in it", commands, "archives", _mark(path).exists(), run, _is_rar(path)
    )


def _list_of_archives(file: Download, root: Path, mirror: str | None) -> Iterator[Step]:
    yield from _fetching(file, root, mirror)
    path, into = root / file.to, root / file.into

    def run(advance: Progress) -> None:
        urls = path.read_text(encoding="utf-8").split()
        if not urls:
            raise UserError(f"{path} names no archives. Delete it and run this again")
        for done, url in enumerate(urls, start=1):
            _fetch_and_unpack(_below(mirror, url) if mirror else url, path.parent / file.into, into)
            advance(done, len(urls))
        _mark(path).touch()

    folder, target = shlex.quote(str(path.parent / file.into)), shlex.quote(str(into))
    commands = (
        _mkdir(path.parent / file.into, into),
        f"xargs -n 1 curl --fail --location --continue-at - --remote-name --output-dir {folder} "
        f"< {shlex.quote(str(path))}",
        f'for archive in {folder}/*.tar.gz; do tar -xzf "$archive" -C {target}; done',
    )
    yield Step(f"fetch and unpack what {path.name} lists", commands, "archives", _mark(path).exists(), run)


def _fetch_and_unpack(url: str, folder: Path, into: Path) -> None:
    """Fetch and unpack one archive; what is unpacked may be deleted, and is not fetched again."""
    archive = folder / urlsplit(url).path.rpartition("/")[2]
    if not _mark(archive).exists():
        fetch([Address(url)], archive)
        unpack(archive, into)
        _mark(archive).touch()


def _mark(archive: Path) -> Path:
    """Return the empty file that says that an archive is unpacked."""
    return archive.with_name(f"{archive.name}.unpacked")


def _is_rar(path: Path) -> bool:
    return path.suffix == ".rar"


def _mkdir(*folders: Path) -> str:
    return shlex.join(["mkdir", "-p", *map(str, folders)])


_STEPS: dict[str | None, Callable[[Download, Path, str | None], Iterator[Step]]] = {
    None: _fetching,
    "archive": _archive,
    "archive of archives": _archive_of_archives,
    "list of archives": _list_of_archives,
}
