"""Which engine runs a sentence-transformers model here: the fastest one that proves itself.

Every engine is checked on the canaries against the float32 torch reference. One that fails is
replaced by another of the *same* precision or not at all: a vector never gets into the space of
another one quietly.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import ModelError, ModelWarning
from workbench.models.canaries import CANARIES
from workbench.models.convert import GRAPH, convert, read_reference, reference_of
from workbench.models.equivalence import Agreement, agreement
from workbench.models.files import ModelFiles
from workbench.models.local import LocalEncoder
from workbench.models.model_cache import Cached, get_or_make, key_of
from workbench.models.openvino_engine import OpenVinoEncoder, is_installed
from workbench.models.places import cache_root
from workbench.spec import EmbeddingSpec

if TYPE_CHECKING:
    from workbench.models.base import TextEncoder
    from workbench.protocols import Vectors

_ROUNDS = 3


def build_transformer(spec: EmbeddingSpec, files: ModelFiles, threads: int) -> TextEncoder:
    """The encoder of a sentence-transformers model, checked.

    Args:
        spec: Of precision float32, bfloat16 or int8.
        files: Verified; those of the quantised model for int8.
        threads: CPU threads to compute with.

    Raises:
        ModelError: No engine here computes what the space promises.
    """
    if spec.precision == "int8":
        return _int8(spec, files, threads)
    graph = converted(spec, files, threads) if spec.pooling in {"mean", "cls"} else None
    if spec.precision == "float32":
        return _float32(spec, files, threads, graph)
    return _bfloat16(spec, files, threads, graph)


def check(encoder: TextEncoder, reference: Vectors) -> Agreement:
    """How ``encoder`` agrees with ``reference`` on the canaries, before truncation."""
    encoder.agreed = agreement(encoder.whole(CANARIES), reference)
    return encoder.agreed


def _int8(spec: EmbeddingSpec, files: ModelFiles, threads: int) -> TextEncoder:
    encoder = OpenVinoEncoder(spec, files.folder / GRAPH, files.tokenizer, threads)
    found = check(encoder, read_reference(files.folder))
    if not found.reaches("int8"):
        raise ModelError(
            f"model {spec.model!r} is not usable on this machine: {found.describe('int8')}. Use "
            "float32 or bfloat16, or quantise it again with other texts (--calibrate)."
        )
    return encoder


def _float32(
    spec: EmbeddingSpec, files: ModelFiles, threads: int, graph: Cached | None
) -> TextEncoder:
    if graph is None or not graph.facts["float32_is_faster"]:
        return LocalEncoder(spec, files, threads)
    encoder = OpenVinoEncoder(spec, graph.folder / GRAPH, files.tokenizer, threads)
    found = check(encoder, read_reference(graph.folder))
    if found.reaches("float32"):
        return encoder
    _warn(spec, found.describe("float32"), "torch is used instead")
    return LocalEncoder(spec, files, threads)


def _bfloat16(
    spec: EmbeddingSpec, files: ModelFiles, threads: int, graph: Cached | None
) -> TextEncoder:
    if graph is not None:
        encoder = OpenVinoEncoder(spec, graph.folder / GRAPH, files.tokenizer, threads)
        reference = read_reference(graph.folder)
        found = check(encoder, reference)
        if found.reaches("bfloat16"):
            return encoder
        _warn(spec, found.describe("bfloat16"), "torch in bfloat16 is tried instead")
    else:
        reference = reference_of(LocalEncoder(_float32_of(spec), files, threads))
    local = LocalEncoder(spec, files, threads)
    found = check(local, reference)
    if not found.reaches("bfloat16"):
        raise ModelError(
            f"model {spec.model!r} can not be computed in bfloat16 here: "
            f"{found.describe('bfloat16')}. Use float32."
        )
    return local


def converted(spec: EmbeddingSpec, files: ModelFiles, threads: int) -> Cached | None:
    """The float32 graph of these weights, converted once on this machine; None where that fails."""
    if not is_installed():
        return None
    folder = cache_root() / "openvino" / key_of(_what_decides(spec))

    def make(fresh: Path) -> dict[str, Any]:
        local = LocalEncoder(_float32_of(spec), files, threads)
        convert(local, fresh)
        return _trial(local, files, fresh, threads)

    try:
        return get_or_make(folder, make)
    except (ModelError, OSError) as error:
        _warn(spec, f"no OpenVINO graph: {error}", "torch is used")
        return None


def _float32_of(spec: EmbeddingSpec) -> EmbeddingSpec:
    return replace(spec, precision="float32")


def _what_decides(spec: EmbeddingSpec) -> dict[str, Any]:
    """Whatever makes another graph, other reference vectors or another winner of the trial."""
    from importlib.metadata import version

    return {
        "weights": spec.digest,
        "pooling": spec.pooling,
        "max_tokens": spec.max_tokens,
        "normalize": spec.normalize,
        "versions": [version(name) for name in ("openvino", "torch", "transformers")],
        "cpu": _cpu(),
        "canaries": key_of({"texts": CANARIES}),
    }


def _cpu() -> str:
    """Model and abilities of the CPU, as far as the system tells."""
    import platform

    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    told = {line.partition(":")[0].strip(): line for line in reversed(lines)}
    return " ".join(told.get(name, "") for name in ("model name", "flags", "Features"))


def _trial(local: LocalEncoder, files: ModelFiles, folder: Path, threads: int) -> dict[str, Any]:
    """Compare OpenVINO in float32 with torch, in turns on the canaries."""
    graph = OpenVinoEncoder(local.spec, folder / GRAPH, files.tokenizer, threads)
    found = check(graph, read_reference(folder))
    seconds: dict[str, list[float]] = {"torch": [], "openvino": []}
    for _ in range(_ROUNDS):
        for name, encoder in (("torch", local), ("openvino", graph)):
            started = time.perf_counter()
            encoder.whole(CANARIES)
            seconds[name].append(time.perf_counter() - started)
    best = {name: min(times) for name, times in seconds.items()}
    faster = best["openvino"] < best["torch"]
    return {
        "seconds": best,
        "cosine": {"mean": found.mean, "least": found.least},
        "float32_is_faster": faster and found.reaches("float32"),
    }


def _warn(spec: EmbeddingSpec, why: str, instead: str) -> None:
    warnings.warn(f"model {spec.model!r}: {why}; {instead}", ModelWarning, stacklevel=2)
