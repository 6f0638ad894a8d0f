"""``milliseconds_in``: a span of time as an operator writes it."""

from __future__ import annotations

import re

from choreo.errors import ConfigurationError

_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_WRITTEN = re.compile(r"([0-9]{1,9})(ms|s|min|m|h|d)")


def milliseconds_in(text: str) -> int:
    """Return the milliseconds of a span such as ``90s``. Raises `ConfigurationError` for any other text.

    >>> milliseconds_in("10m"), milliseconds_in("2h")
    (600000, 7200000)
    """
    found = _WRITTEN.fullmatch(text.strip())
    if not found:
        raise ConfigurationError(f"{text!r:.100} is not a span of time like 90s, 10m, 2h or 7d")
    return int(found[1]) * _UNITS[found[2]]
