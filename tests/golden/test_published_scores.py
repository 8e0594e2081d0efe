"""Published scores, reproduced from the real sets through the whole of the workbench."""

import pytest

from workbench import Workbench
from workbench.config import Config

pytestmark = [pytest.mark.data, pytest.mark.models]

PUBLISHED = 0.64508
"""nDCG@10 of minilm-l6 on scifact in the MTEB results repository."""


@pytest.fixture
def bench(tmp_path, data_dir, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATA", str(data_dir))
    config = Config.load(home=tmp_path, env={"WORKBENCH_TRACKING": "false"})
    with Workbench.open(config) as bench:
        yield bench


def ndcg(result, model):
    (row,) = [row for row in result.to_dict()["rows"] if row["model"] == model]
    return row["measures"]["nDCG@10"]["value"]


@pytest.mark.slow
@pytest.mark.chroma
@pytest.mark.timeout(1800)  # 5,183 documents of 256 tokens: four minutes on two quiet cores
def test_scifact_is_reproduced_in_exact_search_and_through_chroma(bench):
    models = ("minilm-l6", "bm25")
    exact = bench.evaluate("scifact", models=models, chunking="whole", store="memory")
    assert ndcg(exact, "minilm-l6") == pytest.approx(PUBLISHED, abs=0.002)
    assert ndcg(exact, "bm25") == pytest.approx(0.68, abs=0.02)
    chroma = bench.evaluate("scifact", models=["minilm-l6"], chunking="whole", store="chroma")
    assert chroma.to_dict()["rows"][0]["encoder_calls"] == 0, "the vault has every vector"
    assert ndcg(chroma, "minilm-l6") == pytest.approx(PUBLISHED, abs=0.005)


@pytest.mark.parametrize(
    ("name", "published"),
    [("cranfield", 0.360), ("med", 0.699), ("adi", 0.483), ("cacm", 0.499), ("xquad-r/en", 0.841)],
)
def test_bm25_agrees_with_the_reference_on_every_set(bench, name, published):
    result = bench.evaluate(name, models=["bm25"], chunking="whole", store="memory")
    assert ndcg(result, "bm25") == pytest.approx(published, abs=0.005)


def test_unjudged_queries_are_reported_and_not_scored(bench):
    result = bench.evaluate("cacm", models=["bm25"], chunking="whole", store="memory").to_dict()
    assert (result["queries"], result["unjudged"]) == (52, 12)
