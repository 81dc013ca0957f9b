"""Where things are kept unless something else is said; only the commands and the Python face look here."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

DATABASE = "descriptors.db"


def default_database() -> str:
    """Return what DESCGEN_DB says, else a SQLite file in the current folder."""
    return os.environ.get("DESCGEN_DB") or DATABASE


def default_features() -> Path:
    """Return what RECOGNIZE_FEATURES says, else a folder in the user's cache."""
    return Path(os.environ.get("RECOGNIZE_FEATURES") or user_cache_path("descgen-recognize") / "features")
