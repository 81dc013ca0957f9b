"""The matrix of class similarities as a picture, and as a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from descriptor_gen.lint.similarity import Pair, Similarity

if TYPE_CHECKING:
    from torch import Tensor


_MOST_NAMES = 120  # with more classes, the axes have no names


def write_csv(classes: Similarity, file: Path) -> None:
    """Write the matrix, with the names of the classes as header and first column."""
    names = [action.name for action in classes.dataset.actions]
    with file.open("w", newline="", encoding="utf-8") as output:
        writer = csv.writer(output)
        writer.writerow(["class", *names])
        for name, row in zip(names, classes.matrix.tolist(), strict=True):
            writer.writerow([name, *(f"{value:.6f}" for value in row)])


def draw(classes: Similarity, pairs: Sequence[Pair], file: Path) -> None:
    """Draw the matrix with similar classes beside each other, and a list of the pairs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(17, 12), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    matrix, listed = figure.subplots(1, 2, width_ratios=(3.4, 1))
    _matrix(figure, matrix, classes)
    _listed(listed, pairs)
    subject = f"{classes.dataset.name}: how alike its {len(classes.dataset.actions)} classes are"
    figure.suptitle(f"{subject} to {classes.encoder} ({classes.texts})", fontsize=15)
    figure.savefig(file, dpi=110)


def _matrix(figure: Any, axes: Any, classes: Similarity) -> None:
    import torch

    alike = classes.matrix
    order = _order(alike)
    ordered = alike[order][:, order].clone()
    off = ordered[~torch.eye(len(ordered), dtype=torch.bool)]
    low, high = torch.quantile(off[:: max(1, len(off) // 100_000)], torch.tensor([0.01, 0.999])).tolist()
    ordered.fill_diagonal_(float("nan"))
    image = axes.imshow(ordered.numpy(), cmap="viridis", vmin=low, vmax=high, interpolation="nearest")
    axes.set_facecolor("#dddddd")
    figure.colorbar(image, ax=axes, location="bottom", shrink=0.5, pad=0.01, label="cosine (the diagonal is left out)")
    names = [classes.dataset.actions[index].phrase for index in order]
    size = min(8.5, 620 / len(names))
    if len(names) <= _MOST_NAMES:
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
        axes.set_yticks(range(len(names)), names, fontsize=size)
        axes.xaxis.tick_top()
    else:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel("classes, similar ones beside each other")
    axes.tick_params(length=0)


def _listed(axes: Any, pairs: Sequence[Pair]) -> None:
    axes.axis("off")
    axes.set_title("Most alike", loc="left", fontsize=12)
    cosines = [pair.labels if pair.described is None else pair.described for pair in pairs]
    lines = [f"{cosine:.2f}  {pair.first}\n      {pair.second}" for cosine, pair in zip(cosines, pairs, strict=True)]
    axes.text(0, 1, "\n".join(lines[:24]), va="top", fontsize=10.5, family="DejaVu Sans", transform=axes.transAxes)


def _order(alike: Tensor) -> list[int]:
    """Return the indices of the classes ordered by the Fiedler vector, which puts similar classes beside each other.

    It is the second eigenvector of the normalised Laplacian, the relaxed solution of ordering the vertices of a graph
    on a line (Hall 1970; Atkins, Boman and Hendrickson 1998).
    """
    import torch

    weights = (alike - alike.min()).fill_diagonal_(0.0).double() ** 2  # squared: near pairs outweigh the many far ones
    root = weights.sum(dim=1).clamp_min(1e-12).rsqrt()
    laplacian = torch.eye(len(weights), dtype=weights.dtype) - root[:, None] * weights * root
    _, vectors = torch.linalg.eigh(laplacian)
    return (vectors[:, min(1, len(weights) - 1)] * root).argsort().tolist()  # type: ignore[no-any-return]
