"""`workbench init`: a first measurement of one's own documents."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.common import (
    Chunking,
    ConfigFile,
    Home,
    Json,
    OnRay,
    emit,
    session,
    settings,
    wants_json,
)
from workbench.errors import ConfigError


def init(
    documents: Annotated[
        str | None, typer.Argument(help="Folder or file of documents; asked for when left out.")
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option(
            "--queries", help="Queries: .txt, or .csv/.tsv/.jsonl with query and document_id."
        ),
    ] = None,
    corpus: Annotated[str, typer.Option("--corpus", "-c", help="Name of the corpus.")] = "mine",
    model: Annotated[
        tuple[str, str], typer.Option("--models", help="The model to use and one to compare with.")
    ] = ("minilm-l6", "wordllama"),
    chunking: Chunking = None,
    limit: Annotated[
        int, typer.Option("--limit", min=0, help="Measure this many documents; 0 = all.")
    ] = 0,
    write: Annotated[Path, typer.Option("--write", help="Where the configuration goes.")] = Path(
        "workbench.yaml"
    ),
    ray: OnRay = False,
    home: Home = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Measure two models on your own documents, in one go.

    Writes a configuration, indexes the documents, makes known-item queries when you have none,
    and says whether one model is better. Run it again after a change: nothing is encoded twice.
    """
    as_json = wants_json(as_json)
    from workbench.init import Plan, run_init

    source, asked = _asked(documents, queries)
    chosen = settings(home, config, ray=ray)
    plan = Plan(
        source, corpus, model, chunking or chosen.chunking, asked, write.absolute(), limit
    )  # fmt: skip
    with session(chosen, quiet=as_json) as bench:
        emit(run_init(bench, plan), as_json=as_json)


def _asked(documents: str | None, queries: Path | None) -> tuple[str, Path | None]:
    """What was given, else what a person at a terminal answers."""
    if documents is not None:
        return documents, queries
    if not sys.stdin.isatty():
        raise ConfigError("name the documents: workbench init FOLDER [--queries FILE]")
    documents = typer.prompt("Folder or file of documents")
    if queries is None:
        answer = typer.prompt("File of queries (Enter = make some)", default="", show_default=False)
        queries = Path(answer).expanduser() if answer else None
    return str(documents), queries
