"""The ``workbench`` command."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from workbench import __version__
from workbench.cli.common import ConfigFile, Globals, Home, Json, run_app, set_globals

QUIET = {
    "ANONYMIZED_TELEMETRY": "False",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Telemetry off, and no warnings about forks, in this process and those it starts."""

app = typer.Typer(
    name="workbench",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Embeddings in production as a measured, versioned, reversible operation.",
    epilog="Start with `workbench demo`. Every command has --help and --json.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"workbench {__version__}")
        raise typer.Exit


@app.callback()
def workbench(
    home: Home = None,
    config: ConfigFile = None,
    as_json: Json = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Options before a command hold for it."""
    set_globals(Globals(home, config, as_json))


def _register() -> None:
    from workbench.cli import (
        cache_commands,
        chunk_command,
        cost_commands,
        demo_command,
        evaluate_commands,
        init_command,
        models_commands,
        service_commands,
    )
    from workbench.cli import corpus_commands as corpus

    for command in (
        demo_command.demo,
        init_command.init,
        service_commands.up,
        service_commands.down,
        service_commands.status,
        chunk_command.chunk,
        corpus.ingest,
        corpus.delete,
        corpus.search,
        corpus.duplicates,
        evaluate_commands.evaluate,
        evaluate_commands.compare,
        service_commands.ui,
        service_commands.lab,
    ):
        app.command()(command)
    app.add_typer(corpus.index_app, name="index")
    app.add_typer(models_commands.models_app, name="models")
    app.add_typer(cache_commands.cache_app, name="cache")
    app.add_typer(cost_commands.cost_app, name="cost")


_register()


def main() -> None:
    """Entry point: set the environment, run, exit."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    sys.exit(run_app(app))


if __name__ == "__main__":
    main()
