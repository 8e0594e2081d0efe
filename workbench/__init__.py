"""Embeddings in production as a measured, versioned, reversible operation.

``Workbench.open()`` is the way in. Importing this package loads nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.session import Workbench

__version__ = "0.1.0"
__all__ = ["Workbench", "__version__"]


def __getattr__(name: str) -> object:
    if name == "Workbench":
        from workbench.session import Workbench

        return Workbench
    raise AttributeError(f"module 'workbench' has no attribute {name!r}")
