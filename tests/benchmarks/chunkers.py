"""Our chunker and three libraries behind one face: text in, character spans out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from workbench.data.chunk import chunk_document
from workbench.data.presets import preset
from workbench.protocols import TokenCounter
from workbench.records import Document, Span

Cut = Callable[[str], list[Span]]


def chunkers(tokens: int, tokenizer: Path, counter: TokenCounter, special: int) -> dict[str, Cut]:
    """By name, functions that cut a text into spans of at most ``tokens`` tokens.

    All count with the same tokenizer and get the same overlap (12 %). The libraries do not know of
    the ``special`` tokens that an encoder adds: they get that much less.
    """
    spec = preset(str(tokens))

    def ours(text: str) -> list[Span]:
        chunks = chunk_document(Document("d", text), spec, counter, "c")
        return [Span(chunk.start, chunk.end) for chunk in chunks]

    room, overlap = tokens - special, spec.overlap_tokens
    return {
        "workbench": ours,
        "semantic-text-splitter": _semantic_text_splitter(tokenizer, room, overlap),
        "semchunk": _semchunk(tokenizer, room, overlap),
        "chonkie sentence": _chonkie(tokenizer, room, overlap),
    }


def plain(path: Path) -> Any:
    """The tokenizer without the padding and the truncation it ships."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _semantic_text_splitter(path: Path, room: int, overlap: int) -> Cut:
    from semantic_text_splitter import TextSplitter

    splitter = TextSplitter.from_huggingface_tokenizer(plain(path), room, overlap=overlap)

    def cut(text: str) -> list[Span]:
        return [Span(start, start + len(piece)) for start, piece in splitter.chunk_indices(text)]

    return cut


def _semchunk(path: Path, room: int, overlap: int) -> Cut:
    import semchunk

    # It remembers every count: without `memoize=False` a second run over the texts measures that.
    chunker = semchunk.chunkerify(_counting(path), room, memoize=False)

    def cut(text: str) -> list[Span]:
        _, offsets = chunker(text, offsets=True, overlap=overlap)
        return [Span(start, end) for start, end in offsets]

    return cut


def _chonkie(path: Path, room: int, overlap: int) -> Cut:
    from chonkie import SentenceChunker

    chunker = SentenceChunker(plain(path), chunk_size=room, chunk_overlap=overlap)

    def cut(text: str) -> list[Span]:
        return [Span(chunk.start_index, chunk.end_index) for chunk in chunker.chunk(text)]

    return cut


def _counting(path: Path) -> Callable[[str], int]:
    tokenizer = plain(path)
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False))
