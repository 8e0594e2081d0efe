"""The tracker that records nothing: the same checks, aliases only for its own lifetime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from workbench.errors import UnknownName
from workbench.protocols import TrackedRun
from workbench.spec import EmbeddingSpec
from workbench.track.checks import columns, finite


class NullRun:
    """A run that is recorded nowhere."""

    @property
    def run_id(self) -> str:
        """Empty: nothing is tracked."""
        return ""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Do nothing."""

    def log_metrics(
        self,
        metrics: Mapping[str, float],
        step: int | None = None,  # noqa: ARG002 - the protocol has it
    ) -> None:
        """Check that the values are finite."""
        finite(metrics)

    def log_table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Check that all rows have the same keys."""
        columns(name, rows)

    def log_figure(self, name: str, png: bytes) -> None:
        """Do nothing."""

    def log_dataset(self, name: str, digest: str, facts: Mapping[str, Any]) -> None:
        """Do nothing."""


class NullTracker:
    """Records nothing on disk; versions and aliases live as long as this object."""

    def __init__(self) -> None:
        self._versions: dict[str, list[str]] = {}
        self._aliases: dict[tuple[str, str], str] = {}

    @contextmanager
    def run(
        self,
        experiment: str,  # noqa: ARG002 - the protocol has it
        name: str,  # noqa: ARG002 - the protocol has it
        *,
        tags: Mapping[str, str] | None = None,  # noqa: ARG002 - the protocol has it
        description: str = "",  # noqa: ARG002 - the protocol has it
        parent: TrackedRun | None = None,  # noqa: ARG002 - the protocol has it
    ) -> Iterator[NullRun]:
        """Open a run that is recorded nowhere."""
        yield NullRun()

    def register(
        self,
        registry_name: str,
        spec: EmbeddingSpec,
        run: TrackedRun,  # noqa: ARG002 - the protocol has it
    ) -> str:
        """Version of ``spec`` under ``registry_name``, made once per fingerprint."""
        versions = self._versions.setdefault(registry_name, [])
        if spec.fingerprint not in versions:
            versions.append(spec.fingerprint)
        return str(versions.index(spec.fingerprint) + 1)

    def alias(self, registry_name: str, alias: str) -> str | None:
        """Fingerprint that ``alias`` points at, or None."""
        return self._aliases.get((registry_name, alias))

    def set_alias(self, registry_name: str, alias: str, fingerprint: str) -> None:
        """Point ``alias`` at the version of ``fingerprint``.

        Raises:
            UnknownName: No version has that fingerprint.
        """
        versions = self._versions.get(registry_name, [])
        if fingerprint not in versions:
            raise UnknownName.among(f"version of {registry_name}", fingerprint, versions)
        self._aliases[(registry_name, alias)] = fingerprint

    def url(self, run: TrackedRun) -> str:  # noqa: ARG002 - the protocol has it
        """Empty: there is nowhere to look."""
        return ""
