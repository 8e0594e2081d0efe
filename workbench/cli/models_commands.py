"""Commands about models: list, check, quantize."""

from __future__ import annotations

from typing import Annotated

import typer

from workbench.cli.common import ConfigFile, Home, Json, emit, session, settings, wants_json

models_app = typer.Typer(no_args_is_help=True, help="Which models there are and whether they work.")


@models_app.command("list")
def models_list(home: Home = None, config: ConfigFile = None, as_json: Json = False) -> None:
    """List the models: dimension, size of input, licence, usable here or why not."""
    as_json = wants_json(as_json)
    with session(settings(home, config), quiet=as_json) as bench:
        emit(bench.models, as_json=as_json)


@models_app.command("check")
def models_check(
    model: Annotated[str, typer.Argument(help="Name of a model, or a folder.")],
    home: Home = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Verify a model's digest, embed canaries, print dimension, speed and a sanity result."""
    as_json = wants_json(as_json)
    with session(settings(home, config), quiet=as_json) as bench:
        result = bench.check_model(model)
        emit(result, as_json=as_json)
    if not result.sane:
        raise typer.Exit(1)


@models_app.command("quantize")
def models_quantize(
    model: Annotated[str, typer.Argument(help="Name of a model, or a folder.")],
    calibrate: Annotated[
        str | None,
        typer.Option("--calibrate", help="Source of texts like yours; default: the handbook."),
    ] = None,
    home: Home = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Make MODEL@int8: calibrate it once, check it, keep it by its SHA-256."""
    as_json = wants_json(as_json)
    with session(settings(home, config), quiet=as_json) as bench:
        emit(bench.quantize_model(model, calibrate), as_json=as_json)
