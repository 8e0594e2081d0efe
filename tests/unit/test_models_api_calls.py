"""The remote encoder against a provider on this machine that misbehaves."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import traceback
from typing import Any

import numpy as np
import pytest
from embedding_server import KEY, KINDS, SPOILED, EmbeddingServer, sized, tokens_of, vectors_of

from workbench.config import ProviderConfig
from workbench.errors import BudgetExceeded, ConfigError, InvalidVectors, ProviderError
from workbench.models.api.calls import HARMLESS
from workbench.models.api.catalogue import spec_of_remote
from workbench.models.api.encoder import RemoteEncoder
from workbench.models.stages import Encoded

NAMES = ("openai:text-embedding-3-small", "voyage:voyage-3.5", "cohere:embed-v4.0")
SPEC = spec_of_remote(NAMES[0])
SHORT = 0.3
TEXTS = [f"sentence number {i} about {word}" for i, word in enumerate(["sea", "sun", "ice"] * 4)]


class Heard:
    """Events that remember."""

    def __init__(self) -> None:
        self.attempts: list[tuple[int, int]] = []
        self.failures: list[tuple[int, str, int | None]] = []
        self.vectors: dict[tuple[int, int], np.ndarray] = {}
        self.refusals: dict[tuple[int, int], str] = {}
        self.tokens = 0
        self.truncated = 0
        self.order: list[str] = []
        self.threads: set[str] = set()

    def attempt(self, batch: int, texts: int, tokens: int) -> int:  # noqa: ARG002
        self.threads.add(threading.current_thread().name)
        self.attempts.append((texts, tokens))
        self.order.append("attempt")
        return len(self.attempts) - 1

    def failed(self, call: int, reason: str, tokens: int | None) -> None:
        self.failures.append((call, reason, tokens))
        self.order.append("failed")

    def done(self, call: int, batch: int, rows: Any, encoded: Encoded) -> None:  # noqa: ARG002
        for row, vector in zip(rows, encoded.vectors, strict=True):
            assert (batch, row) not in self.vectors
            self.vectors[batch, row] = vector
        self.tokens += encoded.tokens
        self.truncated += encoded.truncated
        self.order.append("done")

    def refused(self, batch: int, row: int, reason: str) -> None:
        self.refusals[batch, row] = reason


@pytest.fixture
def server():
    with EmbeddingServer() as running:
        yield running


@pytest.fixture
def make(server):
    made: list[RemoteEncoder] = []

    def build(name: str = NAMES[0], env: dict[str, str] | None = None, **facts: Any):
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            await asyncio.sleep(0)

        extra = {k: facts.pop(k) for k in ("clock", "counter") if k in facts}
        config = ProviderConfig(
            **{
                "base_url": server.root if name.startswith("cohere") else server.url,
                "timeout": 10.0,
                "key_env": "KEY",
                **facts,
            }
        )
        encoder = RemoteEncoder(
            spec_of_remote(name), config, env=env or {"KEY": KEY}, rng=random.Random(1),
            sleep=sleep, **extra,
        )  # fmt: skip
        encoder.slept = slept
        made.append(encoder)
        return encoder

    yield build
    for encoder in made:
        encoder.close()


def truth(texts: list[str], dimension: int = 1536) -> np.ndarray:
    return sized(vectors_of(texts), dimension)


def run(encoder: RemoteEncoder, batches: list[list[str]]) -> tuple[Heard, list[int]]:
    heard = Heard()
    return heard, list(encoder.run(batches, "document", heard))


# What is sent


def test_openai_gets_texts_and_a_dimension_only_when_it_is_not_the_model_s(server, make) -> None:
    np.testing.assert_allclose(make().encode(TEXTS, "query"), truth(TEXTS), atol=1e-6)
    short = make("openai:text-embedding-3-small/128").encode(TEXTS, "document")
    np.testing.assert_allclose(short, truth(TEXTS, 128), atol=1e-6)
    first, second = server.bodies
    expected = {"model": "text-embedding-3-small", "input": TEXTS, "encoding_format": "base64"}
    assert first == expected
    assert second == {**expected, "dimensions": 128}


def test_voyage_gets_the_role_and_its_own_name_for_the_dimension(server, make) -> None:
    make("voyage:voyage-3.5").encode(TEXTS[:2], "query")
    vectors = make("voyage:voyage-3.5/256").encode(TEXTS[:2], "document")
    np.testing.assert_allclose(vectors, truth(TEXTS[:2], 256), atol=1e-6)
    expected = {"model": "voyage-3.5", "input": TEXTS[:2], "truncation": True}
    assert server.bodies[0] == {**expected, "input_type": "query"}
    assert server.bodies[1] == {**expected, "input_type": "document", "output_dimension": 256}


def test_cohere_gets_at_most_96_texts_with_a_search_role(server, make) -> None:
    texts = [f"text {i}" for i in range(200)]
    vectors = make("cohere:embed-v4.0/512").encode(texts, "document")
    np.testing.assert_allclose(vectors, truth(texts, 512), atol=1e-6)
    assert sorted(len(body["texts"]) for body in server.bodies) == [8, 96, 96]
    body = server.bodies[0]
    del body["texts"]
    assert body == {
        "model": "embed-v4.0", "input_type": "search_document", "embedding_types": ["float"],
        "truncate": "END", "output_dimension": 512,
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_tokens_are_those_the_provider_charges(server, make, name) -> None:
    heard, _ = run(make(name), [TEXTS])
    assert heard.tokens == server.tokens == sum(map(tokens_of, TEXTS))


def test_blank_texts_are_never_sent(server, make) -> None:
    heard, done = run(make(), [["", "a text", " \n\t ", "\u00a0"], ["  "], ["another"]])
    assert done == [0, 1, 2]
    assert set(heard.refusals) == {(0, 0), (0, 2), (0, 3), (1, 0)}
    assert set(server.texts) == {"a text", "another"}


def test_a_text_that_is_too_long_is_cut_and_counted(server, make) -> None:
    long = "considerable " * 20_000
    fits = "a " * 9_000  # more than 8,191 by the estimate, fewer by the provider's count
    heard, _ = run(make(), [["short", long, fits]])
    assert len(heard.vectors) == 3
    assert heard.truncated == 1
    assert server.texts[fits] == 1
    cut = next(text for text in server.texts if long.startswith(text) and text != long)
    assert tokens_of(cut) <= 8_191
    assert len(heard.attempts) == server.calls == 4


def test_batches_come_back_in_order_and_are_taken_lazily(server, make) -> None:
    taken: list[int] = []

    def batches():
        for i in range(40):
            taken.append(i)
            yield [f"text {i} a", f"text {i} b"]

    seen = []
    for number in make(concurrency=3).run(batches(), "document", Heard()):
        seen.append(number)
        assert len(taken) <= number + 1 + 3 + 3
    assert seen == list(range(40))
    assert server.most_at_once <= 3


def test_no_more_calls_at_once_than_allowed_but_as_many_as_allowed(server, make) -> None:
    server.latency = 0.05
    run(make(concurrency=5), [[f"text {i}"] for i in range(30)])
    assert server.most_at_once == 5


def test_answers_are_told_as_they_come_and_always_in_the_driver_s_thread(server, make) -> None:
    heard, _ = run(make(concurrency=1), [[f"text {i}"] for i in range(3)])
    assert heard.order == ["attempt", "done"] * 3
    assert heard.threads == {threading.current_thread().name}


def test_it_works_where_a_loop_is_running_already(make) -> None:
    async def notebook() -> np.ndarray:
        return make().encode(TEXTS, "document")

    assert asyncio.run(notebook()).shape == (len(TEXTS), 1536)


# Misbehaviour


@pytest.mark.parametrize("kind", KINDS)
def test_once_misbehaved_the_answer_is_right_in_the_end(server, make, kind) -> None:
    server.misbehave(kind)
    server.hang = 2.0
    heard = Heard()
    encoder = make(concurrency=8, timeout=SHORT if kind in {"timeout", "slow-drip"} else 10.0)
    batches = [TEXTS[i : i + 2] for i in range(0, 12, 2)]
    if kind == "quota":
        with pytest.raises(ProviderError, match="quota"):
            list(encoder.run(batches, "document", heard))
        assert not heard.vectors
        assert len(heard.attempts) == server.calls <= 6
        assert all(server.texts[text] <= 1 for text in TEXTS)
        return
    assert list(encoder.run(batches, "document", heard)) == list(range(6))
    found = np.stack([heard.vectors[i // 2, i % 2] for i in range(12)])
    np.testing.assert_allclose(found, truth(TEXTS), atol=1e-6)
    expected = 6 if kind == "reordered" else 12
    assert len(heard.attempts) == server.calls == expected
    assert len(heard.failures) == expected - 6


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "reordered"])
def test_always_misbehaving_ends_in_an_error_after_a_bounded_number_of_calls(
    server, make, kind
) -> None:
    server.misbehave(kind, times=10**9)
    server.hang = 2.0
    encoder = make(timeout=SHORT if kind in {"timeout", "slow-drip"} else 10.0, attempts=3)
    heard = Heard()
    kind_of_error = InvalidVectors if kind in {*SPOILED, "html"} else ProviderError
    with pytest.raises(kind_of_error, match=SPEC.model):
        list(encoder.run([TEXTS[:1]], "document", heard))
    assert not heard.vectors
    assert len(heard.attempts) == server.calls == (1 if kind == "quota" else 3)


def test_cohere_s_spoilt_answers_are_refused_too(server, make) -> None:
    for kind in ("truncated", "duplicate", "dimension", "nan", "zero", "html"):
        server.misbehave(kind)
        vectors = make("cohere:embed-v4.0").encode(TEXTS, "document")
        np.testing.assert_allclose(vectors, truth(TEXTS), atol=1e-6)


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 410])
def test_what_repeating_does_not_mend_is_not_repeated(server, make, status) -> None:
    server.status = (status, {"error": {"message": "no"}})
    with pytest.raises(ProviderError, match=str(status)):
        make().encode(TEXTS, "document")
    assert server.calls == 1


def test_the_wait_the_server_asks_for_is_kept(server, make) -> None:
    server.misbehave("429-retry-after", times=2)
    server.retry_after = "17"
    encoder = make(backoff=0.5)
    encoder.encode(TEXTS, "document")
    assert all(17 <= seconds <= 17.5 for seconds in encoder.slept)
    assert len(encoder.slept) == 2


def test_a_wait_beyond_the_deadline_is_not_begun(server, make) -> None:
    server.misbehave("429-retry-after", times=10**9)
    server.retry_after = "3600"
    with pytest.raises(ProviderError, match="deadline"):
        make(deadline=60.0).encode(TEXTS, "document")
    assert server.calls == 1


def test_redirects_are_not_followed(server, make) -> None:
    with EmbeddingServer() as other:
        server.location = f"{other.url}/embeddings"
        with pytest.raises(ProviderError, match="redirects"):
            make().encode(TEXTS, "document")
        assert other.calls == 0


def test_nothing_listening_is_an_error_that_says_so(make) -> None:
    encoder = make(base_url="http://127.0.0.1:9/v1", attempts=2)
    with pytest.raises(ProviderError, match="connection failed"):
        encoder.encode(TEXTS, "document")


def test_calls_on_their_way_are_finished_and_told_when_another_fails_for_good(server, make) -> None:
    server.latency = 0.2
    heard = Heard()

    server.forbidden = "text 4"
    encoder = make(concurrency=3)
    with pytest.raises(ProviderError):
        list(encoder.run(([f"text {i}"] for i in range(50)), "document", heard))
    assert len(heard.attempts) == server.calls <= 4 + 3
    assert len(heard.failures) == 1
    assert len(heard.vectors) == server.calls - 1


# Refused texts


def test_poisoned_texts_are_isolated_and_the_others_succeed(server, make) -> None:
    server.poison = "POISON"
    texts = [f"text {i}" + (" POISON" if i in {3, 40, 41} else "") for i in range(64)]
    heard, done = run(make(), [texts])
    assert done == [0]
    assert set(heard.refusals) == {(0, 3), (0, 40), (0, 41)}
    assert "content of this input is refused" in heard.refusals[0, 3]
    assert len(heard.vectors) == 61
    for (_, row), vector in heard.vectors.items():
        np.testing.assert_allclose(vector, truth([texts[row]])[0], atol=1e-6)
    assert len(heard.attempts) == server.calls <= 1 + 3 * 2 * 6 + 1
    assert all(server.texts[text] <= 7 for text in texts)


def test_one_poisoned_text_alone_is_told_from_a_bad_request_by_a_harmless_one(server, make) -> None:
    server.poison = "POISON"
    heard, _ = run(make(), [["POISON"], ["fine"]])
    assert set(heard.refusals) == {(0, 0)}
    assert set(heard.vectors) == {(1, 0)}
    assert len(heard.attempts) == server.calls
    assert server.texts[HARMLESS] <= 1


def test_a_request_that_is_wrong_itself_is_not_blamed_on_every_text(server, make) -> None:
    server.status = (400, {"error": {"message": "bad request"}})
    heard = Heard()
    with pytest.raises(ProviderError, match="refuses every text"):
        list(make().run([[f"text {i}" for i in range(64)]], "document", heard))
    assert not heard.refusals
    assert len(heard.attempts) == server.calls <= 8


def test_a_wrong_parameter_stops_at_once(server, make) -> None:
    server.status = (400, {"error": {"message": "no such dimension", "param": "dimensions"}})
    with pytest.raises(ProviderError, match="no such dimension"):
        make().encode([f"text {i}" for i in range(64)], "document")
    assert server.calls == 1


def test_a_text_that_always_gets_nan_is_left_out(server, make) -> None:
    server.broken = "CURSED"
    texts = [f"text {i}" for i in range(9)] + ["CURSED"]
    heard, _ = run(make(attempts=2), [texts])
    assert set(heard.refusals) == {(0, 9)}
    assert len(heard.vectors) == 9
    assert server.calls == len(heard.attempts) == 3


def test_nan_at_one_place_whatever_stands_there_is_the_provider_s_fault(server, make) -> None:
    server.misbehave("nan", times=10**9)
    heard = Heard()
    with pytest.raises(InvalidVectors, match="NaN"):
        list(make(attempts=2).run([[f"text {i}" for i in range(50)]], "document", heard))
    assert not heard.refusals
    assert not heard.vectors
    assert server.calls == 4


def test_a_provider_that_begins_to_refuse_everything_does_not_empty_the_corpus(
    server, make
) -> None:
    def turn(number: int) -> None:
        if number == 3:
            server.status = (400, {"error": {"message": "no more"}})

    server.on_call = turn
    heard = Heard()
    batches = [[f"batch {i} text {j}" for j in range(32)] for i in range(9)]
    with pytest.raises(ProviderError, match="refuses every text"):
        list(make(concurrency=1).run(batches, "document", heard))
    assert len(heard.refusals) <= 1
    assert server.calls <= 2 + 6 + 1 + 1 + 1


def test_encode_names_the_refused_text(server, make) -> None:
    server.poison = "POISON"
    with pytest.raises(ProviderError, match=r"1 of 3 texts .* text 1 "):
        make().encode(["a", "POISON", "b"], "document")


# What drivers do


def test_what_attempt_raises_stops_the_run_before_the_call(server, make) -> None:
    class Poor(Heard):
        def attempt(self, batch: int, texts: int, tokens: int) -> int:
            if len(self.attempts) == 2:
                raise BudgetExceeded("no money left")
            return super().attempt(batch, texts, tokens)

    heard = Poor()
    with pytest.raises(BudgetExceeded):
        list(make(concurrency=1).run([[f"text {i}"] for i in range(9)], "document", heard))
    assert server.calls == len(heard.attempts) == len(heard.vectors) == 2


def test_what_done_raises_ends_the_run(server, make) -> None:
    class Full(Heard):
        def done(self, *_: Any) -> None:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        list(make().run([[f"text {i}"] for i in range(50)], "document", Full()))
    assert server.calls <= 8


def test_leaving_early_ends_the_calls_and_the_encoder_can_be_used_again(server, make) -> None:
    encoder = make()
    for _ in encoder.run(([f"text {i}"] for i in range(50)), "document", Heard()):
        break
    assert encoder.encode(["after"], "document").shape == (1, 1536)
    encoder.close()
    assert encoder.encode(["opened again"], "document").shape == (1, 1536)


def test_several_threads_share_an_encoder(server, make) -> None:
    encoder = make(concurrency=2)
    found: dict[int, np.ndarray] = {}

    def work(i: int) -> None:
        found[i] = encoder.encode([f"thread {i} text {j}" for j in range(5)], "document")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, vectors in found.items():
        expected = truth([f"thread {i} text {j}" for j in range(5)])
        np.testing.assert_allclose(vectors, expected, atol=1e-6)
    assert len(found) == 8
    assert server.most_at_once <= 2


def test_tokens_per_minute_are_waited_for(server, make) -> None:
    now = [0.0]

    def clock() -> float:
        return now[0]

    encoder = make(clock=clock, tokens_per_minute=10, concurrency=1)

    async def sleep(seconds: float) -> None:
        now[0] += seconds
        await asyncio.sleep(0)

    encoder.limiter._sleep = sleep
    run(encoder, [["one two three four five"] for _ in range(4)])
    assert 60 <= now[0] <= 181
    assert server.calls == 4


# The key


@pytest.mark.parametrize("status", [401, 500])
def test_the_key_is_in_no_error_no_log_and_no_repr(server, make, caplog, status) -> None:
    wrong = "sk-wrong-but-still-secret-987654"
    if status != 401:
        server.key = wrong
        server.status = (status, {"error": {"message": f"failed with {wrong}", "param": wrong}})
    encoder = make(env={"KEY": wrong}, attempts=2)
    with caplog.at_level(logging.DEBUG), pytest.raises(ProviderError) as caught:
        encoder.encode(["a"], "document")
    shown = "".join(traceback.format_exception(caught.value))
    for text in (shown, repr(caught.value), caplog.text, repr(vars(encoder)), repr(encoder.wire)):
        assert wrong not in text
    assert "***" in str(caught.value)
    assert server.calls == (1 if status == 401 else 2)


def test_an_address_that_is_not_allowed_is_refused_before_anything_is_sent(make) -> None:
    with pytest.raises(ConfigError, match="hosts"):
        make(base_url="https://elsewhere.example/v1")
