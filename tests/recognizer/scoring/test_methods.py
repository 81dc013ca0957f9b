"""Each method against loops that follow its definition, on made features."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from importlib import import_module
from itertools import combinations_with_replacement
from pathlib import Path
from pkgutil import iter_modules

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from db.records import Dataset, Descriptor
from encoders.testing import FakeEncoder
from recognizer.scoring import methods
from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.methods import METHODS, attribution, log_probabilities, method, scores
from recognizer.scoring.pooling import VideoBatch
from recognizer.scoring.protocols import PROTOCOLS
from recognizer.scoring.temporal import best_assignment, best_path, steps_of_frames
from tests.fixtures.parity import Reference, by_class
from tests.fixtures.texts import TEXTS, T, V, dataset, descriptors, ensemble, frames

__all__ = ["dataset", "descriptors", "ensemble", "frames"]  # fixtures


def by_loops(frames: Tensor, dataset: Dataset, descriptors: list[Descriptor], encoder: FakeEncoder, score: object):
    """Return [V, C] of `score(video [T, D], label [D], {(kind, position): [texts [D]]})`."""
    protocol = PROTOCOLS["default"]
    rows = []
    for video in frames:
        row = []
        for action in dataset.actions:
            named = [normalize(encoder.encode_texts([t.format(action.phrase)])[0], dim=0) for t in
                     protocol.label_templates]  # fmt: skip
            of_class: dict[tuple[str, int], list[Tensor]] = {}
            for d in descriptors:
                if d.action == action.name:
                    text = normalize(encoder.encode_texts([d.text])[0], dim=0)
                    of_class.setdefault((d.kind, d.position), []).append(text)
            row.append(float(score(video, normalize(sum(named), dim=0), of_class)))  # type: ignore[operator]
        rows.append(row)
    return torch.tensor(rows)


def unit(vector: Tensor) -> Tensor:
    return vector / vector.norm()


def split(texts: dict[tuple[str, int], list[Tensor]]) -> tuple[list[list[Tensor]], list[Tensor]]:
    """Return the steps in order, each with its wordings, and the other texts."""
    steps = [texts[key] for key in sorted(texts) if key[0] == "decomposition"]
    return steps, [text for key in texts if key[0] != "decomposition" for text in texts[key]]


def by_ensemble(video: Tensor, label: Tensor, texts: dict[tuple[str, int], list[Tensor]]) -> Tensor:
    pooled = unit(video.mean(dim=0))
    cosines = [pooled @ text for text in (label, *(t for group in texts.values() for t in group))]
    return torch.stack(cosines).mean()


def by_mean(video: Tensor, label: Tensor, texts: dict[tuple[str, int], list[Tensor]]) -> Tensor:
    everything = torch.stack([label, *(t for group in texts.values() for t in group)])
    return unit(video.mean(dim=0)) @ unit(everything.mean(dim=0))


def by_max(video: Tensor, label: Tensor, texts: dict[tuple[str, int], list[Tensor]]) -> Tensor:
    pooled = unit(video.mean(dim=0))
    return max(pooled @ text for text in (label, *(t for group in texts.values() for t in group)))


def by_soft(
    video: Tensor, label: Tensor, texts: dict[tuple[str, int], list[Tensor]], temperature: float = 20.0
) -> Tensor:
    pooled = unit(video.mean(dim=0))
    cosines = [pooled @ text for text in (label, *(t for group in texts.values() for t in group))]
    return torch.stack([(cosine * 100 / temperature).exp() for cosine in cosines]).mean().log() * temperature / 100


def by_parts(video: Tensor, label: Tensor, texts: dict[tuple[str, int], list[Tensor]]) -> Tensor:
    steps, others = split(texts)
    whole = unit(video.mean(dim=0))
    cosines = [whole @ text for text in (label, *others)]
    for number, wordings in enumerate(steps):
        start, end = number * len(video) // len(steps), (number + 1) * len(video) // len(steps)
        part = unit(video[start : max(end, start + 1)].mean(dim=0))
        cosines += [part @ text for text in wordings]
    return torch.stack(cosines).mean()


def by_align(video: Tensor, label: Tensor, texts: dict[tuple[str, int], list[Tensor]]) -> Tensor:
    steps, others = split(texts)
    whole = unit(video.mean(dim=0))
    cosines = [whole @ text for text in (label, *others)]
    if steps:
        means = torch.stack([torch.stack(wordings).mean(dim=0) for wordings in steps])  # [S, D]
        similarity = normalize(video, dim=-1) @ means.T  # [T, S]
        cosines += [video.new_tensor(brute_force(similarity.tolist()))] * sum(len(wordings) for wordings in steps)
    return torch.stack(cosines).mean()


def brute_force(similarity: list[list[float]]) -> float:
    """Return the best mean over all ways to give each frame a step, in order, every step at least once if it can."""
    count, steps = len(similarity), len(similarity[0])
    assignments = combinations_with_replacement(range(steps), count)  # all that never go back
    allowed = [a for a in assignments if steps > count or len(set(a)) == steps]
    return max(sum(similarity[t][step] for t, step in enumerate(a)) / count for a in allowed)


def by_label(video: Tensor, label: Tensor, _texts: dict[tuple[str, int], list[Tensor]]) -> Tensor:
    return unit(video.mean(dim=0)) @ label


_OURS = "its definition in [protocols.md](protocols.md#methods), which is ours"
PARITY = {
    "label": Reference("its definition: CLIP's zero-shot classification", by_class(by_label)),
    "max": Reference(_OURS, by_class(by_max)),
    "soft": Reference(_OURS, by_class(partial(by_soft, temperature=1.0))),
    "parts": Reference(f"{_OURS}; TEAR's `uniform` is another", by_class(by_parts)),
    "align": Reference(f"{_OURS}: all assignments are tried", by_class(by_align)),
}


@pytest.mark.parametrize(
    ("method", "loop"),
    [("mean", by_mean), ("ensemble", by_ensemble), ("max", by_max), ("soft", by_soft), ("parts", by_parts),
     ("align", by_align), ("label", by_label)],
)  # fmt: skip
def test_a_method_is_what_its_definition_says(
    method: str, loop: object, frames: Tensor, dataset: Dataset, descriptors: list[Descriptor],
    ensemble: Ensemble, fake_encoder: FakeEncoder,
) -> None:  # fmt: skip
    found = scores(VideoBatch.of(frames), ensemble, method=method, temperature=20.0)
    assert torch.allclose(found, by_loops(frames, dataset, descriptors, fake_encoder, loop), atol=1e-6)


@given(
    st.integers(1, 5).flatmap(
        lambda steps: st.lists(
            st.lists(st.floats(-1, 1, width=32), min_size=steps, max_size=steps), min_size=1, max_size=6
        )
    ),
    st.integers(1, 5),
)
@settings(deadline=None, max_examples=300)
def test_align_is_the_best_of_all_monotone_assignments(similarity: list[list[float]], fewer: int) -> None:
    """Two classes: one with all of the steps, one with the first of them."""
    fewer = min(fewer, len(similarity[0]))
    both = torch.tensor(similarity, dtype=torch.double)[None, :, None].expand(1, -1, 2, -1)  # [1, T, 2, S]
    found = best_assignment(both, torch.tensor([both.shape[-1], fewer]))
    expected = [brute_force(similarity), brute_force([row[:fewer] for row in similarity])]
    assert found[0].tolist() == pytest.approx(expected, abs=1e-9)
    path = best_path(both, torch.tensor([both.shape[-1], fewer]))[0].T.tolist()  # [C, T]
    for steps, of_class, best in zip((both.shape[-1], fewer), path, expected, strict=True):
        assert sum(similarity[t][s] for t, s in enumerate(of_class)) / len(of_class) == pytest.approx(best, abs=1e-9)
        assert of_class == sorted(of_class)
        assert max(of_class) < steps
        assert steps > len(of_class) or set(of_class) == set(range(steps))


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if not method.pools])
@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_every_method_of_labels_alone_is_the_same_baseline(
    method: str, pooling: str, frames: Tensor, ensemble: Ensemble
) -> None:
    videos = VideoBatch.of(frames, pooling=pooling)  # type: ignore[arg-type]
    baseline = (
        normalize(frames.mean(dim=1) if pooling == "avg" else frames.amax(dim=1), dim=-1) @ ensemble.texts[:, 0].T
    )
    assert torch.allclose(scores(videos, ensemble.label_only(), method=method), baseline, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_text_that_is_not_present_does_not_count(method: str, frames: Tensor, ensemble: Ensemble) -> None:
    """Leaving one text out of `present` is the same as never having had it: what leave-one-out goes by."""
    c, k = 1, 2
    present = ensemble.present.clone()
    present[c, k] = False
    left = [0, 1, 3, 4]  # the columns of that class without it
    without = {name: getattr(ensemble, name).clone() for name in ("texts", "present", "kind", "position", "ids")}
    for name in without:
        without[name][c, : len(left)] = without[name][c, left]
        without[name][c, len(left) :] = 0 if name in ("texts", "present") else -1
    videos = VideoBatch.of(frames)
    masked = scores(videos, replace(ensemble, present=present), method=method)
    assert torch.allclose(masked, scores(videos, replace(ensemble, **without), method=method), atol=1e-6)
    others = [column for column in range(len(TEXTS)) if column != c]
    unchanged = torch.allclose(masked[:, others], scores(videos, ensemble, method=method)[:, others], atol=1e-6)
    assert unchanged == METHODS[method].classes_apart


def test_an_ensemble_knows_its_texts(ensemble: Ensemble, descriptors: list[Descriptor]) -> None:
    of = {d.id: d for d in descriptors}
    assert [[of[i].kind for i in row if i >= 0] for row in ensemble.ids.tolist()][:3] == [
        ["decomposition"] * 3 + ["context"],
        ["decomposition"] * 3 + ["description"],
        ["description", "context", "context"],
    ]
    for row in ensemble.ids.tolist():
        assert [of[i].position for i in row if i >= 0 and of[i].kind == "decomposition"] == sorted(
            of[i].position for i in row if i >= 0 and of[i].kind == "decomposition"
        )
    assert ensemble.steps().tolist()[:3] == [
        [-1, 0, 1, 2, -1, -1, -1, -1, -1, -1],
        [-1, 0, 0, 1, -1, -1, -1, -1, -1, -1],  # positions 2, 2, 5
        [-1] * 10,
    ]
    named = [[ensemble.kinds[kind] for kind in row if kind >= 0] for row in ensemble.kind.tolist()]
    assert named == [[of[i].kind for i in row if i >= 0] for row in ensemble.ids.tolist()]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_the_attribution_of_the_texts_adds_up_to_the_score(
    method: str, pooling: str, frames: Tensor, ensemble: Ensemble
) -> None:
    videos = VideoBatch.of(frames, pooling=pooling)  # type: ignore[arg-type]
    for texts in (ensemble, ensemble.without(1), ensemble.label_only()):
        found = attribution(videos, texts, method=method, temperature=20.0)
        assert torch.allclose(found.sum(dim=2), scores(videos, texts, method=method, temperature=20.0), atol=1e-6)
        assert not found[:, ~texts.present].any()


@pytest.mark.parametrize("method", ["ensemble", "parts", "align"])
def test_the_attribution_of_a_text_is_its_own_term(method: str, frames: Tensor, ensemble: Ensemble) -> None:
    """Another text in one slot changes that slot's attribution alone, for methods that are a mean."""
    c, k = 0, 4  # a context beside three steps
    texts = ensemble.texts.clone()
    texts[c, k] = -texts[c, k]
    one, other = (
        attribution(VideoBatch.of(frames), e, method=method) for e in (ensemble, replace(ensemble, texts=texts))
    )
    assert torch.allclose(one[:, c, k], -other[:, c, k], atol=1e-6)
    one[:, c, k] = other[:, c, k] = 0
    assert torch.allclose(one, other, atol=1e-6)


