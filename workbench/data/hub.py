"""Tables of the ``datasets`` library: saved folders, and those of the Hugging Face Hub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from workbench.config import SourceConfig
from workbench.data.files import unchanged
from workbench.data.source import Columns, Item, Source, missing_columns
from workbench.data.tables import rows_of
from workbench.errors import ConfigError, SourceError

HUB = "hf:"
_NAME = re.compile(
    r"(?P<path>[\w.-]+(?:/[\w.-]+)?)(?::(?P<config>[^#@]+))?(?:#(?P<split>[^#@]+))?"
    r"(?:@(?P<revision>[^#@]+))?"
)
_BATCH = 256


class HubName(NamedTuple):
    """Parts of ``hf:owner/name:config#split@revision``; all but the first may be missing."""

    path: str
    config: str | None
    split: str | None
    revision: str | None


def parse_hub_name(name: str) -> HubName:
    """Parts of a name that begins with ``hf:``.

    Raises:
        ConfigError: It is not of that form.
    """
    found = _NAME.fullmatch(name.removeprefix(HUB))
    if not found:
        raise ConfigError(
            f"unknown form of a Hub data set: {name!r}; expected hf:owner/name, then optionally "
            ":config, #split and @revision in this order"
        )
    return HubName(*found.group("path", "config", "split", "revision"))


def hub_source(name: str, options: SourceConfig) -> Source:
    """A data set of the Hugging Face Hub, streamed; its rows are read like those of a table.

    The source keeps its name when the revision changes: a later one updates the same documents.
    """
    parts = parse_hub_name(name)
    return Source(
        name.rpartition("@")[0] if parts.revision else name, partial(_hub, parts, options)
    )


def _hub(parts: HubName, options: SourceConfig) -> Iterator[Item]:
    import datasets

    try:
        found = datasets.load_dataset(
            parts.path, parts.config, revision=parts.revision, streaming=True
        )
        yield from _rows(_split_of(dict(found), parts.split, parts.path), parts.path, options)
    except SourceError:
        raise
    except Exception as error:  # the library and the network raise errors of any kind
        raise SourceError(
            f"cannot read the data set {parts.path!r} from the Hugging Face Hub "
            f"({type(error).__name__}: {str(error)[:300]}). Check its name, the network and "
            "HF_TOKEN (for private ones). Without a network: save it elsewhere with "
            f"load_dataset({parts.path!r}).save_to_disk(FOLDER), and ingest FOLDER."
        ) from error


def _split_of(splits: dict[str, Any], split: str | None, name: str) -> Any:
    if split is None and len(splits) == 1:
        return next(iter(splits.values()))
    if split in splits:
        return splits[split]
    asked = f"no split {split!r}" if split else "several splits"
    raise SourceError(
        f"{name} has {asked}; found {', '.join(sorted(splits))}. Choose one: {name}#SPLIT"
    )


def _rows(table: Any, name: str, options: SourceConfig) -> Iterator[Item]:
    columns = Columns.of(options)
    if table.column_names is not None and (lack := missing_columns(table.column_names, columns)):
        raise SourceError(f"{name} has {lack}")
    # As Arrow: pictures and sounds are not decoded.
    yield from rows_of(table.with_format("arrow").iter(batch_size=_BATCH), "", columns)


def is_saved(folder: Path) -> bool:
    """Whether ``save_to_disk`` of the ``datasets`` library made ``folder``."""
    state = (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    return state or (folder / "dataset_dict.json").is_file()


def saved_source(stable: str, folder: Path, split: str | None, options: SourceConfig) -> Source:
    """What ``save_to_disk`` saved; ``split`` chooses among several."""
    name = f"{stable}#{split}" if split else stable
    return Source(name, partial(_saved, folder, split, options))


def _saved(folder: Path, split: str | None, options: SourceConfig) -> Iterator[Item]:
    import datasets

    try:
        with unchanged(sorted(folder.rglob("*.arrow"))):
            found = datasets.load_from_disk(str(folder), keep_in_memory=False)
            splits = dict(found) if isinstance(found, datasets.DatasetDict) else {"": found}
            if split and "" in splits:
                raise SourceError(f"{folder.name} has no splits. Name it without '#{split}'.")
            yield from _rows(_split_of(splits, split, folder.name), folder.name, options)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"cannot read {folder} as a saved data set: {error}. Save it again with save_to_disk."
        ) from error
