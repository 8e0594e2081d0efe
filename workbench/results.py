"""What public verbs return: frozen results that print as a table and answer questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


class Result:
    """Mixin for frozen dataclasses: a dict for machines, a frame for pandas, a table for people.

    A subclass says in ``rows()`` what its table is; by default that is one row of its own fields.
    """

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values."""
        return asdict(self)  # type: ignore[call-overload,no-any-return]

    def rows(self) -> Sequence[dict[str, Any]]:
        """The rows of the table, all with the same keys."""
        flat = {k: v for k, v in self.to_dict().items() if not isinstance(v, list | tuple | dict)}
        return [flat]

    def to_frame(self) -> pd.DataFrame:
        """The rows as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame(list(self.rows()))

    def __str__(self) -> str:
        return text_table(self.rows())


def text_table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as an aligned plain-text table; ``"(no rows)"`` when there are none."""
    if not rows:
        return "(no rows)"
    names = list(rows[0])
    body = [[format_cell(row.get(name)) for name in names] for row in rows]
    widths = [max(len(line[i]) for line in [names, *body]) for i in range(len(names))]
    lines = [names, ["-" * width for width in widths], *body]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def format_cell(value: Any) -> str:
    """A value as people read it: four significant decimals, thousands apart, empty for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4f}" if abs(value) < 100 else f"{value:,.0f}"  # noqa: PLR2004
    return str(value)
