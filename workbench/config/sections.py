"""Where things run and are kept, and how searching and measuring are done."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, field_serializer

from workbench.config.files import Section

Port = Annotated[int, Field(ge=1024, le=65535)]


class StoreConfig(Section):
    """Which vector store. Without ``url`` Chroma is embedded in the home.

    ``quantization`` is how the memory store shortens vectors; it then ranks ``oversampling`` times
    the wanted hits again by their float32 vectors, unless ``rescore`` is false.
    """

    kind: Literal["chroma", "memory"] = "chroma"
    url: str | None = None
    quantization: Literal["none", "float16", "int8", "binary"] = "none"
    oversampling: int = Field(3, ge=1)
    rescore: bool = True


class ExecutorConfig(Section):
    """Where stages run.

    ``actors`` workers of ``threads`` CPU threads each; 0 actors = one per CPU. A batch that
    fails is tried ``attempts`` times in all.
    """

    kind: Literal["inline", "ray"] = "inline"
    actors: int = Field(0, ge=0)
    threads: int = Field(1, ge=1)
    attempts: int = Field(3, ge=1)
    address: str | None = None


def _only_text(value: Any) -> Any:
    """Refuse what is not text without repeating it: it may hold a password."""
    if value is not None and not isinstance(value, str | SecretStr):
        raise ValueError(f"expected a URL as text; found a {type(value).__name__}")
    return value or None


class CacheConfig(Section):
    """Tiers around the vault.

    ``memory_mb`` bounds what is kept in memory (20 MB hold 10,000 vectors of 384 numbers); 0 =
    nothing. ``redis_url`` shares vectors between machines (``redis://HOST:PORT/DATABASE``); its
    password belongs into ``redis_password_file`` (mode 0600) or into the variable
    ``WORKBENCH_CACHE__REDIS_URL``. An entry lives there for ``redis_ttl_days``, and no call takes
    longer than ``redis_budget_ms``. Vectors of queries leave the vault after ``query_days``.
    """

    memory_mb: float = Field(20, ge=0, allow_inf_nan=False)
    redis_url: Annotated[SecretStr | None, BeforeValidator(_only_text)] = None
    redis_password_file: Path | None = None
    redis_ttl_days: float = Field(30, ge=0.001, le=3650)
    redis_budget_ms: float = Field(50, gt=0, le=10_000)
    query_days: float = Field(30, gt=0, allow_inf_nan=False)

    @field_serializer("redis_url")
    def _without_password(self, url: SecretStr | None) -> str | None:
        """What is written down names the server only."""
        scheme, found, rest = url.get_secret_value().partition("://") if url else ("", "", "")
        return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}" if found else None


class IndexConfig(Section):
    """How an index is built: chunks per committed window, texts per encoder batch."""

    window_chunks: int = Field(512, ge=1)
    batch_texts: int = Field(32, ge=1)


class SearchConfig(Section):
    """How queries are answered."""

    k: int = Field(10, ge=1)
    rerank_candidates: int = Field(20, ge=1)
    rerank_k: int = Field(5, ge=1)


class EvaluateConfig(Section):
    """How evaluations draw their intervals: resamples and permutations, and their seed."""

    depth: int = Field(100, ge=1)
    resamples: int = Field(10_000, ge=100)
    seed: int = 20_260_101
    confidence: float = Field(0.95, gt=0.5, lt=1)


class ServicesConfig(Section):
    """Ports of ``workbench up``, all on 127.0.0.1 and outside of Ray's worker range."""

    chroma_port: Port = 8600
    mlflow_port: Port = 8601
    ray_port: Port = 8602
    ray_dashboard_port: Port = 8603
