"""Vectors, token counts, scores and the stages that make them."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from workbench.data.presets import preset
from workbench.errors import DigestMismatch, InvalidVectors, ModelError
from workbench.models import (
    build_encoder,
    build_reranker,
    counter_for,
    resolve,
    tokenizer_digest,
)
from workbench.models.base import TextEncoder, validated
from workbench.models.canary import ANCHOR, RELATED, UNRELATED
from workbench.models.files import files_of, verified
from workbench.models.local import token_batches
from workbench.models.stages import ChunkStage, EncodeStage, RerankStage
from workbench.models.static import StaticEncoder
from workbench.protocols import Reranker, Stage
from workbench.records import Document

pytestmark = pytest.mark.models

LONG = "The quick brown fox jumps over the lazy dog near the river bank. " * 60
TEXTS = [
    "A short text.",
    LONG,
    "Naïve café: Übergröße, 東京 and an emoji 🚀.",
    "one",
    *[f"Sentence {i} about {'cats ' * (i % 17)}and storage engines." for i in range(24)],
]


@pytest.fixture(scope="module")
def minilm() -> TextEncoder:
    return build_encoder(resolve("minilm-l6"), threads=1)


@pytest.fixture(scope="module")
def wordllama() -> TextEncoder:
    return build_encoder(resolve("wordllama"))


@pytest.fixture(scope="module")
def bge() -> TextEncoder:
    return build_encoder(resolve("bge-small"))


@pytest.fixture(scope="module")
def reranker() -> Reranker:
    return build_reranker("ms-marco-l12")


def test_minilm_gives_the_same_vectors_in_one_batch_and_one_by_one(minilm: TextEncoder) -> None:
    together = minilm.encode(TEXTS, "document")
    alone = np.concatenate([minilm.encode([text], "document") for text in TEXTS])
    assert together.dtype == np.float32
    assert together.shape == (len(TEXTS), 384)
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_minilm_gives_the_vectors_of_plain_sentence_transformers(minilm: TextEncoder) -> None:
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(minilm.spec.location, device="cpu", local_files_only=True)
    expected = plain.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    np.testing.assert_allclose(minilm.encode(TEXTS, "query"), expected, atol=1e-6)
    ids = plain.tokenizer([LONG])["input_ids"][0]
    assert minilm.count_tokens([LONG], "document") == [len(ids)]
    assert len(ids) > 256


def test_a_folder_saved_by_this_sentence_transformers_resolves_alike(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    named = resolve("minilm-l6")
    SentenceTransformer(named.location, device="cpu").save(str(tmp_path / "saved"))
    spec = resolve(str(tmp_path / "saved"))
    assert replace(spec, model=named.model, digest=named.digest) == named
    saved = build_encoder(spec).encode(TEXTS[:3], "document")
    np.testing.assert_allclose(saved, build_encoder(named).encode(TEXTS[:3], "document"), atol=1e-6)


@pytest.mark.parametrize("normalize", [True, False])
def test_static_vectors_equal_static_embedding(normalize: bool) -> None:
    from safetensors.numpy import load_file
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import StaticEmbedding
    from tokenizers import Tokenizer

    spec = replace(resolve("wordllama"), normalize=normalize)
    files = files_of(spec)
    matrix = load_file(files.weights[0])["embedding.weight"].astype(np.float32)
    module = StaticEmbedding(Tokenizer.from_file(str(files.tokenizer)), embedding_weights=matrix)
    plain = SentenceTransformer(modules=[module], device="cpu")
    expected = plain.encode(TEXTS, normalize_embeddings=normalize, show_progress_bar=False)
    np.testing.assert_allclose(build_encoder(spec).encode(TEXTS, "query"), expected, atol=1e-6)


def test_the_static_mean_of_a_very_long_text_stays_exact() -> None:
    # 19,000 tokens: StaticEmbedding, which adds one by one in float32, is off by 4e-5 here.
    encoder = StaticEncoder(spec := replace(resolve("wordllama"), normalize=False), verified(spec))
    [tokens] = encoder._tokenise([LONG * 20])
    expected = encoder._matrix[tokens.ids].astype(np.float64).mean(axis=0)
    vectors = encoder.encode(["before", LONG * 20, "after"], "document")
    np.testing.assert_allclose(vectors[1], expected, atol=1e-6)
    np.testing.assert_allclose(vectors[2], encoder.encode(["after"], "document")[0], atol=1e-6)


def test_bge_does_not_depend_on_the_batch_and_prompts_queries_only(bge: TextEncoder) -> None:
    texts = TEXTS[:5]
    together = bge.encode(texts, "document")
    alone = np.concatenate([bge.encode([text], "document") for text in texts])
    np.testing.assert_array_equal(together, alone)
    prompt = "Represent this sentence for searching relevant passages: "
    np.testing.assert_array_equal(
        bge.encode(["a text"], "query"), bge.encode([prompt + "a text"], "document")
    )
    [plain], [prompted] = bge.count_tokens(["a"], "document"), bge.count_tokens(["a"], "query")
    assert prompted > plain == 3


def test_bge_cuts_at_512_tokens(bge: TextEncoder) -> None:
    assert bge.count_tokens([LONG], "document")[0] > 512
    changed_tail = LONG + "something else entirely"
    np.testing.assert_array_equal(
        bge.encode([LONG], "document"), bge.encode([changed_tail], "document")
    )


def test_a_text_without_tokens_is_refused_by_its_row(wordllama: TextEncoder) -> None:
    with pytest.raises(InvalidVectors, match="rows 1, 3"):
        wordllama.encode(["fine", "", "fine too", ""], "document")


@pytest.mark.parametrize("name", ["wordllama", "minilm", "bge"])
def test_no_texts_give_no_rows(name: str, request: pytest.FixtureRequest) -> None:
    encoder: TextEncoder = request.getfixturevalue(name)
    assert encoder.encode([], "query").shape == (0, encoder.spec.dimension)


@pytest.mark.parametrize("name", ["wordllama", "minilm", "bge"])
def test_a_lone_surrogate_does_not_stop_an_encoder(
    name: str, request: pytest.FixtureRequest
) -> None:
    encoder: TextEncoder = request.getfixturevalue(name)
    assert encoder.encode(["broken \ud83d text"], "document").shape[0] == 1
    offsets = counter_for(encoder.spec).offsets("broken \ud83d text")
    assert max(end for _, end in offsets) == len("broken \ud83d text")


@pytest.mark.parametrize(
    ("vectors", "complaint"),
    [
        (np.ones((2, 4), np.float32), "shape"),
        (np.ones((3, 5), np.float32), "shape"),
        (np.array([[1, 1], [np.nan, 1], [1, 1]], np.float32), "shape"),
        (np.array([[1, 1, 1, 1], [1, np.nan, 1, 1], [1, 1, 1, 1]], np.float32), "rows 1"),
        (np.array([[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, np.inf, 1]], np.float32), "rows 2"),
        (np.array([[0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]], np.float32), "rows 0"),
    ],
)
def test_vectors_that_must_not_be_stored_are_refused(vectors: np.ndarray, complaint: str) -> None:
    with pytest.raises(InvalidVectors, match=complaint):
        validated(vectors, 3, 4)


def test_token_batches_hold_every_text_once_within_the_budget() -> None:
    lengths = [3, 250, 7, 0, 90, 90, 1, 256, 12, 2_000]
    groups = list(token_batches(lengths, 300))
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or max(lengths[i] for i in group) * len(group) <= 300
    assert len(groups) < len(lengths)


@pytest.mark.parametrize("name", ["wordllama", "minilm", "bge"])
def test_the_counter_agrees_with_the_encoder(name: str, request: pytest.FixtureRequest) -> None:
    encoder: TextEncoder = request.getfixturevalue(name)
    counter = counter_for(encoder.spec)
    assert [counter.count(text) for text in TEXTS] == encoder.count_tokens(TEXTS, "document")
    special = 0 if name == "wordllama" else 2
    for text in TEXTS:
        offsets = counter.offsets(text)
        assert len(offsets) == counter.count(text) - special
        covered = "".join(text[start:end] for start, end in sorted(set(offsets)))
        assert covered.replace(" ", "") == text.replace(" ", "")


def test_tokenizer_digests_name_tokenizers() -> None:
    wordllama, minilm = (tokenizer_digest(resolve(n)) for n in ("wordllama", "minilm-l6"))
    assert len(wordllama) == 16
    assert wordllama != minilm


def test_the_reranker_gives_the_scores_of_its_model_card(reranker: Reranker) -> None:
    related, unrelated = reranker.score(ANCHOR, [RELATED, UNRELATED])
    assert related == pytest.approx(9.2, abs=0.4)
    assert unrelated == pytest.approx(-4.1, abs=0.4)


def test_a_score_does_not_depend_on_the_other_texts(reranker: Reranker) -> None:
    texts = [UNRELATED, LONG * 3, RELATED, ""]
    together = reranker.score(ANCHOR, texts)
    alone = [reranker.score(ANCHOR, [text])[0] for text in texts]
    np.testing.assert_array_equal(together, alone)
    assert reranker.score(ANCHOR, []).shape == (0,)


def test_stages_survive_pickling_and_count_what_was_read() -> None:
    stage = pickle.loads(pickle.dumps(EncodeStage(resolve("minilm-l6"), "document")))  # noqa: S301
    assert isinstance(stage, Stage)
    assert stage.name == "encode"
    encoded = stage.build(1)(("one", LONG))
    assert encoded.vectors.shape == (2, 384)
    assert (encoded.tokens, encoded.truncated) == (3 + 256, 1)

    static = EncodeStage(resolve("wordllama"), "query").build(1)(("one two", LONG))
    assert static.truncated == 0
    counts = build_encoder(resolve("wordllama")).count_tokens(["one two", LONG], "query")
    assert static.tokens == sum(counts)

    rerank = pickle.loads(pickle.dumps(RerankStage("ms-marco-l12")))  # noqa: S301
    scores = rerank.build(1)((ANCHOR, (UNRELATED, RELATED)))
    assert scores[1] > scores[0]


def test_the_chunk_stage_keeps_the_budget_of_its_model() -> None:
    spec = resolve("minilm-l6")
    chunking = preset("128").bound_to(tokenizer_digest(spec))
    stage = pickle.loads(pickle.dumps(ChunkStage(chunking, spec, "handbook")))  # noqa: S301
    documents = [Document("a", LONG.strip(), "A title"), Document("b", "short")]
    chunks = stage.build(1)(documents)
    counter = counter_for(spec)
    assert [len(one) > 1 for one in chunks] == [True, False]
    assert all(counter.count(chunk.encoded) <= 128 for one in chunks for chunk in one)

    whole = ChunkStage(preset("whole"), None, "handbook").build(1)(documents)
    assert [len(one) for one in whole] == [1, 1]


def test_a_chunking_bound_to_another_tokenizer_is_refused() -> None:
    chunking = preset("128").bound_to(tokenizer_digest(resolve("wordllama")))
    with pytest.raises(DigestMismatch, match="minilm-l6"):
        ChunkStage(chunking, resolve("minilm-l6"), "handbook").build(1)


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(ModelError, match="'telepathy'"):
        build_encoder(replace(resolve("wordllama"), provider="telepathy"))
