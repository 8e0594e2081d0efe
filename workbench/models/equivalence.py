"""When are two ways to compute a vector the same space? The thresholds stand here and only here.

Cosines compare a way with the float32 torch reference of the same weights on canary texts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import ModelError
from workbench.models.names import parse_name
from workbench.models.truncate import normalized
from workbench.spec import EmbeddingSpec

if TYPE_CHECKING:
    from workbench.protocols import Vectors


@dataclass(frozen=True, slots=True)
class Bound:
    """What the cosines to the reference must reach."""

    mean: float
    least: float


BOUNDS = {
    "float32": Bound(0.999_99, 0.999_99),
    "bfloat16": Bound(0.999_9, 0.999),
    "int8": Bound(0.995, 0.99),
}
"""By precision. Below them an engine is not used."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How vectors agree with the reference: cosines over the canaries."""

    mean: float
    least: float

    def reaches(self, precision: str) -> bool:
        """Whether this is enough for ``precision``; NaN never is."""
        bound = BOUNDS[precision]
        return self.mean >= bound.mean and self.least >= bound.least

    def describe(self, precision: str) -> str:
        """For warnings and errors: what was found and what was expected."""
        bound = BOUNDS[precision]
        return (
            f"cosine to the float32 reference {self.mean:.6f} on average and {self.least:.6f} at "
            f"worst; expected {bound.mean} and {bound.least}"
        )


def agreement(vectors: Vectors, reference: Vectors) -> Agreement:
    """Cosines of the rows of ``vectors`` with those of ``reference``, both of shape (n, d)."""
    if vectors.shape != reference.shape:
        return Agreement(float("nan"), float("nan"))
    cosines = np.einsum("nd,nd->n", normalized(vectors), normalized(reference))
    return Agreement(float(cosines.mean()), float(cosines.min()))


def query_spec_for(index: EmbeddingSpec) -> EmbeddingSpec:
    """The cheapest spec whose query vectors may be asked of an index of the space ``index``.

    Queries come one at a time and gain nothing from bfloat16: those of a bfloat16 index may be
    encoded in float32, the declared equivalence of the same weights. It holds where
    ``admits_queries`` confirms it; the vectors keep their own fingerprint, cache and vault keys.
    Every other space answers only for itself, int8 too: its weights are others.
    """
    if index.precision != "bfloat16" or index.provider != "sentence-transformers":
        return index
    model = str(replace(parse_name(index.model), precision=""))
    return replace(index, model=model, precision="float32")


def admits_queries(index: EmbeddingSpec, query: EmbeddingSpec, found: Agreement) -> None:
    """Refuse a query encoder whose vectors are not of the index's space.

    Args:
        index: Space of the index.
        query: Space of the query encoder.
        found: How the index's way to compute agrees with the query encoder's on this machine.

    Raises:
        ModelError: The equivalence is not declared, or the canaries do not confirm it.
    """
    if query.fingerprint == index.fingerprint:
        return
    if query.fingerprint != query_spec_for(index).fingerprint:
        raise ModelError(
            f"queries of the space {query.fingerprint} ({query.model}) can not be asked of an "
            f"index of {index.fingerprint} ({index.model}); encode them with {index.model!r}"
        )
    if not found.reaches("bfloat16"):
        raise ModelError(
            f"{query.model!r} may not answer for an index of {index.model!r} here: "
            f"{found.describe('bfloat16')}. Encode queries with {index.model!r}."
        )
