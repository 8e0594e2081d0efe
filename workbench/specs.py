"""Names to specs: an embedding model and a chunking, checked against each other."""

from __future__ import annotations

from collections.abc import Callable

from workbench.config import Config
from workbench.data.presets import check_budget, overlap_advice, preset
from workbench.models import resolve, tokenizer_digest
from workbench.spec import ChunkingSpec, EmbeddingSpec


def specs_of(
    model: str, chunking: str, config: Config, notify: Callable[[str], None]
) -> tuple[EmbeddingSpec, ChunkingSpec]:
    """The embedding and chunking specs of two names; an unusual overlap is told by ``notify``.

    Raises:
        UnknownName: There is no such model or preset.
        ModelError: The model is not usable here.
        ConfigError: The chunks would be longer than the model reads.
    """
    embedding = resolve(model)
    chosen = preset(chunking, config.presets)
    check_budget(chosen, embedding.max_tokens)
    if advice := overlap_advice(chosen):
        notify(advice)
    return embedding, chosen.bound_to(tokenizer_digest(embedding))
