"""Review in a terminal: one text at a time, with a key for each decision. Rules and log are those of the browser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.text import Text

from db.blind_verdicts import REFUSED
from db.errors import UserError
from db.records import Comment, Descriptor
from descriptor_gen.review import pages
from descriptor_gen.review.conflicts import in_words
from descriptor_gen.review.filters import Filter
from descriptor_gen.review.session import DecisionRequest, Outcome, ReviewSession

KEYS = (
    ("a r", "accept, reject"),
    ("e", "edit; an empty line cancels"),
    ("p", "restore to pending"),
    ("n", "add a text of your own to this kind"),
    ("< >", "move up, down"),
    ("A", "accept all pending of the class"),
    ("u", "undo your last decision"),
    ("j k", "next, previous text"),
    ("[ ]", "previous, next class"),
    ("c", "comment on the text; an empty line cancels"),
    ("g", "guidelines"),
    ("h", "history of the text"),
    ("?", "these keys"),
    ("q", "quit; every decision is kept"),
)
_CHANGING = frozenset("en<>")  # keys that change texts
_STYLES = {"pending": "", "accepted": "green", "rejected": "red"}


@dataclass
class Terminal:
    """A reviewer at a terminal.

    Attributes:
        filter: selects the texts, which are shown in label order from the first pending one.
        read_key: waits for a key press.
        read_text: asks for a line; takes the question and the default text.
        index: the current text among those of the filter.
        message: shown below the texts.
    """

    session: ReviewSession
    filter: Filter
    console: Console
    read_key: Callable[[], str]
    read_text: Callable[[str, str], str]
    index: int = 0
    message: str = "? shows the keys"

    def run(self) -> None:
        """Show texts and make decisions until `q`, or until no text passes the filter.

        Raises:
            UserError: no text passes the filter at the beginning.
        """
        if not self.texts():
            name = self.session.dataset.name
            raise UserError(f"No descriptor of {name} passes the filter {self.filter.description}")
        self.go_to_pending()
        while texts := self.texts():
            self.index = min(self.index, len(texts) - 1)
            self._show(texts)
            key = self.read_key()
            if key == "q":
                return
            try:
                self.message = self._run(key, texts)
            except UserError as error:
                self.message = str(error)

    def _run(self, key: str, texts: Sequence[Descriptor]) -> str:
        if key not in _COMMANDS:
            return f"No key {key!r}; ? shows the keys"
        if self.session.blind and key in _CHANGING:
            raise UserError(REFUSED)  # before a text is asked for
        return _COMMANDS[key](self, texts)

    def texts(self) -> list[Descriptor]:
        """Return the texts of the filter."""
        return self.session.matching(self.filter, wait=5.0)

    def go_to_pending(self) -> None:
        """Go to the first pending text from the current one on, if there is any."""
        pending = (i for i, d in enumerate(self.texts()) if i >= self.index and d.status == "pending")
        self.index = next(pending, self.index)

    def decide(
        self,
        decision: str,
        current: Descriptor,
        descriptors: Sequence[Descriptor] = (),
        *,
        text: str = "",
        stay: bool = False,
    ) -> str:
        """Make a decision and go to the next pending text, unless `stay`; return the message.

        Args:
            current: the text that is shown; a new text is added to its class and kind.
            descriptors: the texts decided on; empty is `current`.
        """
        action = next(action for action in self.session.dataset.actions if action.name == current.action)
        refs = tuple(d.ref for d in descriptors or (current,))
        outcome = self.session.decide(DecisionRequest(decision, refs, text, current.kind, action))
        if outcome.conflicts:
            return self._refused("Nothing was changed.", outcome)
        if not stay:
            self.go_to_pending()
        return outcome.message

    def undo(self, current: Descriptor) -> str:
        """Undo the reviewer's last decision and go back to its text; return the message."""
        outcome = self.session.decide(DecisionRequest("undo"))
        if outcome.decision is None:
            return self._refused("Nothing was undone.", outcome)
        restored = next((change.after.id for change in outcome.decision.changes if change.after), current.id)
        ids = [d.id for d in self.texts()]
        if restored not in ids:
            return f"{outcome.message}; it is not among the texts of the filter"
        self.index = ids.index(restored)
        return outcome.message

    def _refused(self, message: str, outcome: Outcome) -> str:
        return "\n".join((message, *(in_words(conflict, self.session.reviewer) for conflict in outcome.conflicts)))

    def reply(self, current: Descriptor) -> list[Descriptor]:
        """Return the texts of the same reply, file or person, in order."""
        texts = self.session.snapshot().by_action.get(current.action, ())
        shared = (current.kind, current.generation, current.origin)
        same = [d for d in texts if (d.kind, d.generation, d.origin) == shared]
        return sorted(same, key=lambda d: (d.position, d.id))

    def _show(self, texts: Sequence[Descriptor]) -> None:
        current = texts[self.index]
        if self.console.is_terminal:
            self.console.clear()
        counts = self.session.totals()
        title = Text(f"{self.session.phrases[current.action]} · {current.kind} · by {current.writer}", style="bold")
        decided, position = f"{counts.decided} of {counts.all} decided", f"text {self.index + 1} of {len(texts)}"
        said, blind = self.session.comments(), ", blind" if self.session.blind else ""
        lines = [self._line(d, said.get(d.id, ()), is_current=d.id == current.id) for d in self.reply(current)]
        footer = Text(f"{decided} · {position} · {self.session.reviewer}{blind}", style="dim")
        self.console.print(Group(Rule(title, align="left"), *lines, footer))
        self.console.print(Text(self.message, style="bold"))

    def _line(self, descriptor: Descriptor, said: Sequence[Comment], *, is_current: bool) -> RenderableType:
        edited = ", edited" if descriptor.original is not None else ""
        bold = "bold" if is_current else ""
        line = Text("> " if is_current else "  ", style=bold)
        line.append(descriptor.text, style=f"{_STYLES[descriptor.status]} {bold}".strip())
        line.append(f"  [{descriptor.status}{edited}]", style="dim")
        for flag in self.session.flags()[0].by_id.get(descriptor.id, ()):
            line.append(f"\n    {flag.rule}: {flag.detail}", style="yellow")
        for comment in said:
            line.append(f"\n    {comment.reviewer} says: {comment.text}", style="cyan")
        return line


