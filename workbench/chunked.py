"""What a chunking makes of one document, for people who want to check it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

from workbench.data.chunk import chunk_document
from workbench.data.load import data_dirs, open_source
from workbench.data.source import Item, Source
from workbench.errors import SourceError, UnknownName
from workbench.index.plan import cleaned
from workbench.models import counter_for
from workbench.records import DEFAULT_TENANT, Quarantined, SourceDocument
from workbench.results import Result
from workbench.specs import specs_of

if TYPE_CHECKING:
    from workbench.config import Config
    from workbench.resources import Notify

PREVIEW = 60
_TINTS = ("#cfe6f5", "#fbe3b8", "#cdebdd", "#f3d9e7")
"""Light Okabe-Ito: sky blue, orange, bluish green, reddish purple."""


@dataclass(frozen=True, slots=True)
class ShownChunk:
    """One chunk: ``text`` is that of the document from ``start`` to ``end``.

    ``tokens`` are those of what the encoder gets: header, text and special tokens.
    """

    start: int
    end: int
    tokens: int
    text: str
    header: str


@dataclass(frozen=True, slots=True)
class ChunkedDocument(Result):
    """A cleaned document and its chunks."""

    document_id: str
    title: str
    model: str
    chunking: str
    max_tokens: int
    text: str
    chunks: tuple[ShownChunk, ...]

    def rows(self) -> Sequence[dict[str, Any]]:
        """One row per chunk; ``repeated`` are characters that the chunk before holds too."""
        ends = [0, *(chunk.end for chunk in self.chunks)]
        return [
            {
                "chunk": number,
                "start": chunk.start,
                "end": chunk.end,
                "tokens": chunk.tokens,
                "repeated": max(0, ends[number] - chunk.start),
                "text": _preview(chunk.text),
            }
            for number, chunk in enumerate(self.chunks)
        ]

    def to_html(self) -> str:
        """A page of its own that shows the chunks in colour over the text."""
        return _page(self)


def chunk_source(
    config: Config,
    notify: Notify,
    source: str,
    *,
    model: str,
    chunking: str,
    document_id: str | None = None,
) -> ChunkedDocument:
    """Clean and cut one document of ``source`` exactly as an ingest would.

    Raises:
        SourceError: The document can not be read (says why), or there are several and none was
            named.
        UnknownName: The source holds no document of that id.
        ConfigError: The chunks would be longer than the model reads.
    """
    embedding, spec = specs_of(model, chunking, config, notify)
    opened = open_source(source, data_dirs=data_dirs(), options=config.source)
    document = cleaned(_chosen(opened, document_id), DEFAULT_TENANT)
    counter = counter_for(embedding)
    text = document.text
    chunks = chunk_document(document, spec, counter, opened.name)
    return ChunkedDocument(
        document.document_id, document.title, embedding.model, spec.name, spec.max_tokens, text,
        tuple(
            ShownChunk(
                c.start, c.end, counter.count(c.encoded), text[c.start : c.end],
                c.encoded[: len(c.encoded) - (c.end - c.start)],
            )
            for c in chunks
        ),
    )  # fmt: skip


def _chosen(source: Source, document_id: str | None) -> SourceDocument:
    item = _only(source) if document_id is None else _named(source, document_id)
    if isinstance(item, Quarantined):
        raise SourceError(f"{item.document_id} can not be chunked: {item.reason}")
    return item


def _only(source: Source) -> Item:
    found = list(islice(source, 2))
    if not found:
        raise SourceError(f"{source.name} holds no document")
    if len(found) > 1:
        names = ", ".join(item.document_id for item in found)
        raise SourceError(f"{source.name} holds several documents ({names}, …); name one by --id")
    return found[0]


def _named(source: Source, document_id: str) -> Item:
    seen = []
    for item in source:
        if item.document_id == document_id:
            return item
        seen.append(item.document_id)
    raise UnknownName.among("document", document_id, seen)


def _preview(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= PREVIEW else f"{line[: PREVIEW - 1]}…"


_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.65 system-ui, sans-serif; color: #1a1a1a; max-width: 76ch; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.35rem; margin-bottom: .2rem; }
p.facts { color: #555; margin: .2rem 0 1rem; }
table { border-collapse: collapse; font-size: .85rem; margin: 1rem 0; }
td, th { padding: .15rem .6rem; text-align: right; border-bottom: 1px solid #ddd; }
td.bar { text-align: left; width: 14rem; }
td.bar i { display: block; height: .7rem; background: #0072b2; }
a { color: #0b5c8a; }
div.text { white-space: pre-wrap; overflow-wrap: anywhere; }
div.text span { padding: .12em 0; }
span.both { border-bottom: 3px double #333; }
sup { font-size: .65rem; font-weight: 700; color: #333; background: #fff; border: 1px solid #777;
  border-radius: .6rem; padding: 0 .35rem; margin: 0 .15rem; }
"""


def _page(shown: ChunkedDocument) -> str:
    name = escape(shown.title or shown.document_id)
    tints = "".join(
        f"span.t{i} {{ background: {tint}; }}\n" for i, tint in enumerate(_TINTS)
    )  # fmt: skip
    budget = f"at most {shown.max_tokens} tokens" if shown.max_tokens else "one chunk"
    facts = (
        f"{len(shown.chunks)} chunks of {len(shown.text):,} characters; chunking "
        f"{escape(shown.chunking)} ({budget}), counted as {escape(shown.model)} does. A number "
        "stands where a chunk starts; text with a double line below is in two chunks."
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}: chunks'
        f"</title><style>{_STYLE}{tints}</style></head><body>\n<h1>{name}</h1>\n"
        f'<p class="facts">{facts}</p>\n{_table(shown)}\n'
        f'<div class="text">{"".join(_marked(shown))}</div>\n</body></html>\n'
    )


def _table(shown: ChunkedDocument) -> str:
    longest = max([1, shown.max_tokens, *(chunk.tokens for chunk in shown.chunks)])
    rows = "".join(
        f'<tr><td><a href="#c{row["chunk"]}">{row["chunk"]}</a></td><td>{row["start"]:,}</td>'
        f"<td>{row['end']:,}</td><td>{row['repeated']}</td><td>{row['tokens']}</td>"
        f'<td class="bar"><i style="width:{row["tokens"] / longest:.1%}"></i></td></tr>'
        for row in shown.rows()
    )
    return (
        "<table><tr><th>chunk</th><th>start</th><th>end</th><th>repeated</th><th>tokens</th>"
        f'<th class="bar"></th></tr>{rows}</table>'
    )


def _marked(shown: ChunkedDocument) -> Iterator[str]:
    """The text in segments, each marked with the chunks it is in."""
    chunks = shown.chunks
    starts = {chunk.start: number for number, chunk in enumerate(chunks)}
    edges = {0, len(shown.text), *(e for chunk in chunks for e in (chunk.start, chunk.end))}
    number = -1
    for start, end in pairwise(sorted(edges)):
        if start in starts:
            number = starts[start]
            tokens = chunks[number].tokens
            yield f'<sup id="c{number}" title="{tokens} tokens">{number}</sup>'
        inside = number >= 0 and start < chunks[number].end
        both = inside and number > 0 and start < chunks[number - 1].end
        tint = f' class="t{number % len(_TINTS)}{" both" if both else ""}"' if inside else ""
        yield f"<span{tint}>{escape(shown.text[start:end])}</span>"
