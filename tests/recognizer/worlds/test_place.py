"""Which worlds videos and texts are most like."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from db.errors import UserError
from recognizer.scoring.pooling import VideoBatch
from recognizer.worlds.named import WORLDS
from recognizer.worlds.place import place
from recognizer.worlds.sample import sample
from recognizer.worlds.traits import Labelled, traits
from recognizer.worlds.world import World
from tests.fixtures.colours import balls, encoder
from tests.fixtures.commands import Run

__all__ = ["balls", "encoder"]  # fixtures
OTHER_SIZES = {"classes": 40, "videos": 400, "frames": 8, "width": 96, "steps": 4}


def labelled(world: World, seed: int = 0) -> Labelled:
    drawn = sample(world, seed=seed)
    return Labelled(drawn.videos, drawn.ensemble, drawn.labels)


@pytest.mark.parametrize("name", WORLDS)
def test_a_drawing_is_most_like_its_own_world(name: str) -> None:
    placement = place(labelled(WORLDS[name].world, seed=50))
    assert placement.nearest[0] == name
    assert not placement.is_off_the_map


def test_worlds_of_other_sizes_are_known_again() -> None:
    told = {name: place(labelled(replace(named.world, **OTHER_SIZES), seed=50)) for name, named in WORLDS.items()}
    wrong = {name for name, placement in told.items() if placement.nearest[0] != name}
    assert wrong <= {"random", "wrong"}  # without a right text, the two are near to each other
    assert not any(placement.is_off_the_map for placement in told.values())


def test_what_is_like_no_world_is_told_so() -> None:
    far = place(labelled(World(gap=30.0, noise_spread=3.0, prior_exponent=4.0)))
    assert far.is_off_the_map


def test_traits_that_can_be_counted_by_hand() -> None:
    x = labelled(World(classes=6, videos=40, frames=3, classes_present=4, group=2))
    found = traits(x)
    pooled, texts = x.videos.pooled, x.ensemble.texts.flatten(0, 1)
    assert found["gap"] == pytest.approx(float((pooled.mean(dim=0) - texts.mean(dim=0)).norm()), rel=1e-5)
    assert found["present"] == pytest.approx(len(set(x.labels.tolist())) / 6)

    frames = x.videos.frames / x.videos.frames.norm(dim=-1, keepdim=True)
    within = sum(float(video.var(dim=0).sum()) for video in frames) / 40  # n - 1 = 2 of 3 frames
    total = float(frames.flatten(0, 1).var(dim=0, correction=0).sum())
    assert found["frame share"] == pytest.approx(within / total, rel=1e-4)

    slots = [x.ensemble.texts[:, k] for k in ([0], [1, 2, 3], [4], [5])]
    centre = texts.mean(dim=0)
    between = sum(s.shape[1] * 6 * float((s.flatten(0, 1).mean(dim=0) - centre).square().sum()) for s in slots)
    assert found["kind share"] == pytest.approx(between / float((texts - centre).square().sum()), rel=1e-4)

    even = replace(x, labels=torch.arange(40) % 4)
    assert traits(even)["evenness"] == pytest.approx(1)


def test_the_share_of_classes_is_without_what_chance_gives() -> None:
    x = labelled(World(videos=400, classes=10, group=5))
    shuffled = replace(x, labels=x.labels[torch.randperm(400, generator=torch.Generator().manual_seed(0))])
    assert traits(shuffled)["class share"] == pytest.approx(0, abs=0.01)
    same = VideoBatch.of(torch.eye(64)[x.labels].unsqueeze(1))  # every video of a class is the same
    assert traits(replace(x, videos=same))["class share"] == pytest.approx(1)


def test_the_order_of_steps_is_seen_and_so_is_its_reverse() -> None:
    clear = World(video_noise=0.05, frame_noise=0.05, class_noise=0.05, text_noise=0.05)
    x = labelled(clear)
    assert traits(x)["order"] == 1
    assert traits(replace(x, videos=VideoBatch.of(x.videos.frames.flip(1))))["order"] == 0


def test_a_trait_that_is_not_defined_is_left_out() -> None:
    x = labelled(World())
    one_frame = place(replace(x, videos=VideoBatch.of(x.videos.frames[:, :1])))
    assert (one_frame.traits["frame share"], one_frame.traits["order"]) == (None, None)
    one_class = place(replace(x, labels=torch.zeros_like(x.labels)))
    assert (one_class.traits["label fit"], one_class.traits["other fit"]) == (None, None)
    with pytest.raises(UserError, match="one class only"):
        place(labelled(World(classes=1, group=1)))


def test_eval_says_so_where_no_world_is_near(recognize: Run, descgen: Run, balls: Path) -> None:
    file = balls.parent / "context.json"
    file.write_text(json.dumps({f"{colour}_ball": [f"a {colour} thing"] for colour in ("blue", "green", "red")}))
    assert descgen("import", file, "-d", balls, "-k", "context").exit_code == 0
    run = json.loads(recognize("eval", balls, "-e", "fake", "--worlds", "--json").stdout)
    like, far, more = run["results"]["worlds"]["lines"]
    assert like.startswith("run 1 is most like ")
    assert far == "No world is near (within 1.5): what the map says may not hold for run 1."
    assert more == "More: recognize worlds --run 1"
    assert run["results"]["worlds"]["gains"] == {}


def test_a_stored_run_is_placed_beside_the_worlds_it_is_most_like(recognize: Run, descgen: Run, balls: Path) -> None:
    said = {"blue_ball": ["a blue thing"], "green_ball": ["a green thing"], "red_ball": ["a red thing"]}
    file = balls.parent / "context.json"
    file.write_text(json.dumps(said))
    assert descgen("import", file, "-d", balls, "-k", "context").exit_code == 0
    arguments = ("eval", "-d", "balls", "--root", balls, "-e", "fake", "--json")
    run = json.loads(recognize(*arguments).stdout)["id"]
    shown = recognize("worlds", "--run", run, "--seeds", 2)
    assert shown.exit_code == 0, shown.output
    assert f"run {run} is most like " in shown.stdout
    assert "the map says may not hold" in shown.stdout  # balls without any noise are like no world
    found = json.loads(recognize("worlds", "--run", run, "--seeds", 2, "--json").stdout)
    assert found["placement"]["traits"]["present"] == 1
    assert {row["world"] for row in found["map"]} == set(list(found["placement"]["distances"])[:3])

    alone = json.loads(recognize(*arguments, "--method", "label").stdout)["id"]
    refused = recognize("worlds", "--run", alone)
    assert refused.exit_code == 1
    assert f"Run {alone} used no descriptors" in refused.stderr
