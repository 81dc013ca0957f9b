"""`recognize embed` beside its parts on the same clips, and its memory: `python -m benchmarks.embedding` prints all.

Decoding alone is decord, without any check of the file, and encoding alone is the encoder on frames that lie ready.
Both use all cores, as `recognize embed` does: a core is slower when the others work too. Their CPU time over the number
of cores is what embedding would take if it did nothing else and no core ever waited. All files are in the file cache.
The parts are measured before and after embedding, and their mean counts: within minutes, a machine may become a tenth
faster or slower.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from benchmarks.rates import made_clip
from recognizer.video.pool import cores

CLIPS, FRAMES, SECONDS = 300, 8, 4  # clips, frames of each, their length
TIMED_FRAMES = 640  # for encoding alone; the time for all is reckoned
FEW, MANY = 200, 2000  # videos for memory
_ONE_CORE = {"OMP_NUM_THREADS": "1"}
_PASSIVE = {"OMP_WAIT_POLICY": "passive"}  # as the commands set it: threads that wait use no CPU

# A process counts the memory of the one that started it as its own largest (Linux). This one is small; it waits for it.
_SMALL_PARENT = """
import os, sys
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
_, status, used = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet), 0)
print(status, used.ru_maxrss)
"""


class Times(NamedTuple):
    """Seconds for all clips: CPU time of the parts alone, and of the clock for `recognize embed` as a whole process."""

    decoding: float
    encoding: float  # with ViT-B/32
    embed: float  # with ViT-B/32
    embed_tiny: float  # with towers that take no time

    def over_parts(self) -> float:
        """Return the time of embed over that of its parts on all cores."""
        return self.embed * cores() / (self.decoding + self.encoding)

    def over_decoding(self) -> float:
        """Return the time of embed with tiny towers over that of decoding on all cores."""
        return self.embed_tiny * cores() / self.decoding


@cache
def times() -> Times:
    """Measure all four, one after the other, and the parts once more."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = copies(made_clip(folder / "clip.mp4", seconds=SECONDS), folder / "clips", CLIPS)
        large, tiny = archive(folder / "ViT-B-32.pt", layers=12, width=768), archive(folder / "tiny.pt")
        before = _parts(paths, large)
        embed = [_embed(folder / "clips", encoder, folder / encoder.stem, FRAMES)[0] for encoder in (large, tiny)]
        after = _parts(paths, large)
        return Times(*map(mean, zip(before, after, strict=True)), *embed)


@cache
def peaks() -> tuple[float, float]:
    """Return the largest resident memory of `recognize embed` in MB, for few and for many short clips."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip, tiny = made_clip(folder / "clip.mp4", seconds=1, size=(160, 120)), archive(folder / "tiny.pt")
        peak = []
        for count in (FEW, MANY):
            copies(clip, folder / f"{count}", count)
            peak.append(_embed(folder / f"{count}", tiny, folder / f"features {count}", 16)[1])
        return peak[0], peak[1]


def copies(clip: Path, folder: Path, count: int) -> list[Path]:
    """Write copies of an MP4 file into two class folders, each with an unused box of its own at the end."""
    content, paths = clip.read_bytes(), []
    for number in range(count):
        path = folder / ("one", "other")[number % 2] / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content + struct.pack(">I4sI", 12, b"free", number))
        paths.append(path)
    return paths


def archive(path: Path, *, layers: int = 1, width: int = 64, size: int = 224) -> Path:
    """Write an openai-clip archive of random weights: an image tower with patches of 32, and a tiny text tower."""
    import torch
    from clip.model import CLIP, convert_weights

    text = {"transformer_width": 64, "transformer_heads": 1, "transformer_layers": 1}
    model = CLIP(512, size, layers, width, 32, 77, 49408, **text)
    convert_weights(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated, but is the format of CLIP
        example = torch.zeros(1, 3, size, size), torch.zeros(1, 77, dtype=torch.int)
        torch.jit.trace(model.float().eval(), example).save(path)
    return path


def _parts(paths: Sequence[Path], encoder: Path) -> tuple[float, float]:
    """Return the CPU seconds of decoding and of encoding all frames of clips."""
    return _decoding(paths), _encoding(encoder) * CLIPS * FRAMES / TIMED_FRAMES


def _decoding(paths: Sequence[Path]) -> float:
    """Return the CPU seconds of decord for the frames of clips, in a process for each core."""
    parts = [json.dumps([str(path) for path in paths[number :: cores()]]) for number in range(cores())]
    return sum(_shares("decode", parts, _ONE_CORE))


def _encoding(encoder: Path) -> float:
    """Return the CPU seconds of an encoder for `TIMED_FRAMES` frames, in one process with a thread for each core."""
    return sum(_shares("encode", [str(encoder)], _PASSIVE))


def _shares(part: str, shares: Sequence[str], environment: dict[str, str]) -> list[float]:
    """Run this file for each share at once; return what each prints."""
    command = [sys.executable, "-m", "benchmarks.embedding", part]
    started = [
        subprocess.Popen([*command, share], env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)
        for share in shares
    ]
    return [float(process.communicate()[0]) for process in started]


def _embed(clips: Path, encoder: Path, features: Path, frames: int) -> tuple[float, float]:
    """Return the seconds of `recognize embed` and its largest resident memory in MB, without those it starts."""
    command = ["-m", "recognizer", "embed", clips, "-e", encoder, "--trust-file", "--frames", frames]
    start = time.perf_counter()
    started = subprocess.run(
        [sys.executable, "-c", _SMALL_PARENT, sys.executable, *map(str, command), "--features", str(features)],
        check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    seconds, (status, peak) = time.perf_counter() - start, map(int, started.stdout.split())
    if status:
        raise RuntimeError(f"recognize embed ended with status {status}")
    return seconds, peak / 1000


def _decode(paths: Sequence[str]) -> float:
    import decord

    from recognizer.video.frames import frame_indices

    start = time.process_time()
    for path in paths:
        video = decord.VideoReader(path, num_threads=1)
        video.get_batch(frame_indices(len(video), FRAMES)).asnumpy()
    return time.process_time() - start


def _encode(encoder: str) -> float:
    import torch

    from encoders.registry import open_encoder, trusting_files

    with trusting_files():
        opened = open_encoder(encoder)
    batch = torch.randint(0, 256, (128, 3, 224, 224), dtype=torch.uint8)
    opened.encode_frames(batch)
    start = time.process_time()
    for _ in range(TIMED_FRAMES // len(batch)):
        opened.encode_frames(batch)
    return time.process_time() - start


def main() -> None:
    """Print all figures; or one of the parts, for the process that measures."""
    match sys.argv[1:]:
        case ["decode", paths]:
            print(_decode(json.loads(paths)))
        case ["encode", encoder]:
            print(_encode(encoder))
        case _:
            print(times(), times().over_parts(), times().over_decoding(), peaks())


if __name__ == "__main__":
    main()
