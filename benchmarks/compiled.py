"""Whether `torch.compile` helps the image tower of CLIP ViT-B/32 on this CPU: `python -m benchmarks.compiled`.

One thread, processor time, batches of 16 frames, random weights; eager and compiled in turn. docs/scaling.md has what
was measured.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

ROUNDS, FRAMES = 15, 16


def _seconds(call: Callable[[], Any]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> None:
    """Print the seconds of compiling, and what a batch takes with and without."""
    import torch
    from clip.model import CLIP

    from encoders.clip_towers import keep_class_token

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = CLIP(512, 224, 12, 768, 32, 77, 49408, 512, 8, 12).eval()
    keep_class_token(model)  # as the encoder does
    tower: Any = model.visual
    pixels = torch.randn(FRAMES, 3, 224, 224)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled: Any = torch.compile(tower)
        start = time.perf_counter()
        difference = (compiled(pixels) - tower(pixels)).abs().max().item()
        compiling = time.perf_counter() - start
        print(f"{compiling:6.1f} s     until the first batch; less if PyTorch has it on the disk from before")
        pairs = [(_seconds(lambda: tower(pixels)), _seconds(lambda: compiled(pixels))) for _ in range(ROUNDS)]
    eager, faster = map(median, zip(*pairs, strict=True))
    print(f"{eager:6.3f} s CPU a batch of {FRAMES} frames, eager")
    print(f"{faster:6.3f} s CPU compiled: {faster / eager:.2f} times; largest difference {difference:.1e}")
    if faster < eager:
        print(f"{FRAMES * compiling / (eager - faster):6.0f} frames until that is won back")


if __name__ == "__main__":
    main()
