"""What the commands print: tables of classes, descriptors, prompts, builds and decisions."""

from __future__ import annotations

import os
import shlex
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from db import vocabulary
from db.commandline import table
from db.errors import UsageError, did_you_mean, first_few, unknown
from db.kinds import built_in_kinds
from db.records import (
    STATUSES,
    Agreement,
    Change,
    Comment,
    Dataset,
    Decision,
    DecisionKind,
    Descriptor,
    HistoryEntry,
    Rephrased,
    ReviewEvent,
    State,
)

if TYPE_CHECKING:
    from db.catalogue import Catalogue
    from descriptor_gen.exchange.importing import ImportReport
    from descriptor_gen.generate.batch_file import WrittenBatch
    from descriptor_gen.generate.build import BuildReport
    from descriptor_gen.generate.calls import Estimate
    from descriptor_gen.llms import Request
    from descriptor_gen.llms.registry import KnownLLM
    from descriptor_gen.packs.build import BuiltPack
    from descriptor_gen.prompting.prompt import Prompt, TemplateCheck

Rows = list[dict[str, Any]]
_MOST_PROBLEMS = 10
_MOST_CHANGES = 10  # of a decision, listed one by one
_DIGITS = 12  # of a sha256
_STOPPED_BY = {
    "budget": "the budget",
    "interrupt": "Ctrl-C",
    "handed in": "Ctrl-C",
    "unanswered": "the end of the batch files",
}
_DESCRIPTOR_COLUMNS = ("dataset", "kind", "written by", *(f">{status}" for status in STATUSES), ">all")
_CALL_COLUMNS = ("provider", "model", "outcome", ">calls", ">tokens in", ">tokens out", ">seconds")
_HISTORY_COLUMNS = ("action", "kind", "UTC", "llm", "template", ">sample", ">attempt", "outcome", "reply")
_AGREEMENT = "Agreement of reviewers (+ accepted unchanged, - rejected or edited)"
_BLIND_AGREEMENT = "Agreement of blind reviewers (+ accepted, - rejected)"
_AGREEMENT_COLUMNS = (
    *("reviewers", ">texts", ">both +", ">first +", ">second +", ">both -", ">agree %", ">kappa", ">95% interval"),
)


def build_report(report: BuildReport) -> RenderableType:
    """Return the changed phrases and the problems of a build, if any, and a summary line."""
    lines = rephrased_lines(report.dataset, report.rephrased)
    lines += [f"{problem.action}, {problem.kind}: {problem.reason}" for problem in report.problems[:_MOST_PROBLEMS]]
    if (more := len(report.problems) - _MOST_PROBLEMS) > 0:
        lines.append(f"... and {more} more (all of them: --json)")
    if report.stopped:
        lines.append(f"stopped by {_STOPPED_BY[report.stopped]}: {report.left} calls left")
    without = " ".join(f"--param {name}=null" for name in report.not_sent)
    if report.not_sent:
        lines.append(f"refused by the server and not sent: {', '.join(report.not_sent)} (to not ask again: {without})")
    retries = f", {report.retries} retries" if report.retries else ""
    cost = f", {report.cost:.4f} USD" if report.cost else ""
    lines.append(
        f"{report.dataset}: {report.cached} cached, {report.generated} generated, {report.invalid} invalid, "
        f"{report.failed} failed, {report.seconds:.1f} seconds{retries}{cost}"
    )
    return Text("\n".join(lines))


def rephrased_lines(dataset: str, changes: Sequence[Rephrased]) -> list[str]:
    """Return lines about changed phrases, and about the texts that were written for the old ones."""
    lines = [f"phrase of {change.action}: {change.before!r} -> {change.after!r}" for change in changes[:_MOST_CHANGES]]
    if (more := len(changes) - _MOST_CHANGES) > 0:
        lines.append(f"... and {more} more phrases (all of them: --json)")
    if texts := sum(len(change.texts) for change in changes):
        lines.append(
            f"texts in use that were written for the old phrases: {texts}. See them, and reject what no longer fits: "
            f"descgen show --dataset {shlex.quote(dataset)} --ids"
        )
    return lines


def estimate(estimated: Estimate) -> RenderableType:
    """Return what a build would do."""
    cost = f", {estimated.cost:.4f} USD" if estimated.cost is not None else ""
    return Text(
        f"{estimated.dataset}, {estimated.llm}: {estimated.cached} cached, {estimated.calls} calls to make, "
        f"about {estimated.tokens_in} tokens in and {estimated.tokens_out} out{cost} (estimated; nothing was called)"
    )


