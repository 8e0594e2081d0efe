"""The Evaluate panel: choose models and a set, run, read the table, the picture, the verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets

from workbench.errors import ConfigError, UnknownName
from workbench.session import Workbench
from workbench.widgets import markup
from workbench.widgets.choice import Choice, eval_set_of
from workbench.widgets.job import Cancelled, Job, Progress, Tell

if TYPE_CHECKING:
    from workbench.config import Config
    from workbench.evaluate.compare import CompareResult
    from workbench.evaluate.systems import EvaluateResult

FOLDER = "another folder …"
NO_RERANKER = "none"
PREFERRED_SETS = ("handbook", "python-docs")
PREFERRED_MODELS = ("wordllama", "bm25")
"""What is chosen at first: done in seconds."""

FIELD = {"description_width": "110px"}
IDLE = "Choose, then press Run. The first chosen model is what the others are compared with."


def evaluate_panel(
    config: Config | Path | str | None = None, *, home: Path | str | None = None
) -> EvaluatePanel:
    """An Evaluate panel; show its ``widget``.

    Args:
        config: As in ``Workbench.open``: an object, a YAML file, or the defaults.
        home: The directory that holds everything; wins over the configuration.

    Raises:
        ConfigError: The configuration is not usable.
    """
    return EvaluatePanel(config, home=home)


class EvaluatePanel:
    """The state of the panel and the widgets that show it. Works without a kernel.

    A session is open only while an evaluation runs, in a thread of its own.

    Attributes:
        widget: The whole panel, to be displayed.
        models: Chosen models; the first one is the baseline of the comparison.
        eval_set: Chosen set; ``FOLDER`` means the one typed into ``folder``.
        chunking: Chosen preset.
        reranker: Chosen reranker, or ``NO_RERANKER``.
        result: The last evaluation that ended well; None before.
        comparison: Its comparison; None for a single system.
    """

    def __init__(
        self, config: Config | Path | str | None = None, *, home: Path | str | None = None
    ) -> None:
        """See ``evaluate_panel``."""
        with Workbench.open(config, home=home) as bench:
            self._config = bench.config
            known, sets, chunkings = bench.models.models, bench.eval_sets, bench.chunkings
        self._file = Path(config).absolute() if isinstance(config, str | Path) else None
        self.result: EvaluateResult | None = None
        self.comparison: CompareResult | None = None
        self._job = Job(self._show_progress, self._ended)
        searchers = [m.name for m in known if m.usable and m.kind != "reranker"]
        rerankers = [m.name for m in known if m.usable and m.kind == "reranker"]
        self.models = ipywidgets.SelectMultiple(
            options=searchers,
            value=[name for name in PREFERRED_MODELS if name in searchers],
            rows=max(5, len(searchers)), description="Models", style=FIELD,
            layout=ipywidgets.Layout(width="340px"),
        )  # fmt: skip
        first = next((name for name in PREFERRED_SETS if name in sets), sets[0])
        self.eval_set = _dropdown("Evaluation set", [*sets, FOLDER], first)
        self.folder = ipywidgets.Text(
            placeholder="folder in BEIR layout", description="Folder", style=FIELD,
            layout=ipywidgets.Layout(width="440px"), continuous_update=False,
        )  # fmt: skip
        self.chunking = _dropdown("Chunking", chunkings, self._config.chunking)
        self.reranker = _dropdown("Also rerank with", [NO_RERANKER, *rerankers], NO_RERANKER)
        self._unusable = markup.unusable([m for m in known if not m.usable])
        self._make_outputs()
        self.widget = self._laid_out()
        self.eval_set.observe(lambda _change: self._show_folder(), names="value")
        self._show_folder()

    def _make_outputs(self) -> None:
        self.run_button = ipywidgets.Button(description="Run", icon="play", button_style="primary")
        self.cancel_button = ipywidgets.Button(description="Cancel", icon="stop", disabled=True)
        self.run_button.on_click(lambda _button: self._run())
        self.cancel_button.on_click(lambda _button: self._cancel())
        self.bar = ipywidgets.IntProgress(
            layout=ipywidgets.Layout(width="220px"), style={"bar_color": markup.BLUE}
        )
        self.status = ipywidgets.HTML(markup.note(IDLE))
        self.message = ipywidgets.HTML()
        self.table = ipywidgets.HTML()
        self.verdicts = ipywidgets.HTML()
        self.commands = ipywidgets.HTML()
        self.tracked = ipywidgets.HTML()
        self.picture = ipywidgets.Image(
            format="png", layout=ipywidgets.Layout(width="100%", max_width="760px", display="none")
        )

    def _laid_out(self) -> ipywidgets.VBox:
        gap = ipywidgets.Layout(grid_gap="16px", flex_flow="row wrap", align_items="flex-start")
        line = ipywidgets.Layout(grid_gap="8px", align_items="center", margin="6px 0")
        choices = ipywidgets.VBox([self.eval_set, self.folder, self.chunking, self.reranker])
        panel = ipywidgets.VBox(
            [
                ipywidgets.HTML(markup.STYLE),
                ipywidgets.HBox([self.models, choices], layout=gap),
                ipywidgets.HTML(self._unusable),
                ipywidgets.HBox(
                    [self.run_button, self.cancel_button, self.bar, self.status], layout=line
                ),
                self.message, self.table, self.picture, self.verdicts, self.commands, self.tracked,
            ]
        )  # fmt: skip
        panel.add_class("workbench-panel")
        return panel

    @property
    def running(self) -> bool:
        """Whether an evaluation is under way."""
        return self._job.running

    def choice(self) -> Choice:
        """What is chosen now."""
        typed = self.eval_set.value == FOLDER
        return Choice(
            eval_set=eval_set_of(self.folder.value) if typed else self.eval_set.value,
            models=tuple(self.models.value),
            chunking=self.chunking.value,
            reranker=None if self.reranker.value == NO_RERANKER else self.reranker.value,
        )

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to ``timeout`` seconds for the evaluation; whether it has ended."""
        return self._job.wait(timeout)

    def _run(self) -> None:
        if self.running:
            return
        choice = self.choice()
        try:
            choice.check()
        except ConfigError as error:
            self.message.value = markup.failed(error)
            return
        self._set_running(running=True)
        for shown in (self.message, self.table, self.verdicts, self.commands, self.tracked):
            shown.value = ""
        self.picture.layout.display = "none"
        self.bar.value = 0
        self.status.value = markup.note("starting")
        self._job.start(lambda tell: self._evaluate(choice, tell))

    def _cancel(self) -> None:
        if self.running:
            self.cancel_button.disabled = True
            self.status.value = markup.note("cancelling after the batch that is under way")
            self._job.cancel()

    def _evaluate(self, choice: Choice, tell: Tell) -> None:
        said: list[str] = []
        with Workbench.open(self._config, notify=said.append, progress=tell) as bench:
            result, comparison = choice.run(bench)
        self.result, self.comparison = result, comparison
        self._show_result(choice, result, comparison)
        self.message.value = markup.notes(said)

    def _show_progress(self, progress: Progress) -> None:
        if progress.total:
            self.bar.max, self.bar.value = progress.total, progress.done
        self.status.value = markup.note(str(progress))

    def _show_result(
        self, choice: Choice, result: EvaluateResult, comparison: CompareResult | None
    ) -> None:
        from workbench.plots import recall_curves, to_png

        self.table.value = markup.measured(result)
        self.picture.value = to_png(recall_curves(result))
        self.picture.layout.display = ""
        self.verdicts.value = markup.compared(comparison) if comparison else ""
        self.commands.value = markup.commands(choice.commands(self._config.home, self._file))
        self.tracked.value = markup.tracked(result, self._config.home, self._config.tracking_uri)

    def _ended(self, raised: BaseException | None) -> None:
        if raised is None:
            self.bar.max, self.bar.value = 1, 1
            self.status.value = markup.note("✓ done")
        elif isinstance(raised, Cancelled):
            self.status.value = markup.note(
                "■ cancelled: what was encoded is kept, Run goes on from there"
            )
        else:
            self.status.value = markup.note("✕ failed")
            self.message.value = markup.failed(raised)
        self._set_running(running=False)

    def _set_running(self, *, running: bool) -> None:
        self.run_button.disabled = running
        self.cancel_button.disabled = not running

    def _show_folder(self) -> None:
        self.folder.layout.display = "" if self.eval_set.value == FOLDER else "none"


def _dropdown(label: str, options: Sequence[str], value: str) -> ipywidgets.Dropdown:
    if value not in options:
        raise UnknownName.among(label.lower(), value, options)
    return ipywidgets.Dropdown(
        options=options, value=value, description=label, style=FIELD,
        layout=ipywidgets.Layout(width="340px"),
    )  # fmt: skip
