"""Precisions, shorter vectors, the cache of converted models: real weights, a few texts."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from workbench.errors import (
    ConfigError,
    DigestMismatch,
    ModelError,
    ModelMissing,
    ModelWarning,
    UnknownName,
)
from workbench.models import (
    build_encoder,
    check_model,
    engines,
    list_models,
    model_cache,
    resolve,
    tokenizer_digest,
)
from workbench.models.artifact import artifact_folder, pack, unpack
from workbench.models.batches import even_budget, token_batches
from workbench.models.canaries import CANARIES
from workbench.models.equivalence import Agreement, admits_queries, agreement, query_spec_for
from workbench.models.files import files_of
from workbench.models.local import LocalEncoder
from workbench.models.names import ModelName, parse_name
from workbench.models.openvino_engine import OpenVinoEncoder
from workbench.models.quantise import calibration_mix, quantise
from workbench.models.stages import EncodeStage
from workbench.models.truncate import shortened, truncation_loss
from workbench.spec import EmbeddingSpec

pytestmark = pytest.mark.models

MINILM = "d9a60a366c395c96"
"""Fingerprint of ``minilm-l6``: indexes in the world carry it."""

TEXTS = [
    "Cranes stop at 20 m/s of wind.",
    "two words",
    "A long page about storage engines, compaction and write amplification. " * 40,
    "Naïve café, 東京 and 🚀",
]


@pytest.fixture(scope="module")
def reference() -> LocalEncoder:
    spec = resolve("minilm-l6")
    return LocalEncoder(spec, files_of(spec), 1)


@pytest.fixture(scope="module")
def int8(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which ``minilm-l6@int8`` was made, from a few texts: enough to be tested."""
    root = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_MODELS", str(root))
        texts = [*CANARIES, *TEXTS] * 3
        made = quantise(resolve("minilm-l6"), texts)
    assert made.cosine_mean >= 0.995
    assert made.cosine_min >= 0.99
    return root


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("minilm-l6", ModelName("minilm-l6")),
        ("minilm-l6@int8/128", ModelName("minilm-l6", "int8", 128)),
        ("/a/b@c/mine@bfloat16", ModelName("/a/b@c/mine", "bfloat16")),
        ("wordllama/64", ModelName("wordllama", "", 64)),
    ],
)
def test_a_name_has_a_base_a_precision_and_a_dimension(name: str, parts: ModelName) -> None:
    assert parse_name(name) == parts
    assert str(parts) == name


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("minilm-l6@fp4", ConfigError, "float32, bfloat16, int8"),
        ("minilm-l6/0", ConfigError, "0 numbers"),
        ("minilm-l6/385", ConfigError, "384 numbers"),
        ("wordllama@bfloat16", ModelError, "float32"),
        ("minilm-l7@int8", UnknownName, "minilm-l6"),
    ],
)
def test_what_a_model_can_not_do_is_refused_by_name(
    name: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        resolve(name)


def test_the_default_keeps_its_fingerprint_and_every_variant_has_its_own(int8: Path) -> None:
    named = resolve("minilm-l6")
    assert named.fingerprint == MINILM
    assert resolve("minilm-l6@float32/384") == named
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_MODELS", str(int8))
        names = ("minilm-l6@bfloat16", "minilm-l6@int8", "minilm-l6/128", "minilm-l6@bfloat16/128")
        specs = [resolve(name) for name in names]
    assert [spec.model for spec in specs] == list(names)
    assert len({spec.fingerprint for spec in (named, *specs)}) == 5


def test_bfloat16_and_float32_agree_with_torch(reference: LocalEncoder) -> None:
    expected = reference.encode(TEXTS, "document")
    full = build_encoder(resolve("minilm-l6"))
    np.testing.assert_allclose(full.encode(TEXTS, "document"), expected, atol=1e-5)
    half = build_encoder(resolve("minilm-l6@bfloat16"))
    found = agreement(half.encode(TEXTS, "document"), expected)
    assert found.reaches("bfloat16")
    assert half.agreed is not None
    assert half.agreed.reaches("bfloat16")
    assert half.count_tokens(TEXTS, "query") == reference.count_tokens(TEXTS, "query")
    np.testing.assert_allclose(np.linalg.norm(half.encode(TEXTS, "query"), axis=1), 1, atol=1e-5)


def test_two_threads_and_one_give_the_same_rows_in_the_same_order() -> None:
    spec = resolve("minilm-l6@bfloat16")
    texts = [f"{text} {place}" for place, text in enumerate([*TEXTS, *CANARIES] * 2)]
    one, two = (build_encoder(spec, threads).encode(texts, "document") for threads in (1, 2))
    assert agreement(one, two).least > 0.9999


def test_a_second_load_needs_no_torch() -> None:
    build_encoder(resolve("minilm-l6"))  # converted by now
    code = (
        "import sys; from workbench.models import build_encoder, resolve;"
        "e = build_encoder(resolve('minilm-l6@bfloat16')); e.encode(['some text'], 'query');"
        "print(e.engine, 'torch' in sys.modules, sys.modules.get('openvino_telemetry'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "openvino bfloat16 False None"


def broken(monkeypatch: pytest.MonkeyPatch, kinds: tuple[type, ...]) -> None:
    """Let these engines answer with the vectors of another text for the second half of a batch."""
    honest = engines.check

    def check(encoder, expected):
        if isinstance(encoder, kinds):
            encoder.agreed = agreement(encoder.whole(CANARIES[::-1]), expected)
            return encoder.agreed
        return honest(encoder, expected)

    monkeypatch.setattr(engines, "check", check)


def test_an_engine_that_fails_its_canaries_is_replaced_by_one_of_the_same_precision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken(monkeypatch, (OpenVinoEncoder,))
    with pytest.warns(ModelWarning, match=r"cosine .* 0\.\d+ on average.*bfloat16 is tried"):
        encoder = build_encoder(resolve("minilm-l6@bfloat16"))
    assert encoder.engine == "torch bfloat16"
    assert encoder.spec.precision == "bfloat16"


def test_when_no_engine_of_the_precision_passes_the_model_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken(monkeypatch, (OpenVinoEncoder, LocalEncoder))
    with (
        pytest.warns(ModelWarning),
        pytest.raises(ModelError, match=r"can not be computed in bfloat16.*expected 0\.9999"),
    ):
        build_encoder(resolve("minilm-l6@bfloat16"))


def test_without_openvino_torch_computes_both_precisions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "is_installed", lambda: False)
    assert build_encoder(resolve("minilm-l6")).engine == "torch float32"
    assert build_encoder(resolve("minilm-l6@bfloat16")).engine == "torch bfloat16"


def test_a_cache_that_can_not_be_written_costs_speed_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("WORKBENCH_MODELS", str(tmp_path / "file"))
    with pytest.warns(ModelWarning, match="torch is used"):
        assert build_encoder(resolve("minilm-l6")).engine == "torch float32"


def test_a_damaged_cache_is_noticed_and_made_again(tmp_path: Path) -> None:
    made = []

    def make(folder: Path) -> dict[str, int]:
        made.append(folder)
        (folder / "model.bin").write_bytes(b"weights")
        return {"n": len(made)}

    folder = tmp_path / "openvino" / "key"
    assert model_cache.get_or_make(folder, make).facts == {"n": 1}
    assert model_cache.get_or_make(folder, make).facts == {"n": 1}
    (folder / "model.bin").write_bytes(b"weighty")
    assert model_cache.read_cached(folder) is None
    assert model_cache.get_or_make(folder, make).facts == {"n": 2}
    (folder / "manifest.json").write_text("{")
    assert model_cache.get_or_make(folder, make).facts == {"n": 3}
    assert (folder / "model.bin").read_bytes() == b"weights"
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == ["key"]


def test_two_processes_make_a_model_once(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path;"
        "from workbench.models.model_cache import get_or_make\n"
        "def make(folder):\n"
        "    time.sleep(0.5); (folder / 'f').write_text('x'); print('made'); return {}\n"
        "get_or_make(Path(sys.argv[1]) / 'm', make)"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    assert sorted(child.communicate(timeout=60)[0] for child in children) == [b"", b"made\n"]


def test_int8_is_never_used_unless_made_and_the_command_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WORKBENCH_MODELS", str(tmp_path))
    with pytest.raises(ModelMissing, match="workbench models quantize minilm-l6`"):
        resolve("minilm-l6@int8")


def test_the_int8_artifact_is_its_identity_and_travels(
    int8: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reference: LocalEncoder
) -> None:
    monkeypatch.setenv("WORKBENCH_MODELS", str(int8))
    spec = resolve("minilm-l6@int8")
    assert tokenizer_digest(spec) == tokenizer_digest(resolve("minilm-l6"))
    assert check_model("minilm-l6@int8").cosine_min >= 0.99
    vectors = build_encoder(spec).encode(TEXTS, "document")
    assert agreement(vectors, reference.encode(TEXTS, "document")).mean > 0.99
    sent = pack(spec)

    other = EmbeddingSpec.from_dict({**spec.to_dict(), "location": str(tmp_path / "not here")})
    monkeypatch.setenv("WORKBENCH_MODELS", str(tmp_path))
    with pytest.raises(ModelMissing, match="Copy that folder"):
        build_encoder(other)
    stage = EncodeStage(other, "document")
    with pytest.raises(DigestMismatch, match="sent for"):
        EncodeStage(replace(other, digest="0" * 64), "document").unload(sent)
    stage.unload(sent)
    np.testing.assert_allclose(stage.build(1)(tuple(TEXTS)).vectors, vectors, atol=1e-5)
    unpack(other, sent)  # again: nothing happens

    weights = artifact_folder(spec.digest) / "model.bin"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    os.utime(weights, ns=(1, 1))
    with pytest.raises(DigestMismatch, match="SHA-256"):
        build_encoder(other)
    stage.unload(sent)
    build_encoder(other)


def test_only_int8_has_something_to_send() -> None:
    assert EncodeStage(resolve("minilm-l6@bfloat16"), "query").cargo() is None


def test_calibration_reads_long_and_short_texts() -> None:
    mixed = calibration_mix(["One sentence here. " + "word " * 50] * 8 + [" "])
    lengths = [len(text.split()) for text in mixed]
    assert lengths == [53, 3, 53, 8] * 2


def test_quantising_without_texts_is_refused() -> None:
    with pytest.raises(ModelError, match="no text"):
        quantise(resolve("minilm-l6"), [" ", ""])


def test_a_float32_query_encoder_may_serve_a_bfloat16_index_of_the_same_weights() -> None:
    index = resolve("minilm-l6@bfloat16/128")
    query = query_spec_for(index)
    assert query == resolve("minilm-l6/128")
    admits_queries(index, query, Agreement(0.99998, 0.9999))
    with pytest.raises(ModelError, match=r"0\.998"):
        admits_queries(index, query, Agreement(0.998, 0.99))
    with pytest.raises(ModelError, match=r"nan"):
        admits_queries(index, query, Agreement(float("nan"), float("nan")))


@pytest.mark.parametrize("name", ["minilm-l6", "wordllama", "bge-small"])
def test_every_other_space_answers_for_itself_only(name: str) -> None:
    index = resolve(name)
    assert query_spec_for(index) == index
    with pytest.raises(ModelError, match="can not be asked"):
        admits_queries(index, resolve("minilm-l6@bfloat16"), Agreement(1, 1))


def test_a_declared_length_is_silent_and_another_one_warns_with_the_measured_loss() -> None:
    whole = build_encoder(resolve("wordllama")).encode(TEXTS, "document")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        short = build_encoder(resolve("wordllama/128")).encode(TEXTS, "document")
    np.testing.assert_allclose(short, shortened(whole, 128, normalize=True), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(short, axis=1), 1, atol=1e-6)
    with pytest.warns(ModelWarning, match=r"\d+% of the 3 nearest neighbours changed"):
        build_encoder(resolve("wordllama/100"))


def test_the_loss_is_nothing_for_numbers_that_say_nothing() -> None:
    vectors = np.random.default_rng(1).standard_normal((20, 8)).astype(np.float32)
    padded = np.hstack([vectors, np.zeros((20, 8), np.float32)])
    loss = truncation_loss(padded, 8)
    assert (loss.kept, round(loss.cosine_error, 6)) == (1.0, 0.0)
    assert truncation_loss(vectors, 1).kept < 0.9


def test_an_even_budget_gives_every_worker_something() -> None:
    lengths = [200] * 32
    groups = list(token_batches(lengths, even_budget(lengths, 2048, 2)))
    assert len(groups) % 2 == 0
    assert even_budget([10], 2048, 2) <= 2048
    assert even_budget([], 2048, 2) >= 0


def test_hub_models_say_what_is_missing_and_are_found_at_their_commit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    rows = {row.name: row for row in list_models().models}
    assert "hf download intfloat/e5-small-v2 --revision" in rows["e5-small"].why_not
    assert not rows["e5-small"].usable
    assert "nDCG@10" in rows["bge-base"].published
    assert rows["bge-base"].source.startswith("https://")
    snapshot = tmp_path / "models--intfloat--e5-small-v2" / "snapshots"
    snapshot.mkdir(parents=True)
    revision = "dca8b1a9dae0d4575df2bf423a5edb485a431236"
    (snapshot / revision).symlink_to(resolve("minilm-l6").location)
    spec = resolve("e5-small")
    assert (spec.model, spec.prompt("query"), spec.prompt("document")) == (
        "e5-small", "query: ", "passage: ",
    )  # fmt: skip


def test_the_list_says_which_precisions_there_are(
    int8: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def precisions() -> str:
        return {row.name: row for row in list_models().models}["minilm-l6"].precisions

    monkeypatch.setenv("WORKBENCH_MODELS", str(tmp_path))
    assert precisions() == "float32 bfloat16"
    monkeypatch.setenv("WORKBENCH_MODELS", str(int8))
    assert precisions() == "float32 bfloat16 int8"
