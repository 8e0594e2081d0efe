"""Texts of a source to calibrate a model with."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from workbench.config import Config
from workbench.data.load import data_dirs, open_source
from workbench.models import resolve
from workbench.records import SourceDocument

if TYPE_CHECKING:
    from workbench.models.quantise import QuantizeResult

DEFAULT_SOURCE = "handbook"
"""An evaluation set that ships: real prose on many subjects."""


def quantize(config: Config, name: str, source: str | None) -> QuantizeResult:
    """Quantise ``name`` with the first texts of ``source``; see ``workbench.models.quantise``."""
    from workbench.models.quantise import CALIBRATION_TEXTS, quantise
    from workbench.run.inline import usable_cpus

    spec = resolve(name)
    opened = open_source(source or DEFAULT_SOURCE, data_dirs=data_dirs(), options=config.source)
    readable = (one for one in opened if isinstance(one, SourceDocument))
    texts = [f"{one.title} {one.text}" for one in islice(readable, CALIBRATION_TEXTS)]
    return quantise(spec, texts, usable_cpus())
