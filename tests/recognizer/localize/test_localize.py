"""From embeddings and texts to segments: each step against loops or by hand, and all of them on made videos."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from db.errors import UsageError
from db.records import Action, Dataset, Descriptor
from encoders.testing import FakeEncoder
from recognizer.localize.class_scores import boundary_evidence, class_scores, moving_average, similarities
from recognizer.localize.mean_ap import Segment
from recognizer.localize.segments import (
    contrast_scores,
    find_segments,
    merge_duplicates,
    move_ends,
    propose,
    suppress,
)
from recognizer.localize.settings import LocalizeSettings, with_values
from recognizer.localize.text_roles import Roles, build_roles
from recognizer.scoring.protocols import protocol_of

PLAIN = LocalizeSettings(smooth=0)


def roles(
    action: Tensor, steps: Tensor | None = None, before: Tensor | None = None, after: Tensor | None = None
) -> Roles:
    nothing = torch.zeros_like(action)
    return Roles(
        action,
        torch.zeros(len(action), 0, action.shape[1]) if steps is None else steps,
        nothing if before is None else before,
        nothing if after is None else after,
        left_out=0,
        cut=(),
    )


# the texts


def descriptor(action: str, kind: str, position: int, text: str) -> Descriptor:
    return Descriptor(0, action, kind, position, text, "import", "pending", None, None)


TWO = Dataset("two", (Action(0, "a", "a"), Action(1, "b", "b")), stored_as="two")


def test_each_text_goes_to_its_role(fake_encoder: FakeEncoder) -> None:
    texts = [
        descriptor("a", "situation", 1, "a after"),
        descriptor("a", "situation", 0, "a before"),
        descriptor("a", "situation", 0, "a before, in other words"),
        descriptor("a", "situation", 2, "neither"),
        descriptor("a", "description", 0, "all of a"),
        descriptor("a", "decomposition", 1, "a 2"),
        descriptor("a", "decomposition", 0, "a 1"),
        descriptor("b", "decomposition", 1, "b 2"),
    ]
    made = build_roles(TWO, texts, fake_encoder, protocol_of("default"))

    def vector(*strings: str) -> Tensor:
        return normalize(normalize(fake_encoder.encode_texts(strings), dim=-1).sum(dim=0), dim=-1)

    label = vector(*(template.format("a") for template in protocol_of("default").label_templates))
    torch.testing.assert_close(made.action[0], normalize(label + vector("all of a"), dim=-1))
    torch.testing.assert_close(made.before[0], vector("a before", "a before, in other words"))
    torch.testing.assert_close(made.after[0], vector("a after"))
    torch.testing.assert_close(made.steps[0], torch.stack([vector("a 1"), vector("a 2")]))
    torch.testing.assert_close(made.steps[1], torch.stack([torch.zeros(32), vector("b 2")]))
    assert not made.before[1].any()
    assert not made.after[1].any()
    assert made.left_out == 1


def test_labels_alone_have_no_other_role(fake_encoder: FakeEncoder) -> None:
    made = build_roles(TWO, [], fake_encoder, protocol_of("tear"))
    assert made.steps.shape == (2, 0, 32)
    assert not made.before.any()
    torch.testing.assert_close(made.action.norm(dim=-1), torch.ones(2))
    assert len(fake_encoder.encoded) == 2 * 16


# class scores


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm())) if b.any() else 0.0


def test_similarities_are_those_of_loops() -> None:
    torch.manual_seed(0)
    frames = torch.randn(7, 5)
    texts = roles(*(normalize(torch.randn(*shape), dim=-1) for shape in ((3, 5), (3, 4, 5), (3, 5), (3, 5))))
    texts.steps[0, 0] = texts.steps[0, 3] = 0  # of the first class, steps 1 and 2 are there
    texts.steps[2] = texts.after[1] = 0  # the third has no steps, the second nothing that is seen after it
    similar = similarities(frames, texts)
    for t in range(7):
        for c in range(3):
            whole = cosine(frames[t], texts.action[c])
            steps = [cosine(frames[t], step) for step in texts.steps[c] if step.any()]
            inside = (whole + max(steps)) / 2 if steps else whole
            first, last = (steps[0], steps[-1]) if steps else (whole, whole)
            assert float(similar.inside[t, c]) == pytest.approx(inside, abs=1e-6)
            opening = (inside + first) / 2 - cosine(frames[t], texts.before[c])
            assert float(similar.opening[t, c]) == pytest.approx(opening, abs=1e-6)
            closing = (inside + last) / 2 - cosine(frames[t], texts.after[c])
            assert float(similar.closing[t, c]) == pytest.approx(closing, abs=1e-6)


def test_softmax_is_that_of_tear_and_zscore_is_over_the_classes_of_each_frame() -> None:
    """TEAR: softmax of 100 times the cosines (here less an even share); a z-score by `view`, here by rows."""
    torch.manual_seed(0)
    cosines = torch.rand(5, 4) * 0.1
    shares = class_scores(cosines, fps=4, settings=PLAIN)
    standard = class_scores(cosines, fps=4, settings=LocalizeSettings(smooth=0, scale="zscore"))
    for t, row in enumerate(cosines.tolist()):
        exponentials = [math.exp(100 * value) for value in row]
        mean = sum(row) / 4
        deviation = math.sqrt(sum((value - mean) ** 2 for value in row) / 4)
        for c, value in enumerate(row):
            assert float(shares[t, c]) + 1 / 4 == pytest.approx(exponentials[c] / sum(exponentials), abs=1e-5)
            assert float(standard[t, c]) == pytest.approx((value - mean) / deviation, abs=1e-4)


def test_scale_time_compares_a_class_with_itself() -> None:
    cosines = torch.tensor([[0.1], [0.1], [0.4], [0.4]])
    assert class_scores(cosines, fps=4, settings=LocalizeSettings(smooth=0, scale="time")).flatten().tolist() == (
        pytest.approx([-1, -1, 1, 1], abs=1e-5)
    )
    with pytest.raises(UsageError, match="Scale softmax compares classes with each other, and there is only one"):
        class_scores(cosines, fps=4, settings=PLAIN)


def test_scores_are_averaged_over_the_seconds_around() -> None:
    values = torch.arange(10.0).unsqueeze(1) ** 2
    rows = values.flatten().tolist()
    for half in (0, 1, 3, 20):
        expected = []
        for t in range(10):
            around = rows[max(0, t - half) : t + half + 1]
            expected.append(sum(around) / len(around))
        assert moving_average(values, half).flatten().tolist() == pytest.approx(expected)
    cosines = torch.eye(10)[:, :2]
    smooth = class_scores(cosines, fps=4, settings=LocalizeSettings(smooth=1.0))  # 2 frames to either side
    torch.testing.assert_close(smooth, moving_average(class_scores(cosines, fps=4, settings=PLAIN), 2))


def test_evidence_of_a_boundary_is_the_rise_there_whatever_the_level() -> None:
    values = torch.tensor([[0.0], [0.0], [0.0], [1.0], [1.0], [1.0]])
    evidence = boundary_evidence(values, width=2).flatten().tolist()
    assert evidence == pytest.approx([0, 0, 0.5, 1, 0.5, 0, 0])
    assert boundary_evidence(values + 7, width=2).flatten().tolist() == pytest.approx(evidence)


# proposals


@given(
    st.lists(st.lists(st.integers(-1, 4), min_size=3, max_size=3), min_size=1, max_size=12),
    st.sets(st.sampled_from([0.25, 0.5, 0.75, 1.0]), min_size=1),
)
def test_proposals_are_those_of_loops(rows: list[list[int]], thresholds: set[float]) -> None:
    expected = set()
    for c in range(3):
        curve = [row[c] for row in rows]
        for threshold in thresholds:
            start = None
            for t, value in enumerate([*curve, -9]):
                above = max(curve) > 0 and value >= threshold * max(curve)
                if above and start is None:
                    start = t
                if not above and start is not None:
                    expected.add((c, start, t))
                    start = None
    proposals = propose(torch.tensor(rows, dtype=torch.float), tuple(thresholds))
    assert [tuple(row) for row in proposals.tolist()] == sorted(expected)


def evidence(at: dict[int, float], places: int = 21) -> Tensor:
    values = torch.zeros(places, 1)
    for place, value in at.items():
        values[place] = value
    return values


@pytest.mark.parametrize(
    ("proposal", "starts", "ends", "moved"),
    [
        ((5, 15), {}, {}, (5, 15)),  # nothing says where
        ((5, 15), {3: 1.0}, {17: 1.0}, (3, 17)),
        ((5, 15), {7: 1.0}, {12: 1.0}, (7, 12)),
        ((5, 15), {1: 1.0}, {20: 1.0}, (5, 15)),  # too far
        ((5, 15), {4: 1.0, 7: 1.0}, {16: 0.5, 13: 0.5}, (4, 16)),  # the nearest of equals
        ((5, 8), {7: 1.0, 6: 0.5}, {6: 1.0, 7: 0.5}, (6, 7)),  # each in its half
        ((0, 20), {2: 1.0}, {18: 1.0}, (0, 20)),  # the ends of the video
    ],
)
def test_ends_move_to_the_evidence(
    proposal: tuple[int, int], starts: dict[int, float], ends: dict[int, float], moved: tuple[int, int]
) -> None:
    result = move_ends(torch.tensor([[0, *proposal]]), starts=evidence(starts), ends=evidence(ends), search=3)
    assert result.tolist() == [[0, *moved]]


def test_a_segment_scores_by_its_inside_above_its_surroundings() -> None:
    curves = torch.tensor([[0.0, 1], [0.2, 1], [0.8, 1], [0.6, 1], [0.8, 1], [1.0, 1], [0.4, 1], [0.0, 1]])
    proposals = torch.tensor([[0, 2, 6], [0, 0, 4], [1, 0, 8]])
    scores = contrast_scores(curves, proposals, margin=0.25, contrast=1.0).tolist()
    assert scores == pytest.approx([0.8 - (0.2 + 0.4) / 2, 0.4 - 0.8, 1.0])  # outside of the video there is nothing
    halved = contrast_scores(curves, proposals, margin=0.5, contrast=0.5).tolist()
    assert halved[0] == pytest.approx(0.8 - 0.5 * (0.0 + 0.2 + 0.4 + 0.0) / 4)


def test_of_proposals_that_became_the_same_the_best_score_counts() -> None:
    once, best = merge_duplicates(torch.tensor([[1, 0, 4], [0, 2, 6], [1, 0, 4]]), torch.tensor([0.1, 0.2, 0.3]))
    assert (once.tolist(), best.tolist()) == ([[0, 2, 6], [1, 0, 4]], pytest.approx([0.2, 0.3]))


# suppression

LABELS = torch.tensor([0, 0, 1, 0])
TIMES = torch.tensor([[0.0, 10.0], [0.0, 8.0], [0.0, 10.0], [9.0, 19.0]])
SCORES = torch.tensor([0.9, 0.8, 0.7, 0.6])


def test_hard_suppression_drops_what_overlaps_a_better_one_of_its_class() -> None:
    """Overlaps with the first: 8 / 10, another class, 1 / 19."""
    taken, scores = suppress(LABELS, TIMES, SCORES, method="hard", parameter=0.4, keep=10)
    assert taken.tolist() == [0, 2, 3]
    assert scores.tolist() == pytest.approx([0.9, 0.7, 0.6])
    assert suppress(LABELS, TIMES, SCORES, method="hard", parameter=0.05, keep=10)[0].tolist() == [0, 2]
    assert suppress(LABELS, TIMES, SCORES, method="hard", parameter=0.4, keep=2)[0].tolist() == [0, 2]


def test_soft_suppression_lowers_scores() -> None:
    taken, scores = suppress(LABELS, TIMES, SCORES, method="soft", parameter=0.5, keep=10)
    lowered = {1: 0.8 * math.exp(-(0.8**2) / 0.5), 3: 0.6 * math.exp(-((1 / 19) ** 2) / 0.5)}
    assert taken.tolist() == [0, 2, 3, 1]
    assert scores.tolist() == pytest.approx([0.9, 0.7, lowered[3], lowered[1]], abs=1e-6)


def test_no_suppression_leaves_all() -> None:
    taken, scores = suppress(LABELS, TIMES, SCORES, method="none", parameter=0.0, keep=10)
    assert (taken.tolist(), scores.tolist()) == ([0, 1, 2, 3], pytest.approx(SCORES.tolist()))


# all of it

A, B, A_BEFORE, A_AFTER, A_FIRST, A_LAST, REST = torch.eye(7)


def film(*parts: tuple[int, Sequence[Tensor]]) -> Tensor:
    """Return frames that show so many times the sum of what is given."""
    return torch.cat([sum(shown, torch.zeros(7)).expand(count, 7) for count, shown in parts])


def segments_of(frames: Tensor, texts: Roles, *values: str) -> list[tuple[int, float, float]]:
    settings = with_values(LocalizeSettings(), values)
    segments = find_segments(frames, texts, fps=4.0, settings=settings).segments
    return [(segment.label, segment.start, segment.end) for segment in segments]


@pytest.mark.parametrize("scale", ["softmax", "zscore", "time"])
def test_actions_are_found_to_the_frame(scale: str) -> None:
    frames = film((20, [REST]), (12, [A]), (20, [REST]), (16, [B]), (8, [REST]))
    segments = segments_of(frames, roles(torch.stack([A, B, REST])), f"scale={scale}")
    assert set(segments[:4]) >= {(0, 5.0, 8.0), (1, 13.0, 17.0)}


def test_what_is_seen_before_and_after_says_where_an_action_starts_and_ends() -> None:
    """The label is as near to the second before the action, and to the one after it, as to the action."""
    frames = film((20, [REST]), (4, [A, A_BEFORE]), (12, [A, REST]), (4, [A, A_AFTER]), (20, [REST]))
    labels = torch.stack([A, B])
    situations = {"before": torch.stack([A_BEFORE, B]), "after": torch.stack([A_AFTER, B])}
    assert segments_of(frames, roles(labels), "smooth=0")[0] == (0, 5.0, 10.0)
    assert segments_of(frames, roles(labels, **situations), "smooth=0")[0] == (0, 6.0, 9.0)
    assert segments_of(frames, roles(labels, **situations), "smooth=0", "search=0")[0] == (0, 5.0, 10.0)


def test_the_first_and_the_last_step_say_it_too() -> None:
    frames = film((20, [REST]), (4, [A]), (4, [A, A_FIRST]), (4, [A]), (4, [A, A_LAST]), (4, [A]), (20, [REST]))
    steps = torch.stack([torch.stack([A_FIRST, A_LAST]), torch.stack([B, B])])
    texts = roles(torch.stack([A, B]), steps)
    assert segments_of(frames, texts, "smooth=0", "search=1.25")[0] == (0, 6.0, 9.0)


def test_every_proposal_is_a_segment_or_counted() -> None:
    torch.manual_seed(3)
    frames, texts = torch.randn(200, 7), roles(torch.eye(7)[:5])
    for values in ((), ("shortest=2",), ("proposals=9",), ("keep=3",), ("nms=none",), ("nms=soft", "keep=1000")):
        settings = with_values(LocalizeSettings(), values)
        result = find_segments(frames, texts, fps=4.0, settings=settings)
        proposals = propose(result.scores, settings.thresholds)
        assert len(proposals) == len(result.segments) + sum(result.left_out.values())
        assert len(result.segments) <= settings.keep
        assert all(segment.end - segment.start >= settings.shortest for segment in result.segments)
        scores = [segment.score for segment in result.segments]
        assert scores == sorted(scores, reverse=True)
        assert all(isinstance(s, Segment) and 0 <= s.start < s.end <= 50 for s in result.segments)


def test_a_video_of_one_frame_and_one_in_which_nothing_stands_out() -> None:
    texts = roles(torch.stack([A, B]))
    assert segments_of(A.unsqueeze(0), texts, "shortest=0") == [(0, 0.0, 0.25)]
    assert segments_of(A.unsqueeze(0), texts) == []
    assert segments_of(film((20, [REST])), texts, "scale=zscore") == []


# settings


def test_settings_are_changed_by_name() -> None:
    changed = with_values(LocalizeSettings(), ["smooth=2", "thresholds=0.5,0.1", "nms=soft", "keep=7"])
    assert changed == LocalizeSettings(smooth=2.0, thresholds=(0.1, 0.5), nms="soft", keep=7)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        (
            "smoth=1",
            r"Unknown setting 'smoth'. Known, with their values: scale=softmax, temperature=0.01, .*thresholds=0.2,",
        ),
        ("smooth", "smooth is a number, 0 or above, not ''"),
        ("nms=gone", "nms is one of hard, soft, none, not 'gone'"),
        ("nms_iou=2", "nms_iou is a number from 0 to 1, not '2'"),
        ("keep=1.5", "keep is a whole number, 1 or above, not '1.5'"),
        ("thresholds=0,1", "thresholds is numbers above 0 up to 1, with commas, not '0,1'"),
        ("edge=nan", "edge is a number above 0, not 'nan'"),
    ],
)
def test_wrong_settings_are_refused(assignment: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        with_values(LocalizeSettings(), [assignment])


def test_every_setting_can_be_set() -> None:
    settings = LocalizeSettings()
    for name, value in vars(settings).items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        assert with_values(settings, [f"{name}={text}"]) == settings
