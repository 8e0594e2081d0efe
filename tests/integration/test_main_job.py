"""The main job through the command line, with the cheap model and an embedded store."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from workbench import Workbench
from workbench.cli.common import run_app
from workbench.cli.main import app

pytestmark = [pytest.mark.chroma, pytest.mark.models]


@pytest.fixture
def run(tmp_path, capsys):
    """Run a command on a home of its own; returns (exit code, the object it printed)."""

    def call(*argv):
        capsys.readouterr()
        code = run_app(app, [*map(str, argv), "--home", str(tmp_path / "home"), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def folder(tmp_path):
    rows = [
        {
            "_id": "volcano",
            "title": "Volcanoes",
            "text": "Lava flows down the mountain.",
            "year": 1,
        },
        {"_id": "bread", "title": "Bread", "text": "Knead the dough and bake it.", "year": 2},
        {"_id": "a/b/🦊 fox", "title": "Foxes", "text": "The fox sleeps in its den.", "year": 2},
        {"_id": "twin", "title": "Bread", "text": "Knead the dough and bake it.", "year": 2},
    ]
    file = tmp_path / "source" / "docs.jsonl"
    file.parent.mkdir()
    write(file, rows)
    return file


def write(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def ingest(run, source, *more):
    code, result = run("ingest", source, "--corpus", "c", "--model", "wordllama", *more)
    assert code == 0, result
    return result


def ids(result):
    return [hit["document_id"] for hit in result["hits"]]


def test_a_second_ingest_of_the_same_source_does_nothing(run, folder):
    first = ingest(run, folder)
    assert (first["added"], first["chunks"]) == (4, 4)
    again = ingest(run, folder)
    assert (again["kept"], again["encoder_calls"], again["upserts"], again["deletes"]) == (
        4, 0, 0, 0,
    )  # fmt: skip
    assert run("index", "verify", "--corpus", "c")[1]["ok"]


def test_only_what_changed_is_encoded_and_what_is_absent_is_deleted(run, folder):
    ingest(run, folder)
    rows = read(folder)
    rows[1]["text"] = "Sourdough needs a starter."
    write(folder, rows[1:])
    result = ingest(run, folder)
    assert (result["changed"], result["deleted"], result["kept"]) == (1, 1, 2)
    assert (result["encoder_calls"], result["upserts"], result["deletes"]) == (1, 1, 2)
    assert "volcano" not in ids(run("search", "lava on a mountain", "--corpus", "c")[1])
    assert run("index", "verify", "--corpus", "c")[1]["ok"]


def test_search_shows_the_text_the_offsets_and_equal_documents_once(run, folder):
    ingest(run, folder)
    code, found = run("search", "how to bake bread", "--corpus", "c", "-k", "3")
    assert code == 0
    top = found["hits"][0]
    assert top["document_id"] in {"bread", "twin"}
    assert {top["document_id"], *top["duplicates"]} == {"bread", "twin"}
    assert top["text"] == "Knead the dough and bake it."[top["start"] : top["end"]]
    assert found["route"] == "c"
    assert [hit["rank"] for hit in found["hits"]] == [1, 2, 3]


def test_where_filters_by_equality_on_the_documents_metadata(run, folder):
    ingest(run, folder)
    assert ids(run("search", "bread", "--corpus", "c", "--where", "year=1")[1]) == ["volcano"]
    assert ids(run("search", "bread", "--corpus", "c", "--where", "year=9")[1]) == []
    both = run("search", "x", "--corpus", "c", "--where", "year=2", "--where", "title=nothing")
    assert ids(both[1]) == []


def test_a_deleted_document_is_gone_from_the_next_query(run, folder):
    ingest(run, folder)
    code, result = run("delete", "a/b/🦊 fox", "never-there", "--corpus", "c")
    assert (code, result["deleted"]) == (0, 1)
    assert "a/b/🦊 fox" not in ids(run("search", "fox den", "--corpus", "c")[1])
    assert run("index", "verify", "--corpus", "c")[1]["ok"]


def test_a_lost_store_comes_back_from_the_vault_without_encoding(run, folder, tmp_path):
    ingest(run, folder)
    shutil.rmtree(tmp_path / "home" / "chroma")
    code, before = run("index", "verify", "--corpus", "c")
    assert code == 1
    assert not before.get("ok")
    code, rebuilt = run("index", "rebuild", "--corpus", "c")
    assert (code, rebuilt["encoder_calls"], rebuilt["chunks"]) == (0, 0, 4)
    assert run("index", "verify", "--corpus", "c")[1]["ok"]


def test_an_ingest_after_the_store_was_lost_indexes_everything_again(run, folder, tmp_path):
    ingest(run, folder)
    shutil.rmtree(tmp_path / "home" / "chroma")
    again = ingest(run, folder)
    assert (again["kept"], again["encoder_calls"], again["upserts"]) == (4, 0, 4)
    assert run("index", "verify", "--corpus", "c")[1]["ok"]


def test_a_rebuild_that_was_interrupted_is_finished_by_the_next_session(run, folder, tmp_path):
    ingest(run, folder)
    with Workbench.open(home=tmp_path / "home") as bench:
        corpus = bench.corpus("c")
        corpus.reset(corpus.served())
        assert corpus.search("bread").degraded
    code, found = run("search", "bread", "--corpus", "c")
    assert (code, found["degraded"]) == (0, False)
    assert run("index", "verify", "--corpus", "c")[1]["ok"]


def test_a_row_whose_id_can_not_be_read_deletes_nothing(run, folder):
    ingest(run, folder.parent)
    lines = folder.read_text(encoding="utf-8").split("\n")
    folder.write_text("\n".join([lines[0][:-4], *lines[1:]]), encoding="utf-8")
    again = ingest(run, folder.parent)
    assert (again["deleted"], len(again["quarantined"])) == (0, 1)
    assert "not deleted" in again["notes"][0]


def test_documents_that_are_only_a_title_are_not_taken_for_equal(run, tmp_path):
    file = tmp_path / "titles.jsonl"
    write(file, [{"_id": t, "title": t, "text": ""} for t in ("red apple", "blue car")])
    ingest(run, file)
    assert set(ids(run("search", "fruit", "--corpus", "c")[1])) == {"red apple", "blue car"}


def test_dry_run_of_a_new_corpus_makes_none(run, folder):
    plan = ingest(run, folder, "--dry-run")
    assert (plan["added"], plan["upserts"]) == (4, 0)
    assert run("index", "list", "--corpus", "c")[1]["type"] == "UnknownName"


def test_dry_run_counts_and_changes_nothing(run, folder):
    ingest(run, folder)
    write(folder, read(folder)[:2])
    plan = ingest(run, folder, "--dry-run")
    assert (plan["deleted"], plan["kept"], plan["dry_run"]) == (2, 2, True)
    assert len(ids(run("search", "fox", "--corpus", "c")[1])) == 3


def test_another_model_on_an_indexed_corpus_is_refused_by_both_fingerprints(run, folder):
    ingest(run, folder)
    code, error = run("ingest", folder, "--corpus", "c", "--model", "bge-small")
    assert (code, error["type"]) == (1, "SpaceMismatch")
    assert error["error"].count("fingerprint") == 2
    assert len(run("index", "list", "--corpus", "c")[1]["indexes"]) == 1


def test_broken_rows_are_quarantined_and_everything_else_is_indexed(run, folder):
    with folder.open("a", encoding="utf-8") as file:
        file.write('{"_id": "cut", "text": \n')
        file.write('{"_id": "bread", "text": "a second bread"}\n')
        file.write('{"_id": "empty", "title": "", "text": "  "}\n')
        file.write('{"_id": "last", "text": "still read"}\n')
    result = ingest(run, folder)
    assert result["added"] == 5
    reasons = {q["document_id"]: q["reason"] for q in result["quarantined"]}
    assert len(reasons) == 3
    assert "bread" in reasons
    assert "empty" in reasons
    assert run("index", "verify", "--corpus", "c")[1]["ok"]


def test_a_document_of_ten_megabytes_is_indexed_and_a_larger_one_is_quarantined(run, tmp_path):
    file = tmp_path / "big.jsonl"
    sentence = "The quick brown fox jumps over the lazy dog. "
    big = (sentence * (10_000_000 // len(sentence) + 1))[:10_000_000]
    write(file, [{"_id": "big", "text": big}, {"_id": "huge", "text": big * 2}])
    result = ingest(run, file, "--chunking", "512")
    assert result["added"] == 1
    assert result["chunks"] > 1000
    assert [q["document_id"] for q in result["quarantined"]] == ["huge"]


@pytest.mark.parametrize(
    ("argv", "kind", "message"),
    [
        (["ingest", "{empty}", "--corpus", "c", "--model", "wordllama"], "SourceError", "no "),
        (["ingest", "{docs}", "--corpus", "c", "--model", "minilm"], "UnknownName", "minilm-l6"),
        (["ingest", "{docs}", "--corpus", " ", "--model", "wordllama"], "ConfigError", "name"),
        (["ingest", "{docs}", "-c", "c", "-m", "minilm-l6", "--chunking", "512"], "ConfigError",
         "256"),
        (["ingest", "{docs}", "-c", "c", "-m", "bm25"], "ModelError", "bm25"),
        (["ingest", "/nowhere/x", "-c", "c"], "", "/nowhere/x"),
        (["search", "x", "--corpus", "never"], "UnknownName", "never"),
        (["search", "x", "--corpus", "c", "--where", "year"], "ConfigError", "key=value"),
        (["search", " ", "--corpus", "c"], "ConfigError", "words"),
        (["evaluate", "{docs}", "--store", "qdrnt"], "", ""),
        (["evaluate", "no-such-set"], "UnknownName", "no-such-set"),
        (["index", "list", "--corpus", "c"], "UnknownName", "corpus"),
        (["models", "check", "nope"], "UnknownName", "nope"),
        (["frobnicate"], "UsageError", "frobnicate"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_error(run, folder, tmp_path, argv, kind, message):
    (tmp_path / "empty").mkdir()
    names = {"empty": tmp_path / "empty", "docs": folder}
    code, error = run(*[part.format(**names) for part in argv])
    assert code != 0
    assert message in error["error"]
    assert kind in error["type"]


def test_a_second_process_is_told_who_holds_the_home(run, folder, tmp_path):
    ingest(run, folder)
    with Workbench.open(home=tmp_path / "home") as bench:
        bench.corpus("c")
        code, error = run("search", "x", "--corpus", "c")
    assert (code, error["type"]) == (1, "HomeLocked")
    assert str(os.getpid()) in error["error"]


def test_the_installed_command_answers_help_and_version():
    done = subprocess.run(
        [sys.executable, "-m", "workbench.cli.main", "--version"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.startswith("workbench ")
