"""A document as long as they may be is cut without holding it many times over."""

import json
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.models, pytest.mark.slow]

MEGABYTE = 2**20
CHILD = """
import json, resource, sys
from workbench.data.chunk import chunk_document
from workbench.data.presets import preset
from workbench.models import counter_for, resolve
from workbench.records import Document

counter = counter_for(resolve("minilm-l6"))
sentence = "The crew of ship {} unloads box {} before the tide turns. "
part = "".join(sentence.format(i, 7 * i) + ("\\n\\n" if i % 9 == 0 else "") for i in range(4_000))
text = (part * (1 + 10 * 2**20 // len(part)))[: 10 * 2**20].strip()
chunk_document(Document("warm", text[:50_000]), preset("256"), counter, "c")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
chunks = chunk_document(Document("d", text), preset("256"), counter, "c")
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"before": before, "after": after, "chunks": len(chunks), "size": len(text)}))
"""


def test_ten_megabytes_take_less_than_two_hundred_more(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CHILD], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    found = json.loads(done.stdout)
    unit = 1 if sys.platform == "darwin" else 1024
    more = (found["after"] - found["before"]) * unit / MEGABYTE
    print(f"{found['chunks']} chunks of {found['size']:,} characters: {more:.0f} MB more")
    assert found["chunks"] > 10_000
    assert more < 200
