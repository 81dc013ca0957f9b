"""Export runs as result files of MTEB (https://github.com/embeddings-benchmark/mteb), for tasks on the same videos."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from db.errors import UserError
from db.records import Prediction, Run
from recognizer.evaluation.evaluate import FORMAT

_FORMAT = "2.26.24"  # version of mteb whose file format this is


@dataclass(frozen=True)
class Task:
    """A task of MTEB that has the videos of a dataset, all of them and no others.

    Attributes:
        name: of the task.
        revision: of its copy of the videos.
        layout: how a run on those videos says which they are.
        videos: how many they are.
    """

    name: str
    revision: str
    layout: str
    videos: int


TASKS = {"hmdb51": Task("HMDB51ZeroShot", "7f9af5438a855e9348fb23ecb5ec740a9c21daf3", "HMDB51 test split 1", 1530)}
_OTHERS = {
    "ucf101": "UCF101ZeroShot takes single frames, UCF101VideoZeroShotClassification the 51 classes with sound",
    "kinetics400": "Kinetics400ZeroShot takes 10 videos of each class, which no list names",
    "kinetics600": "Kinetics600VZeroShot takes about 16 videos of each class of the test set",
}


def export_runs(runs: Sequence[Run], folder: Path) -> list[Path]:
    """Write a result file and a model file for each run, and return them; if one run has no task, nothing is written.

    Paths are as in the results repository of MTEB: `<model>/<revision>/<task>.json` and `model_meta.json`. The model is
    the encoder with its texts, under its own name, because MTEB's results of an encoder use the texts of its task.

    Raises:
        UserError: MTEB has no task with the videos of a run.
    """
    files: dict[Path, dict[str, Any]] = {}
    for run in runs:
        task, meta = task_of(run), _model(run)
        model = folder / meta["name"].replace("/", "__") / meta["revision"]
        files |= {model / f"{task.name}.json": _result(run, task), model / "model_meta.json": meta}
    for file, content in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return list(files)


def task_of(run: Run) -> Task:
    """Return the task with the videos of a run.

    Raises:
        UserError: there is none.
    """
    task = TASKS.get(run.dataset)
    if task is None:
        why = _OTHERS.get(run.dataset, "it is a dataset of your own")
        raise UserError(f"MTEB has no task with the videos of {run.dataset}: {why}. It has one for: {', '.join(TASKS)}")
    if not str(run.settings["layout"]).startswith(task.layout) or len(run.predictions) != task.videos:
        raise UserError(
            f"{task.name} is {task.layout} with all of its {task.videos} videos; run {run.id} has "
            f"{len(run.predictions)} of {run.settings['layout']}. Make one with: recognize eval --dataset "
            f"{run.dataset} --root FOLDER --split 1"
        )
    return task


def _result(run: Run, task: Task) -> dict[str, Any]:
    scores = {name: round(value, 6) for name, value in measures(run.predictions).items()}
    split_scores = {**scores, "ap": None, "ap_weighted": None, "main_score": scores["accuracy"], "hf_subset": "default",
                "languages": ["eng-Latn"], "mteb_version": _FORMAT}  # fmt: skip
    return {
        "dataset_revision": task.revision,
        "task_name": task.name,
        "mteb_version": _FORMAT,
        "scores": {"test": [split_scores]},
        "evaluation_time": run.seconds,
        "kg_co2_emissions": None,
        "date": run.created_at.timestamp() if run.created_at else None,
        "made_by": {**asdict(replace(run, predictions=(), created_at=None)), "format": FORMAT},  # ignored by mteb
    }


def measures(predictions: Sequence[Prediction]) -> dict[str, float]:
    """Return the measures of MTEB's zero-shot tasks, 0 to 1, for the class on rank 1 of each prediction.

    As in scikit-learn: macro means are over the classes that are true or predicted anywhere, weighted means use the
    number of true videos, and 0 / 0 is 0.
    """
    true = Counter(p.label for p in predictions)
    predicted = Counter(p.ranking[0][0] for p in predictions)
    right = Counter(p.label for p in predictions if p.ranking[0][0] == p.label)
    classes = sorted(true | predicted)
    by_measure = {
        "precision": [right[c] / predicted[c] if predicted[c] else 0.0 for c in classes],
        "recall": [right[c] / true[c] if true[c] else 0.0 for c in classes],
        "f1": [2 * right[c] / (true[c] + predicted[c]) for c in classes],
    }
    result = {"accuracy": right.total() / len(predictions)}
    for name, values in by_measure.items():
        result[name] = sum(values) / len(classes)
        result[f"{name}_weighted"] = sum(v * true[c] for v, c in zip(values, classes, strict=True)) / len(predictions)
    return result


def _model(run: Run) -> dict[str, Any]:
    """Return the fields of mteb's ModelMeta."""
    settings = run.settings
    parts = [settings["encoder"], settings["protocol"], settings["method"], *(settings["kinds"] or ["label"])]
    parts += [f"by {name}" for name in settings["llms"]]
    unknown = ("release_date", "n_parameters", "memory_usage_mb", "embed_dim", "license", "open_weights",
               "public_training_code", "public_training_data", "training_datasets")  # fmt: skip
    return {
        "name": f"descgen-recognize/{'_'.join(_file_name(part) for part in parts)}",
        "revision": (run.descriptors_sha256 if run.descriptor_ids else settings["encoder_revision"])[:40] or "none",
        "languages": ["eng-Latn"],
        **dict.fromkeys(unknown),
        "loader": None,
        "max_tokens": settings["context_length"],
        "framework": ["PyTorch"],
        "similarity_fn_name": "cosine",
        "use_instructions": False,
        "modalities": ["video", "text"],
        "adapted_from": settings["encoder"],
    }


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", text).strip("-")
