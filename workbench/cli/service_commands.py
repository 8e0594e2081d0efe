"""Commands on the services of a home, and the pages they open."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from workbench.cli.common import ConfigFile, Home, Json, emit, session, settings, wants_json

Open = Annotated[bool, typer.Option("--open/--no-open", help="Open a browser.")]


def up(home: Home = None, config: ConfigFile = None, as_json: Json = False) -> None:
    """Start Chroma, MLflow and Ray on 127.0.0.1; sessions and jobs then join them."""
    as_json = wants_json(as_json)

    with session(settings(home, config), quiet=as_json) as bench:
        started = bench.up(_stage_printer(quiet=as_json))
        emit(started, as_json=as_json)


def down(home: Home = None, config: ConfigFile = None, as_json: Json = False) -> None:
    """Stop exactly what `workbench up` started."""
    as_json = wants_json(as_json)
    with session(settings(home, config), quiet=as_json) as bench:
        bench.down(_stage_printer(quiet=as_json))
        emit(bench.status(), as_json=as_json)


def status(home: Home = None, config: ConfigFile = None, as_json: Json = False) -> None:
    """Show which services of this home run, and where."""
    as_json = wants_json(as_json)
    with session(settings(home, config), quiet=as_json) as bench:
        emit(bench.status(), as_json=as_json)


def ui(
    port: Annotated[int, typer.Option(min=1024, max=65535, help="Port of the page.")] = 8601,
    home: Home = None,
    config: ConfigFile = None,
) -> None:
    """Show the MLflow page of this home: runs, comparisons, model versions. Ctrl-C ends it."""
    from workbench.run.services import mlflow_command, mlflow_environment, read

    chosen = settings(home, config)
    running = read(chosen.home)
    if running and running.mlflow_url:
        typer.echo(f"{running.mlflow_url}/#/experiments?workflowType=machine_learning")
        return
    typer.echo(
        f"http://127.0.0.1:{port}/#/experiments?workflowType=machine_learning  (Ctrl-C ends)"
    )
    command = mlflow_command(chosen.home, port)
    _become(command, {**os.environ, **mlflow_environment()})


def lab(
    port: Annotated[int, typer.Option(min=1024, max=65535, help="Port of the page.")] = 8888,
    open_browser: Open = False,
    home: Home = None,
    config: ConfigFile = None,
) -> None:
    """Start JupyterLab on this home, on 127.0.0.1. Ctrl-C ends it."""
    chosen = settings(home, config)
    command = [
        sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        f"--ServerApp.open_browser={open_browser}",
        # JupyterLab refuses the superuser otherwise, who is the only user of many containers.
        *(["--allow-root"] if os.geteuid() == 0 else []),
    ]  # fmt: skip
    _become(command, {**os.environ, "WORKBENCH_HOME": str(chosen.home)})


def _stage_printer(*, quiet: bool) -> Callable[[str, str], None]:
    def show(name: str, state: str) -> None:
        if not quiet:
            typer.echo(f"{name}: {state}", err=True)

    return show


def _become(command: list[str], env: dict[str, str]) -> NoReturn:
    """Replace this process by ``command``: signals reach it, and nothing is left behind."""
    sys.stdout.flush()
    os.execvpe(command[0], command, env)  # noqa: S606 (our own argument list, no shell)
