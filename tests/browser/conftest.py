"""JupyterLab on a free port, and a page of headless Chromium on it."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

CHECKOUT = Path(__file__).parent.parent.parent
READY_S = 90
STOP_S = 30
PAGE_MS = 60_000
INSTALL = "apt-get install -y chromium"
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
NO_NEWS = {"checkForUpdates": False, "fetchNews": "false"}


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: ``folder`` is what it shows."""

    url: str
    token: str
    folder: Path

    def page_of(self, notebook):
        return f"{self.url}/lab/tree/{notebook}?token={self.token}"


def environment(tmp_path):
    """Directories of its own for everything that Jupyter would write into a person's home."""
    found = dict(os.environ)
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        found[name] = str(tmp_path / name.lower())
    found["JUPYTERLAB_SETTINGS_DIR"] = str(tmp_path / "settings")
    found["JUPYTERLAB_WORKSPACES_DIR"] = str(tmp_path / "workspaces")
    news = tmp_path / "settings" / "@jupyterlab" / "apputils-extension"
    news.mkdir(parents=True)
    (news / "notification.jupyterlab-settings").write_text(json.dumps(NO_NEWS), encoding="utf-8")
    found["WORKBENCH_HOME"] = str(tmp_path / "home")
    found["PYTHONPATH"] = str(CHECKOUT)
    return found


def await_ready(lab, process, log):
    deadline = time.monotonic() + READY_S
    request = urllib.request.Request(  # noqa: S310 (our own server)
        f"{lab.url}/api/status", headers={"Authorization": f"token {lab.token}"}
    )
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(request, timeout=5):  # noqa: S310 (our own server)
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not get ready in {READY_S} s:\n{log.read_text()[-4000:]}")


def stop(process):
    """End the server, which ends its kernels; what is left of them is killed by pid."""
    if process.poll() is None:
        kernels = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        _, alive = psutil.wait_procs([psutil.Process(process.pid), *kernels], timeout=STOP_S)
        for left in alive:
            left.kill()
    process.wait(STOP_S)


@pytest.fixture
def lab(tmp_path, free_port):
    """JupyterLab over a copy of the notebooks, with a token, stopped at the end."""
    folder = tmp_path / "notebooks"
    shutil.copytree(CHECKOUT / "notebooks", folder)
    found = Lab(f"http://127.0.0.1:{free_port}", secrets.token_hex(16), folder)
    log = tmp_path / "jupyter.log"
    command = [
        sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={free_port}", "--ServerApp.port_retries=0",
        "--ServerApp.open_browser=False", f"--ServerApp.root_dir={folder}",
        f"--IdentityProvider.token={found.token}", "--LabApp.expose_app_in_browser=True",
        "--ServerApp.allow_root=True",
    ]  # fmt: skip
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=environment(tmp_path), stdout=out, stderr=subprocess.STDOUT, cwd=tmp_path
        )
    try:
        await_ready(found, process, log)
        yield found
    finally:
        stop(process)


@pytest.fixture
def page(tmp_path):
    """A page that is tall enough to show a whole notebook."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip(f"missing server: chromium is not installed; install it with `{INSTALL}`")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM_FLAGS)
        try:
            made = browser.new_page(viewport={"width": 1280, "height": 2400})
            made.set_default_timeout(PAGE_MS)
            yield made
        finally:
            browser.close()