def test_every_file_has_methods_and_each_name_is_of_one() -> None:
    modules = [import_module(f"{methods.__name__}.{module.name}") for module in iter_modules(methods.__path__)]
    assert [module.__name__ for module in modules if not hasattr(module, "METHODS")] == [method.__name__]
    names = [each.name for module in modules if module is not method for each in module.METHODS]
    assert sorted(names) == list(METHODS)


def test_every_method_is_in_the_docs() -> None:
    docs = (Path(__file__).parents[3] / "docs" / "protocols.md").read_text()
    assert [name for name in METHODS if f"| `{name}` |" not in docs] == []


def test_align_gives_each_frame_a_step_in_order(frames: Tensor, ensemble: Ensemble) -> None:
    path = steps_of_frames(VideoBatch.of(frames), ensemble)  # [V, T, C]
    assert (path.diff(dim=1) >= 0).all()
    assert path.amax(dim=(0, 1)).tolist() == [2, 1, -1, -1, 8]
    assert (steps_of_frames(VideoBatch.of(frames), ensemble.label_only()) == -1).all()


@pytest.mark.parametrize("method", ["max", "align", "parts"])
def test_many_videos_are_scored_a_part_at_a_time(method: str, frames: Tensor, ensemble: Ensemble) -> None:
    whole = scores(VideoBatch.of(frames), ensemble, method=method)
    four_videos = 4 * T * ensemble.present.numel()
    in_parts = scores(VideoBatch.of(frames), ensemble, method=method, max_floats=four_videos)
    assert torch.allclose(in_parts, whole, atol=1e-6)
    assert scores(VideoBatch.of(frames[:0]), ensemble, method=method).shape == (0, len(TEXTS))


def test_temperature_moves_soft_from_max_to_ensemble_and_never_a_ranking_of_the_others(
    frames: Tensor, ensemble: Ensemble
) -> None:
    videos = VideoBatch.of(frames)
    cold, hot = (scores(videos, ensemble, method="soft", temperature=t) for t in (1e-3, 1e4))
    assert torch.allclose(cold, scores(videos, ensemble, method="max"), atol=1e-3)
    assert torch.allclose(hot, scores(videos, ensemble, method="ensemble"), atol=1e-3)
    of_mean = scores(videos, ensemble, method="mean")
    sharp = log_probabilities(of_mean, temperature=0.5)
    assert torch.equal(sharp.argsort(dim=1), of_mean.argsort(dim=1))
    assert torch.allclose(sharp.exp().sum(dim=1), torch.ones(V))
    assert torch.allclose(sharp.exp(), (of_mean * 200).softmax(dim=1), atol=1e-6)
