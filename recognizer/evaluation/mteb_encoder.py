"""Any encoder of MTEB (https://github.com/embeddings-benchmark/mteb) with the texts of a pack as its classes.

    import mteb
    from recognizer.evaluation.mteb_encoder import PackEncoder

    model = PackEncoder(mteb.get_model("openai/clip-vit-base-patch16"), "hmdb51-qwen")
    mteb.evaluate(model, mteb.get_tasks(["HMDB51ZeroShot"]))

mteb is not imported here: the wrapper has the methods of its `EncoderProtocol`, and passes on what it is given.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from db.errors import UserError, first_few
from db.packs import PREFIX, open_pack
from db.records import Action, Dataset
from db.vocabulary import class_finder

if TYPE_CHECKING:
    from torch import Tensor

_LABELS = ["text"]  # the columns of the batches that hold the labels of a zero-shot task


class PackEncoder:
    """An encoder of MTEB whose class vectors are text ensembles: method `mean` of `recognize eval`.

    The vector of a class is the mean of the unit vectors of the label, as the task writes it ("a video of wave"), and
    of the texts of the pack. Videos, images and sounds go through the encoder as they are. MTEB keeps the results apart
    from those of the encoder alone: the pack is one of the `experiment_kwargs` of `mteb_model_meta`.

    Texts that are longer than the encoder reads are cut by it silently; `descgen lint` finds those that are too
    long for CLIP.
    """

    def __init__(self, model: Any, pack: str, *, kinds: Sequence[str] | None = None) -> None:
        """Wrap an encoder.

        Args:
            model: an encoder of MTEB, such as `mteb.get_model` returns.
            pack: name of an installed pack.
            kinds: descriptor kinds; None is all.

        Raises:
            UsageError: the pack is not installed.
            UserError: it is damaged, or has no text of a kind.
        """
        opened = open_pack(pack)
        phrases, texts = opened.contents()
        if absent := set(kinds or ()) - {text.kind for text in texts}:
            known = ", ".join(sorted({text.kind for text in texts}))
            raise UserError(f"The pack {pack} has no text of kind {', '.join(sorted(absent))}. Its kinds: {known}")
        actions = tuple(Action(label, name, phrase) for label, (name, phrase) in enumerate(phrases.items()))
        self._model, self._pack = model, pack
        self._find = class_finder(Dataset(str(opened.facts["dataset"]), actions, stored_as=pack))
        self._texts: dict[str, list[str]] = defaultdict(list)
        for text in texts:
            if kinds is None or text.kind in kinds:
                self._texts[text.action].append(text.text)
        added = {"text_pack": opened.reference.removeprefix(PREFIX), **({"kinds": sorted(kinds)} if kinds else {})}
        meta = model.mteb_model_meta
        self.mteb_model_meta = meta.model_copy(
            update={"experiment_kwargs": {**(meta.experiment_kwargs or {}), **added}}
        )

    def encode(self, inputs: Any, *, task_metadata: Any, **options: Any) -> Any:
        """Return one vector for each input, [N, D], in the array type of the encoder; those of labels are ensembles.

        Args:
            inputs: a DataLoader of MTEB.
            task_metadata: of the task.
            options: passed on to the encoder.

        Raises:
            UserError: the task is not zero-shot classification of videos, images or sounds; a label is no class of the
                pack; a class has no text; or the encoder gives several vectors for a text.
        """
        if "zeroshot" not in task_metadata.type.lower() or set(task_metadata.modalities) <= set(_LABELS):
            raise UserError(
                f"{task_metadata.name} is {task_metadata.type} of {', '.join(task_metadata.modalities)}. A pack has "
                "texts for the classes of zero-shot classification of videos, images or sounds"
            )
        if list(inputs.dataset.column_names) != _LABELS:
            return self._model.encode(inputs, task_metadata=task_metadata, **options)
        labels = [str(label) for label in inputs.dataset["text"]]
        rows = [[label, *self._texts[name]] for label, name in zip(labels, self._classes(labels), strict=True)]
        strings = list(dict.fromkeys(string for row in rows for string in row))
        loader = _loader(inputs, strings)
        encoded = self._model.encode(loader, task_metadata=task_metadata, **options)
        return _ensembles(rows, strings, encoded)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Return the similarities [N, M] by the encoder's own function."""
        return self._model.similarity(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Return the similarities [N] by the encoder's own function."""
        return self._model.similarity_pairwise(embeddings1, embeddings2)

    def _classes(self, labels: Sequence[str]) -> list[str]:
        """Return the class of the pack that each label of a task means; each has texts, and no two are the same."""
        reading = max(self._readings(labels), key=lambda reading: len(reading) - reading.count(None))
        if unknown := [label for label, name in zip(labels, reading, strict=True) if name is None]:
            raise UserError(
                f"{len(unknown)} of the {len(labels)} labels are no class of the pack {self._pack}: "
                f"{first_few(unknown)}"
            )
        names = [str(name) for name in reading]
        if silent := [name for name in names if not self._texts.get(name)]:
            raise UserError(f"The pack {self._pack} has no text about {len(silent)} classes: {first_few(silent)}")
        if len(set(names)) < len(names):
            raise UserError(f"Several labels mean the same class of the pack {self._pack}: {first_few(sorted(names))}")
        return names

    def _readings(self, labels: Sequence[str]) -> Iterator[list[str | None]]:
        """Yield the classes that labels name without their first 0, 1, ... words, as long as all share these."""
        words = [label.split() for label in labels]
        for first in range(min(map(len, words))):
            if len({tuple(each[:first]) for each in words}) == 1:
                actions = [self._find(" ".join(each[first:])) for each in words]
                yield [action.name if action else None for action in actions]


def _loader(labels: Any, strings: Sequence[str]) -> Any:
    """Return a loader of texts whose dataset is of the type of that of the labels: an encoder may look into it."""
    from torch.utils.data import DataLoader

    dataset: Any = type(labels.dataset).from_dict({"text": list(strings)})
    return DataLoader(dataset, batch_size=labels.batch_size)


def _ensembles(rows: Sequence[Sequence[str]], strings: Sequence[str], encoded: Any) -> Any:
    """Return the mean of the unit vectors of each row's strings, at unit length, [C, D], in the type of `encoded`."""
    import torch
    from torch.nn.functional import normalize

    is_tensor = isinstance(encoded, torch.Tensor)
    vectors: Tensor = encoded if is_tensor else torch.as_tensor(encoded)  # [K, D]
    if vectors.ndim != 2:
        raise UserError("This encoder gives several vectors for a text, and a mean over texts needs one")
    unit = normalize(vectors.float(), dim=-1)
    place: Mapping[str, int] = {string: number for number, string in enumerate(strings)}
    means = torch.stack([unit[[place[string] for string in row]].mean(dim=0) for row in rows])
    ensembles = normalize(means, dim=-1).to(vectors.dtype if vectors.is_floating_point() else torch.float32)
    return ensembles if is_tensor else ensembles.numpy()
