"""recognize controls: texts of other classes, random texts and other frames, against scores made one by one."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from random import Random

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from db.records import Dataset, Descriptor
from encoders.testing import FakeEncoder
from recognizer.evaluation.controls.frames import FRAMES, changed
from recognizer.evaluation.controls.random_texts import scrambled, shared, waffle
from recognizer.evaluation.controls.results import ClassControl
from recognizer.evaluation.controls.swapped import Permuted, assignments, permute, swap
from recognizer.evaluation.controls.verdicts import verdicts_by_class
from recognizer.scoring.ensemble import Ensemble, build_ensemble
from recognizer.scoring.methods import METHODS, scores
from recognizer.scoring.pooling import VideoBatch
from recognizer.scoring.protocols import PROTOCOLS
from tests.fixtures.colours import balls, encoder
from tests.fixtures.commands import Run
from tests.fixtures.texts import dataset, descriptors, ensemble, frames

__all__ = ["balls", "dataset", "descriptors", "encoder", "ensemble", "frames"]  # fixtures
LABELS = torch.tensor([0, 1, 2, 3, 4, 0])


def reassigned(descriptors: list[Descriptor], order: Sequence[int], kinds: set[str]) -> list[Descriptor]:
    """Return the descriptors with those of some kinds in the hands of the class that `order` gives them to."""
    owner = {f"class_{given}": f"class_{c}" for c, given in enumerate(order)}
    return [replace(text, action=owner[text.action]) if text.kind in kinds else text for text in descriptors]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kinds", [{"context", "decomposition", "description"}, {"decomposition"}, {"context"}])
def test_a_permutation_scores_as_if_the_texts_had_been_written_for_other_classes(
    method: str, kinds: set[str], frames: Tensor, dataset: Dataset, descriptors: list[Descriptor],
    ensemble: Ensemble, fake_encoder: FakeEncoder,
) -> None:  # fmt: skip
    videos = VideoBatch.of(frames)
    moved = torch.isin(ensemble.kind, torch.tensor([ensemble.kinds.index(kind) for kind in kinds]))
    permuted = permute(
        lambda part, texts: scores(videos.select(part), texts, method=method), ensemble, moved, LABELS, count=120,
        seed=0, apart=METHODS[method].classes_apart, max_floats=50,
    )  # fmt: skip
    assert permuted.exact
    for row, order in list(enumerate(permutations(range(5))))[::17]:
        texts = build_ensemble(dataset, reassigned(descriptors, order, kinds), fake_encoder, PROTOCOLS["default"])
        scored = scores(videos, texts, method=method)
        true = scored.gather(1, LABELS[:, None]).squeeze(1)
        margins = true - scored.masked_fill(one_hot(LABELS, 5).bool(), -torch.inf).amax(dim=1)
        assert permuted.margin[row] == pytest.approx(margins.mean().item(), abs=1e-6)
        assert permuted.hits[row].tolist() == (margins > 0).tolist()


def test_own_texts_in_the_hands_of_their_own_class_are_the_run(frames: Tensor, ensemble: Ensemble) -> None:
    same = swap(ensemble, torch.arange(5), ensemble.ids >= 0)
    assert torch.equal(same.ids, ensemble.ids)
    assert torch.equal(same.texts, ensemble.texts)


def test_all_orders_are_tried_where_they_are_few_else_some_at_random() -> None:
    orders, exact = assignments(4, 24, 0)
    assert exact
    assert {tuple(order) for order in orders.tolist()} == set(permutations(range(4)))
    orders, exact = assignments(5, 119, 0)
    assert not exact
    assert orders.shape == (119, 5)
    assert all(sorted(order) == list(range(5)) for order in orders.tolist())
    assert torch.equal(orders, assignments(5, 119, 0)[0])


def test_p_is_the_share_of_orders_that_are_as_good() -> None:
    hits = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 0]]).bool()
    margin = torch.tensor([0.1, 0.0, 0.3, -1.0], dtype=torch.float64)
    own = torch.tensor([1, 0, 1]).bool()
    assert Permuted(hits, margin, exact=True).p(own, 0.2) == 1 / 4  # two right videos, the larger margin
    assert Permuted(hits, margin, exact=True).p(own, 0.1) == 2 / 4
    assert Permuted(hits, margin, exact=False).p(own, 0.2) == 2 / 5
    assert Permuted(hits, margin, exact=False).p(torch.ones(3).bool(), 0.0) == 1 / 5


def test_the_true_order_is_as_good_as_itself_though_its_margin_is_rounded_otherwise() -> None:
    hits, margin = torch.tensor([[1, 1], [0, 1]]).bool(), torch.tensor([0.3, 0.1], dtype=torch.float64)
    assert Permuted(hits, margin, exact=True).p(torch.ones(2).bool(), 0.3 + 1e-8) == 1 / 2


def planted(seed: int, *, effect: float, classes: int = 10, videos: int = 60) -> float:
    """Return p of texts that are vectors towards the videos of their class, by `effect`; 0: they have no sense."""
    random = torch.Generator().manual_seed(seed)
    centres, texts = (normalize(torch.randn(classes, 3, 24, generator=random), dim=-1) for _ in range(2))
    labels = torch.arange(videos) % classes
    seen = normalize(centres[labels, 0] + 1.2 * torch.randn(videos, 24, generator=random) / 24**0.5 * 2, dim=-1)
    texts[:, 0] = normalize(0.3 * centres[:, 0] + texts[:, 0], dim=-1)  # the label
    texts[:, 1:] = normalize(effect * centres[:, :1] + texts[:, 1:], dim=-1)
    present, number = torch.ones(classes, 3).bool(), torch.arange(3).expand(classes, 3)
    made = Ensemble(texts, present, ("context",), number.clamp(max=1) - 1, number - 1, number - 1, ())
    batch = VideoBatch.of(seen[:, None])
    permuted = permute(
        lambda part, given: scores(batch.select(part), given), made, made.ids >= 0, labels, count=99, seed=seed
    )
    margins = scores(batch, made)
    true = margins.gather(1, labels[:, None])
    own = true.squeeze(1) - margins.masked_fill(one_hot(labels, classes).bool(), -torch.inf).amax(dim=1)
    return permuted.p(own > 0, own.double().mean().item())


@pytest.mark.slow
def test_p_is_uniform_over_500_worlds_in_which_texts_say_nothing() -> None:
    ps = sorted(planted(seed, effect=0.0) for seed in range(500))
    distance = max(max((n + 1) / 500 - p + 0.01, p - n / 500) for n, p in enumerate(ps))  # p is a multiple of 0.01
    assert distance < 1.36 / 500**0.5 + 0.01  # Kolmogorov and Smirnov's 5% limit


def test_an_effect_that_is_there_is_found() -> None:
    assert sum(planted(seed, effect=0.4) < 0.05 for seed in range(40)) >= 36


def test_random_texts_have_as_many_words_and_letters(descriptors: list[Descriptor]) -> None:
    texts = [replace(text, text=f"one two{'x' * n} three {'y' * n}".strip()) for n, text in enumerate(descriptors)]
    counts = [len(text.text.split()) for text in texts]
    for make in (scrambled, waffle, shared):
        made = make(texts, Random(1))
        by_id = {text.id: text for text in made}
        assert [len(by_id[text.id].text.split()) for text in texts] == counts
        assert [(by_id[t.id].action, by_id[t.id].kind, by_id[t.id].position) for t in texts] == [
            (t.action, t.kind, t.position) for t in texts
        ]
        assert [text.text for text in made] == [text.text for text in make(texts, Random(1))]
        assert [text.text for text in made] != [text.text for text in make(texts, Random(2))]


def test_scrambled_keeps_the_words_of_each_class(descriptors: list[Descriptor]) -> None:
    def words(texts: list[Descriptor]) -> dict[str, Counter[str]]:
        counted: dict[str, Counter[str]] = defaultdict(Counter)
        for text in texts:
            counted[text.action].update(text.text.split())
        return counted

    texts = [replace(text, text=f"word{n} and word{n + 1}") for n, text in enumerate(descriptors)]
    assert words(scrambled(texts, Random(0))) == words(texts)


def test_every_second_waffle_text_is_letters_of_the_same_lengths(descriptors: list[Descriptor]) -> None:
    texts = [replace(text, text="Throwing a ball") for text in descriptors if text.action == "class_4"]
    for number, text in enumerate(waffle(texts, Random(0))):
        words = text.text.split()
        if number % 2:
            assert list(map(len, words)) == [8, 1, 4]
        else:
            assert set(words) <= {"Throwing", "a", "ball"}


def test_shared_texts_are_the_same_for_all_classes(descriptors: list[Descriptor]) -> None:
    texts = [replace(text, text=f"some words of number {n}") for n, text in enumerate(descriptors)]
    by_class: dict[str, list[str]] = defaultdict(list)
    for text in shared(texts, Random(0)):
        if text.kind == "decomposition":
            by_class[text.action].append(text.text)
    longest = max(by_class.values(), key=len)
    assert all(lines == longest[: len(lines)] for lines in by_class.values())


@pytest.mark.parametrize("name", ["reversed", "shuffled"])
def test_order_is_nothing_to_mean_and_something_to_align(name: str, frames: Tensor, ensemble: Ensemble) -> None:
    videos = VideoBatch.of(frames)
    other = changed(videos, name, seed=0)
    assert torch.allclose(scores(other, ensemble), scores(videos, ensemble), atol=1e-6)
    assert (scores(other, ensemble, method="align") - scores(videos, ensemble, method="align")).abs().max() > 1e-3


def test_frames_are_changed_as_their_names_say() -> None:
    videos = torch.arange(10.0).reshape(2, 5, 1)
    assert FRAMES["reversed"][1](videos, 0)[0, :, 0].tolist() == [4, 3, 2, 1, 0]
    assert FRAMES["one frame"][1](videos, 0)[:, :, 0].tolist() == [[2] * 5, [7] * 5]
    orders = FRAMES["shuffled"][1](videos, 0)[:, :, 0]
    assert orders.sort(dim=1).values.tolist() == videos[:, :, 0].tolist()


@pytest.fixture
def misled(descgen: Run, balls: Path) -> Path:
    """The balls; the texts of each, which count twice as much as its label, are about the next one's colour."""
    texts = {"blue_ball": ["the red one"] * 3, "green_ball": ["the blue one"] * 3, "red_ball": ["the green one"] * 3}
    file = balls.parent / "decomposition.json"
    file.write_text(json.dumps({name: [f"{text} {n}" for n, text in enumerate(own)] for name, own in texts.items()}))
    assert descgen("import", file, "-d", balls, "-k", "decomposition").exit_code == 0
    return balls


