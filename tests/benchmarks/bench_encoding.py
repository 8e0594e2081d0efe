"""Bulk encoding in float32, bfloat16 and int8 against ``SentenceTransformer.encode``.

Same passages, same threads, in turns; medians. The share of the machine's GEMM peak counts the
multiplications of the transformer's layers, padding left out.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from report import ROOT, calibrated, row, write

from workbench.models import build_encoder, resolve
from workbench.models.base import TextEncoder

PASSAGES = int(os.environ.get("BENCH_PASSAGES", "2000"))
WORDS = (50, 300)
REPEATS = 3
THREADS = 2
MODEL = "minilm-l6"
BASELINE = 32
OTHER_BATCHES = (8, 16, 64, 128)
PRECISIONS = ("float32", "bfloat16", "int8")
LAYERS, WIDTH, INNER = 6, 384, 1536
"""Of MiniLM-L6."""


def passages() -> list[str]:
    """Passages of scifact of 50 to 300 words, title and text."""
    data = Path(os.environ.get("WORKBENCH_DATA", ROOT.parent / "shared" / "data"))
    texts = []
    with (data / "scifact" / "corpus.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            facts = json.loads(line)
            text = f"{facts['title']} {facts['text']}"
            if WORDS[0] <= len(text.split()) <= WORDS[1]:
                texts.append(text)
    return texts[:PASSAGES]


def plain() -> Callable[[list[str], int], np.ndarray]:
    """``SentenceTransformer.encode`` as its documentation shows it."""
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(resolve(MODEL).location, device="cpu")

    def run(texts: list[str], batch: int) -> np.ndarray:
        torch.set_num_threads(THREADS)
        return model.encode(
            texts, batch_size=batch, normalize_embeddings=True, show_progress_bar=False
        )

    return run


def ours(precision: str) -> TextEncoder:
    """Our encoder; int8 is calibrated first where that was not done yet."""
    if precision == "int8":
        calibrated(MODEL)
    name = MODEL if precision == "float32" else f"{MODEL}@{precision}"
    return build_encoder(resolve(name), THREADS)


def multiplications(lengths: list[int]) -> float:
    """Floating-point operations (2 per multiply-add) of the layers for texts of these lengths."""
    per_token = 2 * (4 * WIDTH**2 + 2 * WIDTH * INNER)
    return LAYERS * sum(n * per_token + 4 * n * n * WIDTH for n in lengths)


def gemm_peak(precision: str) -> float:
    """Operations a second of the best matrix product this machine does in this precision."""
    import openvino.opset13 as ops

    from workbench.models.openvino_engine import load_openvino

    openvino = load_openvino()
    size = 1536
    parameter = ops.parameter([size, size], np.float32)
    weights = ops.constant(np.random.default_rng(0).standard_normal((size, size), np.float32))
    left = parameter
    if precision == "int8":
        bounds = [np.float32(bound) for bound in (-4, 4, -4, 4)]
        left = ops.fake_quantize(parameter, *bounds, 256)
        weights = ops.fake_quantize(weights, *bounds, 255)
    product = left
    for _ in range(4):
        product = ops.matmul(product, weights, transpose_a=False, transpose_b=False)
        if precision == "int8":
            product = ops.fake_quantize(product, *bounds, 256)
    model = openvino.Model([product], [parameter], "gemm")
    hint = "f32" if precision == "float32" else "bf16"
    options = {
        "INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": THREADS, "NUM_STREAMS": 1,
    }  # fmt: skip
    request = openvino.Core().compile_model(model, "CPU", options).create_infer_request()
    feed = {0: np.random.default_rng(1).standard_normal((size, size), np.float32)}
    times = []
    for _ in range(8):
        started = time.perf_counter()
        request.infer(feed)
        times.append(time.perf_counter() - started)
    return 4 * 2 * size**3 / min(times)


def main() -> None:
    texts = passages()
    reference = plain()
    encoders = {precision: ours(precision) for precision in PRECISIONS}
    ways: dict[str, Callable[[], np.ndarray]] = {
        f"SentenceTransformer, batch {BASELINE}": lambda: reference(texts, BASELINE)
    }
    for batch in OTHER_BATCHES:
        ways[f"SentenceTransformer, batch {batch}"] = lambda b=batch: reference(texts, b)
    for precision, encoder in encoders.items():
        ways[f"ours, {precision}"] = lambda e=encoder: e.encode(texts, "document")
    for encoder in encoders.values():  # kernels for these shapes are made once
        encoder.encode(texts[:64], "document")
    reference(texts[:64], BASELINE)
    rates: dict[str, list[float]] = {way: [] for way in ways}
    peaks: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    vectors: dict[str, np.ndarray] = {}
    for _ in range(REPEATS):
        for precision in PRECISIONS:
            peaks[precision].append(gemm_peak(precision))
        for way, run in ways.items():
            started = time.perf_counter()
            vectors[way] = run()
            rates[way].append(len(texts) / (time.perf_counter() - started))
            print(f"{way}: {rates[way][-1]:.1f} passages/s", flush=True)
    write("encoding", rows_of(texts, rates, peaks, vectors, encoders))


def rows_of(
    texts: list[str],
    rates: dict[str, list[float]],
    peaks: dict[str, list[float]],
    vectors: dict[str, np.ndarray],
    encoders: dict[str, TextEncoder],
) -> list[dict[str, object]]:
    """Rates against the baseline, against its best batch size, cosines, share of the peak."""
    medians = {way: statistics.median(found) for way, found in rates.items()}
    first = next(iter(medians))
    best = max(rate for way, rate in medians.items() if way.startswith("Sentence"))
    rows = [row(way, rate, "passages/s", medians[first]) for way, rate in medians.items()]
    limit = encoders["float32"].spec.max_tokens
    counts = encoders["float32"].count_tokens(texts, "document")
    work = multiplications([min(count, limit) for count in counts]) / len(texts)
    for precision in PRECISIONS:
        way = f"ours, {precision}"
        cosines = np.einsum("nd,nd->n", vectors[way], vectors[first])
        peak = statistics.median(peaks[precision])
        rows += [
            row(f"{way}, against the best batch", medians[way], "passages/s", best),
            row(f"{way}, mean cosine", float(cosines.mean()), ""),
            row(f"{way}, least cosine", float(cosines.min()), ""),
            row(f"{way}, of the GEMM peak", medians[way] * work / 1e9, "GFLOP/s", peak / 1e9),
        ]
    rows.append(row("texts cut at the limit", sum(c > limit for c in counts), f"of {len(texts)}"))
    return rows


if __name__ == "__main__":
    main()
