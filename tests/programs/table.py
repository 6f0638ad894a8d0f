"""Figures beside those of before: the data, and the table that shows both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
"""The checkout that the programs are part of."""

Figures = Mapping[str, int | float]


def before(program: str) -> Figures:
    """Return what a program measured at the commit that `commit` names."""
    figures: Figures = _data()[program]
    return figures


def commit() -> str:
    """Return the commit of the figures of before."""
    return str(_data()["commit"])


def report(program: str, now: Figures, as_json: bool) -> str:
    """Return the figures of a program beside those of before: as a table, or as JSON."""
    then = before(program)
    if as_json:
        return json.dumps({"commit": commit(), "before": then, "now": now}, indent=2)
    rows = [(name, _text(then.get(name)), _text(value)) for name, value in now.items()]
    return _table([(program, f"before ({commit()})", "now"), *rows])


def _data() -> dict[str, Any]:
    data: dict[str, Any] = json.loads((Path(__file__).parent / "before.json").read_text())
    return data


def _text(value: int | float | None) -> str:
    return "-" if value is None else f"{value:,g}" if value < 100_000 else f"{value:,.0f}"


def _table(rows: Sequence[tuple[str, str, str]]) -> str:
    name, then, now = (max(len(row[column]) for row in rows) for column in range(3))
    return "\n".join(f"{row[0]:<{name}}  {row[1]:>{then}}  {row[2]:>{now}}" for row in rows)
