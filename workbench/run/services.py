"""``workbench up`` and ``down``: Chroma, MLflow and Ray on 127.0.0.1, known by services.json."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench.config import Config
from workbench.errors import ServiceError
from workbench.results import Result
from workbench.run import processes, servers, service_records
from workbench.run.servers import mlflow_command, mlflow_environment
from workbench.run.service_records import Record

__all__ = [
    "Endpoints",
    "ServiceState",
    "Services",
    "ServicesStatus",
    "down",
    "mlflow_command",
    "mlflow_environment",
    "read",
    "status",
    "up",
]

NAMES = ("chroma", "mlflow", "ray")
DEADLINE_S = 180.0

OnStage = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the servers of a home answer; None for one that does not run."""

    chroma_url: str | None
    mlflow_url: str | None
    ray_address: str | None
    ray_jobs_url: str | None
    token_path: Path | None


@dataclass(frozen=True, slots=True)
class ServiceState:
    """One server: ``state`` is "running", "starting" (no answer yet), "died" or "stopped"."""

    name: str
    state: str
    pid: int | None
    url: str


@dataclass(frozen=True)
class ServicesStatus(Result):
    """What runs for one home."""

    home: str
    services: tuple[ServiceState, ...]

    @property
    def running(self) -> bool:
        """Whether every server runs and answers."""
        return all(service.state == "running" for service in self.services)

    def rows(self) -> Sequence[dict[str, Any]]:
        """One row per server. A pid is a name: it is not grouped in thousands."""
        return [{**asdict(s), "pid": str(s.pid or "")} for s in self.services]


@dataclass(frozen=True)
class Services(ServicesStatus):
    """What ``up`` leaves running, and which of them it had to start."""

    endpoints: Endpoints
    started: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values; the path of the token, never the token."""
        facts = super().to_dict()
        path = facts["endpoints"]["token_path"]
        facts["endpoints"]["token_path"] = None if path is None else str(path)
        return facts


def up(
    config: Config,
    *,
    on_stage: OnStage = lambda _name, _stage: None,
    prepare_store: Callable[[], None] | None = None,
) -> Services:
    """Start what does not run yet, wait until all of it answers.

    Args:
        config: Home and ports.
        on_stage: Told (server, "starting" | "ready in 5.2 s" | "already running").
        prepare_store: Called right before Chroma is started, while nobody has its files open.

    Raises:
        ServiceError: A port is taken, a program is missing or a server does not get ready. What
            this call started is stopped again.
    """
    home = config.home
    home.mkdir(parents=True, exist_ok=True)
    with service_records.locked(home):
        records = {r.name: r for r in service_records.load(home) if processes.alive(r.handle)}
        _bury(home, keep=records)
        wanted = [name for name in NAMES if name not in records]
        for name in records:
            on_stage(name, "already running")
        _check_ports(config, wanted)
        begun = time.monotonic()
        try:
            for name in wanted:
                if name == "chroma" and prepare_store is not None:
                    prepare_store()
                on_stage(name, "starting")
                records[name] = servers.start(name, config)
                service_records.save(home, records.values())
            for name in _await(home, [records[name] for name in wanted]):
                on_stage(name, f"ready in {time.monotonic() - begun:.1f} s")
        except BaseException:
            for name in wanted:
                if name in records:
                    servers.stop(home, records.pop(name))
            service_records.save(home, records.values())
            raise
        found = status(config)
        return Services(found.home, found.services, _endpoints(home, records), tuple(wanted))


def down(config: Config, *, on_stage: OnStage = lambda _name, _stage: None) -> ServicesStatus:
    """Stop exactly what ``up`` recorded for this home; no error when nothing runs.

    Raises:
        ServiceError: A process survived SIGKILL, or another ``up`` or ``down`` is at work.
    """
    home = config.home
    if not (home / "services.json").exists():
        return status(config)
    with service_records.locked(home):
        left = {record.name: record for record in service_records.load(home)}
        for name in reversed(NAMES):
            if name in left:
                on_stage(name, "stopping")
                servers.stop(home, left.pop(name))
                service_records.save(home, left.values())
                on_stage(name, "stopped")
    return status(config)


def status(config: Config) -> ServicesStatus:
    """What is recorded for this home, and whether it lives and answers."""
    records = {record.name: record for record in service_records.load(config.home)}
    return ServicesStatus(
        str(config.home), tuple(_state(config.home, name, records.get(name)) for name in NAMES)
    )


def read(home: Path) -> Endpoints | None:
    """Where the servers of ``home`` answer; None when none is recorded or none of them lives."""
    records = {r.name: r for r in service_records.load(home) if processes.alive(r.handle)}
    return _endpoints(home, records) if records else None


def _endpoints(home: Path, records: Mapping[str, Record]) -> Endpoints:
    chroma, mlflow, ray = (records.get(name) for name in NAMES)
    return Endpoints(
        chroma_url=chroma.url if chroma else None,
        mlflow_url=mlflow.url if mlflow else None,
        ray_address=ray.address if ray else None,
        ray_jobs_url=ray.url if ray else None,
        token_path=home / "ray.token" if ray else None,
    )


def _state(home: Path, name: str, record: Record | None) -> ServiceState:
    if record is None:
        return ServiceState(name, "stopped", None, "")
    if not processes.alive(record.handle):
        return ServiceState(name, "died", None, "")
    state = "running" if servers.ready(home, record) else "starting"
    return ServiceState(name, state, record.handle.pid, record.url)


def _ports(config: Config, names: Sequence[str]) -> dict[str, int]:
    """Port by configuration key, for the servers called ``names``."""
    keys = {
        "chroma": ["chroma_port"],
        "mlflow": ["mlflow_port"],
        "ray": ["ray_port", "ray_dashboard_port"],
    }
    return {key: getattr(config.services, key) for name in names for key in keys[name]}


def _check_ports(config: Config, names: Sequence[str]) -> None:
    seen: dict[int, str] = {}
    for key, port in _ports(config, NAMES).items():
        if port in seen:
            raise ServiceError(f"services.{key} and services.{seen[port]} are both {port}")
        seen[port] = key
    for key, port in _ports(config, names).items():
        if not processes.gets_free(port):
            raise ServiceError(
                f"port {port} is taken by {processes.listener(port)}, expected it free for "
                f"services.{key}; stop that program, or choose another port there or in "
                f"WORKBENCH_SERVICES__{key.upper()}"
            )


def _await(home: Path, pending: list[Record]) -> Iterator[str]:
    """Names of ``pending`` in the order in which they get ready."""
    deadline = time.monotonic() + DEADLINE_S
    while pending:
        for record in list(pending):
            if not processes.alive(record.handle):
                raise servers.failure(home, record, "ended while it was starting")
            if servers.ready(home, record):
                servers.check_guard(home, record)
                pending.remove(record)
                yield record.name
        if pending and time.monotonic() > deadline:
            raise servers.failure(home, pending[0], f"did not get ready within {DEADLINE_S:.0f} s")
        time.sleep(0.1)


def _bury(home: Path, keep: Mapping[str, Record]) -> None:
    """Remove what servers that died left: orphans and folders."""
    for record in service_records.load(home):
        if record.name not in keep:
            servers.stop(home, record)
