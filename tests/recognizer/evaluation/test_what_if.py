"""What a decision would do: equal to a full evaluation after the decision was really made."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from db.errors import UsageError, UserError
from db.records import Dataset, Decision, Run
from recognizer.datasets.find import find_videos
from recognizer.datasets.records import Video
from recognizer.evaluation.decided import Possible
from recognizer.evaluation.ranking import embed_listed, pooled, video_scores
from recognizer.evaluation.settings import Settings
from recognizer.evaluation.what_if import Effect, WhatIf
from recognizer.features.embed import Features
from recognizer.scoring.ensemble import build_ensemble
from recognizer.scoring.metrics import ranks
from recognizer.scoring.selection import DescriptorChoice
from tests.fixtures.many_classes import CLASSES, EACH, Made, made

__all__ = ["made"]  # fixtures

ACCEPTED = DescriptorChoice(statuses=("accepted",), partial=True)
NAMED = DescriptorChoice(names="replace")
CASES: Mapping[str, Settings] = {
    "mean": Settings(encoder="fake"),
    "mean tear": Settings(encoder="fake", protocol="tear"),
    "mean accepted": Settings(encoder="fake", choice=ACCEPTED),
    "ensemble tear accepted": Settings(encoder="fake", protocol="tear", method="ensemble", choice=ACCEPTED),
    "ensemble-published": Settings(encoder="fake", method="ensemble-published", pooling="max"),
    "max": Settings(encoder="fake", method="max", unit_frames=True),
    "max of steps": Settings(encoder="fake", method="max", choice=DescriptorChoice(kinds=("decomposition",))),
    "soft, views": Settings(encoder="fake", method="soft", temperature=20.0, frames=2, clips=2),
    "parts": Settings(encoder="fake", method="parts", choice=DescriptorChoice(partial=True)),
    "align": Settings(encoder="fake", method="align"),
    "dtw": Settings(encoder="fake", method="dtw", choice=DescriptorChoice(partial=True)),
    "rerank": Settings(encoder="fake", method="rerank", choice=DescriptorChoice(partial=True)),
    "autoclip": Settings(encoder="fake", method="autoclip"),
    "mta": Settings(encoder="fake", method="mta"),
    "names": Settings(encoder="fake", condition=True, choice=replace(NAMED, partial=True)),
    "label by name": Settings(encoder="fake", method="label", choice=replace(NAMED, partial=True)),
    "one writer": Settings(encoder="fake", choice=DescriptorChoice(kinds=("context",), llms=("context.json",))),
}
EDITS_EACH = 12  # 204 in all, and those that are refused


@pytest.fixture(autouse=True)
def _every_score_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recognizer.evaluation.evaluate._STORED_CLASSES", CLASSES)


def prepared(made: Made, settings: Settings) -> WhatIf:
    listed = find_videos(made.dataset, made.root)
    embedded = embed_listed(made.dataset, listed, made.encoder, settings=settings)
    what_if = WhatIf(made.dataset, embedded.features, made.encoder, settings=settings,
                     left_out=len(embedded.features.unreadable))  # fmt: skip
    what_if.update(made.in_use())
    return what_if


def drawn(made: Made, settings: Settings, chance: random.Random) -> Possible:
    """Return a random decision, mostly about a text that is scored; some cannot be made."""
    decision: Any = chance.choices(["edit", "add", "accept", "reject", "restore"], [8, 4, 3, 5, 2])[0]
    every = made.in_use()
    scored = [d for d in every if settings.with_texts_used().choice.takes(d.kind)]
    row = chance.choice(scored if chance.random() < 0.8 else every)
    text = chance.choices([f"new {chance.random()}", "long " * 90, chance.choice(scored).text, " "], [5, 1, 4, 1])[0]
    if decision == "add":
        return Possible("add", text=text, action=f"class_{chance.randrange(CLASSES):02}", kind=row.kind)
    return Possible(decision, descriptor=row.id, text=text)


def really(made: Made, possible: Possible) -> Decision:
    reviews = made.store.reviews()
    if possible.decision == "add":
        return reviews.add(made.dataset, possible.action, possible.kind, possible.text, reviewer="anna")
    [ref] = [d.ref for d in made.in_use() if d.id == possible.descriptor]
    if possible.decision == "edit":
        return reviews.edit(ref, possible.text, reviewer="anna")
    decide: Callable[..., Decision] = getattr(reviews, possible.decision)
    return decide([ref], reviewer="anna")


def margin_of(run: Run) -> np.ndarray[Any, Any]:
    """Return the margin of each video, from the stored ranking of all classes."""
    rows = [(dict(p.ranking), p.label) for p in run.predictions]
    return np.array([scored[label] - max(s for c, s in scored.items() if c != label) for scored, label in rows])


def outcome(what_if: WhatIf, possible: Possible) -> Effect | str:
    """Return the effect of a decision, or why it is refused."""
    try:
        return what_if.effect(possible)
    except UserError as error:
        return without_ids(error)


def without_ids(error: UserError) -> str:
    """Return a message without numbers: a text that is only tried has no id yet."""
    return re.sub(r"\d+", "N", str(error))


def failure(made: Made, possible: Possible, settings: Settings) -> str:
    """Return why a decision, or the evaluation after it, is refused; undo it."""
    try:
        really(made, possible)
    except UserError as error:
        return without_ids(error)
    with pytest.raises(UserError) as refused:
        made.evaluated(settings)
    made.store.reviews().undo(reviewer="anna")
    return without_ids(refused.value)


@pytest.mark.parametrize("case", CASES)
def test_it_equals_an_evaluation_after_the_decision(made: Made, case: str) -> None:
    settings, chance = CASES[case], random.Random(case)
    for descriptor in made.in_use():
        if chance.random() < 0.6:
            made.store.reviews().accept([descriptor.ref], reviewer="anna")
    what_if, before = prepared(made, settings), made.evaluated(settings)
    compared = changed = 0
    while compared < EDITS_EACH:
        possible = drawn(made, settings, chance)
        effect = outcome(what_if, possible)
        if isinstance(effect, str):
            assert effect == failure(made, possible, settings)
            continue
        scores = what_if.scores(possible)
        really(made, possible)
        after = made.evaluated(settings)
        labels = torch.tensor([p.label for p in after.predictions])
        assert ranks(scores, labels).tolist() == [p.rank for p in after.predictions]
        rows = [run.results["rows"]["label + descriptors"]["top1"] for run in (before, after)]
        assert [vars(rate) for rate in (effect.top1.first, effect.top1.second)] == rows
        assert vars(effect.label_only) == after.results["rows"]["label only"]["top1"]
        pairs = list(zip(before.predictions, after.predictions, strict=True))
        assert effect.gained == tuple(b.video for a, b in pairs if a.rank > 1 >= b.rank)
        assert effect.lost == tuple(b.video for a, b in pairs if b.rank > 1 >= a.rank)
        moved = margin_of(after) - margin_of(before)
        own = [p.label == int(effect.action[-2:]) for p in after.predictions]
        assert effect.margin_change == pytest.approx(moved.mean(), abs=1e-5)
        assert effect.class_margin_change == pytest.approx(moved[own].mean(), abs=1e-5)
        assert (effect.videos, effect.class_videos, effect.left_out) == (CLASSES * EACH, EACH, 1)
        assert effect.changes == (before.descriptors_sha256 != after.descriptors_sha256)
        compared, changed = compared + 1, changed + effect.changes
        before = after
        what_if.update(made.in_use())
    assert changed > EDITS_EACH / 4


def of_random_frames(made: Made, settings: Settings) -> tuple[WhatIf, Features]:
    """Return it for videos that are near no other: 90 of random frames [90, 4, D]."""
    frames = torch.randn(90, 4, 32, generator=torch.Generator().manual_seed(3))
    videos = tuple(Video(f"video {v}", v % CLASSES, None, ()) for v in range(90))
    features = Features(frames, 1, videos, (), {}, new=0)
    what_if = WhatIf(made.dataset, features, made.encoder, settings=settings)
    what_if.update(made.in_use())
    return what_if, features


def test_a_text_that_two_classes_share_ties_and_counts_against_both(made: Made) -> None:
    what_if, features = of_random_frames(made, Settings(method="max"))
    texts, ties = made.in_use(), 0
    for new, old in zip(texts[:50], texts[60:110], strict=True):
        scores = what_if.scores(Possible("edit", descriptor=old.id, text=new.text))
        rows = [d if d.id != old.id else replace(d, text=new.text, id=1000) for d in texts if d.kind != "name"]
        whole = build_ensemble(made.dataset, rows, made.encoder, Settings().wording())
        batch = pooled(features, settings=Settings())
        full = video_scores(features, batch, whole, settings=Settings(method="max"))
        labels = features.labels
        assert ranks(scores, labels).tolist() == ranks(full, labels).tolist()
        ties += int((full == full.amax(dim=1, keepdim=True)).sum()) - 90
    assert ties > 5


def test_the_nearest_class_is_the_one_with_the_largest_cosine_of_mean_texts(made: Made) -> None:
    settings = Settings(choice=DescriptorChoice(kinds=("context",)))
    what_if, _ = of_random_frames(made, settings)
    texts: dict[str, list[str]] = {}
    for d in made.in_use():
        if d.kind == "context":
            texts.setdefault(d.action, []).append(d.text)
    old = next(d for d in made.in_use() if d.text == texts["class_03"][0])

    def nearest() -> tuple[str, float]:
        unit = torch.nn.functional.normalize
        heads = {}
        for name, said in texts.items():
            phrase = name.replace("_", " ")
            templates = [f"{of} {phrase}" for of in ("a video of", "a photo of", "footage of", "a scene of")]
            label = unit(made.encoder.encode_texts(templates), dim=1).mean(dim=0)
            heads[name] = unit(
                torch.stack([unit(t, dim=0) for t in (label, *made.encoder.encode_texts(said))]).mean(dim=0), dim=0
            )
        cosines = {name: float(head @ heads["class_03"]) for name, head in heads.items() if name != "class_03"}
        return max(cosines.items(), key=lambda item: item[1])

    before = nearest()
    texts["class_03"][0] = "class 11 as it is"
    effect = what_if.effect(Possible("edit", descriptor=old.id, text="class 11 as it is"))
    for found, (name, cosine) in ((effect.nearest_before, before), (effect.nearest, nearest())):
        assert (found.name, found.cosine) == (name, pytest.approx(cosine, abs=1e-5))
    assert (effect.texts, effect.cut) == (2, ())


def test_a_text_that_is_cut_is_told_and_nothing_tried_is_stored(made: Made) -> None:
    what_if = prepared(made, Settings())
    fake = made.encoder.uncached
    row = next(d for d in made.in_use() if d.kind == "context")
    before = len(fake.encoded)  # type: ignore[attr-defined]
    effect = what_if.effect(Possible("edit", descriptor=row.id, text="long " * 90))
    assert effect.cut == (" ".join(["long"] * 90),)
    what_if.effect(Possible("edit", descriptor=row.id, text="long " * 90))
    assert len(fake.encoded) == before + 1, "each string is encoded once"  # type: ignore[attr-defined]
    made.encoder.encode_texts([effect.cut[0]])
    assert len(fake.encoded) == before + 2, "the feature store did not have it"  # type: ignore[attr-defined]


def test_a_class_that_loses_its_last_text_is_refused_or_label_only(made: Made) -> None:
    contexts = [d for d in made.in_use() if (d.action, d.kind) == ("class_02", "context")]
    made.store.reviews().reject([contexts[0].ref], reviewer="anna")
    last = Possible("reject", descriptor=contexts[1].id)
    choice = DescriptorChoice(kinds=("context",))
    with pytest.raises(UserError, match=r"context for 1 of the 18 classes of many: class_02.*--partial"):
        prepared(made, Settings(choice=choice)).effect(last)
    assert prepared(made, Settings(choice=replace(choice, partial=True))).effect(last).texts == 0


def test_a_decision_that_changes_nothing_that_is_scored_says_so(made: Made) -> None:
    what_if = prepared(made, Settings(choice=DescriptorChoice(kinds=("context",))))
    step = next(d for d in made.in_use() if d.kind == "decomposition")
    context = next(d for d in made.in_use() if d.kind == "context")
    for possible in (Possible("reject", descriptor=step.id), Possible("accept", descriptor=context.id)):
        effect = what_if.effect(possible)
        assert (effect.changes, effect.gained, effect.lost, effect.margin_change) == (False, (), (), 0.0)
        assert effect.top1.first == effect.top1.second
        assert effect.nearest == effect.nearest_before


def test_what_cannot_be_tried_is_refused_with_the_reason(made: Made) -> None:
    features = embed_listed(
        made.dataset, find_videos(made.dataset, made.root), made.encoder, settings=Settings()
    ).features

    def refused(settings: Settings = Settings(), dataset: Dataset = made.dataset, **changes: Any) -> str:  # noqa: B008
        with pytest.raises(UserError) as error:
            WhatIf(dataset, replace(features, **changes), made.encoder, settings=settings)
        return str(error.value)

    assert "leave transductive out" in refused(Settings(transductive="zlap"))
    assert "labels alone" in refused(Settings(method="label"))
    assert "labels alone" in refused(Settings(choice=DescriptorChoice(kinds=())))
    assert "--texts" in refused(Settings(choice=DescriptorChoice(texts="pack:some 1")))
    assert "one class only" in refused(dataset=replace(made.dataset, actions=made.dataset.actions[:1]))
    assert "No video of many" in refused(videos=())
    several = tuple(replace(video, labels=(1, 2)) for video in features.videos[:2])
    assert f"2 of {CLASSES * EACH} videos have several" in refused(videos=(*several, *features.videos[2:]))
    with pytest.raises(UsageError, match="call update first"):
        WhatIf(made.dataset, features, made.encoder, settings=Settings()).effect(Possible("accept", descriptor=1))
