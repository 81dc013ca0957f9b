"""The rules of review, on the store alone: decisions, their log, conflicts, and builds on reviewed texts."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from db.errors import ConflictError, UsageError, UserError
from db.records import Dataset, Descriptor, DescriptorRef, ImportCounts, PortableDescriptor
from db.reviews import Reviews
from db.store import Store
from descriptor_gen.generate.build import build_descriptors
from descriptor_gen.generate.calls import BuildOptions
from descriptor_gen.llms.testing import FakeLLM
from descriptor_gen.prompting.prompt import Prompt, load_prompts
from tests.fixtures.prompts import reworded


@pytest.fixture
def store(any_database: str) -> Iterator[Store]:
    """A store with no descriptors."""
    opened = Store.open(any_database)
    yield opened
    opened.close()


@pytest.fixture
def dataset(store: Store) -> Dataset:
    """Two classes with three texts each, by one LLM."""
    whole = store.dataset("hmdb51")
    part = replace(whole, actions=whole.actions[:2])
    build(store, whole)
    return part


def build(store: Store, dataset: Dataset, *, prompt: Prompt | None = None, refresh: bool = False) -> None:
    prompts = [prompt or load_prompts(["decomposition"])[0]]
    build_descriptors(store, dataset, llm=FakeLLM(), prompts=prompts, options=BuildOptions(limit=2, refresh=refresh))


@pytest.fixture
def reviews(store: Store) -> Reviews:
    """The reviews of the store."""
    return store.reviews()


def everything(store: Store, dataset: Dataset) -> list[Descriptor]:
    return store.descriptors(dataset, statuses=("pending", "accepted", "rejected"))


def refs(descriptors: Sequence[Descriptor]) -> list[DescriptorRef]:
    return [descriptor.ref for descriptor in descriptors]


def shown(store: Store, dataset: Dataset) -> list[tuple[str, str]]:
    return [(descriptor.text, descriptor.status) for descriptor in everything(store, dataset)]


def test_one_decision_about_many_descriptors_is_undone_as_one(store: Store, dataset: Dataset, reviews: Reviews) -> None:
    before = everything(store, dataset)
    first = reviews.accept(refs(before[:3]), reviewer="anna")
    second = reviews.reject(refs(before[3:]), reviewer="anna")
    assert (first.id, second.id, len(first.changes), len(second.changes)) == (1, 2, 3, 3)
    now = everything(store, dataset)
    assert [d.status for d in now] == ["accepted"] * 3 + ["rejected"] * 3
    assert [change.after.ref for change in first.changes + second.changes if change.after] == refs(now)
    events = reviews.events(dataset)
    undone = reviews.undo(reviewer="anna")
    assert (undone.what, undone.undoes, len(undone.changes)) == ("undo", 2, 3)
    assert [d.status for d in everything(store, dataset)] == ["accepted"] * 3 + ["pending"] * 3
    assert reviews.undo(reviewer="anna").undoes == 1
    assert everything(store, dataset) == [replace(descriptor, version=3) for descriptor in before]
    assert reviews.events(dataset)[:6] == events  # the log only grows
    assert [event.decision for event in reviews.events(dataset)] == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    with pytest.raises(UserError, match="anna has no decision to undo"):
        reviews.undo(reviewer="anna")


def test_restored_texts_are_pending_and_restoring_can_be_undone(
    store: Store, dataset: Dataset, reviews: Reviews
) -> None:
    [first, *_] = everything(store, dataset)
    reviews.reject([first.ref], reviewer="anna")
    decision = reviews.restore([DescriptorRef(first.id, 2)], reviewer="bob")
    assert shown(store, dataset)[0] == (first.text, "pending")
    reviews.undo(reviewer="anna", decision=decision.id)
    assert shown(store, dataset)[0] == (first.text, "rejected")


def test_an_edit_replaces_the_original_and_keeps_it(store: Store, dataset: Dataset, reviews: Reviews) -> None:
    before = everything(store, dataset)
    decision = reviews.edit(before[1].ref, "  a person\n kneels ", reviewer="anna")
    [change] = decision.changes
    assert change.after is not None
    now = everything(store, dataset)
    assert now[1] == replace(
        before[1],
        id=change.after.id,
        text="a person kneels",
        source="human",
        status="accepted",
        edited_from=before[1].id,
        original=before[1].text,
    )
    assert now[:1] + now[2:] == before[:1] + before[2:]
    reviews.edit(now[1].ref, "a person stands", reviewer="bob")
    twice = everything(store, dataset)[1]
    assert (twice.text, twice.edited_from, twice.original) == ("a person stands", now[1].id, before[1].text)
    assert (twice.llm, twice.generation, twice.position) == ("fake", before[1].generation, 1)
    reviews.undo(reviewer="bob")
    assert [d.text for d in everything(store, dataset)] == [d.text for d in now]
    reviews.undo(reviewer="anna")
    assert everything(store, dataset) == [*before[:1], replace(before[1], version=3), *before[2:]]


def test_an_edited_original_cannot_be_decided_on(store: Store, dataset: Dataset, reviews: Reviews) -> None:
    [first, *_] = everything(store, dataset)
    reviews.edit(first.ref, "edited", reviewer="anna")
    with pytest.raises(ConflictError, match="'edited', accepted; edit by anna"):
        reviews.accept([DescriptorRef(first.id, 2)], reviewer="bob")  # the current version, but it is out of use


def test_an_edited_import_is_still_from_its_file(store: Store, reviews: Reviews) -> None:
    dataset, origin = store.dataset("hmdb51"), "a.json sha256:0"
    store.add_portable(
        dataset, [PortableDescriptor("wave", "all", n, f"{n}", "import", origin=origin) for n in range(2)]
    )
    reviews.edit(store.descriptors(dataset)[0].ref, "edited", reviewer="anna")
    assert [(d.text, d.origin) for d in store.descriptors(dataset)] == [("edited", origin), ("1", origin)]


def test_a_reviewers_own_text_stands_after_the_others(store: Store, dataset: Dataset, reviews: Reviews) -> None:
    for words in ("one", "two"):
        reviews.add(dataset, "brush_hair", "decomposition", words, reviewer="anna")
    own = [d for d in everything(store, dataset) if d.source == "human"]
    assert [(d.text, d.position, d.status, d.llm) for d in own] == [
        ("one", 0, "accepted", None),
        ("two", 1, "accepted", None),
    ]
    with pytest.raises(UsageError, match=f"{own[0].id} has that text already, and is accepted"):
        reviews.add(dataset, "brush_hair", "decomposition", "one", reviewer="bob")
    with pytest.raises(UsageError, match="hmdb51 has no action brush"):
        reviews.add(dataset, "brush", "decomposition", "one", reviewer="bob")
    reviews.undo(reviewer="anna")
    assert [d.text for d in everything(store, dataset) if d.source == "human"] == ["one"]
    with pytest.raises(ConflictError, match=r"out of use \(its text was 'two'\); undo by anna"):
        reviews.accept([own[1].ref], reviewer="bob")


def test_a_text_may_be_added_to_a_dataset_that_is_not_stored_yet(store: Store, reviews: Reviews) -> None:
    part = store.dataset("kinetics600-zs1")
    reviews.add(part, part.actions[0].name, "context", "a place", reviewer="anna")
    assert [(d.action, d.text) for d in store.descriptors(part)] == [(part.actions[0].name, "a place")]
    assert len(store.dataset("kinetics600").actions) == 600
    assert store.datasets() == ["kinetics600"]


def test_the_texts_of_a_reply_get_a_new_order(store: Store, dataset: Dataset, reviews: Reviews) -> None:
    before = everything(store, dataset)
    one, two, three = before[:3]
    reviews.edit(two.ref, "in the middle", reviewer="anna")
    two = everything(store, dataset)[1]
    with pytest.raises(UsageError, match=f"missing: {three.id}"):
        reviews.reorder(refs([two, one]), reviewer="anna")
    with pytest.raises(UsageError, match=f"not of that reply: {before[3].id}"):
        reviews.reorder(refs([two, one, three, before[3]]), reviewer="anna")
    decision = reviews.reorder(refs([two, three, one]), reviewer="anna")
    assert [d.text for d in everything(store, dataset)][:3] == ["in the middle", three.text, one.text]
    assert [d.position for d in everything(store, dataset)] == [0, 1, 2, 0, 1, 2]
    assert len(decision.changes) == 3
    reviews.undo(reviewer="anna")
    assert [d.text for d in everything(store, dataset)][:3] == [one.text, "in the middle", three.text]
    with pytest.raises(ConflictError):
        reviews.reorder(refs([two, three, one]), reviewer="bob")


def test_a_decision_about_changed_texts_is_a_conflict_that_changes_nothing(
    store: Store, dataset: Dataset, reviews: Reviews
) -> None:
    before = everything(store, dataset)
    reviews.reject([before[0].ref], reviewer="anna")
    decision = reviews.edit(before[1].ref, "a better text", reviewer="anna")
    between = everything(store, dataset)
    with pytest.raises(ConflictError) as raised:
        reviews.accept(refs(before), reviewer="bob")
    assert everything(store, dataset) == between
    assert len(reviews.events(dataset)) == 2
    first, second = raised.value.conflicts
    assert (first.expected, first.now.id, first.now.version) == (before[0].ref, before[0].id, 2)
    assert first.event is not None
    assert second.event is not None
    assert (first.now.text, first.now.status) == (before[0].text, "rejected")
    assert (first.event.what, first.event.reviewer) == ("reject", "anna")
    assert (second.expected, second.now.id, second.now.version) == (before[1].ref, between[1].id, 1)
    assert (second.now.text, second.now.status) == ("a better text", "accepted")
    assert (second.event.what, second.event.reviewer) == ("edit", "anna")
    assert second.at == decision.at
    assert f"'a better text', accepted; edit by anna, {decision.at:%Y-%m-%d %H:%M:%S} UTC" in str(raised.value)
    assert reviews.accept([conflict.now.ref for conflict in raised.value.conflicts], reviewer="bob").changes


def test_a_newer_reply_is_a_conflict_without_a_reviewer(store: Store, dataset: Dataset, reviews: Reviews) -> None:
    [first, *_] = everything(store, dataset)
    reviews.accept([first.ref], reviewer="anna")
    build(store, dataset, refresh=True)
    with pytest.raises(ConflictError, match="replaced or restored by a build") as raised:
        reviews.reject([DescriptorRef(first.id, 2)], reviewer="anna")
    [conflict] = raised.value.conflicts
    assert (conflict.in_use, conflict.event) == (False, None)
    assert conflict.at is not None
    with pytest.raises(ConflictError):
        reviews.undo(reviewer="anna")


def test_of_decisions_at_once_exactly_one_wins(store: Store, dataset: Dataset) -> None:
    before = everything(store, dataset)
    start = threading.Barrier(8)
    outcomes: dict[str, str] = {}

    def decide(name: str) -> None:
        reviews = store.reviews()
        start.wait()
        try:
            outcomes[name] = reviews.accept(refs(before), reviewer=name).what
        except ConflictError as error:
            outcomes[name] = error.conflicts[0].event.reviewer if error.conflicts[0].event else "nobody"

    threads = [threading.Thread(target=decide, args=(f"reviewer {n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [winner] = [name for name, outcome in outcomes.items() if outcome == "accept"]
    assert [outcome for outcome in outcomes.values() if outcome != "accept"] == [winner] * 7
    assert [event.reviewer for event in store.reviews().events(dataset)] == [winner] * len(before)
    assert {d.version for d in everything(store, dataset)} == {2}


def test_each_reviewers_verdict_is_recorded_once(store: Store, dataset: Dataset, reviews: Reviews) -> None:
    [first, second, *_] = everything(store, dataset)
    reviews.accept([first.ref], reviewer="anna")
    again = reviews.accept([DescriptorRef(first.id, 2), second.ref], reviewer="anna")
    assert (len(again.changes), again.already) == (1, 1)
    other = reviews.accept([DescriptorRef(first.id, 2)], reviewer="bob")
    assert [
        (change.before.status, change.after.status) for change in other.changes if change.before and change.after
    ] == [("accepted", "accepted")]
    nothing = reviews.accept([DescriptorRef(first.id, 3)], reviewer="bob")
    assert (nothing.id, nothing.changes, nothing.already) == (None, (), 1)
    assert [event.reviewer for event in reviews.history(first.id)] == ["anna", "bob"]
    reviews.undo(reviewer="bob")
    assert reviews.accept([DescriptorRef(first.id, 4)], reviewer="bob").id is not None
    edited = reviews.edit(DescriptorRef(second.id, 2), "so", reviewer="bob").changes[0].after
    assert edited is not None
    assert reviews.accept([edited.ref], reviewer="bob").already == 1  # an edit is a verdict
    assert reviews.accept([edited.ref], reviewer="anna").already == 0


def test_undo_restores_only_what_nobody_changed_since(store: Store, dataset: Dataset, reviews: Reviews) -> None:
    [first, second, *_] = everything(store, dataset)
    both = reviews.accept(refs([first, second]), reviewer="anna")
    reviews.reject([DescriptorRef(second.id, 2)], reviewer="bob")
    with pytest.raises(ConflictError, match="reject by bob"):
        reviews.undo(reviewer="anna")
    assert [d.status for d in everything(store, dataset)][:2] == ["accepted", "rejected"]
    reviews.undo(reviewer="bob")
    with pytest.raises(UsageError, match="Decision 2 was undone by bob"):
        reviews.undo(reviewer="bob", decision=2)
    with pytest.raises(UsageError, match="Decision 3 is an undo"):
        reviews.undo(reviewer="bob", decision=3)
    with pytest.raises(UsageError, match="Decision 9 does not exist"):
        reviews.undo(reviewer="bob", decision=9)
    assert reviews.undo(reviewer="anna").undoes == both.id  # bob's change was undone
    assert [d.status for d in everything(store, dataset)][:2] == ["pending", "pending"]


def test_history_includes_the_events_before_an_edit(store: Store, dataset: Dataset, reviews: Reviews) -> None:
    [first, second, *_] = everything(store, dataset)
    reviews.accept(refs([first, second]), reviewer="anna")
    reviews.edit(DescriptorRef(first.id, 2), "dropped", reviewer="bob")
    reviews.undo(reviewer="bob")
    reviews.edit(DescriptorRef(first.id, 4), "kept", reviewer="bob")
    last = everything(store, dataset)[0]
    reviews.reject([last.ref], reviewer="anna")
    history = reviews.history(last.id)
    assert [(event.what, event.reviewer) for event in history] == [
        ("accept", "anna"),
        ("edit", "bob"),
        ("undo", "bob"),
        ("edit", "bob"),
        ("reject", "anna"),
    ]
    assert [event.at for event in history] == sorted(event.at for event in history)
    texts = [(e.change.before and e.change.before.text, e.change.after and e.change.after.text) for e in history]
    assert texts[1:4] == [(first.text, "dropped"), ("dropped", first.text), (first.text, "kept")]
    assert [event.what for event in reviews.history(second.id)] == ["accept"]
    with pytest.raises(UsageError, match="No descriptor 999"):
        reviews.history(999)


def test_agreement_is_cohens_kappa(store: Store, reviews: Reviews) -> None:
    dataset = store.dataset("hmdb51")
    items = [PortableDescriptor("wave", "all", n, f"text {n}", "human") for n in range(50)]
    store.add_portable(dataset, items)
    cells = [("accept", "accept", 20), ("accept", "reject", 5), ("reject", "accept", 10), ("reject", "reject", 15)]
    verdicts = [(one, other) for one, other, count in cells for _ in range(count)]
    descriptors = store.descriptors(dataset)
    for descriptor, (one, other) in zip(descriptors, verdicts, strict=True):
        getattr(reviews, one)([descriptor.ref], reviewer="anna")
        getattr(reviews, other)([DescriptorRef(descriptor.id, 2)], reviewer="bob")
    [agreement] = reviews.agreement()
    assert (agreement.first, agreement.second, agreement.n) == ("anna", "bob", 50)
    assert (agreement.both_accepted, agreement.only_first, agreement.only_second, agreement.both_refused) == (
        20,
        5,
        10,
        15,
    )
    assert agreement.observed == pytest.approx(0.7)
    assert agreement.kappa == pytest.approx(0.4)  # p_e = 0.5 * 0.6 + 0.5 * 0.4
    edited = reviews.edit(
        DescriptorRef(descriptors[0].id, 3), "another", reviewer="anna"
    )  # the last verdict counts: refused
    assert reviews.agreement(dataset)[0].both_accepted == 19
    reviews.undo(reviewer="anna", decision=edited.id)
    assert reviews.agreement(dataset)[0].both_accepted == 20
    reviews.restore([DescriptorRef(descriptors[0].id, 5)], reviewer="anna")
    assert reviews.agreement()[0].n == 49
    assert reviews.agreement(store.dataset("ucf101")) == []


def test_an_undefined_kappa_has_a_reason(store: Store, dataset: Dataset, reviews: Reviews) -> None:
    one, two, three, *_ = everything(store, dataset)
    reviews.accept(refs([one, two]), reviewer="anna")
    reviews.accept([DescriptorRef(one.id, 2)], reviewer="bob")
    reviews.reject([three.ref], reviewer="carl")
    same, apart, _ = reviews.agreement()
    assert (same.n, same.observed, same.kappa) == (1, 1.0, None)
    assert "the same verdict" in str(same.undefined)
    assert (apart.first, apart.second, apart.n, apart.observed, apart.kappa) == ("anna", "carl", 0, None, None)
    assert apart.undefined == "no descriptor that both judged"


@pytest.mark.parametrize("words", ["", " \n ", "nul \0", "half \ud800"])
def test_empty_and_broken_texts_are_refused(store: Store, dataset: Dataset, reviews: Reviews, words: str) -> None:
    [first, *_] = everything(store, dataset)
    with pytest.raises(UsageError, match="text"):
        reviews.edit(first.ref, words, reviewer="anna")
    with pytest.raises(UsageError, match="text"):
        reviews.add(dataset, "brush_hair", "context", words, reviewer="anna")
    assert reviews.events(dataset) == []


def test_invalid_decisions_are_refused(store: Store, dataset: Dataset, reviews: Reviews) -> None:
    [first, *_] = everything(store, dataset)
    for wrong in ([], [first.ref, DescriptorRef(first.id, 7)]):
        with pytest.raises(UsageError, match="at least one descriptor, and each in one version"):
            reviews.accept(wrong, reviewer="anna")
    with pytest.raises(UsageError, match="No descriptor 999"):
        reviews.accept([first.ref, DescriptorRef(999, 1)], reviewer="anna")
    with pytest.raises(UsageError, match="has that text already"):
        reviews.edit(first.ref, first.text, reviewer="anna")
    for name in ("", "  ", "x" * 201):
        with pytest.raises(UsageError, match="A reviewer has a name"):
            reviews.accept([first.ref], reviewer=name)
    assert reviews.events(dataset) == []


def test_descriptors_are_looked_up_by_id(store: Store, dataset: Dataset, reviews: Reviews) -> None:
    before = everything(store, dataset)
    reviews.edit(before[0].ref, "edited", reviewer="anna")
    now = everything(store, dataset)
    assert reviews.descriptors([now[4].id, now[0].id]) == [now[4], now[0]]
    with pytest.raises(UsageError, match=f"Out of use: {before[0].id}. .*descgen history {before[0].id}"):
        reviews.descriptors([before[0].id, now[4].id])
    with pytest.raises(UsageError, match="No descriptor 999"):
        reviews.descriptors([999])


def test_reviewed_texts_go_and_come_with_their_reply(
    store: Store, dataset: Dataset, reviews: Reviews, tmp_path: Path
) -> None:
    before = everything(store, dataset)
    reviews.edit(before[0].ref, "dropped", reviewer="anna")
    reviews.undo(reviewer="anna")
    reviews.edit(before[1].ref, "edited", reviewer="anna")
    reviews.edit(everything(store, dataset)[1].ref, "edited twice", reviewer="anna")
    reviews.reject([before[2].ref], reviewer="anna")
    reviews.add(dataset, "brush_hair", "decomposition", "my own", reviewer="anna")
    reviewed = [(d.id, d.text, d.status) for d in everything(store, dataset)]
    assert [words for _, words, _ in reviewed][:4] == ["my own", before[0].text, "edited twice", before[2].text]

    [old] = load_prompts(["decomposition"])
    new = reworded(old, tmp_path)
    assert new.template != old.template
    build(store, dataset, prompt=new)
    between = everything(store, dataset)
    assert [(d.source, d.status) for d in between] == [("human", "accepted"), *[("llm", "pending")] * 6]
    assert not {d.id for d in between[1:]} & {number for number, *_ in reviewed}

    build(store, dataset, prompt=old)
    assert [(d.id, d.text, d.status) for d in everything(store, dataset)] == reviewed
    with pytest.raises(ConflictError, match="replaced or restored by a build"):
        reviews.undo(reviewer="anna", decision=5)
    build(store, dataset, prompt=old)  # nothing to do, nothing done
    assert {d.version for d in everything(store, dataset)} == {1, 3, 4, 5}


@pytest.fixture
def elsewhere(other_db_url: str) -> Iterator[Store]:
    """Another store, with no descriptors."""
    opened = Store.open(other_db_url)
    yield opened
    opened.close()


def portable(store: Store, dataset: Dataset) -> list[PortableDescriptor]:
    """Return the descriptors in use without the rows that their calls have here."""
    items = store.portable(dataset)
    return [
        replace(item, call=item.call and replace(item.call, generation=replace(item.call.generation, id=None)))
        for item in items
    ]


def test_edits_and_statuses_enter_another_database(
    store: Store, dataset: Dataset, reviews: Reviews, elsewhere: Store, tmp_path: Path
) -> None:
    before = everything(store, dataset)
    reviews.reorder(refs([before[2], before[0], before[1]]), reviewer="anna")
    one, two, three, *_ = everything(store, dataset)
    reviews.edit(one.ref, "edited", reviewer="anna")
    reviews.edit(everything(store, dataset)[0].ref, "edited twice", reviewer="anna")
    reviews.reject([two.ref], reviewer="anna")
    reviews.edit(three.ref, "dropped", reviewer="anna")
    reviews.undo(reviewer="anna")
    reviews.add(dataset, "brush_hair", "decomposition", "my own", reviewer="anna")
    items = portable(store, dataset)
    assert [item.text for item in items][:4] == ["my own", "edited twice", two.text, three.text]
    assert [(o.text, o.source, o.status) for o in items[1].originals] == [
        ("edited", "human", "accepted"),
        (one.text, "llm", "pending"),
    ]
    assert items[1].call is not None
    assert elsewhere.add_portable(dataset, items) == ImportCounts(added=7, already=0, left_out=0)
    assert portable(elsewhere, dataset) == items
    kept = [(d.text, d.status, d.position, d.original, d.llm) for d in everything(store, dataset)]
    assert [(d.text, d.status, d.position, d.original, d.llm) for d in everything(elsewhere, dataset)] == kept
    for again in (store, elsewhere):
        assert again.add_portable(dataset, items) == ImportCounts(added=0, already=7, left_out=0)
    [old] = load_prompts(["decomposition"])
    for prompt in (reworded(old, tmp_path), old):
        build(elsewhere, dataset, prompt=prompt)
    assert portable(elsewhere, dataset) == items  # the originals stayed out of use


def test_an_edit_from_elsewhere_does_not_stand_beside_the_original(
    store: Store, dataset: Dataset, reviews: Reviews, elsewhere: Store
) -> None:
    build(elsewhere, store.dataset("hmdb51"))
    before = everything(store, dataset)
    elsewhere_before = everything(elsewhere, dataset)
    reviews.edit(before[0].ref, "edited", reviewer="anna")
    reviews.reorder(refs([before[5], before[4], before[3]]), reviewer="anna")
    assert elsewhere.add_portable(dataset, portable(store, dataset)) == ImportCounts(added=0, already=5, left_out=1)
    assert everything(elsewhere, dataset) == elsewhere_before
    elsewhere.reviews().edit(elsewhere_before[0].ref, "edited elsewhere", reviewer="bob")
    assert elsewhere.add_portable(dataset, portable(store, dataset)) == ImportCounts(added=0, already=5, left_out=1)
    assert store.add_portable(dataset, portable(elsewhere, dataset)) == ImportCounts(added=0, already=5, left_out=1)
    assert everything(store, dataset)[0].text == "edited"


def test_words_replaced_in_many_texts_keep_each_status_and_are_undone_as_one(
    store: Store, dataset: Dataset, reviews: Reviews
) -> None:
    before = everything(store, dataset)
    reviews.accept([before[0].ref], reviewer="anna")
    reviews.reject([before[1].ref], reviewer="anna")
    judged = everything(store, dataset)
    made = reviews.replace({d.ref: f"new {d.text}" for d in judged[:3]}, reviewer="ben")
    assert (made.what, len(made.changes)) == ("replace", 3)
    now = everything(store, dataset)
    assert [(d.text, d.status) for d in now[:3]] == [
        (f"new {d.text}", status) for d, status in zip(judged, ("accepted", "rejected", "pending"), strict=False)
    ]
    assert [(d.original, d.source, d.llm) for d in now[:3]] == [(d.text, "human", d.llm) for d in judged[:3]]
    assert now[3:] == judged[3:]
    assert [event.what for event in reviews.history(now[0].id)] == ["accept", "replace"]
    assert reviews.agreement(dataset) == []  # ben judged nothing
    assert reviews.accept([now[0].ref], reviewer="ben").already == 0  # nor is the status that stayed ben's verdict
    reviews.undo(reviewer="ben")
    reviews.undo(reviewer="ben")
    assert [(d.id, d.text, d.status) for d in everything(store, dataset)] == [(d.id, d.text, d.status) for d in judged]


def test_words_are_replaced_in_all_texts_or_in_none(store: Store, dataset: Dataset, reviews: Reviews) -> None:
    before = everything(store, dataset)
    reviews.edit(before[1].ref, "a hand is raised", reviewer="anna")
    now = everything(store, dataset)
    with pytest.raises(ConflictError) as refusal:
        reviews.replace({d.ref: f"new {d.text}" for d in before[:3]}, reviewer="ben")
    assert [conflict.expected for conflict in refusal.value.conflicts] == [before[1].ref]
    with pytest.raises(UsageError, match=f"have that text already: {now[0].id}"):
        reviews.replace({now[0].ref: now[0].text, now[2].ref: "other"}, reviewer="ben")
    with pytest.raises(UsageError, match="needs a text"):
        reviews.replace({now[0].ref: "other", now[2].ref: " "}, reviewer="ben")
    assert everything(store, dataset) == now
