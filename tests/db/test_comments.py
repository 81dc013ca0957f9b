"""Comments on texts and guidelines of a dataset, on the store alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from db.comments import LONGEST_COMMENT, Comments, OutdatedError
from db.errors import UsageError
from db.records import Dataset, Descriptor
from db.store import Store
from descriptor_gen.generate.build import build_descriptors
from descriptor_gen.generate.calls import BuildOptions
from descriptor_gen.llms.testing import FakeLLM
from descriptor_gen.prompting.prompt import load_prompts


@pytest.fixture
def store(any_database: str) -> Iterator[Store]:
    """A store with texts of one kind about two classes."""
    opened = Store.open(any_database)
    options = BuildOptions(limit=2)
    build_descriptors(
        opened, opened.dataset("hmdb51"), llm=FakeLLM(), prompts=load_prompts(["decomposition"]), options=options
    )
    yield opened
    opened.close()


@pytest.fixture
def dataset(store: Store) -> Dataset:
    """The dataset."""
    return store.dataset("hmdb51")


@pytest.fixture
def comments(store: Store) -> Comments:
    """Its comments."""
    return store.comments()


def texts(store: Store, dataset: Dataset) -> list[Descriptor]:
    return store.descriptors(dataset, statuses=("pending", "accepted", "rejected"))


def said(comments: Comments, dataset: Dataset, descriptor: int, **who: str) -> list[str]:
    return [comment.text for comment in comments.of_dataset(dataset, **who).get(descriptor, ())]


def test_comments_are_kept_in_order_with_who_and_when(store: Store, dataset: Dataset, comments: Comments) -> None:
    first, second = texts(store, dataset)[:2]
    one = comments.add(first.id, "  two actions\nin one \n", reviewer=" anna  b ")
    comments.add(first.id, "no, one", reviewer="ben")
    assert (one.text, one.reviewer, one.descriptor) == ("two actions\nin one", "anna b", first.id)
    assert one.at.utcoffset() is not None
    assert said(comments, dataset, first.id) == ["two actions\nin one", "no, one"]
    assert said(comments, dataset, first.id, reviewer="ben") == ["no, one"]
    assert said(comments, dataset, second.id) == []
    assert [comment.text for comment in comments.of(first.id)] == ["two actions\nin one", "no, one"]


def test_a_comment_stays_beside_its_text_through_edits_and_their_undo(
    store: Store, dataset: Dataset, comments: Comments
) -> None:
    [first, *_] = texts(store, dataset)
    comments.add(first.id, "about the original", reviewer="anna")
    reviews = store.reviews()
    reviews.edit(first.ref, "a brush is lifted", reviewer="anna")
    edited = texts(store, dataset)[0]
    comments.add(edited.id, "about the edit", reviewer="ben")
    reviews.edit(edited.ref, "a brush is lifted slowly", reviewer="ben")
    twice = texts(store, dataset)[0]
    both = ["about the original", "about the edit"]
    assert said(comments, dataset, twice.id) == both == [c.text for c in comments.of(twice.id)]
    reviews.undo(reviewer="ben")
    reviews.undo(reviewer="anna")
    assert texts(store, dataset)[0].id == first.id
    assert said(comments, dataset, first.id) == both == [c.text for c in comments.of(first.id)]


@pytest.mark.parametrize("text", ["", " \n ", "x" * (LONGEST_COMMENT + 1), "a\0b", "\ud800"])
def test_an_empty_or_odd_comment_is_refused(store: Store, dataset: Dataset, comments: Comments, text: str) -> None:
    [first, *_] = texts(store, dataset)
    with pytest.raises(UsageError):
        comments.add(first.id, text, reviewer="anna")
    assert comments.of_dataset(dataset) == {}


def test_only_texts_in_use_are_commented_on(store: Store, dataset: Dataset, comments: Comments) -> None:
    [first, *_] = texts(store, dataset)
    store.reviews().edit(first.ref, "a brush is lifted", reviewer="anna")
    with pytest.raises(UsageError, match=f"Out of use: {first.id}.*descgen history {first.id}"):
        comments.add(first.id, "late", reviewer="anna")
    with pytest.raises(UsageError, match="No descriptor 999"):
        comments.add(999, "nothing", reviewer="anna")
    with pytest.raises(UsageError, match="A reviewer has a name"):
        comments.add(first.id, "who?", reviewer=" ")


def test_comments_of_another_dataset_are_not_among_them(store: Store, dataset: Dataset, comments: Comments) -> None:
    [first, *_] = texts(store, dataset)
    comments.add(first.id, "here", reviewer="anna")
    assert comments.of_dataset(store.dataset("ucf101")) == {}
    assert comments.of_dataset(replace(dataset, actions=dataset.actions[1:])) == {}


def test_the_newest_guidelines_apply(store: Store, dataset: Dataset, comments: Comments) -> None:
    assert comments.guidelines(dataset) is None
    first = comments.set_guidelines(dataset, "Reject what cannot be seen.\n\n- no names", reviewer="anna")
    assert first is not None
    assert comments.guidelines(dataset) == first
    assert (first.text, first.reviewer) == ("Reject what cannot be seen.\n\n- no names", "anna")
    second = comments.set_guidelines(dataset, "Accept all.", reviewer="ben", replaces=first.id)
    assert comments.guidelines(dataset) == second
    with pytest.raises(OutdatedError, match="ben changed the guidelines of hmdb51 after you read them"):
        comments.set_guidelines(dataset, "Reject all.", reviewer="anna", replaces=first.id)
    assert comments.guidelines(dataset) == second
    assert comments.set_guidelines(dataset, " ", reviewer="anna") is None
    assert comments.guidelines(dataset) is None
    third = comments.set_guidelines(dataset, "Again.", reviewer="anna", replaces=0)
    assert third is not None
    assert comments.guidelines(store.dataset("ucf101")) is None
    with pytest.raises(UsageError, match="at most 20000 characters"):
        comments.set_guidelines(dataset, "x" * 20_001, reviewer="anna")
