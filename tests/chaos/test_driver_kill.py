"""The driver dies at any instant; the next run ends in the index that an undisturbed one makes."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from workbench import Workbench
from workbench.config import Config
from workbench.state.registry import Registry
from workbench.state.vault import Vault

pytestmark = [pytest.mark.chaos, pytest.mark.chroma, pytest.mark.data, pytest.mark.models]

NIGHTLY = os.environ.get("WORKBENCH_NIGHTLY") == "1"
KILLS = 60 if NIGHTLY else 6
SEED = random.SystemRandom().randrange(10**6) if NIGHTLY else 20_261_123
CHILD = Path(__file__).parent / "ingest_child.py"
DOCUMENTS = 300
POINTS = [
    ("after:vault.put", 2),
    ("after:indexes.intend", 2),
    ("before:store.upsert", 1),
    ("after:store.upsert", 3),
    ("before:indexes.flip", 2),
    ("after:indexes.flip", 1),
]


@pytest.fixture(scope="module")
def source(data_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    lines = (data_dir / "med" / "corpus.jsonl").read_text(encoding="utf-8").split("\n")
    (folder / "corpus.jsonl").write_text("\n".join(lines[:DOCUMENTS]) + "\n", encoding="utf-8")
    return folder / "corpus.jsonl"


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory):
    """What a run without a kill makes: its chunk ids, its number of texts, its duration."""
    home = tmp_path_factory.mktemp("undisturbed")
    child = start(home, source, "never", 0)
    assert child.stdout.readline() == "open\n"
    started = time.monotonic()
    out, err = child.communicate()
    assert out == "done\n", err
    registry, vault = Registry(home / "registry.sqlite"), Vault(home / "vault.sqlite")
    facts = chunk_ids(registry), len(vault), time.monotonic() - started
    registry.close()
    vault.close()
    return facts


def start(home, source, where, calls):
    return subprocess.Popen(
        [sys.executable, CHILD, home, source, where, str(calls)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def chunk_ids(registry):
    (index,) = registry.indexes.all()
    return {chunk_id for page in registry.indexes.chunk_keys(index) for chunk_id, _ in page}


def check_next_run(home, source, undisturbed):
    ids, texts, _ = undisturbed
    registry, vault = Registry(home / "registry.sqlite"), Vault(home / "vault.sqlite")
    kept = len(vault)
    asked_before = registry.ledger.totals()["texts"]
    registry.close()
    vault.close()
    said = []
    with Workbench.open(Config.load(home=home, env={}), notify=said.append) as bench:
        corpus = bench.corpus("med")
        corpus.ingest(str(source), model="wordllama", chunking="128")
        work = bench.workspace
        asked = work.registry.ledger.totals()["texts"] - asked_before
        report = corpus.verify()
        assert report.ok, (report, said)
        assert chunk_ids(work.registry) == ids
        assert asked == texts - kept, "a text whose batch reached the vault was encoded again"
        again = corpus.ingest(str(source))
        assert (again.encoder_calls, again.writes) == (0, 0)


@pytest.mark.parametrize(("where", "calls"), POINTS, ids=[f"{w}-{c}" for w, c in POINTS])
def test_a_driver_killed_between_vault_store_and_registry(
    tmp_path, source, undisturbed, where, calls
):
    child = start(tmp_path, source, where, calls)
    child.communicate(timeout=120)
    assert child.returncode == -signal.SIGKILL
    check_next_run(tmp_path, source, undisturbed)


@pytest.mark.parametrize("number", range(KILLS))
def test_a_driver_killed_at_a_random_instant(tmp_path, source, undisturbed, number):
    delay = random.Random(f"{SEED}-{number}").uniform(0, undisturbed[2])
    print(json.dumps({"seed": SEED, "number": number, "delay": delay}))
    child = start(tmp_path, source, "never", 0)
    child.stdout.readline()
    time.sleep(delay)
    child.kill()
    child.communicate(timeout=120)
    check_next_run(tmp_path, source, undisturbed)


@pytest.mark.parametrize("where", ["before:store.delete", "after:store.delete"])
def test_a_driver_killed_while_it_removes_what_went_stale(tmp_path, source, undisturbed, where):
    text = source.read_text(encoding="utf-8")
    mine = tmp_path / "corpus.jsonl"
    mine.write_text(text, encoding="utf-8")
    child = start(tmp_path / "home", mine, "never", 0)
    assert child.communicate(timeout=120)[0].endswith("done\n")
    mine.write_text("\n".join(text.split("\n")[:100]) + "\n", encoding="utf-8")
    child = start(tmp_path / "home", mine, where, 1)
    child.communicate(timeout=120)
    assert child.returncode == -signal.SIGKILL
    mine.write_text(text, encoding="utf-8")
    check_next_run(tmp_path / "home", mine, undisturbed)
