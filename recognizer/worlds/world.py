"""What a world is made of: the parameters of made videos and texts, with the formula of each."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import isfinite

from db.errors import UsageError

_SHARES = ("entangled", "step_share", "junk_frames", "hubs", "wrong_texts", "random_texts")  # 0 to 1
_COUNTS = ("classes", "videos", "frames", "width", "steps", "group", "templates")  # at least 1
_PAIR = 2


@dataclass(frozen=True, kw_only=True)
class World:
    """Videos and texts of C classes in a space of width D. `recognizer.worlds.sample` draws one.

    z is a random direction (unit norm), drawn anew for each of its indices; n(s) is Gaussian noise of variance s^2 / D
    in each dimension, so that its expected squared length is s^2. What an action adds has length 1, so that s is noise
    over signal. a and b are two fixed directions at right angles. Class c, step j, video v, frame t, text k, kind i,
    template m.

        class     u_c = unit(sqrt(1 - entangled) z_c + sqrt(entangled) z_group(c))
        step      s_cj = unit(sqrt(1 - step_share) u_c + sqrt(step_share) z_cj)
        frame     f_vt = cone a + (gap / 2) b + shown_vt + n_v(video_noise) + n_vt(frame_noise)
        shown     s_cj of the video's class and the step at that time, or z_v in a junk frame
        text      x_ck = unit(cone a - (gap / 2) b + meant_ck + n_c(class_noise) + n_ck(text_noise)
                              + kind_effect z_i + hub_strength unit(cone a + (gap / 2) b) if the text is a hub)
        meant     s_cj for step j; u_c for the label, the description and the context
        label     the same with label_noise for text_noise; unit(mean over m of unit(x + template_effect z_m +
                  n_cm(template_noise)))

    Attributes:
        classes: C.
        videos: V.
        frames: T of each video.
        width: D.
        steps: texts of the kind `decomposition`, one for each step; a class has a description and a context too.
        entangled: share of a class that it has in common with its group.
        group: how many classes make a group.
        step_share: share of a step that the other steps of its class do not have; with 0, all steps look the same.
        twins: classes come in pairs that differ in nothing but the order of their steps: class 2i + 1 is class 2i, but
            its step j is step S - 1 - j of 2i.
        uneven_steps: step j of video v lasts exp(uneven_steps g_vj) of the sum over its steps, g normal; with 0, all
            last equally long.
        shuffled: whether the frames of each video are in random order, and so do not follow the steps.
        cone: length of what all videos and texts have in common.
        gap: distance of the centre of the videos from that of the texts.
        video_noise: of a video, the same in all of its frames.
        frame_noise: of a single frame.
        junk_frames: probability of a frame to show something that belongs to no class, the same thing in all junk
            frames of a video.
        class_noise: of a class, the same in all of its texts: what words do not say. No number of texts removes it.
        text_noise: of a descriptor.
        label_noise: of a label.
        noise_spread: text_noise and label_noise of class c are times exp(noise_spread g_c), g normal: some classes have
            texts that agree, others do not.
        templates: M, over which a label is averaged.
        template_effect: length of what a template adds to every label.
        template_noise: of one label in one template; the mean over templates has about 1 / sqrt(M) of it.
        kind_effect: length of what a kind adds to each of its texts; the label is a kind of its own here.
        hubs: probability of a text, labels included, to be a hub, which is near to every video.
        hub_strength: how far a hub is moved towards the centre of the videos.
        wrong_texts: probability of a descriptor to be that of another class: of the same one for all texts of a class,
            and no two classes have the same.
        random_texts: probability of a descriptor that is not wrong to mean a random direction instead.
        classes_present: classes that have videos, the first ones; None: all.
        prior_exponent: class number r of these, from 1, has a probability in proportion to r^-prior_exponent.

    Raises:
        UsageError: a value is out of its range.
    """

    classes: int = 20
    videos: int = 200
    frames: int = 16
    width: int = 64
    steps: int = 3
    entangled: float = 0.0
    group: int = 4
    step_share: float = 0.4
    twins: bool = False
    uneven_steps: float = 0.0
    shuffled: bool = False
    cone: float = 2.0
    gap: float = 1.0
    video_noise: float = 1.6
    frame_noise: float = 1.2
    junk_frames: float = 0.0
    class_noise: float = 0.7
    text_noise: float = 1.2
    label_noise: float = 0.6
    noise_spread: float = 0.0
    templates: int = 4
    template_effect: float = 0.5
    template_noise: float = 0.5
    kind_effect: float = 0.3
    hubs: float = 0.0
    hub_strength: float = 1.5
    wrong_texts: float = 0.0
    random_texts: float = 0.0
    classes_present: int | None = None
    prior_exponent: float = 0.0

    def __post_init__(self) -> None:
        for name in _COUNTS:
            self._refuse_unless(getattr(self, name) >= 1, name, "at least 1")
        for name in _SHARES:
            self._refuse_unless(0 <= getattr(self, name) <= 1, name, "0 to 1")
        for field in fields(self):
            value = getattr(self, field.name)
            self._refuse_unless(value is None or isfinite(value), field.name, "a number")
            self._refuse_unless(value is None or value >= 0, field.name, "at least 0")
        self._refuse_unless(
            self.present <= self.classes and self.present >= 1, "classes_present", f"1 to {self.classes}"
        )
        self._refuse_unless(not self.twins or self.classes % _PAIR == 0, "classes", "even where twins are made")
        self._refuse_unless(self.wrong_texts == 0 or self.classes > 1, "classes", "at least 2 where texts are wrong")

    @property
    def present(self) -> int:
        """How many classes may have videos."""
        return self.classes if self.classes_present is None else self.classes_present

    def _refuse_unless(self, holds: bool, name: str, allowed: str) -> None:
        if not holds:
            raise UsageError(f"{name} of a world is {allowed}, not {getattr(self, name)}")
