"""Run the benchmarks; exit code 1 if a target is missed.

Each line shows the figure, the target and what was measured. Run it on an idle machine.
"""

from __future__ import annotations

import compileall
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.processes import sweep_times
from db.program import WAITING
from db.vocabulary import load
from descriptor_gen.llms.registry import LLMOptions, open_llm
from descriptor_gen.prompting.prompt import choose_prompts, load_prompts

BIN = Path(sys.executable).parent
Outcome = tuple[str, float, str, bool]


def generation_in_batches() -> Outcome:
    """Batches of 16 compared with single calls: the bundled LLM, 32 classes, one prompt, each after a warm-up."""
    [prompt] = load_prompts(["decomposition"])
    requests = [prompt.request(action) for action in load("hmdb51").actions[:32]]
    rates = {}
    for size in (1, 16):
        llm = open_llm("smollm2", LLMOptions(batch_size=size))
        list(llm.generate(requests[:1]))
        timed = requests if size > 1 else requests[::4]  # for single calls, a quarter of them is enough
        start = time.perf_counter()
        replies = [reply for batch in llm.generate(timed) for reply in batch]
        rates[size] = len(replies) / (time.perf_counter() - start)
    ratio = rates[16] / rates[1]
    title = f"generation in batches of 16 ({rates[16]:.2f} calls/s) over one by one ({rates[1]:.2f} calls/s)"
    return title, ratio, "at least 3 times", ratio >= 3


def cached_build() -> Outcome:
    """A build whose replies are all cached, as a whole process; the median of five."""
    seconds = _cached("hmdb51", ["decomposition"])
    return "descgen build, 51 of 51 cached, whole process", seconds, "under 1.5 s", seconds < 1.5


def cached_kinetics() -> Outcome:
    """The largest dataset with every kind: 2400 calls, all cached."""
    seconds = _cached("kinetics600", [prompt.kind for prompt in choose_prompts((), ())])
    return "descgen build, 2400 of 2400 cached, whole process", seconds, "under 2 s", seconds < 2


def _built(folder: str, dataset: str, kinds: list[str]) -> str:
    """Build a database as the bundled LLM would, without it; return its file."""
    from db.store import Store
    from descriptor_gen.generate.build import build_descriptors
    from descriptor_gen.llms.testing import FakeLLM

    url = str(Path(folder) / "cached.db")
    llm, real = FakeLLM(), open_llm("smollm2")
    llm.identity, llm.parameters = real.identity, dict(real.parameters)
    store = Store.open(url)
    build_descriptors(store, load(dataset), llm=llm, prompts=load_prompts(kinds))
    store.close()
    return url


def _cached(dataset: str, kinds: list[str]) -> float:
    """Return the median seconds of five builds whose replies are all in the database."""
    with tempfile.TemporaryDirectory() as folder:
        url = _built(folder, dataset, kinds)
        options = [part for kind in kinds for part in ("-k", kind)]
        return median(_seconds([str(BIN / "descgen"), "--db", url, "build", "-d", dataset, *options]) for _ in range(5))


def review_pages() -> Outcome:
    """The slowest page of review, by the median of nine: 600 classes, 4 kinds, 3 LLMs."""
    from starlette.testclient import TestClient

    from db.store import Store
    from descriptor_gen.generate.build import build_descriptors
    from descriptor_gen.llms.testing import FakeLLM
    from descriptor_gen.review.app import create_app
    from descriptor_gen.review.security import access_rules
    from descriptor_gen.review.session import ReviewSession

    pages = (
        "/",
        "/?q=ball&kind=context",
        "/?flag=any&order=flags",
        "/class/300",
        "/compare?kind=decomposition",
        "/compare?kind=*",
        "/log",
    )
    with tempfile.TemporaryDirectory() as folder:
        store, dataset = Store.open(str(Path(folder) / "review.db")), load("kinetics600")
        for model in ("one", "two", "three"):
            llm = FakeLLM(batch_size=600, model=model)
            build_descriptors(store, dataset, llm=llm, prompts=choose_prompts((), ()))
        session = ReviewSession(store, dataset, reviewer="bench")
        browser = TestClient(create_app(session, access_rules("127.0.0.1")), base_url="http://localhost")
        browser.get("/")  # the first request reads everything
        slowest = max((median(_answer_seconds(browser, page) for _ in range(9)), page) for page in pages)
        texts = session.totals().all
        store.close()
    return (
        f"slowest page of review ({slowest[1]}), {texts} texts of 600 classes",
        slowest[0],
        "under 0.15 s",
        slowest[0] < 0.15,
    )


