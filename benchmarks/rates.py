"""Measure decoding and encoding on one core here, and reckon what many clips cost: `python -m benchmarks.rates`.

Prices, the rate of a GPU and the clips are options. Figures that are not measured are marked as given.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

FRAMES = 16  # of a clip
KINETICS_600, MANY = 480_000, 100_000_000
_SIZE, _SECONDS, _RATE = (340, 256), 10, 25  # of a made clip, as those of Kinetics are often kept


def made_clip(path: Path, *, seconds: int = _SECONDS, size: tuple[int, int] = _SIZE) -> Path:
    """Write a clip of H.264 with smooth moving colours and noise."""
    import av
    import numpy as np

    noise = np.random.default_rng(0)
    width, height = size
    ramp = np.add.outer(np.arange(height), np.arange(width))[..., None]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=_RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(seconds * _RATE):
            image = (ramp + 3 * number * np.array([1, 2, 3])) % 256 * 0.8 + noise.integers(0, 40, (height, width, 1))
            frame = av.VideoFrame.from_ndarray(image.astype(np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, _RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def per_cpu_second(call: Callable[[], object], *, seconds: float = 8.0) -> float:
    """Return how many calls a second of CPU time makes, after a first one."""
    call()
    count, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        call()
        count += 1
    return count / (time.process_time() - start)


def decoding(folder: Path) -> float:
    """Return the sampled frames that a second of a core decodes and preprocesses for ViT-B/16."""
    from encoders.towers import square_transform, transform_frames
    from recognizer.video.extracted import read_video

    clip, transform = made_clip(folder / "clip.mp4"), square_transform(resize=224, crop=224)
    return FRAMES * per_cpu_second(lambda: transform_frames(read_video(clip, FRAMES).pixels, transform))


def encoding() -> float:
    """Return the frames that a second of a core encodes with ViT-B/16 in float32; random weights take as long."""
    import torch
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.set_num_threads(1)
    model = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, patch_size=16
        )
    ).eval()
    pixels = torch.zeros(FRAMES, 3, 224, 224)
    with torch.inference_mode():
        return FRAMES * per_cpu_second(lambda: model(pixel_values=pixels), seconds=15)


def reckoning(clips: int, decoded: float, encoded: float, given: argparse.Namespace) -> str:
    """Return one line: hours, bytes and money of embedding clips."""
    frames = clips * FRAMES
    cpu, alone, gpu = (frames / rate / 3600 for rate in (decoded, encoded, given.gpu_frames))
    money = cpu * given.cpu_hour + gpu * given.gpu_hour
    return (
        f"{clips:>11,} clips: decoding {cpu:,.0f} core hours; encoding {gpu:,.1f} GPU hours, or {alone:,.0f} core "
        f"hours; {frames * given.width * 4 / 1e9:,.0f} GB of features; {money:,.0f} with the GPU,"
        f" {(cpu + alone) * given.cpu_hour:,.0f} without"
    )


def main() -> None:
    """Print the measured rates and the reckoning."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--gpu-frames", type=float, default=2000.0, help="frames a second of one GPU; not measured")
    options.add_argument("--gpu-hour", type=float, default=2.0, help="price of an hour of a GPU; not measured")
    options.add_argument("--cpu-hour", type=float, default=0.05, help="price of an hour of a core; not measured")
    options.add_argument("--width", type=int, default=512, help="D")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        decoded, encoded = decoding(Path(folder)), encoding()
    print(f"measured: {decoded:.0f} frames/s decoded and preprocessed, {encoded:.2f} encoded (ViT-B/16), on one core")
    print(f"given: {given.gpu_frames:.0f} frames/s of a GPU, {given.gpu_hour} a GPU hour, {given.cpu_hour} a core hour")
    for clips in (KINETICS_600, MANY):
        print(reckoning(clips, decoded, encoded, given))


if __name__ == "__main__":
    main()
