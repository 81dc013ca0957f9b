"""PackEncoder: an encoder of MTEB with the texts of an installed pack; with MTEB itself where it is installed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from db.errors import UsageError, UserError
from recognizer.evaluation.mteb_encoder import PackEncoder

TEXTS = {
    "wave": {"context": ["a hand", "a goodbye"], "description": ["an arm goes up"]},
    "climb_stairs": {"context": ["steps of stone"], "description": ["a person goes up"]},
    "climb": {"context": ["a steep wall"]},
}
VIDEOS = SimpleNamespace(
    type="VideoZeroshotClassification", modalities=["video", "text"], name="HMDB51ZeroShot", category="v2t"
)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], None]:
    """Install a pack by hand: two files, and the entry point in the metadata beside them."""

    def installed(texts: dict[str, Any]) -> None:
        calls: list[Any] = []
        rows = [
            {"action": action, "kind": kind, "position": position, "text": text, "source": "import",
             "status": "pending", "origin": "made", "originals": [], "cache_key": None}
            for action, kinds in texts.items() for kind, each in kinds.items() for position, text in enumerate(each)
        ]  # fmt: skip
        actions = [{"label": n, "name": name, "phrase": name.replace("_", " ")} for n, name in enumerate(texts)]
        dataset = {"name": "hmdb51", "actions": actions}
        export = json.dumps({"descgen": 1, "dataset": dataset, "templates": [], "calls": calls, "descriptors": rows})
        facts = {"format": "descgen pack, version 1", "version": "1.0", "dataset": "hmdb51",
                 "texts_sha256": hashlib.sha256(export.encode()).hexdigest()}  # fmt: skip
        module, info = tmp_path / "site" / "made_pack", tmp_path / "site" / "made_pack-1.0.dist-info"
        for folder in (module, info):
            folder.mkdir(parents=True, exist_ok=True)
        (module / "texts.json").write_text(export)
        (module / "pack.json").write_text(json.dumps(facts))
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: made-pack\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[descriptor_gen.packs]\nmade = made_pack\n")
        monkeypatch.syspath_prepend(str(tmp_path / "site"))

    return installed


def vector(text: str) -> NDArray[np.float32]:
    """Return a vector of a text, of no particular length."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
    return np.random.default_rng(seed).normal(size=8).astype(np.float32) * (1 + seed % 5)


def unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    length: NDArray[np.float32] = np.linalg.norm(values, axis=-1, keepdims=True)
    return values / length


class Texts:
    """The part of `datasets.Dataset` that loaders of texts use."""

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self.columns, self.column_names = columns, list(columns)

    @classmethod
    def from_dict(cls, columns: dict[str, list[Any]]) -> Texts:
        return cls(columns)

    def __getitem__(self, key: Any) -> Any:
        return self.columns[key] if isinstance(key, str) else {name: each[key] for name, each in self.columns.items()}

    def __len__(self) -> int:
        return len(self.columns[self.column_names[0]])


class Model:
    """An encoder with the methods that MTEB asks for."""

    def __init__(self, *, as_tensor: bool = False, many: bool = False) -> None:
        self.as_tensor, self.many = as_tensor, many
        self.asked: list[str] = []
        self.options: list[dict[str, Any]] = []
        self.mteb_model_meta = SimpleNamespace(experiment_kwargs={"dim": 8}, model_copy=self._copy)

    def _copy(self, *, update: dict[str, Any]) -> Any:
        return SimpleNamespace(**update)

    def encode(self, inputs: Any, *, task_metadata: Any, **options: Any) -> Any:
        self.options.append(options)
        texts = [text for batch in inputs for text in batch[inputs.dataset.column_names[0]]]
        self.asked += texts
        made = np.stack([vector(text) for text in texts])
        made = made[:, None] if self.many else made
        return torch.from_numpy(made) if self.as_tensor else made

    def similarity(self, first: Any, second: Any) -> str:
        return f"{first} {second}"

    similarity_pairwise = similarity


def loader(**columns: Sequence[Any]) -> Any:
    return DataLoader(Texts({name: list(each) for name, each in columns.items()}), batch_size=2)  # type: ignore[arg-type]


LABELS = ["a video of climb_stairs", "a video of climb", "a video of Wave"]


@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize("kinds", [None, ["context"]])
def test_a_class_is_the_mean_of_the_unit_vectors_of_its_label_and_texts(
    install: Callable[[Any], None], as_tensor: bool, kinds: list[str] | None
) -> None:
    install(TEXTS)
    model = Model(as_tensor=as_tensor)
    encoder = PackEncoder(model, "made", kinds=kinds)
    given = encoder.encode(
        loader(text=LABELS), task_metadata=VIDEOS, hf_split="test", hf_subset="default", batch_size=2
    )
    assert isinstance(given, torch.Tensor) == as_tensor
    for row, label, name in zip(np.asarray(given), LABELS, ("climb_stairs", "climb", "wave"), strict=True):
        texts = [text for kind, each in TEXTS[name].items() if not kinds or kind in kinds for text in each]
        expected = unit(np.mean([unit(vector(text)) for text in [label, *texts]], axis=0))
        assert row == pytest.approx(expected, abs=1e-6)
    assert model.options == [{"hf_split": "test", "hf_subset": "default", "batch_size": 2}]
    assert len(model.asked) == len(set(model.asked))


