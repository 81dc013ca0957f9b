"""Mean average precision against a second implementation, in loops, and against sums done by hand."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.errors import UserError
from recognizer.localize.mean_ap import IOU_THRESHOLDS, AnnotatedAction, Segment, evaluate_detection

Annotations = Mapping[str, Sequence[AnnotatedAction]]
Segments = Mapping[str, Sequence[Segment]]


def reference(annotations: Annotations, predicted: Segments, threshold: float) -> dict[int, float]:
    """Return the average precision of each annotated class, one step after the other, as the measure is described.

    Sort the predictions of a class by score. Give each, in turn, the annotated action of its video that it overlaps
    most among those not given away, if the intersection over union reaches the threshold: then it is a true positive,
    else a false one (or left out, where it overlaps an ambiguous action). Precision and recall after each prediction
    make a curve; make it monotone from the right; sum its rectangles.
    """
    annotated_labels = {a.label for each in annotations.values() for a in each if a.label is not None}
    return {label: area(*curve(label, annotations, predicted, threshold)) for label in annotated_labels}


def curve(
    label: int, annotations: Annotations, predicted: Segments, threshold: float
) -> tuple[list[float], list[float]]:
    """Return recalls and precisions after each prediction."""
    predictions = [(s.score, video, s) for video in annotations for s in predicted.get(video, ()) if s.label == label]
    predictions.sort(key=lambda p: (-p[0], p[1], p[2].start, p[2].end))
    total = sum(a.label == label for each in annotations.values() for a in each)
    given_away: set[tuple[str, int]] = set()
    true, false = 0, 0
    recalls, precisions = [0.0], [0.0]
    for _, video, segment in predictions:
        actions = sorted((a.start, a.end) for a in annotations[video] if a.label == label)
        best, best_overlap = None, Fraction(-1)
        for number, (start, end) in enumerate(actions):
            overlap = iou(segment.start, segment.end, start, end)
            if (video, number) not in given_away and overlap > best_overlap:
                best, best_overlap = number, overlap
        if best is not None and float(best_overlap) >= threshold:
            given_away.add((video, best))
            true += 1
        elif any(a.label is None and meet(segment, a) for a in annotations[video]):
            continue
        else:
            false += 1
        recalls.append(true / total)
        precisions.append(true / (true + false))
    return recalls, precisions


def area(recalls: list[float], precisions: list[float]) -> float:
    recalls, precisions = [*recalls, 1.0], [*precisions, 0.0]
    for place in range(len(precisions) - 2, -1, -1):
        precisions[place] = max(precisions[place], precisions[place + 1])
    steps = range(1, len(recalls))
    return sum((recalls[place] - recalls[place - 1]) * precisions[place] for place in steps)


def meet(segment: Segment, action: AnnotatedAction) -> bool:
    return min(segment.end, action.end) > max(segment.start, action.start)


def iou(start: float, end: float, begin: float, stop: float) -> Fraction:
    both = max(Fraction(0), min(Fraction(end), Fraction(stop)) - max(Fraction(start), Fraction(begin)))
    either = (Fraction(end) - Fraction(start)) + (Fraction(stop) - Fraction(begin)) - both
    return both / either if either > 0 else Fraction(0)


VIDEOS = ("a", "b", "c")
# whole seconds up to 20 and three scores: overlaps on a threshold and equal scores are then common
times = st.tuples(st.integers(0, 20), st.integers(0, 8)).map(lambda pair: (float(pair[0]), float(sum(pair))))
labels = st.sampled_from([0, 1, 5])
actions = st.builds(lambda label, time: AnnotatedAction(label, *time), labels | st.none(), times)
segments = st.builds(
    lambda label, time, score: Segment(label, *time, score), labels, times, st.sampled_from([0.1, 0.5, 0.9])
)
annotated = st.fixed_dictionaries({video: st.lists(actions, max_size=6) for video in VIDEOS[:2]})
predicted = st.fixed_dictionaries({video: st.lists(segments, max_size=10) for video in VIDEOS})


@given(annotated, predicted, st.randoms(use_true_random=False))
def test_it_equals_the_reference_whatever_the_order(
    annotations: dict[str, list[AnnotatedAction]], predicted: dict[str, list[Segment]], order: random.Random
) -> None:
    expected = [reference(annotations, predicted, threshold) for threshold in IOU_THRESHOLDS]
    if not expected[0]:
        with pytest.raises(UserError, match="Nothing is annotated"):
            evaluate_detection(annotations, predicted)
        return
    for each in (*annotations.values(), *predicted.values()):
        order.shuffle(each)
    result = evaluate_detection(annotations, dict(reversed(predicted.items())))
    assert result.classes == tuple(sorted(expected[0]))
    for column, by_class in enumerate(expected):
        values = [by_class[label] for label in result.classes]
        assert [row[column] for row in result.average_precision] == pytest.approx(values, abs=1e-12)
        assert result.mean_average_precision[column] == pytest.approx(sum(values) / len(values), abs=1e-12)
    assert result.average == pytest.approx(sum(result.mean_average_precision) / len(IOU_THRESHOLDS), abs=1e-12)


def one(annotations: Sequence[AnnotatedAction], predicted: Sequence[Segment]) -> tuple[float, ...]:
    return evaluate_detection({"v": annotations}, {"v": predicted}).mean_average_precision


ACTION = AnnotatedAction(0, 10.0, 20.0)


def test_an_overlap_on_the_threshold_is_enough_and_one_below_it_is_not() -> None:
    """10 to 15 of 10 to 20 is exactly one half."""
    assert one([ACTION], [Segment(0, 10.0, 15.0, 0.9)]) == (1.0, 1.0, 1.0, 0.0, 0.0)
    assert one([ACTION], [Segment(0, 10.0, 14.9, 0.9)]) == (1.0, 1.0, 0.0, 0.0, 0.0)


def test_each_action_is_found_once() -> None:
    """Two good segments on one of two actions: true, false; precision 1 at recall 1/2, and no more recall."""
    twice = [Segment(0, 10.0, 20.0, 0.9), Segment(0, 10.0, 19.0, 0.8)]
    assert one([ACTION, AnnotatedAction(0, 40.0, 50.0)], twice) == (0.5,) * 5


def test_precision_is_that_of_the_best_point_to_the_right() -> None:
    """False, true, true, false of 2 actions: precisions 0, 1/2, 2/3, 1/2; both hits count 2/3."""
    predicted = [
        Segment(0, 30.0, 35.0, 0.9),
        Segment(0, 10.0, 20.0, 0.8),
        Segment(0, 40.0, 50.0, 0.7),
        Segment(0, 70.0, 75.0, 0.6),
    ]
    assert one([ACTION, AnnotatedAction(0, 40.0, 50.0)], predicted) == pytest.approx((2 / 3,) * 5)


def test_the_surer_segment_takes_the_action_and_the_next_best_overlap_is_taken_by_the_other() -> None:
    """The first overlaps both actions, the earlier more; the second only the earlier, which is gone."""
    actions = [AnnotatedAction(0, 0.0, 10.0), AnnotatedAction(0, 8.0, 18.0)]
    first, second = Segment(0, 3.0, 13.0, 0.9), Segment(0, 0.0, 10.0, 0.8)
    # overlaps of the first: 7/13 and 5/15; of the second: 1 and 2/18
    assert one(actions, [first, second])[:3] == (0.5, 0.5, 0.5)  # at 0.3 to 0.5: true, then false
    assert one(actions, [first, second])[3:] == (0.25, 0.25)  # at 0.6 and 0.7: false, then true


def test_equal_scores_go_by_start() -> None:
    """A wrong segment before and after a right one of the same score: precision 1/2, then 1."""
    right = Segment(0, 10.0, 20.0, 0.5)
    assert one([ACTION], [right, Segment(0, 1.0, 2.0, 0.5)]) == (0.5,) * 5
    assert one([ACTION], [right, Segment(0, 30.0, 31.0, 0.5)]) == (1.0,) * 5


def test_a_segment_on_an_ambiguous_action_is_neither_right_nor_wrong() -> None:
    wrong, right = Segment(0, 30.0, 40.0, 0.9), Segment(0, 10.0, 20.0, 0.8)
    assert one([ACTION], [wrong, right]) == (0.5,) * 5
    assert one([ACTION, AnnotatedAction(None, 39.0, 60.0)], [wrong, right]) == (1.0,) * 5
    assert one([ACTION, AnnotatedAction(None, 40.0, 60.0)], [wrong, right]) == (0.5,) * 5  # they touch, no more
    assert one([ACTION, AnnotatedAction(None, 15.0, 16.0)], [right]) == (1.0,) * 5  # right stays right


def test_classes_count_alike_and_only_those_that_are_annotated() -> None:
    annotations = {"v": [ACTION, AnnotatedAction(3, 0.0, 5.0)], "w": []}
    predicted = {"v": [Segment(0, 10.0, 20.0, 0.1), Segment(7, 0.0, 5.0, 0.9)], "w": [Segment(0, 0.0, 5.0, 0.9)]}
    result = evaluate_detection(annotations, predicted)
    assert result.classes == (0, 3)
    assert result.average_precision == ((0.5,) * 5, (0.0,) * 5)  # of class 0, the segment in w is wrong
    assert result.mean_average_precision == (0.25,) * 5
    assert (result.videos, result.annotations, result.segments) == (2, 2, 2)


def test_an_action_without_length_is_never_found_and_counts() -> None:
    predicted = [Segment(0, 10.0, 20.0, 0.9), Segment(0, 30.0, 30.0, 0.8)]
    assert one([ACTION, AnnotatedAction(0, 30.0, 30.0)], predicted) == (0.5,) * 5
