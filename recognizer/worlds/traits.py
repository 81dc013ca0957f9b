"""What videos and texts with known classes are like: numbers without units, the same for worlds and for runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.pooling import VideoBatch

if TYPE_CHECKING:
    from torch import Tensor

_TINY = 1e-9  # a variance below it is zero


@dataclass(frozen=True)
class Trait:
    """One number about videos and texts; NaN where it is not defined (see `TRAITS`)."""

    name: str
    about: str
    of: Callable[[Labelled], Tensor]


@dataclass(frozen=True)
class Labelled:
    """Videos, texts and the true classes.

    Attributes:
        videos: V videos.
        ensemble: texts of C classes.
        labels: int64 [V].
    """

    videos: VideoBatch
    ensemble: Ensemble
    labels: Tensor

    @cached_property
    def populated(self) -> Tensor:
        """The classes with videos, int64 [G]."""
        classes: Tensor = self.labels.unique()
        return classes

    @cached_property
    def looks(self) -> Tensor:
        """The mean video of each class with videos, minus the mean of these classes, [G, D]."""
        import torch

        means = torch.stack([self.videos.pooled[self.labels == label].mean(dim=0) for label in self.populated.tolist()])
        return means - means.mean(dim=0)

    @cached_property
    def descriptors(self) -> Tensor:
        """Whether a text is a descriptor of a class with videos, bool [C, K]."""
        import torch

        chosen = torch.zeros_like(self.ensemble.present)
        chosen[self.populated, 1:] = self.ensemble.present[self.populated, 1:]
        return chosen

    def fits(self, texts: Tensor) -> Tensor:
        """Return how texts [G, D], one for each class with videos, fit the mean videos of these classes.

        [G, G], -1 to 1; row of the text, column of the videos. It is the correlation, over classes, between the
        products with the text and an indicator of the class. 1: the text is nearer to this class than to the others,
        and equally near to all others. NaN if only one class has videos.
        """
        import torch

        count = len(self.populated)
        if count == 1:
            return self.looks.new_full((1, 1), torch.nan)
        products = texts @ self.looks.T
        centred = products - products.mean(dim=1, keepdim=True)
        fits: Tensor = centred / centred.norm(dim=1, keepdim=True).clamp(min=_TINY) / (1 - 1 / count) ** 0.5
        return fits


def traits(labelled: Labelled) -> dict[str, float]:
    """Return the value of every trait by name."""
    return {trait.name: float(trait.of(labelled)) for trait in TRAITS}


def _gap(x: Labelled) -> Tensor:
    distance: Tensor = (x.videos.pooled.mean(dim=0) - x.ensemble.texts[x.ensemble.present].mean(dim=0)).norm()
    return distance


def _class_share(x: Labelled) -> Tensor:
    """Return omega squared: the share of classes in the variance, corrected for chance (Hays, 1963)."""
    own = x.looks[(x.labels[:, None] == x.populated).long().argmax(dim=1)]  # [V, D]
    centred = x.videos.pooled - x.videos.pooled.mean(dim=0)
    total, groups, videos = centred.square().sum(), len(x.populated), len(x.labels)
    offset = (x.videos.pooled - own).mean(dim=0)
    within = (x.videos.pooled - own - offset).square().sum() / _or_nan(videos - groups)
    return ((total - within * (videos - 1)) / (total + within).clamp(min=_TINY)).clamp(min=0)


def _frame_share(x: Labelled) -> Tensor:
    frames = x.videos.unit_frames()
    within = (frames - frames.mean(dim=1, keepdim=True)).square().sum() / _or_nan((frames.shape[1] - 1) * len(frames))
    return within / (frames - frames.mean(dim=(0, 1))).square().sum(dim=2).mean().clamp(min=_TINY)


def _order(x: Labelled) -> Tensor:
    """Return the share of videos whose equal parts fit the steps of their class better in order than reversed."""
    import torch

    step = x.ensemble.steps()  # [C, K]
    better = []
    for label in x.populated.tolist():
        count = int(step[label].max()) + 1
        if count > 1 and x.videos.frames.shape[1] > 1:
            own = step[label]
            texts = torch.stack([x.ensemble.texts[label, own == s].mean(dim=0) for s in range(count)])  # [S, D]
            parts = x.videos.select((x.labels == label).nonzero().flatten().tolist()).parts(count)  # [v, S, D]
            gain = ((parts * texts).sum(dim=2) - (parts * texts.flip(0)).sum(dim=2)).sum(dim=1)
            better.append((gain > 0).float())
    return torch.cat(better).mean() if better else torch.tensor(torch.nan)


def _likeness(x: Labelled) -> Tensor:
    """Return the mean over labels of the cosine with the nearest other label, after subtracting their mean."""
    import torch
    from torch.nn.functional import normalize

    labels = x.ensemble.texts[:, 0]
    unit = normalize(labels - labels.mean(dim=0), dim=-1)
    return (unit @ unit.T - 2 * torch.eye(len(unit))).amax(dim=1).mean() if len(unit) > 1 else torch.tensor(torch.nan)


def _label_fit(x: Labelled) -> Tensor:
    return x.fits(x.ensemble.texts[x.populated, 0]).diagonal().mean()


def _text_fit(x: Labelled) -> Tensor:
    """Return the mean over descriptors of how they fit their class; NaN without descriptors."""
    fits = []
    for slot in range(1, x.descriptors.shape[1]):
        rows = x.descriptors[x.populated, slot]
        fits.append(x.fits(x.ensemble.texts[x.populated, slot]).diagonal()[rows])
    return _mean(fits)


def _other_fit(x: Labelled) -> Tensor:
    """Return the mean over classes of how well their mean descriptor fits the best other class."""
    rows = x.descriptors[x.populated].any(dim=1)
    own = replace(x.ensemble, present=x.descriptors)
    fits = x.fits(own.text_sums()[x.populated] / own.text_counts()[x.populated].clamp(min=1))
    others = fits if len(fits) == 1 else fits.fill_diagonal_(-float("inf"))
    return _mean([others.amax(dim=1)[rows]])


def _hubness(x: Labelled) -> Tensor:
    """Return the skewness, over texts, of their mean cosine with all videos, each kind around its own mean."""
    near = x.ensemble.texts @ x.videos.pooled.mean(dim=0)  # [C, K]
    values = (near - _by_kind(x.ensemble, near.unsqueeze(-1)).squeeze(-1))[x.ensemble.present]
    return values.pow(3).mean() / values.square().mean().clamp(min=_TINY) ** 1.5


def _kind_share(x: Labelled) -> Tensor:
    """Return the share of the kinds, the label one of them, in the variance of the texts; NaN with labels alone."""
    present = x.ensemble.present
    means = _by_kind(x.ensemble, x.ensemble.texts)[present]
    centre = x.ensemble.texts[present].mean(dim=0)
    total = (x.ensemble.texts[present] - centre).square().sum().clamp(min=_TINY)
    return (means - centre).square().sum() / total * _or_nan(x.descriptors.any())


def _unequal(x: Labelled) -> Tensor:
    """Return the deviation over classes of the log of the variance of their texts, each kind around its own mean."""
    present = x.ensemble.present
    texts = (x.ensemble.texts - _by_kind(x.ensemble, x.ensemble.texts)) * present.unsqueeze(-1)
    counts = x.ensemble.text_counts()
    spread = ((texts - texts.sum(dim=1, keepdim=True) / counts.unsqueeze(-1)) * present.unsqueeze(-1)).square()
    several = counts.squeeze(1) > 1
    logs = (spread.sum(dim=(1, 2)) / (counts.squeeze(1) - 1).clamp(min=1))[several].clamp(min=_TINY).log()
    return logs.std() if len(logs) > 1 else logs.new_tensor(float("nan"))


def _by_kind(ensemble: Ensemble, values: Tensor) -> Tensor:
    """Return, for each text, the mean of values [C, K, n] over the texts of its kind."""
    means = values.clone()
    for kind in range(-1, len(ensemble.kinds)):
        chosen = ensemble.present & (ensemble.kind == kind)
        if chosen.any():
            means[chosen] = values[chosen].mean(dim=0)
    return means


def _present(x: Labelled) -> Tensor:
    import torch

    return torch.tensor(len(x.populated) / len(x.ensemble.present))


def _evenness(x: Labelled) -> Tensor:
    """Return exp(entropy of the classes of the videos) over the number of classes with videos."""
    share = x.labels.bincount()[x.populated] / len(x.labels)
    return (-(share * share.log()).sum()).exp() / len(x.populated)


def _mean(parts: list[Tensor]) -> Tensor:
    """Return the mean of all values; NaN of none."""
    import torch

    return torch.cat(parts).mean() if parts else torch.tensor(torch.nan)


def _or_nan(value: Tensor | float) -> float:
    """Return a divisor or a condition (1 if true), NaN where it is zero or false."""
    return float(value) if value > 0 else float("nan")


TRAITS = (
    Trait("gap", "distance of the mean video from the mean text", _gap),
    Trait("class share", "share of classes in the variance of videos", _class_share),
    Trait("frame share", "share of the frames of one video in the variance of frames", _frame_share),
    Trait("order", "videos that fit the steps better in order than reversed", _order),
    Trait("likeness", "mean cosine of a label with the nearest other, around their mean", _likeness),
    Trait("label fit", "how a label fits the videos of its class, 0 by chance, at most 1", _label_fit),
    Trait("text fit", "how a descriptor fits the videos of its class", _text_fit),
    Trait("other fit", "how the descriptors of a class fit the best other class", _other_fit),
    Trait("hubness", "skewness of the mean cosine of texts with all videos", _hubness),
    Trait("kind share", "share of kinds in the variance of texts", _kind_share),
    Trait("unequal", "deviation over classes of log variance of their texts", _unequal),
    Trait("present", "share of classes with videos", _present),
    Trait("evenness", "how evenly videos are spread over these, 1: all alike", _evenness),
)
