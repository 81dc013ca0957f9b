"""Review in a terminal: one text after the other, a key for each decision. The same rules and log as in the browser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.text import Text

from db.errors import UserError
from db.records import Descriptor
from descriptor_gen.review import pages
from descriptor_gen.review.filters import Filter
from descriptor_gen.review.session import Desk, Wish

KEYS = (
    ("a r", "accept, reject"),
    ("e", "edit; an empty line leaves it"),
    ("p", "restore to pending"),
    ("n", "add a text of your own to this kind"),
    ("< >", "move a step up, down"),
    ("A", "accept all pending of the class"),
    ("u", "undo your last decision"),
    ("j k", "next, previous text"),
    ("[ ]", "previous, next class"),
    ("h", "history of the text"),
    ("?", "these keys"),
    ("q", "leave; everything is kept"),
)
_STYLES = {"pending": "", "accepted": "green", "rejected": "red"}


@dataclass
class Terminal:
    """A reviewer at a terminal.

    Attributes:
        desk: the descriptors, and the decisions on them.
        chosen: which are gone through, in label order; it begins at the first that is pending.
        console: where they are shown.
        read_key: waits for one key.
        read_text: asks for a line; gets the question and the text as it is.
    """

    desk: Desk
    chosen: Filter
    console: Console
    read_key: Callable[[], str]
    read_text: Callable[[str, str], str]
    at: int = 0
    said: str = "? shows the keys"

    def run(self) -> None:
        """Show and decide until `q`, or until nothing is left that could be shown.

        Raises:
            UserError: nothing passes the filter.
        """
        if not self._all():
            raise UserError(f"No descriptor of {self.desk.dataset.name} passes the filter {self.chosen.words}")
        self.at = self._open(from_=0)
        while texts := self._all():
            self.at = min(self.at, len(texts) - 1)
            self._show(texts)
            key = self.read_key()
            if key == "q":
                return
            self.said = self._act(key, texts) if key in _ACTIONS else f"No key {key!r}; ? shows them"

    def _act(self, key: str, texts: Sequence[Descriptor]) -> str:
        try:
            return _ACTIONS[key](self, texts)
        except UserError as error:
            return str(error)

    def _all(self) -> list[Descriptor]:
        passes = self.chosen.predicate(self.desk.phrases, self.desk.flags(wait=5.0)[0].rules)
        return [descriptor for descriptor in self.desk.state().descriptors if passes(descriptor)]

    def _open(self, *, from_: int) -> int:
        """Return the place of the first pending text from a place on; that place where there is none."""
        pending = (place for place, d in enumerate(self._all()) if place >= from_ and d.status == "pending")
        return next(pending, from_)

    def decide(self, what: str, seen: Sequence[Descriptor], *, text: str = "", goes_on: bool = True) -> str:
        """Make a decision; what was changed by somebody else is told instead of overwritten."""
        current = self._all()[self.at]
        action = next(action for action in self.desk.dataset.actions if action.name == current.action)
        wish = Wish(what, tuple((d.id, d.version) for d in seen), text, current.kind, action)
        outcome = self.desk.decide(wish)
        if outcome.conflicts:
            return "\n".join(("Nothing was changed: somebody was here before you.", *outcome.conflicts))
        self.at = self._open(from_=self.at) if goes_on else self.at
        return outcome.said

    def _show(self, texts: Sequence[Descriptor]) -> None:
        current = texts[self.at]
        if self.console.is_terminal:
            self.console.clear()
        counts = self.desk.totals()
        title = f"{self.desk.phrases[current.action]} · {current.kind} · by {current.writer}"
        progress = (
            f"{counts.decided} of {counts.all} decided · text {self.at + 1} of {len(texts)} · {self.desk.reviewer}"
        )
        together = [d for d in self.desk.state().of(current.action) if _place(d) == _place(current)]
        lines = [self._line(d, here=d.id == current.id) for d in sorted(together, key=lambda d: (d.position, d.id))]
        self.console.print(Group(Rule(Text(title, style="bold"), align="left"), *lines, Text(progress, style="dim")))
        self.console.print(Text(self.said, style="bold"))

    def _line(self, descriptor: Descriptor, *, here: bool) -> RenderableType:
        edited = ", edited" if descriptor.original is not None else ""
        line = Text("> " if here else "  ", style="bold" if here else "")
        line.append(descriptor.text, style=f"{_STYLES[descriptor.status]} {'bold' if here else ''}".strip())
        line.append(f"  [{descriptor.status}{edited}]", style="dim")
        for flag in self.desk.flags()[0].by_id.get(descriptor.id, ()):
            line.append(f"\n    {flag.rule}: {flag.detail}", style="yellow")
        return line


def _place(descriptor: Descriptor) -> tuple[object, ...]:
    """Return what the texts of one reply, file or person have in common."""
    return descriptor.action, descriptor.kind, descriptor.generation, descriptor.origin


Action = Callable[[Terminal, Sequence[Descriptor]], str]


def _edit(terminal: Terminal, texts: Sequence[Descriptor]) -> str:
    old = texts[terminal.at]
    new = terminal.read_text("New text", old.text).strip()
    return terminal.decide("edit", [old], text=new) if new and new != old.text else "Left as it was"


def _add(terminal: Terminal, texts: Sequence[Descriptor]) -> str:
    new = terminal.read_text(f"A {texts[terminal.at].kind} of your own", "").strip()
    return terminal.decide("add", [], text=new, goes_on=False) if new else "Nothing was added"


def _accept_all(terminal: Terminal, texts: Sequence[Descriptor]) -> str:
    action = texts[terminal.at].action
    pending = [d for d in texts if d.action == action and d.status == "pending"]
    return terminal.decide("accept", pending) if pending else "Nothing is pending in this class"


def _moved(by: int) -> Action:
    def move(terminal: Terminal, texts: Sequence[Descriptor]) -> str:
        current = texts[terminal.at]
        every = terminal.desk.state().of(current.action)
        order = sorted((d for d in every if _place(d) == _place(current)), key=lambda d: (d.position, d.id))
        place = [d.id for d in order].index(current.id)
        if not 0 <= place + by < len(order):
            return "It cannot be moved further"
        order.insert(place + by, order.pop(place))
        said = terminal.decide("reorder", order, goes_on=False)
        terminal.at = next(at for at, d in enumerate(terminal._all()) if d.id == current.id)
        return said

    return move


def _gone(by: int) -> Action:
    def go(terminal: Terminal, texts: Sequence[Descriptor]) -> str:
        terminal.at = max(0, min(terminal.at + by, len(texts) - 1))
        return ""

    return go


def _class(by: int) -> Action:
    def go(terminal: Terminal, texts: Sequence[Descriptor]) -> str:
        names = list(dict.fromkeys(d.action for d in texts))
        wanted = names.index(texts[terminal.at].action) + by
        if not 0 <= wanted < len(names):
            return "There is no further class"
        terminal.at = next(place for place, d in enumerate(texts) if d.action == names[wanted])
        return ""

    return go


def _history(terminal: Terminal, texts: Sequence[Descriptor]) -> str:
    events = pages.history(terminal.desk, texts[terminal.at].id)["events"]
    lines = [f"{e['at']:%Y-%m-%d %H:%M} {e['reviewer']}: {e['what']}; {e['before']} -> {e['after']}" for e in events]
    return "\n".join(lines) or "No decision on it yet"


def _keys(_terminal: Terminal, _texts: Sequence[Descriptor]) -> str:
    return "\n".join(f"{keys:<4} {what}" for keys, what in KEYS)


_ACTIONS: dict[str, Action] = {
    "a": lambda t, texts: t.decide("accept", [texts[t.at]]),
    "r": lambda t, texts: t.decide("reject", [texts[t.at]]),
    "p": lambda t, texts: t.decide("restore", [texts[t.at]], goes_on=False),
    "u": lambda t, _texts: t.decide("undo", [], goes_on=False),
    "e": _edit,
    "n": _add,
    "A": _accept_all,
    "<": _moved(-1),
    ">": _moved(1),
    "j": _gone(1),
    "k": _gone(-1),
    "]": _class(1),
    "[": _class(-1),
    "h": _history,
    "?": _keys,
}
