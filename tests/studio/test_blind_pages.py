"""The whole application in a blind review: what other packages add is closed to blind reviewers, and not offered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fastapi import FastAPI

from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from descriptor_gen.review.app import create_app
from descriptor_gen.review.identity import SETTLER
from descriptor_gen.review.reviewers import Panel, Reviewers
from descriptor_gen.review.security import access_rules
from descriptor_gen.review.session import ReviewSession
from studio.command import make_app, videos_of
from tests.fixtures.commands import Run
from tests.fixtures.several import Client


@pytest.fixture
def application(descgen: Run, llm: FakeLLM, store: Store, features: Path) -> Iterator[tuple[FastAPI, Reviewers]]:
    """The application of two blind reviewers, over a database with two classes."""
    descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "2")
    dataset = store.dataset("hmdb51")
    starter = ReviewSession(store, dataset, reviewer="host")
    reviewers = Reviewers(Panel(("anna", "bob"), blind=True, overlap=1.0), starter)
    rules = access_rules("127.0.0.1", identities=reviewers.identities("127.0.0.1"))
    with closing(starter), closing(videos_of(
        store, dataset, videos=None, encoder=None, features=features, report=print)
    ) as videos:  # fmt: skip
        yield make_app(starter, rules, videos, reviewers=reviewers), reviewers


def read(app: FastAPI) -> set[str]:
    return {path for path, methods in app.openapi()["paths"].items() if "get" in methods}


def test_pages_of_other_packages_are_closed_to_blind_reviewers(application: tuple[FastAPI, Reviewers]) -> None:
    app, reviewers = application
    anna, settler = Client(app), Client(app)
    anna.get(f"/?token={reviewers.secrets['anna']}")
    settler.get(f"/?token={reviewers.secrets[SETTLER]}")
    review = create_app(reviewers.starter, access_rules("127.0.0.1"))
    others = read(app) - read(review)
    assert {"/runs", "/runs/{run}", "/videos"} <= others
    for path in others:
        address = re.sub(r"{\w+}", "1", path)
        assert "it may tell what others decided" in anna.get(address, expected=403), path
    posted = {path for path, methods in app.openapi()["paths"].items() if "post" in methods}
    for path in posted - {path for path, methods in review.openapi()["paths"].items() if "post" in methods}:
        anna.post(re.sub(r"{\w+}", "1", path), expected=403)
    settler.get("/runs")
    for page in ("/", "/class/0", "/compare", "/log"):
        source = anna.get(page)
        assert "/static/studio/" not in source
        assert "/runs" not in source
    assert "/static/studio/" in settler.get("/class/0")
