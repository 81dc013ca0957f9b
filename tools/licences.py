"""The table of licences in docs/licences.md: what each package of hashes.txt says about itself, and the models."""

from __future__ import annotations

from email.message import Message
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import cast

HASHES = Path(__file__).parents[1] / "hashes.txt"
NOT_SAID = "not said in the package"
_LONGEST = 60  # characters of a name of a licence; a longer text is the licence itself
MODELS = {
    "SmolLM2 (`--llm smollm2`)": "Apache-2.0",
    "all-MiniLM-L6-v2 (`--encoder objects`, `minilm`)": "Apache-2.0; its package: MIT",
    "EfficientNet-Lite2 (`--encoder objects`)": "Apache-2.0",
    "CLIP of OpenAI (`--encoder ViT-B/16` and others)": "MIT in its repository, openai/CLIP, where it is not "
    "said whether that covers the weights; the model card puts any deployed use, commercial or not, out of scope",
}


def licence_of(package: Message) -> str:
    """Return a package's licence expression, else its classifiers, else its field `License`."""
    classifiers = [text.rpartition(" :: ")[2] for text in package.get_all("Classifier") or [] if "License ::" in text]
    named = (package.get("License") or "").strip()
    short = named if len(named) <= _LONGEST and "\n" not in named and named != "UNKNOWN" else ""
    return package.get("License-Expression") or ", ".join(classifiers) or short or NOT_SAID


def licences() -> dict[str, str]:
    """Return the licence of each installed package of hashes.txt; those of other platforms are missing."""
    by_package: dict[str, str] = {}
    for line in HASHES.read_text(encoding="utf-8").splitlines():
        name = line.partition("==")[0]
        try:
            by_package |= {} if line.startswith("#") else {name: licence_of(cast(Message, metadata(name)))}
        except PackageNotFoundError:
            continue
    return by_package


def page() -> str:
    """Return the document."""
    packages = [f"| {name} | {licence} |" for name, licence in licences().items()]
    models = [f"| {name} | {licence} |" for name, licence in MODELS.items()]
    lines = (
        "# Licences", "", "Made by `make supply`. This project: MIT.", "", "## Models", "",
        "| model | licence |", "|---|---|", *models, "",
        "Any other model that you name has the licence on its own page.", "", "## Packages", "",
        "Direct and transitive dependencies with all that tests need, as their metadata say.", "",
        "| package | licence |", "|---|---|", *packages,
    )  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    print(page())
