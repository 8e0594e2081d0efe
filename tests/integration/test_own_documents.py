"""What a stranger does with documents of their own: look at chunks, find repeats, measure."""

import json
import re
from html import unescape

import pytest

from workbench.cli.common import run_app
from workbench.cli.main import app

pytestmark = [pytest.mark.models]

PAGE = """# Tempo

## Async entries

The second violins enter <b>async</b>. See Dr. Who, e.g. in bar 12. Then everyone waits, and the
conductor gives the cue; it is late. So they begin again, from the top, with more care than before.

```python
await asyncio.sleep(1)
```
"""


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    """Run a command in a folder of its own; returns (exit code, what it printed)."""
    monkeypatch.chdir(tmp_path)

    def call(*argv):
        capsys.readouterr()
        code = run_app(app, [*map(str, argv), "--home", str(tmp_path / "home")])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return call


def as_json(answer):
    code, text = answer
    assert code == 0, text
    return json.loads(text)


@pytest.fixture
def page(tmp_path):
    file = tmp_path / "page.md"
    file.write_text(PAGE, encoding="utf-8")
    return file


def test_chunks_can_be_checked_from_their_json(run, page):
    found = as_json(run("chunk", page, "--chunking", "48:6", "--model", "minilm-l6", "--json"))
    assert len(found["chunks"]) >= 3
    for chunk in found["chunks"]:
        assert found["text"][chunk["start"] : chunk["end"]] == chunk["text"]
        assert 0 < chunk["tokens"] <= 48
    starts = [chunk["start"] for chunk in found["chunks"]]
    ends = [chunk["end"] for chunk in found["chunks"]]
    assert any(start < end for start, end in zip(starts[1:], ends, strict=False)), "no overlap"


def test_the_page_of_chunks_holds_the_text_once_and_escaped(run, page, tmp_path):
    code, text = run("chunk", page, "--chunking", "48:6", "--html", "out.html")
    assert code == 0, text
    assert "out.html" in text
    html = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "<b>async" not in html
    body = html.split('<div class="text">')[1]
    shown = re.sub(r"<sup.*?</sup>|<[^>]+>", "", body)
    assert unescape(shown).split() == PAGE.split()
    assert 'class="t1 both"' in body
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--chunking", "1"], "a budget of 16 tokens or more; found 1"),
        (["--chunking", "64:64"], "more than half"),
        (["--chunking", "512", "--model", "minilm-l6"], "reads only 256"),
        (["--id", "other"], "unknown document 'other'"),
        (["--html", "no/such/page.html"], "cannot write the page"),
    ],
)
def test_chunkings_that_can_not_work_say_why(run, page, argv, expected):
    code, text = run("chunk", page, *argv)
    assert code
    assert expected in text


def test_one_document_of_several_must_be_named(run):
    code, text = run("chunk", "handbook")
    assert code
    assert "name one by --id" in text
    found = as_json(run("chunk", "handbook", "--id", "hb-001", "--chunking", "128", "--json"))
    assert found["document_id"] == "hb-001"


@pytest.fixture
def folder(tmp_path):
    pages = tmp_path / "pages"
    pages.mkdir()
    topics = ["volcano lava ash", "bread dough oven", "fox den cubs", "violin bow string"]
    names = [
        "Ada",
        "Bea",
        "Cleo",
        "Dora",
        "Edda",
        "Fina",
        "Gaia",
        "Hedda",
        "Ines",
        "Jana",
        "Kira",
        "Lena",
    ]
    for i, name in enumerate(names):
        one, two, three = topics[i % 4].split()
        (pages / f"page{i}.md").write_text(
            f"# {one} {i}\n\nThe page of {name} tells of the {one}, its {two} and its {three}. "
            f"Uncle {name}lina and cousin {name}son know more, and so does old {name}berg.",
            encoding="utf-8",
        )
    return pages


