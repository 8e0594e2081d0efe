"""Configuration: YAML files and ``WORKBENCH_…`` variables, validated where they come in."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from workbench.errors import ConfigError, UnknownName

ENV_PREFIX = "WORKBENCH_"
ENV_OUTSIDE = {"WORKBENCH_DATA", "WORKBENCH_NIGHTLY", "WORKBENCH_CONFIG", "WORKBENCH_MODELS"}
"""Variables of ours that are not configuration keys."""

Port = Annotated[int, Field(ge=1024, le=65535)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StoreConfig(_Section):
    """Which vector store. Without ``url`` Chroma is embedded in the home.

    ``quantization`` is how the memory store shortens vectors; it then ranks ``oversampling`` times
    the wanted hits again by their float32 vectors, unless ``rescore`` is false.
    """

    kind: Literal["chroma", "memory"] = "chroma"
    url: str | None = None
    quantization: Literal["none", "float16", "int8", "binary"] = "none"
    oversampling: int = Field(3, ge=1)
    rescore: bool = True


class ExecutorConfig(_Section):
    """Where stages run.

    ``actors`` workers of ``threads`` CPU threads each; 0 actors = one per CPU. A batch that
    fails is tried ``attempts`` times in all.
    """

    kind: Literal["inline", "ray"] = "inline"
    actors: int = Field(0, ge=0)
    threads: int = Field(1, ge=1)
    attempts: int = Field(3, ge=1)
    address: str | None = None


_ENCODINGS = re.compile(
    r"utf-8(-sig)?|utf-(16|32)(-[lb]e)?|ascii|iso8859-\d+|cp\d+|koi8-[rtu]|mac-\w+|gbk|gb2312"
    r"|gb18030|big5(hkscs)?|euc_(jp|kr)|iso2022_(jp|kr)|shift_jis|tis-620"
)


def is_text_encoding(name: str) -> bool:
    """Whether ``name`` is an encoding of texts (and not, say, of archives or of identifiers)."""
    try:
        return _ENCODINGS.fullmatch(codecs.lookup(name).name) is not None
    except (LookupError, ValueError):
        return False


class SourceConfig(_Section):
    """How sources are read.

    ``id``, ``title`` and ``text`` name columns of tables; without a name the usual ones are
    looked for. ``id: "#content"`` makes ids of the content: a changed text is a new document.
    ``metadata`` names the columns that are kept beside the text, or is ``all``. ``encoding`` is
    that of files which do not say theirs. ``boilerplate: remove`` leaves headers, footers, side
    notes, forms and menus of pages out.
    """

    id: str | None = None
    title: str | None = None
    text: str | None = None
    metadata: Literal["all"] | tuple[str, ...] = "all"
    encoding: str = "utf-8"
    boilerplate: Literal["keep", "remove"] = "keep"

    @field_validator("metadata", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        """``a,b`` is two names, as variables write it."""
        if not isinstance(value, str) or value == "all":
            return value
        return tuple(name.strip() for name in value.split(",") if name.strip())

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        if not is_text_encoding(value):
            raise ValueError("expected the name of a text encoding such as utf-8 or cp1252")
        return codecs.lookup(value).name


def _only_text(value: Any) -> Any:
    """Refuse what is not text without repeating it: it may hold a password."""
    if value is not None and not isinstance(value, str | SecretStr):
        raise ValueError(f"expected a URL as text; found a {type(value).__name__}")
    return value or None


class CacheConfig(_Section):
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


class IndexConfig(_Section):
    """How an index is built: chunks per committed window, texts per encoder batch."""

    window_chunks: int = Field(512, ge=1)
    batch_texts: int = Field(32, ge=1)


class SearchConfig(_Section):
    """How queries are answered."""

    k: int = Field(10, ge=1)
    rerank_candidates: int = Field(20, ge=1)
    rerank_k: int = Field(5, ge=1)


class EvaluateConfig(_Section):
    """How evaluations draw their intervals: resamples and permutations, and their seed."""

    depth: int = Field(100, ge=1)
    resamples: int = Field(10_000, ge=100)
    seed: int = 20_260_101
    confidence: float = Field(0.95, gt=0.5, lt=1)


class OwnPrice(_Section):
    """A price of your own: ``usd`` per million tokens, and optionally when and where it stood."""

    usd: float = Field(ge=0, allow_inf_nan=False)
    as_of: str = ""
    source: str = "the configuration"


class BudgetConfig(_Section):
    """What may be spent with providers, in dollars.

    ``run`` is for one ingest, ``month`` for one calendar month (UTC); 0 = nothing may be spent,
    none = no limit. A call is refused before it is made when it would exceed either.
    ``machine_usd_per_hour`` is what this machine costs while local models encode, and
    ``storage_usd_per_gb_month`` what keeping vectors does; both are for reports only.
    ``prices`` are your own, by the name of the model (``openai:my-model``).
    """

    run: float | None = Field(None, ge=0, allow_inf_nan=False)
    month: float | None = Field(None, ge=0, allow_inf_nan=False)
    machine_usd_per_hour: float = Field(0.0, ge=0, allow_inf_nan=False)
    storage_usd_per_gb_month: float = Field(0.0, ge=0, allow_inf_nan=False)
    prices: dict[str, OwnPrice] = Field(default_factory=dict)


class ProviderConfig(_Section):
    """How one provider of embeddings over HTTP is reached.

    ``base_url`` names another server that speaks the provider's protocol; its host must be in
    ``hosts`` unless it is the provider's own or this machine. The key is in the variable
    ``key_env`` or in the file ``key_file`` (mode 0600), never here. A call carries at most
    ``max_inputs`` texts (None = what the provider takes) and is given up after ``timeout`` seconds;
    ``concurrency`` calls run at once. A request is tried ``attempts`` times in all and not again
    after ``deadline`` seconds; between tries it waits up to ``backoff`` seconds, doubled each time.
    ``tokens_per_minute`` is the limit of the account; 0 = none.
    """

    base_url: str | None = None
    hosts: tuple[str, ...] = ()
    key_env: str | None = None
    key_file: Path | None = None
    max_inputs: int | None = Field(None, ge=1)
    concurrency: int = Field(4, ge=1, le=256)
    attempts: int = Field(5, ge=1)
    timeout: float = Field(60.0, gt=0)
    deadline: float = Field(600.0, gt=0)
    backoff: float = Field(1.0, ge=0)
    tokens_per_minute: int = Field(0, ge=0)


class ProvidersConfig(_Section):
    """The providers of embeddings, by the prefix of their models (``openai:MODEL``)."""

    openai: ProviderConfig = ProviderConfig()
    voyage: ProviderConfig = ProviderConfig()
    cohere: ProviderConfig = ProviderConfig()


MIN_CHUNK_TOKENS = 16
"""Smallest budget of a chunk: below it a header and one character may not fit together."""


class ChunkingPreset(_Section):
    """How documents are cut: see ``workbench.spec.ChunkingSpec`` for what the fields mean."""

    strategy: Literal["whole", "sentence"]
    max_tokens: int = Field(0, ge=0)
    overlap_tokens: int = Field(0, ge=0)
    header: str = "{title} "

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.strategy == "whole" and (self.max_tokens or self.overlap_tokens):
            raise ValueError("'whole' takes neither max_tokens nor overlap_tokens; remove them")
        if self.strategy == "sentence" and self.max_tokens < MIN_CHUNK_TOKENS:
            raise ValueError(
                f"a chunk needs a budget of {MIN_CHUNK_TOKENS} tokens or more; "
                f"found {self.max_tokens}"
            )
        if self.overlap_tokens * 2 > self.max_tokens:
            raise ValueError(
                f"an overlap of {self.overlap_tokens} tokens is more than half of the "
                f"{self.max_tokens} tokens of a chunk; 10 to 15 % is usual"
            )
        return self


class TierRule(_Section):
    """Which documents of a corpus go to the index of one model.

    A document fits when it has at least ``min_tokens`` and fewer than ``max_tokens`` tokens (0 =
    no bound), every value of ``where`` among its metadata, and one of ``tenants`` (empty = any).
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    model: str
    chunking: str | None = None
    min_tokens: int = Field(0, ge=0)
    max_tokens: int = Field(0, ge=0)
    where: dict[str, str | int | float | bool] = Field(default_factory=dict)
    tenants: tuple[str, ...] = ()

    @property
    def takes_all(self) -> bool:
        """Whether every document fits."""
        return not (self.min_tokens or self.max_tokens or self.where or self.tenants)


