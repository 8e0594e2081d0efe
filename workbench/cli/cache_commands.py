"""Commands about the cache: what it holds and saved, and removing vectors from it."""

from __future__ import annotations

from typing import Annotated

import typer

from workbench.cli.common import ConfigFile, Home, Json, emit, settings, wants_json

cache_app = typer.Typer(no_args_is_help=True, help="Vectors that need no encoding again.")


@cache_app.command("stats")
def stats(home: Home = None, config: ConfigFile = None, as_json: Json = False) -> None:
    """Show hits by tier, what is stored, and the tokens and dollars that were avoided."""
    from workbench.state.cache_report import cache_stats
    from workbench.workspace import open_records

    with open_records(settings(home, config), _say) as (registry, vault):
        emit(cache_stats(registry, vault), as_json=wants_json(as_json))


@cache_app.command("purge")
def purge(
    tenant: Annotated[
        str | None, typer.Option("--tenant", help="Texts of this tenant, queries included.")
    ] = None,
    corpus: Annotated[
        str | None, typer.Option("--corpus", "-c", help="Chunks that only this corpus has.")
    ] = None,
    fingerprint: Annotated[
        str | None, typer.Option("--fingerprint", help="This space; see `index list`.")
    ] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", help="Queries from longer ago: 30d, 12h.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, change nothing.")] = False,
    home: Home = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Remove vectors from memory, Redis and vault: those that match every condition given.

    What is live is encoded again by `workbench index rebuild`; the output says what that takes.
    Document vectors have no age: --older-than removes vectors of queries only.
    """
    from workbench.state.cache_report import cache_purge
    from workbench.workspace import open_records

    with open_records(settings(home, config), _say) as (registry, vault):
        result = cache_purge(
            registry, vault, tenant=tenant, corpus=corpus, fingerprint=fingerprint,
            older_than=older_than, dry_run=dry_run,
        )  # fmt: skip
        emit(result, as_json=wants_json(as_json))


def _say(message: str) -> None:
    typer.echo(message, err=True)
