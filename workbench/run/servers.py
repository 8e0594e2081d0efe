"""The three servers: how each is started, when it is ready, how it is stopped."""

from __future__ import annotations

import os
import secrets
import shutil
import sysconfig
import tempfile
from pathlib import Path

from workbench.config import Config
from workbench.errors import ServiceError
from workbench.run import processes
from workbench.run.service_records import Record, write_private

OBJECT_STORE_BYTES = 300_000_000
GRACE_S = 20.0
UNAUTHORIZED = 401
OK = 200


def _program(name: str) -> str:
    path = Path(sysconfig.get_path("scripts")) / name
    if not path.is_file():
        raise ServiceError(f"the program {name!r} is not in {path.parent}; install it: make setup")
    return str(path)


def start(name: str, config: Config) -> Record:
    """Start the server called ``name``, without waiting for it.

    Raises:
        ServiceError: Its program is missing or can not be run.
    """
    try:
        return {"chroma": _start_chroma, "mlflow": _start_mlflow, "ray": _start_ray}[name](config)
    except OSError as error:
        raise ServiceError(
            f"{name} can not be started: {error}; make {config.home} writable"
        ) from error


def _start_chroma(config: Config) -> Record:
    home, port = config.home, config.services.chroma_port
    command = [_program("chroma"), "run", "--path", str(home / "chroma")]
    command += ["--host", "127.0.0.1", "--port", f"{port}"]
    _marker(home).write_text(f"{os.getpid()}\n", encoding="utf-8")
    log = home / "logs" / "chroma.log"
    handle = processes.start(command, log, {"ANONYMIZED_TELEMETRY": "False"}, home)
    return Record("chroma", handle, port, f"http://127.0.0.1:{port}")


def mlflow_command(home: Path, port: int) -> list[str]:
    """The MLflow server of ``home`` on 127.0.0.1, as arguments; run it in ``home``."""
    command = [_program("mlflow"), "server", "--host", "127.0.0.1", "--port", f"{port}"]
    command += ["--backend-store-uri", f"sqlite:///{home / 'mlflow.db'}"]
    return [*command, "--artifacts-destination", str(home / "mlartifacts"), "--workers", "1"]


def mlflow_environment() -> dict[str, str]:
    """Variables of that server: no telemetry, no job runners (they take 2.8 GB)."""
    return {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def _start_mlflow(config: Config) -> Record:
    home, port = config.home, config.services.mlflow_port
    log = home / "logs" / "mlflow.log"
    handle = processes.start(mlflow_command(home, port), log, mlflow_environment(), home)
    return Record("mlflow", handle, port, f"http://127.0.0.1:{port}")


def _start_ray(config: Config) -> Record:
    home, head = config.home, config.services.ray_port
    dashboard = config.services.ray_dashboard_port
    token = home / "ray.token"
    if not token.exists():
        write_private(token, secrets.token_hex(32))
    # Paths of unix sockets hold 107 characters; a home or a user's TMPDIR may be longer.
    folder = tempfile.mkdtemp(prefix="wb-", dir="/tmp")
    command = [_program("ray"), "start", "--head", "--block", "--node-ip-address", "127.0.0.1"]
    command += ["--port", f"{head}", "--dashboard-host", "127.0.0.1"]
    command += ["--dashboard-port", f"{dashboard}", "--temp-dir", folder]
    command += ["--num-cpus", f"{_cpus()}", "--object-store-memory", f"{OBJECT_STORE_BYTES}"]
    # Fixed ports by default, which a second cluster on the machine would find taken.
    command += ["--dashboard-agent-listen-port", f"{processes.spare_port()}"]
    command += ["--ray-client-server-port", f"{processes.spare_port()}"]
    env = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    try:
        handle = processes.start(command, home / "logs" / "ray.log", env, home)
    except OSError:
        shutil.rmtree(folder)
        raise
    url = f"http://127.0.0.1:{dashboard}"
    return Record("ray", handle, dashboard, url, f"127.0.0.1:{head}", folder)


def _cpus() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def ready(home: Path, record: Record) -> bool:
    """Whether the server answers (Ray: to the token)."""
    paths = {"chroma": "/api/v2/heartbeat", "mlflow": "/health", "ray": "/api/version"}
    headers = {}
    if record.name == "ray":
        try:
            token = (home / "ray.token").read_text(encoding="ascii").strip()
        except OSError:
            return False
        headers = {"Authorization": f"Bearer {token}"}
    return processes.http_status(record.port, paths[record.name], headers) == OK


def check_guard(home: Path, record: Record) -> None:
    """Make sure that Ray turns away who has no token.

    Raises:
        ServiceError: It does not.
    """
    if record.name != "ray":
        return
    found = processes.http_status(record.port, "/api/jobs/")
    if found != UNAUTHORIZED:
        raise failure(home, record, f"answers {found} without a token, expected {UNAUTHORIZED}")


def failure(home: Path, record: Record, what: str) -> ServiceError:
    """The error for a server that failed, ``what`` saying how, with the end of its log."""
    log = home / "logs" / f"{record.name}.log"
    return ServiceError(f"{record.name} {what}; the end of {log}:\n{processes.tail(log)}")


def stop(home: Path, record: Record) -> None:
    """End the server with all it started, remove its marker (clean end) and its folder.

    Raises:
        ServiceError: Something survived SIGKILL.
    """
    try:
        clean = processes.stop(record.handle, GRACE_S)
    except TimeoutError as error:
        raise ServiceError(
            f"{record.name} can not be stopped: {error}; end them by hand"
        ) from error
    if record.name == "chroma" and clean:
        _marker(home).unlink(missing_ok=True)
    if record.folder:
        shutil.rmtree(record.folder, ignore_errors=True)


def _marker(home: Path) -> Path:
    """Exists while Chroma has its files open; left over, it tells of an unclean close."""
    return home / "chroma.open"
