import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from workbench.errors import UnknownName
from workbench.evaluate.compare import CompareResult, CompareRow
from workbench.evaluate.significance import Interval
from workbench.evaluate.systems import EvaluateResult, SystemResult
from workbench.models.listing import ModelRow
from workbench.widgets import markup

EVIL = "<script>alert(1)</script><img src=x onerror='alert(2)'>\"'&"


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.names, self.attributes, self.texts = [], [], []

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


def parsed(html):
    tags = Tags()
    tags.feed(html)
    return tags


def measured(name, *, url="", run_id="r1"):
    one = Interval(0.5, 0.4, 0.6)
    system = SystemResult(name, "f", name, name, {"nDCG@10": one}, {1: one}, {"docs_per_s": 12}, {})
    return EvaluateResult(name, "d", 35, (), 0.95, (system,), run_id, url)


def compared(name, verdict="better"):
    row = CompareRow(name, name, "nDCG@10", 0.1, 0.0, 0.2, 0.01, 0.02, verdict, 35, f"{name} wins.")
    return CompareResult(name, name, 0.95, (row,))


def model(name):
    return ModelRow(
        name, "encoder", "premium", "p", 1, 1, "l", "p", "float32", "", "", "", usable=False,
        why_not=name,
    )  # fmt: skip


@pytest.mark.parametrize(
    "html",
    [
        markup.measured(measured(EVIL)),
        markup.compared(compared(EVIL)),
        markup.compared(compared(EVIL, EVIL)),
        markup.commands([EVIL]),
        markup.unusable([model(EVIL)]),
        markup.failed(UnknownName(EVIL)),
        markup.failed(RuntimeError(EVIL)),
        markup.note(EVIL),
        markup.notes([EVIL]),
        markup.tracked(measured("a", run_id=EVIL), Path(EVIL), None),
        markup.tracked(measured("a", url=f"http://host/#/{EVIL}", run_id=EVIL), Path("/h"), None),
        markup.tracked(measured("a"), Path("/h"), f"http://host/{EVIL}"),
        markup.table([{EVIL: EVIL}]),
    ],
)  # fmt: skip
def test_a_name_with_markup_in_it_is_inert(html):
    tags = parsed(html)
    assert not {"script", "img"} & set(tags.names)
    assert not [name for name, _ in tags.attributes if name.startswith("on")]
    assert "alert(1)" in " ".join([*tags.texts, *[value or "" for _, value in tags.attributes]])


def test_the_table_has_the_columns_of_the_command_line_and_every_interval():
    result = measured("wordllama")
    html = markup.measured(result)
    assert re.findall(r"<th[^>]*>([^<]*)</th>", html) == list(result.rows()[0])
    assert "0.5000" in html
    assert "[0.4000, 0.6000]" in html
    assert "35 queries, mean and 95 % interval" in html


@pytest.mark.parametrize(
    ("verdict", "mark"), [("better", "▲"), ("worse", "▼"), ("not separable", "○")]
)
def test_a_verdict_has_a_mark_and_a_word_not_a_colour_alone(verdict, mark):
    html = markup.compared(compared("bm25", verdict))
    assert re.search(rf"{mark}</span> {verdict}</td>", html)
    assert "<li>bm25 wins.</li>" in html


def test_a_run_on_a_server_is_a_link_without_the_servers_password():
    url = "http://me:secret@host:8601/#/experiments/1/runs/r1?workflowType=machine_learning"
    tags = parsed(markup.tracked(measured("a", url=url), Path("/h"), None))
    links = [value for name, value in tags.attributes if name == "href"]
    assert links == ["http://host:8601/#/experiments/1/runs/r1?workflowType=machine_learning"]


def test_a_link_that_is_no_page_is_never_made():
    html = markup.tracked(measured("a", url="javascript:alert(1)"), Path("/h"), None)
    assert "href" not in html


def test_without_a_server_the_panel_says_where_the_run_is_and_how_to_see_it():
    html = markup.tracked(measured("a"), Path("/some/home"), None)
    assert "/some/home" in html
    assert "workbench up" in html
    assert "workbench ui" in html
    untracked = markup.tracked(measured("a", run_id=None), Path("/h"), None)
    assert "switched off" in untracked


def test_an_error_of_ours_is_one_message_and_any_other_one_has_its_traceback():
    assert "<details>" not in markup.failed(UnknownName("no such set"))
    with pytest.raises(RuntimeError) as caught:
        _break()
    html = markup.failed(caught.value)
    assert "test_widgets_markup.py" in html
    assert "RuntimeError" in html


def _break():
    raise RuntimeError("broken")
