"""Queries made from a corpus itself, for a first measurement where nobody has judged any."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence

import regex

from workbench.errors import EvaluationError
from workbench.records import Query
from workbench.spec import framed_digest

_WORD = regex.compile(r"\p{L}[\p{L}\p{M}'\u2019-]{2,24}")
_PASSAGE_WORDS = 80
_QUERY_WORDS = (3, 6)
_COMMON = 0.2
"""Words of more than this share of the documents say nothing about one of them."""


def known_item_queries(
    documents: Iterable[tuple[str, str]], n: int = 150, seed: int = 20_260_101
) -> tuple[list[Query], dict[str, dict[str, int]]]:
    """Queries that somebody might type who has seen one document and looks for it again.

    For each chosen document 3 to 6 words are drawn from a passage of it, the more likely the more
    often they occur there and the fewer documents hold them (Azzopardi, de Rijke and Balog, SIGIR
    2007). They share words with their document, so word matching looks better on them than it is:
    good for a first comparison, no substitute for judged queries.

    Args:
        documents: Pairs of id and text, read once.
        n: Queries at most, each for another document.
        seed: Of the choice.

    Returns:
        The queries in the order of their ids, and their judgements (one document of gain 1 each).

    Raises:
        EvaluationError: No document has enough words of its own.
    """
    words = {name: _WORD.findall(text.casefold()) for name, text in _distinct(documents)}
    held = Counter(word for found in words.values() for word in set(found))
    limit = max(2, _COMMON * len(words))
    draw = random.Random(seed)  # noqa: S311 - a seeded sample, not a secret
    names = sorted(words)
    draw.shuffle(names)
    queries: dict[str, str] = {}
    for name in names:
        if len(queries) == n:
            break
        weights = _weights(_passage(words[name], draw), held, len(words), limit)
        if len(weights) >= _QUERY_WORDS[0]:
            queries[name] = " ".join(_drawn(weights, draw))
    if not queries:
        raise EvaluationError(
            f"none of {len(words)} documents has {_QUERY_WORDS[0]} words that tell it from the "
            "others; give queries of your own"
        )
    ordered = sorted(queries)
    return (
        [Query(f"known-{name}", queries[name]) for name in ordered],
        {f"known-{name}": {name: 1} for name in ordered},
    )


def _distinct(documents: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """Documents whose text no other one has: else a query would have several right answers."""
    by_text: dict[bytes, tuple[str, str] | None] = {}
    for name, text in documents:
        digest = framed_digest([text])
        by_text[digest] = None if digest in by_text else (name, text)
    return (pair for pair in by_text.values() if pair is not None)


def _passage(words: Sequence[str], draw: random.Random) -> Sequence[str]:
    start = draw.randrange(max(1, len(words) - _PASSAGE_WORDS + 1))
    return words[start : start + _PASSAGE_WORDS]


def _weights(
    passage: Sequence[str], held: Counter[str], documents: int, limit: float
) -> dict[str, float]:
    return {
        word: count * math.log((1 + documents) / held[word])
        for word, count in sorted(Counter(passage).items())
        if held[word] <= limit
    }


def _drawn(weights: dict[str, float], draw: random.Random) -> list[str]:
    """Different words, drawn by weight without putting back."""
    size = min(len(weights), draw.randint(*_QUERY_WORDS))
    keys = {word: draw.random() ** (1 / weight) for word, weight in weights.items() if weight > 0}
    return sorted(keys, key=lambda word: -keys[word])[:size]
