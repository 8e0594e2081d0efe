"""The notation of models: ``NAME[@PRECISION][/DIMENSION]``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from workbench.errors import ConfigError

PRECISIONS = ("float32", "bfloat16", "int8")
"""Number formats that a model can be asked to compute in."""

_DIMENSION = re.compile(r"(?P<rest>.+)/(?P<dimension>\d{1,6})")
_PRECISION = re.compile(r"(?P<rest>.+)@(?P<precision>[A-Za-z0-9_.-]+)")


@dataclass(frozen=True, slots=True)
class ModelName:
    """The parts of a name; ``str`` puts them together again.

    Attributes:
        base: A catalogued name, a folder's path, or a name of a provider.
        precision: What follows ``@``; empty where the model's own is meant.
        dimension: What follows ``/``; 0 where the model's own is meant.
    """

    base: str
    precision: str = ""
    dimension: int = 0

    def __str__(self) -> str:
        precision = f"@{self.precision}" if self.precision else ""
        dimension = f"/{self.dimension}" if self.dimension else ""
        return f"{self.base}{precision}{dimension}"


def parse_name(name: str) -> ModelName:
    """The parts of ``name``; a name without suffixes is all base.

    Args:
        name: E.g. ``"minilm-l6@int8"``, ``"wordllama/128"``, ``"/models/mine@bfloat16/256"``.

    Raises:
        ConfigError: The precision does not exist, or the dimension is 0.
    """
    rest, dimension = name, 0
    if sized := _DIMENSION.fullmatch(rest):
        rest, dimension = sized["rest"], int(sized["dimension"])
        if not dimension:
            raise ConfigError(f"model {name!r}: a vector of 0 numbers; expected 1 or more")
    if asked := _PRECISION.fullmatch(rest):
        rest, precision = asked["rest"], asked["precision"]
        if precision not in PRECISIONS:
            raise ConfigError(
                f"model {name!r} asks for the precision {precision!r}; expected one of "
                f"{', '.join(PRECISIONS)}"
            )
        return ModelName(rest, precision, dimension)
    return ModelName(rest, "", dimension)
