"""Short codes of unit vectors: what searching with fewer bytes costs in quality."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import UnknownName

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.protocols import Vectors

INT8_LEVELS = 127


@dataclass(frozen=True, slots=True)
class Code:
    """One way of writing vectors shorter.

    Attributes:
        name: ``float16``, ``int8`` or ``binary``.
        encode: Vectors (n, dimension) to codes, a tuple of arrays with n rows each.
        scores: A query (dimension,) and codes to approximate similarities, shape (n,): only their
            order means something.
        bytes_per_vector: Bytes of the code of one vector of that dimension.
    """

    name: str
    encode: Callable[[Vectors], tuple[NDArray[Any], ...]]
    scores: Callable[[Vectors, tuple[NDArray[Any], ...]], NDArray[np.float32]]
    bytes_per_vector: Callable[[int], int]


def _half(vectors: Vectors) -> tuple[NDArray[Any], ...]:
    return (vectors.astype(np.float16),)


def _half_scores(query: Vectors, codes: tuple[NDArray[Any], ...]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = codes[0].astype(np.float32) @ query
    return found


def _int8(vectors: Vectors) -> tuple[NDArray[Any], ...]:
    """Each vector has a scale of its own: its largest number becomes 127."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    scale = np.where(largest == 0, 1, largest) / INT8_LEVELS
    return np.rint(vectors / scale).astype(np.int8), scale[:, 0].astype(np.float32)


def _int8_scores(query: Vectors, codes: tuple[NDArray[Any], ...]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = (codes[0].astype(np.float32) @ query) * codes[1]
    return found


def _binary(vectors: Vectors) -> tuple[NDArray[Any], ...]:
    """The signs, packed into words of 64 bits; bits beyond the dimension are 0 on both sides."""
    bits = np.packbits(vectors > 0, axis=1)
    missing = -bits.shape[1] % 8
    return (np.ascontiguousarray(np.pad(bits, ((0, 0), (0, missing)))).view(np.uint64),)


def _binary_scores(query: Vectors, codes: tuple[NDArray[Any], ...]) -> NDArray[np.float32]:
    (signs,) = _binary(query[None, :])
    differing = np.bitwise_count(codes[0] ^ signs).sum(axis=1, dtype=np.int32)
    found: NDArray[np.float32] = -differing.astype(np.float32)
    return found


CODES = {
    "float16": Code("float16", _half, _half_scores, lambda dimension: 2 * dimension),
    "int8": Code("int8", _int8, _int8_scores, lambda dimension: dimension + 4),
    "binary": Code("binary", _binary, _binary_scores, lambda dimension: -(-dimension // 64) * 8),
}


def code_of(name: str) -> Code:
    """The code called ``name``.

    Raises:
        UnknownName: There is none; names the nearest.
    """
    if name not in CODES:
        raise UnknownName.among("quantization", name, [*CODES, "none"])
    return CODES[name]
