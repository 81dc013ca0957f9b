"""TEAR's grid as people run it: one `recognize sweep`, and the same 40 choices by one `recognize eval` each.

python -m benchmarks.processes            # some minutes; not part of `make bench`

Embeddings of 3783 videos x 16 frames x 512 are in the feature store beforehand, as `recognize embed` would leave them;
so are those of the texts for the `eval`s, which the sweep had to encode. A process's start is part of its time.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from recognizer.evaluation.settings import Settings
from recognizer.features.decode import content_of, source_of

BIN = Path(sys.executable).parent
VIDEOS, FRAMES, WIDTH = 3783, 16, 512


def main() -> None:
    """Measure both, and print what they took."""
    from recognizer.evaluation.sweep import GRIDS

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        common = _world(folder)
        took = _seconds("sweep", *common, "--grid", "tear")
        print(f"{took:7.1f} s  one recognize sweep --grid tear, texts encoded", flush=True)
        took = _seconds("sweep", *common, "--grid", "tear")
        print(f"{took:7.1f} s  the same again, texts stored", flush=True)
        took = _seconds("sweep", *common, "--grid", "tear", "--store")
        print(f"{took:7.1f} s  the same with --store: {40 * VIDEOS} predictions are kept", flush=True)
        settings = GRIDS["tear"].settings(Settings(encoder="made"))
        each = [_seconds("eval", *common, *_options(one)) for one in settings if one.choice.kinds]
        print(f"{sum(each):7.1f} s  {len(each)} recognize eval, {min(each):.1f} to {max(each):.1f} s each", flush=True)


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


def _world(folder: Path) -> list[object]:
    """Make videos that hold their own numbers, their embeddings, the texts and an encoder; return the options."""
    import numpy as np

    from db.store import Store
    from db.vocabulary import load
    from descriptor_gen.generate.build import build_descriptors
    from descriptor_gen.llms.testing import FakeLLM
    from descriptor_gen.prompting.prompt import load_prompts
    from recognizer.features.caching_encoder import open_stored_encoder
    from recognizer.features.store import New, Seen
    from recognizer.video.sampling import Sampling

    dataset = load("ucf101")
    _archive(folder / "tiny.pt")
    store = Store.open(str(folder / "texts.db"))
    build_descriptors(store, dataset, llm=FakeLLM(), prompts=load_prompts(["decomposition", "description", "context"]))
    store.close()
    random, news, seen = np.random.default_rng(0), [], []
    for number in range(VIDEOS):
        path = folder / "videos" / dataset.actions[number % len(dataset.actions)].name / f"{number}.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(number))
        source = source_of(path, FRAMES)
        key = content_of(source)
        news.append(New(key, random.standard_normal((1, FRAMES, WIDTH), np.float32), "decord"))
        seen.append(Seen(path, source.stamp, key))
    with open_stored_encoder(str(folder / "tiny.pt"), folder / "features") as encoder:
        shelf = encoder.frames_shelf(Sampling(FRAMES, preprocessing="tear"))
        shelf.add(news, shape=(1, FRAMES, WIDTH), seen=seen)
    return ["--db", folder / "texts.db", "-d", "ucf101", "--root", folder / "videos", "-e", folder / "tiny.pt",
            "--features", folder / "features"]  # fmt: skip


def _archive(path: Path) -> None:
    """Write an openai-clip archive of the width of ViT-B/16 whose towers take next to no time."""
    import torch
    from clip.model import CLIP, convert_weights

    heads = {"transformer_width": 64, "transformer_heads": 1, "transformer_layers": 1}
    model = CLIP(WIDTH, 32, 1, 64, 16, 77, 49408, **heads)
    convert_weights(model)  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated, and the format of CLIP
        example = torch.zeros(1, 3, 32, 32), torch.zeros(1, 77, dtype=torch.int)
        torch.jit.trace(model.float().eval(), example).save(path)


if __name__ == "__main__":
    main()