def test_videos_and_similarities_are_those_of_the_encoder(install: Callable[[Any], None]) -> None:
    install(TEXTS)
    model = Model()
    encoder = PackEncoder(model, "made")
    given = encoder.encode(loader(video=["clip 1", "clip 2"]), task_metadata=VIDEOS, hf_split="test", hf_subset="d")
    assert np.array_equal(given, np.stack([vector("clip 1"), vector("clip 2")]))
    assert (encoder.similarity(1, 2), encoder.similarity_pairwise(3, 4)) == ("1 2", "3 4")


def test_the_results_have_a_name_of_their_own(install: Callable[[Any], None]) -> None:
    install(TEXTS)
    model = Model()
    meta = PackEncoder(model, "made", kinds=["context"]).mteb_model_meta
    assert meta.experiment_kwargs["text_pack"].startswith("made 1.0 sha256:")
    assert (meta.experiment_kwargs["dim"], meta.experiment_kwargs["kinds"]) == (8, ["context"])
    assert model.mteb_model_meta.experiment_kwargs == {"dim": 8}


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (
            ["a video of wave", "a video of side climb"],
            "1 of the 2 labels are no class of the pack made: a video of side",
        ),
        (["wave", "jump"], "1 of the 2 labels are no class of the pack made: jump"),
        (["a video of wave", "a video of Wave"], "Several labels mean the same class of the pack made: wave, wave"),
    ],
)
def test_labels_that_are_not_the_classes_of_the_pack_are_refused(
    install: Callable[[Any], None], labels: list[str], said: str
) -> None:
    install(TEXTS)
    with pytest.raises(UserError, match=said):
        PackEncoder(Model(), "made").encode(loader(text=labels), task_metadata=VIDEOS)


def test_what_a_pack_cannot_do_is_refused(install: Callable[[Any], None]) -> None:
    with pytest.raises(UsageError, match="Unknown pack 'made'"):
        PackEncoder(Model(), "made")
    install(TEXTS)
    with pytest.raises(UserError, match=r"has no text of kind shape\. Its kinds: context, description"):
        PackEncoder(Model(), "made", kinds=["shape"])
    with pytest.raises(UserError, match="has no text about 1 classes: climb"):
        PackEncoder(Model(), "made", kinds=["description"]).encode(loader(text=LABELS), task_metadata=VIDEOS)
    with pytest.raises(UserError, match="gives several vectors for a text"):
        PackEncoder(Model(many=True), "made").encode(loader(text=LABELS), task_metadata=VIDEOS)
    for task in (
        SimpleNamespace(type="VideoClassification", modalities=["video"], name="HMDB51"),
        SimpleNamespace(type="ZeroShotClassification", modalities=["text"], name="Letters"),
    ):
        with pytest.raises(UserError, match=f"{task.name} is {task.type} of"):
            PackEncoder(Model(), "made").encode(loader(text=LABELS), task_metadata=task)


def test_mteb_runs_its_encoders_with_a_pack(install: Callable[[Any], None], tmp_path: Path) -> None:
    mteb = pytest.importorskip("mteb", reason="mteb is not installed")
    from mteb.abstasks.zeroshot_classification import AbsTaskZeroShotClassification
    from mteb.mocks import MockZeroShotClassificationTask
    from mteb.models import EncoderProtocol, ModelMeta
    from mteb.models.abs_encoder import AbsEncoder

    install(TEXTS)

    class Task(MockZeroShotClassificationTask):  # type: ignore[misc]
        def get_candidate_labels(self) -> list[str]:
            return ["a photo of wave", "a photo of climb"]

    class Mock(AbsEncoder):  # type: ignore[misc]
        mteb_model_meta = ModelMeta.create_empty(
            overwrites={"name": "made/it", "revision": "1", "modalities": ["image", "text"]}
        )

        def encode(self, inputs: Any, **options: Any) -> Any:
            if "text" in inputs.dataset.column_names:
                return np.stack([vector(text) for batch in inputs for text in batch["text"]])
            return np.stack([vector("a hand"), vector("a steep wall")])

    assert issubclass(Task, AbsTaskZeroShotClassification)
    encoder = PackEncoder(Mock(), "made")
    assert isinstance(encoder, EncoderProtocol)
    done = mteb.evaluate(encoder, Task(), cache=None)
    assert done.task_results[0].scores["test"][0]["accuracy"] == 1.0
    assert "made 1.0 sha256" in str(encoder.mteb_model_meta.experiment_kwargs)
