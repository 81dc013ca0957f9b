"""Make the map in docs/methods.md and its picture again: python docs/methods_map.py, in a minute or two."""

from __future__ import annotations

import re
from pathlib import Path

from recognizer.worlds.measure import COLUMNS, measure
from recognizer.worlds.named import WORLDS
from recognizer.worlds.picture import draw_map
from recognizer.worlds.table import markdown

FOLDER = Path(__file__).parent
SEEDS = 20
BETWEEN = re.compile(r"(?<=<!-- map -->\n).*(?=<!-- end of the map -->)", re.DOTALL)


def main() -> None:
    """Replace what stands between the marks, and the picture."""
    world_map = measure(list(WORLDS.values()), list(COLUMNS), seeds=SEEDS)
    document = FOLDER / "methods.md"
    made = markdown(world_map)
    document.write_text(BETWEEN.sub(lambda _: f"\n{made}\n", document.read_text(encoding="utf-8")), encoding="utf-8")
    draw_map(world_map, FOLDER / "pictures" / "worlds.png")


if __name__ == "__main__":
    main()
