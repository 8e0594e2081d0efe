"""Joining Ray: a private cluster of this process, or one that already runs."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workbench.errors import ExecutionError, ServiceError

OBJECT_STORE_BYTES = 300 * 2**20
"""Shared memory of a private cluster; batches and vectors in flight need far less."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
}
"""Inherited by the processes of a private cluster, where the user has not set them."""
KNOCK_SECONDS = 5.0
LONGEST_TEMP = 40
"""Characters of a temporary folder under which Ray's socket paths stay legal (107 in all)."""


class Cluster:
    """This process's connection to Ray.

    Args:
        cpus: CPUs of the private cluster; ignored when joining.
        address: ``host:port`` of a running cluster; None starts a private one.
        token_path: File with the token of the cluster. For a private one it is made (mode 0600)
            when missing; without a path a temporary one is used.
    """

    def __init__(self, cpus: int, address: str | None, token_path: Path | None) -> None:
        self._cpus = cpus
        self._address = address
        self._token_path = token_path
        self._folder: Path | None = None
        self._saved: dict[str, str | None] = {}
        self._release = threading.Event()
        self.ours = False

    def join(self) -> None:
        """Connect; does nothing in a process that is connected already.

        Raises:
            ServiceError: The cluster is not reachable or refuses the token, or Ray can not start.
        """
        import ray

        if ray.is_initialized():
            return
        if self._address is not None:
            address = self._address
            self._attempt(lambda: self._connect(address))
        else:
            try:
                self._attempt(self._start)
            except ServiceError:  # a busy machine can miss Ray's own fixed 30 s: once more
                self._attempt(self._start)
        self.ours = True

    def _attempt(self, start: Callable[[], None]) -> None:
        """Run ``start``; when it fails, leave nothing of it behind."""
        import ray

        try:
            start()
        except BaseException:
            ray.shutdown()
            self._tidy()
            raise

    def leave(self) -> None:
        """Disconnect, and end the private cluster; a connection made by others stays."""
        if not self.ours:
            return
        import ray

        self.ours = False
        try:
            ray.shutdown()
        finally:
            self._tidy()

    def _start(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="wbray-"))
        token = self._token_path or self._folder / "token"
        if not token.exists():
            write_token(token)
        self._authenticate(token)
        inherited = {name: value for name, value in QUIET.items() if name not in os.environ}
        self._set(inherited)
        options = {
            "address": "local",
            "num_cpus": self._cpus,
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
            "_node_ip_address": "127.0.0.1",
        }
        if len(str(self._folder)) <= LONGEST_TEMP:
            options["_temp_dir"] = str(self._folder)
        try:
            self._init(options)
        except Exception as error:
            raise ServiceError(
                f"Ray did not start on this machine: {_first_line(error)} Free some memory or CPU "
                "and try again, or use the inline executor"
            ) from error
        finally:
            for name in inherited:
                os.environ.pop(name, None)

    def _connect(self, address: str) -> None:
        if self._token_path is not None:
            if not self._token_path.is_file():
                raise ServiceError(
                    f"no token file at {self._token_path}; start the services with `workbench up` "
                    "or name the file that holds the cluster's token"
                )
            self._authenticate(self._token_path)
        try:
            _knock(address)
            self._init({"address": address})
        except (OSError, RuntimeError) as error:
            raise ServiceError(
                f"no Ray cluster lets us in at {address} with the token of {self._token_path} "
                f"({_first_line(error)}); start the services with `workbench up`, or correct "
                "executor.address or the token file"
            ) from error

    def _init(self, options: dict[str, Any]) -> None:
        """Run ``ray.init`` in a thread that lives as long as the cluster.

        Linux ends Ray's servers when the *thread* that started them ends (PR_SET_PDEATHSIG), so
        a cluster started in a passing thread of a notebook would die with it.
        """
        if threading.current_thread() is threading.main_thread():
            _init(options)
            return
        ready, release = threading.Event(), self._release
        errors: list[BaseException] = []

        def keep() -> None:
            try:
                _init(options)
            except BaseException as error:  # noqa: BLE001 (handed to the caller's thread)
                errors.append(error)
            ready.set()
            if not errors:
                release.wait()

        threading.Thread(target=keep, name="ray-keeper", daemon=True).start()
        ready.wait()
        if errors:
            raise errors[0]

    def _authenticate(self, token: Path) -> None:
        self._set({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)})
        _forget_token()

    def _set(self, values: Mapping[str, str]) -> None:
        for name, value in values.items():
            self._saved.setdefault(name, os.environ.get(name))
            os.environ[name] = value

    def _tidy(self) -> None:
        for name, value in self._saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._saved.clear()
        _forget_token()
        self._release.set()
        self._release = threading.Event()
        if self._folder is not None:
            _end_processes(str(self._folder))
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def write_token(path: Path) -> None:
    """Write a fresh random token to ``path``, readable by its owner only.

    Raises:
        FileExistsError: There is a file already; a token in use is never overwritten.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32))


def room_for(threads: int) -> int:
    """Actors of ``threads`` CPUs that the nodes alive now can hold, others' work not counted."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return sum(int(node.get("CPU", 0) // threads) for node in nodes)


def check_room(actors: int, threads: int, room: int, where: str) -> None:
    """Refuse before starting what would wait for ever.

    Raises:
        ExecutionError: ``actors`` actors of ``threads`` CPUs do not fit.
    """
    if actors > room or room == 0:
        raise ExecutionError(
            f"{max(actors, 1)} actor(s) of {threads} CPU(s) each were asked for, {where} has room "
            f"for {room}; lower executor.actors or executor.threads"
        )


def _knock(address: str) -> None:
    """Raise OSError when nothing listens: ``ray.init`` would wait for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=KNOCK_SECONDS).close()


def _init(options: dict[str, Any]) -> None:
    import ray

    ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    # Ray prints "(raylet) A worker died …" on stdout even so; what matters is raised by the map.
    ray._private.worker._worker_logs_enabled = False  # noqa: SLF001 (no public way)


def _end_processes(folder: str) -> None:
    """Kill what a start that failed half way left: our descendants that name ``folder``."""
    import psutil

    left = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended by itself
            if folder in " ".join(child.cmdline()):
                child.kill()
                left.append(child)
    psutil.wait_procs(left, timeout=5)


def _forget_token() -> None:
    """Make this process read mode and token again: Ray keeps the first ones it ever saw."""
    import ray

    ray._raylet.Config.initialize("")  # noqa: SLF001 (no public way)
    ray._raylet.AuthenticationTokenLoader.instance().reset_cache()  # noqa: SLF001


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
