"""YAML files in, validated values out, errors that name the key and the cure."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from workbench.errors import ConfigError, UnknownName


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Model = TypeVar("Model", bound=BaseModel)


def validate(kind: type[Model], facts: Any, origin: str) -> Model:
    """``facts`` as a ``kind``, or an error that names the key, its origin and the cure."""
    try:
        return kind.model_validate(facts)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = _keys_at(kind, first["loc"][:-1])
            raise UnknownName.among(f"key in {origin}:", where, known) from None
        place = f"{origin}: {where}" if where else origin
        message = first["msg"].removeprefix("Value error, ")
        found = "" if first["type"] == "value_error" else f"; found {first.get('input')!r}"
        raise ConfigError(f"{place}: {message}{found}") from None


def _keys_at(kind: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    fields = kind.model_fields
    for part in loc:
        inner = fields[str(part)].annotation if str(part) in fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        fields = inner.model_fields
    prefix = "".join(f"{part}." for part in loc)
    return [prefix + name for name in fields]


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds one mapping (an empty file holds an empty one).

    Raises:
        ConfigError: It is missing, is not YAML, or holds something else; names the line.
    """
    try:
        facts = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if facts is None:
        return {}
    if not isinstance(facts, dict):
        raise ConfigError(f"{path} holds a {type(facts).__name__}; expected keys and values")
    return facts


def shipped(name: str) -> Path:
    """Path of a file of ``configs/``, in a checkout or in an installed wheel."""
    checkout = Path(__file__).parents[2] / "configs" / name
    if checkout.is_file():
        return checkout
    return Path(str(resources.files("workbench"))) / "_configs" / name
