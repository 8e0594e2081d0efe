"""Sources of every kind and the settings for them, with real files."""

from __future__ import annotations

import gzip
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workbench.config import Config, SourceConfig
from workbench.data import files, hub
from workbench.data.load import _read_folder, open_source
from workbench.data.tables import scalar_of
from workbench.errors import ConfigError, SourceError
from workbench.index.plan import source_digest
from workbench.records import Quarantined, SourceDocument


def items(path: Path | str, **options: Any) -> list[SourceDocument | Quarantined]:
    return list(open_source(str(path), data_dirs=[], options=SourceConfig(**options)))


def documents(path: Path | str, **options: Any) -> list[SourceDocument]:
    return [item for item in items(path, **options) if isinstance(item, SourceDocument)]


def reasons(path: Path | str, **options: Any) -> dict[str, str]:
    found = items(path, **options)
    return {item.document_id: item.reason for item in found if isinstance(item, Quarantined)}


ROWS = [{"key": "k1", "headline": "H", "body": "one", "year": 2020, "lang": "en"}]
MAPPING = {"id": "key", "title": "headline", "text": "body", "metadata": ("year",)}


def write_rows(path: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif path.suffix == ".csv":
        path.write_text("key,headline,body,year,lang\nk1,H,one,2020,en\n")
    else:
        path.write_text(json.dumps(ROWS[0]))
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet"])
def test_columns_are_mapped_and_a_column_that_does_not_exist_is_named(
    tmp_path: Path, name: str
) -> None:
    path = write_rows(tmp_path / name)
    assert documents(path, **MAPPING) == [SourceDocument("k1", "one", "H", {"year": 2020})]
    for column, wrong in (("id", "kez"), ("text", "boddy"), ("title", "x"), ("metadata", ("x",))):
        with pytest.raises(SourceError, match=r"no .*column.*: found body, headline, key"):
            items(path, **{**MAPPING, column: wrong})
    with pytest.raises(SourceError, match="'#content'"):
        items(path, text="body")


def test_ids_of_the_content_are_stable_and_only_on_demand(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.csv")
    (first,) = documents(path, id="#content", text="body")
    path.write_text("body,lang\nzero,de\none,en\none,fr\n")
    zero, one, again = items(path, id="#content")
    assert zero.document_id != one.document_id == first.document_id
    assert isinstance(again, Quarantined), "the same content once more"
    path.write_text("body,headline\none,H\n")
    assert documents(path, id="#content", title="headline")[0].document_id != first.document_id


def test_settings_come_from_the_environment() -> None:
    env = {"WORKBENCH_SOURCE__TEXT": "body", "WORKBENCH_SOURCE__METADATA": "year, lang"}
    source = Config.load(env=env).source
    assert (source.text, source.metadata) == ("body", ("year", "lang"))
    with pytest.raises(ConfigError, match=r"source\.encoding.*such as utf-8"):
        Config.load(env={"WORKBENCH_SOURCE__ENCODING": "rot13"})


STRINGS = ("007", "1e5", "3.10", "+1", "-0", "9" * 19, "nan", " 1", "1_0", "")
VALUES = [("2020", 2020), ("-0.5", -0.5), ("true", True), ("0", 0), ("False", False)]


@pytest.mark.parametrize(("cell", "value"), [*VALUES, *zip(STRINGS, STRINGS, strict=True)])
def test_cells_become_values_only_where_nothing_is_lost(cell: str, value: object) -> None:
    assert scalar_of(cell) == value
    assert type(scalar_of(cell)) is type(value)


def test_a_source_read_twice_gives_the_same_digests(tmp_path: Path) -> None:
    for name in ("a.csv", "b.jsonl", "c.parquet"):
        write_rows(tmp_path / name)
    (tmp_path / "d.html").write_text("<h1>x</h1>" * 100)
    options = {**MAPPING, "metadata": "all"}
    first = [source_digest(item) for item in documents(tmp_path, **options)]
    assert len(first) == 2
    assert first == [source_digest(item) for item in documents(tmp_path, **options)]


@pytest.mark.parametrize("codec", ["utf-16", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("name", ["a.txt", "a.html", "a.csv", "a.jsonl", "a.jsonl.gz"])
def test_a_byte_order_mark_is_believed(tmp_path: Path, codec: str, name: str) -> None:
    row = '{"id": "1", "text": "größer 日本"}\n'
    data = ("id,text\n1,größer 日本\n" if ".csv" in name else row).encode(codec)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    (found,) = documents(tmp_path)
    assert "größer 日本" in found.text


def test_a_page_may_declare_its_encoding(tmp_path: Path) -> None:
    text = "Größe — Übung"
    for name, head in (("a", '<meta charset="windows-1252">'), ("b", '<?xml encoding="latin1"?>')):
        (tmp_path / f"{name}.html").write_bytes(f"{head}<p>{text}".encode("cp1252"))
    (tmp_path / "c.html").write_bytes(b"<meta charset=zip><p>plain")
    assert [d.text for d in documents(tmp_path)] == [text, text, "plain"]


def test_another_encoding_is_refused_with_the_cure_and_never_guessed(tmp_path: Path) -> None:
    russian = "Широкая электрификация южных губерний даст мощный толчок подъёму хозяйства. " * 9
    (tmp_path / "a.txt").write_bytes(russian.encode("cp1251"))
    assert reasons(tmp_path)["a.txt"] == (
        "not valid UTF-8 at byte 0. It may be cp1251: save it as UTF-8, or set source.encoding to "
        "cp1251."
    )
    assert documents(tmp_path, encoding="cp1251")[0].text == russian
    (tmp_path / "a.txt").write_bytes("UTF-16 without a mark".encode("utf-16-le"))
    assert "looks binary" in reasons(tmp_path)["a.txt"]
    (tmp_path / "a.txt").unlink()
    (tmp_path / "b.csv").write_bytes(f"id,text\n1,{russian}\n".encode("cp1251"))
    assert "set source.encoding to cp1251" in reasons(tmp_path)["b.csv line 2"]
    assert documents(tmp_path, encoding="cp1251")[0].text == russian


def test_links_stay_in_the_folder_and_never_loop(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    outside.mkdir()
    for path in (outside / "secret.txt", folder / "sub" / "a.txt"):
        path.write_text(path.name)
    links = {
        "in.txt": "sub/a.txt",
        "self.txt": "self.txt",
        "gone.txt": "nowhere",
        "loop": ".",
        "up": "..",
        "out": "../outside",
        "out.txt": "../outside/secret.txt",
    }
    for name, target in links.items():
        (folder / name).symlink_to(target)
    (folder / "sub" / "back").symlink_to(folder)
    assert [d.document_id for d in documents(folder)] == ["in.txt", "sub/a.txt"]
    found = reasons(folder)
    assert set(found) == {"gone.txt", "out", "out.txt", "self.txt", "up"}
    assert "leads out of the folder" in found["out.txt"]


def test_what_is_no_regular_file_is_refused_without_blocking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "a.txt")
    os.mkfifo(tmp_path / "b.jsonl")
    (tmp_path / "c.txt").mkdir()
    (tmp_path / "c.txt" / "d.txt").write_text("inside")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.txt")
        (tmp_path / "dev.txt").symlink_to("/dev/zero")
        found = reasons(tmp_path)
    assert "a named pipe" in found["a.txt"]
    assert "a named pipe" in found["b.jsonl"]
    assert set(found) == {"a.txt", "b.jsonl", "s.txt", "dev.txt"}
    assert [d.document_id for d in documents(tmp_path)] == ["c.txt/d.txt"]
    assert "a named pipe" in reasons(tmp_path / "a.txt")["a.txt"]


def test_names_that_are_not_utf8_are_shown_escaped(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"gr\xfcn.txt")).write_text("x")
    (found,) = items(tmp_path)
    assert isinstance(found, Quarantined)
    assert (found.document_id, found.nameless) == (r"gr\xfcn.txt", True)


@pytest.fixture
def nobody() -> Iterator[None]:
    """Root may read everything: as another user for a while."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65_534)
    yield
    os.seteuid(was)


def test_what_may_not_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "b").mkdir()
    for path, mode in ((tmp_path, 0o755), (tmp_path / "a.txt", 0), (tmp_path / "b", 0)):
        path.chmod(mode)
    monkeypatch.chdir(tmp_path)
    request.getfixturevalue("nobody")
    first, second = _read_folder(Path(), SourceConfig())
    assert isinstance(first, Quarantined)
    assert isinstance(second, Quarantined)
    assert "Permission denied" in first.reason
    assert "cannot list the folder: Permission denied" in second.reason
    assert second.nameless, "what it holds is unknown"


def test_a_file_that_changes_while_it_is_read_is_read_again_then_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x")
    read, changes = files._read, [2]

    def grows(file: Any, limit: int) -> bytes:
        data = read(file, limit)
        if changes[0]:
            changes[0] -= 1
            path.write_text(path.read_text() + "y")
        return data

    monkeypatch.setattr(files, "_read", grows)
    assert "changed while it was read" in reasons(tmp_path)["a.txt"]
    changes[0] = 1
    assert documents(tmp_path)[0].text == "xyyy"


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet"])
def test_a_table_that_changes_while_it_is_read_is_an_error(tmp_path: Path, name: str) -> None:
    path = write_rows(tmp_path / name)
    reading = iter(open_source(str(path), data_dirs=[], options=SourceConfig(**MAPPING)))
    next(reading)
    with path.open("ab") as file:
        file.write(b"\n")
    with pytest.raises(SourceError, match="changed while it was read, so nothing is deleted"):
        list(reading)


def test_each_limit_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"id": "i" * 10_000, "text": "x"},
        {"id": "t", "title": "t" * 10_001, "text": "x"},
        {"id": "m", "text": "x", "m": "x" * 2**20},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "deep.html").write_text("<div>" * 1_001)
    bomb = gzip.compress(b" " * 100_000_000)
    (tmp_path / "z.jsonl.gz").write_bytes(bomb)
    found = reasons(tmp_path)
    assert found["i" * 60 + "…"] == (
        "id too long: found 10,000 bytes, the limit is 1,024. Shorten it."
    )
    assert "title too long: found 10,001" in found["t"]
    assert "too much metadata" in found["m"]
    assert "deeper than 1,000" in found["deep.html"]
    assert "archive bomb" in found["z.jsonl.gz"]
    monkeypatch.setattr("workbench.data.readers.MAX_ROWS", 2)
    assert "more than 2 lines" in reasons(tmp_path / "a.jsonl")["line 3"]


def test_quotes_that_are_never_closed_swallow_nothing_silently(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('id,text\n1,fine\n2,"open\n3,swallowed\n')
    assert [d.document_id for d in documents(tmp_path)] == ["1"]
    assert "Are its quotes closed?" in reasons(tmp_path)["a.csv line 3"]


def saved(tmp_path: Path) -> tuple[Any, Path]:
    import datasets

    table = datasets.Dataset.from_dict({"id": ["1", "2"], "text": ["one", "two"], "year": [1, 2]})
    table.save_to_disk(str(tmp_path / "one"))
    both = datasets.DatasetDict({"train": table, "test": table.select([0])})
    both.save_to_disk(str(tmp_path / "both"))
    return table, tmp_path


def test_saved_data_sets_are_sources(tmp_path: Path) -> None:
    _, folder = saved(tmp_path)
    assert documents(folder / "one")[1] == SourceDocument("2", "two", "", {"year": 2})
    assert [d.document_id for d in documents(f"{folder / 'both'}#test")] == ["1"]
    with pytest.raises(SourceError, match=r"several splits; found test, train.*both#SPLIT"):
        items(folder / "both")
    with pytest.raises(SourceError, match="no split 'x'"):
        items(f"{folder / 'both'}#x")
    with pytest.raises(SourceError, match=r"no text column: found id, text, year.*source\.text"):
        items(folder / "one", text="body")


def test_a_hub_data_set_is_streamed(tmp_path: Path) -> None:
    # The library takes a folder for a data set of the Hub: the same code without a network.
    write_rows(tmp_path / "train.parquet")
    name = hub.HubName(str(tmp_path), None, None, None)
    found = list(hub._hub(name, SourceConfig(**MAPPING)))
    assert found == [SourceDocument("k1", "one", "H", {"year": 2020})]
    with pytest.raises(SourceError, match="no split 'test'; found train"):
        list(hub._hub(name._replace(split="test"), SourceConfig(**MAPPING)))


def test_names_of_hub_data_sets_have_parts() -> None:
    name = "hf:owner/name:en.v1#train@0123abc"
    assert hub.parse_hub_name(name) == ("owner/name", "en.v1", "train", "0123abc")
    assert open_source(name, data_dirs=[]).name == "hf:owner/name:en.v1#train"
    with pytest.raises(ConfigError, match="expected hf:owner/name"):
        open_source("hf:", data_dirs=[])


def test_without_a_network_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SourceError, match=r"'owner/name'.*network.*save_to_disk\(FOLDER\)"):
        items("hf:owner/name")


def test_a_page_that_is_one_form_keeps_its_text(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<form><nav>Menu</nav><p>The story.</p></form>")
    assert [item.text for item in documents(tmp_path, boilerplate="remove")] == ["The story."]


def test_the_title_of_markdown_is_a_heading_and_not_a_comment_in_code(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("```\n# a comment\n```\n\n## The heading ##\n")
    assert [item.title for item in documents(tmp_path)] == ["The heading"]
