"""Results as HTML. Everything that is not written here is escaped."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from workbench.errors import WorkbenchError
from workbench.results import format_cell

if TYPE_CHECKING:
    from workbench.evaluate.compare import CompareResult
    from workbench.evaluate.systems import EvaluateResult
    from workbench.models.listing import ModelRow

BLUE, VERMILLION, GREY = "#0072B2", "#D55E00", "#767676"
"""Of Okabe and Ito: told apart by everybody."""

VERDICTS = {"better": ("▲", BLUE), "worse": ("▼", VERMILLION), "not separable": ("○", GREY)}

STYLE = f"""<style>
.workbench-panel {{ max-width: 1040px; padding: 4px 2px 12px; }}
.workbench-panel .wb {{ color: var(--jp-ui-font-color1, #212121); font-size: 13px;
  line-height: 1.45; }}
.workbench-panel .wb h4 {{ margin: 14px 0 4px; font-size: 14px; font-weight: 600; }}
.workbench-panel .wb p {{ margin: 2px 0 6px; }}
.workbench-panel .wb .scroll {{ overflow-x: auto; }}
.workbench-panel .wb table {{ border-collapse: collapse; font-size: 12px; margin: 2px 0 4px;
  font-variant-numeric: tabular-nums; }}
.workbench-panel .wb th, .workbench-panel .wb td {{ text-align: left; padding: 4px 10px 4px 0;
  vertical-align: top; white-space: nowrap; background: none; }}
.workbench-panel .wb th {{ font-weight: 600; white-space: normal; vertical-align: bottom;
  border-bottom: 1px solid var(--jp-border-color1, #bdbdbd); }}
.workbench-panel .wb td {{ border-bottom: 1px solid var(--jp-border-color2, #e0e0e0); }}
.workbench-panel .wb .number {{ text-align: right; }}
.workbench-panel .wb .soft {{ color: var(--jp-ui-font-color2, #616161); }}
.workbench-panel .wb td .soft {{ font-size: 10.5px; }}
.workbench-panel .wb pre {{ margin: 2px 0 6px; padding: 6px 10px; white-space: pre-wrap;
  overflow-wrap: anywhere; user-select: all; font-size: 12px;
  background: var(--jp-layout-color2, #eeeeee); color: inherit; }}
.workbench-panel .wb pre.trace {{ user-select: text; }}
.workbench-panel .wb a {{ color: {BLUE}; text-decoration: underline; }}
.workbench-panel .wb .error {{ border-left: 4px solid {VERMILLION}; padding: 6px 10px;
  background: var(--jp-layout-color2, #eeeeee); overflow-wrap: anywhere; }}
.workbench-panel .wb ul {{ margin: 2px 0 6px; padding-left: 20px; }}
</style>"""


def block(inner: str) -> str:
    """``inner`` (markup) in the look of the panel."""
    return f'<div class="wb">{inner}</div>'


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as a table with the columns of the command line; an interval stands below its value."""
    if not rows:
        return ""
    numeric = {name for name, value in rows[0].items() if isinstance(value, int | float)}
    head = "".join(
        f'<th class="{"number" if name in numeric else ""}">{escape(name)}</th>' for name in rows[0]
    )
    body = "".join(
        "<tr>" + "".join(_cell(name, row[name], number=name in numeric) for name in row) + "</tr>"
        for row in rows
    )
    inner = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="scroll"><table>{inner}</table></div>'


def _cell(name: str, value: Any, *, number: bool) -> str:
    text = format_cell(value)
    if name == "verdict" and text in VERDICTS:
        mark, colour = VERDICTS[text]
        return f'<td><span style="color: {colour}">{mark}</span> {escape(text)}</td>'
    first, bracket, interval = text.partition(" [")
    shown = escape(first)
    if bracket:
        shown += f'<br><span class="soft">[{escape(interval)}</span>'
    return f'<td class="{"number" if number else ""}">{shown}</td>'


def measured(result: EvaluateResult) -> str:
    """The table of an evaluation, and what its numbers are."""
    about = f"{result.queries:,} queries, mean and {100 * result.confidence:g} % interval"
    unjudged = f", {len(result.unjudged):,} queries without judgement left out"
    title = f"{escape(result.eval_set)}: {about}{unjudged if result.unjudged else ''}"
    return block(f"<h4>{title}</h4>{table(result.rows())}")


def compared(result: CompareResult) -> str:
    """The paired tests, and the sentence of every candidate's first measure."""
    tests = result.tests
    said = "".join(
        f"<li>{escape(row.sentence)}</li>" for row in tests if row.measure == tests[0].measure
    )
    title = f"Compared with {escape(result.baseline)}: paired by query, p corrected by Holm"
    return block(f"<h4>{title}</h4><ul>{said}</ul>{table(result.rows())}")


def commands(lines: Iterable[str]) -> str:
    """Command lines; a click on one selects it whole."""
    shown = "".join(f"<pre>{escape(line)}</pre>" for line in lines)
    return block(f"<h4>The same on the command line</h4>{shown}")


def tracked(result: EvaluateResult, home: Path, uri: str | None) -> str:
    """The link to the run, or where it is recorded and how to look at it.

    Args:
        result: What was tracked.
        home: Home of the session.
        uri: Tracking URI of the configuration, if it names one.
    """
    if not result.mlflow_run_id:
        return block("<p>Not recorded: tracking is switched off in the configuration.</p>")
    run = f"run <code>{escape(result.mlflow_run_id)}</code>"
    if urlsplit(result.url).scheme in {"http", "https"}:
        link = escape(without_password(result.url), quote=True)
        return block(
            f'<p><a href="{link}" target="_blank" rel="noopener noreferrer">'
            f"Open this evaluation in MLflow</a> ({run})</p>"
        )
    where = escape(without_password(uri) if uri else f"the home {home}")
    return block(
        f"<p>Recorded in MLflow as {run}, in {where}. <code>workbench ui</code> with the same "
        "<code>--home</code> shows it in a browser; after <code>workbench up</code> this is a "
        "link.</p>"
    )


def without_password(url: str) -> str:
    """``url`` without the user and the password it may carry."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def failed(error: BaseException) -> str:
    """An error as one message; one that nobody expected with its traceback, folded away."""
    text = f"<b>{type(error).__name__}</b>: {escape(str(error))}"
    if isinstance(error, WorkbenchError):
        return block(f'<div class="error" role="alert">✕ {text}</div>')
    trace = escape("".join(traceback.format_exception(error)))
    return block(
        f'<div class="error" role="alert">✕ {text} (this should not happen: please report it)'
        f'<details><summary>Details</summary><pre class="trace">{trace}</pre></details></div>'
    )


def note(text: str) -> str:
    """One line of plain text."""
    return block(f'<span class="soft">{escape(text)}</span>')


def notes(texts: Sequence[str]) -> str:
    """What the session said meanwhile; empty when it said nothing."""
    if not texts:
        return ""
    return block("".join(f'<p class="soft">Note: {escape(text)}</p>' for text in texts))


def unusable(models: Sequence[ModelRow]) -> str:
    """The models that can not be used here, each with the reason; empty when all can."""
    if not models:
        return ""
    reasons = "".join(
        f"<li><b>{escape(model.name)}</b>: {escape(model.why_not)}</li>" for model in models
    )
    count = "1 model is" if len(models) == 1 else f"{len(models)} models are"
    return block(
        f"<details><summary>{count} not usable here: why</summary><ul>{reasons}</ul></details>"
    )
