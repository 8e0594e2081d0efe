from __future__ import annotations

import re

import pytest

from workbench.data.chunk import chunk_document
from workbench.data.sentences import sentences
from workbench.errors import ConfigError
from workbench.records import Document
from workbench.spec import ChunkingSpec


class WordCounter:
    """One token per word or mark, two special tokens; remembers what it was asked."""

    def __init__(self) -> None:
        self.tokenised = 0
        self.counted = 0

    def offsets(self, text: str) -> list[tuple[int, int]]:
        self.tokenised += len(text)
        return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]

    def count(self, text: str) -> int:
        self.counted += len(text)
        return 2 + len(re.findall(r"\w+|[^\w\s]", text))


def sentence_spec(max_tokens: int, overlap: int = 0) -> ChunkingSpec:
    return ChunkingSpec("p", "sentence", max_tokens=max_tokens, overlap_tokens=overlap)


WHOLE = ChunkingSpec("whole", "whole")


def pieces(text: str) -> list[str]:
    return [text[span.start : span.end] for span in sentences(text)]


def test_sentences_know_abbreviations_initials_and_paragraphs() -> None:
    text = "See Dr. Who, e.g. by J. Doe. Really?! Yes (he said.) Next\nline\n\nA paragraph\n- item"
    assert pieces(text) == [
        "See Dr. Who, e.g. by J. Doe.",
        "Really?!",
        "Yes (he said.)",
        "Next\nline",
        "A paragraph",
        "- item",
    ]


def test_sentences_of_chinese_need_no_spaces() -> None:
    assert pieces("一。二！三？四") == ["一。", "二！", "三？", "四"]  # noqa: RUF001 - the point of it


def test_whole_is_one_chunk_with_the_title_in_front() -> None:
    (chunk,) = chunk_document(Document("d", "Some text.", "Title"), WHOLE, None, "c")
    assert (chunk.start, chunk.end, chunk.encoded) == (0, 10, "Title Some text.")


@pytest.mark.parametrize("spec", [WHOLE, sentence_spec(16)])
def test_an_empty_document_has_no_chunk(spec: ChunkingSpec) -> None:
    assert chunk_document(Document("d", ""), spec, WordCounter(), "c") == []


@pytest.mark.parametrize("spec", [WHOLE, sentence_spec(16)])
def test_a_title_alone_is_still_found(spec: ChunkingSpec) -> None:
    (chunk,) = chunk_document(Document("d", "", "Only a title"), spec, WordCounter(), "c")
    assert (chunk.start, chunk.end, chunk.encoded) == (0, 0, "Only a title ")


def test_sentences_fill_a_chunk_and_overlap_by_whole_sentences() -> None:
    text = "One two three. Four five six. Seven eight nine. Ten eleven twelve."
    chunks = chunk_document(Document("d", text), sentence_spec(10, 4), WordCounter(), "c")
    assert [text[c.start : c.end] for c in chunks] == [
        "One two three. Four five six.",
        "Four five six. Seven eight nine.",
        "Seven eight nine. Ten eleven twelve.",
    ]


def test_overlap_falls_back_to_words_when_a_sentence_is_too_long() -> None:
    text = "a b c d e f g h. i j k l m n o p."
    chunks = chunk_document(Document("d", text), sentence_spec(13, 2), WordCounter(), "c")
    assert [text[c.start : c.end] for c in chunks] == ["a b c d e f g h.", "h. i j k l m n o p."]


def test_a_title_longer_than_half_the_budget_is_cut_at_a_word() -> None:
    title = " ".join(f"w{i}" for i in range(40))
    counter = WordCounter()
    spec = sentence_spec(20)
    chunks = chunk_document(Document("d", "x " * 30, title), spec, counter, "c")
    assert chunks[0].encoded.startswith("w0 w1 w2 w3 w4 w5 w6 w7 x x")
    assert max(counter.count(chunk.encoded) for chunk in chunks) == 20


def test_equal_chunks_of_a_document_have_different_ids_that_do_not_depend_on_position() -> None:
    spec = sentence_spec(16)
    text = "\n\n".join(["Same words here again and again, twelve tokens in all."] * 3)
    first = chunk_document(Document("d", text), spec, WordCounter(), "c")
    assert len({chunk.chunk_id for chunk in first}) == 3
    before = "A start of its own that fills one whole chunk up, really so.\n\n"
    second = chunk_document(Document("d", before + text), spec, WordCounter(), "c")
    assert {c.chunk_id for c in first} < {c.chunk_id for c in second}


def test_ids_depend_on_corpus_tenant_and_document() -> None:
    ids = {
        chunk_document(Document(doc, "Text.", tenant=tenant), WHOLE, None, corpus)[0].chunk_id
        for doc, tenant, corpus in [
            ("d", "t", "c"),
            ("e", "t", "c"),
            ("d", "u", "c"),
            ("d", "t", "b"),
        ]
    }
    assert len(ids) == 4


def test_a_budget_below_one_character_is_refused() -> None:
    with pytest.raises(ConfigError, match="Raise max_tokens"):
        chunk_document(Document("d", "x"), sentence_spec(2), WordCounter(), "c")


def test_sentence_chunks_need_a_tokenizer() -> None:
    with pytest.raises(ConfigError, match="needs the model's tokenizer"):
        chunk_document(Document("d", "x"), sentence_spec(20), None, "c")


@pytest.mark.parametrize("unit", ["word ", "A sentence of six words. ", "a, ", "line\n", "....x"])
def test_the_work_is_linear_in_the_text(unit: str) -> None:
    work = []
    for repeats in (5_000, 10_000):
        counter = WordCounter()
        text = (unit * repeats).strip()
        chunk_document(Document("d", text), sentence_spec(64, 8), counter, "c")
        work.append((counter.tokenised + counter.counted) / len(text))
    assert work[1] < work[0] * 1.05
    assert work[1] < 4
