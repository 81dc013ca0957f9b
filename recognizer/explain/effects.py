"""What each text did for one video, as numbers: beside a mean class, beside another class, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recognizer.evaluation.settings import Settings
from recognizer.scoring.attribution import frame_cosines, shares, step_of_frames, used_texts
from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.methods import cosines
from recognizer.scoring.pooling import VideoBatch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Effects:
    """What the texts of all classes did for one video. Zero where there is no text.

    Attributes:
        share: [C, K], what a text adds to the score of its class, in units of the score; they sum to it.
        above_mean: [C, K], of that, what a mean class's texts of the same kind do not add (`beyond`).
        cosine: [C, K], of a text with the pooled video.
        frames: [T, C, K], of a text with each frame of the view that is shown.
        frames_above: [T, C, K], less the mean of that frame's cosines with all classes' texts of the same kind.
        steps: int64 [T, C], the step that `align` gives a frame, from 0; -1 for classes without steps.
        used: bool [C, K], whether the method looks at the text.
        group: int64 [C, K], texts of one kind have the same: 0 is the label; -1 for no text, or one not used.
    """

    share: Tensor
    above_mean: Tensor
    cosine: Tensor
    frames: Tensor
    frames_above: Tensor
    steps: Tensor
    used: Tensor
    group: Tensor

    def above(self, label: int) -> Tensor:
        """Return what the texts add that those of one class do not, [C, K]: the sums are differences of scores."""
        return beyond(self.share, totals(self.share, self.group)[label], self.group)


def effects(views: VideoBatch, ensemble: Ensemble, *, settings: Settings, shown: int) -> Effects:
    """Return what the texts did for one video.

    Args:
        views: the W views of the video; what is said of the whole video is the mean over them.
        ensemble: the texts of C classes.
        settings: gives the method and its temperature.
        shown: the view of which the frames are looked at.
    """
    used = used_texts(ensemble, settings.method)
    group = (ensemble.kind + 1).where(used, -1)
    share = shares(views, ensemble, method=settings.method, temperature=settings.temperature).mean(dim=0)
    view = VideoBatch.of(views.frames[shown : shown + 1], pooling=settings.pooling)
    frames = frame_cosines(view, ensemble)[0]  # [T, C, K]
    return Effects(
        share=share,
        above_mean=beyond(share, totals(share, group).mean(dim=0), group),
        cosine=cosines(views, ensemble).mean(dim=0).where(ensemble.present, 0.0),
        frames=frames,
        frames_above=_above_frame(frames, (ensemble.kind + 1).where(ensemble.present, -1)),
        steps=step_of_frames(view, ensemble)[0],
        used=used,
        group=group,
    )


def totals(share: Tensor, group: Tensor) -> Tensor:
    """Return what the texts of each kind add together, [C, G], of shares [C, K] and their kinds [C, K]."""
    return (share.unsqueeze(-1) * _members(group)).sum(dim=1)


def beyond(share: Tensor, reference: Tensor, group: Tensor) -> Tensor:
    """Return shares less an even part of what a reference class has for their kind, [C, K].

    share_ck - R_g / n_cg, where text k of class c is one of its n_cg texts of kind g. Over the texts of a class they
    sum to its score less that of the reference, as long as both have texts of every kind.

    Args:
        share: [C, K].
        reference: R [G], what the texts of each kind add together in the reference class.
        group: int64 [C, K], the kind of each text; -1 where there is none.
    """
    count = _members(group).sum(dim=1).clamp(min=1)  # [C, G]
    even = (reference / count).gather(1, group.clamp(min=0))  # [C, K]
    return share - even.where(group >= 0, 0.0)


def _above_frame(frames: Tensor, group: Tensor) -> Tensor:
    """Return [T, C, K] less the mean of each frame over all classes' texts of the same kind."""
    member = _members(group).flatten(0, 1)  # [C * K, G]
    means = frames.flatten(1) @ member / member.sum(dim=0).clamp(min=1)  # [T, G]
    of_text = means[:, group.clamp(min=0)]  # [T, C, K]
    return (frames - of_text).where(group >= 0, 0.0)


def _members(group: Tensor) -> Tensor:
    """Return which kind each text is of, float [C, K, G]."""
    from torch.nn.functional import one_hot

    return (one_hot(group.clamp(min=0)) * (group >= 0).unsqueeze(-1)).float()
