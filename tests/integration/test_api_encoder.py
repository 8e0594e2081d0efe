"""Remote models from the source to the index: faults, refused texts, kills, budgets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from embedding_server import KEY, KINDS, EmbeddingServer, sized, vectors_of

from workbench import Workbench
from workbench.config import Config, ProviderConfig, ProvidersConfig
from workbench.errors import BudgetExceeded, InvalidVectors, ProviderError
from workbench.index.encoding import Account, VaultEncoder, batched
from workbench.models import resolve
from workbench.models.api.providers import Providers
from workbench.run.inline import InlineExecutor
from workbench.state.registry import Registry
from workbench.state.vault import Vault

MODEL = "openai:text-embedding-3-small"
SPEC = resolve(MODEL)
REQUESTS = 100
ATTEMPTS = 3


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with EmbeddingServer() as running:
        yield running


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def documents(folder: Path, n: int) -> Path:
    folder.mkdir(exist_ok=True)
    for i in range(n):
        (folder / f"d{i:03}.txt").write_text(f"Document {i} speaks of matter number {i * 7}.")
    return folder


def config(server: EmbeddingServer, home: Path, **facts: object) -> Config:
    provider = {"base_url": server.url, "backoff": 0.0, **facts}
    return Config.model_validate(
        {"home": home, "tracking": False, "model": MODEL, "providers": {"openai": provider}}
    )


# The numbers: every kind of fault, a hundred requests each


@pytest.mark.parametrize("kind", KINDS)
def test_no_invalid_vector_reaches_the_vault_and_the_ledger_is_the_server_s_count(
    server: EmbeddingServer, kind: str
) -> None:
    """A hundred requests meet the fault once, then some meet it always."""
    server.hang = 3.0
    registry, vault = Registry(None), Vault(None)
    settings = ProviderConfig(
        base_url=server.url, backoff=0.0, concurrency=16, attempts=ATTEMPTS, max_inputs=3,
        timeout=0.5 if kind in {"timeout", "slow-drip"} else 10.0,
    )  # fmt: skip
    providers = Providers(ProvidersConfig(openai=settings))

    def encoder() -> VaultEncoder:
        return VaultEncoder(SPEC, "document", vault, registry.ledger, Account("r", "c", providers))

    texts = [f"request {i // 3} text {i % 3}" for i in range(3 * REQUESTS)]
    hopeless = [f"hopeless {i // 3} text {i % 3}" for i in range(12)]
    try:
        server.misbehave(kind)
        if kind == "quota":
            for at in range(0, len(texts), 3):
                with pytest.raises(ProviderError, match="quota"):
                    encoder().encode_all(InlineExecutor(), "t", texts[at : at + 3], 32)
            assert server.calls == REQUESTS
        else:
            found = encoder().encode_all(InlineExecutor(), "t", texts, 32)
            np.testing.assert_allclose(found, sized(vectors_of(texts), 1536), atol=1e-6)
            assert server.calls == REQUESTS * (1 if kind == "reordered" else 2)
        done = server.calls
        server.misbehave(kind, times=10**9)
        for at in range(0, len(hopeless) if kind != "reordered" else 0, 3):
            with pytest.raises((ProviderError, InvalidVectors)):
                encoder().encode_all(InlineExecutor(), "t", hopeless[at : at + 3], 32)
        # Of NaN and zero the bad row is left out once, and the rest has its own attempts.
        assert server.calls - done <= 4 * 2 * ATTEMPTS
        kept = len(texts) if kind != "quota" else 0
        totals = registry.ledger.totals()
        assert totals["calls"] == server.calls
        assert totals["texts"] == server.texts.total()
        assert len(vault) == kept == totals["settled"] * 3
    finally:
        providers.close()


def test_at_full_concurrency_too(server: EmbeddingServer) -> None:
    """All kinds mixed in one run of 150 requests, 16 at once."""
    kinds = [kind for kind in KINDS if kind not in {"quota", "timeout", "slow-drip"}]

    def mix(number: int) -> None:
        server.kind = kinds[number % len(kinds)] if number % 3 == 0 else None

    server.on_call = mix
    registry, vault = Registry(None), Vault(None)
    settings = ProviderConfig(
        base_url=server.url, backoff=0.0, concurrency=16, attempts=50, max_inputs=2
    )
    providers = Providers(ProvidersConfig(openai=settings))
    try:
        encoder = VaultEncoder(
            SPEC, "document", vault, registry.ledger, Account("r", "c", providers)
        )
        texts = [f"text number {i}" for i in range(300)]
        found = encoder.encode_all(InlineExecutor(), "t", texts, 2)
        np.testing.assert_allclose(found, sized(vectors_of(texts), 1536), atol=1e-6)
        assert registry.ledger.totals()["calls"] == server.calls == encoder.counts.encoder_calls
        assert server.most_at_once <= 16
        assert len(vault) == 300
    finally:
        providers.close()


def test_a_call_holds_texts_of_one_tenant_only() -> None:
    from workbench.index.encoding import Wanted

    wanted = [Wanted(bytes([i]), "x" * i, f"tenant {i % 3}") for i in range(20)]
    parts = list(batched(wanted, 4))
    assert sorted(one.key for part in parts for one in part) == [one.key for one in wanted]
    assert all(len({one.tenant for one in part}) == 1 and len(part) <= 4 for part in parts)


# Whole ingests


def test_ingest_search_and_ingest_again(server: EmbeddingServer, tmp_path: Path) -> None:
    source = documents(tmp_path / "src", 40)
    with Workbench.open(config(server, tmp_path / "home")) as bench:
        corpus = bench.corpus("c")
        first = corpus.ingest(str(source))
        assert (first.upserts, first.encoder_calls, server.calls) == (40, 1, 1)
        assert first.tokens == server.tokens
        assert first.cost_usd == pytest.approx(server.tokens * 0.02 / 1e6)
        assert (
            corpus.search("Document 11 speaks of matter number 77").hits[0].document_id
            == "d011.txt"
        )
        assert server.calls == 2
        assert corpus.ingest(str(source)).writes == 0
        assert corpus.rebuild().encoder_calls == 0
        assert server.calls == 2
        assert corpus.verify().ok
        rows = bench.costs.report(by="corpus").to_dict()
        assert KEY not in str(rows)


def test_evaluating_a_remote_model_calls_it_once_for_each_text(
    server: EmbeddingServer, tmp_path: Path
) -> None:
    data = tmp_path / "set"
    (data / "qrels").mkdir(parents=True)
    (data / "corpus.jsonl").write_text(
        "".join(
            f'{{"_id": "d{i}", "title": "", "text": "All about matter number {i}."}}\n'
            for i in range(30)
        )
    )
    (data / "queries.jsonl").write_text(
        "".join(f'{{"_id": "q{i}", "text": "matter number {i}"}}\n' for i in range(10))
    )
    (data / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"q{i}\td{i}\t1\n" for i in range(10))
    )
    with Workbench.open(config(server, tmp_path / "home")) as bench:
        result = bench.evaluate(str(data), models=[MODEL, "wordllama"], store="memory")
    remote, local = result.systems
    # The server's vectors are those of wordllama: only chunking and sums may differ.
    assert remote.measures["nDCG@10"].value == pytest.approx(
        local.measures["nDCG@10"].value, abs=0.02
    )
    assert set(server.texts.values()) == {1}


def test_a_refused_chunk_is_reported_and_the_rest_of_its_document_is_found(
    server: EmbeddingServer, tmp_path: Path
) -> None:
    server.poison = "POISON"
    source = documents(tmp_path / "src", 20)
    words = " ".join(f"Sentence {i} tells of topic {i}." for i in range(40))
    (source / "bad.txt").write_text(f"{words} POISON here. {words.replace('topic', 'theme')}")
    with Workbench.open(config(server, tmp_path / "home")) as bench:
        corpus = bench.corpus("c")
        first = corpus.ingest(str(source), chunking="64")
        (refused,) = first.quarantined
        assert refused.document_id == "bad.txt"
        assert "chunks left out" in refused.reason
        assert corpus.verify().ok
        found = corpus.search("Sentence 39 tells of theme 39", k=3).hits
        assert found[0].document_id == "bad.txt"
        calls = server.calls
        assert corpus.ingest(str(source)).encoder_calls == 0
        assert server.calls == calls
        server.poison = None
        (source / "bad.txt").write_text((source / "bad.txt").read_text() + " Changed.")
        assert not corpus.ingest(str(source)).quarantined
        assert corpus.verify().ok


def test_a_used_up_budget_stops_before_the_call_and_keeps_what_was_paid(
    server: EmbeddingServer, tmp_path: Path
) -> None:
    source = documents(tmp_path / "src", 60)
    settings = config(server, tmp_path / "home", max_inputs=5, concurrency=2)
    poor = settings.model_copy(
        update={"budget": settings.budget.model_copy(update={"run": 0.000_01})}
    )
    with Workbench.open(poor) as bench, pytest.raises(BudgetExceeded):
        bench.corpus("c").ingest(str(source))
    paid = server.texts.total()
    assert 0 < paid < 60
    assert server.tokens * 0.02 / 1e6 <= 0.000_01
    with Workbench.open(settings) as bench:
        again = bench.corpus("c").ingest(str(source))
        assert again.cache_hits == paid
    assert set(server.texts.values()) == {1}


CHILD = textwrap.dedent(
    """
    import sys
    from workbench import Workbench
    from workbench.config import Config
    if __name__ == "__main__":
        with Workbench.open(Config.load(sys.argv[1])) as bench:
            print(bench.corpus("c").ingest(sys.argv[2]).encoder_calls, flush=True)
    """
)


@pytest.mark.chaos
@pytest.mark.parametrize("moment", [pytest.param(3, marks=pytest.mark.nightly), 17])
def test_a_killed_run_pays_again_at_most_for_the_calls_in_flight(
    server: EmbeddingServer, tmp_path: Path, moment: int
) -> None:
    concurrency, inputs = 3, 4
    source = documents(tmp_path / "src", 120)
    path = tmp_path / "config.yaml"
    path.write_text(
        f"home: {tmp_path / 'home'}\ntracking: false\nmodel: {MODEL}\nproviders: {{openai: "
        f"{{base_url: '{server.url}', max_inputs: {inputs}, concurrency: {concurrency}}}}}\n"
    )
    reached = threading.Event()
    server.latency = 0.03
    server.on_call = lambda number: reached.set() if number == moment else None
    command = [sys.executable, "-c", CHILD, str(path), str(source)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path)
    assert reached.wait(60)
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    server.on_call = lambda _number: None
    first = server.calls
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert int(done.stdout) == server.calls - first
    again = [text for text, times in server.texts.items() if times > 1]
    assert len(again) <= concurrency * inputs
    assert len(server.texts) == 120
    with Workbench.open(path) as bench:
        assert bench.corpus("c").verify().ok
        calls = bench.workspace.registry.ledger.totals()["calls"]
        assert server.calls <= calls <= server.calls + concurrency
