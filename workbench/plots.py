"""Pictures of results: figures without pyplot, states never shown by colour alone."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from workbench.evaluate.compare import CompareResult
    from workbench.evaluate.systems import EvaluateResult

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
VERDICT_MARKS = {"better": "^", "worse": "v", "not separable": "o"}
LABEL_GAP = 0.052  # of the height of the axes, between two labels
DPI = 144
GREY = "#5c5c5c"
MAX_LUMA = 0.42  # of text on white: a contrast of about 4.5


def recall_curves(result: EvaluateResult) -> Figure:
    """Recall over the number of documents returned, one line with its interval per system."""
    from matplotlib.figure import Figure

    colours = _colours()
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes = figure.add_subplot()
    ends: list[tuple[float, str, str]] = []
    for i, system in enumerate(result.systems):
        colour = colours[i % len(colours)]
        cuts = list(system.recall_at)
        found = list(system.recall_at.values())
        axes.plot(
            cuts, [f.value for f in found], color=colour, marker=MARKERS[i % len(MARKERS)],
            linestyle=LINES[i % len(LINES)], linewidth=1.8, markersize=5.5,
        )  # fmt: skip
        axes.fill_between(
            cuts, [f.low for f in found], [f.high for f in found],
            color=colour, alpha=0.13, linewidth=0,
        )  # fmt: skip
        ends.append((found[-1].value, f"{system.key}  {found[-1].value:.3f}", colour))
    cuts = list(result.systems[0].recall_at)
    axes.set_xscale("log")
    axes.set_xticks(cuts, [str(k) for k in cuts])
    axes.set_xticks([], minor=True)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("k, documents returned (log scale)")
    axes.set_ylabel("Recall@k, share of relevant documents found")
    axes.set_title(
        f"{result.eval_set}: {result.queries:,} queries, mean and "
        f"{100 * result.confidence:g} % interval",
        loc="left", fontsize=11,
    )  # fmt: skip
    _tidy(axes)
    _label_ends(axes, float(cuts[-1]), ends)
    return figure


def differences(compared: CompareResult) -> Figure:
    """Forest plot: every candidate's difference to the baseline with its interval."""
    from matplotlib.figure import Figure

    colours = dict(zip(VERDICT_MARKS, (*_colours()[:2], GREY), strict=True))
    rows = compared.tests
    labels = [f"{row.candidate}\n{row.measure}" for row in rows]
    figure = Figure(figsize=(8, 1.4 + 0.5 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    for y, row in enumerate(rows):
        errors = [[row.difference - row.low], [row.high - row.difference]]
        axes.errorbar(
            row.difference, y, xerr=errors, fmt=VERDICT_MARKS[row.verdict], markersize=7,
            color=colours[row.verdict], capsize=3, linewidth=1.6,
        )  # fmt: skip
        axes.annotate(
            f"{row.verdict}, p {_p(row.p_corrected)}", (1.01, y),
            xycoords=("axes fraction", "data"), va="center", fontsize=9,
            color=_ink(colours[row.verdict]), annotation_clip=False,
        )  # fmt: skip
    axes.axvline(0, color=GREY, linewidth=1)
    axes.set_yticks(range(len(rows)), labels, fontsize=9)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(f"difference to {compared.baseline} (points of the measure, right = better)")
    count = f"{rows[0].n:,} queries" if rows else "no test"
    axes.set_title(
        f"{compared.eval_set}: {count}, paired, {100 * compared.confidence:g} % interval, "
        "Holm-corrected p",
        loc="left", fontsize=11,
    )  # fmt: skip
    _tidy(axes, grid="x")
    return figure


def to_png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DPI)
    return out.getvalue()


def _colours() -> list[str]:
    from matplotlib import style

    return list(style.library["petroff10"]["axes.prop_cycle"].by_key()["color"])


def _ink(colour: str) -> tuple[float, float, float]:
    """The colour darkened until text in it can be read on white."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(colour)
    scale = min(1.0, MAX_LUMA / (0.299 * red + 0.587 * green + 0.114 * blue))
    return red * scale, green * scale, blue * scale


def _tidy(axes: Axes, grid: str = "y") -> None:
    axes.grid(axis="x" if grid == "x" else "y", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _label_ends(axes: Axes, x: float, ends: Sequence[tuple[float, str, str]]) -> None:
    """Write each label right of its line's end, moved apart where lines end close together."""
    low, high = axes.get_ylim()
    gap = LABEL_GAP * (high - low)
    places = spread([value for value, _, _ in ends], gap, low, high)
    for (value, text, colour), y in zip(ends, places, strict=True):
        axes.annotate(
            text, (x, value), xytext=(1.03, (y - low) / (high - low)), textcoords="axes fraction",
            va="center", fontsize=9, color=_ink(colour), annotation_clip=False,
            arrowprops={
                "arrowstyle": "-", "color": colour, "linewidth": 0.7, "relpos": (0, 0.5),
                "shrinkA": 1, "shrinkB": 5,
            },
        )  # fmt: skip


def spread(values: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions near ``values``, in their order, at least ``gap`` apart where there is room.

    Args:
        values: Wanted positions.
        gap: Smallest distance of two positions.
        low: Lower end of the room.
        high: Upper end of the room.
    """
    order = sorted(range(len(values)), key=lambda i: values[i])
    step = min(gap, (high - low) / max(1, len(values) - 1))
    places = [0.0] * len(values)
    floor = low
    for i in order:
        places[i] = max(values[i], floor)
        floor = places[i] + step
    ceiling = high
    for i in reversed(order):
        places[i] = min(places[i], ceiling)
        ceiling = places[i] - step
    return places


def _p(p: float) -> str:
    return "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0")  # noqa: PLR2004
