from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import StoreError, UnknownName
from workbench.stores import open_store
from workbench.stores.codes import CODES, code_of

N, DIMENSION = 2_000, 64


def unit(n: int, dimension: int = DIMENSION, seed: int = 1) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def overlap(name: str, oversampling: int, *, rescore: bool) -> float:
    vectors, queries = unit(N), unit(20, seed=2)
    ids = [f"d{i:04d}" for i in range(N)]
    found = []
    for quantization in ("none", name):
        with open_store(
            "memory", path=Path(), quantization=quantization, oversampling=oversampling,
            rescore=rescore,
        ) as store:  # type: ignore[attr-defined]  # fmt: skip
            store.create("i", DIMENSION, "f")
            store.upsert("i", ids, vectors, [{}] * N)
            found.append([{i for i, _ in hits} for hits in store.query("i", queries, 10)])
    return float(np.mean([len(a & b) / 10 for a, b in zip(*found, strict=True)]))


@pytest.mark.parametrize(
    ("name", "codes_alone", "rescored"),
    [("float16", 0.99, 1.0), ("int8", 0.9, 1.0), ("binary", 0.1, 0.3)],
)
def test_codes_find_most_neighbours_and_rescoring_finds_more(
    name: str, codes_alone: float, rescored: float
) -> None:
    # Random directions are the hardest case: by chance .005 would be found.
    alone = overlap(name, 1, rescore=False)
    again = overlap(name, 4, rescore=True)
    print(f"{name}: {alone:.3f} by codes alone, {again:.3f} of four times as many rescored")
    assert codes_alone <= alone <= again
    assert again >= rescored


@given(dimension=st.integers(1, 200), seed=st.integers(0, 1_000))
def test_binary_scores_count_differing_signs(dimension: int, seed: int) -> None:
    vectors, (query,) = unit(5, dimension, seed), unit(1, dimension, seed + 1)
    code = code_of("binary")
    differing = ((vectors > 0) != (query > 0)).sum(axis=1)
    assert code.scores(query, code.encode(vectors)).tolist() == (-differing).tolist()


@pytest.mark.parametrize("name", CODES)
def test_a_code_takes_the_bytes_it_says(name: str) -> None:
    code = CODES[name]
    for dimension in (1, 63, 64, 384):
        stored = sum(part.nbytes for part in code.encode(unit(3, dimension)))
        assert stored == 3 * code.bytes_per_vector(dimension)


def test_what_can_not_work_says_so() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'binary'"):
        open_store("memory", path=Path(), quantization="binery")
    with pytest.raises(StoreError, match="expected 1 or more"):
        open_store("memory", path=Path(), quantization="int8", oversampling=0)
