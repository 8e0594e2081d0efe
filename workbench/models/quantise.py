"""int8 models: calibrated once, named by the digest of what came out, sent wherever they run.

Post-training quantisation by NNCF: transformer patterns, activations of the calibration texts
(SmoothQuant), symmetric weights and asymmetric activations ("mixed").
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.errors import ModelError
from workbench.models.artifact import artifact_folder, point_at
from workbench.models.convert import GRAPH, REFERENCE, read_reference
from workbench.models.engines import check, converted
from workbench.models.files import sha256_of, verified
from workbench.models.model_cache import publish, read_cached, seal
from workbench.models.openvino_engine import OpenVinoEncoder, feed_of, load_openvino
from workbench.models.places import ARTIFACT_FILES, TOKENIZER
from workbench.models.tokens import load_tokenizer
from workbench.results import Result
from workbench.spec import EmbeddingSpec

CALIBRATION_TEXTS = 200
_SMOOTHING = 0.7
"""SmoothQuant alpha of matrix products; measured: 0.95, NNCF's own, costs .0003 of mean cosine."""
_FEW_WORDS = 8


@dataclass(frozen=True, slots=True)
class QuantizeResult(Result):
    """An int8 model that was made.

    Attributes:
        model: Its name from now on.
        digest: SHA-256 of the artifact; part of its fingerprint.
        texts: Calibration texts used.
        cosine_mean: Mean cosine of the canaries to the float32 reference.
        cosine_min: Least such cosine.
    """

    model: str
    fingerprint: str
    digest: str
    texts: int
    cosine_mean: float
    cosine_min: float
    megabytes: float
    location: str


def quantise(spec: EmbeddingSpec, texts: Sequence[str], threads: int = 1) -> QuantizeResult:
    """Make the int8 artifact of a float32 spec and remember it as the model's ``@int8``.

    Args:
        spec: Float32, of a sentence-transformers model with mean or CLS pooling.
        texts: To calibrate with: like those to be encoded; the first ``CALIBRATION_TEXTS`` count.
        threads: CPU threads.

    Raises:
        ModelError: OpenVINO or nncf is missing, the model can not be converted, there are no
            texts, or the result is too far from float32 (says how far); nothing is kept then.
    """
    used = calibration_mix(texts)
    if not used:
        raise ModelError("there is no text to calibrate with; expected some hundred")
    load_openvino()
    files = verified(spec)
    graph = converted(spec, files, threads)
    if graph is None:
        raise ModelError(f"model {spec.model!r} can not be quantised without its OpenVINO graph")
    root = artifact_folder("x").parent
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".making-") as name:
        fresh = Path(name) / "model"
        fresh.mkdir()
        _write(graph.folder, files.tokenizer, fresh, _calibrated(spec, graph.folder, files, used))
        digest = sha256_of([fresh / file for file in ARTIFACT_FILES])
        made = replace(
            spec, model=f"{spec.model}@int8", precision="int8", digest=digest, location=str(fresh)
        )
        result = _checked(made, fresh, len(used), threads)
        seal(fresh, {"weights": spec.digest, "pooling": spec.pooling, "texts": len(used)})
        if read_cached(artifact_folder(digest)) is None:
            publish(fresh, artifact_folder(digest))
    point_at(spec, digest)
    return replace(result, location=str(artifact_folder(digest)))


def calibration_mix(texts: Sequence[str]) -> list[str]:
    """Up to ``CALIBRATION_TEXTS`` of ``texts``: every other one whole, the rest cut short.

    Queries are short and documents long: calibrated with long texts alone, a model is at its
    worst (cosine .977) on a single word.
    """
    used = [text for text in texts if text.strip()][:CALIBRATION_TEXTS]
    for place in range(1, len(used), 4):
        used[place] = used[place].partition(". ")[0]
    for place in range(3, len(used), 4):
        used[place] = " ".join(used[place].split()[:_FEW_WORDS])
    return used


def _calibrated(spec: EmbeddingSpec, graph: Path, files: Any, texts: Sequence[str]) -> Any:
    openvino = load_openvino()
    try:
        import nncf
    except ImportError as error:
        raise ModelError(
            f"nncf, which calibrates, can not be imported ({error}). Run "
            "`pip install embedding-workbench[openvino]`."
        ) from error
    tokenizer = load_tokenizer(files.tokenizer)
    if spec.max_tokens:
        tokenizer.enable_truncation(spec.max_tokens)
    model = openvino.Core().read_model(graph / GRAPH)
    inputs = [port.get_any_name() for port in model.inputs]
    # Its progress bars belong on stderr: stdout is for results.
    with redirect_stdout(sys.stderr):
        return nncf.quantize(
            model,
            nncf.Dataset(list(texts), lambda text: feed_of([tokenizer.encode(text)], inputs)),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(texts),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(matmul=_SMOOTHING)
            ),
        )


def _write(graph: Path, tokenizer: Path, folder: Path, model: Any) -> None:
    load_openvino().save_model(model, folder / GRAPH, compress_to_fp16=False)
    shutil.copyfile(graph / REFERENCE, folder / REFERENCE)
    shutil.copyfile(tokenizer, folder / TOKENIZER)


def _checked(spec: EmbeddingSpec, folder: Path, texts: int, threads: int) -> QuantizeResult:
    encoder = OpenVinoEncoder(spec, folder / GRAPH, folder / TOKENIZER, threads)
    found = check(encoder, read_reference(folder))
    if not found.reaches("int8"):
        raise ModelError(
            f"model {spec.model!r} was not kept: {found.describe('int8')}. Calibrate with texts "
            "like yours (--calibrate SOURCE), or use bfloat16."
        )
    size = sum((folder / file).stat().st_size for file in ARTIFACT_FILES)
    return QuantizeResult(
        spec.model, spec.fingerprint, spec.digest, texts, found.mean, found.least, size / 1e6, ""
    )
