"""Servers as processes: start them detached, know them again later, stop all of them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil

MARK = "EMBEDDING_WORKBENCH_SERVICE"
"""Variable with a random value that a server and everything it starts inherits."""
SAME_START_S = 2.0
"""Start times are derived from the wall clock, which may be corrected between two readings."""

_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, slots=True)
class Handle:
    """Enough to know a process again: a pid alone may be given to a stranger.

    Attributes:
        pid: Process id; also the id of its session and process group.
        created: Start of the process, seconds since 1970.
        mark: Value of ``MARK`` in its environment.
    """

    pid: int
    created: float
    mark: str


def start(command: Sequence[str], log: Path, env: Mapping[str, str], cwd: Path) -> Handle:
    """Start ``command`` in a session of its own; it outlives this process.

    Args:
        command: Program and arguments; no shell.
        log: File that stdout and stderr are appended to.
        env: Variables on top of this process's own.
        cwd: Working directory.

    Raises:
        OSError: The program or the log can not be opened.
    """
    mark = uuid.uuid4().hex
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **env, MARK: mark},
            cwd=cwd,
            start_new_session=True,
        )
    _children[process.pid] = process
    return Handle(process.pid, _created(process.pid), mark)


def alive(handle: Handle) -> bool:
    """Whether this very process runs; a stranger with the same pid does not count."""
    child = _children.get(handle.pid)
    if child is not None and child.poll() is not None:
        return False
    return _find(handle) is not None


def stop(handle: Handle, grace: float) -> bool:
    """End the process and everything it started: SIGTERM, then SIGKILL after ``grace`` seconds.

    Returns:
        Whether the process was alive and ended by itself within ``grace``.

    Raises:
        TimeoutError: Something survived SIGKILL.
    """
    main = _find(handle)
    family = _family(handle, main)
    if main is not None:
        _signal([main], signal.SIGTERM)
        _wait([main], grace)
    clean = main is not None and not _running(main)
    # What its parent left behind, or started meanwhile, goes the same way.
    rest = [p for p in {*family, *_family(handle, main if not clean else None)} if _running(p)]
    _signal([process for process in rest if process != main], signal.SIGTERM)
    _wait([process for process in rest if process != main], min(grace, 5.0))
    survivors = [process for process in rest if _running(process)]
    _signal(survivors, signal.SIGKILL)
    survivors = _wait(survivors, 10.0)
    child = _children.pop(handle.pid, None)
    if child is not None:
        child.poll()
    if survivors:
        raise TimeoutError(f"processes {[p.pid for p in survivors]} survived SIGKILL")
    return clean


def port_is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def gets_free(port: int, seconds: float = 3.0) -> bool:
    """Whether ``port`` is free now or soon: a server that was killed holds its own for a moment."""
    deadline = time.monotonic() + seconds
    while not port_is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def spare_port() -> int:
    """A port that is free now; the system does not give it out again soon."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listener(port: int) -> str:
    """Who listens on ``port``, e.g. ``"python (pid 4711)"``; ``"another program"`` if unknown."""
    try:
        for connection in psutil.net_connections("tcp"):
            here = tuple(connection.laddr)
            if connection.status == psutil.CONN_LISTEN and here[1:] == (port,):
                name = psutil.Process(connection.pid).name()
                return f"{name} (pid {connection.pid})"
    except psutil.Error:
        return "another program"
    return "another program"


def http_status(port: int, path: str, headers: Mapping[str, str] | None = None) -> int | None:
    """Status of ``GET path`` on 127.0.0.1, past any proxy; None when nothing answers in time."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of ``log``; a remark when there are none."""
    try:
        found = log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    except OSError:
        found = []
    return "\n".join(found) or "(the log is empty)"


def _created(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return time.time()


def _running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _marked(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark
    except (psutil.Error, OSError):
        return False


def _find(handle: Handle) -> psutil.Process | None:
    try:
        process = psutil.Process(handle.pid)
        same = abs(process.create_time() - handle.created) < SAME_START_S
    except psutil.NoSuchProcess:
        return None
    return process if _running(process) and (same or _marked(process, handle.mark)) else None


def _family(handle: Handle, main: psutil.Process | None) -> set[psutil.Process]:
    """The process, its descendants, its session, and orphans that carry the mark."""
    found: set[psutil.Process] = set()
    if main is not None and _running(main):
        try:
            found |= {main, *main.children(recursive=True)}
        except psutil.NoSuchProcess:
            main = None
    for process in psutil.process_iter():
        in_session = main is not None and _session(process.pid) == handle.pid
        if process.pid != os.getpid() and (in_session or _marked(process, handle.mark)):
            found.add(process)
    return found


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def _wait(processes: Iterable[psutil.Process], timeout: float) -> list[psutil.Process]:
    """Those of ``processes`` that still run after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    left = [process for process in processes if _running(process)]
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        for pid in {process.pid for process in left} & _children.keys():
            _children[pid].poll()
        left = [process for process in left if _running(process)]
    return left
