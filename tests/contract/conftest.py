"""The stores that the contract runs over: how each is opened, closed and opened again."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from workbench.errors import StoreError
from workbench.protocols import Store
from workbench.stores import open_store
from workbench.stores.codes import CODES

CHROMA = Path(sys.executable).with_name("chroma")
START_SECONDS = 60


@dataclass
class Opener:
    """Opens one store again and again; ``close`` what is still open at the end."""

    open: Callable[[], Store]
    store: Store

    def reopen(self) -> Store:
        self.store.close()
        self.store = self.open()
        return self.store


@pytest.fixture(scope="session")
def chroma_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("chroma-server")
    url = f"http://127.0.0.1:{port}"
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            [CHROMA, "run", "--path", home / "data", "--host", "127.0.0.1", "--port", str(port)],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(url, server)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(START_SECONDS * 4):
        if server.poll() is not None:
            pytest.fail(f"chroma run ended with {server.returncode}")
        try:
            open_store("chroma", path=Path("unused"), url=url).close()
        except StoreError:
            time.sleep(0.25)
        else:
            return
    pytest.fail(f"no Chroma server at {url} after {START_SECONDS} s")


@pytest.fixture(
    params=[
        "memory",
        "float16",
        "int8",
        "binary",
        pytest.param("embedded", marks=pytest.mark.chroma),
        pytest.param("server", marks=pytest.mark.chroma),
    ]
)
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    url = request.getfixturevalue("chroma_url") if request.param == "server" else None
    code = request.param if request.param in CODES else "none"
    kind = "memory" if code != "none" or request.param == "memory" else "chroma"

    def opened() -> Store:
        # Codes only choose what is looked at: with enough oversampling the answers are exact.
        return open_store(
            kind, path=tmp_path / "chroma", url=url, quantization=code, oversampling=1_000
        )

    holder = Opener(opened, opened())
    try:
        yield holder
    finally:
        holder.store.close()


@pytest.fixture
def store(opener: Opener) -> Store:
    return opener.store


@pytest.fixture
def index(request: pytest.FixtureRequest) -> str:
    """One collection of its own for each test: the server is shared."""
    return f"handbook/{request.node.name}"
