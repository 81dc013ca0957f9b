"""What the application answers about videos: states, kinds of datasets, and texts in which nothing may be trusted."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from db import vocabulary
from db.records import Impact
from db.store import Store
from descriptor_gen.review.security import access_rules
from descriptor_gen.review.session import ReviewSession
from encoders.testing import FakeEncoder
from studio.command import make_app
from studio.evidence import Videos, load_evidence
from tests.fixtures.colours import balls, encoder
from tests.fixtures.commands import Run
from tests.fixtures.studio import evaluated, many

__all__ = ["balls", "encoder"]  # fixtures

LIMIT = 60  # seconds, which only end a test that hangs


class Client:
    """A client of the application of one session."""

    def __init__(self, store: Store, features: Path, dataset: str) -> None:
        self.session = ReviewSession(store, store.dataset(dataset), reviewer="anna")
        load = partial(load_evidence, store, self.session.dataset, videos=None, encoder=None, features=features)
        self.videos = Videos(load)
        rules = access_rules("127.0.0.1")
        headers = {"x-csrf-token": rules.csrf}
        self.web = TestClient(make_app(self.session, rules, self.videos), base_url="http://localhost", headers=headers)

    def fresh(self, label: int) -> dict[str, Any]:
        """Ask for the frames of a class until they are about its texts as they are now."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            answer: dict[str, Any] = self.web.get(f"/class/{label}/frames").json()
            if answer.get("fresh") or not (answer["loading"] or answer["videos"]):
                return answer
            time.sleep(0.02)
        raise AssertionError(answer)

    def decide(self, decision: str, *ids: int, **more: object) -> None:
        texts = {d.id: d for d in self.session.snapshot().descriptors}
        refs = [[id_, texts[id_].version] for id_ in ids]
        answer = self.web.post("/decide", json={"decision": decision, "refs": refs, **more})
        assert answer.status_code == 200, answer.text


@contextmanager
def client(store: Store, features: Path, dataset: str = "balls") -> Iterator[Client]:
    opened = Client(store, features, dataset)
    try:
        yield opened
    finally:
        opened.videos.close()
        opened.session.close()


def test_nothing_loads_until_a_page_asks(
    balls: Path, descgen: Run, recognize: Run, store: Store, features: Path
) -> None:
    evaluated(descgen, recognize, many(balls))
    with client(store, features) as one:
        page = one.web.get("/class/1").text
        assert "The videos are being loaded." in page
        assert 'class="said"' not in page
        assert one.videos.is_loading
        one.fresh(1)
        page = one.web.get("/class/1").text
        assert page.count('class="said"') == 2
        assert "The videos are being loaded." not in page
        assert one.web.get("/videos").json() == {"loading": False, "note": "", "videos": True}
        assert one.web.get("/class/9/frames").status_code == 404


def test_an_edit_is_encoded_once_and_nothing_else_is(
    balls: Path, descgen: Run, recognize: Run, store: Store, features: Path, encoder: FakeEncoder
) -> None:
    evaluated(descgen, recognize, many(balls))
    with client(store, features) as one:
        one.fresh(1)
        encoded, frames = list(encoder.encoded), list(encoder.frames)
        text = next(d for d in one.session.snapshot().descriptors if d.text == "a green thing")
        one.decide("edit", text.id, text="a blue thing, quite new")
        answer = one.fresh(1)
        assert encoder.encoded == [*encoded, "a blue thing, quite new"]
        assert encoder.frames == frames
        new = next(d for d in one.session.snapshot().descriptors if d.text == "a blue thing, quite new")
        assert "fires more on blue ball than on its own class" in answer["said"][str(new.id)]
        one.decide("accept", new.id)
        one.decide("undo")
        one.fresh(1)
        assert len(encoder.encoded) == len(encoded) + 1


def test_markup_in_texts_names_and_reasons_is_text(
    balls: Path, descgen: Run, recognize: Run, store: Store, features: Path
) -> None:
    many(balls)
    odd = "<img src=x onerror=alert(1)>"
    (balls / "red_ball" / "a").rename(balls / "red_ball" / "a<b>&")
    evaluated(descgen, recognize, balls)
    with client(store, features) as one:
        text = next(d for d in one.session.snapshot().descriptors if d.text == "a red thing")
        one.decide("edit", text.id, text=odd)
        answer = one.fresh(2)
        assert "<img src=x" not in json.dumps(answer["said"]) + answer["html"]
        assert "a<b>&" not in answer["html"]
        assert str(balls) not in json.dumps(answer)