BY_LENGTH = (
    TierRule(name="short", model="wordllama", max_tokens=100),
    TierRule(name="medium", model="minilm-l6", max_tokens=1_000),
    TierRule(name="long", model="bge-small"),
)
"""``by-length``: the cheap model for short documents, the better ones for longer ones."""


class ServicesConfig(_Section):
    """Ports of ``workbench up``, all on 127.0.0.1 and outside of Ray's worker range."""

    chroma_port: Port = 8600
    mlflow_port: Port = 8601
    ray_port: Port = 8602
    ray_dashboard_port: Port = 8603


class Config(_Section):
    """Everything a session needs to know.

    ``home`` is always absolute. ``model`` and ``chunking`` are what verbs use when not told.
    ``presets`` are chunkings of your own, beside those of ``configs/chunking.yaml``. ``tiers``
    say, for a corpus of several models, which documents go to which; ``by-length`` is a policy.
    ``tracking_uri`` is an MLflow server; without it the home's own database is used.
    """

    home: Path = Path(".workbench")
    model: str = "minilm-l6"
    chunking: str = "256"
    tracking: bool = True
    tracking_uri: str | None = None
    store: StoreConfig = StoreConfig()
    executor: ExecutorConfig = ExecutorConfig()
    source: SourceConfig = SourceConfig()
    cache: CacheConfig = CacheConfig()
    index: IndexConfig = IndexConfig()
    search: SearchConfig = SearchConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    budget: BudgetConfig = BudgetConfig()
    services: ServicesConfig = ServicesConfig()
    providers: ProvidersConfig = ProvidersConfig()
    presets: dict[str, ChunkingPreset] = Field(default_factory=dict)
    tiers: dict[str, tuple[TierRule, ...]] = Field(default_factory=dict)

    @field_validator("tiers", mode="before")
    @classmethod
    def _named_policies(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: BY_LENGTH if rules == "by-length" else rules for name, rules in value.items()}

    @field_validator("tiers")
    @classmethod
    def _complete(cls, value: dict[str, tuple[TierRule, ...]]) -> dict[str, tuple[TierRule, ...]]:
        for corpus, rules in value.items():
            names = [rule.name for rule in rules]
            if not rules or not rules[-1].takes_all or len(set(names)) != len(names):
                raise ValueError(
                    f"the tiers of corpus {corpus!r} need different names and a last one without "
                    "conditions, for documents that fit nowhere else"
                )
        return value

    @classmethod
    def load(
        cls,
        path: Path | str | None = None,
        *,
        home: Path | str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Config:
        """Read a YAML file, then ``WORKBENCH_…`` variables, then ``home``; the last one wins.

        ``WORKBENCH_STORE__KIND=memory`` sets ``store.kind``. Without ``path`` the file named by
        ``WORKBENCH_CONFIG`` is read, else the defaults hold.

        Raises:
            ConfigError: The file can not be read or a value is wrong.
            UnknownName: A key does not exist; names the nearest one.
        """
        env = os.environ if env is None else env
        path = path or env.get("WORKBENCH_CONFIG")
        facts = read_yaml(Path(path)) if path else {}
        origin = str(path) if path else "the configuration"
        for name, value in sorted(env.items()):
            if name.startswith(ENV_PREFIX) and name not in ENV_OUTSIDE:
                _set(facts, name.removeprefix(ENV_PREFIX).lower().split("__"), value, name)
        if home is not None:
            facts["home"] = str(home)
        config = validate(cls, facts, origin)
        return config.model_copy(update={"home": config.home.expanduser().absolute()})


Model = TypeVar("Model", bound=BaseModel)


def validate(kind: type[Model], facts: Any, origin: str) -> Model:
    """``facts`` as a ``kind``, or an error that names the key, its origin and the cure."""
    try:
        return kind.model_validate(facts)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = _keys_at(kind, first["loc"][:-1])
            raise UnknownName.among(f"key in {origin}:", where, known) from None
        place = f"{origin}: {where}" if where else origin
        message = first["msg"].removeprefix("Value error, ")
        found = "" if first["type"] == "value_error" else f"; found {first.get('input')!r}"
        raise ConfigError(f"{place}: {message}{found}") from None


def _keys_at(kind: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    fields = kind.model_fields
    for part in loc:
        inner = fields[str(part)].annotation if str(part) in fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        fields = inner.model_fields
    prefix = "".join(f"{part}." for part in loc)
    return [prefix + name for name in fields]


def _set(facts: dict[str, Any], keys: list[str], value: str, name: str) -> None:
    inner = facts
    for key in keys[:-1]:
        nested = inner.setdefault(key, {})
        if not isinstance(nested, dict):
            raise ConfigError(f"{name} sets a key inside {key!r}, which holds {nested!r}")
        inner = nested
    inner[keys[-1]] = value


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds one mapping (an empty file holds an empty one).

    Raises:
        ConfigError: It is missing, is not YAML, or holds something else; names the line.
    """
    try:
        facts = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if facts is None:
        return {}
    if not isinstance(facts, dict):
        raise ConfigError(f"{path} holds a {type(facts).__name__}; expected keys and values")
    return facts


def shipped(name: str) -> Path:
    """Path of a file of ``configs/``, in a checkout or in an installed wheel."""
    checkout = Path(__file__).parent.parent / "configs" / name
    if checkout.is_file():
        return checkout
    return Path(str(resources.files("workbench"))) / "_configs" / name
