"""`workbench up` and `down` with the real Chroma, MLflow and Ray."""

from __future__ import annotations

import json
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from workbench.config import Config
from workbench.errors import ServiceError
from workbench.run import processes, services

pytestmark = [pytest.mark.services, pytest.mark.ray, pytest.mark.slow]


def configured(home: Path, free: Callable[[], int]) -> Config:
    keys = ["chroma_port", "mlflow_port", "ray_port", "ray_dashboard_port"]
    ports = {f"WORKBENCH_SERVICES__{key.upper()}": str(free()) for key in keys}
    return Config.load(home=home, env=ports)


@pytest.fixture(scope="module")
def prepared() -> list[str]:
    return []


@pytest.fixture(scope="module")
def config(
    tmp_path_factory: pytest.TempPathFactory, free_ports: Callable[[], int], prepared: list[str]
) -> Iterator[Config]:
    config = configured(tmp_path_factory.mktemp("home"), free_ports)

    def prepare() -> None:
        assert not (config.home / "chroma.open").exists()
        prepared.append("store")

    try:
        services.up(config, prepare_store=prepare)
        yield config
    finally:
        services.down(config)


def pids(config: Config) -> dict[str, int | None]:
    return {service.name: service.pid for service in services.status(config).services}


def test_all_three_run_and_are_recorded_for_their_owner_only(
    config: Config, prepared: list[str]
) -> None:
    assert services.status(config).running
    assert prepared == ["store"]
    assert (config.home / "chroma.open").exists()
    for name in ("services.json", "ray.token"):
        assert stat.S_IMODE((config.home / name).stat().st_mode) == 0o600
    endpoints = services.read(config.home)
    assert endpoints is not None
    assert endpoints.chroma_url == f"http://127.0.0.1:{config.services.chroma_port}"
    assert endpoints.ray_address == f"127.0.0.1:{config.services.ray_port}"
    assert endpoints.token_path == config.home / "ray.token"


def test_a_second_up_keeps_every_process(config: Config) -> None:
    before = pids(config)
    stages: list[tuple[str, str]] = []
    result = services.up(config, on_stage=lambda name, stage: stages.append((name, stage)))
    assert result.started == ()
    assert pids(config) == before
    assert stages == [(name, "already running") for name in services.NAMES]
    assert json.loads(json.dumps(result.to_dict()))["endpoints"]["ray_jobs_url"]


def test_ray_turns_away_who_has_no_token(config: Config) -> None:
    port = config.services.ray_dashboard_port
    token = (config.home / "ray.token").read_text(encoding="ascii")
    allowed = {"Authorization": f"Bearer {token}"}
    assert processes.http_status(port, "/api/jobs/") == 401
    assert processes.http_status(port, "/api/jobs/", {"Authorization": "Bearer wrong"}) in {
        401,
        403,
    }
    assert processes.http_status(port, "/api/jobs/", allowed) == 200


def test_what_people_open_listens_on_loopback_only(config: Config) -> None:
    ports = {config.services.chroma_port, config.services.mlflow_port}
    ports.add(config.services.ray_dashboard_port)
    hosts: dict[int, set[str]] = {port: set() for port in ports}
    for service in services.status(config).services:
        parent = psutil.Process(service.pid)
        for process in [parent, *parent.children(recursive=True)]:
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr[1] in ports:
                    hosts[connection.laddr[1]].add(connection.laddr[0])
    assert hosts == {port: {"127.0.0.1"} for port in ports}


def test_a_taken_port_is_named_with_its_cure_and_nothing_stays(
    tmp_path: Path, free_ports: Callable[[], int]
) -> None:
    config = configured(tmp_path / "other", free_ports)
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", config.services.mlflow_port))
        stranger.listen()
        with pytest.raises(ServiceError) as caught:
            services.up(config)
    message = str(caught.value)
    for part in (str(config.services.mlflow_port), "services.mlflow_port", "SERVICES__MLFLOW_PORT"):
        assert part in message
    assert services.read(config.home) is None
    assert not (config.home / "services.json").exists()


def test_a_server_that_does_not_start_takes_the_others_with_it(
    tmp_path: Path, free_ports: Callable[[], int]
) -> None:
    config = configured(tmp_path / "broken", free_ports)
    config.home.mkdir()
    (config.home / "mlflow.db").write_text("not a database" * 100, encoding="utf-8")
    with pytest.raises(ServiceError, match=r"(?s)mlflow ended.*not a database"):
        services.up(config)
    assert services.read(config.home) is None
    assert not (config.home / "services.json").exists()
    assert not [p for p in psutil.process_iter(["cmdline"]) if _names(p, config.home)]


def test_down_leaves_no_process_and_a_cleanly_closed_store(config: Config) -> None:
    family = set()
    for pid in pids(config).values():
        parent = psutil.Process(pid)
        family |= {parent, *parent.children(recursive=True)}
    folder = json.loads((config.home / "services.json").read_text(encoding="utf-8"))
    (ray,) = [line["folder"] for line in folder["services"] if line["name"] == "ray"]
    result = services.down(config)
    assert [service.state for service in result.services] == ["stopped"] * 3
    assert [process for process in family if _runs(process)] == []
    assert not Path(ray).exists()
    assert not (config.home / "chroma.open").exists()
    assert services.read(config.home) is None
    assert services.down(config) == result


def _runs(process: psutil.Process) -> bool:
    try:
        # A zombie has ended; its new parent, the system, collects it when it likes.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _names(process: psutil.Process, home: Path) -> bool:
    return str(home) in " ".join(process.info["cmdline"] or [])
