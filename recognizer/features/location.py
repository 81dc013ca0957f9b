"""Where the feature store lies if nobody says."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path


def default_features() -> Path:
    """Return RECOGNIZE_FEATURES, else a folder in the user's cache."""
    return Path(os.environ.get("RECOGNIZE_FEATURES") or user_cache_path("descgen-recognize") / "features")
