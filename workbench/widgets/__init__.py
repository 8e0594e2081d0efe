"""Panels for notebooks: thin views over a session."""

from __future__ import annotations

from workbench.widgets.evaluate_panel import EvaluatePanel, evaluate_panel

__all__ = ["EvaluatePanel", "evaluate_panel"]
