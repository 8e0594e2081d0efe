"""After an unclean close: does the store hold what the registry says?"""

from __future__ import annotations

from workbench.errors import StoreError
from workbench.protocols import Store
from workbench.state.index_records import Index
from workbench.state.registry import Registry


def holds_what_it_should(registry: Registry, store: Store, index: Index) -> bool:
    """Compare ids: every live chunk is stored, and nothing else but what is pending."""
    try:
        stored = set(store.ids(index.collection))
    except StoreError:
        return registry.indexes.counts(index)[1] == 0
    for page in registry.indexes.chunk_keys(index):
        for chunk_id, _ in page:
            if chunk_id not in stored:
                return False
            stored.discard(chunk_id)
    return stored <= set(registry.indexes.pending(index))
