"""What the demo prints, on sets small enough for every run of the tests."""

import pytest

from workbench import Workbench
from workbench.config import Config
from workbench.demo import DemoResult, Measured

pytestmark = [pytest.mark.models, pytest.mark.mlflow]


def test_the_tables_of_the_demo_hold_every_system_and_say_what_was_encoded(tmp_path):
    with Workbench.open(Config.load(home=tmp_path / "home", env={})) as bench:
        evaluation, comparison = bench.compare(
            "handbook-later", baseline="wordllama", candidates=["bm25"], store="memory"
        )
    measured = Measured("the later batch", evaluation, comparison)
    result = DemoResult((measured,), 1.0, str(tmp_path))
    assert [row["system"] for row in result.rows()] == ["wordllama", "bm25"]
    assert result.rows()[0]["verdict"] == "baseline"
    (work,) = measured.work()
    assert work["model"] == "wordllama"
    assert work["encoder calls"] > 0
    text = str(result)
    assert f"{work['encoder calls']} encoder calls for documents" in text
    assert f"--home {tmp_path} init FOLDER" in text
    assert set(result.to_dict()["sets"]) == {"handbook-later"}
