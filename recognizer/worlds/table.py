"""The map as a table: for the terminal, and in Markdown."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from db.commandline import table
from recognizer.worlds.measure import WorldMap
from recognizer.worlds.named import PLAIN
from recognizer.worlds.place import Placement
from recognizer.worlds.traits import TRAITS
from recognizer.worlds.wording import marked, placed, rules, sentences


def map_report(world_map: WorldMap) -> RenderableType:
    """Return the map: a row for each world, a column for each method, and what it says in words."""
    heads = [">" + method.replace("-", "-\n").replace("+", "+\n") for method in world_map.methods]
    rows = [
        (world.name, f"{100 * world_map.label_only[world.name].value:.1f}", *_cells(world_map, world.name))
        for world in world_map.worlds
    ]
    numbers = table("world", ">label\nonly %", *heads, rows=rows)
    for column in numbers.columns:
        column.no_wrap = True
    worlds = table("", "", rows=[(world.name, world.about) for world in world_map.worlds])
    worlds.show_header = False
    lines = (Text(line) for line in sentences(world_map))
    return Group(numbers, Text(), Text(rules(world_map)), Text(), worlds, Text(), *lines)


def placement_report(placement: Placement, *, name: str) -> RenderableType:
    """Return where a run is on the map: its traits beside those of the nearest world and of the plain one."""
    worlds = dict.fromkeys((placement.nearest[0], PLAIN))
    rows = [
        (trait.about, _value(placement.traits[trait.name]), *(_value(placement.worlds[w][trait.name]) for w in worlds))
        for trait in TRAITS
    ]
    return Group(
        table("", f">{name}", *(f">{world}" for world in worlds), rows=rows),
        Text(),
        *map(Text, placed(placement, name=name)),
        Text(),
    )


def _value(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def markdown(world_map: WorldMap) -> str:
    """Return the map in Markdown: the table, then the sentences as a list."""
    lines = [
        "| world | what is special | label only % | "
        + " | ".join(f"`{method}`" for method in world_map.methods)
        + " |",
        "|---|---|--:|" + "--:|" * len(world_map.methods),
        *(
            f"| `{world.name}` | {world.about} | {100 * world_map.label_only[world.name].value:.1f} | "
            + " | ".join(cell.strip() for cell in _cells(world_map, world.name))
            + " |"
            for world in world_map.worlds
        ),
    ]
    return "\n".join([*lines, "", rules(world_map), "", *(f"- {line}" for line in sentences(world_map))]) + "\n"


def _cells(world_map: WorldMap, world: str) -> list[str]:
    return [marked(world_map, world, method) for method in world_map.methods]
