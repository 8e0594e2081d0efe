"""Near-duplicates: which documents say almost the same. A report, never a silent drop."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import regex

from workbench.data.clean import clean
from workbench.errors import ConfigError
from workbench.results import Result

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHINGLE_WORDS = 4
PERMUTATIONS = 128
SEED = 20_260_101
PREVIEW = 60
# Scripts without spaces between words count by the character.
_WORDS = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}]|\w+")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Documents linked by similar pairs: each to one or more before it that are like it.

    The members at both ends of a chain of links may be less alike.

    Attributes:
        document_ids: In the order of the source.
        lowest: Smallest similarity of a linked pair (Jaccard of word 4-grams, 0 to 1).
        highest: Largest.
        equal: Whether all consist of the same word 4-grams (case and punctuation left out).
        preview: Start of the first document's text.
    """

    document_ids: tuple[str, ...]
    lowest: float
    highest: float
    equal: bool
    preview: str


@dataclass(frozen=True, slots=True)
class DuplicateReport(Result):
    """Clusters of near-duplicates, largest first."""

    name: str
    documents: int
    threshold: float
    clusters: tuple[Cluster, ...]

    @property
    def redundant(self) -> int:
        """Documents beyond the first of each cluster."""
        return sum(len(cluster.document_ids) - 1 for cluster in self.clusters)

    @property
    def duplicate_ratio(self) -> float:
        """Share of the documents that are redundant."""
        return self.redundant / self.documents if self.documents else 0.0

    def to_dict(self) -> dict[str, Any]:
        """All fields, and how many documents are redundant."""
        facts = Result.to_dict(self)
        return {**facts, "redundant": self.redundant, "duplicate_ratio": self.duplicate_ratio}

    def rows(self) -> Sequence[dict[str, Any]]:
        """One row per cluster."""
        return [
            {
                "documents": len(cluster.document_ids),
                "similarity": f"{cluster.lowest:.2f}-{cluster.highest:.2f}",
                "equal": cluster.equal,
                "ids": _shortened(cluster.document_ids),
                "text": cluster.preview,
            }
            for cluster in self.clusters
        ]

    def __str__(self) -> str:
        found = (
            f"{self.redundant} of {self.documents} documents ({self.duplicate_ratio:.1%}) repeat "
            f"another one at a similarity of {self.threshold} or more; all are kept"
        )
        return f"{Result.__str__(self)}\n\n{found}" if self.clusters else found


def _shortened(ids: Sequence[str]) -> str:
    shown = ", ".join(ids[:4])
    return f"{shown}, … ({len(ids)})" if len(ids) > 4 else shown  # noqa: PLR2004


def near_duplicates(
    items: Iterable[tuple[str, str]], *, name: str, threshold: float = 0.8
) -> DuplicateReport:
    """Clusters of documents whose word 4-grams overlap.

    Candidates come from MinHash with locality-sensitive hashing (datasketch, 128 permutations, a
    fixed seed), so that a pair just above the threshold may be missed; every pair reported has
    been measured exactly. About 1 KB of memory per document plus 4 bytes per word.

    Args:
        items: Pairs of document id and text.
        name: What the report is about.
        threshold: Jaccard similarity from which a pair counts, above 0 and at most 1.

    Raises:
        ConfigError: The threshold is out of range.
    """
    if not 0 < threshold <= 1:
        raise ConfigError(f"the threshold is {threshold}; expected more than 0 and at most 1")
    from datasketch import MinHash, MinHashLSH  # type: ignore[import-untyped]

    index = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS)
    ids: list[str] = []
    previews: list[str] = []
    shingles: list[NDArray[np.uint32]] = []
    firsts: dict[bytes, int] = {}
    links = _Links()
    for number, (document_id, text) in enumerate(items):
        mine = _shingles(text)
        ids.append(document_id)
        previews.append(" ".join(text[: 2 * PREVIEW].split())[:PREVIEW])
        shingles.append(mine)
        if not mine.size:
            continue
        first = firsts.setdefault(mine.tobytes(), number)
        if first != number:
            links.add(first, number, 1.0)
            shingles[number] = shingles[first]
            continue
        sketch = MinHash(num_perm=PERMUTATIONS, seed=SEED, hashfunc=int)
        sketch.update_batch(mine.tolist())
        for other in sorted(index.query(sketch)):
            # One link to a cluster is enough: else the time grows with its size squared.
            if links.find(other) != links.find(number):
                similarity = _jaccard(shingles[other], mine)
                if similarity >= threshold:
                    links.add(other, number, similarity)
        index.insert(number, sketch, check_duplication=False)
    clusters = [_cluster(members, ids, previews) for members in links.groups()]
    clusters.sort(key=lambda cluster: (-len(cluster.document_ids), cluster.document_ids))
    return DuplicateReport(name, len(ids), threshold, tuple(clusters))


def _shingles(text: str) -> NDArray[np.uint32]:
    """Distinct hashes of the word 4-grams of ``text``, sorted; of a short text its words."""
    words = _WORDS.findall(clean(text).casefold())
    size = min(SHINGLE_WORDS, len(words))
    grams = {" ".join(words[i : i + size]) for i in range(len(words) - size + 1)} if words else ()
    return np.unique(np.fromiter((zlib.crc32(gram.encode()) for gram in grams), dtype=np.uint32))


def _jaccard(one: NDArray[np.uint32], other: NDArray[np.uint32]) -> float:
    common = np.intersect1d(one, other, assume_unique=True).size
    return float(common / (one.size + other.size - common))


class _Links:
    """Similar pairs as they are found, and which documents they connect."""

    def __init__(self) -> None:
        self._pairs: list[tuple[int, int, float]] = []
        self._root: dict[int, int] = {}

    def find(self, item: int) -> int:
        """What all documents connected with ``item`` share."""
        root = self._root
        while root.setdefault(item, item) != item:
            root[item] = root[root[item]]
            item = root[item]
        return item

    def add(self, one: int, other: int, similarity: float) -> None:
        """Connect two documents."""
        self._pairs.append((one, other, similarity))
        low, high = sorted((self.find(one), self.find(other)))
        self._root[high] = low

    def groups(self) -> list[list[tuple[int, int, float]]]:
        """The pairs grouped into connected components."""
        groups: defaultdict[int, list[tuple[int, int, float]]] = defaultdict(list)
        for pair in self._pairs:
            groups[self.find(pair[0])].append(pair)
        return list(groups.values())


def _cluster(
    pairs: list[tuple[int, int, float]], ids: Sequence[str], previews: Sequence[str]
) -> Cluster:
    members = sorted({item for one, other, _ in pairs for item in (one, other)})
    similarities = [similarity for *_, similarity in pairs]
    return Cluster(
        document_ids=tuple(ids[member] for member in members),
        lowest=min(similarities),
        highest=max(similarities),
        equal=min(similarities) == 1.0,
        preview=previews[members[0]],
    )
