"""Review in a terminal: keys typed, and the output."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence

import pytest
from rich.console import Console

from db.errors import UserError
from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from descriptor_gen.review.filters import Filter
from descriptor_gen.review.session import ReviewSession
from descriptor_gen.review.terminal import Terminal
from tests.fixtures.commands import Run

Review = Callable[..., str]


@pytest.fixture
def review(descgen: Run, llm: FakeLLM, store: Store) -> Iterator[Review]:
    """Type keys, and lines when asked for them; return the output."""
    descgen("build", "-d", "hmdb51", "-k", "decomposition", "-k", "context", "--limit", "2")
    sessions: list[ReviewSession] = []

    def typed(
        keys: str, *lines: str, reviewer: str = "anna", before: Sequence[Callable[[], object]] = (), **chosen: str
    ) -> str:
        sessions.append(ReviewSession(store, store.dataset("hmdb51"), reviewer=reviewer))
        shown, answers, happens = io.StringIO(), iter(lines), iter(before)
        typing = iter(keys + "q")

        def key() -> str:
            next(happens, lambda: None)()
            return next(typing)

        console = Console(file=shown, width=140, markup=False, highlight=False)
        Terminal(sessions[-1], Filter(**chosen), console, key, lambda question, text: next(answers)).run()
        return shown.getvalue()

    yield typed
    for session in sessions:
        session.close()


def statuses(store: Store, kind: str = "decomposition") -> list[tuple[str, str]]:
    every = store.descriptors(store.dataset("hmdb51"), kinds=[kind], statuses=("pending", "accepted", "rejected"))
    return [(d.text, d.status) for d in every if d.action == "brush_hair"]


def test_keys_decide_and_the_next_pending_text_comes(review: Review, store: Store) -> None:
    shown = review("are", "the brush sinks to the side", kind="decomposition")
    assert statuses(store) == [
        ("someone begins it slowly", "accepted"),
        ("someone moves on with it", "rejected"),
        ("the brush sinks to the side", "accepted"),
    ]
    assert "brushing hair · decomposition · by fake" in shown
    assert "> someone moves on with it  [pending]" in shown
    assert "doing a cartwheel" in shown  # the next class, when this one is done
    review("uu", kind="decomposition")
    assert [status for _, status in statuses(store)] == ["accepted", "pending", "pending"]
    events = store.reviews().events(store.dataset("hmdb51"))
    assert [(event.what, event.reviewer) for event in events] == [
        ("accept", "anna"), ("reject", "anna"), ("edit", "anna"), ("undo", "anna"), ("undo", "anna"),
    ]  # fmt: skip


def test_undo_goes_back_to_the_text(review: Review, store: Store) -> None:
    review("aur", kind="decomposition")
    assert [status for _, status in statuses(store)] == ["rejected", "pending", "pending"]
    shown = review("juq", kind="decomposition", status="pending")  # the rejected text is back in the filter
    assert "Undone: 'someone begins it slowly' is pending" in shown
    assert "> someone begins it slowly  [pending]" in shown
    review("a", kind="decomposition")
    assert "it is not among the texts of the filter" in review("u", kind="context")


def test_a_class_is_accepted_and_texts_are_added_and_moved(review: Review, store: Store) -> None:
    review("A", kind="decomposition")
    assert {status for _, status in statuses(store)} == {"accepted"}
    review("k" * 9 + ">n", "a comb [red] in the hand", kind="decomposition")
    assert [text for text, _ in statuses(store)][:2] != ["someone begins it slowly", "someone moves on with it"]
    assert ("a comb [red] in the hand", "accepted") in statuses(store)
    shown = review("?" + "k" * 9 + "h]x", kind="decomposition")
    assert "undo your last decision" in shown
    assert "anna: add" in shown
    assert "No key 'x'" in shown


def test_markup_is_text(review: Review, store: Store) -> None:
    shown = review("n", "[bold]<b>{{ 7 * 7 }}[/bold]", kind="context")
    assert "[bold]<b>{{ 7 * 7 }}[/bold]  [accepted]" in review("", kind="context", status="accepted")
    assert "49" not in shown


def test_the_second_reviewer_sees_the_change_of_the_first(review: Review, store: Store) -> None:
    def ben_rejects() -> None:
        first = next(d for d in store.descriptors(store.dataset("hmdb51"), kinds=["decomposition"]))
        store.reviews().reject([first.ref], reviewer="ben")

    shown = review("a", kind="decomposition", before=[ben_rejects])
    assert "ben rejected this text before you: someone begins it slowly [rejected]" in shown
    assert statuses(store)[0][1] == "rejected"


def test_the_text_shown_is_decided_though_others_left_the_filter(descgen: Run, llm: FakeLLM, store: Store) -> None:
    descgen("build", "-d", "hmdb51", "-k", "decomposition", "--limit", "1")
    session = ReviewSession(store, store.dataset("hmdb51"), reviewer="anna")
    keys = iter("jjaq")

    def read_key() -> str:
        key = next(keys)
        if key == "a":  # ben rejects the first text while the last one is shown
            first = store.descriptors(session.dataset)[0]
            store.reviews().reject([first.ref], reviewer="ben")
            session.refresh()
        return key

    console = Console(file=io.StringIO(), width=140)
    Terminal(session, Filter(status="pending"), console, read_key, lambda question, text: "").run()
    session.close()
    assert [status for _, status in statuses(store)] == ["rejected", "pending", "accepted"]


def test_an_empty_filter_and_a_missing_terminal_are_refused(review: Review, descgen: Run) -> None:
    with pytest.raises(UserError, match="kind 'colours'"):
        review("", kind="colours")
    piped = descgen("review", "-d", "hmdb51", "--tui")
    assert (piped.exit_code, "descgen accept, reject, edit" in piped.stderr) == (2, True)


def test_comments_and_guidelines_are_shown_and_comments_written(review: Review, store: Store) -> None:
    dataset = store.dataset("hmdb51")
    first = store.descriptors(dataset, kinds=["decomposition"])[0]
    store.comments().add(first.id, "too [bold]short[/bold]", reviewer="ben")
    nothing = review("g", kind="decomposition")
    assert "No guidelines yet: descgen guidelines --dataset hmdb51 --set FILE" in nothing
    store.comments().set_guidelines(dataset, "Only what is seen.\n- no names", reviewer="ben")
    shown = review("gcc", "I agree", " ", kind="decomposition")
    assert "ben says: too [bold]short[/bold]" in shown
    assert "Only what is seen.\n- no names\n(ben, " in shown
    assert "anna says: I agree" in shown
    assert "Nothing was said" in shown
    assert [comment.text for comment in store.comments().of(first.id)] == ["too [bold]short[/bold]", "I agree"]
