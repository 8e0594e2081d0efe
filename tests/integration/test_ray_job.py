"""Bulk work as a Ray job: killed, submitted again, and equal to an inline run."""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from workbench import Workbench
from workbench.config import Config
from workbench.run import services
from workbench.run.actors import WINDOW
from workbench.run.inline import usable_cpus
from workbench.run.jobs import Jobs
from workbench.state.vault import Vault

pytestmark = [
    pytest.mark.services, pytest.mark.ray, pytest.mark.slow, pytest.mark.data, pytest.mark.models,
]  # fmt: skip

ROOT = Path(__file__).parents[2]
DOCUMENTS = 150
PORTS = ("chroma_port", "mlflow_port", "ray_port", "ray_dashboard_port")


@pytest.fixture(scope="module")
def source(data_dir, tmp_path_factory):
    lines = (data_dir / "med" / "corpus.jsonl").read_text(encoding="utf-8").split("\n")
    file = tmp_path_factory.mktemp("source") / "corpus.jsonl"
    file.write_text("\n".join(lines[:DOCUMENTS]) + "\n", encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def config(tmp_path_factory, free_ports):
    env = {f"WORKBENCH_SERVICES__{port.upper()}": str(free_ports()) for port in PORTS}
    config = Config.load(home=tmp_path_factory.mktemp("home"), env=env)
    with Workbench.open(config) as bench:
        bench.up()
        yield config
        bench.down()


def facts(bench, corpus):
    registry = bench.workspace.registry
    index = corpus.served()
    return {chunk_id for page in registry.indexes.chunk_keys(index) for chunk_id, _ in page}


def test_a_job_killed_once_and_submitted_again_ends_in_the_same_index(config, source, tmp_path):
    found = services.read(config.home)
    jobs = Jobs(found.ray_jobs_url, found.token_path)
    work = [sys.executable, "ray_jobs/ingest.py", source, "--corpus", "med", "--model",
            "minilm-l6", "--chunking", "128", "--home", config.home]  # fmt: skip
    entrypoint = shlex.join(map(str, work))
    env = {"WORKBENCH_INDEX__WINDOW_CHUNKS": "32", "WORKBENCH_INDEX__BATCH_TEXTS": "8"}
    first = jobs.submit(entrypoint, ROOT, env=env)
    deadline = time.monotonic() + 180
    kept = 0
    while not kept:
        assert time.monotonic() < deadline, jobs.logs(first)
        assert jobs.status(first) in {"PENDING", "RUNNING"}, jobs.logs(first)
        time.sleep(0.3)
        if (config.home / "vault.sqlite").exists():
            vault = Vault(config.home / "vault.sqlite")
            kept = len(vault)
            vault.close()
    assert jobs.stop(first)
    assert jobs.wait(first, timeout=60) == "STOPPED"

    command = [Path(sys.executable).with_name("ray"), "job", "submit", "--address",
               found.ray_jobs_url, "--working-dir", ROOT, "--", *work]  # fmt: skip
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(found.token_path)}
    second = subprocess.run(
        list(map(str, command)), env={**os.environ, **token}, check=False, capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip
    assert second.returncode == 0, second.stdout + second.stderr

    with Workbench.open(Config.load(home=tmp_path, env={})) as inline:
        corpus = inline.corpus("med")
        corpus.ingest(str(source), model="minilm-l6", chunking="128")
        expected = facts(inline, corpus)
        texts = len(inline.workspace.vault)
    with Workbench.open(config) as joined:
        corpus = joined.corpus("med")
        assert corpus.verify().ok
        assert facts(joined, corpus) == expected
        settled = joined.workspace.registry.ledger.totals()
        assert len(joined.workspace.vault) == texts
        taken_ahead = WINDOW * usable_cpus()
        assert settled["calls"] - settled["settled"] <= taken_ahead, "more than one map takes ahead"
        again = corpus.ingest(str(source))
        assert (again.encoder_calls, again.writes) == (0, 0)


def test_a_killed_chroma_server_is_started_again_and_holds_everything(config, source):
    with Workbench.open(config) as bench:
        corpus = bench.corpus("killed")
        corpus.ingest(str(source), model="wordllama", chunking="128")
    chroma = next(s for s in services.status(config).services if s.name == "chroma")
    os.kill(chroma.pid, 9)
    with Workbench.open(config) as bench:
        bench.up()
        corpus = bench.corpus("killed")
        report = corpus.verify()
        assert report.ok, report
        assert corpus.ingest(str(source)).encoder_calls == 0
