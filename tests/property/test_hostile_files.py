"""Two thousand files made to break readers: each is indexed or refused with a reason, in time."""

from __future__ import annotations

import gzip
import json
import random
import re
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workbench.data.chunk import chunk_document
from workbench.data.clean import clean
from workbench.data.load import open_source
from workbench.data.presets import preset
from workbench.errors import SourceError
from workbench.index.plan import cleaned
from workbench.records import Quarantined, SourceDocument

FILES = 2_000
SECONDS_PER_FILE = 5
MEMORY_MB = 1_500
CHUNKED_CHARACTERS = 50_000
WORDS = [
    "alpha",
    "naïve",
    "日本",
    "\u200d",
    "\xa0",
    "&amp;lt;",
    "<b>",
    "`",
    "```\n",
    "\t",
    "| x",
    "-",
]
OPENERS = ["<div>", "<b>", "<ul><li>", "<table><tr><td>", "<blockquote>", "<!--", "<![CDATA[", "<!",
    "<a ", "</", "<a b='\"", '<a b=">" ', "<?", "&", "&#x", "&#9", "<script>", "<title>", "<pre>",
    "<svg>", "<textarea>", "<h1>", "</div>", "<nav>", "<a b=", "&lt", "<td>",
    "]]>", "--!>"]  # fmt: skip
ENDINGS = ["txt", "md", "html", "csv", "jsonl", "parquet", "jsonl.gz"]


class WordCounter:
    additive = False

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in re.finditer(r"\w{1,8}|[^\w\s]", text)]

    def count(self, text: str) -> int:
        return len(self.offsets(text)) + 2


def times(rng: random.Random, *, big: bool) -> int:
    return rng.choice([100_000, 300_000]) if big else rng.randrange(1, 3_000)


def words(rng: random.Random, most: int = 60) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randrange(most)))


