"""The chunker's promises on real texts, and how many chunks an edit leaves alone."""

from __future__ import annotations

import dataclasses
import json
from functools import cache
from pathlib import Path

import pytest

from workbench.data.chunk import chunk_document
from workbench.data.clean import clean
from workbench.data.presets import preset
from workbench.models import counter_for, resolve
from workbench.protocols import TokenCounter
from workbench.records import Chunk, Document

pytestmark = [pytest.mark.data, pytest.mark.models]

SHIPPED = Path(__file__).parents[2] / "eval_sets"
FILES = {
    "xquad-r/en": "articles.jsonl",
    "xquad-r/de": "articles.jsonl",
    "chroma-chunking": "corpus.jsonl",
    "handbook": "corpus.jsonl",
}
ADDED = (
    "The committee met again to discuss what had been written and what was still missing from it."
)


@cache
def counter(model: str) -> TokenCounter:
    return counter_for(resolve(model))


def documents(data_dir: Path, name: str) -> list[Document]:
    root = SHIPPED if name == "handbook" else data_dir
    lines = (root / name / FILES[name]).read_text(encoding="utf-8").split("\n")
    rows = map(json.loads, filter(None, lines))
    return [Document(row["_id"], clean(row["text"]), row.get("title", "")) for row in rows]


def uncovered(text: str, chunks: list[Chunk]) -> int:
    held = bytearray(len(text))
    for chunk in chunks:
        held[chunk.start : chunk.end] = b"\x01" * (chunk.end - chunk.start)
    return sum(not inside and not char.isspace() for char, inside in zip(text, held, strict=True))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("model", "size"),
    [("minilm-l6", "128"), ("minilm-l6", "256"), ("wordllama", "512"), ("wordllama", "1024")],
)
def test_no_wrong_offset_no_lost_character_no_chunk_over_budget(
    data_dir: Path, name: str, model: str, size: str
) -> None:
    spec, counts = preset(size), counter(model)
    made = 0
    for document in documents(data_dir, name):
        chunks = chunk_document(document, spec, counts, "c")
        assert uncovered(document.text, chunks) == 0
        for chunk in chunks:
            piece = document.text[chunk.start : chunk.end]
            assert chunk.encoded.endswith(piece)
            assert counts.count(chunk.encoded) <= spec.max_tokens
        assert len({chunk.chunk_id for chunk in chunks}) == len(chunks)
        made += len(chunks)
    assert made


@pytest.mark.parametrize("size", ["128", "256"])
def test_most_chunks_survive_a_paragraph_put_in_front(data_dir: Path, size: str) -> None:
    spec = preset(size)
    assert spec.overlap_tokens
    kept = made = 0
    for document in documents(data_dir, "xquad-r/en"):
        longer = dataclasses.replace(document, text=f"{ADDED}\n\n{document.text}")
        before = chunk_document(document, spec, counter("minilm-l6"), "c")
        after = chunk_document(longer, spec, counter("minilm-l6"), "c")
        left = {chunk.chunk_id for chunk in after}
        made += len(before)
        kept += sum(chunk.chunk_id in left for chunk in before)
    print(f"{kept} of {made} chunk ids survive")
    assert kept >= 0.85 * made
