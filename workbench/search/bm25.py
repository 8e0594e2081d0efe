"""BM25 over whole documents: the baseline that needs no vectors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workbench.errors import EvaluationError
from workbench.records import Document, Hit, Query, Run, Scalar
from workbench.search.dense import rank

K1 = 1.2
B = 0.75


class Bm25Retriever:
    """Lexical retrieval (bm25s, Lucene variant, k1 1.2, b 0.75, English stems and stop words).

    Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009.
    """

    def __init__(self, documents: Iterable[Document]) -> None:
        """Index ``documents``: title and text of each, as one unit.

        Raises:
            EvaluationError: There is nothing to index.
        """
        import bm25s
        import Stemmer

        self._documents = list(documents)
        if not self._documents:
            raise EvaluationError("BM25 was given no documents; ingest some first")
        self._by_id = {document.document_id: document for document in self._documents}
        self._stemmer = Stemmer.Stemmer("english")
        self._bm25s = bm25s
        self._model = bm25s.BM25(k1=K1, b=B)
        texts = [f"{document.title} {document.text}" for document in self._documents]
        self._model.index(self._tokens(texts), show_progress=False)

    def search(
        self, queries: Sequence[Query], k: int, where: Mapping[str, Scalar] | None = None
    ) -> Run:
        """Up to ``k`` documents with a positive score for each query, best first."""
        depth = len(self._documents) if where else min(k, len(self._documents))
        tokens = self._tokens([query.text for query in queries])
        rows, scores = self._model.retrieve(tokens, k=depth, show_progress=False)
        return {
            query.query_id: rank(
                (
                    _hit(self._documents[row], float(score))
                    for row, score in zip(rows[i], scores[i], strict=True)
                    if score > 0 and _matches(self._documents[row], where)
                ),
                k,
            )
            for i, query in enumerate(queries)
        }

    def texts(self, hits: Sequence[Hit]) -> list[str]:
        """The text of each hit."""
        return [self._by_id[hit.document_id].text[hit.start : hit.end] for hit in hits]

    def _tokens(self, texts: list[str]) -> Any:
        return self._bm25s.tokenize(
            texts, stopwords="en", stemmer=self._stemmer, show_progress=False
        )


def _hit(document: Document, score: float) -> Hit:
    whole = len(document.text)
    return Hit(document.document_id, document.document_id, 0, whole, score, document.tenant)


def _matches(document: Document, where: Mapping[str, Scalar] | None) -> bool:
    return all(document.metadata.get(key) == value for key, value in (where or {}).items())
