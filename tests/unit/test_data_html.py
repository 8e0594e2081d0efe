from __future__ import annotations

import pytest

from workbench.data.html import MAX_DEPTH, TooDeep, read_page


def text(html: str, *, boilerplate: bool = True) -> str:
    return read_page(html, boilerplate=boilerplate).text


PAGE = """<html><head><title>The  Title</title><style>p{}</style></head><body>
<nav><a>Home</a></nav><h1>Heading</h1><p>One <b>two</b>
three &amp; four.</p><ul><li>first</li><li><p>second</p></li></ul>
<script>alert("x < y")</script><pre>
def f():
    return  1
</pre></body></html>"""


def test_a_page_becomes_marked_lines_without_scripts_and_navigation() -> None:
    assert read_page(PAGE) == (
        """# Heading\n\nOne two three & four.\n\n- first\n- second\n
```\ndef f():\n    return  1\n```""",
        "The Title",
    )


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<h2>A <i>b</i><br>c</h2>d<h6></h6>e", "## A b c\n\nd\n\ne"),
        ("a<ul><li>b<ul><li>c<li>d</ul><li>e</ul>f", "a\n\n- b\n  - c\n  - d\n- e\n\nf"),
        ("<ol start=9><li>a<li>b<p>c</ol>", "9. a\n10. b\n\n  c"),
        ("<table><tr><th>A<th>B<tr><td>1<br>2<td><p>3</table>", "| A | B |\n| 1 2 | 3 |"),
        ("<table><tr><td><td></table>x", "x"),
        ("<table><tr><td>a<td><table><tr><td>b</table>c</table>", "a\n\n| b |\n\nc"),
        ("<table><tr><td>1<td><pre>a\n b</pre></table>", "1\n\n```\na\n b\n```"),
        (
            "<blockquote><p>a<p>b<blockquote>c</blockquote></blockquote>d",
            "> a\n>\n> b\n>\n> > c\n\nd",
        ),
        ("<pre>a ``` b</pre>", "````\na ``` b\n````"),
        ("<pre><div>a</div><div>b</div></pre>", "```\na\nb\n```"),
        ("use <code>a  b</code> now", "use a b now"),
        ("&amp;lt; &lt;b&gt; &#65;&#99999999999; &nbsp; x", "&lt; <b> A\ufffd x"),
        ("1 < 2 <3 a<b> c</b>", "1 < 2 <3 a c"),
        ("<!-- a > b -->c<![CDATA[d]]>e<?php f ?>g<!doctype html>h", "cegh"),
        ("a<script>if (x </script>b<style>c", "ab"),
        ("a <p title='x > y' b=\"<b>\">c", "a\n\nc"),
        ('a <p title="never closed>b</p><p>c', "a\n\nb\n\nc"),
        ("a<svg><title>icon</title><text>b</text></svg><template>c</template>d", "ad"),
        ("<nav>a<div>b</nav>c", "c"),
        ("a<div class=x role='navigation'><ul><li>b</ul></div>c", "a\nc"),
        ("<div data-role=navigation>a</div>", "a"),
        ("<h2>Use<a class=headerlink href='#use'>¶</a></h2>a <a>b</a>", "## Use\n\na b"),
        ("<h2><a href='#c'>#</a> C<a>#</a></h2>#", "## C\n\n#"),
        (
            "<table><tr><th>A<th>B<tr><td>1<td><ul><li>x<li>y</ul><tr><td>2<td>z</table>c",
            "| A | B |\n| 1 | x y |\n| 2 | z |\n\nc",
        ),
        ("a<br>b<hr>c", "a\nb\n\nc"),
        ("a <x", "a <x"),
    ],
)
def test_each_element_has_its_form(html: str, expected: str) -> None:
    assert text(html) == expected


def test_the_title_is_that_of_the_page_else_its_first_heading() -> None:
    assert read_page("<svg><title>icon</title></svg><h2>A <i>b</i></h2><h2>c</h2>").title == "A b"
    assert read_page("<title>T &amp; U</title><title>V</title><h1>x</h1>").title == "T & U"
    assert read_page("<title>never closed<p>x") == ("never closed\n\nx", "")


FURNISHED = """<header>Site</header><div role="navigation">Menu</div>
<ul><li><a>One</a><li><a>Two</a><li><a>Three</a></ul>
<main><header><h1>Story</h1></header>
<p>See <a>this</a>, <a>that</a> and <a>those</a> long words.</p>
<aside>Ad</aside></main><form>Sign up</form><footer>Imprint</footer>"""


def test_boilerplate_is_removed_on_demand_only() -> None:
    assert text(FURNISHED, boilerplate=False) == "# Story\n\nSee this, that and those long words."
    kept = text(FURNISHED)
    assert all(word in kept for word in ("Site", "- One", "Ad", "Sign up", "Imprint"))
    assert "Menu" not in kept


def test_formulas_keep_their_signs_once() -> None:
    formula = "<math><semantics><mi>E</mi><mo>=</mo><mi>m</mi><annotation>E=m</annotation></math>"
    assert text(f"<p>It says {formula}.</p>") == "It says E=m."


def test_a_page_nested_too_deep_is_refused() -> None:
    assert text("<div>" * MAX_DEPTH + "x") == "x"
    assert text("<b>" * 100_000 + "x") == "x"
    with pytest.raises(TooDeep, match="deeper than 1,000"):
        read_page("<div>" * (MAX_DEPTH + 1))
