"""Transformers as OpenVINO graphs on the CPU: several short batches at once, one per thread."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ModelError
from workbench.models.base import TextEncoder
from workbench.models.batches import even_budget, token_batches
from workbench.models.tokens import load_tokenizer
from workbench.models.truncate import normalized
from workbench.spec import EmbeddingSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from tokenizers import Encoding

    from workbench.protocols import Vectors

BATCH_TOKENS = 2_048
"""Tokens of one batch, padding included; measured: half as many and twice as many are slower."""

_HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "bf16"}
"""What is not quantised is computed in this precision, where the CPU can."""

_COLUMNS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


def is_installed() -> bool:
    """Whether OpenVINO can be imported; does not import it."""
    from importlib.util import find_spec

    return find_spec("openvino") is not None


def load_openvino() -> Any:
    """Import OpenVINO, its telemetry left out: by default it would report every import.

    Raises:
        ModelError: It is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    os.environ.setdefault("NNCF_CI", "1")  # the same for nncf
    try:
        import openvino
    except ImportError as error:
        raise ModelError(
            f"OpenVINO can not be imported ({error}). Run "
            "`pip install embedding-workbench[openvino]`."
        ) from error
    return openvino


class OpenVinoEncoder(TextEncoder):
    """Runs a graph made by ``convert`` or ``quantise``. Safe to call from several threads."""

    def __init__(self, spec: EmbeddingSpec, graph: Path, tokenizer: Path, threads: int) -> None:
        """Compile ``graph`` for this CPU: ``threads`` batches at a time, one thread each.

        Raises:
            ModelError: The graph can not be read or compiled.
        """
        openvino = load_openvino()
        super().__init__(spec, load_tokenizer(tokenizer))
        # Counting and running need two tokenizers: only the second one cuts.
        self._cutting = load_tokenizer(tokenizer)
        if spec.max_tokens:
            self._cutting.enable_truncation(spec.max_tokens)
        self._threads = threads
        options = {
            "INFERENCE_PRECISION_HINT": _HINTS[spec.precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads,
            "ENABLE_CPU_PINNING": False,  # actors side by side would share a core
        }
        try:
            model = openvino.Core().compile_model(graph, "CPU", options)
        except RuntimeError as error:
            raise ModelError(f"{graph} can not be run by OpenVINO: {error}") from error
        self._inputs = [port.get_any_name() for port in model.inputs]
        self._makes(model.output(0).get_partial_shape()[1].get_length())
        self._queue = openvino.AsyncInferQueue(model, threads)
        self._lock = threading.Lock()

    @property
    def engine(self) -> str:
        """OpenVINO, in the precision of the spec."""
        return f"openvino {self._spec.precision}"

    def _vectors(self, texts: list[str], tokenised: list[Encoding]) -> Vectors:
        limit = self._spec.max_tokens
        fitting = [
            whole if not limit or len(whole) <= limit else self._cutting.encode(text)
            for text, whole in zip(texts, tokenised, strict=True)
        ]
        lengths = [len(one) for one in fitting]
        pooled = np.empty((len(texts), self._native), dtype=np.float32)
        failures: list[Exception] = []

        def keep(request: Any, group: list[int]) -> None:
            try:
                pooled[group] = request.get_output_tensor(0).data
            except Exception as error:  # noqa: BLE001 (a callback must not raise)
                failures.append(error)

        with self._lock:
            self._queue.set_callback(keep)
            budget = even_budget(lengths, BATCH_TOKENS, self._threads)
            for group in token_batches(lengths, budget):
                self._queue.start_async(self._feed([fitting[i] for i in group]), group)
            self._queue.wait_all()
        if failures:
            raise ModelError(f"OpenVINO failed on {self._spec.model!r}: {failures[0]}")
        return normalized(pooled) if self._spec.normalize else pooled

    def _feed(self, group: Sequence[Encoding]) -> dict[str, NDArray[np.int64]]:
        return feed_of(group, self._inputs)


def feed_of(group: Sequence[Encoding], inputs: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Tokenised texts as arrays of shape (texts, longest), padded with zeros that the mask hides.

    Args:
        group: Not empty.
        inputs: Names of the arrays, of ``convert.INPUTS``.
    """
    longest = max(len(one) for one in group)
    feed = {name: np.zeros((len(group), longest), dtype=np.int64) for name in inputs}
    for name, array in feed.items():
        for row, one in enumerate(group):
            array[row, : len(one)] = getattr(one, _COLUMNS[name])
    return feed
