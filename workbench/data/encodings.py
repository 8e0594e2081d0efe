"""Bytes as text: what says its encoding is believed, nothing is guessed.

A byte order mark comes first, then what a page declares, then ``source.encoding``.
"""

from __future__ import annotations

import codecs
import io
import re

from workbench.config import is_text_encoding

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARED = re.compile(
    rb"<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w.:-]{1,40})"
    rb"|<meta[^>]{0,400}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})",
    re.IGNORECASE,
)
_HEAD = 4_096
# What the web means by these names.
_ALIASES = {
    **dict.fromkeys(("ascii", "iso8859-1"), "cp1252"),
    "iso8859-9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    **dict.fromkeys(("utf-16", "utf-16-le", "utf-16-be", "utf-32"), "utf-8"),
}
_EBCDIC = ("cp037", "cp1026", "cp1140", "cp273", "cp424", "cp500")
_WIDE = ("utf-16", "utf-32", *_EBCDIC)
_LEAST = 16
_SAMPLE = 2_048
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\f\x1b"))
_BINARY_SHARE = 0.05
_BLOCK = 2**16


def marked(head: bytes) -> str:
    """Codec that a byte order mark names; empty without one."""
    return next((codec for mark, codec in _MARKS if head.startswith(mark)), "")


def declared(head: bytes) -> str:
    """Encoding that a page declares in its first bytes, by the web's meaning of names; or empty."""
    found = _DECLARED.search(head[:_HEAD])
    if not found:
        return ""
    name = (found[1] or found[2]).decode("ascii", "replace")
    if not is_text_encoding(name):
        return ""
    codec = codecs.lookup(name).name
    return _ALIASES.get(codec, codec)


def decoded(data: bytes, encoding: str, *, is_page: bool = False) -> tuple[str, str]:
    """``data`` as text, or empty and what is wrong with it.

    Args:
        data: All bytes of a file.
        encoding: What ``source.encoding`` says.
        is_page: Whether the text may declare an encoding, as HTML and XML do.
    """
    mark = marked(data)
    codec = mark or (declared(data) if is_page else "") or encoding
    if not mark and not codec.startswith(_WIDE) and looks_binary(data):
        return "", "looks binary, not like text (or like UTF-16 without a byte order mark)"
    try:
        return data.decode(codec), ""
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        shown = "UTF-8" if codec in {"utf-8", "utf-8-sig"} else codec
        reason = f"not valid {shown} at byte {start}"
        return "", reason + ("" if mark else hint(data, start))


def looks_binary(data: bytes) -> bool:
    """Whether more than 5 % of the first bytes are control characters that texts do not have."""
    head = data[:_BLOCK]
    return len(head) - len(head.translate(None, _CONTROLS)) > _BINARY_SHARE * len(head)


def hint(data: bytes, near: int) -> str:
    """What bytes that are not UTF-8 probably are, and what to do; looks at 2 KB around ``near``."""
    from charset_normalizer import from_bytes

    start = max(0, near - _SAMPLE // 2)
    sample = data[start : start + _SAMPLE]
    best = from_bytes(sample, cp_exclusion=list(_EBCDIC)).best() if len(sample) >= _LEAST else None
    if best is None or not is_text_encoding(best.encoding) or best.encoding in {"utf_8", "ascii"}:
        return ". Save it as UTF-8, or set source.encoding to its encoding."
    name = codecs.lookup(best.encoding).name
    return f". It may be {name}: save it as UTF-8, or set source.encoding to {name}."


class Transcoded(io.RawIOBase):
    """A binary stream in another encoding, read as UTF-8."""

    def __init__(self, stream: io.BufferedIOBase, codec: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(codec)()
        self._ready = b""

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill ``buffer``; 0 at the end.

        Raises:
            UnicodeDecodeError: The bytes are not in that encoding.
        """
        while not self._ready:
            block = self._stream.read(_BLOCK)
            self._ready = self._decoder.decode(block, final=not block).encode("utf-8", "ignore")
            if not block and not self._ready:
                return 0
        size = min(len(buffer), len(self._ready))
        buffer[:size], self._ready = self._ready[:size], self._ready[size:]
        return size

    def close(self) -> None:
        """Close the stream below too."""
        self._stream.close()
        super().close()
