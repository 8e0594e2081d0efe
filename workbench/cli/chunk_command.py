"""`workbench chunk`: what a chunking makes of a document."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.common import (
    Chunking,
    ConfigFile,
    Home,
    Json,
    emit,
    session,
    settings,
    wants_json,
)
from workbench.errors import ConfigError


def chunk(
    source: Annotated[str, typer.Argument(help="A file, or a source with --id.", metavar="FILE")],
    chunking: Chunking = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Whose tokenizer counts.")
    ] = None,
    document_id: Annotated[
        str | None, typer.Option("--id", help="Which document of a source with several.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write a page that shows them in colour.")
    ] = None,
    home: Home = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Show the chunks of a document with offsets and token counts, exactly as ingest makes them."""
    as_json = wants_json(as_json)
    with session(settings(home, config), quiet=as_json) as bench:
        found = bench.chunk(source, model=model, chunking=chunking, document_id=document_id)
    if html is not None:
        try:
            html.write_text(found.to_html(), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot write the page to {html}: {error}") from error
    emit(found, as_json=as_json)
    if html is not None and not as_json:
        typer.echo(f"\npage: {html.absolute()}")
