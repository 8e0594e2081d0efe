"""Commands about money: what was spent, what a run would cost."""

from __future__ import annotations

from typing import Annotated

import typer

from workbench.cli.common import (
    Chunking,
    ConfigFile,
    Home,
    Json,
    Tenant,
    emit,
    session,
    settings,
    wants_json,
)
from workbench.records import DEFAULT_TENANT

cost_app = typer.Typer(no_args_is_help=True, help="What was spent, and what a run would cost.")


@cost_app.command("report")
def cost_report(
    by: Annotated[
        str, typer.Option("--by", help="Add up by model, corpus, tenant or day.")
    ] = "model",
    corpus: Annotated[str | None, typer.Option("--corpus", "-c", help="Only this corpus.")] = None,
    home: Home = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Show calls, tokens and dollars, what the cache avoided, and what would save most."""
    as_json = wants_json(as_json)
    with session(settings(home, config), quiet=as_json) as bench:
        emit(bench.costs.report(by, corpus), as_json=as_json)


@cost_app.command("forecast")
def cost_forecast(
    source: Annotated[str, typer.Argument(help="What would be ingested.")],
    model: Annotated[str | None, typer.Option("--model", "-m", help="Embedding model.")] = None,
    chunking: Chunking = None,
    tenant: Tenant = DEFAULT_TENANT,
    home: Home = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Say what ingesting a source would cost and how long it would take, with intervals."""
    as_json = wants_json(as_json)
    with session(settings(home, config), quiet=as_json) as bench:
        found = bench.costs.forecast(source, model=model, chunking=chunking, tenant=tenant)
        emit(found, as_json=as_json)
