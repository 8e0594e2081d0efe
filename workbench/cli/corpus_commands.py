"""Commands on a corpus: ingest, delete, search, and its indexes."""

from __future__ import annotations

from typing import Annotated

import typer

from workbench.cli.common import (
    Chunking,
    ConfigFile,
    CorpusName,
    Home,
    Json,
    OnRay,
    Tenant,
    emit,
    parse_where,
    session,
    settings,
    wants_json,
)
from workbench.records import DEFAULT_TENANT

index_app = typer.Typer(no_args_is_help=True, help="Look after the indexes of a corpus.")

Model = Annotated[
    str | None, typer.Option("--model", "-m", help="Embedding model; see `workbench models list`.")
]


def ingest(
    source: Annotated[
        str, typer.Argument(help="Folder, file, name of a set, hf:OWNER/NAME or `python-docs`.")
    ],
    corpus: CorpusName,
    model: Model = None,
    chunking: Chunking = None,
    tenant: Tenant = DEFAULT_TENANT,
    ray: OnRay = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, change nothing.")] = False,
    home: Home = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Bring a corpus and its index up to date with a source.

    Unchanged documents cost nothing; documents absent from the source are deleted; unreadable ones
    are listed with the reason and everything else is indexed. Killed half-way? Run it again.
    """
    as_json = wants_json(as_json)
    with session(settings(home, config, ray=ray), quiet=as_json) as bench:
        emit(
            bench.documents(corpus, tenant=tenant).ingest(
                source, model=model, chunking=chunking, dry_run=dry_run
            ),
            as_json=as_json,
        )


def delete(
    ids: Annotated[list[str], typer.Argument(help="Document ids.", metavar="DOC_ID...")],
    corpus: CorpusName,
    tenant: Tenant = DEFAULT_TENANT,
    home: Home = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Delete documents: no later query returns them."""
    as_json = wants_json(as_json)
    with session(settings(home, config), quiet=as_json) as bench:
        emit(bench.documents(corpus, tenant=tenant).delete(ids), as_json=as_json)


def search(
    text: Annotated[str, typer.Argument(help="What to look for.")],
    corpus: CorpusName,
    k: Annotated[
        int | None, typer.Option("-k", min=1, max=10_000, help="Documents to return.")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option("--where", help="key=value on metadata; repeatable.")
    ] = None,
    rerank: Annotated[
        str | None, typer.Option("--rerank", help="Reranker, e.g. ms-marco-l12.")
    ] = None,
    tenant: Tenant = DEFAULT_TENANT,
    home: Home = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Search a corpus through its route."""
    as_json = wants_json(as_json)
    with session(settings(home, config), quiet=as_json) as bench:
        found = bench.documents(corpus, tenant=tenant).search(
            text, k=k, where=parse_where(where), rerank=rerank
        )
        emit(found, as_json=as_json)


def duplicates(
    corpus: CorpusName,
    threshold: Annotated[
        float, typer.Option(help="Jaccard similarity of word 4-grams from which two count.")
    ] = 0.8,
    tenant: Tenant = DEFAULT_TENANT,
    home: Home = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Report documents that say almost the same, in clusters. Nothing is dropped."""
    as_json = wants_json(as_json)
    with session(settings(home, config), quiet=as_json) as bench:
        emit(bench.documents(corpus, tenant=tenant).duplicates(threshold), as_json=as_json)


@index_app.command("list")
def index_list(
    corpus: CorpusName, home: Home = None, config: ConfigFile = None, as_json: Json = False
) -> None:
    """List the indexes of a corpus: model, fingerprint, counts, lag."""
    as_json = wants_json(as_json)
    with session(settings(home, config), quiet=as_json) as bench:
        emit(bench.documents(corpus).indexes(), as_json=as_json)


@index_app.command("verify")
def index_verify(
    corpus: CorpusName, home: Home = None, config: ConfigFile = None, as_json: Json = False
) -> None:
    """Compare registry, vault and store, id by id, as queries see them; exit 1 on any fault."""
    as_json = wants_json(as_json)
    with session(settings(home, config), quiet=as_json) as bench:
        result = bench.documents(corpus).verify()
        emit(result, as_json=as_json)
    if not result.ok:
        if not as_json:
            typer.echo(f"not ok: run `workbench index rebuild --corpus {corpus}`", err=True)
        raise typer.Exit(1)


@index_app.command("rebuild")
def index_rebuild(
    corpus: CorpusName,
    ray: OnRay = False,
    home: Home = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Make the collection of a corpus anew from registry and vault, without encoding."""
    as_json = wants_json(as_json)
    with session(settings(home, config, ray=ray), quiet=as_json) as bench:
        emit(bench.documents(corpus).rebuild(), as_json=as_json)