def _edit(terminal: Terminal, texts: Sequence[Descriptor]) -> str:
    current = texts[terminal.index]
    text = terminal.read_text("New text", current.text).strip()
    return terminal.decide("edit", current, text=text) if text and text != current.text else "Not changed"


def _add(terminal: Terminal, texts: Sequence[Descriptor]) -> str:
    current = texts[terminal.index]
    text = terminal.read_text(f"A {current.kind} of your own", "").strip()
    return terminal.decide("add", current, text=text, stay=True) if text else "Nothing was added"


def _accept_all(terminal: Terminal, texts: Sequence[Descriptor]) -> str:
    current = texts[terminal.index]
    pending = [d for d in texts if d.action == current.action and d.status == "pending"]
    return terminal.decide("accept", current, pending) if pending else "Nothing is pending in this class"


def _move(terminal: Terminal, texts: Sequence[Descriptor], *, by: int) -> str:
    """Move the current text in its reply."""
    current = texts[terminal.index]
    order = terminal.reply(current)
    index = [d.id for d in order].index(current.id)
    if not 0 <= index + by < len(order):
        return "It cannot be moved further"
    order.insert(index + by, order.pop(index))
    message = terminal.decide("reorder", current, order, stay=True)
    terminal.index = next((i for i, d in enumerate(terminal.texts()) if d.id == current.id), terminal.index)
    return message


def _step(terminal: Terminal, texts: Sequence[Descriptor], *, by: int) -> str:
    """Go to the next or previous text."""
    terminal.index = max(0, min(terminal.index + by, len(texts) - 1))
    return ""


def _step_class(terminal: Terminal, texts: Sequence[Descriptor], *, by: int) -> str:
    """Go to the first text of the next or previous class."""
    names = list(dict.fromkeys(d.action for d in texts))
    target = names.index(texts[terminal.index].action) + by
    if not 0 <= target < len(names):
        return "There is no further class"
    terminal.index = next(i for i, d in enumerate(texts) if d.action == names[target])
    return ""


def _history(terminal: Terminal, texts: Sequence[Descriptor]) -> str:
    lines = [
        f"{event['at']:%Y-%m-%d %H:%M} {event['reviewer']}: {event['decision']}; {event['before']} -> {event['after']}"
        for event in pages.history(terminal.session, texts[terminal.index].id)["events"]
    ]
    return "\n".join(lines) or "No decision on it yet"


def _comment(terminal: Terminal, texts: Sequence[Descriptor]) -> str:
    text = terminal.read_text("Your comment", "").strip()
    if not text:
        return "Nothing was said"
    session = terminal.session
    session.comment(texts[terminal.index].id, text)
    return "Comment added"


def _guidelines(terminal: Terminal, _texts: Sequence[Descriptor]) -> str:
    session = terminal.session
    now = session.notes.guidelines(session.dataset)
    if now is None:
        return f"No guidelines yet: descgen guidelines --dataset {session.dataset.argument} --set FILE"
    who = "" if session.blind else f"{now.reviewer}, "
    return f"{now.text}\n({who}{now.at:%Y-%m-%d %H:%M} UTC)"


_COMMANDS: dict[str, Callable[[Terminal, Sequence[Descriptor]], str]] = {
    "a": lambda terminal, texts: terminal.decide("accept", texts[terminal.index]),
    "r": lambda terminal, texts: terminal.decide("reject", texts[terminal.index]),
    "p": lambda terminal, texts: terminal.decide("restore", texts[terminal.index], stay=True),
    "u": lambda terminal, texts: terminal.undo(texts[terminal.index]),
    "e": _edit,
    "n": _add,
    "A": _accept_all,
    "<": partial(_move, by=-1),
    ">": partial(_move, by=1),
    "j": partial(_step, by=1),
    "k": partial(_step, by=-1),
    "]": partial(_step_class, by=1),
    "[": partial(_step_class, by=-1),
    "c": _comment,
    "g": _guidelines,
    "h": _history,
    "?": lambda terminal, _texts: "\n".join(
        f"{keys:<4} {effect}" for keys, effect in KEYS if not (terminal.session.blind and _CHANGING & set(keys))
    ),
}
