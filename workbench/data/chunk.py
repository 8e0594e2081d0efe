"""Cut a document into chunks that an encoder reads whole.

Three promises: ``document.text[start:end]`` is the chunk, every character that is not white space
is in a chunk, and no chunk exceeds its budget as the encoder's own tokenizer counts. The text is
tokenised once to plan and once, chunk by chunk, to verify: time is linear in the text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from workbench.data.sentences import TokenRuler, atoms, sentences
from workbench.errors import ConfigError
from workbench.protocols import TokenCounter
from workbench.records import Chunk, Document, Span
from workbench.spec import ChunkingSpec, framed_digest

_WORD_END = re.compile(r"(?<=\S)(?!\S)")


def chunk_document(
    document: Document, spec: ChunkingSpec, counter: TokenCounter | None, corpus: str
) -> list[Chunk]:
    """Chunks of a cleaned document, in the order of the text.

    A document with a title but no text gives one chunk ``[0, 0)`` that encodes the header alone; a
    document with neither gives none.

    Args:
        document: Its text is already cleaned.
        spec: Strategy, sizes and header.
        counter: Counts as the encoder's tokenizer does; only ``"whole"`` works without.
        corpus: Name of the corpus, part of every chunk id.

    Raises:
        ConfigError: The strategy is unknown, has no counter, or its budget holds no character.
    """
    header = spec.header_for(document.title)
    if not document.text and not header:
        return []
    if spec.strategy == "whole":
        return _named(document, corpus, header, [Span(0, len(document.text))])
    if spec.strategy != "sentence":
        raise ConfigError(
            f"unknown chunking strategy {spec.strategy!r}; expected 'whole' or 'sentence'"
        )
    if counter is None:
        raise ConfigError(f"chunking {spec.name!r} counts tokens: it needs the model's tokenizer")
    share = spec.max_tokens // 2 if document.text else spec.max_tokens
    header = _fitting_header(document.title, spec, counter, share)
    if not document.text:
        return _named(document, corpus, header, [Span(0, 0)] if header else [])
    spans = _Packer.plan(document.text, header, spec, counter).spans()
    return _named(document, corpus, header, spans)


def _named(document: Document, corpus: str, header: str, spans: Sequence[Span]) -> list[Chunk]:
    """Give spans their ids: by content and its occurrence in the document, not by position."""
    seen: Counter[str] = Counter()
    chunks = []
    for ordinal, span in enumerate(spans):
        encoded = header + document.text[span.start : span.end]
        parts = [corpus, document.tenant, document.document_id, encoded, str(seen[encoded])]
        seen[encoded] += 1
        chunks.append(
            Chunk(
                chunk_id=framed_digest(parts).hex()[:32],
                document_id=document.document_id,
                tenant=document.tenant,
                ordinal=ordinal,
                start=span.start,
                end=span.end,
                encoded=encoded,
            )
        )
    return chunks


def _fitting_header(title: str, spec: ChunkingSpec, counter: TokenCounter, limit: int) -> str:
    """Header of the longest start of ``title`` that has at most ``limit`` tokens.

    The title is cut behind a word; when its first word is too long, behind a character.
    """

    def fits(end: int) -> bool:
        return counter.count(spec.header_for(title[:end])) <= limit

    if not title or fits(len(title)):
        return spec.header_for(title)
    words = [match.end() for match in _WORD_END.finditer(title)]
    end = _largest(words, fits) or _largest(range(1, words[0] + 1 if words else 1), fits)
    return spec.header_for(title[:end])


def _largest(values: Sequence[int], fits: Callable[[int], bool]) -> int:
    """The largest of rising ``values`` that fits, by bisection; 0 when the search finds none."""
    low, high, best = 0, len(values) - 1, 0
    while low <= high:
        middle = (low + high) // 2
        if fits(values[middle]):
            best, low = values[middle], middle + 1
        else:
            high = middle - 1
    return best


@dataclass(frozen=True, slots=True)
class _Packer:
    """Fills chunks with atoms (sentences, or parts of long ones) up to the budget."""

    text: str
    header: str
    spec: ChunkingSpec
    counter: TokenCounter
    room: int
    ruler: TokenRuler
    atoms: Sequence[Span]

    @classmethod
    def plan(cls, text: str, header: str, spec: ChunkingSpec, counter: TokenCounter) -> _Packer:
        """Tokenise once and cut what is too long for one chunk."""
        room = max(1, spec.max_tokens - counter.count(header))
        parts = sentences(text)
        ruler = TokenRuler.of(text, parts, counter.offsets)
        return cls(text, header, spec, counter, room, ruler, atoms(text, parts, ruler, room))

    def spans(self) -> list[Span]:
        """The chunks."""
        return list(self._spans())

    def _spans(self) -> Iterator[Span]:
        first = 0
        start = fresh = self.atoms[0].start if self.atoms else 0
        while first < len(self.atoms):
            last = self._fill(first, start)
            span, last = self._shrunk(start, fresh, first, last)
            yield span
            first = last + 1 if span.end >= self.atoms[last].end else last
            if first < len(self.atoms):
                fresh = self._next_visible(span.end)
                start = self._overlap(span, last, fresh, first)

    def _fill(self, first: int, start: int) -> int:
        """Index of the last atom that fits into a chunk from ``start``; at least ``first``."""
        last = first
        while (
            last + 1 < len(self.atoms)
            and self.ruler.count(start, self.atoms[last + 1].end) <= self.room
        ):
            last += 1
        return last

    def _shrunk(self, start: int, fresh: int, first: int, last: int) -> tuple[Span, int]:
        """The chunk as long as the tokenizer really allows, and the index of its last atom.

        Overlap goes first, then atoms from the end, then the one atom is halved.
        """
        end = self.atoms[last].end
        while self._over(start, end):
            if start < fresh:
                start = fresh
            elif last > first:
                last -= max(1, (last - first) // 8)
                end = self.atoms[last].end
            else:
                end = self._halved(start, end)
        return Span(start, end), last

    def _over(self, start: int, end: int) -> bool:
        return self.counter.count(self.header + self.text[start:end]) > self.spec.max_tokens

    def _halved(self, start: int, end: int) -> int:
        if end - start == 1:
            raise ConfigError(
                f"chunking {self.spec.name!r}: the character {self.text[start]!r} with its header "
                f"does not fit into {self.spec.max_tokens} tokens. Raise max_tokens."
            )
        middle = (start + end) // 2
        for cut in range(middle, start + (middle - start) // 2, -1):
            if self.text[cut].isspace():
                return self._without_trailing_space(start, cut)
        return self._without_trailing_space(start, middle)

    def _without_trailing_space(self, start: int, end: int) -> int:
        while end - 1 > start and self.text[end - 1].isspace():
            end -= 1
        return end

    def _next_visible(self, position: int) -> int:
        while position < len(self.text) and self.text[position].isspace():
            position += 1
        return position

    def _overlap(self, before: Span, last: int, fresh: int, first: int) -> int:
        """Where the next chunk starts: whole atoms of the one before, else words, else nothing."""
        spare = self.room - self.ruler.count(fresh, self.atoms[first].end)
        tokens = min(self.spec.overlap_tokens, spare)
        if tokens <= 0:
            return fresh
        start = fresh
        for index in range(last, -1, -1):
            candidate = self.atoms[index].start
            if candidate <= before.start or self.ruler.count(candidate, before.end) > tokens:
                break
            start = candidate
        return start if start < fresh else self._word_overlap(before, tokens, fresh)

    def _word_overlap(self, before: Span, tokens: int, fresh: int) -> int:
        position = max(before.start + 1, self.ruler.back(before.end, tokens))
        while position < before.end and not self.text[position - 1].isspace():
            position += 1
        position = self._next_visible(position)
        return position if position < before.end else fresh