@pytest.mark.chroma
def test_repeats_are_reported_and_kept(run, folder):
    twin = (folder / "page1.md").read_text(encoding="utf-8")
    (folder / "twin.md").write_text(twin.replace("old", "young"), encoding="utf-8")
    ingested = as_json(run("ingest", folder, "-c", "c", "--model", "wordllama", "--json"))
    assert ingested["added"] == 13
    report = as_json(run("duplicates", "--corpus", "c", "--threshold", "0.5", "--json"))
    (cluster,) = report["clusters"]
    assert cluster["document_ids"] == ["page1.md", "twin.md"]
    assert 0.5 <= cluster["lowest"] < 1
    assert (report["documents"], report["redundant"]) == (13, 1)


INIT = ["--models", "wordllama", "bm25", "--corpus", "mine", "--json"]


@pytest.mark.chroma
@pytest.mark.mlflow
def test_init_measures_two_models_and_is_free_the_second_time(run, folder, tmp_path):
    found = as_json(run("init", folder, *INIT))
    assert (found["documents"], found["synthetic_queries"]) == (12, True)
    assert found["ingest"]["added"] == 12
    assert [row["model"] for row in found["evaluation"]["rows"]] == ["wordllama", "bm25"]
    assert found["comparison"]["rows"][0]["verdict"] in {"better", "worse", "not separable"}
    config = (tmp_path / "workbench.yaml").read_text(encoding="utf-8")
    assert "model: wordllama" in config
    hits = as_json(
        run("search", "lava", "--corpus", "mine", "--config", "workbench.yaml", "--json")
    )["hits"]
    assert hits[0]["text"].startswith("# volcano")
    again = as_json(run("init", folder, *INIT))
    assert again["ingest"]["encoder_calls"] == again["evaluation"]["rows"][0]["encoder_calls"] == 0
    assert again["evaluation"]["rows"] != []


@pytest.mark.chroma
@pytest.mark.mlflow
def test_init_takes_judged_queries_and_answers_the_others(run, folder, tmp_path):
    queries = tmp_path / "queries.csv"
    queries.write_text(
        "query,document_id\nmolten rock fact4,page4.md\nfact1 dough,page1.md\nfoxes,\n",
        encoding="utf-8",
    )
    found = as_json(run("init", folder, "--queries", queries, *INIT))
    assert not found["synthetic_queries"]
    assert found["evaluation"]["queries"] == 2
    assert [answer["query"] for answer in found["answers"]] == ["foxes"]


@pytest.mark.chroma
@pytest.mark.mlflow
def test_init_on_a_part_of_the_documents_indexes_nothing_yet(run, folder):
    found = as_json(run("init", folder, "--limit", 5, *INIT))
    assert (found["documents"], found["ingest"]) == (5, None)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["nowhere"], "unknown source"),
        (["empty"], "holds no"),
        ([], "name the documents"),
        (["pages", "--queries", "none.csv"], "cannot read"),
        (["pages", "--queries", "wrong.csv"], "names 1 documents that pages does not hold"),
        (["pages", "--models", "nope", "bm25"], "unknown encoder 'nope'"),
        (["pages", "--models", "wordllama", "wordllama"], "two different models"),
        (["pages", "--write", "taken.yaml"], "taken.yaml exists and says something else"),
        (["pages", "--write", "no/such/c.yaml"], "cannot write"),
        (["pages", "--corpus", "../outside"], "also names a folder"),
        (["pages", "--queries", "zero.csv"], "judges no document relevant"),
    ],
)
def test_an_init_that_can_not_work_leaves_nothing_behind(run, folder, tmp_path, argv, expected):
    (tmp_path / "empty").mkdir()
    (tmp_path / "wrong.csv").write_text("query,document_id\nx,page99.md\n", encoding="utf-8")
    (tmp_path / "zero.csv").write_text("query,document_id,score\nx,page1.md,0\n", encoding="utf-8")
    (tmp_path / "taken.yaml").write_text("model: mine\n", encoding="utf-8")
    before = sorted(path.name for path in tmp_path.iterdir())
    code, text = run("init", *argv)
    assert code
    assert expected in text
    assert sorted(path.name for path in tmp_path.iterdir()) == before
