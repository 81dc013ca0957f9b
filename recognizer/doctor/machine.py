"""Devices that encoders run on, and readers of videos: here they are loaded, since many faults only show then."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

from encoders.weights import first_line
from recognizer.doctor.findings import Finding, Surroundings
from recognizer.doctor.packages import is_there, load


def check_devices(_: Surroundings) -> Iterator[Finding]:
    """Find the processors that PyTorch can use."""
    torch = load("torch")
    if isinstance(torch, str):
        if is_there("torch"):  # else the packages tell
            command = "pip install --force-reinstall torch torchvision"
            yield Finding("devices", "PyTorch", "missing", f"does not load: {torch}", command)
        return
    yield Finding("devices", "CPU", "ok", f"{os.cpu_count()} cores, of which PyTorch uses {torch.get_num_threads()}")
    yield from _gpus(torch)


def _gpus(torch: Any) -> Iterator[Finding]:
    if not torch.cuda.is_available():
        yield _no_gpu(torch)
        return
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        used = "used" if index == 0 else "not used: one process uses the first GPU"
        detail = f"{properties.name}, {properties.total_memory / 1e9:.0f} GB; {used}"
        yield Finding("devices", f"GPU {index}", "ok", detail)


def _no_gpu(torch: Any) -> Finding:
    """Say why PyTorch uses no GPU: this machine has none, or it cannot."""
    if not shutil.which("nvidia-smi"):
        return Finding("devices", "GPU", "optional", "none that PyTorch can use; everything runs on the CPU, slower")
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    try:
        torch.zeros(1, device="cuda")
        reason = "it is not available"
    except Exception as error:
        reason = first_line(error)
    detail = f"PyTorch {torch.__version__} (built for {built}) cannot use it: {reason}; everything runs on the CPU"
    return Finding("devices", "GPU", "optional", detail, "nvidia-smi")


def check_readers(_: Surroundings) -> Iterator[Finding]:
    """Load the two readers of videos."""
    av = load("av")
    if not isinstance(av, str):
        yield Finding("video readers", "PyAV", "ok", f"{av.__version__}, FFmpeg {av.ffmpeg_version_info}; all videos")
    elif is_there("av"):
        command = "pip install --force-reinstall av"
        yield Finding("video readers", "PyAV", "missing", f"does not load: {av}; no video can be read", command)
    else:
        yield Finding("video readers", "PyAV", "missing", "not installed; no video can be read", "pip install av")
    load("torch")  # some builds of decord fail unless torch is imported first
    decord = load("decord")
    if isinstance(decord, str):
        detail = f"does not load: {decord}; PyAV reads all videos, at most 22% slower"
        yield Finding("video readers", "decord", "optional", detail, "pip install decord2")
    else:
        detail = f"{decord.__version__}; faster, where its frames are proven to be right"
        yield Finding("video readers", "decord", "ok", detail)
