from __future__ import annotations

from workbench.chunked import ChunkedDocument, ShownChunk


def page_of(text: str, tokens: int) -> str:
    chunk = ShownChunk(0, len(text), tokens, text, "")
    return ChunkedDocument("d", "<b>T</b>", "m", "whole", 0, text, (chunk,)).to_html()


def test_a_text_without_a_token_has_a_page_too() -> None:
    assert 'style="width:0.0%"' in page_of("\u0301", 0)


def test_the_page_escapes_what_the_document_says() -> None:
    page = page_of("<script>x</script>", 3)
    assert "&lt;script&gt;x" in page
    assert "<script" not in page
    assert "<b>" not in page
