from __future__ import annotations

import re
from itertools import pairwise

import pytest

from workbench.data.blocks import blocks
from workbench.data.chunk import chunk_document
from workbench.data.ruler import WIDEST_TOKEN
from workbench.data.sentences import sentences
from workbench.errors import ConfigError
from workbench.records import Document
from workbench.spec import ChunkingSpec


class WordCounter:
    """One token per word or mark, two special tokens; remembers what it was asked."""

    additive = False

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


def test_sentences_know_abbreviations_initials_and_list_items() -> None:
    text = "See Dr. Who, e.g. by J. Doe. Really?! Yes (he said.) Next\nline\n- item"
    assert pieces(text) == [
        "See Dr. Who, e.g. by J. Doe.",
        "Really?!",
        "Yes (he said.)",
        "Next\nline",
        "- item",
    ]


def test_sentences_of_chinese_need_no_spaces() -> None:
    assert pieces("一。二！三？四") == ["一。", "二！", "三？", "四"]  # noqa: RUF001 - the point of it


def test_sentences_end_with_the_marks_of_other_scripts() -> None:
    assert pieces("هل أنت هنا؟ نعم. यह है। वह है।") == ["هل أنت هنا؟", "نعم.", "यह है।", "वह है।"]


MARKDOWN = """# Handbook

## Deploy

Run this:

```
make all   # not a heading

make install
```

| port | use |
| 80 | web |
Then wait.

### Later

    indented code
"""


def test_backticks_inside_a_line_open_no_block_of_code() -> None:
    text = "```foo``` is code.\n\n# Next\n\nText."
    assert [b.kind for b in blocks(text)] == ["text", "heading", "text"]
    long = "`" * 200_000 + "a`"  # quadratic time would not end
    assert [b.kind for b in blocks(long)] == ["text"]


def test_blocks_know_code_tables_and_the_headings_above() -> None:
    text = MARKDOWN.strip()
    assert [(b.kind, text[b.start : b.end][:12], b.path) for b in blocks(text)] == [
        ("heading", "# Handbook", ()),
        ("heading", "## Deploy", ("Handbook",)),
        ("text", "Run this:", ("Handbook", "Deploy")),
        ("code", "```\nmake all", ("Handbook", "Deploy")),
        ("table", "| port | use", ("Handbook", "Deploy")),
        ("text", "Then wait.", ("Handbook", "Deploy")),
        ("heading", "### Later", ("Handbook", "Deploy")),
        ("code", "indented cod", ("Handbook", "Deploy", "Later")),
    ]


def cut(text: str, spec: ChunkingSpec, title: str = "") -> list[str]:
    chunks = chunk_document(Document("d", text, title), spec, WordCounter(), "c")
    return [text[c.start : c.end] for c in chunks]


def test_code_and_table_rows_stay_whole_where_they_fit() -> None:
    code = "```\nx = f(1); y = 2\nprint(x. y)\n```"
    prose = "One two three four five six. Seven eight nine ten eleven twelve."
    text = f"{prose}\n\n{code}\n\n{prose}"
    assert code in cut(text, sentence_spec(32))
    rows = [f"| row {i} | some. thing, else: {i} |" for i in range(8)]
    for piece in cut("\n".join(rows), sentence_spec(34)):
        assert set(piece.split("\n")) <= set(rows)


def test_a_heading_stays_with_what_it_heads() -> None:
    section = "## Part {}\n\nAlpha beta gamma delta epsilon zeta eta theta iota kappa."
    text = "\n\n".join(section.format(i) for i in range(4))
    assert cut(text, sentence_spec(20)) == [section.format(i) for i in range(4)]


def test_the_header_names_title_and_headings_but_each_once() -> None:
    spec = ChunkingSpec("p", "sentence", max_tokens=24, header="{title} {headings} ")
    text = MARKDOWN.strip()
    chunks = chunk_document(Document("d", text, "Handbook"), spec, WordCounter(), "c")
    wanted = next(c for c in chunks if "indented" in c.encoded)
    assert wanted.encoded == "Handbook Deploy ### Later\n\n    indented code"
    last = next(c for c in chunks if "make install" in c.encoded)
    assert last.encoded.startswith("Handbook Deploy ")


def test_text_put_in_front_moves_no_chunk_of_well_sized_paragraphs() -> None:
    words = "Alpha beta gamma delta epsilon zeta eta theta iota kappa number {}."
    text = "\n\n".join(words.format(i) for i in range(6))
    spec = sentence_spec(20, 3)
    before = chunk_document(Document("d", text), spec, WordCounter(), "c")
    moved = Document("d", f"A short preface that was not here.\n\n{text}")
    after = {chunk.chunk_id for chunk in chunk_document(moved, spec, WordCounter(), "c")}
    assert len(before) == 6
    assert {chunk.chunk_id for chunk in before} < after


def test_chunks_of_one_long_paragraph_find_back_to_the_same_cuts() -> None:
    text = " ".join(
        f"Sentence {i} tells {i * i % 97} things about {i * 7 % 31}." for i in range(900)
    )
    spec = sentence_spec(128, 15)
    before = chunk_document(Document("d", text), spec, WordCounter(), "c")
    moved = Document("d", f"A sentence that was not here. {text}")
    after = {chunk.chunk_id for chunk in chunk_document(moved, spec, WordCounter(), "c")}
    kept = sum(chunk.chunk_id in after for chunk in before)
    assert kept >= 0.85 * len(before)


def test_a_cut_in_a_long_word_does_not_tear_an_emoji_apart() -> None:
    family = "👩\u200d👩\u200d👦"
    for piece in cut(family * 60, sentence_spec(16)):
        assert piece.replace(family, "") == ""


def test_a_word_without_end_does_not_count_as_one_token() -> None:
    chunks = cut("x" * 20_000, sentence_spec(64))
    assert max(map(len, chunks)) <= 62 * WIDEST_TOKEN
    assert "".join(chunks) == "x" * 20_000


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


def test_text_without_spaces_overlaps_too() -> None:
    class Characters(WordCounter):
        def offsets(self, text: str) -> list[tuple[int, int]]:
            return [(i, i + 1) for i in range(len(text))]

        def count(self, text: str) -> int:
            return len(text)

    text = "".join(chr(0x4E00 + i) for i in range(100))
    chunks = chunk_document(Document("d", text), sentence_spec(30, 3), Characters(), "c")
    shared = [b.end - a.start for b, a in pairwise(chunks)]
    assert set(shared) == {3}


def test_a_title_longer_than_half_the_budget_is_cut_at_a_word() -> None:
    title = " ".join(f"w{i}" for i in range(40))
    counter = WordCounter()
    spec = sentence_spec(20)
    chunks = chunk_document(Document("d", "x " * 30, title), spec, counter, "c")
    assert chunks[0].encoded.startswith("w0 w1 w2 w3 w4 w5 w6 w7 x x")
    assert max(counter.count(chunk.encoded) for chunk in chunks) <= 20


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
