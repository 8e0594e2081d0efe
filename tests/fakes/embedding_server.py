"""A provider of embeddings on 127.0.0.1: three protocols, real vectors, counted calls, bad manners.

Vectors are those of wordllama followed by zeros, so that cosines are real and a shorter vector is
the beginning of a longer one. It also runs alone: ``python embedding_server.py [LATENCY_S]``.
"""

from __future__ import annotations

import base64
import json
import math
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import numpy as np

KINDS = (
    "429",
    "429-retry-after",
    "quota",
    "500",
    "503",
    "timeout",
    "slow-drip",
    "truncated",
    "reordered",
    "duplicate",
    "dimension",
    "nan",
    "zero",
    "html",
    "reset",
)
SPOILED = ("truncated", "reordered", "duplicate", "dimension", "nan", "zero")
"""Kinds that come with status 200 and JSON."""
KEY = "sk-loopback-0123456789abcdef"
MAX_TOKENS = 8_191
MAX_INPUTS = {"openai": 2_048, "voyage": 1_000, "cohere": 96}
NATIVE = {"text-embedding-3-large": 3072, "voyage-3-large": 1024, "voyage-3.5": 1024}
DRIP_S = 0.02


def vectors_of(texts: list[str]) -> np.ndarray:
    """Unit vectors of wordllama, shape (n, 256)."""
    return _encoder().encode(texts, "document")


@lru_cache(maxsize=1)
def _encoder() -> Any:
    from workbench.models import build_encoder, resolve

    return build_encoder(resolve("wordllama"))


def sized(vectors: np.ndarray, dimension: int) -> np.ndarray:
    """Padded with zeros or cut to ``dimension``, at unit length."""
    wide = np.zeros((len(vectors), dimension), np.float32)
    common = min(dimension, vectors.shape[1])
    wide[:, :common] = vectors[:, :common]
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def tokens_of(text: str) -> int:
    """What this provider charges for: about five bytes a token."""
    return max(1, math.ceil(len(text.encode()) / 5))


