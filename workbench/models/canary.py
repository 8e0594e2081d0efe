"""Is a model here, is it the right one, and does it still understand anything?"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from workbench.errors import ModelError
from workbench.models.catalogue import entries, entry_of, folder_of
from workbench.models.factory import build_encoder, resolve
from workbench.models.names import parse_name
from workbench.models.rerank import build_reranker
from workbench.results import Result

ANCHOR = "How many people live in Berlin?"
RELATED = (
    "Berlin had a population of 3,520,031 registered inhabitants in an area of 891.82 square "
    "kilometers."
)
UNRELATED = "Berlin is well known for its museums."
FAR = "The recipe calls for two eggs, a cup of flour and a pinch of salt."
"""Nothing to do with the anchor: encoders must keep it farther away than ``RELATED``.

Rerankers face the harder ``UNRELATED``, which shares the subject but not the answer.
"""

_REPEATS = 8


@dataclass(frozen=True, slots=True)
class ModelCheck(Result):
    """What checking a model found.

    Attributes:
        fingerprint: Of the space; for a reranker the first 16 hex digits of its digest.
        dimension: Length of a vector; 0 for a reranker.
        texts_per_s: Short texts (pairs, for a reranker) a second after loading, one at a time.
        related: Cosine, or score, of the anchor with a text that answers it.
        unrelated: The same with a text that does not.
        sane: Whether ``related`` exceeds ``unrelated``.
        package: What brings the files; empty for a folder.
        engine: What computes here; not part of the identity.
        cosine_mean: Mean cosine to the float32 reference over the canaries; None where the model
            is not checked against one (static and ONNX files are run as they are).
        cosine_min: Least such cosine.
    """

    name: str
    kind: str
    provider: str
    fingerprint: str
    digest: str
    dimension: int
    max_tokens: int
    texts_per_s: float
    sane: bool
    related: float
    unrelated: float
    package: str
    location: str
    engine: str = ""
    cosine_mean: float | None = None
    cosine_min: float | None = None


def check_model(name: str) -> ModelCheck:
    """Verify the digest of a model, load it and try it on canary sentences.

    Args:
        name: A catalogued encoder or reranker, or the path of a sentence-transformers folder.

    Raises:
        UnknownName: There is no such model.
        ModelMissing: Its files are not on this machine.
        DigestMismatch: They are not the promised ones.
        ModelError: It can not be loaded, or has nothing to check (``"bm25"``).
    """
    entry = entries().get(name)
    if entry is not None and entry.kind == "retriever":
        raise ModelError(
            f"{name!r} is a retriever without weights or vectors: there is nothing to check. "
            "Try it with `workbench evaluate`."
        )
    if entry is not None and entry.kind == "reranker":
        return _check_reranker(name)
    return _check_encoder(name)


def _check_encoder(name: str) -> ModelCheck:
    spec = resolve(name)
    encoder = build_encoder(spec)
    anchor = encoder.encode([ANCHOR], "query")[0]
    related, unrelated = encoder.encode([RELATED, FAR], "document")
    lengths = [float((one @ one) ** 0.5) for one in (anchor, related, unrelated)]
    near = float(anchor @ related) / (lengths[0] * lengths[1])
    far = float(anchor @ unrelated) / (lengths[0] * lengths[2])
    entry = entries().get(parse_name(name).base)
    agreed = encoder.agreed
    return ModelCheck(
        name=spec.model,
        kind="encoder",
        provider=spec.provider,
        fingerprint=spec.fingerprint,
        digest=spec.digest,
        dimension=spec.dimension,
        max_tokens=spec.max_tokens,
        texts_per_s=_rate(lambda: encoder.encode([RELATED], "document")),
        sane=near > far,
        related=near,
        unrelated=far,
        package=" ".join(entry.packages) if entry else "",
        location=spec.location,
        engine=encoder.engine,
        cosine_mean=agreed.mean if agreed else None,
        cosine_min=agreed.least if agreed else None,
    )


def _check_reranker(name: str) -> ModelCheck:
    entry = entry_of(name, "reranker")
    reranker = build_reranker(name)
    related, unrelated = (float(one) for one in reranker.score(ANCHOR, [RELATED, UNRELATED]))
    digest = entry.weights_sha256 or ""
    return ModelCheck(
        name=name,
        kind="reranker",
        provider=entry.provider,
        fingerprint=digest[:16],
        digest=digest,
        dimension=0,
        max_tokens=entry.max_tokens,
        texts_per_s=_rate(lambda: reranker.score(ANCHOR, [RELATED])),
        sane=related > unrelated,
        related=related,
        unrelated=unrelated,
        package=" ".join(entry.packages),
        location=str(folder_of(name, entry)),
    )


def _rate(once: Callable[[], object]) -> float:
    started = time.perf_counter()
    for _ in range(_REPEATS):
        once()
    return _REPEATS / (time.perf_counter() - started)
