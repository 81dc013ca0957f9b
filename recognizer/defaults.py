"""Default locations of the database and the feature store."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

DATABASE = "descriptors.db"


def default_database() -> str:
    """Return DESCGEN_DB, else a SQLite file in the current folder."""
    return os.environ.get("DESCGEN_DB") or DATABASE


def default_features() -> Path:
    """Return RECOGNIZE_FEATURES, else a folder in the user's cache."""
    return Path(os.environ.get("RECOGNIZE_FEATURES") or user_cache_path("descgen-recognize") / "features")
