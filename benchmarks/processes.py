"""TEAR's grid as users run it: one `recognize sweep`, and one `recognize eval` for each of the same 40 choices.

python -m benchmarks.processes            # some minutes; `make bench` runs the first two alone

The embeddings of 3783 videos x 16 frames x 512 are stored first, as by `recognize embed`. The sweep encodes and stores
the texts, and the `eval`s load them. The time to start each process is included.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from statistics import median
from typing import NamedTuple

from recognizer.evaluation.settings import Settings
from recognizer.video.source import content_of, source_of

BIN = Path(sys.executable).parent
VIDEOS, FRAMES, WIDTH = 3783, 16, 512


def main() -> None:
    """Measure both, and print their times."""
    from recognizer.evaluation.sweep import GRIDS

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        common = _setup(folder)
        times = _sweeps(common)
        print(f"{times.first:7.1f} s  one recognize sweep --grid tear, texts encoded")
        print(f"{times.again:7.1f} s  one recognize sweep --grid tear, texts stored")
        print(f"{times.torch:7.1f} s  of them import torch", flush=True)
        seconds = _seconds("sweep", *common, "--grid", "tear", "--store")
        print(f"{seconds:7.1f} s  the same with --store: {40 * VIDEOS} predictions are kept", flush=True)
        settings = GRIDS["tear"].settings(Settings())
        evals = [_seconds("eval", *common, *_options(one)) for one in settings if one.choice.kinds]
        print(
            f"{sum(evals):7.1f} s  {len(evals)} recognize eval, {min(evals):.1f} to {max(evals):.1f} s each", flush=True
        )


class SweepTimes(NamedTuple):
    """Seconds of whole processes, one after the other.

    Attributes:
        first: the sweep that encodes and stores the texts.
        again: the same, when all is stored; median of three.
        torch: a process that does no more than import torch, which every sweep does; median of three, in between.
    """

    first: float
    again: float
    torch: float


@cache
def sweep_times() -> SweepTimes:
    """Measure the sweep on embeddings of its own."""
    with tempfile.TemporaryDirectory() as name:
        return _sweeps(_setup(Path(name)))


def _sweeps(common: Sequence[object]) -> SweepTimes:
    first = _seconds("sweep", *common, "--grid", "tear")
    pairs = [(_seconds("sweep", *common, "--grid", "tear"), _importing_torch()) for _ in range(3)]
    return SweepTimes(first, *map(median, zip(*pairs, strict=True)))


def _importing_torch() -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import os, torch; os._exit(0)"], check=True)
    return time.perf_counter() - start


def _options(settings: Settings) -> list[str]:
    kinds = settings.choice.kinds
    chosen = [part for kind in kinds or () for part in ("--kind", kind)]
    chosen += ["--protocol", settings.protocol, "--method", settings.method, "--templates", settings.templates]
    return [*chosen, "--condition"] if settings.condition else chosen


def _seconds(command: str, *arguments: object) -> float:
    start = time.perf_counter()
    subprocess.run([str(part) for part in (BIN / "recognize", *arguments[:2], command, *arguments[2:])], check=True,
                   capture_output=True)  # fmt: skip
    return time.perf_counter() - start


def _setup(folder: Path) -> list[object]:
    """Create fake videos, their embeddings, texts and an encoder; return the options that name them."""
    import numpy as np

    from db.store import Store
    from db.vocabulary import load
    from descriptor_gen.generate.build import build_descriptors
    from descriptor_gen.llms.testing import FakeLLM
    from descriptor_gen.prompting.prompt import load_prompts
    from encoders.registry import trusting_files
    from recognizer.features.caching_encoder import open_caching_encoder
    from recognizer.features.store import KnownFile, NewRecord
    from recognizer.video.sampling import Sampling

    dataset = load("ucf101")
    _archive(folder / "tiny.pt")
    store = Store.open(str(folder / "texts.db"))
    build_descriptors(store, dataset, llm=FakeLLM(), prompts=load_prompts(["decomposition", "description", "context"]))
    store.close()
    random, new, files = np.random.default_rng(0), [], []
    for number in range(VIDEOS):
        path = folder / "videos" / dataset.actions[number % len(dataset.actions)].name / f"{number}.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(number))
        source = source_of(path, FRAMES)
        key = content_of(source)
        new.append(NewRecord(key, random.standard_normal((1, FRAMES, WIDTH), np.float32), "decord"))
        files.append(KnownFile(path, source.stamp, key))
    with trusting_files(), open_caching_encoder(str(folder / "tiny.pt"), folder / "features") as encoder:
        shelf = encoder.frames_shelf(Sampling(FRAMES, preprocessing="tear"))
        shelf.add(new, shape=(1, FRAMES, WIDTH), files=files)
    return ["--db", folder / "texts.db", "-d", "ucf101", "--root", folder / "videos", "-e", folder / "tiny.pt",
            "--features", folder / "features", "--trust-file"]  # fmt: skip


def _archive(path: Path) -> None:
    """Write an openai-clip archive with the width of ViT-B/16 and tiny towers."""
    import torch
    from clip.model import CLIP, convert_weights

    heads = {"transformer_width": 64, "transformer_heads": 1, "transformer_layers": 1}
    model = CLIP(WIDTH, 32, 1, 64, 16, 77, 49408, **heads)
    convert_weights(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated, but is the format of CLIP
        example = torch.zeros(1, 3, 32, 32), torch.zeros(1, 77, dtype=torch.int)
        torch.jit.trace(model.float().eval(), example).save(path)


if __name__ == "__main__":
    main()
