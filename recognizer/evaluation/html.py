"""Shared by pages, pictures and tables: fill a template, format numbers, shorten a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

MINUS = "\N{MINUS SIGN}"


def fill_template(package: str, name: str, filters: dict[str, Callable[..., Any]], **values: Any) -> str:
    """Fill a template in the folder `templates` of a package; values are escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= filters
    return environment.get_template(name).render(values)


def signed(value: float, digits: int = 3, *, plus: bool = True) -> str:
    """Return a number with its sign and a typographic minus; a number that rounds to zero has no sign."""
    text = f"{value:+.{digits}f}" if plus else f"{value:.{digits}f}"
    return text.lstrip("+-") if not float(text) else text.replace("-", MINUS)


def interval(rate: Mapping[str, float]) -> str:
    """Return a rate in percent with its 95% interval, as `41.2 [38.0, 44.5]`."""
    return f"{100 * rate['value']:.1f} [{100 * rate['low']:.1f}, {100 * rate['high']:.1f}]"


def signed_interval(rate: Mapping[str, float]) -> str:
    """Return a difference in points with its 95% interval, as `+1.2 [-0.8, +3.1]`."""
    return f"{100 * rate['value']:+.1f} [{100 * rate['low']:+.1f}, {100 * rate['high']:+.1f}]"


def shortened(text: str, limit: int) -> str:
    """Return a text of at most `limit` characters; one that is cut ends in `…`."""
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"
