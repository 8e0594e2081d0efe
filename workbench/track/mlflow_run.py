"""One MLflow run: parameters, metrics, tables, figures, data sets."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from workbench.track.checks import columns, finite

TABLES_TAG = "mlflow.loggedArtifacts"
DIGEST_LENGTH = 36  # longest digest of a dataset that MLflow takes
BATCH = 100  # most parameters in one request


class MlflowRun:
    """One run; everything is written at once."""

    def __init__(self, client: Any, run_id: str, folder: Path | None) -> None:
        """Wrap a run that exists.

        Args:
            client: ``MlflowClient``.
            run_id: MLflow's id of the run.
            folder: Where its files are written directly; None = through the server.
        """
        self._client = client
        self._run_id = run_id
        self._folder = folder
        self._tables: list[dict[str, str]] = []

    @property
    def run_id(self) -> str:
        """MLflow's id of the run."""
        return self._run_id

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log immutable facts; values are written as text."""
        from mlflow.entities import Param

        items = [Param(name, str(value)) for name, value in params.items()]
        for start in range(0, len(items), BATCH):
            self._client.log_batch(self._run_id, params=items[start : start + BATCH])

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log finite numbers; ``step`` draws a line.

        Raises:
            EvaluationError: A value is not finite.
        """
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        items = [Metric(name, value, now, step or 0) for name, value in finite(metrics).items()]
        if items:
            self._client.log_batch(self._run_id, metrics=items)

    def log_table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Log rows where MLflow's evaluation view finds them, as ``MlflowClient.log_table`` does.

        Raises:
            EvaluationError: There are no rows or their keys differ.
        """
        names = columns(name, rows)
        table = {"columns": names, "data": [list(row.values()) for row in rows]}
        self.put(name, json.dumps(table, ensure_ascii=False).encode())
        entry = {"path": name, "type": "table"}
        if entry not in self._tables:
            self._tables.append(entry)
        self._client.set_tag(self._run_id, TABLES_TAG, json.dumps(self._tables))

    def log_figure(self, name: str, png: bytes) -> None:
        """Log a PNG as ``name``."""
        self.put(name, png)

    def log_dataset(self, name: str, digest: str, facts: Mapping[str, Any]) -> None:
        """Log which data the run used; the page shows name and digest (cut to 36 characters)."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        data = Dataset(
            name=name,
            digest=digest[:DIGEST_LENGTH],
            source_type="workbench",
            source=json.dumps({"name": name, "digest": digest}),
            profile=json.dumps(dict(facts)),
        )
        tag = InputTag("mlflow.data.context", "evaluation")
        self._client.log_inputs(self._run_id, [DatasetInput(data, [tag])])

    def put(self, name: str, content: bytes) -> None:
        """Write ``content`` as the run's file ``name`` (``/`` makes folders)."""
        if self._folder is not None:
            target = self._folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            return
        path = PurePosixPath(name)
        folder = None if path.parent == PurePosixPath() else str(path.parent)
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / path.name
            file.write_bytes(content)
            self._client.log_artifact(self._run_id, str(file), folder)
