"""Quantised ONNX models through onnxruntime.

Dynamic quantisation takes its scales from the whole batch, so a vector would depend on its
neighbours: every text is run alone, and a score means the same wherever it was computed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ModelError
from workbench.models.base import TextEncoder
from workbench.models.files import ModelFiles
from workbench.models.tokens import load_tokenizer
from workbench.models.truncate import normalized
from workbench.spec import EmbeddingSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Encoding

    from workbench.protocols import Vectors

_ERRORS_ONLY = 3


class OnnxModel:
    """A session that runs one tokenised input at a time."""

    def __init__(self, path: Path, threads: int) -> None:
        """Load ``path`` for the CPU, computing with ``threads`` threads.

        Raises:
            ModelError: The file is not a model that onnxruntime runs.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has no common base of its errors
            raise ModelError(f"{path} can not be loaded: {error}. Reinstall the model.") from error
        self._inputs = {one.name for one in self._session.get_inputs()}

    def run(self, tokens: Encoding) -> NDArray[np.float32]:
        """First output of the model for one input, without the batch axis."""
        feed: dict[str, Any] = {
            "input_ids": tokens.ids,
            "attention_mask": tokens.attention_mask,
            "token_type_ids": tokens.type_ids,
        }
        arrays = {name: np.array([feed[name]], dtype=np.int64) for name in self._inputs}
        output: NDArray[np.float32] = self._session.run(None, arrays)[0][0]
        return output


class OnnxEncoder(TextEncoder):
    """An encoder whose first output is one vector per token, shape (1, tokens, dimension)."""

    def __init__(self, spec: EmbeddingSpec, files: ModelFiles, threads: int) -> None:
        """Load model and tokenizer.

        Raises:
            ModelError: The pooling is neither ``"cls"`` nor ``"mean"``, or the file is no model.
        """
        if spec.pooling not in {"cls", "mean"}:
            raise ModelError(f"pooling {spec.pooling!r} of {spec.model!r}: expected cls or mean")
        super().__init__(spec, load_tokenizer(files.tokenizer))
        # Counting and running need two tokenizers: only the second one cuts.
        self._cutting = load_tokenizer(files.tokenizer)
        if spec.max_tokens:
            self._cutting.enable_truncation(spec.max_tokens)
        self._model = OnnxModel(files.weights[0], threads)
        self._makes(len(self._model.run(self._cutting.encode("dimension"))[0]))

    def _vectors(self, texts: list[str], tokenised: list[Encoding]) -> Vectors:
        limit = self._spec.max_tokens
        rows = []
        for text, whole in zip(texts, tokenised, strict=True):
            fits = not limit or len(whole) <= limit
            states = self._model.run(whole if fits else self._cutting.encode(text))
            rows.append(states[0] if self._spec.pooling == "cls" else states.mean(axis=0))
        vectors = np.stack(rows)
        return normalized(vectors) if self._spec.normalize else vectors
