from __future__ import annotations

import asyncio
import json
import math
import pickle
import random

import numpy as np
import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from workbench.config import Config, ProviderConfig
from workbench.errors import ConfigError, UnknownName
from workbench.models import counter_for, resolve, tokenizer_digest
from workbench.models.api import counting
from workbench.models.api.answers import counted, ordered, parsed, vectors_of
from workbench.models.api.catalogue import is_remote, model_of, remote_models, spec_of_remote
from workbench.models.api.counting import ByteEstimate, TiktokenCounter, counter_of
from workbench.models.api.endpoint import NO_KEY, Secret, checked_url, key_of
from workbench.models.api.faults import Cure, Fault, delay, retry_after
from workbench.models.api.limiter import TokenLimiter
from workbench.models.api.packing import Limits, pack, shortened

KEY = "sk-very-secret-0123456789"
BYTES = tiktoken.Encoding(
    "bytes", pat_str=r"(?s:.)", mergeable_ranks={bytes([i]): i for i in range(256)},
    special_tokens={},
)  # fmt: skip


# Names and spaces


@pytest.mark.parametrize(
    ("name", "dimension", "tokens"),
    [
        ("openai:text-embedding-3-small", 1536, 8191),
        ("openai:text-embedding-3-large/256", 256, 8191),
        ("voyage:voyage-3-large", 1024, 32000),
        ("voyage:voyage-3.5/2048", 2048, 32000),
        ("cohere:embed-v4.0/512", 512, 128000),
        ("openai:BAAI/bge-m3/1024", 1024, 8191),
    ],
)
def test_a_remote_name_says_what_decides_the_vectors(name, dimension, tokens) -> None:
    spec = spec_of_remote(name)
    assert (spec.dimension, spec.max_tokens, spec.normalize) == (dimension, tokens, True)
    assert spec.provider == name.partition(":")[0]
    assert spec.digest == f"{spec.provider}/{spec.model.partition(':')[2]}"
    assert resolve(name) == spec
    assert spec.fingerprint != spec_of_remote("cohere:embed-english-v3.0").fingerprint


@pytest.mark.parametrize(
    "name",
    [
        "openai:text-embedding-3-small/4000",
        "openai:text-embedding-ada-002/256",
        "voyage:voyage-3.5/300",
        "cohere:embed-v4.0/2048",
        "openai:text-embedding-3-small/0",
    ],
)
def test_a_dimension_the_model_does_not_make_is_refused_with_those_it_makes(name) -> None:
    with pytest.raises(ConfigError, match="expected"):
        spec_of_remote(name)


def test_an_unknown_remote_model_names_the_nearest_and_how_to_use_another_server() -> None:
    with pytest.raises(UnknownName, match=r"Did you mean 'openai:text-embedding-3-small'.*MODEL/D"):
        spec_of_remote("openai:text-embedding-3-smal")
    assert is_remote("voyage:x")
    assert not any(map(is_remote, ["minilm-l6", "openai:", "/a/b:c", "ollama:x"]))


def test_every_remote_model_resolves_to_its_own_facts() -> None:
    for model in remote_models():
        assert model_of(spec_of_remote(model.full_name)) == model


def test_dimension_and_epoch_make_spaces_of_their_own() -> None:
    from dataclasses import replace

    spec = spec_of_remote("openai:text-embedding-3-small")
    others = [spec_of_remote(f"{spec.model}/512"), replace(spec, epoch=1)]
    assert len({spec.fingerprint, *(other.fingerprint for other in others)}) == 3


# Addresses and keys


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "https://eu.api.openai.com/v1/",
        "http://127.0.0.1:8080/v1",
        "http://localhost:1/v1",
        "http://[::1]:1/v1",
        "https://embeddings.example/v1",
        "https://API.OpenAI.com/v1",
    ],
)
def test_allowed_addresses(url) -> None:
    config = ProviderConfig(base_url=url, hosts=("embeddings.example",))
    assert checked_url("openai", config) == url.rstrip("/")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://api.openai.com/v1", "https"),
        ("http://embeddings.example", "https"),
        ("ftp://api.openai.com", "https"),
        ("file:///etc/passwd", "https"),
        ("https://evil.example/v1", "hosts"),
        ("https://api.openai.com.evil.example", "hosts"),
        ("https://api.openai.com@evil.example/v1", "user"),
        ("https://user:pass@api.openai.com/v1", "user"),
        ("https://api.openai.com/v1?key=1", "query"),
        ("https://[bad", "not a URL"),
        ("https://api.openai.com:port", "not a URL"),
        ("http://127.0.0.1.evil.example", "https"),
        ("api.openai.com", "https"),
    ],
)
def test_other_addresses_are_refused_and_the_cure_is_named(url, said) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        checked_url("openai", ProviderConfig(base_url=url, hosts=("embeddings.example",)))
    assert "pass@" not in str(caught.value)


