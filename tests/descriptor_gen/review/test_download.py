"""What a filter shows as a file: its texts and no others, safe for spreadsheets, and imported again without loss."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from db import vocabulary
from db.records import STATUSES, PortableDescriptor
from db.store import Store
from descriptor_gen.exchange.documents import export_document
from descriptor_gen.exchange.importing import import_descriptors
from descriptor_gen.exchange.readers import read
from descriptor_gen.llms.testing import FakeLLM
from descriptor_gen.review.session import ReviewSession
from tests.fixtures.commands import Run
from tests.fixtures.review_client import ReviewClient

FORMULA = '=HYPERLINK("http://evil")'


@pytest.fixture
def client(descgen: Run, llm: FakeLLM, store: Store) -> Iterator[ReviewClient]:
    """A client of a database with texts of two kinds about two classes; one is edited, one looks like a formula."""
    descgen("build", "-d", "hmdb51", "-k", "context", "-k", "decomposition", "--limit", "2")
    dataset, reviews = store.dataset("hmdb51"), store.reviews()
    [first, second, *_] = store.descriptors(dataset)
    reviews.edit(first.ref, "a green field", reviewer="anna")
    reviews.reject([second.ref], reviewer="anna")
    reviews.add(dataset, "cartwheel", "context", FORMULA, reviewer="anna")
    session = ReviewSession(store, dataset, reviewer="anna")
    yield ReviewClient(session)
    session.close()


def everything(store: Store) -> list[PortableDescriptor]:
    return store.portable(store.dataset("hmdb51"))


def documents(items: list[PortableDescriptor]) -> dict[str, object]:
    """Return everything about texts but row ids, which every database gives anew."""
    return export_document(vocabulary.load("hmdb51"), items)


def imported(file: Path, url: str) -> list[PortableDescriptor]:
    """Import a file into a new database; return what it holds."""
    other = Store.open(url)
    import_descriptors(other, other.dataset("hmdb51"), read(file), strict=True)
    items = everything(other)
    other.close()
    return items


@pytest.mark.parametrize("layout", ["csv", "json"])
def test_a_download_is_imported_again_without_loss(
    client: ReviewClient, store: Store, other_db_url: str, tmp_path: Path, layout: str
) -> None:
    answer = client.http.get(f"/download?format={layout}")
    assert answer.headers["content-disposition"] == f'attachment; filename="hmdb51.{layout}"'
    file = tmp_path / f"hmdb51.{layout}"
    file.write_bytes(answer.content)
    assert documents(imported(file, other_db_url)) == documents(everything(store))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("kind=context", lambda d: d.kind == "context"),
        ("status=rejected", lambda d: d.status == "rejected"),
        ("status=accepted&q=cartwheel", lambda d: d.status == "accepted" and d.action == "cartwheel"),
        ("source=hand", lambda d: d.writer == "hand"),
        ("q=wooden+bat", lambda d: "wooden bat" in d.text),
    ],
)
def test_a_download_holds_what_the_filter_shows(
    client: ReviewClient, store: Store, other_db_url: str, tmp_path: Path, query: str, expected: object
) -> None:
    assert callable(expected)
    file = tmp_path / "some.csv"
    file.write_bytes(client.http.get(f"/download?{query}&format=csv").content)
    texts = [d for d in everything(store) if expected(d)]
    assert texts
    assert documents(imported(file, other_db_url)) == documents(texts)
    shown = client.get(f"/?{query}")
    assert f'href="/download?{query.replace("&", "&amp;")}&amp;format=csv"' in shown
    assert f"<strong>{len(texts)}</strong> texts match" in shown


def test_no_cell_is_a_formula(client: ReviewClient) -> None:
    rows = list(csv.reader(io.StringIO(client.get("/download?format=csv"))))
    cells = [cell for row in rows for cell in row]
    assert f"'{FORMULA}" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_what_cannot_be_downloaded_is_said(client: ReviewClient, store: Store) -> None:
    assert "No text matches the filter" in client.get("/download?q=nothing+at+all", expected=400)
    assert "Unknown format" in client.get("/download?format=exe", expected=400)
    blind = ReviewSession(store, store.dataset("hmdb51"), reviewer="ben", blind=True)
    assert "downloads nothing" in ReviewClient(blind).get("/download", expected=400)
    blind.close()


def test_the_same_filters_in_a_shell(client: ReviewClient, store: Store, descgen: Run) -> None:
    def texts(*options: str) -> list[str]:
        return [row["text"] for row in json.loads(descgen("export", "-d", "hmdb51", *options).stdout)["descriptors"]]

    every = store.descriptors(store.dataset("hmdb51"), statuses=STATUSES)
    assert texts("-a", "doing a cartwheel") == [d.text for d in every if d.action == "cartwheel"]
    assert texts("--search", "WOODEN bat") == ["a wooden bat"] * 2
    client.get("/")
    client.session.flags(wait=60)
    flagged = client.session.flags()[0].rules
    assert texts("--flag", "shared") == [d.text for d in every if "shared" in flagged.get(d.id, ())]
    assert texts("--flag", "any", "-k", "decomposition") == [
        d.text for d in every if flagged.get(d.id) and d.kind == "decomposition"
    ]
    nothing = descgen("export", "-d", "hmdb51", "--search", "nothing at all", "-a", "cartwheel")
    assert (nothing.exit_code, nothing.stdout) == (1, "")
    assert "No text of hmdb51 passes --action cartwheel, with 'nothing at all'" in nothing.stderr


def test_the_flags_are_waited_for(client: ReviewClient, store: Store) -> None:
    rows = list(csv.DictReader(io.StringIO(client.get("/download?flag=any&format=csv"))))  # the first request of all
    every = store.descriptors(store.dataset("hmdb51"), statuses=STATUSES)
    flagged = client.session.flags(wait=60)[0].rules
    assert [row["text"] for row in rows] == [d.text for d in every if flagged.get(d.id)]
