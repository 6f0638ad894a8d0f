"""Spans of time as people write them on a command line: ``90s``, ``10m``, ``2h``, ``7d``."""

from __future__ import annotations

import re

import click

_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_WRITTEN = re.compile(r"([0-9]{1,9})(ms|s|min|m|h|d)")


class Duration(click.ParamType[int]):
    """Turns such a text into milliseconds.

    >>> Duration().convert("10m", None, None)
    600000
    """

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Give the milliseconds; a text that isn't one is refused."""
        if isinstance(value, int):
            return value
        found = _WRITTEN.fullmatch(str(value).strip())
        if not found:
            self.fail(f"{value!r} is not a span of time like 90s, 10m, 2h or 7d", param, ctx)
        return int(found[1]) * _UNITS[found[2]]
