"""The program, Python, and the packages that they use: which are there, in which version."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from encoders.weights import first_line
from recognizer.doctor.findings import Finding, State, Surroundings

PROGRAM = "descgen-recognize"


@dataclass(frozen=True)
class Package:
    """One package.

    Attributes:
        module: its name for Python.
        distribution: its name for pip.
        use: what needs it; "": everything does.
        extra: the extra of ours that installs it; "": every installation has it.
    """

    module: str
    distribution: str
    use: str = ""
    extra: str = ""

    @property
    def command(self) -> str:
        """The command that installs it."""
        wanted = f"{PROGRAM}[{self.extra}]" if self.extra else _requirements().get(self.distribution, self.distribution)
        return f"pip install '{wanted}'"


PACKAGES = (
    Package("click", "click"),
    Package("rich", "rich"),
    Package("platformdirs", "platformdirs"),
    Package("packaging", "packaging", "text packs"),
    Package("sqlalchemy", "sqlalchemy"),
    Package("alembic", "alembic"),
    Package("numpy", "numpy"),
    Package("PIL", "pillow"),
    Package("av", "av"),
    Package("torch", "torch"),
    Package("torchvision", "torchvision"),
    Package("decord", "decord2", "fast reading of some videos; PyAV reads all of them"),
    Package("clip", "openai-clip", "the encoders of OpenAI, such as ViT-B/16"),
    Package("pkg_resources", "setuptools", "the encoders of OpenAI"),
    Package("transformers", "transformers", "hf: encoders, objects, local LLMs"),
    Package("safetensors", "safetensors", "hf: encoders, local LLMs"),
    Package("sentencepiece", "sentencepiece", "hf: encoders of SigLIP 1"),
    Package("google.protobuf", "protobuf", "hf: encoders of SigLIP 1"),
    Package("timm", "timm", "the encoder objects"),
    Package("accelerate", "accelerate", "local LLMs"),
    Package("gguf", "gguf", "local LLMs in GGUF files, such as smollm2"),
    Package("xgrammar", "xgrammar", "local LLMs"),
    Package("openai", "openai", "LLMs behind an API"),
    Package("json_repair", "json-repair", "descgen build"),
    Package("jsonschema", "jsonschema", "descgen build"),
    Package("pydantic", "pydantic", "descgen"),
    Package("jinja2", "jinja2", "descgen, pages of recognize"),
    Package("yaml", "pyyaml", "descgen"),
    Package("fastapi", "fastapi", "descgen review in a browser"),
    Package("uvicorn", "uvicorn", "descgen review in a browser"),
    Package("matplotlib", "matplotlib", "pictures of recognize explain, localize and descgen similarity"),
    Package("open_clip", "open_clip_torch", "encoders of open_clip", extra="open-clip"),
    Package("sentence_transformers", "sentence-transformers", "st: encoders", extra="sentence-transformers"),
    Package("ray", "ray", "jobs of your own on several machines", extra="ray"),
    Package("pyarrow", "pyarrow", "export to and import from Parquet", extra="parquet"),
    Package("psycopg", "psycopg", "databases on PostgreSQL", extra="postgresql"),
)


def is_there(module: str) -> bool:
    """Return whether Python finds a module, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # its parent is missing; it is half loaded
        return False


def load(module: str) -> Any:
    """Import a module; return the reason as a string if it does not load, whatever that is."""
    try:
        return importlib.import_module(module)
    except Exception as error:  # a library of the system is missing, a build for another processor ...
        return first_line(error)


def check_program(_: Surroundings) -> Iterator[Finding]:
    """Find the version of the program, of Python, and the system."""
    version = _version(PROGRAM) or "run from its source, not installed"
    yield Finding("program", PROGRAM, "ok", version)
    python = f"{platform.python_version()}, {sys.executable}"
    yield Finding("program", "Python", "ok" if sys.version_info >= (3, 11) else "missing", python)
    yield Finding("program", "system", "ok", f"{platform.system()} {platform.release()}, {platform.machine()}")


def check_packages(_: Surroundings) -> Iterator[Finding]:
    """Find each package, and whether its version is one that the program is made for."""
    yield from map(_find, PACKAGES)


def _find(package: Package) -> Finding:
    needed_by = f"needed by {package.use}" if package.use else "needed by everything"
    absent: State = "optional" if package.use else "missing"
    if not is_there(package.module):
        return Finding("packages", package.distribution, absent, f"not installed; {needed_by}", package.command)
    version, wanted = _version(package.distribution), _requirements().get(package.distribution, "")
    if version and not _fits(version, wanted):
        detail = f"{version}, which is not {wanted}; {needed_by}"
        return Finding("packages", package.distribution, absent, detail, f"pip install '{wanted}'")
    return Finding("packages", package.distribution, "ok", version or "of unknown version")


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _requirements() -> dict[str, str]:
    """Return what the installed program asks for by distribution, such as `av<19,>=14`, extras included."""
    try:
        lines = importlib.metadata.requires(PROGRAM) or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    stated = [line.partition(";")[0].strip() for line in lines]
    return {re.split(r"[\[<>=!~ ]", line)[0]: line for line in stated}


def _fits(version: str, requirement: str) -> bool:
    """Return whether a version is in the range of a requirement; without the package `packaging`, every one is."""
    packaging = load("packaging.requirements")
    if isinstance(packaging, str) or not requirement:
        return True
    return bool(packaging.Requirement(requirement).specifier.contains(version, prereleases=True))
