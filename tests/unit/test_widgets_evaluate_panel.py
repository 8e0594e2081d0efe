import subprocess
import sys
import threading

import pytest

from workbench.config import Config
from workbench.errors import UnknownName
from workbench.state.home import Home
from workbench.widgets import evaluate_panel, job
from workbench.widgets.evaluate_panel import FOLDER

WAIT_S = 120
PNG = b"\x89PNG\r\n\x1a\n"

pytestmark = [pytest.mark.models, pytest.mark.mlflow]


@pytest.fixture
def config(tmp_path, data_dir, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATA", str(data_dir))
    facts = {"home": tmp_path / "home", "index": {"batch_texts": 8}}
    return Config.model_validate(facts)


@pytest.fixture
def panel(config):
    made = evaluate_panel(config)
    made.eval_set.value = "adi"
    made.models.value = ("wordllama", "bm25")
    return made


def run(panel):
    panel.run_button.click()
    assert panel.wait(WAIT_S)
    assert not panel.running


def assert_home_is_free(config):
    home = Home(config.home)
    home.lock()
    home.unlock()


def test_run_shows_table_picture_verdicts_commands_and_where_the_run_is(panel, config):
    run(panel)
    assert panel.message.value.count("error") == 0, panel.message.value
    assert "adi: 35 queries" in panel.table.value
    for system in panel.result.systems:
        assert system.model in panel.table.value
        assert str(system.measures["nDCG@10"]).split(" [")[1] in panel.table.value
    assert bytes(panel.picture.value).startswith(PNG)
    assert panel.picture.layout.display != "none"
    first = panel.comparison.tests[0]
    assert (first.baseline, first.candidate) == ("wordllama", "bm25")
    assert first.sentence in panel.verdicts.value.replace("&#x27;", "'")
    assert "workbench evaluate adi --model wordllama --model bm25" in panel.commands.value
    assert "workbench compare adi --baseline wordllama" in panel.commands.value
    assert panel.result.mlflow_run_id in panel.tracked.value
    assert "done" in panel.status.value
    assert (panel.run_button.disabled, panel.cancel_button.disabled) == (False, True)
    assert_home_is_free(config)


def test_one_system_alone_has_no_comparison(panel):
    panel.models.value = ("bm25",)
    run(panel)
    assert (panel.comparison, panel.verdicts.value) == (None, "")
    assert "workbench compare" not in panel.commands.value
    assert bytes(panel.picture.value).startswith(PNG)


def test_cancel_keeps_what_was_encoded_and_the_next_run_goes_on(panel, config, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.setattr(job, "SECONDS_BETWEEN_UPDATES", 0)

    def cancel_after_two_batches(change):
        if "encode: 2," in change["new"]:
            panel.cancel_button.click()

    panel.status.observe(cancel_after_two_batches, names="value")
    run(panel)
    assert "cancelled" in panel.status.value
    assert (panel.result, panel.table.value, panel.message.value) == (None, "", "")
    assert (panel.run_button.disabled, panel.cancel_button.disabled) == (False, True)
    assert_home_is_free(config)
    panel.status.unobserve(cancel_after_two_batches, names="value")

    run(panel)
    facts = panel.result.systems[0].facts
    kept = 3 * 8  # the batch that was under way when Cancel was pressed is the third one
    assert facts["chunks"] > kept
    assert facts["cache_hits"] == kept
    assert facts["encoder_calls"] == -(-(facts["chunks"] - kept) // 8)
    client = MlflowClient(tracking_uri=f"sqlite:///{config.home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("workbench")
    found = client.search_runs([experiment.experiment_id])
    states = sorted(one.info.status for one in found if "adi" in one.info.run_name)
    assert states == ["FINISHED", "KILLED"]


def test_cancel_stops_reranking_between_queries(panel, monkeypatch):
    monkeypatch.setattr(job, "SECONDS_BETWEEN_UPDATES", 0)
    seen = []

    def cancel_at_once(change):
        seen.append(change["new"])
        if "rerank: 1," in change["new"]:
            panel.cancel_button.click()

    panel.status.observe(cancel_at_once, names="value")
    panel.models.value = ("bm25",)
    panel.reranker.value = "ms-marco-l12"
    run(panel)
    assert "cancelled" in panel.status.value
    assert not any("rerank: 2," in text for text in seen)


def test_a_second_click_on_run_while_running_does_nothing(panel, monkeypatch):
    gate, opened = threading.Event(), []
    real = panel._evaluate

    def held(choice, tell):
        opened.append(choice)
        gate.wait(WAIT_S)
        real(choice, tell)

    monkeypatch.setattr(panel, "_evaluate", held)
    panel.run_button.click()
    assert panel.running
    assert (panel.run_button.disabled, panel.cancel_button.disabled) == (True, False)
    panel.run_button.click()
    gate.set()
    assert panel.wait(WAIT_S)
    assert len(opened) == 1


def test_cancel_without_a_run_does_nothing(panel):
    before = panel.status.value
    panel.cancel_button.click()
    assert panel.status.value == before


def test_no_model_is_a_message_and_nothing_runs(panel, config):
    panel.models.value = ()
    panel.run_button.click()
    assert not panel.running
    assert "no model is chosen" in panel.message.value
    assert not (config.home / "mlflow.db").exists()


def test_an_unknown_set_is_an_escaped_message_and_the_next_run_works(panel, config):
    panel.eval_set.value = FOLDER
    panel.folder.value = "<script>alert(1)</script>"
    run(panel)
    assert "UnknownName" in panel.message.value
    assert "<script" not in panel.message.value
    assert "&lt;script&gt;" in panel.message.value
    assert "failed" in panel.status.value
    assert_home_is_free(config)
    panel.eval_set.value = "adi"
    run(panel)
    assert panel.result.eval_set == "adi"
    assert "UnknownName" not in panel.message.value


def test_a_failed_run_does_not_show_the_results_of_the_one_before(panel):
    run(panel)
    panel.eval_set.value = FOLDER
    panel.folder.value = "/nowhere"
    run(panel)
    assert (panel.table.value, panel.commands.value, panel.tracked.value) == ("", "", "")
    assert panel.picture.layout.display == "none"


def test_a_folder_can_be_typed_whatever_it_is_called(panel, data_dir, tmp_path):
    mine = tmp_path / "<img src=x onerror=alert(1)>"
    mine.mkdir()
    for path in (data_dir / "adi").iterdir():
        (mine / path.name).symlink_to(path)
    panel.eval_set.value = FOLDER
    assert panel.folder.layout.display != "none"
    panel.folder.value = str(mine)
    run(panel)
    assert panel.result is not None, panel.message.value
    assert "<img src=x" not in panel.table.value + panel.commands.value + panel.tracked.value
    assert "&lt;img src=x" in panel.table.value


def test_the_catalogue_is_offered_and_the_unusable_are_listed_with_why(panel):
    assert {"wordllama", "bm25"} <= set(panel.models.options)
    assert "ms-marco-l12" not in panel.models.options
    assert "ms-marco-l12" in panel.reranker.options
    if "mpnet-base" not in panel.models.options:
        assert "<b>mpnet-base</b>" in panel._unusable
        assert "not installed" in panel._unusable


def test_a_configured_chunking_that_does_not_exist_is_named(config):
    with pytest.raises(UnknownName, match="257"):
        evaluate_panel(config.model_copy(update={"chunking": "257"}))


def test_importing_the_package_and_the_session_does_not_import_widgets():
    probe = "import sys, workbench, workbench.session, workbench.cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True)
    assert "ipywidgets" not in done.stdout.split()
