"""The wire formats: what each provider is sent and what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.config import ProviderConfig
from workbench.errors import ModelError
from workbench.models.api.answers import Answer, counted, ordered, parsed, vectors_of
from workbench.models.api.catalogue import model_of
from workbench.models.api.endpoint import Secret, checked_url, is_loopback
from workbench.models.api.faults import fault_of
from workbench.records import Role
from workbench.spec import EmbeddingSpec

if TYPE_CHECKING:
    from openai import AsyncOpenAI


class OpenAIWire:
    """``POST /embeddings`` of OpenAI, and of the servers that speak its protocol.

    Args:
        spec: The space; a dimension other than the model's own is asked for.
        config: Where to call.
        key: What to call with.
    """

    path = "/embeddings"
    max_inputs = 2_048
    cuts = False
    usage = ("total_tokens", "prompt_tokens")

    def __init__(self, spec: EmbeddingSpec, config: ProviderConfig, key: Secret) -> None:
        self._spec = spec
        self._config = config
        self._key = key
        self._url = checked_url(spec.provider, config)
        self._model = model_of(spec)
        self._client: AsyncOpenAI | None = None

    @property
    def shortened(self) -> bool:
        """Whether the provider is asked for fewer (or more) numbers than it makes by itself."""
        return self._spec.dimension != self._model.dimension

    def body(self, texts: Sequence[str], role: Role) -> dict[str, Any]:  # noqa: ARG002
        """The request. base64 of float32 is a quarter of the size and is decoded at once."""
        body: dict[str, Any] = {
            "model": self._model.name, "input": list(texts), "encoding_format": "base64",
        }  # fmt: skip
        return {**body, "dimensions": self._spec.dimension} if self.shortened else body

    def answer(self, payload: dict[str, Any], n: int) -> Answer:
        """The vectors of an answer, checked and in order."""
        tokens = counted(payload.get("usage"), *self.usage)
        rows = ordered(payload.get("data"), n, tokens)
        return Answer(vectors_of(rows, n, self._spec.dimension, tokens), tokens)

    async def call(self, texts: Sequence[str], role: Role) -> Answer:
        """One call, one answer.

        Raises:
            Fault: Anything else.
        """
        import httpx2
        import openai

        client = self._opened()
        try:
            async with asyncio.timeout(self._config.timeout):
                response = await client.post(
                    self.path, body=self.body(texts, role), cast_to=httpx2.Response
                )
        except (openai.APIError, TimeoutError) as error:
            # Without its cause, which holds the request and so the key.
            raise fault_of(error, self._key) from None
        payload = parsed(response.content, response.headers.get("content-type", ""))
        return self.answer(payload, len(texts))

    def _opened(self) -> AsyncOpenAI:
        if self._client is None:
            self._client = self._open()
        return self._client

    def _open(self) -> AsyncOpenAI:
        try:
            import httpx2
            import openai
        except ImportError as error:
            raise ModelError(
                f"model {self._spec.model!r} needs the package openai (found none: {error}); "
                "run `pip install openai`"
            ) from None
        host = httpx2.URL(self._url).host
        return openai.AsyncOpenAI(
            api_key=self._key.reveal(),
            base_url=self._url,
            max_retries=0,
            timeout=self._config.timeout,
            # Retries are ours. Redirects would carry texts and key to a host nobody allowed. A
            # proxy of the environment is not for this machine.
            http_client=httpx2.AsyncClient(
                follow_redirects=False,
                timeout=self._config.timeout,
                trust_env=not is_loopback(host),
                limits=httpx2.Limits(max_connections=self._config.concurrency),
            ),
        )

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()


class VoyageWire(OpenAIWire):
    """Voyage AI: OpenAI's shape, with the role of a text and the provider's own truncation."""

    max_inputs = 1_000
    cuts = True

    def body(self, texts: Sequence[str], role: Role) -> dict[str, Any]:
        """The request."""
        body: dict[str, Any] = {
            "model": self._model.name, "input": list(texts), "input_type": role, "truncation": True,
        }  # fmt: skip
        return {**body, "output_dimension": self._spec.dimension} if self.shortened else body


class CohereWire(OpenAIWire):
    """Cohere ``/v2/embed``: vectors come in the order of the texts, without an index."""

    path = "/v2/embed"
    max_inputs = 96
    cuts = True

    def body(self, texts: Sequence[str], role: Role) -> dict[str, Any]:
        """The request."""
        body: dict[str, Any] = {
            "model": self._model.name, "texts": list(texts), "input_type": f"search_{role}",
            "embedding_types": ["float"], "truncate": "END",
        }  # fmt: skip
        return {**body, "output_dimension": self._spec.dimension} if self.shortened else body

    def answer(self, payload: dict[str, Any], n: int) -> Answer:
        """The vectors of an answer, checked."""
        meta = payload.get("meta")
        billed = meta.get("billed_units") if isinstance(meta, dict) else None
        tokens = counted(billed, "input_tokens")
        found = payload.get("embeddings")
        rows = found.get("float") if isinstance(found, dict) else None
        return Answer(
            vectors_of(rows if isinstance(rows, list) else [], n, self._spec.dimension, tokens),
            tokens,
        )


WIRES = {"openai": OpenAIWire, "voyage": VoyageWire, "cohere": CohereWire}
