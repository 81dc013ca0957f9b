"""Embed on a cluster with Ray Data: batches are decoded in tasks on its CPUs and encoded by a pool of actors.

Only this process writes the feature store. Ray runs what a worker or a machine had that died again elsewhere.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
import threading
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from db.errors import UsageError, UserError
from recognizer.features.elsewhere import NamedEncoder, Result, fill_in, packed, results
from recognizer.features.engines import Batch, Work, decode_video, encode_batch
from recognizer.video.pool import Decoding, Pool
from recognizer.video.sampling import Sampling

# Of a batch, on workers that die: one that ends each of them must not go round for ever. When a machine is lost, Ray
# spends tries on its actors several times a second until it knows.
_TRIES, _ACTOR_TRIES = 5, 200
_QUIET = {"log_to_driver": False, "logging_level": "ERROR"}
_SECONDS_TO_CONNECT = 10.0
_Row = dict[str, Any]


def on_ray(
    batches: Sequence[Batch], work: Work, *, encoder: NamedEncoder, address: str | None = None
) -> Generator[Batch]:
    """Embed batches on a Ray cluster; an engine.

    Args:
        batches: the videos have the same paths on all machines.
        work: `decoding.workers` is how many batches are decoded at once, by default one on each CPU that is free; 0
            decodes in Ray's own workers: a decoder that dies ends one.
        encoder: what the machines open.
        address: of the cluster; None is the one that this process is connected to, else a new one on this machine.

    Raises:
        UserError: Ray is not installed, the cluster is out of reach or too small, the encoder fails, or a batch ended
            all workers that had it.
    """
    if batches:
        with _cluster(address) as ray, _user_errors(ray):
            for row in _dataset(ray, batches, work, encoder).iter_rows():
                yield fill_in(batches[row["number"]], _unpacked(row["batch"]))


def _dataset(ray: Any, batches: Sequence[Batch], work: Work, encoder: NamedEncoder) -> Any:
    """Return the Ray dataset of embedded batches, a row each; it is computed as it is read."""
    workers = work.decoding.workers
    task = _Task(encoder, work.sampling, replace(work.decoding, workers=min(1, 1 if workers is None else workers)))
    gpus, cpus = (int(ray.cluster_resources().get(name, 0)) for name in ("GPU", "CPU"))
    if cpus + gpus < 2 or not cpus:
        raise UserError(
            f"The Ray cluster has {cpus} CPUs and {gpus} GPUs. It needs a CPU to decode, and another one or a GPU to "
            "encode: add a machine with ray start --address HOST:PORT"
        )
    rows = [{"number": number, "batch": packed(batch)} for number, batch in enumerate(batches)]
    retried = {"max_retries": _TRIES}, {"max_restarts": -1, "max_task_retries": _ACTOR_TRIES}  # not alike: not fused
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ray.util.annotations.RayDeprecationWarning)  # Ray 2.64 takes them away
        decoded = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            task.decode, compute=ray.data.TaskPoolStrategy(size=workers or None), num_cpus=1, **retried[0]
        )
        return decoded.map_batches(
            _Encoding,
            fn_constructor_args=(task,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=gpus or max(1, cpus // 2)),
            num_cpus=0 if gpus else 1,
            num_gpus=1 if gpus else 0,
            **retried[1],
        )


@dataclass(frozen=True)
class _Task:
    """What the machines of the cluster do with each batch."""

    encoder: NamedEncoder
    sampling: Sampling
    decoding: Decoding

    def decode(self, row: _Row) -> _Row:
        """Decode a batch; its worker process waits for the next task that Ray runs in this process."""
        return {**row, "batch": _packed(self._decoded, row["batch"])}

    def encode(self, row: _Row) -> _Row:
        """Encode a decoded batch."""
        return {**row, "batch": _packed(self._encoded, row["batch"])}

    def _decoded(self, batch: Batch) -> Batch:
        with Pool(self.decoding) as pool:
            return [decode_video(pending, work=self._work, pool=pool) for pending in batch]

    def _encoded(self, batch: Batch) -> list[Result]:
        return results(encode_batch(batch, self._work))

    @property
    def _work(self) -> Work:
        return Work(self.encoder.open(), self.sampling, self.decoding)


class _Encoding:
    """An actor: its process keeps the weights of the encoder, which it loads for its first batch."""

    def __init__(self, task: _Task) -> None:
        self._task = task

    def __call__(self, rows: _Row) -> _Row:
        """Encode a batch, the only row."""
        row = self._task.encode({name: values[0] for name, values in rows.items()})
        return {name: [value] for name, value in row.items()}


def _packed(function: Callable[[Any], Any], packed: bytes) -> bytes:
    """Return what a function makes of a value, both packed; an error that the user can fix is a value too."""
    try:
        return pickle.dumps(function(_unpacked(packed)))
    except UserError as error:
        return pickle.dumps(error)


def _unpacked(packed: bytes) -> Any:
    value = pickle.loads(packed)  # noqa: S301 - from a process of this job
    if isinstance(value, UserError):
        raise value
    return value


@contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    """Connect to a cluster, or start one; yields the module `ray`. A connection of the caller is left as it is."""
    ray = _imported()
    if address is None and ray.is_initialized():
        yield ray
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster that is started here tells nobody
    ends = signal.getsignal(signal.SIGTERM)
    _refuse_silence(address)
    try:
        ray.init(address or "local", include_dashboard=None if address else False, **_QUIET)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _no_cluster(address or "on this machine", error) from error
    try:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, ends)  # ray.init puts its own in the place of the command's
        yield ray
    finally:
        ray.shutdown()


def _refuse_silence(address: str | None) -> None:
    """Raise UserError if nothing answers at HOST:PORT: Ray would wait for it for minutes."""
    host, _, port = (address or "").rpartition(":")
    if not address or address in ("auto", "local"):
        return
    if not host or not port.isdecimal() or "/" in host:
        raise UsageError(f"--ray-address {address}: write HOST:PORT, such as 10.0.0.1:6379, or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS_TO_CONNECT).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(f"at {address}", error) from error


def _no_cluster(place: str, error: Exception) -> UserError:
    return UserError(f"No Ray cluster {place}: {error}. Start one with: ray start --head --port 6379")


def _imported() -> Any:
    """Return the module `ray`, silent but for errors."""
    try:
        import ray.data
    except ImportError as error:
        raise UserError("The engine ray needs the package ray. Run: pip install 'descgen-recognize[ray]'") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # its errors end the command, with a message
    return ray


@contextmanager
def _user_errors(ray: Any) -> Iterator[None]:
    """Raise UserError if Ray gave up."""
    try:
        yield
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]
        raise UserError(
            f"Ray gave up ({type(error).__name__}: {reason}). What was embedded is stored: run the command again"
        ) from error