def test_with_a_method_that_takes_long_the_stored_impact_is_shown(
    balls: Path, descgen: Run, recognize: Run, store: Store, features: Path
) -> None:
    number = evaluated(descgen, recognize, many(balls), "--method", "autoclip")
    text = store.descriptors(store.dataset("balls"))[0]
    store.save_impacts({text.id: Impact(number, 0.125, 0.01)})
    with client(store, features) as one:
        said = one.fresh(0)["said"]
        assert "impact +12.50 points" in said[str(text.id)]
        assert not any("chip" in html for html in said.values())


def test_several_labels_a_video_give_verdicts_and_no_scores(
    balls: Path, descgen: Run, recognize: Run, store: Store, features: Path
) -> None:
    many(balls)
    manifest = balls.parent / "several.csv"
    names = sorted(folder.name for folder in balls.iterdir())
    with manifest.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "labels"])
        for name in names:
            for take in sorted((balls / name).iterdir()):
                if take.is_dir():
                    rows.writerow([str(take), name if name != "blue_ball" else "blue_ball;green_ball"])
    texts = balls.parent / "context.json"
    texts.write_text(json.dumps({name: [f"a {name[:3]} thing", f"a {name.split('_')[0]} thing"] for name in names}))
    assert descgen("import", texts, "-d", balls, "-k", "context").exit_code == 0
    result = recognize("eval", "-d", "balls", "--root", manifest, "-e", "fake", "--frames", 4, "--json")
    assert result.exit_code == 0, result.output
    with client(store, features) as one:
        answer = one.fresh(1)
        assert "Top-1" not in answer["html"]
        assert "taken for" not in answer["html"]
        assert len(answer["cosines"]) == 3
        own = next(d for d in one.session.snapshot().by_action["green_ball"] if d.text == "a green thing")
        assert "10 videos of its class against 5 others" in answer["details"][str(own.id)][1]


def test_a_plain_eval_of_several_writers_is_refused_and_the_page_says_so(
    balls: Path, descgen: Run, recognize: Run, store: Store, features: Path
) -> None:
    evaluated(descgen, recognize, many(balls))
    other = balls.parent / "other.json"
    other.write_text(json.dumps({name: ["a ball"] for name in ("blue_ball", "green_ball", "red_ball")}))
    assert descgen("import", other, "-d", balls, "-k", "context").exit_code == 0
    with client(store, features) as one:
        answer = one.fresh(1)
        assert "No scores by texts: Descriptors of kind context are from several sources" in answer["html"]
        assert "Top-1 by labels alone" in answer["html"]
        assert len(answer["said"]) == 3
        assert not any("chip" in html for html in answer["said"].values())


def test_the_test_set_of_a_benchmark_is_named_as_one(
    balls: Path, descgen: Run, recognize: Run, store: Store, features: Path
) -> None:
    evaluated(descgen, recognize, many(balls))
    with client(store, features) as one:
        assert "on these they look better than they are" in one.fresh(1)["html"]
        evidence = one.videos.evidence
        assert evidence is not None
        assert not evidence.is_benchmark
        assert replace(evidence, dataset=vocabulary.load("hmdb51")).is_benchmark


def test_a_failure_while_texts_are_compared_is_said_and_decisions_go_on(
    balls: Path, descgen: Run, recognize: Run, store: Store, features: Path, encoder: FakeEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    evaluated(descgen, recognize, many(balls))
    with client(store, features) as one:
        one.fresh(1)

        def broken(_texts: object) -> object:
            raise RuntimeError("out of memory")

        monkeypatch.setattr(encoder, "encode_texts", broken)
        text = next(d for d in one.session.snapshot().descriptors if d.text == "a green thing")
        one.decide("edit", text.id, text="never seen")
        answer = one.fresh(1)
        assert answer["note"] == "Numbers are not shown: RuntimeError('out of memory')"
        assert "html" not in answer
        monkeypatch.undo()
        monkeypatch.setenv("RECOGNIZE_FEATURES", str(features))
        one.decide("undo")
        assert "html" in one.fresh(1)
