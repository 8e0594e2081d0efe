"""Configuration: YAML files and ``WORKBENCH_…`` variables, validated where they come in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from workbench.config.documents import (
    BY_LENGTH,
    MIN_CHUNK_TOKENS,
    ChunkingPreset,
    SourceConfig,
    TierRule,
    is_text_encoding,
)
from workbench.config.files import Section, read_yaml, shipped, validate
from workbench.config.providers import BudgetConfig, OwnPrice, ProviderConfig, ProvidersConfig
from workbench.config.sections import (
    CacheConfig,
    EvaluateConfig,
    ExecutorConfig,
    IndexConfig,
    SearchConfig,
    ServicesConfig,
    StoreConfig,
)
from workbench.errors import ConfigError

__all__ = [
    "BY_LENGTH",
    "MIN_CHUNK_TOKENS",
    "BudgetConfig",
    "CacheConfig",
    "ChunkingPreset",
    "Config",
    "EvaluateConfig",
    "ExecutorConfig",
    "IndexConfig",
    "OwnPrice",
    "ProviderConfig",
    "ProvidersConfig",
    "SearchConfig",
    "ServicesConfig",
    "SourceConfig",
    "StoreConfig",
    "TierRule",
    "is_text_encoding",
    "read_yaml",
    "shipped",
    "validate",
]

ENV_PREFIX = "WORKBENCH_"
ENV_OUTSIDE = {"WORKBENCH_DATA", "WORKBENCH_NIGHTLY", "WORKBENCH_CONFIG", "WORKBENCH_MODELS"}
"""Variables of ours that are not configuration keys."""


class Config(Section):
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


def _set(facts: dict[str, Any], keys: list[str], value: str, name: str) -> None:
    inner = facts
    for key in keys[:-1]:
        nested = inner.setdefault(key, {})
        if not isinstance(nested, dict):
            raise ConfigError(f"{name} sets a key inside {key!r}, which holds {nested!r}")
        inner = nested
    inner[keys[-1]] = value