def page(rng: random.Random, *, big: bool) -> tuple[str, bytes]:
    count = times(rng, big=big)
    parts = rng.sample(OPENERS, rng.randrange(1, 4))
    kind = rng.randrange(4)
    if kind == 0:
        body = "".join(parts) * count
    elif kind == 1:
        body = "".join(rng.choice(OPENERS) + words(rng, 3) for _ in range(count // 20 + 1))
    elif kind == 2:
        body = f"<p title='{'x' * count}'>{words(rng)}" + "&amp;" * count
    else:
        body = "<p>" + words(rng) + parts[0] * count + words(rng)
    return "html", body.encode("utf-8", "ignore")


def mixed(rng: random.Random, *, big: bool) -> tuple[str, bytes]:
    text = words(rng) + rng.choice(["ä", "日本語", "\x00", "Ж" * 30]) * (2_000 if big else 3)
    codec = rng.choice(
        ["utf-16", "utf-32", "utf-16-le", "cp1251", "shift_jis", "utf-8", "utf-8-sig"]
    )
    data = text.encode(codec, "ignore") + rng.choice([b"", b"\xff", b"\xc3", b"\x00\x00\x00"])
    declared = rng.choice(
        [b"", b"<meta charset=shift_jis>", b"<meta charset=zip>", b"<meta charset=x>"]
    )
    return rng.choice(ENDINGS[:5]), declared + data


def binary(rng: random.Random, *, big: bool) -> tuple[str, bytes]:
    magic = rng.choice([b"", b"PAR1", b"\x1f\x8b\x08", b"\x89PNG", b"%PDF-1.7\n", b"PK\x03\x04"])
    return rng.choice(ENDINGS), magic + rng.randbytes(times(rng, big=big))


def archive(rng: random.Random, *, big: bool) -> tuple[str, bytes]:
    if big:
        return "jsonl.gz", gzip.compress(
            rng.choice([b"\0", b"\n", b" ", b"[", b'{"id":']) * 90_000_000, 6
        )
    packed = gzip.compress(b'{"id": "1", "text": "' + words(rng).encode() + b'"}\n' * 30)
    return "jsonl.gz", packed[: rng.randrange(len(packed) + 1)] + rng.choice([b"", b"x" * 9])


def json_lines(rng: random.Random, *, big: bool) -> tuple[str, bytes]:
    count = times(rng, big=big)
    lines = [
        rng.choice(["[", '{"a":', '{"id": "1", "text": ' + "["]) * count,
        '{"id": "s", "text": "\\ud800 \\udfff x", "\\udc00": "\\ud83d"}',
        '{"id": "' + "i" * count + '", "text": "x"}',
        '{"id": ' + "9" * count + ', "text": "x"}',
        '{"id": "t", "title": "' + "t " * count + '", "text": "x"}',
        '{"id": "m", "text": "x", "m": [' + "0," * count + "0]}",
        '{"id": "n", "text": "x", "n": 1e999, "o": NaN, "p": 1e-999}',
        '{"id": "u", "text": "x"', "null", '"text"', "\x00", "",
        json.dumps({"id": "ok", "text": words(rng)}),
    ]  # fmt: skip
    rng.shuffle(lines)
    return "jsonl", "\n".join(lines[: rng.randrange(1, 6)]).encode("utf-8", "ignore")


def comma_separated(rng: random.Random, *, big: bool) -> tuple[str, bytes]:
    count = times(rng, big=big)
    rows = [
        f"1,{words(rng, 5)}", '2,"never closed' + "\nx,y" * count, "3," + "x" * count, "4,a,b,c",
        "5," + '""' * count, '6,"a"b', "\x00,\x00", "," * count, "7,\r8,\r\n9,x", "10",
        '"' * count,
    ]  # fmt: skip
    rng.shuffle(rows)
    header = rng.choice(
        ["id,text", "id,text", "a,b", "", '"id,text', "id,text," + "c," * 50, "id,id"]
    )
    return "csv", "\n".join([header, *rows[: rng.randrange(1, 6)]]).encode("utf-8", "ignore")


def columnar(rng: random.Random, *, big: bool) -> tuple[str, bytes]:
    count = min(times(rng, big=big), 20_000)
    table = rng.choice([
        lambda: pa.table({"id": [str(n) for n in range(count)], "text": ["x"] * count}),
        lambda: pa.table({"id": ["1"], "text": ["x" * count], "t": [[{"a": [1, None]}] * 9]}),
        lambda: pa.table({"id": ["1"], "words": ["x"]}),
        lambda: pa.table({"id": pa.array([1, 2]), "text": pa.array([b"\xff", None])}),
        lambda: pa.table({"id": [1], "text": ["x"], "d": pa.array([2**62], pa.timestamp("ms"))}),
        lambda: pa.table({}),
    ])()  # fmt: skip
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    data = bytearray(sink.getvalue().to_pybytes())
    for _ in range(rng.choice([0, 0, 1, 5, 50])):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return "parquet", bytes(data[: rng.choice([len(data), len(data), rng.randrange(len(data))])])


def plain(rng: random.Random, *, big: bool) -> tuple[str, bytes]:
    unit = rng.choice(
        ["x", "a ", "`", "```\n", "\n", "    \n", "\xa0", "a.", "\u0301", "# ", "- \n", "🦊"]
    )
    text = unit * times(rng, big=big) + words(rng)
    return rng.choice(["txt", "md"]), text.encode()


MAKERS: list[Callable[..., tuple[str, bytes]]] = [
    page, page, mixed, binary, archive, json_lines, comma_separated, columnar, plain,
]  # fmt: skip


def read_and_cut(path: Path) -> Counter[str]:
    """Outcomes by kind; the whole file counts as refused when reading it raises our error."""
    outcomes: Counter[str] = Counter()
    spec = preset("256")
    try:
        for item in open_source(str(path), data_dirs=[]):
            if isinstance(item, Quarantined):
                assert len(item.reason) > 8, f"{path.name}: reason {item.reason!r}"
                item.reason.encode()
                outcomes["quarantined"] += 1
                continue
            document = cleaned(item, "t")
            assert clean(document.text) == document.text, f"{path.name} cleans twice differently"
            if outcomes["indexed"] < 3:
                start = type(document)(
                    "d", clean(document.text[:CHUNKED_CHARACTERS]), document.title
                )
                chunk_document(start, spec, WordCounter(), "c")
            outcomes["indexed"] += 1
    except SourceError as error:
        refusal = str(error)
        outcomes["refused as a whole"] += 1
        assert len(refusal) > 20, path.name
    return outcomes or Counter({"holds nothing": 1})


def hangs(*_: object) -> None:
    # No error of the operating system, which readers take for a bad file.
    pytest.fail(f"a file takes more than {SECONDS_PER_FILE} s: see the frame below")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_hostile_files_are_indexed_or_refused_in_time_and_memory(tmp_path: Path, capsys) -> None:
    totals: Counter[str] = Counter()
    slowest = (0.0, "")
    previous = signal.signal(signal.SIGALRM, hangs)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        for number in range(FILES):
            rng = random.Random(number)
            maker = MAKERS[number % len(MAKERS)]
            ending, data = maker(rng, big=number % 100 < len(MAKERS) and number % 200 < 100)
            path = tmp_path / f"{number}-{maker.__name__}.{ending}"
            path.write_bytes(data)
            signal.setitimer(signal.ITIMER_REAL, SECONDS_PER_FILE)
            started = time.perf_counter()
            found = read_and_cut(path)
            signal.setitimer(signal.ITIMER_REAL, 0)
            slowest = max(slowest, (time.perf_counter() - started, path.name))
            totals[next(iter(found)) if len(found) == 1 else "some rows of each"] += 1
            path.unlink()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    with capsys.disabled():
        print(f"\n{dict(totals)}; slowest {slowest[1]} {slowest[0]:.1f} s; {grown:.0f} MB more")
    assert sum(totals.values()) == FILES
    assert min(totals["indexed"], totals["quarantined"], totals["refused as a whole"]) > 50
    assert grown < MEMORY_MB


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_folder_with_a_hostile_file_still_gives_the_others(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"a.{ending}").write_bytes(b"\xff\xd8\x00\x01" * 99)
    (tmp_path / "b.txt").write_text("fine")
    bad, good = open_source(str(tmp_path), data_dirs=[])
    assert isinstance(bad, Quarantined)
    assert good == SourceDocument("b.txt", "fine", "b")