def evaluated(recognize: Run, root: Path, *arguments: object) -> None:
    result = recognize("eval", root, "-e", "fake", "--frames", 3, *arguments)
    assert result.exit_code == 0, result.output


def test_the_command_measures_stores_and_says_it(recognize: Run, misled: Path) -> None:
    evaluated(recognize, misled, "--method", "ensemble")
    result = recognize("controls", 1, "--json")
    assert result.exit_code == 0, result.output
    measured = json.loads(result.stdout)
    whole, random = measured["texts"][0], {each["name"]: each for each in measured["texts"][1:]}
    # of the six orders of the lists: in 1 all six videos are right, in 3 the two of one class, in 2 none
    assert (measured["videos"], measured["left_out"], whole["replicates"], whole["exact"]) == (6, 1, 6, True)
    assert whole["real"] == 0
    assert whole["mean"] == pytest.approx((1 + 3 / 3) / 6)
    assert whole["p"] == 1
    assert random.keys() == {"scrambled", "waffle", "shared"}
    # a class is right in the two of six orders in which it has its own colour
    assert [(c["real"], c["swapped"], c["p"], c["p_worse"]) for c in measured["classes"]] == [
        (0, pytest.approx(2 / 6), 1, pytest.approx(4 / 6))
    ] * 3
    kept = json.loads(recognize("runs", 1, "--json").stdout)
    by_class = kept["results"]["controls"]["by_class"]
    ids = {name: [d["id"] for d in kept["descriptors"] if d["action"] == name] for name in by_class}
    assert {name: of["texts"] for name, of in by_class.items()} == ids
    assert by_class["red_ball"]["verdict"] == (
        "The texts of this class cannot be told from those of other classes: 0% of 2 videos right, 33% with the texts "
        "of other classes, p = 1.000"
    )
    assert [each["name"] for each in measured["frames"]] == [
        *["reversed"] * 3, *["shuffled"] * 3, *["one frame"] * 4
    ]  # fmt: skip
    shown = recognize("controls", 1, "--replicates", 0)
    assert "cannot be told from the texts of other classes" in shown.output
    assert "6 videos are too few to compare anything" in shown.output
    assert "controls: These texts cannot be told" in recognize("runs", 1).output


