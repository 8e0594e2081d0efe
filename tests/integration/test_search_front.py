"""Concurrent searches through the front: same answers, fewer calls."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from workbench import Workbench
from workbench.config import Config
from workbench.errors import ConfigError
from workbench.front import SearchFront

pytestmark = [pytest.mark.models, pytest.mark.chroma]

TOPICS = ["bread", "lava", "violin", "harbour", "python", "clock", "river", "switch"]


@pytest.fixture
def corpus(tmp_path):
    file = tmp_path / "docs.jsonl"
    rows = [{"_id": topic, "text": f"All there is to know of the {topic}."} for topic in TOPICS]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    config = Config.model_validate({"home": tmp_path / "home", "tracking": False})
    with Workbench.open(config) as bench:
        corpus = bench.corpus("c")
        corpus.ingest(str(file), model="wordllama")
        yield corpus


def test_searches_of_many_threads_are_answered_like_one_by_one_with_fewer_calls(corpus):
    texts = [f"tell me of the {topic} number {i}" for i in range(8) for topic in TOPICS]
    ledger = corpus._workspace.registry.ledger
    before = ledger.totals()["calls"]
    with SearchFront(corpus, max_wait=0.05) as front, ThreadPoolExecutor(16) as pool:
        found = list(pool.map(front.search, texts))
    calls = ledger.totals()["calls"] - before
    assert [result.hits[0].document_id for result in found] == TOPICS * 8
    print(f"{calls} encoder calls for {len(texts)} queries")
    assert calls <= len(texts) / 4
    alone = [corpus.search(text) for text in texts]
    assert ledger.totals()["calls"] - before == calls, "every vector was kept"
    assert [r.hits for r in alone] == [r.hits for r in found]


def test_a_front_over_nothing_and_a_query_of_nothing_say_so(corpus, tmp_path):
    with SearchFront(corpus) as front, pytest.raises(ConfigError, match="needs words"):
        front.search("  ")
    corpus.name = "other"
    with pytest.raises(ConfigError, match="holds nothing yet"):
        SearchFront(corpus)
