"""One tree of errors. Every message says what was found, what was expected and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SHOWN_NAMES = 30
"""Names that an error lists at most."""


class WorkbenchError(Exception):
    """Base of every error this package raises on purpose.

    Attributes:
        exit_code: What the command line exits with when this error ends a command.
    """

    exit_code = 1


class ConfigError(WorkbenchError):
    """A configuration file, an environment variable or a flag is not usable."""

    exit_code = 2


class UnknownName(ConfigError):
    """A model, preset, evaluation set, corpus or key that does not exist."""

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str], cure: str = "") -> UnknownName:
        """Build the error with the nearest known name in it.

        Args:
            kind: What the name was meant to be, e.g. ``"model"``.
            name: What was found.
            known: The names that exist.
            cure: What to do, appended as a sentence of its own.
        """
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        guess = f" Did you mean {near[0]!r}?" if near else ""
        more = f", … ({len(names)} in all)" if len(names) > SHOWN_NAMES else ""
        shown = ", ".join(names[:SHOWN_NAMES])
        listing = f" Known: {shown}{more}." if names else " None exist yet."
        return cls(f"unknown {kind} {name!r}.{guess}{listing}{' ' + cure if cure else ''}")


class UnknownPrice(UnknownName):
    """A paid model or unit has no price; nothing is assumed to be free."""


class BudgetExceeded(WorkbenchError):
    """A call was refused before it was made, because it would cost more than is allowed."""


class SourceError(WorkbenchError):
    """A source of documents or an evaluation set can not be read."""


class ModelError(WorkbenchError):
    """A model can not be used."""


class ModelMissing(ModelError):
    """The files of a model are not on this machine."""


class DigestMismatch(ModelError):
    """The files of a model are not the ones its digest promises."""


class InvalidVectors(ModelError):
    """An encoder answered with vectors that must not be stored (shape, NaN, zero)."""


class ProviderError(ModelError):
    """A provider of embeddings refused a request, or failed on every attempt."""


class ModelWarning(UserWarning):
    """A model works, but not as fast or as well as its name suggests; says what was measured."""


class SpaceMismatch(WorkbenchError):
    """Vectors of one space were offered to an index of another; names both fingerprints."""


class StateError(WorkbenchError):
    """The registry or the vault refuses: a broken row, a newer schema, a stale version."""


class VaultDamaged(StateError):
    """A vector of record fails its checksum or is not finite."""


class LeaseLost(StateError):
    """Another driver holds the lease; nothing more may be written under the old token."""


class HomeLocked(StateError):
    """Another process owns this embedded home."""


class StoreError(WorkbenchError):
    """A vector store failed."""


class StoreDamaged(StoreError):
    """A vector store is unreadable or contradicts itself; it must be rebuilt."""


class ServiceError(WorkbenchError):
    """A service can not be started, reached or stopped."""


class ExecutionError(WorkbenchError):
    """A stage failed for good: every attempt at a batch raised or lost its actor."""


class EvaluationError(WorkbenchError):
    """An evaluation or a comparison can not be computed from what was given."""
