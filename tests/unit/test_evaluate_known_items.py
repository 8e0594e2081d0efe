from __future__ import annotations

import json
from pathlib import Path

import pytest

from workbench.errors import EvaluationError, SourceError
from workbench.evaluate.eval_set import load_eval_set
from workbench.evaluate.known_items import known_item_queries
from workbench.evaluate.queries_file import read_queries
from workbench.evaluate.write import write_eval_set
from workbench.records import Document, Query

HANDBOOK = Path(__file__).parents[2] / "eval_sets" / "handbook" / "corpus.jsonl"


def handbook() -> list[tuple[str, str]]:
    rows = map(json.loads, HANDBOOK.read_text(encoding="utf-8").splitlines())
    return [(row["_id"], row["text"]) for row in rows]


def test_queries_hold_words_of_their_document_that_few_others_have() -> None:
    pages = handbook()
    texts = dict(pages)
    queries, qrels = known_item_queries(pages, n=50)
    assert len(queries) == len(qrels) == 50
    for query in queries:
        ((name, gain),) = qrels[query.query_id].items()
        assert gain == 1
        words = query.text.split()
        assert 3 <= len(words) == len(set(words)) <= 6
        assert all(word in texts[name].casefold() for word in words)
        common = [w for w in words if sum(w in text.casefold() for text in texts.values()) > 200]
        assert common == []


def test_the_choice_is_seeded_and_does_not_depend_on_the_order() -> None:
    pages = handbook()
    assert known_item_queries(pages, 20) == known_item_queries(pages[::-1], 20)
    assert known_item_queries(pages, 20) != known_item_queries(pages, 20, seed=2)


def test_documents_with_the_same_text_are_nobody_s_known_item() -> None:
    pages = handbook()[:30]
    queries, _ = known_item_queries([*pages, ("copy", pages[0][1])])
    assert {query.query_id for query in queries} <= {f"known-{name}" for name, _ in pages[1:]}


def test_documents_without_words_of_their_own_give_none() -> None:
    with pytest.raises(EvaluationError, match="queries of your own"):
        known_item_queries([("a", "1 2 3"), ("b", "")])


def test_a_written_set_is_read_back(tmp_path: Path) -> None:
    documents = [Document("d1", "Text\n\none", "Title", {"year": 2020}), Document("d2", "Two")]
    for _ in range(2):
        write_eval_set(
            tmp_path / "mine", documents, [Query("q", "one?")], {"q": {"d1": 2}}, "# Card\n"
        )
    found = load_eval_set(str(tmp_path / "mine"), data_dirs=())
    assert found.queries == (Query("q", "one?"),)
    assert found.qrels == {"q": {"d1": 2}}
    assert [item.text for item in found.source] == ["Text\n\none", "Two"]  # type: ignore[union-attr]
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    "changed", ["queries.jsonl", "qrels/test.tsv", "notes.txt", "qrels/dev.tsv"]
)
def test_what_somebody_else_wrote_is_not_replaced(tmp_path: Path, changed: str) -> None:
    folder = tmp_path / "mine"
    documents, queries, qrels = [Document("d1", "One")], [Query("q", "one?")], {"q": {"d1": 1}}
    write_eval_set(folder, documents, queries, qrels, "# Card\n")
    with (folder / changed).open("a", encoding="utf-8") as file:
        file.write("by hand\n")
    before = (folder / changed).read_bytes()
    with pytest.raises(EvaluationError, match="move the folder away"):
        write_eval_set(folder, documents, queries, qrels, "# Card\n")
    assert (folder / changed).read_bytes() == before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("q.csv", "query,document_id,score\nhow  to?,d1,2\nhow to?,d2,\nwhy?,,\n"),
        ("q.csv", "Query, Document_ID, Score\nhow to?, d1, 2.0\nhow to?, d2,\nwhy?,,\n"),
        ("q.tsv", "question\trelevant\tgain\nhow to?\td1\t2\nhow to?\td2\t\nwhy?\t\t\n"),
        (
            "q.jsonl",
            """{"text": "how to?", "document": "d1", "score": 2}
{"text": "how to?", "document": ["d2"]}

{"text": "why?"}
""",
        ),
    ],
)
def test_queries_come_from_tables(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    found = read_queries(tmp_path / name)
    assert found.queries == (Query("own-0001", "how to?"), Query("own-0002", "why?"))
    assert found.qrels == {"own-0001": {"d1": 2, "d2": 1}}


def test_a_text_file_holds_a_query_a_line(tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text("one\n\n two \n", encoding="utf-8")
    found = read_queries(tmp_path / "q.txt")
    assert [query.text for query in found.queries] == ["one", "two"]
    assert found.qrels == {}


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("q.txt", b"\n", "holds no query"),
        ("q.txt", b"caf\xe9\n", "line 1: not valid UTF-8"),
        ("q.pdf", b"x", "expected .txt, .jsonl, .csv, .tsv"),
        ("q.csv", b"a,b\n1,2\n", "line 2: no query; expected a query column"),
        ("q.csv", b"query,document_id\nx\n", "not as many cells"),
        ("q.csv", b"query,document_id,score\nx,d,high\n", "expected a whole number"),
        ("q.csv", b"query,document_id,score\nx,d,0.7\n", "expected a whole number"),
        ("q.jsonl", b'{"query": "x", "document": "d", "score": 0.7}\n', "expected a whole number"),
        ("q.jsonl", b'{"query": "x", "document": "d", "score": Infinity}\n', "a whole number"),
        ("q.jsonl", b'{"query": "x", "document": {"id": "d"}}\n', "expected an id"),
        ("q.jsonl", b'{"query": "x", "document": true}\n', "expected an id"),
        ("q.csv", b'query,document_id\nx,"d\t1"\n', "expected an id without tabs"),
        ("q.jsonl", b'{"query": "\\ud800"}\n', "no query"),
        ("q.jsonl", b"{broken\n", "line 1: broken JSON"),
        ("q.jsonl", b'{"query": 7}\n', "no query"),
    ],
)
def test_an_unusable_file_of_queries_says_why(
    tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=expected):
        read_queries(tmp_path / name)
