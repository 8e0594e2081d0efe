"""One corpus over several models: documents find their index, queries find the documents."""

import json

import pytest

from workbench import Workbench
from workbench.config import BY_LENGTH, Config, TierRule
from workbench.errors import ConfigError, SourceError, SpaceMismatch
from workbench.records import SourceDocument
from workbench.tiers import fits

pytestmark = [pytest.mark.models, pytest.mark.chroma]

LONG = " ".join(f"The orchestra rehearses movement {i} with care." for i in range(40))
TIERS = {
    "mixed": [
        {"name": "news", "model": "wordllama", "chunking": "256", "where": {"kind": "news"}},
        {"name": "short", "model": "wordllama", "chunking": "128", "max_tokens": 30},
        {"name": "rest", "model": "minilm-l6", "chunking": "128"},
    ]
}


@pytest.fixture
def bench(tmp_path):
    config = Config.model_validate({"home": tmp_path / "home", "tiers": TIERS, "tracking": False})
    with Workbench.open(config) as bench:
        yield bench


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "docs.jsonl"
    rows = [
        {"_id": "bread", "text": "Knead the dough and bake it."},
        {"_id": "lava", "text": "Lava flows down the mountain."},
        {"_id": "orchestra", "text": LONG},
        {"_id": "paper", "text": "The harbour opens on Monday.", "kind": "news"},
    ]
    write(file, rows)
    return file


def write(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def change(file, document_id, text):
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    write(file, [{**row, "text": text} if row["_id"] == document_id else row for row in rows])


def added(result):
    return {name: tier.added for name, tier in result.tiers.items()}


def test_documents_go_where_their_rule_says_and_every_tier_is_searched(bench, source):
    corpus = bench.documents("mixed")
    result = corpus.ingest(str(source))
    assert added(result) == {"news": 1, "short": 2, "rest": 1}
    found = corpus.search("musicians practising", k=4)
    assert {hit.document_id for hit in found.hits} == {"bread", "lava", "orchestra", "paper"}
    assert [hit.rank for hit in found.hits] == [1, 2, 3, 4]
    assert all(hit.score <= 1 / 61 for hit in found.hits), "scores are of ranks, not of spaces"
    assert corpus.verify().ok
    again = corpus.ingest(str(source))
    assert sum(tier.writes for tier in again.tiers.values()) == 0
    models = {row["model"] for row in corpus.indexes().rows()}
    assert models == {"wordllama", "minilm-l6"}


def test_a_document_that_grows_moves_to_another_tier_and_is_found_once(bench, source):
    corpus = bench.documents("mixed")
    corpus.ingest(str(source))
    change(source, "bread", "Bread is baked from dough. " * 30)
    moved = corpus.ingest(str(source))
    assert moved.tiers["short"].deleted == moved.tiers["rest"].added == 1
    hits = [hit.document_id for hit in corpus.search("dough", k=10).hits]
    assert sorted(hits) == ["bread", "lava", "orchestra", "paper"]
    assert corpus.verify().ok


def test_a_tier_that_lost_its_last_document_is_empty(bench, source):
    corpus = bench.documents("mixed")
    corpus.ingest(str(source))
    change(source, "orchestra", "Short now.")
    assert corpus.ingest(str(source)).tiers["rest"].deleted == 1
    found = corpus.search("orchestra", k=10)
    assert sorted(h.document_id for h in found.hits) == ["bread", "lava", "orchestra", "paper"]


def test_deleting_reaches_every_tier(bench, source):
    corpus = bench.documents("mixed")
    corpus.ingest(str(source))
    corpus.delete(["bread", "orchestra"])
    hits = {hit.document_id for hit in corpus.search("dough orchestra", k=10).hits}
    assert hits == {"lava", "paper"}


def test_a_model_of_one_s_own_is_refused_everywhere(bench, source, tmp_path):
    corpus = bench.documents("mixed")
    with pytest.raises(ConfigError, match="has tiers"):
        corpus.ingest(str(source), model="minilm-l6")
    with pytest.raises(ConfigError, match="mixed/news, mixed/short, mixed/rest"):
        bench.corpus("mixed")
    corpus.ingest(str(source))
    with pytest.raises(SpaceMismatch):
        bench.corpus("mixed/short").ingest(str(source), model="minilm-l6")
    empty = tmp_path / "empty.jsonl"
    write(empty, [{"_id": "x", "text": " "}])
    with pytest.raises(SourceError, match="no readable document: empty document"):
        corpus.ingest(str(empty))
    assert len(corpus.search("dough", k=10).hits) == 4


def test_the_rules_by_length_are_the_documented_ones():
    document = SourceDocument("d", "text")
    tiers = {
        tokens: next(rule.name for rule in BY_LENGTH if fits(rule, document, tokens, "default"))
        for tokens in (0, 99, 100, 999, 1_000, 10**6)
    }
    assert list(tiers.values()) == ["short", "short", "medium", "medium", "long", "long"]
    assert Config.model_validate({"tiers": {"c": "by-length"}}).tiers["c"] == BY_LENGTH


def test_rules_choose_by_metadata_and_tenant():
    rule = TierRule(name="a", model="m", where={"year": 2020}, tenants=("t",))
    document = SourceDocument("d", "text", metadata={"year": 2020})
    assert fits(rule, document, 5, "t")
    assert not fits(rule, document, 5, "u")
    assert not fits(rule, SourceDocument("d", "text"), 5, "t")


@pytest.mark.parametrize(
    "rules", [[], [{"name": "a", "model": "m", "max_tokens": 5}], [{"name": "a", "model": "m"}] * 2]
)
def test_rules_that_leave_documents_out_are_refused(rules):
    with pytest.raises(ValueError, match="a last one without conditions"):
        Config.model_validate({"tiers": {"c": rules}})