def test_each_provider_has_its_own_home() -> None:
    for provider in ("openai", "voyage", "cohere"):
        assert provider in checked_url(provider, ProviderConfig())


def test_the_key_comes_from_a_private_file_or_a_variable(tmp_path) -> None:
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    path.chmod(0o600)
    env = {"OPENAI_API_KEY": "sk-other", "MINE": KEY, "CO_API_KEY": KEY}
    assert key_of("openai", ProviderConfig(key_file=path), env).reveal() == KEY
    assert key_of("openai", ProviderConfig(key_env="MINE"), env).reveal() == KEY
    assert key_of("cohere", ProviderConfig(), env).reveal() == KEY
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="0600"):
        key_of("openai", ProviderConfig(key_file=path), env)
    with pytest.raises(ConfigError, match="No such file"):
        key_of("openai", ProviderConfig(key_file=tmp_path / "none"), env)


def test_a_missing_key_is_named_but_this_machine_needs_none() -> None:
    with pytest.raises(ConfigError, match="VOYAGE_API_KEY"):
        key_of("voyage", ProviderConfig(), {})
    local = ProviderConfig(base_url="http://127.0.0.1:9/v1")
    assert key_of("openai", local, {}).reveal() == NO_KEY


@pytest.mark.parametrize("value", [f"{KEY}\r\nX-Evil: 1", f"{KEY} {KEY}", f"{KEY}é", f"{KEY}\x00"])
def test_what_can_not_be_a_key_is_refused_and_not_shown(value, tmp_path) -> None:
    path = tmp_path / "key"
    path.write_text(value, encoding="utf-8")
    path.chmod(0o600)
    for config, env in (
        (ProviderConfig(), {"OPENAI_API_KEY": value}),
        (ProviderConfig(key_file=path), {}),
    ):
        with pytest.raises(ConfigError) as caught:
            key_of("openai", config, env)
        assert KEY not in str(caught.value)


def test_a_secret_shows_itself_nowhere_and_does_not_travel() -> None:
    secret = Secret(KEY)
    assert KEY not in f"{secret} {secret!r} {[secret]}"
    assert secret.removed_from(f"bad key {KEY}!") == "bad key ***!"
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(AttributeError):
        secret.__dict__  # noqa: B018


def test_keys_have_no_place_in_the_configuration(tmp_path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"providers: {{openai: {{api_key: {KEY}}}}}\n")
    with pytest.raises(UnknownName) as caught:
        Config.load(path, env={})
    assert KEY not in str(caught.value)


# Counting and packing


def test_tokens_are_exact_only_with_a_sound_vocabulary_and_nothing_is_downloaded(
    tmp_path, monkeypatch
) -> None:
    def forbidden(*_args: object) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr("tiktoken.load.read_file", forbidden)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    spec = spec_of_remote("openai:text-embedding-3-small")
    assert not counter_of(spec).exact
    broken = tmp_path / counting._FILE
    broken.write_bytes(b"IQ== 0\n")
    counting._tiktoken.cache_clear()
    assert not counter_of(spec).exact
    assert broken.exists()
    assert tokenizer_digest(spec) == ByteEstimate.digest
    assert counter_for(spec).count("four words are here") == 5


def test_the_vocabulary_is_the_one_tiktoken_asks_for() -> None:
    import hashlib
    import inspect

    from tiktoken_ext import openai_public

    source = inspect.getsource(openai_public.cl100k_base)
    address = next(word for word in source.split('"') if word.startswith("https://"))
    assert hashlib.sha1(address.encode()).hexdigest() == counting._FILE  # noqa: S324
    assert counting._SHA256 in source


