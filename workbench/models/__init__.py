"""Text to numbers: the only room that loads torch, onnxruntime or a tokenizer.

Importing this package loads none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.models.canary import check_model
    from workbench.models.factory import build_encoder, resolve
    from workbench.models.listing import list_models
    from workbench.models.rerank import build_reranker
    from workbench.models.tokens import counter_for, tokenizer_digest

__all__ = [
    "build_encoder",
    "build_reranker",
    "check_model",
    "counter_for",
    "list_models",
    "resolve",
    "tokenizer_digest",
]

_HOMES = {
    "build_encoder": "factory",
    "build_reranker": "rerank",
    "check_model": "canary",
    "counter_for": "tokens",
    "list_models": "listing",
    "resolve": "factory",
    "tokenizer_digest": "tokens",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"workbench.models.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'workbench.models' has no attribute {name!r}")
