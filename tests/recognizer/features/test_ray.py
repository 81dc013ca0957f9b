"""`recognize embed --engine ray` on a real cluster of two nodes: the store of one machine, whatever dies."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from recognizer.datasets.find import Video
from recognizer.features.caching_encoder import open_caching_encoder
from recognizer.features.elsewhere import NamedEncoder
from recognizer.features.embed import embed_videos
from recognizer.features.on_ray import on_ray
from recognizer.video.sampling import Sampling
from tests.fixtures.commands import Run
from tests.fixtures.mortal import MARKER
from tests.fixtures.stores import content
from tests.fixtures.videos import make_clips

ENCODER = "tests.fixtures.mortal:make"
VIDEOS = 24
LIMIT = 1800  # seconds, of a test that takes 40: it only ends one that hangs, on however busy a machine


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Videos of two classes, three batches of 32 frames each or more, and one that cannot be read."""
    return make_clips(tmp_path / "clips", VIDEOS)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of two nodes, whose processes import as this one does."""
    pytest.importorskip("ray", reason="pip install 'descgen-recognize[ray]'")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv(MARKER, str(tmp_path / "marker"))
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LIMIT)
    node = {"object_store_memory": 80_000_000}
    started = Cluster(initialize_head=True, head_node_args={**node, "num_cpus": 2, "include_dashboard": False})
    try:
        started.second = started.add_node(num_cpus=1, **node)
        yield started
    finally:
        signal.alarm(0)
        started.shutdown()


def too_long(_number: int, _frame: object) -> None:
    raise TimeoutError(f"more than {LIMIT} seconds")


@pytest.mark.slow
def test_the_store_is_that_of_one_machine_though_a_worker_and_a_node_die(
    recognize: Run, clips: Path, tmp_path: Path, cluster: Any
) -> None:
    options = ("embed", clips, "-e", ENCODER, "--frames", "32", "--json")
    os.environ[MARKER] = str(clips)  # exists: nothing dies
    local = recognize(*options, "--features", tmp_path / "local")
    ray = recognize(*options, "--features", tmp_path / "ray", "--engine", "ray", "--ray-address", cluster.address)
    assert ray.exit_code == 0, ray.output
    assert (tmp_path / "marker").exists()  # the first worker that encoded died
    assert content(tmp_path / "ray") == content(tmp_path / "local")
    counted, expected = json.loads(ray.stdout), json.loads(local.stdout)
    assert {**counted, "seconds": 0} == {**expected, "seconds": 0}
    assert counted["counts"]["embedded"] == VIDEOS
    assert counted["counts"]["unreadable"] == 1

    def lose_a_node(done: int, total: int) -> None:
        if 0 < done < total and cluster.worker_nodes:
            cluster.remove_node(cluster.second, allow_graceful=False)

    videos = [Video(path.name, 0, path, ()) for path in sorted(clips.rglob("*.mp4"))]
    with open_caching_encoder(ENCODER, tmp_path / "smaller") as encoder:
        engine = partial(on_ray, encoder=NamedEncoder.of(ENCODER, "float32", encoder.uncached), address=cluster.address)
        embed_videos(videos, encoder, sampling=Sampling(frames=32), engine=engine, on_progress=lose_a_node)
    assert not cluster.worker_nodes
    assert content(tmp_path / "smaller") == content(tmp_path / "local")


@pytest.mark.parametrize(("address", "code"), [("127.0.0.1:1", 1), ("nonsense", 2), ("ray://127.0.0.1:1", 2)])
def test_a_cluster_that_is_not_there_is_said(recognize: Run, clips: Path, address: str, code: int) -> None:
    pytest.importorskip("ray", reason="pip install 'descgen-recognize[ray]'")
    result = recognize("embed", clips, "-e", ENCODER, "--engine", "ray", "--ray-address", address)
    assert (result.exit_code, address in result.stderr) == (code, True), result.output
