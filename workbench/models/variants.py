"""Variants of a model: another precision, a shorter vector. Each is a space of its own."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.errors import ConfigError, ModelError, ModelWarning
from workbench.models.artifact import quantised
from workbench.models.canaries import CANARIES
from workbench.models.catalogue import entries
from workbench.models.names import parse_name
from workbench.models.truncate import truncation_loss
from workbench.spec import EmbeddingSpec

if TYPE_CHECKING:
    from workbench.models.base import TextEncoder


def in_precision(spec: EmbeddingSpec, precision: str) -> EmbeddingSpec:
    """``spec`` computed in ``precision``; empty or its own: as it is.

    Raises:
        ModelError: The model is not run in this precision here.
        ModelMissing: The int8 artifact has not been made.
    """
    if precision in {"", spec.precision}:
        return spec
    if spec.provider != "sentence-transformers":
        raise ModelError(
            f"model {spec.model!r} is computed in {spec.precision}, not in {precision}; only "
            "sentence-transformers models have a choice. Leave the precision out."
        )
    if precision == "int8":
        return quantised(spec)
    return replace(spec, model=f"{spec.model}@{precision}", precision=precision)


def sized(spec: EmbeddingSpec, dimension: int) -> EmbeddingSpec:
    """``spec`` with its vectors cut to ``dimension`` and scaled to unit length; 0: as it is.

    Raises:
        ConfigError: The model's vectors are shorter.
    """
    if dimension in {0, spec.dimension}:
        return spec
    if dimension > spec.dimension:
        raise ConfigError(
            f"model {spec.model!r} makes vectors of {spec.dimension} numbers; expected at most "
            f"that, found /{dimension}. Take a smaller number or leave it out."
        )
    return replace(spec, model=f"{spec.model}/{dimension}", dimension=dimension)


def is_declared(spec: EmbeddingSpec) -> bool:
    """Whether the catalogue says that the model was trained for vectors of this length."""
    entry = entries().get(parse_name(spec.model).base)
    return entry is not None and spec.dimension in {entry.dimension, *entry.matryoshka}


def warn_of_loss(encoder: TextEncoder) -> None:
    """Warn with the measured loss when vectors are cut that were not trained for it."""
    spec = encoder.spec
    if encoder.native == spec.dimension or is_declared(spec):
        return
    loss = truncation_loss(encoder.whole(CANARIES), spec.dimension)
    warnings.warn(
        f"model {spec.model!r} is not declared to be trained for {spec.dimension} of its "
        f"{encoder.native} numbers: {loss} over {len(CANARIES)} texts. Measure it on an "
        "evaluation set before use.",
        ModelWarning,
        stacklevel=3,
    )
