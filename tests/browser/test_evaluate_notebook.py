"""The first notebook as a person sees it: JupyterLab in a browser."""

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.slow, pytest.mark.models, pytest.mark.mlflow]

LOAD_MS = 60_000
RUN_MS = 120_000
KERNEL_READY = """() => {
    const context = window.jupyterapp.shell.currentWidget?.sessionContext;
    const kernel = context?.session?.kernel;
    return context?.isReady && kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
}"""
WIDTHS = """panel => [...panel.querySelectorAll('.wb, table, button, select, img')]
    .filter(e => e.offsetParent && e.getBoundingClientRect().right
                 > panel.getBoundingClientRect().right + 1)
    .map(e => e.className + ' ' + e.tagName)"""


@pytest.fixture
def panel(page, lab):
    """The panel of the notebook, after all cells have run."""
    page.goto(lab.page_of("01_evaluate.ipynb"))
    page.wait_for_function("window.jupyterapp !== undefined", timeout=LOAD_MS)
    expect(page.locator(".jp-Notebook .jp-CodeCell").first).to_be_visible(timeout=LOAD_MS)
    expect(page.locator(".jp-Dialog")).to_have_count(0)
    page.wait_for_function(KERNEL_READY, timeout=LOAD_MS)
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=LOAD_MS)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    found = page.locator(".workbench-panel")
    expect(found).to_be_visible(timeout=RUN_MS)
    last = page.locator(".jp-CodeCell").last.locator(".jp-RenderedHTML table")
    expect(last).to_be_visible(timeout=RUN_MS)
    return found


def test_run_shows_the_table_and_the_picture(panel, page, tmp_path):
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    run, cancel = (
        panel.get_by_role("button", name="Run"),
        panel.get_by_role("button", name="Cancel"),
    )
    expect(cancel).to_be_disabled()
    run.click()
    expect(cancel).to_be_enabled()
    expect(panel.get_by_text("✓ done")).to_be_visible(timeout=RUN_MS)
    expect(panel.get_by_role("columnheader", name="nDCG@10")).to_be_visible()
    expect(panel.get_by_role("cell", name="wordllama").first).to_be_visible()
    expect(panel.get_by_role("cell", name="bm25").first).to_be_visible()
    picture = panel.locator("img")
    expect(picture).to_be_visible()
    assert picture.evaluate("img => img.complete && img.naturalWidth") > 500
    expect(panel.get_by_text("workbench compare")).to_be_visible()
    expect(panel.get_by_text("Recorded in MLflow")).to_be_visible()
    expect(run).to_be_enabled()
    page.screenshot(path=tmp_path / "evaluate.png")
    assert panel.evaluate(WIDTHS) == []
    assert errors == []


def test_cancel_ends_a_long_run_and_the_next_one_works(panel, tmp_path, page):
    models = panel.locator("select[multiple]")
    models.select_option(["minilm-l6"])
    run, cancel = (
        panel.get_by_role("button", name="Run"),
        panel.get_by_role("button", name="Cancel"),
    )
    run.click()
    expect(panel.get_by_text("encode: ")).to_be_visible(timeout=RUN_MS)
    page.screenshot(path=tmp_path / "running.png")
    cancel.click()
    expect(panel.get_by_text("■ cancelled")).to_be_visible(timeout=RUN_MS)
    models.select_option(["bm25"])
    run.click()
    expect(panel.get_by_text("✓ done")).to_be_visible(timeout=RUN_MS)
    expect(panel.get_by_role("cell", name="bm25").first).to_be_visible()
