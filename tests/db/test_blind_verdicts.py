"""Blind verdicts on the store alone: own verdicts, undo, what stays hidden, and kappa beside published examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from db.agreement import kappa
from db.errors import UsageError, UserError
from db.records import Dataset, Descriptor, DescriptorRef, PortableDescriptor
from db.store import Store
from descriptor_gen.generate.build import build_descriptors
from descriptor_gen.generate.calls import BuildOptions
from descriptor_gen.llms.testing import FakeLLM
from descriptor_gen.prompting.prompt import load_prompts


@pytest.fixture
def store(any_database: str) -> Iterator[Store]:
    """A store with three texts for each of two classes."""
    opened = Store.open(any_database)
    build(opened)
    yield opened
    opened.close()


def build(store: Store, *, refresh: bool = False) -> None:
    prompts, options = load_prompts(["decomposition"]), BuildOptions(limit=2, refresh=refresh)
    build_descriptors(store, store.dataset("hmdb51"), llm=FakeLLM(), prompts=prompts, options=options)


@pytest.fixture
def dataset(store: Store) -> Dataset:
    """The two classes."""
    whole = store.dataset("hmdb51")
    return replace(whole, actions=whole.actions[:2])


def refs(texts: Sequence[Descriptor]) -> list[DescriptorRef]:
    return [text.ref for text in texts]


def statuses(texts: Sequence[Descriptor]) -> list[str]:
    return [text.status for text in texts]


def everything(store: Store, dataset: Dataset) -> list[Descriptor]:
    return store.descriptors(dataset, statuses=("pending", "accepted", "rejected"))


def test_a_verdict_is_ones_own_and_changes_no_descriptor(store: Store, dataset: Dataset) -> None:
    before = everything(store, dataset)
    anna, bob = store.blind_reviews(dataset, "anna"), store.blind_reviews(dataset, " bob ")
    one, two, three, *_ = anna.texts(dataset)
    made = anna.accept(refs([one, two]), reviewer="anna")
    assert (made.what, made.already, [c.after.status for c in made.changes if c.after]) == (
        "accept",
        0,
        ["accepted"] * 2,
    )
    anna.reject([three.ref], reviewer="anna")
    assert anna.accept(refs([one, three]), reviewer="anna").already == 1
    anna.restore([two.ref], reviewer="anna")
    assert statuses(anna.texts(dataset)) == ["accepted", "pending", "accepted", "pending", "pending", "pending"]
    assert statuses(bob.texts(dataset)) == ["pending"] * 6
    assert bob.events(dataset) == bob.history(one.id) == []
    assert everything(store, dataset) == before
    assert store.reviews().events(dataset) == []
    with pytest.raises(UsageError, match="the verdicts of bob, not of anna"):
        bob.accept([one.ref], reviewer="anna")


def test_undo_takes_back_whole_decisions_one_after_the_other(store: Store, dataset: Dataset) -> None:
    anna, bob = store.blind_reviews(dataset, "anna"), store.blind_reviews(dataset, "bob")
    one, two, three, *rest = anna.texts(dataset)
    anna.reject([one.ref], reviewer="anna")
    bob.accept(refs([one, two]), reviewer="bob")
    anna.accept(refs([one, two, three]), reviewer="anna")
    undone = anna.undo(reviewer="anna")
    assert [(c.after.text, c.after.status) for c in undone.changes if c.after] == [
        (one.text, "rejected"), (two.text, "pending"), (three.text, "pending"),
    ]  # fmt: skip
    anna.accept([rest[0].ref], reviewer="anna")
    anna.undo(reviewer="anna")
    anna.undo(reviewer="anna")
    assert statuses(anna.texts(dataset)) == ["pending"] * 6
    with pytest.raises(UserError, match="anna has no decision to undo"):
        anna.undo(reviewer="anna")
    assert statuses(bob.texts(dataset))[:3] == ["accepted", "accepted", "pending"]
    kinds = [(event.what, event.undoes) for event in anna.history(one.id)]
    first, second = (event.decision for event in anna.history(one.id)[:2])
    assert kinds == [("reject", None), ("accept", None), ("undo", second), ("undo", first)]


def test_what_others_decided_leaves_no_trace(store: Store, dataset: Dataset) -> None:
    before = store.blind_reviews(dataset, "anna").texts(dataset)
    reviews = store.reviews()
    one, two, three, four, five, six = everything(store, dataset)
    reviews.accept([two.ref], reviewer="bob")
    reviews.reorder([six.ref, four.ref, five.ref], reviewer="bob")
    reviews.add(dataset, "brush_hair", "decomposition", "a text of bob", reviewer="bob")
    edited = reviews.edit(one.ref, "an edit of bob", reviewer="bob").changes[0].after
    assert edited is not None
    twice = reviews.edit(edited.ref, "another edit of bob", reviewer="bob").changes[0].after
    assert twice is not None
    reviews.reject([three.ref], reviewer="bob")
    anna = store.blind_reviews(dataset, "anna")
    assert anna.texts(dataset) == before
    anna.accept([one.ref], reviewer="anna")  # it is out of use, but an edit of it is in use
    assert anna.descriptors([one.id])[0].status == "accepted"
    added = next(d for d in everything(store, dataset) if d.text == "a text of bob")
    for hidden in (edited.id, twice.id, added.id, 999):
        with pytest.raises(UsageError, match=f"No descriptor {hidden} to judge"):
            anna.reject([DescriptorRef(hidden, 1)], reviewer="anna")
    [judged] = store.blind_verdicts().judged(dataset, everything(store, dataset))
    assert judged.now is not None
    assert (judged.written.text, judged.now.text, judged.verdicts) == (one.text, "another edit of bob", {"anna": True})


def test_a_text_that_a_build_replaced_is_not_judged(store: Store, dataset: Dataset) -> None:
    anna = store.blind_reviews(dataset, "anna")
    old = anna.texts(dataset)[0]
    anna.accept([old.ref], reviewer="anna")
    build(store, refresh=True)
    assert old.id not in {text.id for text in anna.texts(dataset)}
    with pytest.raises(UserError, match="A build has replaced a text"):
        anna.reject([old.ref], reviewer="anna")
    assert [
        (text.written.id, text.now) for text in store.blind_verdicts().judged(dataset, everything(store, dataset))
    ] == [(old.id, None)]
    assert store.blind_verdicts().judged(store.dataset("ucf101"), []) == []


def test_nothing_but_verdicts_is_taken(store: Store, dataset: Dataset) -> None:
    anna = store.blind_reviews(dataset, "anna")
    text = anna.texts(dataset)[0]
    for change in (
        lambda: anna.edit(text.ref, "other", reviewer="anna"),
        lambda: anna.add(dataset, "brush_hair", "context", "other", reviewer="anna"),
        lambda: anna.reorder([text.ref], reviewer="anna"),
    ):
        with pytest.raises(UserError, match="say in a comment what to change"):
            change()
    with pytest.raises(UsageError, match="at least one"):
        anna.accept([], reviewer="anna")


def test_stamps_change_with_own_verdicts_alone(store: Store, dataset: Dataset) -> None:
    anna, bob = store.blind_reviews(dataset, "anna"), store.blind_reviews(dataset, "bob")
    first = anna.texts(dataset)[0]
    before = anna.stamps()
    bob.accept([first.ref], reviewer="bob")
    assert anna.stamps() == before == {}
    anna.accept([first.ref], reviewer="anna")
    assert list(anna.stamps()) == [first.action]


def test_kappa_and_its_interval_are_those_of_published_examples() -> None:
    # J. L. Fleiss, Statistical Methods for Rates and Proportions, 2nd edition, table 13.1 of 100 subjects:
    # kappa 0.68, standard error 0.087, interval 0.51 to 0.85
    published = kappa([[75, 1, 4], [5, 4, 1], [0, 0, 10]])
    assert published is not None
    assert published.interval is not None
    assert (round(published.value, 2), published.error) == (0.68, pytest.approx(0.087, abs=0.001))
    assert [round(bound, 2) for bound in published.interval] == [pytest.approx(0.51, abs=0.011), 0.85]
    # by hand: p_o = 0.7, p_e = 0.5; with a = 0.4 (1 - 1.1 0.6)^2 + 0.3 (1 - 0.9 0.6)^2 = 0.10972,
    # b = 0.36 (0.1 (0.6 + 0.5)^2 + 0.2 (0.4 + 0.5)^2) by the margins of the other judge, c = (0.4 - 0.3)^2
    by_hand = kappa([[20, 5], [10, 15]])
    assert by_hand is not None
    assert by_hand.value == pytest.approx(0.4)
    a = 0.4 * (1 - 1.1 * 0.6) ** 2 + 0.3 * (1 - 0.9 * 0.6) ** 2
    b = 0.36 * (0.1 * (0.6 + 0.5) ** 2 + 0.2 * (0.4 + 0.5) ** 2)
    assert by_hand.error == pytest.approx(((a + b - 0.01) / 50) ** 0.5 / 0.5)
    full = kappa([[3, 0], [0, 2]])
    assert full is not None
    assert (full.value, full.interval) == (1.0, None)
    assert kappa([[4, 0], [0, 0]]) is kappa([[0, 0], [0, 0]]) is None


def test_agreement_of_blind_verdicts_by_kind(store: Store) -> None:
    dataset = store.dataset("hmdb51")
    texts = [PortableDescriptor("wave", "all", n, f"text {n}", "import", origin="texts.json") for n in range(50)]
    store.add_portable(dataset, texts)
    anna, bob = store.blind_reviews(dataset, "anna"), store.blind_reviews(dataset, "bob")
    of_kind = [text for text in anna.texts(dataset) if text.kind == "all"]
    anna.accept(refs(of_kind[:25]), reviewer="anna")
    anna.reject(refs(of_kind[25:]), reviewer="anna")
    bob.accept(refs(of_kind[:20] + of_kind[25:35]), reviewer="bob")
    bob.reject(refs(of_kind[20:25] + of_kind[35:]), reviewer="bob")
    steps = [text for text in anna.texts(dataset) if text.kind == "decomposition"]
    anna.accept([steps[0].ref], reviewer="anna")
    bob.accept(refs(steps[:2]), reviewer="bob")
    whole, every, single = store.blind_verdicts().agreement(dataset)
    assert (every.kind, every.n, every.observed, every.kappa) == ("all", 50, 0.7, pytest.approx(0.4))
    assert (every.both_accepted, every.only_first, every.only_second, every.both_refused) == (20, 5, 10, 15)
    assert every.interval == (pytest.approx(0.151, abs=0.001), pytest.approx(0.649, abs=0.001))
    assert (single.kind, single.n, single.kappa, single.interval) == ("decomposition", 1, None, None)
    assert (whole.kind, whole.n) == ("", 51)
