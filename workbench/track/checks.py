"""What every tracker refuses, whether it records anything or not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.errors import EvaluationError


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics as floats.

    Raises:
        EvaluationError: A value is NaN or infinite; names it.
    """
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise EvaluationError(
                f"metric {name!r} is {value}; expected a finite number. Leave it out when it could "
                "not be measured."
            )
    return {name: float(value) for name, value in metrics.items()}


def columns(name: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys that all rows of table ``name`` share, in order.

    Raises:
        EvaluationError: There are no rows, their keys differ or the name is not ``*.json``.
    """
    if not name.endswith(".json"):
        raise EvaluationError(f"table {name!r} can not be logged; expected a name ending in .json")
    if not rows:
        raise EvaluationError(f"table {name!r} has no rows; expected at least one")
    keys = list(rows[0])
    for i, row in enumerate(rows):
        if list(row) != keys:
            raise EvaluationError(
                f"row {i} of table {name!r} has the keys {list(row)}; expected {keys} as in row 0"
            )
    return keys
