"""What the application is made of: sites, each with its routes, templates and scripts, and the renderer they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from db.records import Descriptor
from descriptor_gen.review.filters import Filter
from descriptor_gen.review.replies import Replies
from descriptor_gen.review.session import ReviewSession

Route = tuple[Callable[..., Response], Replies]  # a plain function, which runs in a thread and may wait; its replies


def _session_of(request: Request) -> ReviewSession:
    session: ReviewSession = request.app.state.session_of(request)
    return session


Current = Annotated[ReviewSession, Depends(_session_of)]
"""The session of the reviewer who sent the request."""


@dataclass(frozen=True)
class Site:
    """A part of the application.

    Attributes:
        get, post: path -> route; a POST needs the secret of our own pages.
        package: has the folders `templates` and `static`; static files are served at /static/<package>/.
        links: (address, name) of its pages in the navigation.
        scripts, styles: static files that every page loads.
        beside: templates that the page of a class shows beside its texts.
        blind: whether blind reviewers may use it: nothing in it tells what others decided.
    """

    get: Mapping[str, Route]
    package: str
    post: Mapping[str, Route] = field(default_factory=dict)
    links: Sequence[tuple[str, str]] = ()
    scripts: Sequence[str] = ()
    styles: Sequence[str] = ()
    beside: Sequence[str] = ()
    blind: bool = False


def _nothing(_session: ReviewSession, _descriptor: Descriptor) -> str:
    """Say nothing about a text in place of its stored impact; a site may `share` a function that returns HTML."""
    return ""


class Renderer:
    """Renders the templates of every site; pages extend `base.html` of the review."""

    def __init__(self, csrf: Callable[[ReviewSession], str]) -> None:
        """Start without sites; `csrf` returns the secret that the pages of a session hold."""
        self._loaders: list[PackageLoader] = []
        self._sites: list[Site] = []
        self._environment = Environment(
            loader=ChoiceLoader(self._loaders), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._environment.globals.update(said_of=_nothing)
        self._csrf = csrf

    def include(self, site: Site) -> None:
        """Add the templates of a site, and its links and scripts to every page.

        Raises:
            ValueError: another package has a template of the same name, which would be rendered instead.
        """
        if site.package not in {other.package for other in self._sites}:
            loader = PackageLoader(site.package)
            if clash := set(loader.list_templates()) & set(self._environment.list_templates()):
                raise ValueError(f"{site.package} has templates with the names of others: {sorted(clash)}")
            self._loaders.append(loader)
        self._sites.append(site)

    def share(self, values: Mapping[str, Any], **filters: Callable[..., Any]) -> None:
        """Add values and filters that every template may use."""
        self._environment.globals.update(values)
        self._environment.filters.update(filters)

    def part(self, session: ReviewSession, name: str, values: Mapping[str, Any]) -> str:
        """Return a part of a page."""
        shared = {
            "session": session,
            "dataset": session.dataset.name,
            "reviewer": session.reviewer,
            "blind": session.blind,
            "csrf": self._csrf(session),
            "sites": [site for site in self._sites if site.blind or not session.blind],
            **({"said_of": _nothing} if session.blind else {}),
        }
        return self._environment.get_template(f"{name}.html").render(shared | dict(values))

    def page(self, session: ReviewSession, name: str, values: Mapping[str, Any], filter_: Filter) -> Response:
        """Return a whole page: a template that extends `base.html`."""
        shared = {"page": name, "filter": filter_, "totals": session.totals(), "left": session.time_left()}
        return HTMLResponse(self.part(session, name, shared | dict(values)))
