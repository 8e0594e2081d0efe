"""Embeddings that are paid for: who provides them, and what may be spent."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from workbench.config.files import Section


class OwnPrice(Section):
    """A price of your own: ``usd`` per million tokens, and optionally when and where it stood."""

    usd: float = Field(ge=0, allow_inf_nan=False)
    as_of: str = ""
    source: str = "the configuration"


class BudgetConfig(Section):
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


class ProviderConfig(Section):
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


class ProvidersConfig(Section):
    """The providers of embeddings, by the prefix of their models (``openai:MODEL``)."""

    openai: ProviderConfig = ProviderConfig()
    voyage: ProviderConfig = ProviderConfig()
    cohere: ProviderConfig = ProviderConfig()