def _answer_seconds(browser: Any, page: str) -> float:
    start = time.perf_counter()
    browser.get(page).raise_for_status()
    seconds = time.perf_counter() - start
    time.sleep(0.11)  # so that the next request does not reuse the data of this one
    return seconds


def help_text() -> Outcome:
    """Start-up: `--help` of both commands, the slower of the two medians of five."""
    seconds = max(_started(name, "--help") for name in ("descgen", "recognize"))
    return "--help, CPU time of the whole process", seconds, "under 0.2 s", seconds < 0.2


_LISTINGS = (("list", "--dataset", "hmdb51"), ("prompts", "list"), ("datasets",))


def listing() -> Outcome:
    """Start-up with a database that does not exist yet: the slowest of three commands that list, medians of five."""
    seconds = max(_started("descgen", "--db", "none.db", *command) for command in _LISTINGS)
    return "descgen list, prompts list, datasets: CPU time of the whole process", seconds, "under 0.3 s", seconds < 0.3


def listing_stored() -> Outcome:
    """The same with a database that has descriptors of one dataset."""
    with tempfile.TemporaryDirectory() as folder:
        url = _built(folder, "hmdb51", ["decomposition"])
        seconds = max(_started("descgen", "--db", url, *command) for command in _LISTINGS)
    return "the same, of a database of 153 descriptors", seconds, "under 0.6 s", seconds < 0.6


def _seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def _started(name: str, *arguments: str) -> float:
    """Return the CPU time of a process, in seconds: the median of five."""
    return median(_cpu_seconds([str(BIN / name), *arguments]) for _ in range(5))


def _cpu_seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def grid_of_tear() -> Outcome:
    """The 40 configurations of TEAR on stored features, and the same 40 one by one; texts are encoded too."""
    from benchmarks.synthetic import descriptors_for, random_embeddings
    from recognizer.evaluation.settings import Settings
    from recognizer.evaluation.sweep import GRIDS, score_grid

    embedded = random_embeddings(videos=3783, frames=16, width=512)
    settings = GRIDS["tear"].settings(Settings())
    descriptors = descriptors_for(embedded.dataset, settings)
    start = time.perf_counter()
    score_grid({"tear": embedded}, descriptors, settings=settings)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    for each in settings:
        score_grid({"tear": embedded}, descriptors, settings=[each])
    one_by_one = time.perf_counter() - start
    title = (
        f"TEAR's 40 configurations on 3783 videos x 16 frames x 512 (one by one, without start-up: {one_by_one:.1f} s)"
    )
    return title, seconds, "under 10 s", seconds < 10


def first_sweep() -> Outcome:
    """`recognize sweep --grid tear` as a whole process on stored frames; it encodes and stores every text."""
    seconds = sweep_times().first
    return "recognize sweep --grid tear, whole process, texts encoded by tiny towers", seconds, "under 8 s", seconds < 8


def second_sweep() -> Outcome:
    """The same again: all is stored."""
    times = sweep_times()
    title = f"the same again, texts stored (of it, import torch: {times.torch:.1f} s)"
    return title, times.again, "under 3 s", times.again < 3


