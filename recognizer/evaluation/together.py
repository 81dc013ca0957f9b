"""Videos scored together: the transductive row of a run, and the scores of `predict`."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from db.records import Dataset
from recognizer.evaluation.ranking import EmbeddedDataset, TrueRanks, ranked
from recognizer.evaluation.settings import ScoringSettings
from recognizer.features.embed import Features
from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.methods import method_of
from recognizer.scoring.methods.means import class_weights
from recognizer.scoring.metrics import accuracy, gain
from recognizer.scoring.pooling import VideoBatch
from recognizer.scoring.transductive import Transduced, Unlabelled, transduce
from recognizer.scoring.transductive.prior import read_prior

if TYPE_CHECKING:
    from torch import Tensor


def scored_together(
    dataset: Dataset,
    features: Features,
    batch: VideoBatch,
    ensemble: Ensemble,
    scores: Tensor,
    *,
    settings: ScoringSettings,
) -> Transduced:
    """Return the scores of V videos with the help of each other; the settings say how.

    Args:
        dataset: C classes.
        features: V videos of W views.
        batch: their V * W views, pooled.
        ensemble: texts of the classes.
        scores: of each video without the others, [V, C].
        settings: `transductive` is not None.

    Raises:
        UserError: as in `transduce` and `read_prior`.
    """
    import torch
    from torch.nn.functional import normalize

    used = replace(ensemble, present=method_of(settings.method).uses(ensemble))
    shares = read_prior(Path(settings.class_prior), dataset) if settings.class_prior else None
    given = Unlabelled(
        scores=scores,
        videos=normalize(features.over_views(batch.pooled), dim=1),
        texts=class_weights(used),
        prior=None if shares is None else torch.tensor([shares[action.name] for action in dataset.actions]),
        scale=ensemble.logit_scale / settings.temperature,
    )
    return transduce(settings.transductive or "", given)


def transductive_results(
    embedded: EmbeddedDataset,
    batch: VideoBatch,
    ensemble: Ensemble,
    alone: TrueRanks,
    *,
    settings: ScoringSettings,
) -> dict[str, Any]:
    """Return the result `transductive` of a run, if the settings ask for it: a row beside `alone`, the same without.

    All other results and the predictions of the run are those of each video by itself. Arguments and errors as in
    `scored_together`.
    """
    if not settings.transductive:
        return {}
    features, groups = embedded.features, embedded.groups
    transduced = scored_together(embedded.dataset, features, batch, ensemble, alone.scores, settings=settings)
    together, labels = ranked(features, transduced.scores, ensemble, settings=settings), features.labels
    return {
        "transductive": {
            "name": settings.transductive,
            "class_prior": settings.class_prior or "uniform",
            "shares": transduced.shares,
            "classes_present": transduced.present,
            "cautions": transduced.cautions,
            "row": asdict(accuracy(together.ranks, labels, groups)),
            "log_loss": together.log_loss,
            "gain": asdict(gain(alone.ranks, together.ranks, labels, groups)),
        }
    }
