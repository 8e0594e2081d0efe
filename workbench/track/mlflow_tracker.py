"""Runs, tables and model versions in MLflow, without touching its global state."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from workbench.errors import ConfigError, ServiceError, UnknownName
from workbench.protocols import TrackedRun
from workbench.spec import EmbeddingSpec
from workbench.track.mlflow_run import MlflowRun

MISSING = "RESOURCE_DOES_NOT_EXIST"
PARENT_TAG = "mlflow.parentRunId"
NOTE_TAG = "mlflow.note.content"
PROXIED = "mlflow-artifacts"


class MlflowTracker:
    """Runs and model versions in an MLflow database or server."""

    def __init__(self, uri: str, artifacts: Path | None = None) -> None:
        """Check the URI; the database is opened, and made when it is new, on first use.

        Args:
            uri: ``sqlite:////absolute/mlflow.db`` or ``http(s)://host:port``.
            artifacts: Directory of files when there is no server; beside the database by default.

        Raises:
            ConfigError: The URI is relative or of an unknown kind.
        """
        parts = urlsplit(uri)
        if parts.scheme not in {"sqlite", "http", "https"}:
            raise ConfigError(
                f"tracking URI {uri!r} is of an unknown kind; expected sqlite:////absolute/path "
                "or http(s)://host:port"
            )
        self._uri = uri.rstrip("/")
        self._database = None if parts.scheme != "sqlite" else Path(parts.path.removeprefix("/"))
        if self._database is not None and not self._database.is_absolute():
            raise ConfigError(
                f"tracking URI {uri!r} is relative to the working directory; expected an absolute "
                "path, with four slashes: sqlite:////absolute/path"
            )
        self._artifacts = artifacts
        if self._artifacts is None and self._database is not None:
            self._artifacts = self._database.parent / "mlartifacts"

    @cached_property
    def client(self) -> Any:
        """The MLflow client, bound to this URI only.

        Raises:
            ServiceError: The database or the server can not be used.
        """
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        # Standard output belongs to the caller: `--json` prints one object and nothing else.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        import logging

        from filelock import FileLock
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        try:
            if self._database is None:
                client = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
                client.search_experiments(max_results=1)
                return client
            self._database.parent.mkdir(parents=True, exist_ok=True)
            # Processes that migrate one fresh database at the same time break each other.
            with FileLock(f"{self._database}.lock"):
                client = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
                client.search_experiments(max_results=1)
        except (MlflowException, OSError) as error:
            raise ServiceError(
                f"MLflow at {self._uri} can not be used: {error}. Check that the server runs "
                "(`workbench status`) or switch tracking off in the configuration."
            ) from error
        return client

    @contextmanager
    def run(
        self,
        experiment: str,
        name: str,
        *,
        tags: Mapping[str, str] | None = None,
        description: str = "",
        parent: TrackedRun | None = None,
    ) -> Iterator[MlflowRun]:
        """Open a run, nested under ``parent`` when given.

        It ends FINISHED, FAILED when the block raises, KILLED when it is interrupted.
        """
        labels = {"workbench.started": datetime.now(UTC).isoformat(timespec="seconds")}
        labels |= tags or {}
        labels |= {NOTE_TAG: description} if description else {}
        labels |= {PARENT_TAG: parent.run_id} if parent is not None else {}
        experiment_id = self._experiment(experiment)
        made = self.client.create_run(experiment_id, tags=labels, run_name=name)
        run_id = made.info.run_id
        status = "FINISHED"
        try:
            yield self._open(run_id, made.info.artifact_uri)
        except Exception:
            status = "FAILED"
            raise
        except BaseException:
            status = "KILLED"
            raise
        finally:
            self.client.set_terminated(run_id, status)

    def register(self, registry_name: str, spec: EmbeddingSpec, run: TrackedRun) -> str:
        """Version of ``spec`` under ``registry_name``, made once per fingerprint.

        The version points at a ``spec.json`` among the files of ``run``: no weights are copied.
        """
        self._ensure_registered(registry_name)
        known = self._version(registry_name, spec.fingerprint)
        if known is not None:
            return known
        info = self.client.get_run(run.run_id).info
        content = json.dumps(spec.to_dict(), indent=2).encode()
        self._open(run.run_id, info.artifact_uri).put("spec/spec.json", content)
        made = self.client.create_model_version(
            registry_name,
            source=f"{info.artifact_uri}/spec",
            run_id=run.run_id,
            description=f"{spec.model} ({spec.provider}, {spec.dimension} dimensions)",
            tags={
                "fingerprint": spec.fingerprint,
                "model": spec.model,
                "digest": spec.digest,
                "dimension": str(spec.dimension),
            },
            await_creation_for=0,
        )
        return str(made.version)

    def alias(self, registry_name: str, alias: str) -> str | None:
        """Fingerprint that ``alias`` points at, or None."""
        from mlflow.exceptions import MlflowException

        try:
            version = self.client.get_registered_model(registry_name).aliases.get(alias)
        except MlflowException as error:
            if error.error_code != MISSING:
                raise
            return None
        if version is None:
            return None
        found = self.client.get_model_version(registry_name, str(version))
        return str(found.tags["fingerprint"])

    def set_alias(self, registry_name: str, alias: str, fingerprint: str) -> None:
        """Point ``alias`` at the version of ``fingerprint``.

        Raises:
            UnknownName: No version has that fingerprint.
        """
        version = self._version(registry_name, fingerprint)
        if version is None:
            found = self.client.search_model_versions(f"name='{registry_name}'")
            known = [str(entry.tags.get("fingerprint")) for entry in found]
            raise UnknownName.among(f"version of {registry_name}", fingerprint, known)
        self.client.set_registered_model_alias(registry_name, alias, version)

    def url(self, run: TrackedRun) -> str:
        """Page of ``run`` on the server; empty without a server."""
        if self._database is not None or not run.run_id:
            return ""
        experiment_id = self.client.get_run(run.run_id).info.experiment_id
        path = f"experiments/{experiment_id}/runs/{run.run_id}"
        return f"{self._uri}/#/{path}?workflowType=machine_learning"

    def _open(self, run_id: str, uri: str) -> MlflowRun:
        """The run with its files at ``uri``.

        A run made through a server has a proxied URI; when its database is opened without the
        server, that URI means the server's directory.
        """
        parts = urlsplit(uri)
        path = unquote(parts.path)
        folder = Path(path) if parts.scheme == "file" else None
        if parts.scheme == PROXIED and self._database is not None and self._artifacts is not None:
            folder = self._artifacts / path.lstrip("/")
        return MlflowRun(self.client, run_id, folder)

    def _experiment(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            if found.lifecycle_stage == "deleted":
                self.client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)
        location = None
        if self._database is not None and self._artifacts is not None:
            location = (self._artifacts.absolute() / name).as_uri()
        return str(self.client.create_experiment(name, artifact_location=location))

    def _ensure_registered(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _version(self, registry_name: str, fingerprint: str) -> str | None:
        found = self.client.search_model_versions(
            f"name='{registry_name}' and tag.fingerprint='{fingerprint}'"
        )
        return min((str(entry.version) for entry in found), key=int, default=None)
