"""Export a run as result files of MTEB (https://github.com/embeddings-benchmark/mteb), if MTEB has its videos."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from db.errors import UserError
from db.local_paths import public_run, without_folders
from db.records import Prediction, Run
from recognizer.datasets.official import OFFICIAL_DATASETS
from recognizer.datasets.records import MtebTask
from recognizer.evaluation.evaluate import FORMAT
from recognizer.evaluation.multi_label import refuse_multi_label
from recognizer.evaluation.ranking import predicted

_FORMAT = "2.26.24"  # version of mteb with this file format


def export_runs(runs: Sequence[Run], folder: Path) -> list[Path]:
    """Write a result file and a model file for each run, and return the paths; none if a run has no task.

    Paths are as in the results repository of MTEB: `<model>/<revision>/<task>.json` and `model_meta.json`. The model is
    the encoder with its texts, under its own name, because MTEB's results of an encoder use the texts of its task.

    Args:
        runs: with their predictions.
        folder: parent of the models' folders.

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


def task_of(run: Run) -> MtebTask:
    """Return the task of MTEB with the videos of a run.

    Raises:
        UserError: there is none.
    """
    refuse_multi_label(run, "MTEB's zero-shot classification")
    official = OFFICIAL_DATASETS.get(run.dataset)
    task = official.mteb if official else "it is your own dataset"
    if not isinstance(task, MtebTask):
        known = ", ".join(name for name, dataset in OFFICIAL_DATASETS.items() if isinstance(dataset.mteb, MtebTask))
        raise UserError(f"MTEB has no task with the videos of {run.dataset}: {task}. It has one for: {known}")
    if not str(run.settings["layout"]).startswith(task.layout) or len(run.predictions) != task.videos:
        raise UserError(
            f"{task.name} is {task.layout} with all of its {task.videos} videos; run {run.id} has "
            f"{len(run.predictions)} of {run.settings['layout']}. Make one with: recognize eval --dataset "
            f"{run.dataset} --root FOLDER --split 1"
        )
    return task


def _result(run: Run, task: MtebTask) -> dict[str, Any]:
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
        "made_by": {
            **asdict(replace(public_run(run), predictions=(), created_at=None)),
            "format": FORMAT,
        },  # mteb ignores it
    }


def measures(predictions: Sequence[Prediction]) -> dict[str, float]:
    """Return the metrics of MTEB's zero-shot tasks, 0 to 1.

    A tie counts against the true class, as in every accuracy here. Defined as in scikit-learn: macro means are over
    all true or predicted classes, weighted means count each class by how often it is true, and a division by 0
    gives 0.
    """
    true = Counter(p.label for p in predictions)
    taken = Counter(map(predicted, predictions))
    right = Counter(p.label for p in predictions if predicted(p) == p.label)
    classes = sorted(true | taken)
    by_measure = {
        "precision": [right[c] / taken[c] if taken[c] else 0.0 for c in classes],
        "recall": [right[c] / true[c] if true[c] else 0.0 for c in classes],
        "f1": [2 * right[c] / (true[c] + taken[c]) for c in classes],
    }
    result = {"accuracy": right.total() / len(predictions)}
    for name, values in by_measure.items():
        result[name] = sum(values) / len(classes)
        result[f"{name}_weighted"] = sum(v * true[c] for v, c in zip(values, classes, strict=True)) / len(predictions)
    return result


def _model(run: Run) -> dict[str, Any]:
    """Return the fields of mteb's ModelMeta; mteb does not list experiments as models, so it is a model."""
    settings = run.settings
    parts = [
        without_folders(settings["encoder"]),
        settings["protocol"],
        settings["method"],
        *(settings["kinds"] or ["label"]),
        *([f"names-{settings['names']}"] if "names" in settings else []),
    ]
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
        "adapted_from": without_folders(settings["encoder"]),
    }


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", text).strip("-")
