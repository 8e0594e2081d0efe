import shlex
from pathlib import Path

import pytest

from workbench.errors import ConfigError
from workbench.widgets.choice import Choice, eval_set_of


@pytest.mark.parametrize(
    ("choice", "word"),
    [(Choice("adi", (), "256"), "no model"), (Choice("", ("bm25",), "256"), "no evaluation set")],
)
def test_nothing_chosen_is_an_error_that_says_what_to_do(choice, word):
    with pytest.raises(ConfigError, match=word):
        choice.check()


def test_one_model_is_one_command():
    lines = Choice("adi", ("wordllama",), "256").commands(Path("/home"))
    assert lines == [
        "workbench evaluate adi --model wordllama --chunking 256 --store memory --home /home"
    ]


def test_several_models_are_also_a_comparison_with_the_first():
    lines = Choice("adi", ("a", "b", "c"), "128", "r").commands(Path("/h"), Path("/x/c.yaml"))
    how = "--chunking 128 --store memory --rerank r --home /h --config /x/c.yaml"
    assert lines == [
        f"workbench evaluate adi --model a --model b --model c {how}",
        f"workbench compare adi --baseline a --candidate b --candidate c {how}",
    ]


def test_a_folder_with_blanks_and_quotes_comes_through_the_shell():
    folder = "/data/it's my set; rm -rf"
    (line,) = Choice(folder, ("bm25",), "256").commands(Path("/h"))
    assert shlex.split(line)[2] == folder


def test_an_existing_folder_is_named_absolutely_and_anything_else_as_typed(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    assert eval_set_of(" mine ") == str(tmp_path / "mine")
    assert eval_set_of("scifact") == "scifact"
    assert eval_set_of("  ") == ""
