"""Cut a document into chunks that an encoder reads whole.

Three promises: ``document.text[start:end]`` is the chunk, every character that is not white space
is in a chunk, and no chunk exceeds its budget as the encoder's own tokenizer counts. The text is
tokenised once to plan and, where the tokenizer can not promise that a part of a text has the tokens
it had in the whole, once more to verify: time is linear in the text.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from zlib import crc32

from workbench.data.atoms import GLUED, PARAGRAPH, Atom, atoms, firm_cuts
from workbench.data.blocks import blocks
from workbench.data.ruler import TokenRuler
from workbench.data.sentences import between_clusters
from workbench.errors import ConfigError
from workbench.protocols import TokenCounter
from workbench.records import Chunk, Document, Span
from workbench.spec import ChunkingSpec, framed_digest

FULL = 0.6
"""Share of its budget from which a chunk may end at any good place."""
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
        return _named(document, corpus, [(Span(0, len(document.text)), header)])
    if spec.strategy != "sentence":
        raise ConfigError(
            f"unknown chunking strategy {spec.strategy!r}; expected 'whole' or 'sentence'"
        )
    if counter is None:
        raise ConfigError(f"chunking {spec.name!r} counts tokens: it needs the model's tokenizer")
    if not document.text:
        header = _fitting_header(document.title, (), spec, counter, spec.max_tokens)
        return _named(document, corpus, [(Span(0, 0), header)] if header else [])
    return _named(document, corpus, _Packer.plan(document, spec, counter).chunks())


def _named(document: Document, corpus: str, spans: Iterable[tuple[Span, str]]) -> list[Chunk]:
    """Give spans their ids: by content and its occurrence in the document, not by position."""
    seen: Counter[str] = Counter()
    chunks = []
    for ordinal, (span, header) in enumerate(spans):
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


def _fitting_header(
    title: str, path: tuple[str, ...], spec: ChunkingSpec, counter: TokenCounter, limit: int
) -> str:
    """The longest header that has at most ``limit`` tokens.

    The outermost headings go first; then the title is cut behind a word, and when its first word
    is too long, behind a character.
    """
    path = path[1:] if path[:1] == (title,) else path
    for index in range(len(path) + 1):
        header = spec.header_for(title, path[index:])
        if not header or counter.count(header) <= limit:
            return header

    def fits(end: int) -> bool:
        return counter.count(spec.header_for(title[:end])) <= limit

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
class _Header:
    """What stands before the text of a chunk below some headings, and what that leaves of it."""

    text: str
    room: int


@dataclass(frozen=True, slots=True)
class _Packer:
    """Fills chunks with atoms up to the budget.

    Where a chunk ends depends on what stands near, not on where the text begins: at the next firm
    place, else at the best place in the window. So an edit moves few chunks.
    """

    text: str
    headers: Callable[[tuple[str, ...]], _Header]
    spec: ChunkingSpec
    counter: TokenCounter
    ruler: TokenRuler
    atoms: Sequence[Atom]
    reach: Sequence[int]
    firm: Sequence[int]

    @classmethod
    def plan(cls, document: Document, spec: ChunkingSpec, counter: TokenCounter) -> _Packer:
        """Tokenise once and cut what is too long for one chunk."""
        text = document.text
        parts = blocks(text)
        headers = _headers(document.title, spec, counter)
        ruler = TokenRuler.of(text, [part.span for part in parts], counter.offsets)
        found = atoms(text, parts, ruler, lambda path: headers(path).room)
        reach = [ruler.before(atom.end) for atom in found]
        firm = firm_cuts(found, [0, *reach], headers(()).room)
        return cls(text, headers, spec, counter, ruler, found, reach, firm)

    def chunks(self) -> Iterator[tuple[Span, str]]:
        """The chunks with their headers."""
        first = 0
        start = fresh = self.atoms[0].start if self.atoms else 0
        while first < len(self.atoms):
            header = self.headers(self.atoms[first].path)
            last = self._end(first, start, header.room)
            span, last = self._shrunk(start, fresh, first, last, header)
            yield span, header.text
            whole = span.end >= self.atoms[last].end
            first = last + 1 if whole else last
            if first < len(self.atoms):
                fresh = self._next_visible(span.end)
                start = self._overlap(span, last, fresh, first, torn=not whole)

    def _end(self, first: int, start: int, room: int) -> int:
        """Index of the last atom of a chunk from ``start``."""
        limit = self.ruler.after(start) + room
        fits = max(first, bisect_right(self.reach, limit, first) - 1)
        index = bisect_left(self.firm, first)
        if index < len(self.firm) and self.firm[index] <= fits:
            return self.firm[index]
        if fits == len(self.atoms) - 1:
            return fits
        enough = bisect_left(self.reach, limit - int(room * (1 - FULL)), first, fits)
        window = range(enough, fits + 1)
        if self.atoms[max(window, key=self._strength)].strength == GLUED:
            window = range(first, fits + 1)
        return max(window, key=self._preference)

    def _strength(self, index: int) -> int:
        return self.atoms[index].strength

    def _preference(self, index: int) -> tuple[int, int]:
        """Strong places first; among equals one that only the atom itself decides."""
        atom = self.atoms[index]
        return atom.strength, crc32(self.text[atom.start : atom.end].encode("utf-8", "replace"))

    def _shrunk(
        self, start: int, fresh: int, first: int, last: int, header: _Header
    ) -> tuple[Span, int]:
        """The chunk as long as the tokenizer really allows, and the index of its last atom.

        Overlap goes first, then atoms from the end, then the one atom is halved.
        """
        end = self.atoms[last].end
        while self._over(start, end, header):
            if start < fresh:
                start = fresh
            elif last > first:
                last -= max(1, (last - first) // 8)
                end = self.atoms[last].end
            else:
                end = self._halved(start, end)
        return Span(start, end), last

    def _over(self, start: int, end: int, header: _Header) -> bool:
        """Whether the tokenizer counts too many; only asked where the plan does not prove it."""
        text = self.text
        if (
            self.counter.additive
            and (not header.text or header.text[-1].isspace())
            and (start == 0 or text[start - 1].isspace())
            and (end == len(text) or text[end].isspace())
        ):
            return self.ruler.count(start, end) > header.room
        return self.counter.count(header.text + text[start:end]) > self.spec.max_tokens

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
        (cut,) = between_clusters(self.text, Span(start, end), iter((middle,)))
        return self._without_trailing_space(start, cut)

    def _without_trailing_space(self, start: int, end: int) -> int:
        while end - 1 > start and self.text[end - 1].isspace():
            end -= 1
        return end

    def _next_visible(self, position: int) -> int:
        while position < len(self.text) and self.text[position].isspace():
            position += 1
        return position

    def _overlap(self, before: Span, last: int, fresh: int, first: int, *, torn: bool) -> int:
        """Where the next chunk starts: whole atoms of the one before, else words, else nothing.

        Nothing is repeated across the end of a paragraph: what stands there was not torn apart.
        """
        if not torn and self.atoms[last].strength >= PARAGRAPH:
            return fresh
        room = self.headers(self.atoms[first].path).room
        spare = room - self.ruler.count(fresh, self.atoms[first].end)
        tokens = min(self.spec.overlap_tokens, spare)
        if tokens <= 0:
            return fresh
        start = fresh
        for index in range(last, -1, -1):
            candidate = self.atoms[index].start
            if candidate <= before.start or self.ruler.count(candidate, before.end) > tokens:
                break
            if index < last and self.atoms[index].strength >= PARAGRAPH:
                return start
            start = candidate
        return start if start < fresh else self._word_overlap(before, tokens, fresh)

    def _word_overlap(self, before: Span, tokens: int, fresh: int) -> int:
        earliest = position = max(before.start + 1, self.ruler.back(before.end, tokens))
        while position < before.end and not self.text[position - 1].isspace():
            position += 1
        position = self._next_visible(position)
        if position < before.end:
            return position
        # Scripts and data without spaces: between two characters.
        (cut,) = between_clusters(self.text, before, iter((earliest,)))
        return cut if earliest <= cut < before.end else fresh


def _headers(
    title: str, spec: ChunkingSpec, counter: TokenCounter
) -> Callable[[tuple[str, ...]], _Header]:
    """The header below a path of headings, each path measured once."""

    @cache
    def header(path: tuple[str, ...]) -> _Header:
        text = _fitting_header(title, path, spec, counter, spec.max_tokens // 2)
        return _Header(text, max(1, spec.max_tokens - counter.count(text)))

    return header if "{headings}" in spec.header else lambda _: header(())
