"""descgen accept, reject, restore, edit, add, reorder and undo, and their effect on the other commands."""

from __future__ import annotations

import getpass
import json
from typing import Any

import pytest

from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from tests.fixtures.commands import Run

WAVE = ["a wide green field", "a ball", "a wooden bat"]


@pytest.fixture
def built(descgen: Run, llm: FakeLLM, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`descgen` on a database with texts of two kinds, and of one kind by another LLM, about two classes; by anna."""
    monkeypatch.setenv("DESCGEN_REVIEWER", "anna")
    descgen("build", "-d", "hmdb51", "-k", "context", "-k", "decomposition", "--limit", "2")
    llm.identity = FakeLLM(model="other").identity
    descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "2")
    return descgen


def decided(result: Any) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    made: dict[str, Any] = json.loads(result.stdout)
    return made


def shown(descgen: Run, *options: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(descgen("show", "-d", "hmdb51", "--json", *options).stdout)
    return found


def test_a_filter_is_decided_on_as_one(built: Run, store: Store) -> None:
    made = decided(built("accept", "-d", "hmdb51", "-a", "doing a cartwheel", "-k", "context", "-l", "FAK", "--json"))
    assert (made["id"], made["what"], made["reviewer"], made["already"]) == (1, "accept", "anna", 0)
    accepted = shown(built, "--status", "accepted")
    assert [(d["action"], d["kind"], d["llm"], d["text"]) for d in accepted] == [
        ("cartwheel", "context", "fake", text) for text in WAVE
    ]
    assert [change["after"]["id"] for change in made["changes"]] == [d["id"] for d in accepted]
    everything = built("accept", "-d", "hmdb51", "--all")
    assert "15 accepted by anna (before: 15 pending)\ndecision 2; to undo it: descgen undo" in everything.stdout
    undone = built("undo")
    assert "15 put back by anna (before: 15 accepted)\ndecision 3, which undoes decision 2" in undone.stdout
    assert [d["id"] for d in shown(built, "--status", "accepted")] == [d["id"] for d in accepted]
    assert built("undo", "--decision", "1").exit_code == 0
    assert store.counts() != []
    assert {d["status"] for d in shown(built)} == {"pending"}


def test_a_second_reviewer_judges_the_same(built: Run) -> None:
    built("accept", "-d", "hmdb51", "-a", "cartwheel")
    other = ("--reviewer", "bob")
    nothing = built("accept", "-d", "hmdb51", "-a", "cartwheel", *other)
    assert nothing.exit_code == 1
    assert "No pending descriptors of hmdb51 (cartwheel). Stored: 3 context accepted by fake, " in nothing.stderr
    made = decided(built("accept", "-d", "hmdb51", "-a", "cartwheel", "--status", "accepted", *other, "--json"))
    assert len(made["changes"]) == 9
    made = decided(built("accept", "-d", "hmdb51", "-a", "cartwheel", "--status", "any", *other, "--json"))
    assert (made["id"], made["changes"], made["already"]) == (None, [], 9)
    again = built("accept", "-d", "hmdb51", "-a", "cartwheel", "--status", "any", *other).stdout
    assert again == "0 accepted by bob, 9 unchanged: same decision before\n"


def test_ids_are_decided_on_whatever_their_status(built: Run) -> None:
    first, second, *_ = [str(d["id"]) for d in shown(built)]
    assert built("reject", first, second).exit_code == 0
    assert first not in [str(d["id"]) for d in shown(built)]
    rejected = built("show", "-d", "hmdb51", "--status", "rejected", "--ids").stdout
    assert f"{first}  a wide green field  [rejected]" in rejected
    line = built("accept", "-d", "hmdb51", first).stdout.splitlines()[0]
    assert line == f"  {first}  a wide green field  [rejected -> accepted]"
    restored = decided(built("restore", "-d", "hmdb51", "--all", "--json"))
    assert {change["before"]["status"] for change in restored["changes"]} == {"accepted", "rejected"}
    assert {d["status"] for d in shown(built, "--status", "any")} == {"pending"}


def test_a_script_decides_on_the_versions_that_it_read(built: Run) -> None:
    first, second = (f"{d['id']}@{d['version']}" for d in shown(built)[:2])
    assert built("edit", first, "a park", "--reviewer", "bob").exit_code == 0
    result = built("accept", second, first)
    assert result.exit_code == 1
    number = first.split("@")[0]
    assert f"{number} (version 1) is now " in result.stderr
    assert "'a park', accepted; edit by bob, 20" in result.stderr
    assert {d["status"] for d in shown(built) if d["text"] != "a park"} == {"pending"}


def test_an_edit_is_marked_with_its_original_and_has_a_history(built: Run) -> None:
    first = shown(built)[0]
    made = decided(built("edit", first["id"], " a  park ", "--json"))
    new = made["changes"][0]["after"]["id"]
    assert built("show", "-d", "hmdb51", "-a", "brush_hair", "-k", "context", "--ids").stdout.splitlines()[:4] == [
        "brush_hair (brushing hair)",
        "├── context, by fake",
        f"│   ├── {new}  a park  [accepted]  (edited; original: a wide green field)",
        f"│   ├── {first['id'] + 1}  a ball  [pending]",
    ]
    [edited] = [d for d in shown(built) if d["id"] == new]
    assert (edited["original"], edited["edited_from"], edited["source"]) == (first["text"], first["id"], "human")
    history = json.loads(built("history", new, "--json").stdout)["decisions"]
    assert [(event["what"], event["reviewer"], event["change"]["after"]["text"]) for event in history] == [
        ("edit", "anna", "a park")
    ]
    assert f"{new} a park [accepted]" in built("history", new).stdout
    of_class = built("history", "-d", "hmdb51", "-a", "brush_hair").stdout
    assert of_class.index("in use") < of_class.index("Decisions") < of_class.index("anna      edit")
    assert len(json.loads(built("history", "-d", "hmdb51", "--json").stdout)["decisions"]) == 1
    gone = built("accept", first["id"])
    assert gone.exit_code == 2
    assert f"Out of use: {first['id']}. To see why: descgen history {first['id']}" in gone.stderr
    assert "edit" in built("history", first["id"]).stdout
    assert "Nobody has decided on" in built("history", first["id"] + 1).stdout


def test_texts_are_added_and_reordered(built: Run) -> None:
    for words in ("a mirror", "a comb"):
        assert built("add", words, "-d", "hmdb51", "-a", "brushing hair", "-k", "context").exit_code == 0
    own = [d for d in shown(built) if d["source"] == "human"]
    assert [(d["action"], d["text"], d["status"]) for d in own] == [
        ("brush_hair", "a mirror", "accepted"),
        ("brush_hair", "a comb", "accepted"),
    ]
    moved = built("reorder", own[1]["id"], own[0]["id"]).stdout
    assert f"{own[1]['id']}  a comb  [accepted, position 1 -> 0]" in moved
    assert [d["text"] for d in shown(built) if d["source"] == "human"] == ["a comb", "a mirror"]
    assert "context, by hand" in built("show", "-d", "hmdb51", "-a", "brush_hair").stdout


def test_a_text_may_be_the_first_of_a_new_database(descgen: Run, store: Store) -> None:
    made = descgen("add", "a text", "-d", "ucf101", "-a", "YoYo", "-k", "context")
    assert made.exit_code == 0, made.output
    assert f"1 added by {getpass.getuser()}" in made.stdout
    assert [d.text for d in store.descriptors(store.dataset("ucf101"))] == ["a text"]


def test_stats_show_how_far_reviewers_agree(built: Run) -> None:
    assert json.loads(built("stats", "--json").stdout)["agreement"] == []
    assert "Agreement" not in built("stats").stdout
    one, two, three, four, *_ = [d["id"] for d in shown(built)]
    built("accept", one, two, three)
    built("reject", four)
    built("accept", one, two, "--reviewer", "bob")
    built("reject", three, four, "--reviewer", "bob")
    built("accept", one, "--reviewer", "carl")
    stats = built("stats").stdout
    row = next(line for line in stats.splitlines() if line.startswith("anna, bob"))
    assert row.split() == [
        "anna,",
        "bob",
        "4",
        "2",
        "1",
        "0",
        "1",
        "75.0",
        "0.500",
        "-0.23",
        "to",
        "1.00",
    ]  # p_e = 3/4 2/4 + 1/4 2/4
    assert "anna, carl: no kappa, both gave every text the same verdict" in stats
    agreement = json.loads(built("stats", "--json").stdout)["agreement"]
    assert [(each["first"], each["second"], each["n"], each["kappa"]) for each in agreement] == [
        ("anna", "bob", 4, 0.5),
        ("anna", "carl", 1, None),
        ("bob", "carl", 1, None),
    ]


def test_an_export_after_review_holds_what_was_accepted_and_edited(built: Run) -> None:
    kept, changed, dropped, *_ = shown(built)
    built("accept", kept["id"])
    built("edit", changed["id"], "a red ball")
    built("reject", dropped["id"])
    document = json.loads(built("export", "-d", "hmdb51", "--status", "accepted").stdout)
    assert [(d["text"], d["source"], d["status"]) for d in document["descriptors"]] == [
        (kept["text"], "llm", "accepted"),
        ("a red ball", "human", "accepted"),
    ]
    first, edited = document["descriptors"]
    assert edited["originals"] == [{"text": changed["text"], "source": "llm", "status": "pending"}]
    [call] = document["calls"]
    assert first["cache_key"] == edited["cache_key"] == call["cache_key"]
    assert (call["llm"]["model"], changed["text"] in call["reply"]) == ("fake", True)
    tear = json.loads(built("export", "-d", "hmdb51", "--status", "accepted", "--format", "tear").stdout)
    assert tear == {"brush hair": [kept["text"], "a red ball"]}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["accept"], 2, "Give ids of descriptors (descgen show --dataset NAME --ids), or --dataset with"),
        (["reject", "-d", "hmdb51"], 2, "All descriptors of hmdb51? Confirm with --all, or filter with --action"),
        (["accept", "1", "--all"], 2, "Give ids, or filters and --all, not both"),
        (["accept", "1", "-k", "context"], 2, "Give ids, or filters and --all, not both"),
        (["accept", "one", "2@x"], 2, "'one', '2@x' is no id of a descriptor, such as 12, or 12@3"),
        (["restore", "999"], 2, "No descriptor 999"),
        (["accept", "-d", "ucf101", "1"], 2, "Not of ucf101: 1. Leave --dataset out"),
        (["accept", "-d", "ucf101", "1@1", "2"], 2, "Not of ucf101: 1, 2. Leave --dataset out"),
        (["accept", "-d", "hmdb51", "999@1"], 2, "Not of hmdb51: 999. Leave --dataset out"),
        (["accept", "-d", "ucf101", "--all"], 1, "No descriptors of ucf101 in this database."),
        (["accept", "-d", "hmdb51", "-k", "contxt"], 2, "Unknown kind 'contxt'"),
        (["accept", "-d", "hmdb51", "-l", "gpt"], 1, "No pending descriptors by gpt of hmdb51. Stored: 6 context"),
        (["restore", "-d", "hmdb51", "--all"], 1, "No accepted or rejected descriptors of hmdb51. Stored: "),
        (["edit", "1", " "], 2, "A descriptor needs a text"),
        (["add", "x", "-d", "hmdb51", "-a", "wave", "-k", "contxt"], 2, "Unknown kind 'contxt'"),
        (["add", "x", "-d", "hmdb51", "-a", "waving", "-k", "context"], 2, "hmdb51 has no action waving"),
        (["reorder", "1", "2"], 2, "missing: 3"),
        (["undo"], 1, "anna has no decision to undo"),
        (["undo", "--decision", "7"], 2, "Decision 7 does not exist"),
        (["accept", "1", "--reviewer", " "], 2, "A reviewer has a name"),
        (["history"], 2, "Give the id of a descriptor (descgen show --dataset NAME --ids), or --dataset"),
        (["show", "-d", "hmdb51", "--status", "rejected"], 1, "No rejected descriptors of hmdb51. Stored: 6"),
    ],
)  # fmt: skip
def test_wrong_use_is_refused(built: Run, store: Store, arguments: list[str], code: int, message: str) -> None:
    result = built(*arguments)
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert store.reviews().events(store.dataset("hmdb51")) == []


def test_without_a_name_a_reviewer_is_asked_for(built: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise OSError("No username set in the environment")

    monkeypatch.delenv("DESCGEN_REVIEWER")
    monkeypatch.setattr("getpass.getuser", nobody)
    result = built("accept", "1")
    assert result.exit_code == 2
    assert "The reviewer is unknown. Give --reviewer NAME or set DESCGEN_REVIEWER" in result.stderr
