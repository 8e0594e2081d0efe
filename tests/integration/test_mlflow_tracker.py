"""A whole evaluation in a real MLflow database: tree of runs, metrics, tables, aliases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import ConfigError, EvaluationError, ServiceError, UnknownName
from workbench.evaluate.compare import compare, promote
from workbench.evaluate.eval_set import EvalSet
from workbench.evaluate.evaluate import EvaluateResult, System, evaluate_systems
from workbench.evaluate.systems import registry_name
from workbench.plots import recall_curves, to_png
from workbench.protocols import Tracker
from workbench.records import Hit, Query, Run, Scalar
from workbench.spec import EmbeddingSpec
from workbench.track import NullTracker, make_tracker
from workbench.track.mlflow_tracker import MlflowTracker

pytestmark = pytest.mark.mlflow
QUERIES = 30
PNG = b"\x89PNG\r\n\x1a\n"


class Found:
    """A retriever that finds the answer of the first ``known`` queries."""

    def __init__(self, known: int) -> None:
        self.known = known

    def search(
        self, queries: Sequence[Query], k: int, where: Mapping[str, Scalar] | None = None
    ) -> Run:
        assert where is None
        return {
            query.query_id: [Hit(f"d{i}-0", f"d{i}", 0, 1, 1.0)][:k] if i < self.known else []
            for i, query in enumerate(queries)
        }


class Broken(Found):
    """A retriever that fails."""

    def search(
        self, queries: Sequence[Query], k: int, where: Mapping[str, Scalar] | None = None
    ) -> Run:
        raise ServiceError(f"no answer to {len(queries)} queries ({k}, {where})")


def system(model: str, retriever: Found) -> System:
    spec = EmbeddingSpec("static", model, "0" * 64, 8, "mean", normalize=True, max_tokens=0)
    facts = {"encoder_calls": 7}
    return System(model, spec.fingerprint, "whole", None, retriever, spec, facts)


def run_all(tracker: Tracker, *systems: System) -> EvaluateResult:
    queries = tuple(Query(f"q{i}", f"Frage {i} é") for i in range(QUERIES))
    qrels = {query.query_id: {f"d{i}": 1, "other": 0} for i, query in enumerate(queries)}
    eval_set = EvalSet("set/en", (), queries, qrels, (), "f" * 64, 31)  # type: ignore[arg-type]
    return evaluate_systems(
        eval_set, systems, depth=20, resamples=500, seed=1, confidence=0.95, tracker=tracker,
        figure=lambda result: to_png(recall_curves(result)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home with space")


@pytest.fixture(scope="module")
def tracker(folder: Path) -> Iterator[MlflowTracker]:
    before, elsewhere = Path.cwd(), folder / "working directory"
    elsewhere.mkdir()
    os.chdir(elsewhere)
    yield MlflowTracker(f"sqlite:///{folder / 'mlflow.db'}", folder / "mlartifacts")
    os.chdir(before)


@pytest.fixture(scope="module")
def result(tracker: MlflowTracker) -> EvaluateResult:
    return run_all(tracker, system("a", Found(10)), system("b", Found(25)))


def artifact(tracker: MlflowTracker, run_id: str | None, name: str) -> bytes:
    return Path(tracker.client.download_artifacts(run_id, name)).read_bytes()


def test_an_evaluation_is_a_finished_run_with_one_nested_run_per_system(
    tracker: MlflowTracker, result: EvaluateResult
) -> None:
    parent = tracker.client.get_run(result.mlflow_run_id)
    assert (parent.info.run_name, parent.info.status) == ("set/en", "FINISHED")
    children = tracker.client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    )
    ids = {system.key: system.mlflow_run_id for system in result.systems}
    assert {child.info.run_name: child.info.run_id for child in children} == ids
    assert tracker.client.get_experiment(parent.info.experiment_id).name == "workbench"


def test_a_system_run_holds_params_metrics_with_intervals_and_the_data_set(
    tracker: MlflowTracker, result: EvaluateResult
) -> None:
    found = result.systems[0]
    run = tracker.client.get_run(found.mlflow_run_id)
    assert run.data.params["fingerprint"] == found.fingerprint
    assert run.data.params["spec.dimension"] == "8"
    measured = found.measures["nDCG@10"]
    metrics = run.data.metrics
    logged = tuple(metrics[f"nDCG_at_10{end}"] for end in ("", "_low", "_high"))
    assert logged == (measured.value, measured.low, measured.high)
    assert metrics["encoder_calls"] == 7
    data = run.inputs.dataset_inputs[0].dataset
    assert (data.name, data.digest) == ("set/en", "f" * 36)
    assert json.loads(data.source)["digest"] == "f" * 64


def test_recall_is_a_line_over_k(tracker: MlflowTracker, result: EvaluateResult) -> None:
    found = result.systems[1]
    points = tracker.client.get_metric_history(found.mlflow_run_id, "recall_at_k")
    line = {point.step: point.value for point in points}
    assert line == {k: interval.value for k, interval in found.recall_at.items()}
    assert list(line) == [1, 2, 3, 5, 10, 20]


def test_per_query_tables_have_the_same_columns_and_mlflow_reads_them(
    tracker: MlflowTracker, result: EvaluateResult
) -> None:
    ids = [system.mlflow_run_id for system in result.systems]
    tables = [json.loads(artifact(tracker, run_id, "per_query.json")) for run_id in ids]
    assert tables[0]["columns"] == tables[1]["columns"]
    assert {len(table["data"]) for table in tables} == {QUERIES}
    experiment = tracker.client.get_run(ids[0]).info.experiment_id
    # How MLflow's own evaluation view finds runs with a table, and how it reads one.
    tag = json.dumps({"path": "per_query.json", "type": "table"})
    found = tracker.client.search_runs([experiment], f"tags.mlflow.loggedArtifacts LIKE '%{tag}%'")
    assert {run.info.run_id for run in found} >= set(ids)
    file = tracker.client.download_artifacts(ids[0], "per_query.json")
    frame = tracker.client._read_from_file(file)
    assert len(frame) == QUERIES
    row = frame.iloc[0]
    shown = (row["query_id"], row["query"], row["nDCG@10"], row["n_relevant"], row["top_documents"])
    assert shown == ("q0", "Frage 0 é", 1.0, 1, "d0")


def test_one_figure_is_kept_with_the_evaluation(
    tracker: MlflowTracker, result: EvaluateResult
) -> None:
    assert artifact(tracker, result.mlflow_run_id, "recall.png").startswith(PNG)


def test_versions_are_weightless_and_made_once_per_fingerprint(
    tracker: MlflowTracker, result: EvaluateResult
) -> None:
    run_all(tracker, system("a", Found(3)))
    versions = tracker.client.search_model_versions(f"name='{registry_name('set/en')}'")
    prints = sorted(version.tags["fingerprint"] for version in versions)
    assert prints == sorted(system.fingerprint for system in result.systems)
    first = next(v for v in versions if v.tags["model"] == "a")
    assert (first.tags["dimension"], first.run_id) == ("8", result.systems[0].mlflow_run_id)
    spec = EmbeddingSpec.from_dict(json.loads(artifact(tracker, first.run_id, "spec/spec.json")))
    assert spec.fingerprint == first.tags["fingerprint"]


def test_aliases_move_as_they_do_without_tracking(
    tracker: MlflowTracker, result: EvaluateResult
) -> None:
    plain = NullTracker()
    untracked = run_all(plain, system("a", Found(10)), system("b", Found(25)))
    pairs: list[tuple[Tracker, EvaluateResult]] = [(tracker, result), (plain, untracked)]
    moved = [promote(t, r, compare(r, "a", resamples=500, seed=1)) for t, r in pairs]
    assert moved[0] == moved[1]
    assert moved[0].champion == result.systems[1].fingerprint
    for alias in ("champion", "previous", "nobody"):
        name = registry_name("set/en")
        assert tracker.alias(name, alias) == plain.alias(name, alias)
    for one in (tracker, plain):
        assert one.alias("embeddings-none", "champion") is None
        with pytest.raises(UnknownName, match="version of"):
            one.set_alias(registry_name("set/en"), "champion", "0000")
        with pytest.raises(UnknownName, match="version of"):
            one.set_alias("embeddings-none", "champion", "0000")


def test_both_trackers_refuse_the_same_input(tracker: MlflowTracker) -> None:
    trackers: list[Any] = [tracker, NullTracker()]
    for one in trackers:
        with one.run("refusals", "r") as run:
            with pytest.raises(EvaluationError, match="'bad' is nan"):
                run.log_metrics({"bad": float("nan")})
            with pytest.raises(EvaluationError, match="keys"):
                run.log_table("t.json", [{"a": 1}, {"b": 1}])
            with pytest.raises(EvaluationError, match="ending in"):
                run.log_table("t.csv", [{"a": 1}])
            with pytest.raises(EvaluationError, match="no rows"):
                run.log_table("t.json", [])
        assert one.url(run) == ""


def test_a_system_that_fails_leaves_failed_runs(
    tracker: MlflowTracker, result: EvaluateResult
) -> None:
    with pytest.raises(ServiceError, match="no answer"):
        run_all(tracker, system("broken", Broken(0)))
    experiment = tracker.client.get_run(result.mlflow_run_id).info.experiment_id
    failed = tracker.client.search_runs([experiment], "attributes.status = 'FAILED'")
    assert {run.info.run_name for run in failed} == {"broken", "set/en"}


def test_an_interrupted_run_is_killed(tracker: MlflowTracker) -> None:
    with pytest.raises(KeyboardInterrupt), tracker.run("interrupts", "r") as run:
        raise KeyboardInterrupt
    assert tracker.client.get_run(run.run_id).info.status == "KILLED"


def test_a_deleted_experiment_comes_back_when_it_is_used_again(tracker: MlflowTracker) -> None:
    with tracker.run("gone", "first") as run:
        pass
    tracker.client.delete_experiment(tracker.client.get_run(run.run_id).info.experiment_id)
    with tracker.run("gone", "second") as run:
        run.log_params({"a": 1})
    assert tracker.client.get_run(run.run_id).data.params == {"a": "1"}


def test_runs_made_through_a_server_keep_their_files_without_it(
    tracker: MlflowTracker, folder: Path
) -> None:
    made = tracker.client.create_experiment("served", artifact_location="mlflow-artifacts:/9")
    with tracker.run("served", "r") as run:
        run.log_figure("x.png", PNG)
    assert tracker.client.get_run(run.run_id).info.experiment_id == made
    assert (folder / "mlartifacts" / "9" / run.run_id / "artifacts" / "x.png").read_bytes() == PNG


def test_nothing_is_written_beside_the_home_and_global_state_is_untouched(
    tracker: MlflowTracker, result: EvaluateResult, folder: Path
) -> None:
    assert result.mlflow_run_id
    kept = {"mlflow.db", "mlflow.db.lock", "mlartifacts", "working directory"}
    assert {path.name for path in folder.iterdir()} == kept
    assert list(Path.cwd().iterdir()) == []
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert tracker.client.tracking_uri.endswith("mlflow.db")


@pytest.mark.slow
def test_a_fresh_database_is_made_by_many_processes_at_once_and_in_silence(tmp_path: Path) -> None:
    code = (
        "import sys; from workbench.track import make_tracker\n"
        "with make_tracker(sys.argv[1]).run('e', 'r') as run: print(run.run_id)"
    )
    command = [sys.executable, "-c", code, f"sqlite:///{tmp_path / 'mlflow.db'}"]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ended = [process.communicate(timeout=240) for process in started]
    assert [process.returncode for process in started] == [0, 0], ended
    assert len({out for out, _ in ended}) == 2
    assert [err for _, err in ended] == ["", ""]


def test_addresses_that_can_not_work_are_refused_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="four slashes"):
        make_tracker("sqlite:///mlflow.db")
    with pytest.raises(ConfigError, match="unknown kind"):
        make_tracker(str(tmp_path))
    with pytest.raises(ServiceError, match="workbench status"):
        make_tracker("http://127.0.0.1:9").run("e", "r").__enter__()
