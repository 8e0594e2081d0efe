from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from workbench.data.load import Source, data_dirs, open_source
from workbench.data.source import MAX_TEXT_BYTES
from workbench.errors import SourceError, UnknownName
from workbench.records import Quarantined, SourceDocument


def opened(path: Path) -> Source:
    return open_source(str(path), data_dirs=[])


def documents(source: Source) -> dict[str, SourceDocument]:
    return {item.document_id: item for item in source if isinstance(item, SourceDocument)}


def refused(source: Source) -> list[tuple[str, str]]:
    return [(i.document_id, i.reason) for i in source if isinstance(i, Quarantined)]


def jsonl(path: Path, *rows: Any) -> Path:
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_bytes("".join(line + "\n" for line in lines).encode("utf-8", "surrogatepass"))
    return path


def test_a_folder_gives_one_document_per_text_in_the_order_of_paths(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "ü.md").write_text("intro\n# The *title* #\ntext", encoding="utf-8")
    (tmp_path / "a.txt").write_text("plain", encoding="utf-8")
    (tmp_path / "page.html").write_text("<title>T</title><p>x<p>y", encoding="utf-8")
    (tmp_path / ".hidden.txt").write_text("no", encoding="utf-8")
    (tmp_path / "ignored.png").write_bytes(b"\x89PNG")
    found = documents(opened(tmp_path))
    assert list(found) == ["a.txt", "b/ü.md", "page.html"]
    assert [d.title for d in found.values()] == ["a", "The *title*", "T"]
    assert found["page.html"].text == "x\n\ny"


def test_a_source_can_be_read_twice_and_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("plain", encoding="utf-8")
    source = opened(tmp_path)
    assert list(source) == list(source)
    assert source.name == opened(tmp_path).name
    assert str(tmp_path) not in source.name


def test_two_folders_of_one_name_are_two_sources(tmp_path: Path) -> None:
    for parent in ("x", "y"):
        (tmp_path / parent / "docs").mkdir(parents=True)
    assert opened(tmp_path / "x" / "docs").name != opened(tmp_path / "y" / "docs").name


def test_each_bad_row_is_refused_with_a_reason_and_the_others_stay(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "rows.jsonl",
        {"id": "a/b 🦊", "text": "first"},
        "{broken",
        {"id": "no-text"},
        {"id": "empty", "text": " \n\u0000"},
        {"id": "a/b 🦊", "text": "second"},
        {"id": 7, "body": "seven"},
        {"id": "", "text": "x"},
        {"id": True, "text": "x"},
        {"id": "\ud800", "text": "x"},
        {"text": "x"},
        {"id": "list", "text": ["x"]},
        "[1]",
        "[" * 100_000,
        {"id": "title-only", "title": "T", "text": ""},
    )
    with path.open("ab") as file:
        file.write(b'{"id": "latin", "text": "\xe4"}\n\n{"id": "last", "text": "no newline"}')
    assert list(documents(opened(path))) == ["a/b 🦊", "7", "title-only", "last"]
    found = refused(opened(path))
    assert [name for name, _ in found] == [
        "line 2", "no-text", "empty", "a/b 🦊", "line 7", "line 8", "line 9", "line 10", "list",
        "line 12", "line 13", "line 15",
    ]  # fmt: skip
    reasons = dict(found)
    assert "broken JSON" in reasons["line 2"]
    assert reasons["empty"] == "empty document"
    assert "duplicate id" in reasons["a/b 🦊"]
    assert "missing text: found id" in reasons["no-text"]
    assert "not valid UTF-8" in reasons["line 15"]


def test_lines_end_at_newlines_only(tmp_path: Path) -> None:
    text = "one\u2028two\u2029three\x85four"
    path = jsonl(tmp_path / "rows.jsonl", {"_id": "1", "text": text}, {"_id": "2", "text": "x"})
    assert documents(opened(path))["1"].text == text
    assert len(documents(opened(path))) == 2


def test_metadata_are_scalars(tmp_path: Path) -> None:
    row = (
        '{"_id": "1", "text": "x", "n": 1, "f": 0.5, "b": true, "none": null, "nan": NaN,'
        ' "inf": Infinity, "list": [1, "ü"], "big": 9223372036854775808, "metadata": {"y": 2}}'
    )
    (document,) = documents(opened(jsonl(tmp_path / "rows.jsonl", row))).values()
    assert document.metadata == {
        "n": 1, "f": 0.5, "b": True, "list": '[1, "ü"]', "big": "9223372036854775808", "y": 2,
    }  # fmt: skip


