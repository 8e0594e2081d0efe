"""A sentence-transformers folder as an OpenVINO graph that ends in one vector per text."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ModelError
from workbench.models.canaries import CANARIES
from workbench.models.local import LocalEncoder
from workbench.models.openvino_engine import load_openvino

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.protocols import Vectors

GRAPH = "model.xml"
WEIGHTS = "model.bin"
REFERENCE = "reference.npy"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_EXAMPLE = (2, 16)
_PADDED = 6


def convert(local: LocalEncoder, folder: Path) -> None:
    """Write graph, weights and the float32 reference vectors of the canaries into ``folder``.

    Pooling is part of the graph, normalising is not: it is done in float32 afterwards.

    Raises:
        ModelError: OpenVINO can not convert this architecture.
    """
    openvino = load_openvino()
    try:
        with _quiet():
            module, names, example = _traced(local)
            graph = openvino.convert_model(module, example_input=example)
            _open(graph, names)
    except Exception as error:  # the converter has no common base of its errors
        raise ModelError(
            f"model {local.spec.model!r} can not be converted to OpenVINO: {error}"
        ) from error
    openvino.save_model(graph, folder / GRAPH, compress_to_fp16=False)
    np.save(folder / REFERENCE, reference_of(local))


def reference_of(local: LocalEncoder) -> Vectors:
    """Whole vectors of the canaries, shape (canaries, native dimension), unit length."""
    return local.whole(CANARIES)


def read_reference(folder: Path) -> Vectors:
    """What ``convert`` kept of the float32 model."""
    reference: Vectors = np.load(folder / REFERENCE, allow_pickle=False)
    return reference


def _traced(local: LocalEncoder) -> tuple[Any, list[str], tuple[Tensor, ...]]:
    """The module to trace, the names of its inputs in order, and an example of them."""
    import torch

    transformer = local.transformer
    known = set(inspect.signature(transformer.forward).parameters)
    kinds = getattr(transformer.config, "type_vocab_size", 0)
    names = [name for name in INPUTS if name in known and (name != "token_type_ids" or kinds)]
    example = torch.ones(_EXAMPLE, dtype=torch.long)
    mask = example.clone()
    mask[1, -_PADDED:] = 0
    values = {
        "input_ids": example, "attention_mask": mask, "token_type_ids": torch.zeros_like(example),
    }  # fmt: skip
    module = _pooled(transformer, local.spec.pooling, names)
    return module, names, tuple(values[name] for name in names)


def _open(graph: Any, names: list[str]) -> None:
    """Name the inputs and leave their shape (texts, tokens) open."""
    openvino = load_openvino()
    for port, name in zip(graph.inputs, names, strict=True):
        port.get_tensor().set_names({name})
        port.get_node().set_partial_shape(openvino.PartialShape([-1, -1]))
        port.get_node().set_element_type(openvino.Type.i64)
    graph.validate_nodes_and_infer_types()


def _pooled(transformer: Any, pooling: str, names: list[str]) -> Any:
    """A module that takes the inputs ``names`` in order and gives one vector per row."""
    import torch

    class Pooled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.transformer = transformer

        def forward(self, *tensors: Tensor) -> Tensor:
            given = dict(zip(names, tensors, strict=True))
            states: Tensor = self.transformer(**given).last_hidden_state
            if pooling == "cls":
                return states[:, 0]
            mask = given["attention_mask"].unsqueeze(-1).to(states.dtype)
            return (states * mask).sum(1) / mask.sum(1).clamp(min=1e-9)

    return Pooled().eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Tracing warns about Python branches that the example decides; canaries check the result."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
