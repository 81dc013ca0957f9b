"""The worlds that every method is measured on: a plain one, and others that are one effect away from it."""

from __future__ import annotations

from dataclasses import dataclass

from db.errors import UsageError, unknown
from recognizer.worlds.world import World


@dataclass(frozen=True)
class NamedWorld:
    """A world with the value of `--world` and what is special about it, in words."""

    name: str
    about: str
    world: World


PLAIN = "plain"
WORLDS: dict[str, NamedWorld] = {
    named.name: named
    for named in (
        NamedWorld(PLAIN, "right texts, frames that follow the steps", World()),
        NamedWorld("gap", "videos and texts four times as far apart", World(gap=4.0)),
        NamedWorld("hubs", "a tenth of all texts is near to every video", World(hubs=0.1)),
        NamedWorld("entangled", "classes in groups of four that share 60% of their look", World(entangled=0.6)),
        NamedWorld("kinds", "texts differ more by kind than by class", World(kind_effect=2.5)),
        NamedWorld("unequal", "some classes have texts that agree, others have not", World(noise_spread=0.7)),
        NamedWorld("junk", "60% of the frames show no action", World(junk_frames=0.6)),
        NamedWorld("twins", "pairs of classes that differ in the order of their steps alone", World(twins=True)),
        NamedWorld("uneven", "steps last unequally long", World(uneven_steps=2.0)),
        NamedWorld("shuffled", "frames in random order", World(shuffled=True)),
        NamedWorld("few", "only 3 of the 20 classes have videos", World(classes_present=3)),
        NamedWorld("skewed", "half of the videos are of two classes", World(prior_exponent=1.2)),
        NamedWorld("mixed", "half of the descriptors mean nothing", World(random_texts=0.5)),
        NamedWorld("random", "no descriptor means anything", World(random_texts=1.0)),
        NamedWorld("wrong", "every class has the descriptors of another", World(wrong_texts=1.0)),
    )
}


def world_of(name: str) -> NamedWorld:
    """Return a world by name.

    Raises:
        UsageError: there is no world of that name.
    """
    if name not in WORLDS:
        raise UsageError(unknown("world", name, WORLDS))
    return WORLDS[name]
