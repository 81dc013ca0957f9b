"""What requests hold: ids, the filter of a page, and how long their texts may be."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import Depends, Path
from pydantic import Field

from db.storable import LARGEST_INTEGER
from descriptor_gen.review.filters import Filter

LONGEST_TEXT = 2000  # characters
LONGEST_NAME = 300
LONGEST_QUERY = 4000

Number = Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]
Id = Annotated[int, Path(ge=1, le=LARGEST_INTEGER)]


def _asked(query: Annotated[Filter, Depends()]) -> Filter:
    return Filter.from_query(asdict(query))


Asked = Annotated[Filter, Depends(_asked)]
