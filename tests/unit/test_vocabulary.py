from dataclasses import replace

import pytest

from workbench.config import Config
from workbench.errors import ConfigError, UnknownName
from workbench.spec import ChunkingSpec, EmbeddingSpec, framed_digest

SPEC = EmbeddingSpec(
    provider="static", model="m", digest="d", dimension=4, pooling="mean", normalize=True,
    max_tokens=0, prompts=(("query", "q: "),), location="/somewhere",
)  # fmt: skip


def test_where_a_model_lies_does_not_change_its_fingerprint():
    assert replace(SPEC, location="/elsewhere").fingerprint == SPEC.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"provider": "onnx"}, {"model": "n"}, {"digest": "e"}, {"dimension": 3},
        {"pooling": "cls"}, {"normalize": False}, {"max_tokens": 5}, {"prompts": ()},
        {"precision": "int8"}, {"epoch": 1},
    ],
)  # fmt: skip
def test_everything_that_decides_a_vector_changes_the_fingerprint(change):
    assert replace(SPEC, **change).fingerprint != SPEC.fingerprint


def test_specs_survive_a_round_trip_through_their_dict():
    chunking = ChunkingSpec("256", "sentence", 256, 31, "tok")
    assert EmbeddingSpec.from_dict(SPEC.to_dict()) == SPEC
    assert ChunkingSpec.from_dict(chunking.to_dict()) == chunking


def test_a_chunking_is_identified_by_its_rules_not_by_its_name():
    chunking = ChunkingSpec("256", "sentence", 256, 31)
    assert replace(chunking, name="other").chunking_id == chunking.chunking_id
    assert chunking.bound_to("tok").chunking_id != chunking.chunking_id


def test_framing_keeps_parts_apart():
    assert framed_digest(["ab", "c"]) != framed_digest(["a", "bc"])
    assert framed_digest(["a", ""]) != framed_digest(["", "a"])


def test_vault_keys_differ_by_role_and_tenant():
    keys = {SPEC.vault_key(r, t, "x") for r in ("document", "query") for t in ("a", "b")}
    assert len(keys) == 4


def test_a_wrong_key_names_the_nearest(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("store:\n  knid: chroma\n")
    with pytest.raises(UnknownName, match=r"'store\.knid'.*Did you mean 'store\.kind'"):
        Config.load(file, env={})


def test_an_unknown_variable_names_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'home'"):
        Config.load(env={"WORKBENCH_HOMR": "/x"})


def test_variables_win_over_the_file_and_home_wins_over_both(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("home: a\nmodel: x\nexecutor: {actors: 1}\n")
    env = {"WORKBENCH_HOME": "b", "WORKBENCH_EXECUTOR__ACTORS": "3"}
    config = Config.load(file, home=tmp_path / "c", env=env)
    assert (config.home, config.model, config.executor.actors) == (tmp_path / "c", "x", 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("store: {kind: redis}\n", r"store\.kind.*found 'redis'"),
        ("- a\n", "holds a list"),
        ("a: [\n", "not valid YAML"),
    ],
)
def test_a_bad_file_says_what_is_wrong(tmp_path, text, message):
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        Config.load(file, env={})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        Config.load(tmp_path / "none.yaml", env={})


def test_the_shipped_configuration_is_the_default():
    shipped = Config.load("configs/local.yaml", env={})
    assert shipped == Config.load(env={})


def test_the_team_configuration_is_valid():
    assert Config.load("configs/team.yaml", env={}).executor.actors == 8
