"""Where runs and model versions are recorded: nowhere, or in MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from workbench.track.null import NullTracker

if TYPE_CHECKING:
    from workbench.protocols import Tracker

__all__ = ["NullTracker", "make_tracker"]


def make_tracker(uri: str | None, artifacts: Path | None = None) -> Tracker:
    """Make the tracker behind ``uri``; opening it is left to its first use.

    Args:
        uri: ``sqlite:////absolute/mlflow.db`` or ``http(s)://host:port``; None = track nothing.
        artifacts: Directory of files when the database is used without a server.

    Raises:
        ConfigError: The URI is relative or of an unknown kind.
    """
    if uri is None:
        return NullTracker()
    from workbench.track.mlflow_tracker import MlflowTracker

    return MlflowTracker(uri, artifacts)