def test_a_document_of_ten_megabytes_is_read_and_a_longer_one_refused(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "rows.jsonl",
        {"id": "fits", "text": "x" * MAX_TEXT_BYTES},
        {"id": "umlauts", "text": "ä" * (MAX_TEXT_BYTES // 2 + 1)},
    )
    (tmp_path / "fits.txt").write_text("x" * MAX_TEXT_BYTES, encoding="utf-8")
    (tmp_path / "long.txt").write_text("x" * 12_900_000, encoding="utf-8")
    assert list(documents(opened(tmp_path))) == ["fits.txt", "fits"]
    assert refused(opened(tmp_path)) == [
        ("long.txt", "too large: found 12.4 MB, the limit is 10 MB"),
        ("umlauts", "too large: found 10.1 MB, the limit is 10 MB"),
    ]
    assert list(documents(opened(path))) == ["fits"]


def test_a_line_too_long_for_any_document_is_skipped_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.data.readers._MAX_LINE_BYTES", 100)
    rows = [{"id": str(n), "text": "x" * n} for n in (10, 75, 76, 500, 11)]
    path = jsonl(tmp_path / "rows.jsonl", *rows)
    assert "11" in documents(opened(path))
    assert [name for name, _ in refused(opened(path))][-1] == "line 4"


def test_csv_rows_are_documents_and_bad_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(
        b'\xef\xbb\xbfid,title,text,year\n1,T,"two\nlines",1999\n2,T\n3,T,\xe4,1\n,T,x,1\n5,,,\n'
    )
    (document,) = documents(opened(path)).values()
    assert (document.document_id, document.text) == ("1", "two\nlines")
    assert document.metadata == {"year": 1999}
    assert refused(opened(path)) == [
        ("line 4", "found 2 columns, expected 4"),
        ("line 5", "not valid UTF-8. Save it as UTF-8, or set source.encoding to its encoding."),
        ("line 6", "unusable id '': expected a non-empty string or an integer"),
        ("5", "empty document"),
    ]


def test_parquet_rows_are_documents(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"id": [1, 2], "content": ["x", None], "tags": [["a"], []]})
    pq.write_table(table, tmp_path / "rows.parquet")
    source = opened(tmp_path / "rows.parquet")
    assert documents(source)["1"].metadata == {"tags": '["a"]'}
    assert refused(source) == [("2", "missing text: found content, id, tags")]


def write_parquet(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"id": ["1"], "words": ["x"]}), path)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "rows.parquet"])
def test_a_file_without_a_text_column_names_its_columns(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("parquet"):
        write_parquet(path)
    else:
        path.write_text('{"id": "1", "words": "x"}' if "json" in name else "id,words\n1,x")
    with pytest.raises(SourceError, match="no text column: found id, words; expected one of text"):
        list(opened(path))


def test_a_file_that_is_not_what_its_name_says_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"not parquet")
    with pytest.raises(SourceError, match="as Parquet"):
        list(opened(tmp_path / "rows.parquet"))
    whole = gzip.compress(b'{"_id": "1", "text": "x"}\n' * 1000)
    (tmp_path / "corpus.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match="damaged gzip"):
        list(opened(tmp_path / "corpus.jsonl.gz"))


def test_an_unknown_format_and_a_folder_of_such_are_errors(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(b"x")
    with pytest.raises(SourceError, match=r"'\.docx' is not one of"):
        opened(tmp_path / "a.docx")
    with pytest.raises(SourceError, match="holds no file to read"):
        opened(tmp_path)


def test_an_empty_folder_is_an_empty_source(tmp_path: Path) -> None:
    assert list(opened(tmp_path)) == []


def test_a_text_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"gr\xfcn")
    (tmp_path / "b.txt").write_bytes(b" \n")
    (first, reason), second = refused(opened(tmp_path))
    assert (first, second) == ("a.txt", ("b.txt", "empty document"))
    assert "not valid UTF-8" in reason


def test_sets_are_found_by_name_also_nested_and_packed(tmp_path: Path) -> None:
    (tmp_path / "group" / "en").mkdir(parents=True)
    packed = gzip.compress(b'{"_id": "1", "title": "", "text": "x"}\n')
    (tmp_path / "group" / "en" / "corpus.jsonl.gz").write_bytes(packed)
    source = open_source("group/en", data_dirs=[tmp_path])
    assert (source.name, list(documents(source))) == ("group/en", ["1"])
    by_path = open_source(str(tmp_path / "group" / "en"), data_dirs=[tmp_path])
    assert by_path.name == "group/en"
    with pytest.raises(
        UnknownName, match=r"Did you mean 'group/en'\?.*Known: group/en, .*python-docs"
    ):
        open_source("group/em", data_dirs=[tmp_path])


@pytest.mark.parametrize("name", ["", "no-such-thing"])
def test_an_unknown_source_lists_what_exists(name: str) -> None:
    with pytest.raises(UnknownName, match="python-docs"):
        open_source(name, data_dirs=[])


def test_data_dirs_come_from_the_environment(tmp_path: Path) -> None:
    both = f"{tmp_path / 'a'}{os.pathsep}{tmp_path / 'b'}"
    assert data_dirs({"WORKBENCH_DATA": both})[:2] == (tmp_path / "a", tmp_path / "b")


@pytest.mark.data
def test_real_sets_load_whole(data_dir: Path) -> None:
    def tally(name: str) -> tuple[int, list[tuple[str, str]]]:
        source = open_source(name, data_dirs=[data_dir])
        return len(documents(source)), refused(source)

    assert tally("scifact") == (5183, [])
    assert tally("cacm") == (3204, [])
    assert tally("xquad-r/en") == (1180, [])
    empty = [("471", "empty document"), ("995", "empty document")]
    assert tally("cranfield") == (1398, empty)
