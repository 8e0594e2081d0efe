"""What every benchmark shares: rows into .bench/NAME.json, a table on stdout, a PNG."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def row(case: str, value: float, unit: str, baseline: float | None = None) -> dict[str, object]:
    """One measurement; ``ratio`` is value / baseline."""
    ratio = None if not baseline else value / baseline
    return {"case": case, "value": value, "unit": unit, "baseline": baseline, "ratio": ratio}


def write(name: str, rows: list[dict[str, object]]) -> None:
    """Write and print the rows of benchmark ``name``."""
    folder = ROOT / ".bench"
    folder.mkdir(exist_ok=True)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    facts = {"name": name, "machine": machine, "rows": rows}
    (folder / f"{name}.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    from workbench.results import text_table

    print(f"\n{name} on {machine}\n\n{text_table(rows)}\n\n{folder / name}.json and .png")
    _draw(folder / f"{name}.png", name, rows)


def calibrated(model: str) -> str:
    """Make ``MODEL@int8`` on this machine if that was not done yet; its name."""
    from workbench.calibration import quantize
    from workbench.config import Config
    from workbench.errors import ModelMissing
    from workbench.models import resolve

    name = f"{model}@int8"
    try:
        resolve(name)
    except ModelMissing:
        print(quantize(Config(), model, None))
    return name


def _draw(path: Path, name: str, rows: list[dict[str, object]]) -> None:
    from matplotlib.figure import Figure

    shown = [r for r in rows if r["ratio"] is not None] or rows
    figure = Figure(figsize=(9, 0.35 * len(shown) + 1.2), layout="constrained")
    axes = figure.subplots()
    key = "ratio" if shown[0]["ratio"] is not None else "value"
    bars = axes.barh([str(r["case"]) for r in shown], [float(str(r[key])) for r in shown])
    axes.bar_label(bars, fmt="%.3g", padding=3)
    axes.margins(x=0.12)
    axes.invert_yaxis()
    axes.set_xlabel("ratio to the baseline" if key == "ratio" else str(shown[0]["unit"]))
    axes.set_title(name, loc="left")
    figure.savefig(path, dpi=120)
