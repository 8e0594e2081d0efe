"""What every test shares: data sets, profiles, a quiet offline environment, no process left."""

from __future__ import annotations

import os
import random
import socket
import uuid
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import psutil
import pytest

CHECKOUT = Path(__file__).parent.parent
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "ANONYMIZED_TELEMETRY": "False",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TOKENIZERS_PARALLELISM": "false",
}
OURS_TO_KEEP = {"WORKBENCH_DATA", "WORKBENCH_NIGHTLY"}
FOREIGN = {"RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}
FOREIGN |= {"MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID"}
MISSING = ("missing server:", "missing data:")
"""How the reason of a skip starts that a build machine must not accept."""

MARK = "PYTEST_DESCENDANT_OF"
SESSION = uuid.uuid4().hex
LEFTOVER_GRACE_S = 5


def under_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true"}


def pytest_configure() -> None:
    # Here and not in a fixture: libraries read these while test modules are being imported.
    for name in list(os.environ):
        if (name.startswith("WORKBENCH_") and name not in OURS_TO_KEEP) or name in FOREIGN:
            del os.environ[name]
    os.environ.update(QUIET)
    # Every process started from here inherits this mark, so that orphans are found as well.
    os.environ[MARK] = f"{os.environ.get(MARK, '')}:{SESSION}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("WORKBENCH_NIGHTLY") == "1":
        return
    later = pytest.mark.skip(reason="nightly: set WORKBENCH_NIGHTLY=1 to run it")
    for item in items:
        if item.get_closest_marker("nightly"):
            item.add_marker(later)


def _forbid_missing(report: Any) -> None:
    if not (under_ci() and report.outcome == "skipped" and isinstance(report.longrepr, tuple)):
        return
    path, line, reason = report.longrepr
    reason = reason.removeprefix("Skipped: ")
    if reason.startswith(MISSING):
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: a skip that CI does not accept: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _forbid_missing(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _forbid_missing(report)
    return report


def _left_behind() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            # Python's own tracker of shared memory ends with its parent.
            if "resource_tracker" in " ".join(process.cmdline()):
                continue
            if SESSION in process.environ().get(MARK, ""):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def _describe(process: psutil.Process) -> str:
    with process.oneshot():
        try:
            return f"pid {process.pid} {process.name()}: {' '.join(process.cmdline())[:200]}"
        except psutil.NoSuchProcess:
            return f"pid {process.pid}, ended meanwhile"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    _, alive = psutil.wait_procs(_left_behind(), timeout=LEFTOVER_GRACE_S)
    if not alive:
        return
    report = pytest.TestReport(
        nodeid="processes left behind",
        location=("tests/conftest.py", None, "processes left behind"),
        keywords={},
        outcome="failed",
        longrepr="the tests left processes running:\n" + "\n".join(_describe(p) for p in alive),
        when="teardown",
    )
    session.exitstatus = pytest.ExitCode.TESTS_FAILED
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.stats.setdefault("error", []).append(report)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the evaluation sets, each in BEIR layout."""
    named = os.environ.get("WORKBENCH_DATA")
    folder = Path(named) if named else CHECKOUT.parent / "shared" / "data"
    if not (folder / "scifact" / "corpus.jsonl").is_file():
        pytest.skip(
            f"missing data: {folder} holds no evaluation sets (looked for scifact/corpus.jsonl); "
            "set WORKBENCH_DATA to the folder that does"
        )
    return folder.resolve()


@pytest.fixture(scope="session")
def free_ports() -> Callable[[], int]:
    """A function that gives another free port of 127.0.0.1 each time it is called.

    Below the ephemeral range and above Ray's workers (10002-19999), so neither takes it meanwhile.
    """
    candidates = list(range(20_000, 32_000))
    random.Random(os.getpid()).shuffle(candidates)

    def another() -> int:
        while True:
            port = candidates.pop()
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            return port

    return another


@pytest.fixture
def free_port(free_ports: Callable[[], int]) -> int:
    return free_ports()
