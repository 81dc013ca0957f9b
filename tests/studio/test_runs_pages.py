"""The pages about runs: the list, one run with its videos, its confusion matrix, two runs compared."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from db.runs import RunChange
from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from descriptor_gen.review.app import create_app
from descriptor_gen.review.security import access_rules
from descriptor_gen.review.session import ReviewSession
from descriptor_gen.review.site import Site
from recognizer.evaluation.compare import compare
from studio.pictures import MISSING, Pictures
from studio.runs_site import runs_site
from tests.fixtures.colours import balls, described, encoder
from tests.fixtures.commands import Run
from tests.fixtures.pages import Page
from tests.fixtures.runs import BY_HAND, by_hand, large

__all__ = ["balls", "described", "encoder"]  # fixtures

JSON = {"content-type": "application/json"}


class Web:
    """The application with the pages about runs, and a client of it."""

    def __init__(self, store: Store, dataset: str, *, blind: bool = False) -> None:
        rules = access_rules("127.0.0.1")
        self.session = ReviewSession(store, store.dataset(dataset), reviewer="anna", blind=blind)
        pictures = Pictures()
        frames = Site(pictures.get, "studio")
        sites = [lambda _: frames, partial(runs_site, store=store, pictures=pictures)]
        app = create_app(self.session, rules, sites=sites)
        self.client = TestClient(app, base_url="http://localhost")
        self.secret = {"X-CSRF-Token": rules.csrf}

    def text(self, address: str, *, status: int = 200) -> str:
        answer = self.client.get(address)
        assert answer.status_code == status, answer.text
        return answer.text

    def table(self, address: str, name: str) -> list[list[str]]:
        """Return the cells of the first table of a class on a page, without its head."""
        return Page(self.text(address)).tables[name][0][1:]

    def videos(self, query: str, run: int = 1) -> list[str]:
        """Return the names of the videos that a query chooses; none if there is no table."""
        tables = Page(self.text(f"/runs/{run}?{query}")).tables
        return [row[1] for row in tables["videos"][0][1:]] if "videos" in tables else []

    def post(self, address: str, body: Any, *, status: int = 200) -> str:
        answer = self.client.post(address, json=body, headers=self.secret)
        assert answer.status_code == status, answer.text
        return str(answer.json()["message"])


def top1(store: Store) -> list[str]:
    """Return the top-1 of both rows of run 1 as pages show it."""
    rates = [row["top1"] for row in store.run(1).results["rows"].values()]
    return [f"{100 * rate['value']:.1f} [{100 * rate['low']:.1f}, {100 * rate['high']:.1f}]" for rate in rates]


@pytest.fixture
def web(store: Store) -> Iterator[Web]:
    """A review of hmdb51 with one run, by hand."""
    by_hand(store)
    opened = Web(store, "hmdb51")
    yield opened
    opened.session.close()


def test_the_list_shows_each_run_beside_its_labels_alone(web: Web, store: Store) -> None:
    large(store, "ucf101", each=1)
    store.run_changes().change([1], RunChange(name="by hand", note="five <b>videos</b>", tag=("paper",)))
    [row] = web.table("/runs", "runs")
    assert row[2].startswith("1 · by hand paper")
    assert "five <b>videos</b>" in row[2]
    label_only, with_descriptors = top1(store)
    assert (label_only[:4], with_descriptors[:4]) == ("60.0", "40.0")
    assert row[3:8] == ["fake · default · mean", "2 texts: a by made", "52 left out", label_only, with_descriptors]
    every = web.table("/runs?of=all", "runs")
    assert [(row[2].split()[0], row[3]) for row in every] == [("2", "ucf101"), ("1", "hmdb51")]
    assert [row[2].split()[0] for row in web.table("/runs?of=all&sort=oldest", "runs")] == ["1", "2"]
    assert len(web.table("/runs?of=all&tag=paper", "runs")) == 1
    assert len(web.table("/runs?of=all&q=HAND", "runs")) == 1
    assert "None of 2 runs matches" in web.text("/runs?of=all&method=max")
    store.run_changes().delete(store.run_changes().contents([1, 2]))
    assert "No runs of hmdb51 yet. Make one with: <code>recognize eval --dataset hmdb51" in web.text("/runs")


def test_a_list_of_many_runs_has_pages(web: Web, store: Store) -> None:
    for _ in range(60):
        by_hand(store)
    pages = [web.table(f"/runs?page={number}", "runs") for number in (1, 2, 3, "x")]
    assert [len(page) for page in pages] == [50, 11, 11, 50]
    numbers = [int(row[2].split()[0]) for page in pages[:2] for row in page]
    assert numbers == list(range(61, 0, -1))
    assert web.text("/runs").count("<") < 2 * 2000


def test_a_run_tells_its_numbers_protocol_and_what_was_left_out(web: Web, store: Store) -> None:
    label_only, with_descriptors = top1(store)
    page = web.text("/runs/1")
    rows = Page(page).tables["measured"][0]
    assert rows[0] == ["texts", "videos", "top-1 %", "top-5 %", "mean per class %"]
    assert [row[:3] for row in rows[1:]] == [
        ["label only", "5", label_only], ["label + descriptors", "5", with_descriptors],
    ]  # fmt: skip
    for said in ("protocol default · encoder fake · method mean", "videos: 7 listed, 5 evaluated, 2 missing",
                 "5 videos are too few to compare anything", "missing: a/3, c/2"):  # fmt: skip
        assert said in page


@pytest.mark.parametrize(
    ("query", "videos"),
    [
        ("", ["a/1", "a/2", "b/1", "b/2", "c/1"]),
        ("outcome=right", ["a/1"]),
        ("outcome=lost", ["a/2", "c/1"]),
        ("outcome=won", ["b/1"]),
        ("outcome=wrong", ["b/2"]),
        ("true=brush_hair", ["a/1", "a/2"]),
        ("predicted=cartwheel", ["a/2", "b/1", "c/1"]),
        ("label=cartwheel", ["a/2", "b/1", "b/2", "c/1"]),
        ("true=catch&predicted=cartwheel", ["c/1"]),
        ("true=catch&predicted=catch", []),
        ("label=cartwheel&outcome=lost&q=A/", ["a/2"]),
    ],
)
def test_videos_are_chosen_by_class_outcome_pair_and_name(web: Web, query: str, videos: list[str]) -> None:
    assert web.videos(query) == videos
    assert f"<strong>{len(videos)}</strong> of 5 videos match" in web.text(f"/runs/1?{query}")


def test_a_video_has_its_classes_scores_ranks_and_outcome(web: Web) -> None:
    rows = {row[1]: row[2:] for row in web.table("/runs/1", "videos")}
    assert rows["a/2"] == ["brush_hair", "cartwheel", "0.500true 0.400", "2", "1", "lost by the descriptors"]
    assert rows["b/2"] == ["cartwheel", "catch", "0.600", "5", "4", "wrong by both"]
    assert rows["c/1"] == ["catch", "cartwheel", "0.500true 0.500", "2", "1", "lost by the descriptors"]


def test_unknown_classes_and_outcomes_are_told(web: Web) -> None:
    page = web.text("/runs/1?true=cartweel")
    assert "Unknown class &#39;cartweel&#39;. Did you mean cartwheel?" in page
    assert "<strong>0</strong> of 5" in page
    assert "Unknown outcome" in web.text("/runs/1?outcome=x")
    assert "No run 9. The runs are listed by: recognize runs" in web.text("/runs/9", status=400)


def test_each_video_is_on_one_page(store: Store) -> None:
    large(store, "hmdb51", each=5)
    web = Web(store, "hmdb51")
    pages = [web.videos(f"page={number}") for number in (1, 2, 3)]
    assert [len(page) for page in pages] == [100, 100, 55]
    assert sorted(video for page in pages for video in page) == sorted(p.video for p in store.run(1).predictions)
    assert web.videos("page=99") == pages[2]
    assert "page 2 of 3" in web.text("/runs/1?page=2")
    assert "page=2" not in web.text("/runs/1?label=wave")
    assert 'href="?q=%2F&amp;page=2"' in web.text("/runs/1?q=/")


def test_classes_and_texts_lead_to_the_review_and_back(descgen: Run, llm: FakeLLM, store: Store) -> None:
    descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "2")
    texts = [d for d in store.descriptors(store.dataset("hmdb51")) if d.action == "cartwheel"]
    by_hand(store, tuple(d.id for d in texts))
    descgen("edit", texts[0].id, "a wide meadow")
    web = Web(store, "hmdb51")
    page = web.text("/runs/1?true=cartwheel")
    assert '<a href="/class/1">cartwheel</a>' in page
    assert f"{len(texts)} texts that the run used for cartwheel" in page
    assert f'<a href="/class/1#d{texts[1].id}">{texts[1].text}</a>' in page
    assert f"{texts[0].text} <small>(no longer in use)</small>" in page
    back = re.search(r'<a href="(/runs/1\?label=cartwheel)#videos">', web.text("/class/1"))
    assert back
    assert len(web.videos(back[1].partition("?")[2])) == 4
    other = Web(store, "ucf101")
    assert "/class/" not in other.text("/runs/1?true=cartwheel"), "the review of another dataset has other classes"
    assert "/runs/" not in other.text("/class/1")


def test_the_confusion_matrix_counts_each_video_once(web: Web) -> None:
    page = web.text("/runs/1/confusion")
    cells = json.loads(html.unescape(re.search(r"data-cells='([^']+)'", page)[1]))  # type: ignore[index]
    counted = {
        (cells["rows"][row], cells["columns"][column]): videos
        for row, of_row in enumerate(cells["cells"])
        for column, videos in of_row
    }
    assert counted == {
        ("brush_hair", "brush_hair"): 1, ("brush_hair", "cartwheel"): 1, ("cartwheel", "cartwheel"): 1,
        ("cartwheel", "catch"): 1, ("catch", "cartwheel"): 1,
    }  # fmt: skip
    for (true, predicted), videos in counted.items():
        assert len(web.videos(f"true={true}&predicted={predicted}")) == videos
    pairs = {(row[0], row[1]): row[2:] for row in Page(page).tables["pairs"][0][1:]}
    assert pairs == {
        ("brush_hair", "cartwheel"): ["1 of 2", "1"], ("cartwheel", "catch"): ["1 of 2", "0"],
        ("catch", "cartwheel"): ["1 of 1", "1"],
    }  # fmt: skip
    assert 'href="/runs/1?true=catch&amp;predicted=cartwheel#videos"' in page


def test_pages_of_600_classes_have_at_most_2000_elements(store: Store) -> None:
    large(store, "kinetics600", each=4)
    web = Web(store, "kinetics600")
    for address in ("/runs/1", "/runs/1/confusion", "/runs/compare?a=1", "/runs"):
        assert len(Page(web.text(address)).tags) <= 2000, address


def test_a_comparison_is_that_of_the_command(web: Web, store: Store) -> None:
    run = store.run(1)
    better = tuple(replace(p, rank=1) if p.video in ("a/2", "b/2") else p for p in run.predictions)
    worse = tuple(replace(p, rank=9) if p.video == "a/1" else p for p in better)
    store.save_run(replace(run, id=None, predictions=worse, settings={**run.settings, "method": "max"}))
    result = compare(store.run(1), store.run(2))
    assert (result.top1.gained, result.top1.lost) == (2, 1)
    page = web.text("/runs/compare?a=1&b=2")
    assert "method: mean → max" in page
    assert "5 videos in both, 0 only in run 1, 0 only in run 2" in page
    cells = web.table("/runs/compare?a=1&b=2", "measured")[0]
    low, high = 100 * result.top1.difference.low, 100 * result.top1.difference.high
    assert cells[1] == top1(store)[1]
    assert cells[3:] == [f"+20.0 [{low:+.1f}, {high:+.1f}]", "2", "1", f"{result.top1.p:.3f}"]
    videos = [row[1:] for row in web.table("/runs/compare?a=1&b=2", "videos")]
    assert videos == [
        ["a/2", "brush_hair", "gained", "2", "1"], ["b/2", "cartwheel", "gained", "5", "1"],
        ["a/1", "brush_hair", "lost", "1", "9"],
    ]  # fmt: skip
    assert [row[1] for row in web.table("/runs/compare?a=1&b=2&show=lost", "videos")] == ["a/1"]
    alone = [row[1:4] for row in web.table("/runs/compare?a=1", "videos")]
    assert alone == [["b/1", "cartwheel", "gained"], ["a/2", "brush_hair", "lost"], ["c/1", "catch", "lost"]]


def test_runs_that_cannot_be_compared_are_told_on_a_page(web: Web, store: Store) -> None:
    large(store, "ucf101", each=1)
    page = web.text("/runs/compare?a=1&b=2", status=400)
    assert "only runs on the same dataset can be compared" in page
    assert '<a href="/runs">All runs</a>' in page
    assert web.client.get("/runs/compare").status_code == 422


def test_name_note_and_tags_are_changed(web: Web, store: Store) -> None:
    read = {"name": "", "note": "", "tags": ""}
    body = {"name": "best", "note": "two\nlines", "tags": "paper,  of   May ,", "read": read}
    assert web.post("/runs/1", body) == "Saved: run 1 (best)"
    run = store.run("best")
    assert (run.note, run.tags) == ("two\nlines", ("of May", "paper"))
    stale = web.post("/runs/1", {**body, "name": "mine"}, status=400)
    assert "run 1 has been changed meanwhile. Now its name is best" in stale
    now = {"name": "best", "note": "two\nlines", "tags": "of May, paper"}
    web.post("/runs/1", {"name": "best", "note": "", "tags": "paper", "read": now})
    assert (store.run(1).name, store.run(1).note, store.run(1).tags) == ("best", None, ("paper",))
    refused = web.post("/runs/1", {"name": "7", "read": {"name": "best", "tags": "paper"}}, status=400)
    assert "cannot have the name 7" in refused
    assert web.client.post("/runs/1", json=body).status_code == 403, "a change needs the secret of our pages"


def test_a_run_is_deleted_as_it_was_told(web: Web, store: Store) -> None:
    contents = web.client.get("/runs/1/contents").json()
    assert (contents["predictions"], contents["impacts"], contents["dataset"]) == (5, 0, "hmdb51")
    assert "changed meanwhile" in web.post("/runs/1/delete", {**contents, "predictions": 4}, status=400)
    by_hand(store)
    assert "about run 1 and run 2" in web.post("/runs/2/delete", contents, status=400)
    assert len(store.runs()) == 2
    assert web.post("/runs/1/delete", contents) == "Deleted run 1"
    assert [run.id for run in store.runs()] == [2]
    assert "No run 1" in web.post("/runs/1/delete", contents, status=400)


def test_a_new_run_of_an_old_number_shows_its_own_videos(web: Web, store: Store) -> None:
    assert web.videos("") == list(BY_HAND)
    store.run_changes().delete(store.run_changes().contents([1]))
    large(store, "hmdb51", each=1)
    [run] = store.runs()  # SQLite gives the number again
    assert len(web.videos("", run=run.id or 0)) == 51


def test_pictures_are_of_the_video_and_grey_with_a_reason_without_it(
    described: Path, recognize: Run, store: Store
) -> None:
    from io import BytesIO

    import numpy as np
    from PIL import Image

    assert recognize("eval", "-d", "balls", "--root", described, "-e", "fake").exit_code == 0
    web = Web(store, "balls")
    rows = Page(web.text("/runs/1")).tables["videos"][0][1:]
    for place, row in enumerate(rows):
        answer = web.client.get(f"/runs/1/frame/{place}")
        assert answer.headers["content-type"] == "image/jpeg"
        colour = np.asarray(Image.open(BytesIO(answer.content)).convert("RGB")).mean(axis=(0, 1)).argmax()
        assert row[1].split("_")[0] == ("red", "green", "blue")[int(colour)]
    assert web.client.get("/runs/1/frame/99").status_code == 400
    described.rename(described.with_name("moved"))
    moved = Web(store, "balls")
    assert "No pictures: balls is not where it was during the run." in moved.text("/runs/1")
    answer = moved.client.get("/runs/1/frame/0")
    assert unquote(answer.headers[MISSING])
    assert str(described.parent) not in unquote(answer.headers[MISSING])


def test_pages_hold_no_folder_of_the_machine(described: Path, recognize: Run, store: Store) -> None:
    for method in ("mean", "max"):
        assert recognize("eval", "-d", "balls", "--root", described, "-e", "fake", "--method", method).exit_code == 0
    web = Web(store, "balls")
    for address in ("/runs", "/runs/1", "/runs/1/confusion", "/runs/compare?a=1&b=2", "/class/0"):
        assert str(described.parent) not in web.text(address), address


def test_a_blind_reviewer_sees_no_run(store: Store) -> None:
    by_hand(store)
    web = Web(store, "hmdb51", blind=True)
    said = "Blind reviewers do not see this page: it may tell what others decided"
    for page in ("", "/1", "/1/confusion", "/compare?a=1"):
        shown = web.text(f"/runs{page}", status=403)
        assert said in shown
        assert "a/1" not in shown
    for page in ("/1/contents", "/1/classes", "/1/frame/0"):
        assert web.client.get(f"/runs{page}").json() == {"message": said}, page


def test_a_run_without_predictions_says_so(store: Store) -> None:
    run = store.run(by_hand(store))
    store.save_run(replace(run, id=None, predictions=()))
    web = Web(store, "hmdb51")
    page = web.text("/runs/2")
    assert "This run was stored without its predictions" in page
    assert top1(store)[0] in page
    assert "without its predictions" in web.text("/runs/2/confusion")
    assert "Run 2 has no predictions" in web.text("/runs/compare?a=2", status=400)


def test_a_run_of_labels_alone_has_one_row(store: Store) -> None:
    run = store.run(by_hand(store, ()))
    store.save_run(replace(run, id=None, settings={**run.settings, "method": "label", "kinds": [], "llms": []}))
    web = Web(store, "hmdb51")
    assert next(row[7] for row in web.table("/runs", "runs")) == "no descriptors"
    assert [row[0] for row in web.table("/runs/2", "measured")] == ["label only"]


def test_several_labels_a_video_are_shown_for_what_they_are(recognize: Run, described: Path, store: Store) -> None:
    rows = {"red_ball/a": "red_ball;green_ball", "green_ball/a": "green_ball", "blue_ball/a": "(none of these)"}
    file = described / "list.csv"
    file.write_text("path,labels\n" + "".join(f"{path},{labels}\n" for path, labels in rows.items()))
    assert recognize("eval", "-d", "balls", "--root", file, "-e", "fake").exit_code == 0
    web = Web(store, "balls")
    assert web.table("/runs", "runs")[0][6].startswith("mAP ")
    page = web.text("/runs/1")
    assert Page(page).tables["measured"][0][0][2] == "mAP %"
    assert "top-1" not in Page(page).text
    assert "filters by class see that one alone" in page
    shown = {row[1]: row for row in Page(page).tables["videos"][0][1:]}
    stored = {p.video: p for p in store.run(1).predictions}
    assert shown["blue_ball/a"][2] == "none"
    assert shown["blue_ball/a"][5:] == ["", "", "of no class"]
    names = sorted(("red_ball", "green_ball", "blue_ball"))
    for video, row in shown.items():
        assert row[3] == names[stored[video].ranking[0][0]], "predicted is the class that scores best"
    assert "there is no confusion matrix" in web.text("/runs/1/confusion")
    assert "several labels each" in web.text("/runs/compare?a=1", status=400)


def test_rejected_videos_and_the_transductive_row_are_told(recognize: Run, described: Path, store: Store) -> None:
    common = ("-d", "balls", "--root", described, "-e", "fake")
    assert recognize("eval", *common, "--none-of-these").exit_code == 0
    assert recognize("eval", *common, "--transductive", "stata").exit_code == 0
    web = Web(store, "balls")
    result = store.run(1).results["none_of_these"]
    table = Page(web.text("/runs/1")).tables["measured"][1]
    row = result["rows"]["label + descriptors"]
    assert table[2][:3] == ["label + descriptors", str(row["kept"]), str(row["rejected"])]
    marked = [row[1] for row in web.table("/runs/1", "videos") if "rejected as none of these" in row[7]]
    assert sorted(marked) == sorted(result["rejected"])
    rows = web.table("/runs/2", "measured")
    assert [row[0] for row in rows[:3]] == [
        "label only", "label + descriptors", "label + descriptors, transductive: stata"
    ]  # fmt: skip
    assert "all other numbers and the predictions are of that row, each video by itself" in web.text("/runs/2")
    assert "also transductive (stata)" in web.text("/runs")


def test_names_are_shown_letter_by_letter(web: Web, store: Store) -> None:
    store.run_changes().change([1], RunChange(name="TEAR vs Mine"))
    for address in ("/runs/1", "/runs/1/confusion", "/runs/compare?a=1"):
        assert "un 1 (TEAR vs Mine)" in Page(web.text(address)).text, address


def test_markup_in_what_people_say_is_text(web: Web, store: Store) -> None:
    odd = "<script>alert(1)</script>\"'"
    store.run_changes().change([1], RunChange(name=odd, note=odd, tag=(odd,)))
    for address in ("/runs", "/runs/1", "/runs/1/confusion", "/runs/compare?a=1"):
        page = web.text(address)
        assert "<script>alert" not in page, address
        assert html.escape(odd, quote=False)[:20] in page, address


def test_serve_opens_at_the_runs_of_the_newest_one(
    store: Store, recognize: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def serve(app: object, listener: socket, *, on_ready: Callable[[], None]) -> None:
        started.append(app)
        listener.close()
        on_ready()

    monkeypatch.setattr("descriptor_gen.review.server.serve", serve)
    none = recognize("serve", "--no-browser")
    assert none.exit_code == 2
    assert "No runs yet, so say which dataset: recognize serve --dataset NAME" in none.stderr
    by_hand(store)
    large(store, "ucf101", each=1)
    for options, dataset in ((), "ucf101"), (("-d", "hmdb51"), "hmdb51"):
        result = recognize("serve", "--no-browser", "--reviewer", "anna", *options)
        assert result.exit_code == 0, result.output
        assert re.search(rf"^{dataset}, reviewed by anna: http://127.0.0.1:\d+/runs  ", result.stderr)
    away = recognize("serve", "--no-browser", "--host", "0.0.0.0")
    assert re.search(r"/runs\?token=\S+", away.stderr)
    assert len(started) == 3
    assert recognize("serve", "-d", "nothing").exit_code == 2


QUERIES = st.dictionaries(
    st.sampled_from(["a", "b", "of", "sort", "tag", "q", "page", "label", "true", "predicted", "outcome", "show", "x"]),
    st.text(max_size=12) | st.sampled_from(["1", "2", "cartwheel", "lost", "all"]),
)


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(
    page=st.sampled_from(["", "/1", "/2", "/1/confusion", "/compare", "/1/contents", "/1/classes", "/0", "/x"]),
    query=QUERIES,
)
def test_no_address_is_a_fault_of_the_server(web: Web, page: str, query: dict[str, str]) -> None:
    answer = web.client.get(f"/runs{page}", params=query)
    assert answer.status_code in (200, 400, 422), (page, query)
    assert "Traceback" not in answer.text


@settings(suppress_health_check=list(HealthCheck))
@given(
    body=st.dictionaries(
        st.sampled_from(["name", "note", "tags", "read", "x"]),
        st.text(max_size=30)
        | st.none()
        | st.dictionaries(st.sampled_from(["name", "note", "tags"]), st.text(max_size=9)),
    )
)
def test_no_change_is_a_fault_of_the_server(web: Web, body: dict[str, Any]) -> None:
    for address in ("/runs/1", "/runs/1/delete"):
        answer = web.client.post(address, content=json.dumps(body), headers=web.secret | JSON)
        assert answer.status_code in (200, 400, 422), body
