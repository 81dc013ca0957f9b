"""Which steps get a dataset: those whose files do not lie on disk yet."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from db.errors import UsageError
from db.records import Dataset
from recognizer.datasets.official import OFFICIAL_DATASETS, official_of
from recognizer.datasets.prepare.archives import missing_tool
from recognizer.datasets.prepare.on_disk import OnDisk, on_disk
from recognizer.datasets.prepare.steps import ExtractFrames, Step, steps_of
from recognizer.datasets.records import OfficialDataset


@dataclass(frozen=True)
class Plan:
    """All steps that get a dataset, in order, including those that are done."""

    typed: str  # the dataset, as the user typed it
    official: OfficialDataset | None
    root: Path
    here: OnDisk | None  # what lies in the root already
    steps: tuple[Step, ...]
    frames: ExtractFrames | None  # the last step, if frames are wanted

    @property
    def missing_tool(self) -> str | None:
        """What to install, if an unfinished step needs a tool that is not installed."""
        return missing_tool() if any(step.needs_rar and not step.done for step in self.steps) else None

    @property
    def about_files(self) -> str:
        """What lies in the root already, and what to do to get the rest; "" if nothing lies there."""
        if not self.here:
            return ""
        fetched = any(not step.done for step in self.steps if step is not self.frames)
        other = "" if fetched or self.here.complete else ". To fetch all of it, give an empty folder as --root"
        return f"{self.here.about}{other}"

    @property
    def next_command(self) -> str:
        """The command to type when all steps are done."""
        if self.official and self.official.long_videos:
            annotations = self.here.lists[0].parent if self.here and self.here.lists else self.root / "annotation"
            return _command("localize", self.root, "--dataset", self.typed, "--annotations", annotations)
        check = ("check", "--dataset", self.typed, "--root", self.frames.into if self.frames else self.root)
        return _command(*check, *(("--frames", self.frames.count) if self.frames and self.frames.count else ()))

    def script(self) -> str:
        """Return the steps as a shell script with comments; commands of steps that are done are left out."""
        official, tool = self.official, self.missing_tool
        lines = [f"# {official.title}: {official.page}", f"# {official.about}"] if official else []
        lines += [f"# {self.about_files}"] if self.here else []
        lines += [f"# {tool}"] if tool else []
        for step in self.steps:
            lines += [f"# {step.about} (done)"] if step.done else [f"# {step.about}", *step.commands()]
        return "\n".join([*lines, "# then", self.next_command])


def root_for(dataset: Dataset) -> Path:
    """Return the folder of a dataset where none is given."""
    official = official_of(dataset)
    return Path("data") / (official.name if official else dataset.stored_as)


def plan(
    dataset: Dataset,
    root: Path,
    *,
    typed: str | None = None,
    mirror: str | None = None,
    frames: ExtractFrames | None = None,
    fetch: bool = True,
) -> Plan:
    """Plan how to get a dataset.

    Args:
        dataset: what to get.
        root: its folder; it need not exist. What lies there is used as it is.
        typed: the dataset as the user typed it; None is its name.
        mirror: base URL to fetch every file from by its name, instead of the official addresses.
        frames: a last step that extracts frames, if any.
        fetch: whether files may be fetched; if not, the root holds the videos.

    Raises:
        UsageError: nothing to do is known, or frames are wanted of long videos.
        UserError: the root holds videos that are not those of the dataset.
    """
    official = official_of(dataset)
    if not official and not frames:
        raise UsageError(
            f"No download is known for {dataset.name}, only for {', '.join(OFFICIAL_DATASETS)}. "
            "To extract frames of your own videos: --frames 16"
        )
    if official and official.long_videos and frames:
        raise UsageError(
            f"The videos of {dataset.name} are long: recognize localize reads them as they are. No --frames"
        )
    here = on_disk(official, dataset, root) if official else None
    steps: list[Step] = []
    for file in official.files if official and fetch else ():
        own = steps_of(file, root, mirror)
        for step in own:
            step.done = step.done or bool(here and here.has(file))
        steps += own
    return Plan(typed or dataset.name, official, root, here, (*steps, *([frames] if frames else ())), frames)


def _command(*words: object) -> str:
    return shlex.join(["recognize", *map(str, words)])
