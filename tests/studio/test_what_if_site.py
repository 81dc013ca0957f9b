"""What an edit does, asked by a page: the numbers of an evaluation after it, or why they are not known."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from db.records import Descriptor, Prediction
from db.store import Store
from descriptor_gen.review.security import CSRF_HEADER, access_rules
from descriptor_gen.review.session import ReviewSession
from encoders.testing import FakeEncoder
from studio.command import make_app
from studio.evidence import Videos, load_evidence
from tests.fixtures.colours import balls, encoder
from tests.fixtures.commands import Run
from tests.fixtures.studio import evaluated, many, of_benchmark

__all__ = ["balls", "encoder"]  # fixtures

Ask = Callable[..., dict[str, Any]]


@contextmanager
def asking(store: Store, features: Path, dataset: str = "balls", **options: Any) -> Iterator[Ask]:
    """Open the application with its videos loaded; give a function that asks it, until it knows."""
    session = ReviewSession(store, store.dataset(dataset), reviewer="anna")
    videos = Videos(partial(load_evidence, store, session.dataset, videos=None, encoder=None, features=features))
    videos.wait(60)
    rules = access_rules("127.0.0.1")
    client = TestClient(make_app(session, rules, videos, **options), base_url="http://localhost")

    secret = {CSRF_HEADER: rules.csrf}

    def ask(
        status: int = 200, headers: dict[str, str] | None = None, again: bool = True, **body: Any
    ) -> dict[str, Any]:
        while True:
            answer = client.post("/what-if", json=body, headers=secret if headers is None else headers)
            assert answer.status_code == status, answer.text
            if not again or answer.json().get("state") != "loading":
                return dict(answer.json())

    yield ask
    videos.close()
    session.close()


def row(store: Store, text: str) -> Descriptor:
    [found] = [d for d in store.descriptors(store.dataset("balls")) if d.text == text]
    return found


def edit(text: Descriptor, words: str) -> dict[str, Any]:
    return {"decision": "edit", "descriptor": text.id, "version": text.version, "text": words}


def margin(prediction: Prediction) -> float:
    scored = dict(prediction.ranking)  # of all three classes
    return scored.pop(prediction.label) - max(scored.values())


def test_the_numbers_are_those_of_an_evaluation_after_the_edit(
    descgen: Run, recognize: Run, balls: Path, store: Store, features: Path
) -> None:
    before = store.run(evaluated(descgen, recognize, many(balls), "--method", "max"))
    old = row(store, "a green thing")
    with asking(store, features) as ask:
        tried = ask(**edit(old, "a blue thing"))
        same = ask(**edit(old, "a blue thing"))
        assert row(store, "a green thing") == old, "nothing is stored"
    assert tried == same
    assert descgen("edit", old.id, "a blue thing").exit_code == 0
    result = recognize("eval", "-d", "balls", "--root", balls, "-e", "fake", "--frames", 4, "--method", "max")
    assert result.exit_code == 0, result.output
    after = store.run(before.id + 1)  # type: ignore[operator]
    numbers = tried["numbers"]
    rates = [run.results["rows"]["label + descriptors"]["top1"] for run in (before, after)]
    assert [numbers["top1"]["before"], numbers["top1"]["after"]] == rates
    assert numbers["label_only"] == after.results["rows"]["label only"]["top1"]
    right = [{p.video for p in run.predictions if p.rank == 1} for run in (before, after)]
    assert set(numbers["lost"]) == right[0] - right[1]
    assert set(numbers["gained"]) == right[1] - right[0]
    assert numbers["lost"], "the edit does something"
    moved = sum(margin(b) - margin(a) for a, b in zip(before.predictions, after.predictions, strict=True)) / 15
    assert numbers["margin_change"] == pytest.approx(moved, abs=1e-5)
    shares = [100 * rate["value"] for rate in rates]
    assert tried["sentence"] == (
        f"top-1 {shares[0]:.2f} → {shares[1]:.2f} % (+{len(numbers['gained'])}, -{len(numbers['lost'])} of 15 videos, "
        f"1 left out; labels alone 100.00); nearest class: blue ball"
    )
    said = " ".join(tried["more"])
    assert f"of the class +0.0000, of all {moved:+.4f}. Nearest class: blue ball" in said
    for words in ("95 % interval", "protocol default, method max", "Settings of run 1", "1 left out: 1 unreadable",
                  "Lost: blue_ball/a, ", "look better than they are"):  # fmt: skip
        assert words in said


def test_added_accepted_and_rejected_texts_have_numbers_too(
    descgen: Run, recognize: Run, balls: Path, store: Store, features: Path
) -> None:
    evaluated(descgen, recognize, many(balls))
    misled = row(store, "a red thing, a red thing")
    of = {"descriptor": misled.id, "version": misled.version}
    with asking(store, features) as ask:
        assert ask(decision="accept", **of)["sentence"].startswith("No number changes")
        assert ask(decision="reject", **of)["numbers"]["class_margin_change"] > 0
        added = ask(decision="add", label=1, kind="context", text="a green meadow")
        assert added["numbers"]["class_margin_change"] > 0
        assert added["numbers"]["texts"] == 3


def test_a_decision_that_was_made_meanwhile_counts_and_a_changed_text_is_told(
    descgen: Run, recognize: Run, balls: Path, store: Store, features: Path
) -> None:
    evaluated(descgen, recognize, many(balls))
    misled, other = row(store, "a red thing, a red thing"), row(store, "a green thing")
    with asking(store, features) as ask:
        first = ask(**edit(other, "a fresh green lawn"))
        assert descgen("reject", misled.id).exit_code == 0
        while "changed meanwhile" not in ask(**edit(misled, "moss"))["sentence"]:
            pass  # the session reads the database once in a tenth of a second
        second = ask(**edit(other, "a fresh green lawn"))
    assert second["numbers"]["texts"] == first["numbers"]["texts"] - 1 == 1


def test_what_cannot_be_known_is_said_in_the_same_place(
    descgen: Run, recognize: Run, balls: Path, store: Store, features: Path, encoder: FakeEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    evaluated(descgen, recognize, many(balls))
    text = row(store, "a green thing")
    with asking(store, features) as ask:
        assert "has that text already" in ask(**edit(text, "a green  thing"))["sentence"]
        assert "needs a text" in ask(**edit(text, "  "))["sentence"]
        assert "There is no" not in ask(**edit(text, "moss"))["sentence"]
        ask(404, decision="add", label=7, kind="context", text="moss")
        ask(422, decision="forget", descriptor=text.id)
        ask(403, headers={}, **edit(text, "moss"))
        broken = encoder.encode_texts

        def encode(texts: list[str]) -> Any:
            if any("boom" in each for each in texts):
                raise MemoryError("no room")
            return broken(texts)

        monkeypatch.setattr(encoder, "encode_texts", encode)
        assert ask(**edit(text, "boom"))["state"] == "refused"
        assert ask(**edit(text, "moss"))["state"] == "known"


def test_an_answer_that_takes_long_comes_when_it_is_asked_for_again(
    descgen: Run, recognize: Run, balls: Path, store: Store, features: Path, encoder: FakeEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    evaluated(descgen, recognize, many(balls))
    text, go, plain = row(store, "a green thing"), threading.Event(), encoder.encode_texts
    encoded: list[str] = []

    def encode(texts: list[str]) -> Any:
        encoded.extend(texts)
        assert "slow words" not in texts or go.wait(120)
        return plain(texts)

    monkeypatch.setattr(encoder, "encode_texts", encode)
    with asking(store, features) as ask:
        assert ask(**edit(text, "slow words"), again=False)["state"] == "loading"
        assert ask(**edit(text, "slow words"), again=False)["state"] == "loading"
        go.set()
        assert ask(**edit(text, "slow words"))["state"] == "known"
    assert encoded.count("slow words") == 1


def test_labels_alone_have_no_text_to_try(
    descgen: Run, recognize: Run, balls: Path, store: Store, features: Path
) -> None:
    evaluated(descgen, recognize, many(balls), "--method", "label")
    with asking(store, features) as ask:
        answer = ask(**edit(row(store, "a green thing"), "moss"))
    assert answer["state"] == "refused"
    assert "labels alone" in answer["sentence"]


def test_without_videos_there_is_nothing_to_say(descgen: Run, balls: Path, store: Store, features: Path) -> None:
    file = balls.parent / "context.json"
    file.write_text('{"red_ball": ["a red thing"]}')
    assert descgen("import", file, "-d", balls, "-k", "context").exit_code == 0
    with asking(store, features) as ask:
        assert ask(**edit(row(store, "a red thing"), "moss")) == {"state": "off", "sentence": ""}


@pytest.mark.parametrize("on_test", [False, True])
def test_a_published_test_set_is_left_alone_unless_asked_for(
    descgen: Run, recognize: Run, balls: Path, store: Store, features: Path, on_test: bool
) -> None:
    of_benchmark(descgen, recognize, balls)
    [old] = [d for d in store.descriptors(store.dataset("hmdb51")) if d.text == "a red thing"]
    with asking(store, features, "hmdb51", what_if_on_test=on_test) as ask:
        answer = ask(**edit(old, "a blue thing"))
    assert answer["state"] == ("known" if on_test else "off")
    assert ("--what-if-on-test" in answer["sentence"]) == (not on_test)
    assert re.search("no (longer a )?valid estimate", answer["caution"] if on_test else answer["sentence"])
