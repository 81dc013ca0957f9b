"""Where the encoder of a command runs: `--device`, and `--devices` of `recognize embed`.

A process sees the GPUs that `CUDA_VISIBLE_DEVICES` names when PyTorch looks first, and uses the first of them; so that
is how a device is chosen, for every encoder alike.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from db.errors import UsageError

if TYPE_CHECKING:
    from recognizer.features.on_devices import Device

VISIBLE, CPU = "CUDA_VISIBLE_DEVICES", "cpu"
_CHOSEN = "recognizer.device"  # in the meta of a context: the value of --device
_HELP = "Where the encoder runs: the number of a GPU, such as 1, or cpu. [the first GPU, if there is one]"
_Command = TypeVar("_Command", bound=Callable[..., Any])


def device_option(command: _Command) -> _Command:
    """Add `--device`, which has no value: it is chosen before PyTorch loads, until the command ends."""
    return click.option("--device", metavar="N|cpu", is_eager=True, expose_value=False, callback=_choose, help=_HELP)(
        command
    )


def chosen_device() -> str | None:
    """Return the value of `--device` of the command that runs; None: it was not given."""
    chosen: str | None = click.get_current_context().meta.get(_CHOSEN)
    return chosen


def visible_gpu(number: int, environment: Mapping[str, str]) -> str | None:
    """Return CUDA_VISIBLE_DEVICES for a process that is to see only one of the GPUs that this process sees.

    None if the variable names fewer: those that it hides stay hidden.
    """
    if VISIBLE not in environment:
        return str(number)
    visible = [name.strip() for name in environment[VISIBLE].split(",") if name.strip()]
    return visible[number] if number < len(visible) else None


def named_devices(names: Sequence[str], environment: Mapping[str, str]) -> list[Device]:
    """Return the devices of these names: numbers of GPUs, or `cpu`.

    Raises:
        UsageError: PyTorch has no such GPU here.
    """
    from recognizer.features.on_devices import Device

    numbers = [int(name) for name in names if name != CPU]
    if numbers:
        import torch

        count = torch.cuda.device_count()
        if max(numbers) >= count:
            raise UsageError(f"--devices {','.join(names)}: PyTorch {_gpus_here(count)} here. Ask: recognize doctor")
    return [Device(name, "" if name == CPU else visible_gpu(int(name), environment) or name) for name in names]


def _gpus_here(count: int) -> str:
    return f"has GPUs 0 to {count - 1}" if count else "has no GPU"


def _choose(context: click.Context, _option: click.Parameter, value: str | None) -> None:
    if value is None or context.resilient_parsing:
        return
    if value != CPU and not (value.isascii() and value.isdecimal()):
        raise UsageError(f"--device {value}: write the number of a GPU, such as 1, or cpu")
    context.meta[_CHOSEN] = value
    visible = "" if value == CPU else visible_gpu(int(value), os.environ)
    if visible is None:
        raise UsageError(f"--device {value}: {VISIBLE}={os.environ[VISIBLE]!r} names no such GPU. Count from 0 in it")
    context.with_resource(_visible_only(visible))
    if value != CPU:
        import torch  # sees that GPU alone

        if not torch.cuda.device_count():
            raise UsageError(f"--device {value}: PyTorch has no such GPU here. Ask: recognize doctor")


@contextmanager
def _visible_only(visible: str) -> Iterator[None]:
    before = os.environ.get(VISIBLE)
    os.environ[VISIBLE] = visible
    try:
        yield
    finally:
        os.environ.pop(VISIBLE)
        if before is not None:
            os.environ[VISIBLE] = before
