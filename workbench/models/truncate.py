"""Shorter vectors of the same model: the first numbers of each, at unit length again.

Models trained for it (Matryoshka representation learning, Kusupati et al. 2022) put what matters
first. Of other models the first numbers are no better than any others: that costs quality.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from workbench.protocols import Vectors

TOP = 3
"""Neighbours compared when the loss is measured."""


def normalized(vectors: Vectors) -> Vectors:
    """Rows divided by their Euclidean length; zero rows stay zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32, copy=False)
    return unit


def shortened(vectors: Vectors, dimension: int, *, normalize: bool) -> Vectors:
    """The first ``dimension`` columns of ``vectors``, shape (n, dimension).

    Args:
        vectors: Shape (n, native) with native >= dimension; equal: given back as they are.
        dimension: Columns kept.
        normalize: Divide the shorter rows by their length.
    """
    if vectors.shape[1] == dimension:
        return vectors
    cut = np.ascontiguousarray(vectors[:, :dimension])
    return normalized(cut) if normalize else cut


@dataclass(frozen=True, slots=True)
class TruncationLoss:
    """What truncation did to the ranking of some texts by each other.

    Attributes:
        kept: Share of the nearest neighbours (``TOP`` of each text) that stayed among them.
        cosine_error: Mean absolute change of the cosine between two texts.
    """

    kept: float
    cosine_error: float

    def __str__(self) -> str:
        return (
            f"{1 - self.kept:.0%} of the {TOP} nearest neighbours changed, cosines moved by "
            f"{self.cosine_error:.3f} on average"
        )


def truncation_loss(vectors: Vectors, dimension: int) -> TruncationLoss:
    """Compare the neighbours of each row before and after truncation.

    Args:
        vectors: Whole vectors, shape (n, native), n > ``TOP`` + 1.
        dimension: Columns kept.
    """
    whole, cut = (
        unit @ unit.T for unit in (normalized(vectors), normalized(vectors[:, :dimension]))
    )
    others = ~np.eye(len(vectors), dtype=bool)
    nearest = [
        np.argsort(np.where(others, -sims, np.inf), axis=1)[:, :TOP] for sims in (whole, cut)
    ]
    kept = [len(set(a) & set(b)) / TOP for a, b in zip(*nearest, strict=True)]
    return TruncationLoss(float(np.mean(kept)), float(np.abs(whole - cut)[others].mean()))
