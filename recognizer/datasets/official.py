"""The registry of official datasets. A new one is a file like ucf101.py and a line here (and its classes in db)."""

from __future__ import annotations

import re

from recognizer.datasets.class_folders import CLASS_FOLDERS
from recognizer.datasets.hmdb51 import HMDB51
from recognizer.datasets.kinetics import KINETICS400, KINETICS600
from recognizer.datasets.ucf101 import UCF101

OFFICIAL_DATASETS = {official.name: official for official in (UCF101, HMDB51, KINETICS400, KINETICS600)}
LAYOUTS = (
    *dict.fromkeys(official.layout for official in OFFICIAL_DATASETS.values()),
    CLASS_FOLDERS,
)  # tried in this order
LIST_NAMES = re.compile("|".join(layout.lists for layout in LAYOUTS if layout.lists))
