"""An answer is believed only when every vector of it can be stored."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import InvalidVectors
from workbench.models.api.faults import Cure, Fault
from workbench.models.truncate import normalized

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.protocols import Vectors


@dataclass(frozen=True, slots=True)
class Answer:
    """Vectors in the order of the texts, shape (n, dimension), and the tokens charged.

    ``tokens`` is None when the provider does not say.
    """

    vectors: Vectors
    tokens: int | None


def invalid(reason: str, tokens: int | None = None, bad: frozenset[int] = frozenset()) -> Fault:
    """The fault of an answer that came and can not be used; it may have been charged."""
    return Fault(reason, Cure.AGAIN, tokens=tokens, bad=bad, error=InvalidVectors)


def parsed(content: bytes, content_type: str) -> dict[str, Any]:
    """The JSON object of an answer.

    Raises:
        Fault: It is something else, e.g. a page of a proxy.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise invalid(f"the answer is {kind or 'of no type'}, not JSON")
    try:
        payload = json.loads(content)
    except (ValueError, RecursionError):
        raise invalid("the answer is broken JSON") from None
    if not isinstance(payload, dict):
        raise invalid(f"the answer is a JSON {type(payload).__name__}, not an object")
    return payload


def ordered(items: Any, n: int, tokens: int | None) -> list[Any]:
    """The embeddings of ``{"index", "embedding"}`` items, in the order of their index.

    Raises:
        Fault: An index is missing, twice there, or out of range.
    """
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise invalid("the answer holds no list of embeddings", tokens)
    found: dict[int, Any] = {}
    for item in items:
        index = item.get("index")
        if type(index) is not int or not 0 <= index < n:
            raise invalid(f"index {index!r} is not of the {n} texts sent", tokens)
        if index in found:
            raise invalid(f"index {index} is answered twice", tokens)
        found[index] = item.get("embedding")
    if len(found) != n:
        raise invalid(f"{n} texts were sent, {len(found)} were answered", tokens)
    return [found[index] for index in range(n)]


def vectors_of(rows: Sequence[Any], n: int, dimension: int, tokens: int | None) -> Vectors:
    """Rows (lists of numbers, or base64 of float32) as unit vectors, shape (n, dimension).

    Raises:
        Fault: A count or a length is wrong, or a row is not finite or zero (names their places).
    """
    if len(rows) != n:
        raise invalid(f"{n} texts were sent, {len(rows)} were answered", tokens)
    found = [_numbers(row, tokens) for row in rows]
    wrong = {row.shape for row in found} - {(dimension,)}
    if wrong:
        raise invalid(
            f"a vector has shape {min(wrong)}; expected {dimension} numbers. Does the model make "
            "that dimension?", tokens
        )  # fmt: skip
    vectors = np.stack(found)
    unusable = ~np.isfinite(vectors).all(axis=1) | ~vectors.any(axis=1)
    if unusable.any():
        bad = frozenset(np.flatnonzero(unusable).tolist())
        raise invalid(f"{len(bad)} of {n} vectors hold NaN or infinity, or are zero", tokens, bad)
    # In float64, so that tiny and huge rows keep their direction.
    wide = vectors.astype(np.float64)
    return normalized((wide / np.abs(wide).max(axis=1, keepdims=True)).astype(np.float32))


def _numbers(row: Any, tokens: int | None) -> NDArray[np.float32]:
    try:
        if isinstance(row, str):
            return np.frombuffer(base64.b64decode(row, validate=True), dtype="<f4")
        numbers = np.asarray(row)
    except (TypeError, ValueError, OverflowError, binascii.Error):
        numbers = np.asarray(None)
    if not isinstance(row, list) or numbers.dtype.kind not in "fi":
        raise invalid("an embedding is no list of numbers", tokens)
    with np.errstate(over="ignore"):
        return numbers.astype(np.float32)


def counted(usage: Any, *names: str) -> int | None:
    """The first of the counts ``names`` of ``usage`` that is a sane number."""
    for name in names:
        value = usage.get(name) if isinstance(usage, dict) else None
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e12:  # noqa: PLR2004
            return int(value)
    return None
