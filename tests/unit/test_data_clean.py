from __future__ import annotations

import pytest

from workbench.data.clean import clean, html_title, html_to_text, is_blank


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("a\r\nb\rc", "a\nb\nc"),
        ("e\u0301", "\u00e9"),
        ("a\x00b\x07c\ud800d", "abcd"),
        ("\ufeffa", "a"),
        ("a  \nb\t\n", "a\nb"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("if x:\n    return 1", "if x:\n    return 1"),
        ("a\x0cb", "a\nb"),
        ("a\u2028b", "a\u2028b"),
        (" \n\t ", ""),
    ],
)
def test_cleaning_gives_one_form(raw: str, expected: str) -> None:
    assert clean(raw) == expected


@pytest.mark.parametrize("text", ["", " \n", "\x00\x1f", "\ud800", "\ufeff", "\u2028"])
def test_blank_means_that_cleaning_leaves_nothing(text: str) -> None:
    assert is_blank(text)
    assert clean(text) == ""


def test_one_visible_character_is_not_blank() -> None:
    assert not is_blank(" \x00a")


PAGE = """<html><head><title>The  Title</title><style>p{}</style></head><body>
<nav><a>Home</a></nav><h1>Heading</h1><p>One <b>two</b>
three &amp; four.</p><ul><li>first</li><li><p>second</p></li></ul>
<script>alert("x < y")</script><pre>def f():
    return 1</pre></body></html>"""


def test_a_page_becomes_lines_without_scripts_and_navigation() -> None:
    assert html_to_text(PAGE) == (
        "Heading\n\nOne two three & four.\n\n- first\n- second\n\ndef f():\n    return 1"
    )


def test_the_title_of_a_page_is_its_title_else_its_heading() -> None:
    assert html_title(PAGE) == "The Title"
    assert html_title("<h2>A <i>b</i></h2><h2>c</h2>") == "A b"
    assert html_title("<p>x</p>") == ""