class EmbeddingServer:
    """A server that may be told to misbehave; ``with EmbeddingServer() as server: server.url``.

    Attributes:
        calls: Requests received, whatever became of them.
        texts: How often each text was received.
        tokens: Tokens charged for: only answers with status 200 count.
        bodies: What was asked, in order.
        kind: One of ``KINDS``, or None: how to misbehave.
        times: How often each request (told apart by its texts) meets with ``kind``.
        poison: Texts that hold this are refused with 400.
        broken: Texts that hold this get NaN.
        forbidden: Requests with a text that holds this are answered with 403.
        latency: Seconds before every answer.
        hang: Seconds that ``timeout`` and ``slow-drip`` take.
        key: What clients must send.
        status: Instead of an answer: (status, JSON).
    """

    def __init__(self, key: str = KEY) -> None:
        self.key = key
        self.calls = 0
        self.tokens = 0
        self.texts: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.kind: str | None = None
        self.times: float = 1
        self.poison: str | None = None
        self.broken: str | None = None
        self.forbidden: str | None = None
        self.latency = 0.0
        self.hang = 5.0
        self.retry_after = "0"
        self.status: tuple[int, Any] | None = None
        self.location = ""
        self.most_at_once = 0
        self.closing = threading.Event()
        self.on_call: Callable[[int], None] = lambda _number: None
        self._at_once = 0
        self._met: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        outer = self

        class Handler(_Handler):
            server_of = outer

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where OpenAI's and Voyage's protocols are spoken."""
        return f"{self.root}/v1"

    @property
    def root(self) -> str:
        """Where Cohere's is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def misbehave(self, kind: str | None, times: float = 1) -> None:
        """From now on, ``times`` times for each request."""
        self.kind, self.times = kind, times

    def received(self, body: dict[str, Any], texts: list[str]) -> str | None:
        """Count a request; gives the way to misbehave this time."""
        with self._lock:
            self.calls += 1
            self.bodies.append(body)
            self.texts.update(texts)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self.on_call(self.calls)
            name = f"{self.kind}\0" + "\0".join(texts)
            self._met[name] += 1
            return self.kind if self._met[name] <= self.times else None

    def answered(self, tokens: int) -> None:
        """Count an answer."""
        with self._lock:
            self.tokens += tokens
            self._at_once -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are part of the plan."""


class _Handler(BaseHTTPRequestHandler):
    server_of: EmbeddingServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        server = self.server_of
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        texts = body["texts"] if "texts" in body else body["input"]
        kind = server.received(body, texts)
        charged = 0
        try:
            if server.closing.wait(server.latency):
                return
            charged = self._answer(server, body, texts, kind)
        finally:
            server.answered(charged)

    def _answer(
        self, server: EmbeddingServer, body: dict[str, Any], texts: list[str], kind: str | None
    ) -> int:
        provider = _provider(self.path, body)
        if self._turned_away(server, texts):
            return 0
        if kind in {"429", "429-retry-after", "quota", "500", "503"}:
            return self._status(kind)
        if kind in {"timeout", "slow-drip", "html", "reset"}:
            return self._transport(kind)
        if refusal := _refusal(server, provider, texts):
            return self._error(400, refusal, "invalid_value", "input")
        vectors = sized(vectors_of(texts), _dimension(body))
        for row, text in enumerate(texts):
            if server.broken and server.broken in text:
                vectors[row, 0] = np.nan
        charged = sum(map(tokens_of, texts))
        self._json(200, _payload(provider, body, vectors, charged, kind))
        return charged

    def _turned_away(self, server: EmbeddingServer, texts: list[str]) -> bool:
        sent = self.headers.get("authorization")
        if sent != f"Bearer {server.key}":
            self._error(401, f"Incorrect API key provided: {sent}", "invalid_api_key")
        elif server.forbidden and any(server.forbidden in text for text in texts):
            self._error(403, "not for you", "forbidden")
        elif server.location:
            self._send(307, b"", "text/plain", {"location": server.location})
        elif server.status is not None:
            self._json(*server.status)
        else:
            return False
        return True

    def _status(self, kind: str) -> int:
        if kind == "quota":
            return self._error(429, "You exceeded your current quota.", "insufficient_quota")
        headers = {"retry-after": self.server_of.retry_after} if "retry" in kind else {}
        return self._error(int(kind[:3]), "Please slow down.", "rate_limit", headers=headers)

    def _transport(self, kind: str) -> int:
        server = self.server_of
        if kind == "html":
            self._send(200, b"<html><body>Sign in to the hotel's WLAN</body></html>", "text/html")
        elif kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        elif kind == "timeout":
            server.closing.wait(server.hang)
            self.close_connection = True
        else:
            self._drip(server)
        return 0

    def _drip(self, server: EmbeddingServer) -> None:
        """A byte now and then: every read succeeds, the answer never ends."""
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "1000000")
        self.end_headers()
        until = time.monotonic() + server.hang
        self.close_connection = True
        while time.monotonic() < until and not server.closing.wait(DRIP_S):
            try:
                self.wfile.write(b" ")
                self.wfile.flush()
            except OSError:
                return

    def _error(
        self, status: int, message: str, code: str, param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> int:  # fmt: skip
        if self.path.endswith("/v2/embed"):
            payload: Any = {"id": "x", "message": message}
        else:
            payload = {"error": {"message": message, "type": code, "param": param, "code": code}}
        self._json(status, payload, headers)
        return 0

    def _json(self, status: int, payload: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(payload).encode(), "application/json", headers)

    def _send(
        self, status: int, content: bytes, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def _provider(path: str, body: dict[str, Any]) -> str:
    if path.endswith("/v2/embed"):
        return "cohere"
    return "voyage" if body["model"].startswith("voyage") else "openai"


def _dimension(body: dict[str, Any]) -> int:
    asked = body.get("dimensions") or body.get("output_dimension")
    return int(asked or NATIVE.get(body["model"], 1536))


def _refusal(server: EmbeddingServer, provider: str, texts: list[str]) -> str:
    if len(texts) > MAX_INPUTS[provider]:
        return f"too many inputs: {len(texts)}"
    if any(not text.strip() for text in texts):
        return "input cannot be an empty string"
    if provider == "openai" and any(tokens_of(text) > MAX_TOKENS for text in texts):
        return f"This model's maximum context length is {MAX_TOKENS + 1} tokens"
    if server.poison and any(server.poison in text for text in texts):
        return "the content of this input is refused"
    return ""


def _spoilt(vectors: np.ndarray, kind: str | None) -> list[tuple[int, np.ndarray]]:
    """(index, vector) pairs as a broken provider would give them."""
    items = list(enumerate(vectors))
    if kind == "truncated":
        items.pop()
    elif kind == "reordered":
        items.reverse()
    elif kind == "duplicate":
        items[-1] = (0, items[-1][1]) if len(items) > 1 else (1, items[-1][1])
    elif kind == "dimension":
        items[-1] = (items[-1][0], items[-1][1][:-1])
    elif kind == "nan":
        items[0][1][1] = np.nan
    elif kind == "zero":
        items[-1][1][:] = 0
    return items


def _payload(
    provider: str, body: dict[str, Any], vectors: np.ndarray, charged: int, kind: str | None
) -> dict[str, Any]:
    items = _spoilt(vectors, kind)
    if provider == "cohere":
        items = items if kind != "reordered" else items[::-1]
        if kind == "duplicate":
            items.append(items[0])
        return {
            "id": "x",
            "texts": body["texts"],
            "embeddings": {"float": [vector.tolist() for _, vector in items]},
            "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": charged}},
            "response_type": "embeddings_by_type",
        }
    packed = body.get("encoding_format") == "base64"
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(vector.astype("<f4").tobytes()).decode()
            if packed
            else vector.tolist(),
        }
        for index, vector in items
    ]
    usage = {"total_tokens": charged}
    if provider == "openai":
        usage["prompt_tokens"] = charged
    return {"object": "list", "data": data, "model": body["model"], "usage": usage}


def main() -> None:
    """Serve until the process is ended, and say where."""
    with EmbeddingServer() as server:
        server.latency = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
