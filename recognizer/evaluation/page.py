"""What the HTML pages of runs and explanations share: the template environment, and numbers with a real minus."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

MINUS = "\N{MINUS SIGN}"


def template_environment(package: str) -> Environment:
    """Return the environment of the templates of a package: escaped, strict about undefined names."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(package), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def number(value: float, digits: int = 1, *, plus: bool = True) -> str:
    """Return a number with its sign and a real minus; one that rounds to zero has no sign."""
    text = f"{value:+.{digits}f}" if plus else f"{value:.{digits}f}"
    return text.lstrip("+-") if not float(text) else text.replace("-", MINUS)
