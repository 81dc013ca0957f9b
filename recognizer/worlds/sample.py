"""Draw a world: its videos, its texts and the truth, from one seed."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from recognizer.scoring.ensemble import STEPS, Ensemble
from recognizer.scoring.pooling import VideoBatch
from recognizer.worlds.world import World

if TYPE_CHECKING:
    from torch import Generator, Tensor

_KINDS = ("context", STEPS, "description")  # by name, as every ensemble has them
_AFTER_STEPS = ("description", "context")  # one text each


@dataclass(frozen=True)
class Sample:
    """One drawing of a world.

    Attributes:
        videos: frames [V, T, D], float32, not normalised.
        ensemble: label (slot 0), S steps, description and context of each class: texts [C, S + 3, D].
        labels: the true classes, int64 [V].
        steps: the true step of each frame, int64 [V, T]; -1 in a junk frame.
    """

    videos: VideoBatch
    ensemble: Ensemble
    labels: Tensor
    steps: Tensor


def sample(world: World, *, seed: int) -> Sample:
    """Return the drawing of a world for a seed.

    Worlds of the same sizes use the same random numbers for the same things, so that one seed gives the same classes in
    a world and in another that is one effect away.
    """
    import torch

    draw = _Draw(world, torch.Generator().manual_seed(seed))
    centre_a, centre_b = draw.axes()
    towards_videos = world.cone * centre_a + world.gap / 2 * centre_b  # [D]
    towards_texts = world.cone * centre_a - world.gap / 2 * centre_b
    classes, steps = draw.concepts()
    labels, step = draw.labels(), draw.step_of_frames()
    frames, step = draw.frames(steps[labels], step)
    return Sample(
        videos=VideoBatch.of(towards_videos + frames),
        ensemble=_ensemble(draw.texts(classes, steps, towards_texts, towards_videos)),
        labels=labels,
        steps=step,
    )


@dataclass(frozen=True)
class _Draw:
    """The random parts of a world; how many numbers each takes depends on the sizes alone, not on the effects."""

    world: World
    random: Generator

    def axes(self) -> tuple[Tensor, Tensor]:
        """Return two directions at right angles, [D] each."""
        import torch

        axes = torch.linalg.qr(self._normal(self.world.width, 2)).Q
        return axes[:, 0], axes[:, 1]

    def concepts(self) -> tuple[Tensor, Tensor]:
        """Return the directions of the classes [C, D] and of their steps [C, S, D]."""
        import torch
        from torch.nn.functional import normalize

        w = self.world
        alone, groups, own = (
            self._directions(w.classes),
            self._directions(w.classes),
            self._directions(w.classes, w.steps),
        )
        number = torch.arange(w.classes)
        concept = normalize((1 - w.entangled) ** 0.5 * alone + w.entangled**0.5 * groups[number // w.group], dim=-1)
        if w.twins:  # the second of a pair shares everything with the first, but has its steps from last to first
            concept, own = concept[number // 2 * 2], own[number // 2 * 2]
            own = torch.where((number % 2 == 1)[:, None, None], own.flip(1), own)
        steps = normalize((1 - w.step_share) ** 0.5 * concept[:, None] + w.step_share**0.5 * own, dim=-1)
        return concept, steps

    def labels(self) -> Tensor:
        """Return the class of each video, int64 [V]: the same uniform number picks it under every prior."""
        import torch

        prior = torch.arange(1, self.world.present + 1, dtype=torch.float64) ** -self.world.prior_exponent
        bounds = (prior / prior.sum()).cumsum(0)[:-1]
        return torch.bucketize(self._uniform(self.world.videos).double(), bounds, right=True)

    def step_of_frames(self) -> Tensor:
        """Return the step of each frame before junk, int64 [V, T]; a short step may have no frame."""
        import torch

        w = self.world
        ends = (w.uneven_steps * self._normal(w.videos, w.steps)).softmax(dim=1).cumsum(dim=1)[:, :-1]  # [V, S - 1]
        time = (torch.arange(w.frames) + 0.5) / w.frames
        step = (time[:, None] > ends[:, None]).sum(dim=2)  # [V, T]
        order = self._uniform(w.videos, w.frames).argsort(dim=1)
        return step.gather(1, order) if w.shuffled else step

    def frames(self, steps: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """Return the frames around their centre [V, T, D], of the videos' steps [V, S, D]; and what step each shows."""
        import torch

        w = self.world
        junk = self._uniform(w.videos, w.frames) < w.junk_frames  # [V, T]
        action = steps[torch.arange(w.videos)[:, None], step]  # [V, T, D]
        shown = torch.where(junk.unsqueeze(-1), self._directions(w.videos)[:, None], action)
        noise = self._noise(w.video_noise, w.videos, 1) + self._noise(w.frame_noise, w.videos, w.frames)
        return shown + noise, step.masked_fill(junk, -1)

    def texts(self, classes: Tensor, steps: Tensor, centre: Tensor, videos: Tensor) -> Tensor:
        """Return the texts [C, K, D], unit norm: label, steps, description, context.

        Args:
            classes: directions [C, D].
            steps: directions [C, S, D].
            centre: of the texts, [D].
            videos: centre of the videos, [D].
        """
        import torch
        from torch.nn.functional import normalize

        w = self.world
        meant = torch.cat([classes[:, None], self._replaced(self._descriptors(classes, steps))], dim=1)  # [C, K, D]
        shape, slot = meant.shape[:2], torch.tensor([0, *[1] * w.steps, 2, 3])  # of the kind
        kinds = w.kind_effect * self._directions(4)[slot]
        spread = (w.noise_spread * self._normal(w.classes, 1, 1)).exp()
        noise = torch.where((slot > 0)[:, None], w.text_noise, w.label_noise) * spread * self._noise(1.0, *shape)
        hub = (self._uniform(*shape) < w.hubs).unsqueeze(-1) * w.hub_strength * normalize(videos, dim=0)
        texts = centre + meant + self._noise(w.class_noise, w.classes, 1) + noise + kinds + hub
        return torch.cat([self._over_templates(texts[:, 0])[:, None], normalize(texts[:, 1:], dim=-1)], dim=1)

    def _descriptors(self, classes: Tensor, steps: Tensor) -> Tensor:
        """Return what the descriptors of each class mean, if they are right, [C, K - 1, D]."""
        import torch

        return torch.cat([steps, classes[:, None].expand(-1, len(_AFTER_STEPS), -1)], dim=1)

    def _replaced(self, meant: Tensor) -> Tensor:
        """Return what the descriptors mean [C, K - 1, D], some of them those of another class or of none."""
        import torch

        w = self.world
        order = self._uniform(w.classes).argsort()
        other = torch.empty_like(order).index_copy(0, order, order.roll(1))  # one cycle: no class keeps its own
        luck, nothing = self._uniform(2, *meant.shape[:2]).unsqueeze(-1), self._directions(*meant.shape[:2])
        right = torch.where(luck[1] < w.random_texts, nothing, meant)
        return torch.where(luck[0] < w.wrong_texts, meant[other], right)

    def _over_templates(self, labels: Tensor) -> Tensor:
        """Return labels [C, D] in each template, averaged: unit norm."""
        from torch.nn.functional import normalize

        w = self.world
        templates = w.template_effect * self._directions(w.templates)
        filled = labels[:, None] + templates + self._noise(w.template_noise, w.classes, w.templates)  # [C, M, D]
        return normalize(normalize(filled, dim=-1).mean(dim=1), dim=-1)

    def _normal(self, *shape: int) -> Tensor:
        import torch

        return torch.randn(*shape, generator=self.random)

    def _uniform(self, *shape: int) -> Tensor:
        import torch

        return torch.rand(*shape, generator=self.random)

    def _directions(self, *shape: int) -> Tensor:
        """Return random directions [..., D]."""
        from torch.nn.functional import normalize

        return normalize(self._normal(*shape, self.world.width), dim=-1)

    def _noise(self, length: float, *shape: int) -> Tensor:
        """Return Gaussian noise [..., D] whose expected squared length is `length` squared."""
        return self._normal(*shape, self.world.width) * (length / sqrt(self.world.width))


def _ensemble(texts: Tensor) -> Ensemble:
    """Return the texts [C, S + 3, D] as an ensemble."""
    import torch

    classes, slots = texts.shape[:2]
    steps = slots - 1 - len(_AFTER_STEPS)
    kinds = [STEPS] * steps + list(_AFTER_STEPS)
    kind = torch.tensor([-1, *map(_KINDS.index, kinds)])
    position = torch.tensor([-1, *range(steps), *[0] * len(_AFTER_STEPS)])
    ids = torch.arange(classes * slots).reshape(classes, slots)
    return Ensemble(
        texts=texts,
        present=torch.ones(classes, slots, dtype=torch.bool),
        kinds=_KINDS,
        kind=kind.expand(classes, -1),
        position=position.expand(classes, -1),
        ids=torch.where(kind >= 0, ids, -1),
        cut=(),
    )
