"""Runs in an environment with LangChain and LlamaIndex: one job, timed, as JSON on stdout.

Usage: frameworks_child.py langchain|llamaindex MODEL_FOLDER DOCUMENTS.json EDITED.json
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BATCH = 32
CHUNK_TOKENS, OVERLAP_TOKENS = 254, 31  # two special tokens make it 256


class Counted:
    """The bare model; counts the texts it was given."""

    def __init__(self, folder: str) -> None:
        """Load the model of ``folder``."""
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(2)
        self.model = SentenceTransformer(folder, device="cpu", local_files_only=True)
        self.model.max_seq_length = 256
        self.texts = 0

    def encode(self, texts: list[str]) -> list[list[float]]:
        """Vectors of ``texts``."""
        self.texts += len(texts)
        return self.model.encode(texts, batch_size=BATCH, show_progress_bar=False).tolist()

    def tokens(self, text: str) -> int:
        """Tokens of ``text``, special ones left out."""
        return len(self.model.tokenizer.encode(text, add_special_tokens=False))


def langchain(model: Counted, cache: str) -> Any:
    """A function that splits and embeds documents with CacheBackedEmbeddings over files."""
    from langchain_classic.embeddings import CacheBackedEmbeddings
    from langchain_classic.storage import LocalFileStore
    from langchain_core.embeddings import Embeddings
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    class Model(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return model.encode(texts)

        def embed_query(self, text: str) -> list[float]:
            return model.encode([text])[0]

    embedder = CacheBackedEmbeddings.from_bytes_store(
        Model(), LocalFileStore(cache), namespace="minilm", key_encoder="blake2b"
    )
    splitter = RecursiveCharacterTextSplitter(
        chunk_size=CHUNK_TOKENS, chunk_overlap=OVERLAP_TOKENS, length_function=model.tokens
    )

    def run(documents: list[str]) -> int:
        pieces = [piece for text in documents for piece in splitter.split_text(text)]
        return len(embedder.embed_documents(pieces))

    return run


def llamaindex(model: Counted) -> Any:
    """A function that splits and embeds documents with an IngestionPipeline and its cache."""
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.ingestion import IngestionCache, IngestionPipeline
    from llama_index.core.node_parser import SentenceSplitter
    from llama_index.core.schema import Document

    class Model(BaseEmbedding):
        def _get_text_embedding(self, text: str) -> list[float]:
            return model.encode([text])[0]

        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            return model.encode(texts)

        def _get_query_embedding(self, query: str) -> list[float]:
            return model.encode([query])[0]

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return model.encode([query])[0]

    splitter = SentenceSplitter(
        chunk_size=CHUNK_TOKENS,
        chunk_overlap=OVERLAP_TOKENS,
        tokenizer=lambda text: model.model.tokenizer.encode(text, add_special_tokens=False),
    )
    pipeline = IngestionPipeline(
        transformations=[splitter, Model(embed_batch_size=BATCH)], cache=IngestionCache()
    )

    def run(documents: list[str]) -> int:
        nodes = [Document(text=text, id_=str(i)) for i, text in enumerate(documents)]
        return len(pipeline.run(documents=nodes))

    return run


def main() -> None:
    """Cold, again unchanged, again after the edits."""
    which, folder, first, edited = sys.argv[1:5]
    model = Counted(folder)
    model.encode(["warm up"])
    with tempfile.TemporaryDirectory() as cache:
        run = langchain(model, cache) if which == "langchain" else llamaindex(model)
        facts = []
        for path in (first, first, edited):
            documents = json.loads(Path(path).read_text(encoding="utf-8"))
            before, started = model.texts, time.perf_counter()
            chunks = run(documents)
            seconds = time.perf_counter() - started
            facts.append(
                {"seconds": seconds, "chunks": chunks, "texts": model.texts - before}
            )  # fmt: skip
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
