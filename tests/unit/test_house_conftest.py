"""The rules of tests/conftest.py, seen from outside: small suites in a pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parent.parent / "conftest.py"


def run_suite(folder: Path, body: str, **env: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = nightly\n", encoding="utf-8")
    (folder / "test_inner.py").write_text(body, encoding="utf-8")
    kept = {k: v for k, v in os.environ.items() if k not in {"CI", "WORKBENCH_NIGHTLY"}}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env={**kept, **env},
        cwd=folder,
        timeout=120,
    )


SKIPS = """
import pytest
def test_needs_a_server():
    pytest.skip("missing server: no postgres")
"""


def test_a_missing_server_is_a_skip_at_home_and_a_failure_under_ci(tmp_path: Path) -> None:
    at_home = run_suite(tmp_path, SKIPS)
    assert at_home.returncode == 0
    assert "1 skipped" in at_home.stdout
    on_ci = run_suite(tmp_path, SKIPS, CI="true")
    assert on_ci.returncode == 1
    assert "does not accept: missing server: no postgres" in on_ci.stdout


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])
def test_missing_data_names_the_variable_to_set(tmp_path: Path, ci: str, code: int) -> None:
    body = "def test_it(data_dir):\n    assert data_dir\n"
    done = run_suite(tmp_path, body, CI=ci, WORKBENCH_DATA=str(tmp_path / "nowhere"))
    assert done.returncode == code
    assert "missing data:" in done.stdout
    assert "WORKBENCH_DATA" in done.stdout


def test_nightly_tests_run_only_when_asked_even_under_ci(tmp_path: Path) -> None:
    body = "import pytest\n@pytest.mark.nightly\ndef test_long():\n    pass\n"
    usual = run_suite(tmp_path, body, CI="true")
    assert (usual.returncode, "1 skipped" in usual.stdout) == (0, True)
    assert "WORKBENCH_NIGHTLY=1" in usual.stdout
    assert "1 passed" in run_suite(tmp_path, body, WORKBENCH_NIGHTLY="1").stdout


def test_a_process_left_behind_fails_the_session_even_as_an_orphan(tmp_path: Path) -> None:
    body = f"""
import subprocess, sys
LEAVE = "import subprocess; p = subprocess.Popen(['sleep', '8'], start_new_session=True)"
def test_it():
    subprocess.run([{sys.executable!r}, "-c", LEAVE])
"""
    done = run_suite(tmp_path, body)
    assert done.returncode == 1
    assert "sleep 8" in done.stdout
    assert "1 passed, 1 error" in done.stdout


def test_settings_of_the_person_do_not_reach_the_tests(tmp_path: Path) -> None:
    body = """
import os
def test_it():
    assert "WORKBENCH_HOME" not in os.environ
    assert os.environ["HF_HUB_OFFLINE"] == "1"
"""
    done = run_suite(tmp_path, body, WORKBENCH_HOME="/elsewhere", HF_HUB_OFFLINE="0")
    assert done.returncode == 0, done.stdout
