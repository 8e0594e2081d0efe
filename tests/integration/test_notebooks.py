"""Every notebook is committed clean and runs from its first cell to its last."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

CHECKOUT = Path(__file__).parent.parent.parent
NOTEBOOKS = sorted((CHECKOUT / "notebooks").glob("*.ipynb"))
CELL_S = 300


def read(path):
    return nbformat.read(path, as_version=4)


def named(paths):
    return [pytest.param(path, id=path.stem) for path in paths]


def test_there_are_notebooks():
    assert "01_evaluate" in [path.stem for path in NOTEBOOKS]


@pytest.mark.parametrize("path", named(NOTEBOOKS))
def test_it_is_committed_without_outputs_and_with_a_kernel(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None), (
                "clear all outputs, then save"
            )
    assert notebook.cells[0].cell_type == "markdown", "a notebook says first what it shows"


@pytest.fixture
def executed(tmp_path, monkeypatch):
    """Run a notebook on a new home and only on what ships; gives its cells by id."""
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))

    def run(stem):
        notebook = read(CHECKOUT / "notebooks" / f"{stem}.ipynb")
        where = {"metadata": {"path": str(tmp_path)}}
        client = NotebookClient(notebook, timeout=CELL_S, kernel_name="python3", resources=where)
        client.execute(env=dict(os.environ))
        return {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}

    return run


def data(cell, kind):
    return [o.data[kind] for o in cell.outputs if "data" in o and kind in o.data]


def printed(cell):
    return "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout")


@pytest.mark.slow
@pytest.mark.models
@pytest.mark.mlflow
def test_the_evaluate_notebook_shows_a_panel_a_frame_and_verdicts(executed):
    cells = executed("01_evaluate")
    assert data(cells["panel"], "application/vnd.jupyter.widget-view+json")
    assert "python-docs" in printed(cells["evaluate"])
    (frame,) = data(cells["evaluate"], "text/html")
    assert "wordllama" in frame
    assert "nDCG@10" in frame
    assert "nDCG@10" in printed(cells["compare"])
    assert data(cells["compare"], "text/html")
    noise = [o.text for c in cells.values() for o in c.outputs if o.get("name") == "stderr"]
    assert noise == []