@given(st.text(max_size=80))
def test_offsets_and_counts_agree_and_a_cut_is_a_beginning_that_fits(text) -> None:
    for counter in (ByteEstimate(), TiktokenCounter(BYTES, "x")):
        offsets = counter.offsets(text)
        assert len(offsets) == counter.count(text)
        assert all(0 <= a < b <= len(text) for a, b in offsets)
        for limit in (0, 1, 7):
            cut = counter.cut(text, limit)
            assert text.startswith(cut.replace("\ufffd", "")) or "\ufffd" in cut
            assert counter.count(cut) <= limit


@given(st.text(max_size=60), st.text(max_size=60))
def test_the_estimate_is_additive_where_text_is_cut_at_white_space(left, right) -> None:
    counter = ByteEstimate()
    whole = counter.count(f"{left} {right}")
    assert whole == counter.count(left) + counter.count(f" {right}")


@given(
    st.lists(st.text(alphabet="ab cé\n", max_size=30), max_size=40),
    st.integers(1, 5),
    st.integers(1, 12),
    st.integers(12, 30),
    st.booleans(),
)
def test_every_text_is_in_one_request_within_the_limits_or_blank(
    texts, inputs, per_input, per_request, exact
) -> None:
    counter = TiktokenCounter(BYTES, "x") if exact else ByteEstimate()
    limits = Limits(inputs, per_input, per_request)
    parts, blank = pack(7, texts, counter, limits)
    rows = [row for part in parts for row in part.rows]
    assert sorted([*rows, *blank]) == list(range(len(texts)))
    assert all(not counter.cut(texts[row], per_input).strip() for row in blank)
    assert all(text.strip() for part in parts for text in part.texts)
    for part in parts:
        assert part.batch == 7
        assert 1 <= len(part.rows) <= inputs
        if part.unsure:
            assert not exact
            assert part.texts == (texts[part.rows[0]],)
            assert counter.count(shortened(part, counter, per_input).texts[0]) <= per_input
            continue
        assert part.total <= per_request
        assert part.total >= sum(map(counter.count, part.texts))
        assert part.cut or part.total == sum(map(counter.count, part.texts))
        assert max(part.tokens) <= per_input
        for row, text in zip(part.rows, part.texts, strict=True):
            assert (text != texts[row]) == (row in part.cut)


def test_a_provider_that_cuts_gets_long_texts_whole_and_they_are_reported() -> None:
    limits = Limits(96, 10, 0, server_cuts=True)
    long, very_long = "word " * 20, "word " * 1000
    (part,), _ = pack(0, ["short", long, very_long], ByteEstimate(), limits)
    assert part.texts[:2] == ("short", long)
    assert ByteEstimate().count(part.texts[2]) == 40
    assert part.cut == {1, 2}


def test_lone_surrogates_can_be_sent() -> None:
    (part,), _ = pack(0, ["a \ud83d b"], ByteEstimate(), Limits(9, 9, 9))
    assert part.texts[0].encode() == "a \ufffd b".encode()


def test_halves_keep_rows_texts_and_cuts_together() -> None:
    texts = [f"t{i}" + " word" * (i % 2 * 9) for i in range(5)]
    (part,), _ = pack(0, texts, TiktokenCounter(BYTES, "x"), Limits(9, 8, 0))
    left, right = part.halves()
    assert left.rows + right.rows == part.rows
    assert left.cut | right.cut == part.cut == {1, 3}
    assert not left.cut & right.cut


# Waiting


class Virtual:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=30))
def test_no_minute_sees_more_tokens_than_allowed(sizes) -> None:
    clock = Virtual()
    passed: list[tuple[float, int]] = []

    async def run() -> None:
        limiter = TokenLimiter(60, clock, clock.sleep)

        async def one(tokens: int) -> None:
            await limiter.take(tokens)
            passed.append((clock.now, tokens))

        await asyncio.gather(*(one(size) for size in sizes))

    asyncio.run(run())
    assert [tokens for _, tokens in passed] == sizes
    for start, _ in passed:
        assert sum(n for at, n in passed if start <= at < start + 60) <= 60


def test_a_request_larger_than_the_limit_passes_alone_and_no_limit_never_waits() -> None:
    clock = Virtual()

    async def run(limit: int, sizes: list[int]) -> float:
        limiter = TokenLimiter(limit, clock, clock.sleep)
        start = clock.now
        for size in sizes:
            await limiter.take(size)
        return clock.now - start

    assert asyncio.run(run(10, [5, 25, 1])) == pytest.approx(120, abs=0.01)
    assert asyncio.run(run(0, [10**9] * 5)) == 0


