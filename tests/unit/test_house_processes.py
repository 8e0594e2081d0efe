"""Starting, knowing again and stopping processes."""

from __future__ import annotations

import dataclasses
import socket
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from workbench.run import processes

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(60)
"""
PARENT = """
import subprocess, sys, time
p = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
print(p.pid, flush=True)
time.sleep(60 if sys.argv[1] == "stay" else 0)
"""


def started(tmp_path: Path, code: str, *arguments: str) -> tuple[processes.Handle, str]:
    log = tmp_path / "logs" / "server.log"
    handle = processes.start([sys.executable, "-c", code, *arguments], log, {}, tmp_path)
    for _ in range(600):
        if log.read_text(encoding="utf-8").endswith("\n"):
            return handle, log.read_text(encoding="utf-8").strip()
        time.sleep(0.05)
    processes.stop(handle, 0.1)
    pytest.fail("the process said nothing")


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("parent", ["stay", "leave"])
def test_stop_ends_children_in_sessions_of_their_own_even_orphans(
    tmp_path: Path, parent: str
) -> None:
    handle, child = started(tmp_path, PARENT, parent)
    assert runs(int(child))
    processes.stop(handle, 5)
    assert not processes.alive(handle)
    assert not runs(int(child))


def test_a_process_that_ignores_sigterm_is_killed_and_was_not_clean(tmp_path: Path) -> None:
    handle, _ = started(tmp_path, STUBBORN)
    assert processes.stop(handle, 0.3) is False
    assert not runs(handle.pid)


def test_a_stranger_with_a_recorded_pid_is_neither_alive_nor_stopped(tmp_path: Path) -> None:
    handle, _ = started(tmp_path, STUBBORN)
    stale = dataclasses.replace(handle, created=handle.created - 3600, mark="another")
    assert not processes.alive(stale)
    assert processes.stop(stale, 0.3) is False
    assert processes.alive(handle)
    processes.stop(handle, 0.1)


def test_a_corrected_clock_does_not_hide_our_process(tmp_path: Path) -> None:
    handle, _ = started(tmp_path, STUBBORN)
    assert processes.alive(dataclasses.replace(handle, created=handle.created - 3600))
    processes.stop(handle, 0.1)


def test_a_port_that_is_held_for_a_moment_gets_free_and_another_does_not() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert not processes.gets_free(port, seconds=0.1)
        threading.Timer(0.3, holder.close).start()
        assert processes.gets_free(port, seconds=30)
