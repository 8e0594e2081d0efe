from __future__ import annotations

from workbench.data.load import open_source
from workbench.data.python_docs import documents, known_items
from workbench.records import SourceDocument


def test_the_corpus_is_large_enough_distinct_and_bodies_only() -> None:
    docs = [d for d in open_source("python-docs", data_dirs=[]) if isinstance(d, SourceDocument)]
    assert 3_000 <= len(docs) <= 3_600
    assert len({d.document_id for d in docs}) == len({d.text for d in docs}) == len(docs)
    words = [len(d.text.split()) for d in docs]
    assert min(words) >= 20
    assert 200_000 < sum(words) < 300_000
    assert max(words) > 1_000
    assert {d.metadata["kind"] for d in docs} == {"module", "class", "function", "method", "topic"}
    assert not any(part.startswith("_") for d in docs for part in d.document_id.split("."))
    by_id = {d.document_id: d for d in docs}
    assert by_id["json.dumps"].text.startswith("If ``skipkeys`` is true")
    assert "Serialize ``obj`` to a JSON formatted" not in by_id["json.dumps"].text


def test_known_items_are_seeded_and_found_in_no_text() -> None:
    queries, qrels = known_items()
    assert len(queries) == len(qrels) == len({q.text.casefold() for q in queries}) == 150
    assert known_items() == (queries, qrels)
    assert known_items(seed=1)[0] != queries
    texts = {d.document_id: " ".join(d.text.split()).casefold() for d in documents()}
    for query in queries:
        (document_id,) = qrels[query.query_id]
        assert query.query_id == f"q-{document_id}"
        assert document_id in texts
        assert len(query.text.split()) >= 5
        assert not any(query.text.casefold() in text for text in texts.values())