def written_batch(written: WrittenBatch) -> RenderableType:
    """Return what a file of calls holds, and what to do with it."""
    if written.file is None:
        return Text(f"{written.estimate.dataset}: every reply is cached; no file was written")
    return Text(
        f"{written.file}: {written.estimate.calls} calls, {written.bytes:,} bytes. {_to_be_answered(written)}\n"
        "then run the same command with --read-batch answers.jsonl instead of --write-batch"
    )


def _to_be_answered(written: WrittenBatch) -> str:
    if written.hosted:
        return "Submit it to the provider's Batch API, and download the answers as answers.jsonl,"
    name, model = shlex.quote(written.file or ""), shlex.quote(written.estimate.llm)
    return f"Have them answered, for example by\n  vllm run-batch -i {name} -o answers.jsonl --model {model}"


def import_report(report: ImportReport) -> RenderableType:
    """Return what was not imported, by count and a few names, and a summary line."""
    from descriptor_gen.exchange.importing import left_out_lines

    lines = left_out_lines(report.dataset, report.refused, report.unmapped)
    if report.without:
        lines.append(f"no texts for {len(report.without)} classes: {first_few(report.without)}")
    if lines:
        lines.append("all of them: --json")
    lines += rephrased_lines(report.dataset, report.rephrased)
    if report.left_out:
        lines.append(
            f"{report.left_out} left out: this database has other texts of the same LLM for these classes and kinds, "
            "or the original of an edited text"
        )
    lines.append(
        f"{report.dataset}: {report.added} added, {report.already} already stored; {', '.join(report.kinds)} of "
        f"{report.classes} classes, from {report.source}"
    )
    return Text("\n".join(lines))


def built_pack(pack: BuiltPack) -> RenderableType:
    """Return the facts of a pack that was written, and how it is used."""
    from descriptor_gen.packs.facts import lines

    name = pack.facts["name"]
    use = f"use it: pip install {shlex.quote(str(pack.file))} && descgen import --pack {name}"
    return Text("\n".join([*lines(pack.facts), f"{pack.file}", use]))


def action_rows(dataset: Dataset, descriptors: Sequence[Descriptor]) -> Rows:
    """Return one row for each action, with its number of descriptors of each kind."""
    counts: dict[str, Counter[str]] = {action.name: Counter() for action in dataset.actions}
    for descriptor in descriptors:
        counts[descriptor.action][descriptor.kind] += 1
    return [
        {"label": action.label, "name": action.name, "phrase": action.phrase, "descriptors": dict(counts[action.name])}
        for action in dataset.actions
    ]


def action_table(dataset: Dataset, rows: Rows) -> RenderableType:
    """Return the rows as a table with a column for each kind."""
    columns = sorted({kind for row in rows for kind in row["descriptors"]})
    body = [
        (row["label"], row["name"], row["phrase"], *(row["descriptors"].get(kind, 0) for kind in columns))
        for row in rows
    ]
    return table(">label", "name", "phrase", *(f">{kind}" for kind in columns), title=dataset.name, rows=body)


