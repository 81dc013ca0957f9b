"""Datasets of one's own: compared with what is stored, subsets, renamed, removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.errors import UsageError
from db.records import Dataset, Run
from db.store import Store
from db.vocabulary import from_labels
from descriptor_gen.generate.build import build_descriptors
from descriptor_gen.llms.testing import FakeLLM
from descriptor_gen.prompting.prompt import load_prompts


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.txt"
    path.write_text("a\nb\nred\n")
    return path


def build(store: Store, dataset: Dataset) -> list[str]:
    """Write descriptors of a dataset; return their texts."""
    build_descriptors(store, dataset, llm=FakeLLM(), prompts=load_prompts(["context"]))
    return [text.text for text in store.descriptors(dataset)]


def run_of(store: Store, dataset: Dataset) -> int:
    """Store a run on a dataset, without videos."""
    ids = tuple(text.id for text in store.descriptors(dataset))
    settings = {"classes": [[action.name, action.phrase] for action in dataset.actions]}
    return store.save_run(Run(dataset.name, settings, "0" * 64, ids, {}, (), {}, 1.0))


def test_another_file_of_a_stored_name_is_told_with_what_is_other(store: Store, labels: Path, tmp_path: Path) -> None:
    store.register(store.resolve(str(labels)))
    (tmp_path / "elsewhere").mkdir()
    other = tmp_path / "elsewhere" / "labels.txt"
    other.write_text("red\nc\nd\n")
    with pytest.raises(UsageError) as refused:
        store.resolve(str(other))
    assert f"{other} has other classes than the stored dataset labels: 2 gone (a, b), 2 new (c, d). " in str(
        refused.value
    )
    assert f"descgen datasets add {other} --name labels-2." in str(refused.value)
    assert str(refused.value).endswith(f"descgen datasets add {other} --replace")
    with pytest.raises(UsageError, match="2 gone"):
        store.register(from_labels("labels", ["red", "c", "d"]))
    assert [action.name for action in store.dataset("labels").actions] == ["a", "b", "red"]


def test_at_most_five_classes_are_named(store: Store) -> None:
    store.register(from_labels("many", [f"old {n}" for n in range(9)]))
    with pytest.raises(UsageError, match=r"9 gone \(old 0, old 1, old 2, old 3, old 4 and 4 more\), 1 new \(x\)"):
        store.register(from_labels("many", ["x"]))


def test_the_same_classes_in_another_order_are_other_label_indices(store: Store) -> None:
    store.register(from_labels("own", ["a", "b", "c"]))
    with pytest.raises(UsageError, match=r"2 at another place \(b, a\)|2 at another place \(a, b\)"):
        store.register(from_labels("own", ["b", "a", "c"]))


def test_a_file_is_found_again_under_the_name_it_was_stored_as(store: Store, labels: Path) -> None:
    store.register(store.resolve(str(labels), name="mine"))
    assert store.resolve(str(labels)).name == store.resolve("mine").name == "mine"
    assert store.datasets() == ["mine"]
    labels.write_text("a\nb\nblue\n")
    with pytest.raises(UsageError, match=r"add \S+ --name mine --replace"):
        store.resolve(str(labels))


def test_another_phrase_is_refused_where_nothing_would_update_it(store: Store, labels: Path) -> None:
    store.register(store.resolve(str(labels)))
    labels.write_text("a\ta\nb\tNASA b\nred\tred\n")
    with pytest.raises(UsageError, match=r"other phrases than .* labels: 1 \(b: 'b', now 'NASA b'\)"):
        store.resolve(str(labels))
    [changed] = store.register(store.resolve(str(labels), update="phrases"))
    assert (changed.action, changed.before, changed.after) == ("b", "b", "NASA b")
    assert store.resolve(str(labels)).actions[1].phrase == "NASA b"


def test_classes_that_come_back_have_their_texts_again(store: Store, labels: Path) -> None:
    before = build(store, store.resolve(str(labels)))
    labels.write_text("red\n")
    store.register(store.resolve(str(labels), update="classes"), update="classes")
    kept = [text.text for text in store.descriptors(store.dataset("labels"))]
    assert 0 < len(kept) < len(before)
    labels.write_text("a\nb\nred\n")
    store.register(store.resolve(str(labels), update="classes"), update="classes")
    assert [text.text for text in store.descriptors(store.dataset("labels"))] == before


@pytest.mark.parametrize("name", ["ucf101", "k400", "", "a/b", "-d", "x" * 201, "a\nb"])
def test_a_name_that_would_mean_something_else_is_refused(store: Store, labels: Path, name: str) -> None:
    store.register(store.resolve(str(labels)))
    with pytest.raises(UsageError):
        store.own_datasets().rename("labels", name)
    assert store.datasets() == ["labels"]


def test_a_renamed_dataset_keeps_its_texts_subsets_and_runs(store: Store, labels: Path, subset_of_labels: str) -> None:
    texts = build(store, store.resolve(str(labels)))
    run = run_of(store, store.dataset("labels"))
    store.own_datasets().rename("labels", "mine")
    assert [text.text for text in store.descriptors(store.dataset("mine"))] == texts
    assert store.run(run).dataset == "mine"
    assert store.dataset(subset_of_labels).stored_as == "mine"
    with pytest.raises(UsageError, match="Unknown dataset 'labels'"):
        store.dataset("labels")


@pytest.fixture
def subset_of_labels(store: Store, labels: Path) -> str:
    """The name of a dataset of two of the classes, in another order."""
    from db.vocabulary import subset

    whole = store.resolve(str(labels))
    store.register(whole)
    store.own_datasets().add_subset(subset("two", whole, ["red", "a"]))
    return "two"


def test_a_subset_has_labels_of_its_own_and_shares_the_texts(store: Store, labels: Path, subset_of_labels: str) -> None:
    dataset = store.resolve(subset_of_labels)
    assert [(action.label, action.name) for action in dataset.actions] == [(0, "red"), (1, "a")]
    build(store, store.resolve(str(labels)))
    assert {text.action for text in store.descriptors(dataset)} == {"red", "a"}
    with pytest.raises(UsageError, match="two"):
        store.own_datasets().remove("labels")
    store.own_datasets().remove("two")
    assert store.datasets() == ["labels"]
    assert len(store.descriptors(store.dataset("labels"))) == 9


def test_a_removed_dataset_takes_its_runs_and_decisions_and_leaves_the_others(store: Store, labels: Path) -> None:
    dataset, other = store.resolve(str(labels)), from_labels("other", ["red", "blue"])
    build(store, dataset)
    kept = build(store, other)  # the reply about "red" is a cached one: its call was made for the first dataset
    for each in (dataset, other):
        text = store.descriptors(each)[0]
        store.reviews().accept([text.ref], reviewer="anna")
    first, second = run_of(store, dataset), run_of(store, other)
    gone = store.own_datasets().remove("labels")
    assert (gone.classes, gone.texts, gone.calls, gone.decisions, gone.runs) == (3, 9, 3, 1, (first,))
    assert [text.text for text in store.descriptors(store.dataset("other"))] == kept
    assert [run.id for run in store.runs()] == [second]
    assert {entry.action for entry in store.history(store.dataset("other"))} == {"red", "blue"}
    assert len(store.reviews().events(store.dataset("other"))) == 1
    assert store.generation_counts()[0]["calls"] == 2
    assert store.datasets() == ["other"]


def test_built_in_datasets_are_not_renamed_or_removed(store: Store) -> None:
    build(store, from_labels("own", ["a"]))
    for change in (store.own_datasets().remove, lambda name: store.own_datasets().rename(name, "x")):
        with pytest.raises(UsageError, match="is built in"):
            change("ucf101")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("vidss", "No stored dataset vidss. Did you mean vids? All datasets: descgen datasets"),
        ("My_Films", "No stored dataset My_Films. Did you mean my films? All datasets: descgen datasets"),
        ("quite else", "No stored dataset quite else. All datasets: descgen datasets"),
    ],
)
def test_an_unknown_dataset_is_told_with_those_like_it(store: Store, name: str, said: str) -> None:
    for stored in ("vids", "my films"):
        store.register(from_labels(stored, ["a"]))
    for change in (store.own_datasets().remove, lambda given: store.own_datasets().rename(given, "x")):
        with pytest.raises(UsageError) as caught:
            change(name)
        assert str(caught.value) == said


def test_a_file_stored_twice_is_the_one_with_its_classes(store: Store, labels: Path) -> None:
    store.register(store.resolve(str(labels)))
    labels.write_text("c\nd\n")
    store.register(store.resolve(str(labels), name="second"))
    assert store.resolve(str(labels)).name == "second"
    labels.write_text("e\n")
    with pytest.raises(UsageError, match="several names: labels, second"):
        store.resolve(str(labels))
