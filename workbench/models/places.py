"""Where models made on this machine are, and what an int8 artifact consists of."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = "WORKBENCH_MODELS"
"""Variable that names the folder; the default is ``~/.cache/embedding-workbench``."""

TOKENIZER = "tokenizer.json"
ARTIFACT_FILES = ("model.xml", "model.bin", TOKENIZER)
"""What the digest of an int8 artifact covers, in this order."""


def cache_root() -> Path:
    """The folder of converted models; it need not exist."""
    chosen = os.environ.get(ROOT)
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(chosen or Path(base) / "embedding-workbench").expanduser().absolute()