def test_delays_are_full_jitter_over_a_doubling_span() -> None:
    rng = random.Random(1)
    again = Fault("x", Cure.AGAIN)
    for attempt, span in ((1, 1), (2, 2), (3, 4), (10, 60)):
        drawn = [delay(attempt, again, 1.0, rng) for _ in range(2000)]
        assert 0 <= min(drawn) < span * 0.01
        assert span * 0.99 < max(drawn) <= span
    asked = [delay(1, Fault("x", Cure.AGAIN, retry_after=7), 1.0, rng) for _ in range(99)]
    assert 7 <= min(asked) < max(asked) <= 8


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        (
            {
                "retry-after": "Wed, 21 Oct 2026 07:28:30 GMT",
                "date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            30,
        ),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
        ({"retry-after": "-4"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_in_every_form(headers, seconds) -> None:
    assert retry_after(headers) == seconds


# Answers


def items(n: int, dimension: int = 3) -> list[dict]:
    rng = np.random.default_rng(n)
    return [
        {"index": i, "embedding": rng.normal(size=dimension).tolist()} for i in range(n)
    ]  # fmt: skip


def test_order_is_restored_and_rows_have_unit_length() -> None:
    there = items(6)
    rows = ordered(random.Random(3).sample(there, 6), 6, None)
    vectors = vectors_of(rows, 6, 3, None)
    truth = np.array([item["embedding"] for item in there])
    expected = truth / np.linalg.norm(truth, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    assert vectors.dtype == np.float32


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_tiny_and_huge_numbers_keep_their_direction(scale) -> None:
    vectors = vectors_of([[3 * scale, 4 * scale]], 1, 2, None)
    np.testing.assert_allclose(vectors, [[0.6, 0.8]], atol=1e-6)


@pytest.mark.parametrize(
    "data",
    [
        items(3)[:2],
        [*items(3), items(3)[0]],
        [*items(3)[:2], {**items(3)[2], "index": 0}],
        [*items(3)[:2], {**items(3)[2], "index": 3}],
        [*items(3)[:2], {**items(3)[2], "index": -1}],
        [*items(3)[:2], {**items(3)[2], "index": True}],
        [*items(3)[:2], {**items(3)[2], "index": "2"}],
        [*items(3)[:2], {"embedding": [1, 2, 3]}],
        [*items(3)[:2], 5],
        {"0": 1},
        None,
        [],
    ],
)
def test_an_index_set_that_is_not_whole_is_refused(data) -> None:
    with pytest.raises(Fault) as caught:
        ordered(data, 3, None)
    assert caught.value.cure is Cure.AGAIN


@pytest.mark.parametrize(
    "row",
    [
        [1.0, 2.0],
        [1.0, 2.0, 3.0, 4.0],
        [1.0, math.nan, 3.0],
        [1.0, math.inf, 3.0],
        [1e300, 1.0, 1.0],
        [0.0, 0.0, 0.0],
        [1e-60, 0.0, 0.0],
        ["1", "2", "3"],
        [None, 1.0, 2.0],
        [[1.0], [2.0], [3.0]],
        [10**400, 1, 1],
        [True, False, True],
        "AAAA",
        "not base64!",
        None,
        {},
        7,
        [],
    ],
)
def test_a_vector_that_may_not_be_stored_is_refused(row) -> None:
    with pytest.raises(Fault) as caught:
        vectors_of([[1.0, 2.0, 3.0], row], 2, 3, None)
    assert caught.value.bad <= {1}


def test_only_json_objects_are_read() -> None:
    assert parsed(b'{"a": 1}', "application/json; charset=utf-8") == {"a": 1}
    for content, kind in (
        (b"<html>", "text/html"),
        (b'{"a": 1}', "text/html"),
        (b"{", "application/json"),
        (b"[1]", "application/json"),
        (b'{"a": 1}', ""),
        (b"[" * 100_000, "application/json"),
    ):
        with pytest.raises(Fault):
            parsed(content, kind)


def test_usage_is_a_sane_number_or_unknown() -> None:
    assert counted({"total_tokens": 5}, "total_tokens") == 5
    assert counted({"prompt_tokens": 5}, "total_tokens", "prompt_tokens") == 5
    for usage in (None, {}, {"n": -1}, {"n": "5"}, {"n": True}, {"n": math.nan}, json.loads("[]")):
        assert counted(usage, "n") is None
