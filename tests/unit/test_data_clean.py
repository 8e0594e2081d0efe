from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.clean import clean, is_blank, one_line
from workbench.data.html import read_page


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("a\r\nb\rc", "a\nb\nc"),
        ("e\u0301", "\u00e9"),
        ("a\x00b\x07c\ud800d", "abcd"),
        ("\ufeffa", "a"),
        ("inter\u00adnational", "international"),
        ("\u0645\u06cc\u200c\u062e 👩\u200d👦", "\u0645\u06cc\u200c\u062e 👩\u200d👦"),
        ("a  \nb\t\n", "a\nb"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("a\n \n\t\n\nb", "a\n\nb"),
        ("if x:\n    return 1", "if x:\n    return 1"),
        ("a \t  b\u00a0\u00a0c\u3000d", "a b c d"),
        ("a\n  b  c", "a\n  b c"),
        ("a\n    b  c\n\td  e", "a\n    b  c\n\td  e"),
        ("a\n```py\nb  c \n\n\n\nd\n```\ne  f", "a\n```py\nb  c \n\n\n\nd\n```\ne f"),
        ("a\n````\n```\nb  c\n````\nd  e", "a\n````\n```\nb  c\n````\nd e"),
        ("a ``` b  c", "a ``` b c"),
        ("```a``` b  c\nd  e", "```a``` b c\nd e"),
        ("~~~\nb  c\n```\nd  e\n~~~\nf  g", "~~~\nb  c\n```\nd  e\n~~~\nf g"),
        ("a\x0cb", "a\nb"),
        ("a\u2028b", "a\u2028b"),
        ("&amp;lt;", "&amp;lt;"),
        (" \n\t ", ""),
    ],
)
def test_cleaning_gives_one_form(raw: str, expected: str) -> None:
    assert clean(raw) == expected


SPACES = ["  ", "    ", "\t", "\n", "\n\n\n", "\u00a0", "\u3000", "\u2000", "\u2028", "\r", "\x0c"]
MARKS = [
    "a",
    "b ",
    "e",
    "```",
    "````",
    "`",
    "~~~",
    "- ",
    "> ",
    "\ufeff",
    "\u00ad",
    "\u0301",
    "\ud800",
]
PIECES = st.sampled_from([*SPACES, *MARKS])
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=40).map("".join))


@settings(max_examples=1_000, derandomize=True, deadline=None)
@given(text=TEXTS)
def test_cleaning_twice_changes_nothing_and_cleaning_keeps_words(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert letters(once) == letters(text)


def letters(text: str) -> str:
    return "".join(LETTERS.findall(unicodedata.normalize("NFD", text)))


LETTERS = re.compile("[a-z0-9`~>-]+")


TAG_NAMES = (
    "p b ul ol li pre table tr td h1 br nav blockquote div title script a form section header"
)
TAGS = st.one_of(
    st.sampled_from(["<!--", "-->", "&nbsp;", "&amp;nbsp;", "a", "```", "<", ">"]),
    st.builds("<{}{}>".format, st.sampled_from(["", "", "/"]), st.sampled_from(TAG_NAMES.split())),
)


@settings(max_examples=1_000, derandomize=True, deadline=None)
@given(parts=st.lists(st.one_of(TAGS, TEXTS), max_size=40), boilerplate=st.booleans())
def test_the_text_of_any_page_is_clean(parts: list[str], boilerplate: bool) -> None:
    page = read_page("".join(parts), boilerplate=boilerplate)
    assert clean(page.text) == page.text
    assert one_line(page.title) == page.title


@pytest.mark.parametrize("text", ["", " \n", "\x00\x1f", "\ud800", "\ufeff", "\u2028"])
def test_blank_means_that_cleaning_leaves_nothing(text: str) -> None:
    assert is_blank(text)
    assert clean(text) == ""


def test_a_text_of_invisible_characters_is_blank() -> None:
    assert is_blank("\u200b\u200d\u2060")


def test_one_visible_character_is_not_blank() -> None:
    assert not is_blank(" \x00a")
