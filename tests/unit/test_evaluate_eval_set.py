from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from workbench.errors import SourceError, UnknownName
from workbench.evaluate.eval_set import EvalSet, load_eval_set

HEADER = "query-id\tcorpus-id\tscore\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "tiny"
    (root / "qrels").mkdir(parents=True)
    docs = [{"_id": f"d/{i} 🦊", "title": "", "text": f"text {i}"} for i in range(3)]
    lines(root / "corpus.jsonl", [*docs, {"_id": "empty", "title": "", "text": ""}])
    lines(root / "queries.jsonl", [{"_id": f"q{i}", "text": f"query {i}"} for i in range(4)])
    judge(root, "q0\td/0 🦊\t2\nq1\td/1 🦊\t0\nq1\tempty\t-1\n")
    judge(root, "q2\td/2 🦊\t1\n", "train")
    return root


def lines(path: Path, rows: list[dict[str, object]]) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")


def judge(root: Path, rows: str, split: str = "test") -> None:
    (root / "qrels" / f"{split}.tsv").write_text(HEADER + rows, encoding="utf-8")


def loaded(folder: Path, split: str = "test") -> EvalSet:
    return load_eval_set("tiny", split=split, data_dirs=[folder.parent])


def test_a_set_has_judged_queries_and_names_the_unjudged(folder: Path) -> None:
    found = loaded(folder)
    assert [query.query_id for query in found.queries] == ["q0", "q1"]
    assert found.qrels == {"q0": {"d/0 🦊": 2}, "q1": {"d/1 🦊": 0, "empty": -1}}
    assert found.unjudged == ("q3",)
    assert (found.n_documents, [q.document_id for q in found.quarantined]) == (3, ["empty"])
    assert (found.name, found.source.name) == ("tiny", "tiny")
    assert [query.query_id for query in loaded(folder, "train").queries] == ["q2"]


def test_the_digest_follows_the_content_not_the_place_or_the_order(folder: Path) -> None:
    before = loaded(folder).digest
    copy = folder.parent / "copy"
    shutil.copytree(folder, copy)
    rows = (copy / "corpus.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (copy / "corpus.jsonl").write_text("".join(reversed(rows)), encoding="utf-8")
    assert load_eval_set(str(copy), data_dirs=[]).digest == before
    judge(copy, "q0\td/0 🦊\t1\nq1\td/1 🦊\t0\nq1\tempty\t-1\n")
    assert load_eval_set(str(copy), data_dirs=[]).digest != before
    assert loaded(folder, "train").digest != before


def test_judgements_of_missing_documents_are_counted_and_named(folder: Path) -> None:
    judge(folder, "".join(f"q0\tgone{i}\t1\n" for i in range(7)))
    expected = r"test\.tsv judges 7 documents .*: 'gone0', 'gone1', 'gone2', 'gone3', 'gone4', …"
    with pytest.raises(SourceError, match=expected):
        loaded(folder)


def test_judgements_of_unknown_queries_are_an_error(folder: Path) -> None:
    judge(folder, "q9\td/0 🦊\t1\n")
    with pytest.raises(SourceError, match=r"judges 1 queries that the set does not hold: 'q9'"):
        loaded(folder)


def test_a_missing_split_names_those_found(folder: Path) -> None:
    with pytest.raises(SourceError, match="splits found test, train"):
        loaded(folder, "dev")
    shutil.rmtree(folder / "qrels")
    with pytest.raises(SourceError, match="splits found none"):
        loaded(folder)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("q0\t0\td/0\t1\n", r"line 2: found \['q0', '0', 'd/0', '1'\]; expected"),
        ("q0\td/0 🦊\thigh\n", "an integer score"),
        ("q0\td/0 🦊\t1\nq0\td/0 🦊\t2\n", "line 3: judges .* with 2 after 1"),
        ("", "holds no judgements"),
    ],
)
def test_a_broken_line_of_judgements_is_named(folder: Path, rows: str, expected: str) -> None:
    judge(folder, rows)
    with pytest.raises(SourceError, match=expected):
        loaded(folder)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ('{"_id": "q0", "text": " "}\n', "line 1: found .*expected '_id' and 'text'"),
        ('{"_id": "q0", "text": "x"}\n' * 2, "'q0' is used twice"),
        ("{oops\n", "line 1: broken JSON"),
    ],
)
def test_a_broken_query_is_named(folder: Path, rows: str, expected: str) -> None:
    (folder / "queries.jsonl").write_text(rows, encoding="utf-8")
    with pytest.raises(SourceError, match=expected):
        loaded(folder)


def test_a_folder_in_another_layout_is_no_evaluation_set(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x", encoding="utf-8")
    with pytest.raises(SourceError, match=r"holds no corpus\.jsonl"):
        load_eval_set(str(tmp_path), data_dirs=[])


def test_an_unknown_set_names_the_nearest(folder: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'tiny'"):
        load_eval_set("tinny", data_dirs=[folder.parent])


@pytest.mark.data
def test_real_sets_have_their_published_sizes(data_dir: Path) -> None:
    def sizes(name: str, split: str = "test") -> tuple[int, int, int, int]:
        found = load_eval_set(name, split=split, data_dirs=[data_dir])
        judgements = sum(len(gains) for gains in found.qrels.values())
        return found.n_documents, len(found.queries), judgements, len(found.unjudged)

    assert sizes("scifact") == (5183, 300, 339, 0)
    assert sizes("scifact", "train") == (5183, 809, 919, 0)
    assert sizes("cranfield") == (1398, 225, 1612, 0)
    assert sizes("cacm") == (3204, 52, 796, 12)
    assert sizes("xquad-r/de") == (1276, 1190, 1190, 0)


def test_python_docs_is_an_evaluation_set_of_known_items() -> None:
    found = load_eval_set("python-docs", data_dirs=[])
    assert (found.name, len(found.queries), found.quarantined) == ("python-docs", 150, ())
    assert found.n_documents >= 3_000
    with pytest.raises(SourceError, match="the only one is 'test'"):
        load_eval_set("python-docs", split="train", data_dirs=[])
