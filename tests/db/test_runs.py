"""Names, notes and tags of runs, and their deletion."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from db.errors import UsageError, UserError
from db.records import Impact, Prediction, Run
from db.runs import RunChange, RunLabels
from db.store import Store
from descriptor_gen.generate.build import build_descriptors
from descriptor_gen.llms.testing import FakeLLM
from descriptor_gen.prompting.prompt import load_prompts
from tests.fixtures.databases import engine_of

WHEN = datetime(2026, 5, 1, tzinfo=UTC)


def add(store: Store, *videos: str, dataset: str = "hmdb51") -> int:
    """Store a run of some videos; return its number."""
    predictions = tuple(Prediction(video, 0, ((0, 0.5), (1, 0.4)), 1, 2) for video in videos)
    counts = {"listed": len(videos), "evaluated": len(videos)}
    return store.save_run(Run(dataset, {}, "", (), counts, (), {"rows": {}}, 1.0, WHEN, predictions=predictions))


def test_a_name_stands_for_the_number(store: Store) -> None:
    first, second = add(store, "a"), add(store, "b")
    [named] = store.run_changes().change([second], RunChange(name="  tear   vs mine "))
    assert named.name == "tear vs mine"
    assert store.run("tear vs mine") == store.run(second) == store.run(str(second))
    assert store.run(first).name is None
    assert [run.name for run in store.runs()] == [None, "tear vs mine"]


def test_an_unknown_name_is_told_with_those_that_are_near(store: Store) -> None:
    store.run_changes().change([add(store)], RunChange(name="tear-vs-mine"))
    with pytest.raises(UsageError, match=r"No run tear-v-mine. Did you mean tear-vs-mine\? .* recognize runs"):
        store.run("tear-v-mine")
    for odd in ("", "\x00", "\ud800", "9" * 5, "-1"):
        with pytest.raises(UsageError, match="No run"):
            store.run(odd)


@pytest.mark.parametrize("name", ["7", "-7", "-x", "x" * 201, "\x00", "a\ud800"])
def test_names_that_commands_would_take_for_something_else_are_refused(store: Store, name: str) -> None:
    number = add(store)
    with pytest.raises(UsageError):
        store.run_changes().change([number], RunChange(name=name, note="x"))
    assert RunLabels.of(store.run(number)) == RunLabels("", "", ())


def test_no_two_runs_have_one_name(store: Store) -> None:
    first, second = add(store), add(store)
    runs = store.run_changes()
    runs.change([first], RunChange(name="best"))
    with pytest.raises(UsageError, match=f"Run {first} has the name best. .* recognize runs {first} --name ''"):
        runs.change([second], RunChange(name=" best "))
    with pytest.raises(UsageError, match="A name is for one run, not for 2"):
        runs.change([first, second], RunChange(name="better"))
    runs.change(["best"], RunChange(name="best", note="the same name again is no other name"))
    runs.change([first], RunChange(name=""))
    runs.change([second], RunChange(name="best"))
    assert [run.name for run in store.runs()] == [None, "best"]


def test_notes_and_tags_are_added_and_taken_away_for_all_runs_or_none(store: Store) -> None:
    first, second = add(store), add(store)
    runs = store.run_changes()
    runs.change([first, second], RunChange(note="two\r\nlines \x1b[31mred", tag=("paper", " of  May ", "paper")))
    assert RunLabels.of(store.run(first)) == RunLabels("", "two\nlines red", ("of May", "paper"))
    runs.change([first], RunChange(note="", untag=("paper",)))
    assert RunLabels.of(store.run(first)) == RunLabels("", "", ("of May",))
    with pytest.raises(UsageError, match=f"Run {first} has no tag paper. Its tags: of May"):
        runs.change([second, first], RunChange(untag=("paper",)))
    assert store.run(second).tags == ("of May", "paper"), "nothing was changed"
    for tag in ("", "a,b", "x" * 101):
        with pytest.raises(UsageError):
            runs.change([first], RunChange(tag=(tag,)))


def test_a_change_of_what_somebody_else_changed_is_refused(store: Store) -> None:
    number = add(store)
    runs = store.run_changes()
    read = RunLabels.of(store.run(number))
    runs.change([number], RunChange(note="hers"), read=read)
    with pytest.raises(UserError, match=r"Nothing was changed: .* its note is: hers"):
        runs.change([number], RunChange(note="his"), read=read)
    assert store.run(number).note == "hers"


def test_a_deleted_run_goes_with_its_predictions_and_impacts_alone(store: Store, db_url: str) -> None:
    build_descriptors(store, store.dataset("hmdb51"), llm=FakeLLM(), prompts=load_prompts(["context"]))
    texts = [descriptor.id for descriptor in store.descriptors(store.dataset("hmdb51"))]
    gone, kept = add(store, "a", "b"), add(store, "c")
    for run in (gone, kept):
        store.save_impacts({text: Impact(run, 0.1, 0.2) for text in texts[:3]})
    runs = store.run_changes()
    [contents] = runs.contents([gone])
    assert (contents.predictions, contents.impacts, contents.dataset) == (2, 3, "hmdb51")
    runs.delete([contents])
    assert [run.id for run in store.runs()] == [kept]
    with engine_of(db_url).connect() as connection:
        for table, count in (("prediction", 1), ("impact", 3), ("run", 1), ("descriptor", len(texts))):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() == count, table  # noqa: S608
    with pytest.raises(UsageError, match=f"No run {gone}"):
        runs.delete([contents])


def test_another_run_of_the_same_number_is_not_deleted(store: Store) -> None:
    number = add(store, "a")
    runs = store.run_changes()
    [contents] = runs.contents([number])
    runs.delete([contents])
    again = store.save_run(replace(Run("hmdb51", {}, "", (), {}, (), {}, 1.0), created_at=WHEN.replace(year=2027)))
    with pytest.raises(UserError):
        runs.delete([replace(contents, run=again)])
    assert [run.id for run in store.runs()] == [again]


def test_the_newest_run(store: Store) -> None:
    runs = store.run_changes()
    assert runs.newest() is None
    first, second = add(store, "a"), add(store, dataset="ucf101")
    assert [runs.newest(name).id for name in (None, "hmdb51", "ucf101")] == [second, first, second]  # type: ignore[union-attr]
    assert runs.newest("hmdb51") == replace(store.run(first), predictions=()) == runs.without_predictions(first)