def impact_of_texts() -> Outcome:
    """Leave out each of the seven texts of 101 classes, on as many videos as UCF101's first test split has."""
    from benchmarks.synthetic import descriptors_for, random_embeddings
    from recognizer.evaluation.impact import leave_one_out
    from recognizer.evaluation.settings import Settings
    from recognizer.scoring.ensemble import build_ensemble
    from recognizer.scoring.methods import scores
    from recognizer.scoring.pooling import VideoBatch

    embedded, settings = random_embeddings(videos=3783, frames=16, width=512), Settings()
    [descriptors] = descriptors_for(embedded.dataset, [settings]).values()
    ensemble = build_ensemble(embedded.dataset, descriptors, embedded.encoder, settings.wording())
    batch = VideoBatch.of(embedded.features.frames)
    start = time.perf_counter()
    for method in ("mean", "align"):
        leave_one_out(lambda texts, method=method: scores(batch, texts, method=method), ensemble,  # type: ignore[misc]
                      embedded.features.labels)  # fmt: skip
    seconds = time.perf_counter() - start
    return f"impact of {len(descriptors)} texts on 3783 videos, mean and align", seconds, "under 10 s", seconds < 10


def what_if_of_an_edit() -> Outcome:
    """Say what an edit does, on as many videos as UCF101's first test split has; without a real tower, median of 15."""
    from benchmarks.synthetic import edit_seconds

    seconds = median(edit_seconds(edits=15))
    title = "what an edit does to 3783 videos x 101 classes x 7 texts, without the encoding of its text"
    return title, seconds, "under 0.1 s", seconds < 0.1


def embedding() -> Outcome:
    """`recognize embed` with an encoder that takes longer than decoding, compared with both alone."""
    from benchmarks.embedding import CLIPS, FRAMES, SECONDS, times

    took, ratio = times(), times().over_parts()
    title = (
        f"recognize embed ({took.embed:.0f} s, whole process) over CPU time of decord alone ({took.decoding:.0f} s) "
        f"and ViT-B/32 alone ({took.encoding:.0f} s) on all cores; {CLIPS} clips of {SECONDS} s, {FRAMES} frames each"
    )
    return title, ratio, "at most 1.05", ratio <= 1.05


def embedding_tiny() -> Outcome:
    """The same with tiny towers, compared with decoding alone."""
    from benchmarks.embedding import times

    ratio = times().over_decoding()
    title = f"the same with tiny towers of 224 px ({times().embed_tiny:.0f} s) over decord alone on all cores"
    return title, ratio, "at most 1.60", ratio <= 1.6


def embedding_memory() -> Outcome:
    """The largest resident memory of the command itself, which grows with the number of videos only by their list."""
    from benchmarks.embedding import FEW, MANY, peaks

    few, many = peaks()
    title = (
        f"memory of recognize embed on {MANY} videos ({many:.0f} MB) over {FEW} ({few:.0f} MB), 16 frames, tiny towers"
    )
    return title, many / few, "at most 1.10", many / few <= 1.1


def controls_of_texts() -> Outcome:
    """A stored run as large as UCF101's first test split, as `recognize controls` measures it: 1000 permutations."""
    from benchmarks.synthetic import measured_controls

    start = time.perf_counter()
    measured = measured_controls(permutations=1000)
    seconds = time.perf_counter() - start
    title = f"controls of {measured.videos} videos x 101 classes x 8 texts, 1000 permutations, all and by kind"
    return title, seconds, "under 60 s", seconds < 60


BENCHMARKS: tuple[Callable[[], Outcome], ...] = (
    help_text,
    listing,
    listing_stored,
    cached_build,
    cached_kinetics,
    review_pages,
    grid_of_tear,
    first_sweep,
    second_sweep,
    impact_of_texts,
    what_if_of_an_edit,
    controls_of_texts,
    embedding,
    embedding_tiny,
    embedding_memory,
    generation_in_batches,
)


def _compile() -> None:
    """Compile the modules that the programs import, as pip does when it installs them.

    Where PYTHONDONTWRITEBYTECODE is set, each process would compile them anew.
    """
    for package in ("db", "descriptor_gen", "encoders", "prompts", "recognizer", "studio", "benchmarks"):
        compileall.compile_dir(Path(__file__).parents[1] / package, quiet=1)


def main() -> int:
    """Run every benchmark; return 1 if a target is missed."""
    os.environ.setdefault(*WAITING)  # for what is measured in this process, as the commands do
    _compile()
    missed = 0
    for benchmark in BENCHMARKS:
        title, figure, target, met = benchmark()
        missed += not met
        print(f"{'met   ' if met else 'MISSED'}  {figure:6.2f}  {target:<16}  {title}", flush=True)
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main())