def test_a_sentence_about_a_class_says_better_worse_or_neither() -> None:
    texts = (1, 2)
    said = verdicts_by_class(
        [
            ClassControl("a", 20, texts, 0.9, 0.4, p=0.004, p_worse=1.0),
            ClassControl("b", 1, texts, 0.0, 0.8, p=1.0, p_worse=0.01),
            ClassControl("c", 9, texts, 0.5, 0.5, p=0.06, p_worse=0.9),
        ]
    )
    assert said == {
        "a": "The texts of this class are better than those of other classes: 90% of 20 videos right, 40% with the "
        "texts of other classes, p = 0.004 (of 3 classes, about 0.2 by chance)",
        "b": "The texts of this class are worse than those of other classes: 0% of 1 video right, 80% with the texts "
        "of other classes, p = 0.010 (of 3 classes, about 0.2 by chance)",
        "c": "The texts of this class cannot be told from those of other classes: 50% of 9 videos right, 50% with the "
        "texts of other classes, p = 0.060",
    }


def test_kinds_have_sentences_of_their_own(recognize: Run, descgen: Run, misled: Path) -> None:
    file = misled.parent / "context.json"
    file.write_text(json.dumps({f"{colour}_ball": [f"a {colour} place"] for colour in ("red", "green", "blue")}))
    assert descgen("import", file, "-d", misled, "-k", "context").exit_code == 0
    evaluated(recognize, misled, "--llm", "context", "--llm", "decomposition")
    measured = json.loads(recognize("controls", 1, "--json").stdout)
    by_kind = json.loads(recognize("runs", 1, "--json").stdout)["results"]["controls"]["by_kind"]
    assert by_kind.keys() == {"context", "decomposition"}
    for each in measured["kinds"]:
        points = f"{100 * each['difference']['value']:+.1f} ["
        assert by_kind[each["part"]].startswith(f"Texts of kind {each['part']} ")
        assert f"those of other classes: {points}" in by_kind[each["part"]]


def test_eval_with_controls_says_the_same(recognize: Run, misled: Path) -> None:
    result = recognize("eval", misled, "-e", "fake", "--frames", 3, "--controls")
    assert result.exit_code == 0, result.output
    assert "controls: These texts" in result.output
    assert recognize("runs", 1, "--json").output.count('"verdicts"') == 1


def test_a_run_of_labels_has_no_texts_to_exchange(recognize: Run, balls: Path) -> None:
    evaluated(recognize, balls, "--method", "label")
    result = recognize("controls", 1)
    assert result.exit_code == 1
    assert "Run 1 used no descriptors" in result.output