def select(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """Return the dataset restricted to the named actions (by name or phrase); all actions if `names` is empty.

    Raises:
        UsageError: a name is no action of the dataset.
    """
    if not names:
        return dataset
    find = vocabulary.class_finder(dataset)
    if absent := sorted({name for name in names if not find(name)}):
        known = [action.name for action in dataset.actions]
        raise UsageError(
            f"{dataset.name} has no action {', '.join(absent)}. {did_you_mean(absent[0], known)}"
            f"Its names: {', '.join(known)}"
        )
    named = {find(name) for name in names}
    return replace(dataset, actions=tuple(action for action in dataset.actions if action in named))


def select_kinds(store: Catalogue, names: Sequence[str]) -> Sequence[str] | None:
    """Return the named kinds; None (all kinds) if `names` is empty.

    Raises:
        UsageError: a kind is neither built in nor in the database.
    """
    known = sorted({*built_in_kinds(), *store.kinds()})
    for name in names:
        if name not in known:
            raise UsageError(unknown("kind", name, known))
    return names or None


def descriptor_tree(
    dataset: Dataset, descriptors: Sequence[Descriptor], said: Mapping[int, Sequence[Comment]], *, ids: bool = False
) -> RenderableType:
    """Return a tree for each action: a branch for each kind and writer, with its texts in order (and their ids).

    Below a text is what was `said` about it, by its id.
    """
    phrases = {action.name: action.phrase for action in dataset.actions}
    trees = []
    for name, action_descriptors in groupby(descriptors, key=lambda descriptor: descriptor.action):
        tree = Tree(Text(f"{name} ({phrases[name]})", style="bold"))
        for (kind, provenance), texts in groupby(action_descriptors, key=lambda d: (d.kind, _provenance(d))):
            branch = tree.add(Text(f"{kind}, {provenance}", style="cyan"))
            for descriptor in texts:
                number = f"{descriptor.id}  " if ids else ""
                edited = "" if descriptor.original is None else f"  (edited; original: {descriptor.original})"
                leaf = branch.add(Text(f"{number}{descriptor.text}  [{descriptor.status}]{edited}"))
                for comment in said.get(descriptor.id, ()):
                    leaf.add(Text(f"{comment.reviewer}: {comment.text}", style="dim"))
        trees.append(tree)
    return Group(*trees)


def _provenance(descriptor: Descriptor) -> str:
    return f"by {descriptor.writer}" if descriptor.origin is None else f"from {descriptor.origin}"


def history(entries: Sequence[HistoryEntry], events: Sequence[ReviewEvent]) -> RenderableType:
    """Return every call about some actions, oldest first, with its reply; then the decisions on their texts."""
    body = [
        (
            entry.action,
            entry.kind,
            f"{entry.created_at:%Y-%m-%d %H:%M}",
            entry.llm.model,
            f"v{entry.template_version} {entry.template_sha256[:8]}",
            entry.generation.sample,
            entry.attempt,
            "in use" if entry.in_use else entry.generation.error or entry.generation.status,
            entry.generation.reply,
        )
        for entry in entries
    ]
    return Group(table(*_HISTORY_COLUMNS, rows=body), *([Text(), _log(events)] if events else []))


def decisions(descriptor: int, events: Sequence[ReviewEvent], said: Sequence[Comment]) -> RenderableType:
    """Return the decisions on one descriptor, and what was said about it."""
    none = Text(f"Nobody has decided on {descriptor} yet: descgen accept {descriptor}")
    body = [(f"{comment.at:%Y-%m-%d %H:%M}", comment.reviewer, comment.text) for comment in said]
    comments: list[RenderableType] = (
        [Text(), table("UTC", "reviewer", "comment", title="Comments", rows=body)] if body else []
    )
    return Group(_log(events) if events else none, *comments)


def raw_replies(entries: Sequence[HistoryEntry]) -> RenderableType:
    """Return the raw replies of calls."""
    return Text(
        "\n".join(f"{entry.action}, {entry.kind}, by {entry.llm.model}: {entry.generation.reply}" for entry in entries)
    )


def stats(
    counts: Mapping[str, Rows], agreement: Sequence[Agreement] = (), blind: Sequence[Agreement] = ()
) -> RenderableType:
    """Return a table of descriptors in use and one of calls; with two reviewers or more, those of their agreement.

    Args:
        agreement: in the log.
        blind: of blind verdicts, on all kinds and by kind.
    """
    calls = [(*list(row.values())[:-1], f"{row['seconds']:.1f}") for row in counts["calls"]]
    return Group(
        table(*_DESCRIPTOR_COLUMNS, title="Descriptors in use", rows=_by_status(counts["descriptors"])),
        Text(),
        table(*_CALL_COLUMNS, title="Calls made", rows=calls),
        *([Text(), _agreements(agreement, title=_AGREEMENT)] if agreement else []),
        *([Text(), _agreements(blind, title=_BLIND_AGREEMENT)] if blind else []),
    )


def _by_status(rows: Rows) -> list[tuple[Any, ...]]:
    """Return a row for each dataset, kind and writer, with the number of descriptors in each status."""
    counts: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for row in rows:
        writer = row["llm"] or {"human": "people"}.get(row["source"], "imported files")
        counts[row["dataset"], row["kind"], writer][row["status"]] += row["descriptors"]
    return [(*key, *(count[status] for status in STATUSES), count.total()) for key, count in counts.items()]


def llm_rows() -> Rows:
    """Return the short names of LLMs, and whether each can be used without a download."""
    from descriptor_gen.llms.registry import known_llms

    names = ("name", "provider", "model", "revision", "about")
    return [
        {name: getattr(entry, name) for name in names}
        | {"here": _availability(entry), "price_in": entry.price_in, "price_out": entry.price_out}
        for entry in known_llms().values()
    ]


def _availability(entry: KnownLLM) -> str:
    from descriptor_gen.llms.registry import LOCAL

    if entry.key:
        return "key set" if os.environ.get(entry.key) else "no key set"
    if entry.provider != LOCAL:
        return "needs no key"
    if entry.package:
        file = entry.file()
        return "installed" if file and file.is_file() else "not installed"
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(entry.model, "config.json", revision=entry.revision)
    return "in the cache" if isinstance(cached, str) else "to download"


def llm_table(rows: Rows) -> RenderableType:
    from descriptor_gen.llms.registry import other_forms

    body = [(row["name"], row["model"], row["here"], row["about"]) for row in rows]
    return Group(table("--llm", "model", "here", "about", rows=body), Text(f"\nAlso: {other_forms()}"))


def prompt_rows(prompts: Sequence[Prompt]) -> Rows:
    """Return one row for each prompt."""
    return [
        {
            "kind": prompt.kind,
            "version": prompt.template.version,
            "about": prompt.about,
            "from": prompt.origin,
            "sha256": prompt.template.sha256,
        }
        for prompt in prompts
    ]


def prompt_table(rows: Rows) -> RenderableType:
    body = [(row["kind"], row["version"], row["from"], row["sha256"][:_DIGITS], row["about"].strip()) for row in rows]
    return table("kind", ">version", "from", "sha256", "about", rows=body)


def messages(request: Request) -> RenderableType:
    """Return the messages as text, each below its role."""
    return Text("\n\n".join(f"[{message['role']}]\n{message['content']}" for message in request.messages))


def faults(checks: Sequence[TemplateCheck]) -> RenderableType:
    """Return a line for each fault, and for each template without faults."""
    return Text("\n".join(f"{check.template}: {fault}" for check in checks for fault in check.faults or ("good",)))


_DONE: dict[DecisionKind, str] = {
    "accept": "accepted",
    "reject": "rejected",
    "restore": "made pending",
    "edit": "edited",
    "replace": "reworded",
    "add": "added",
    "reorder": "moved",
    "undo": "put back",
}


def decision_summary(decision: Decision) -> RenderableType:
    """Return the number of changes of a decision; few changes are also listed one by one."""
    old_statuses = Counter(change.before.status for change in decision.changes if change.before)
    before = ", ".join(f"{count} {status}" for status, count in sorted(old_statuses.items()))
    lines = [_change_line(change) for change in decision.changes] if len(decision.changes) <= _MOST_CHANGES else []
    counts = f"{len(decision.changes)} {_DONE[decision.what]} by {decision.reviewer}" + (
        f" (before: {before})" if before else ""
    )
    lines.append(counts + (f", {decision.already} unchanged: same decision before" if decision.already else ""))
    if decision.undoes:
        lines.append(f"decision {decision.id}, which undoes decision {decision.undoes}")
    elif decision.id:
        lines.append(f"decision {decision.id}; to undo it: descgen undo --decision {decision.id}")
    return Text("\n".join(lines))


def _change_line(change: Change) -> str:
    """Return one change: of the status or position of a descriptor, or from one text to another."""
    before, after = change.before, change.after
    if before and after and before.id == after.id:
        status = after.status if before.status == after.status else f"{before.status} -> {after.status}"
        moved = "" if before.position == after.position else f", position {before.position} -> {after.position}"
        return f"  {after.id}  {after.text}  [{status}{moved}]"
    return f"  {_state(before)} -> {_state(after)}" if before else f"  {_state(after)}"


def _state(state: State | None) -> str:
    return f"{state.id}  {state.text}  [{state.status}]" if state else "out of use"


def _log(events: Sequence[ReviewEvent]) -> RenderableType:
    """Return the events as a table, in time order."""
    body = [
        (
            event.decision,
            f"{event.at:%Y-%m-%d %H:%M}",
            event.reviewer,
            f"undo of {event.undoes}" if event.undoes else event.what,
            _cell(event.change.before, event.change),
            _cell(event.change.after, event.change),
        )
        for event in events
    ]
    return table(">decision", "UTC", "reviewer", "what", "before", "after", title="Decisions", rows=body)


def _cell(state: State | None, change: Change) -> str:
    """Return one side of a change, with the position if the change moved the text."""
    if state is None:
        return ""
    moved = change.before and change.after and change.before.position != change.after.position
    return f"{state.id} {state.text} [{state.status}]" + (f", position {state.position}" if moved else "")


def _agreements(agreement: Sequence[Agreement], *, title: str) -> RenderableType:
    """Return a row for each pair of reviewers, and why a pair has no kappa."""
    body = [
        (
            f"  {pair.kind}" if pair.kind else f"{pair.first}, {pair.second}",
            pair.n,
            pair.both_accepted,
            pair.only_first,
            pair.only_second,
            pair.both_refused,
            "" if pair.observed is None else f"{100 * pair.observed:.1f}",
            "" if pair.kappa is None else f"{pair.kappa:.3f}",
            "" if pair.interval is None else f"{pair.interval[0]:.2f}\u00a0to\u00a0{pair.interval[1]:.2f}",
        )
        for pair in agreement
    ]
    undefined = [pair for pair in agreement if pair.undefined and not pair.kind]
    reasons = [f"{pair.first}, {pair.second}: no kappa, {pair.undefined}" for pair in undefined]
    return Group(table(*_AGREEMENT_COLUMNS, title=title, rows=body), *map(Text, reasons))
