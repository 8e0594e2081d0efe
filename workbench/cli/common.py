"""What every command shares: options, sessions, output, errors."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.exceptions import TyperException

from workbench.config import Config
from workbench.errors import ConfigError, WorkbenchError

if TYPE_CHECKING:
    from workbench.records import Scalar
    from workbench.results import Result
    from workbench.session import Workbench

INTERRUPTED = 130
UNEXPECTED = 70

Home = Annotated[
    Path | None, typer.Option("--home", help="Directory that holds everything (.workbench).")
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="YAML file with settings, e.g. configs/local.yaml.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
OnRay = Annotated[bool, typer.Option("--ray", help="Chunk, encode and rerank on Ray actors.")]
Chunking = Annotated[
    str | None,
    typer.Option(
        "--chunking", help="Preset (whole, 128, 256, 512, 1024) or sizes as TOKENS:OVERLAP."
    ),
]
CorpusName = Annotated[str, typer.Option("--corpus", "-c", help="Name of the corpus.")]
Tenant = Annotated[str, typer.Option("--tenant", help="Whose documents.")]


@dataclass(slots=True)
class Globals:
    """Options given before the command."""

    home: Path | None = None
    config: Path | None = None
    json: bool = False


_globals: ContextVar[Globals] = ContextVar("globals")


def set_globals(given: Globals) -> None:
    """Keep the options given before the command."""
    _globals.set(given)


def settings(home: Path | None, config: Path | None, *, ray: bool = False) -> Config:
    """The configuration of a command; its own options win over those before it."""
    given = _globals.get(Globals())
    chosen = Config.load(config or given.config, home=home or given.home)
    if ray:
        executor = chosen.executor.model_copy(update={"kind": "ray"})
        chosen = chosen.model_copy(update={"executor": executor})
    return chosen


def wants_json(own: bool) -> bool:
    """Whether ``--json`` was given after or before the command."""
    return own or _globals.get(Globals()).json


@contextmanager
def session(config: Config, *, quiet: bool) -> Iterator[Workbench]:
    """A session with a progress bar on stderr, unless ``quiet`` or not on a terminal."""
    from workbench.cli.progress import Progress
    from workbench.session import Workbench

    with (
        Progress(enabled=not quiet) as bar,
        Workbench.open(config, notify=bar.say, progress=bar.update) as bench,
    ):
        yield bench


def emit(result: Result, *, as_json: bool) -> None:
    """Print a result as one JSON object or as its table."""
    if as_json:
        print_json(result.to_dict())
    else:
        typer.echo(str(result))


def print_json(facts: dict[str, Any]) -> None:
    """One JSON object on stdout; numbers that JSON has no word for become null."""
    typer.echo(json.dumps(_finite(facts), ensure_ascii=False, default=str))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):  # noqa: PLR0124
        return None
    return value


def parse_where(pairs: list[str] | None) -> dict[str, Scalar]:
    """``key=value`` filters; a value that is written as a number or boolean is one.

    Raises:
        ConfigError: A filter has no ``=``.
    """
    from workbench.data.tables import scalar_of

    where: dict[str, Scalar] = {}
    for pair in pairs or []:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"--where takes key=value; found {pair!r}")
        where[key] = scalar_of(text)
    return where


def run_app(app: typer.Typer, argv: list[str] | None = None) -> int:
    """Run the app; errors of ours become one clear line (or object) and an exit code."""
    as_json = "--json" in (sys.argv[1:] if argv is None else argv)
    _globals.set(Globals())
    try:
        code = app(args=argv, standalone_mode=False)
    except WorkbenchError as error:
        return _fail(type(error).__name__, str(error), error.exit_code, as_json=as_json)
    except TyperException as error:
        message = f"{error.format_message()} (--help shows what there is)"
        return _fail("UsageError", message, error.exit_code, as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:  # noqa: BLE001 (the last resort: whole, on stderr, exit code 70)
        traceback.print_exc()
        message = f"{error} (this should not happen: please report it with the lines above)"
        return _fail(type(error).__name__, message, UNEXPECTED, as_json=as_json)
    if code == INTERRUPTED:
        message = "stopped; what was committed stays, run the same command to go on"
        return _fail("Interrupted", message, INTERRUPTED, as_json=as_json)
    return code if isinstance(code, int) else 0


def _fail(kind: str, message: str, code: int, *, as_json: bool) -> int:
    if as_json:
        print_json({"error": message, "type": kind})
    else:
        typer.secho(f"{kind}: {message}", fg=typer.colors.RED, err=True)
    return code
