"""``[tool.choreo.rules]``: rules of verify at another level than their own, or off."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, cast

from choreo.cli.project import nearest_project
from choreo.errors import ConfigurationError

if TYPE_CHECKING:
    from choreo.verify import Levels

LEVELS = ("error", "warning", "off")


def levels_set() -> Levels:
    """Give the levels that the project sets, by rule.

    Raises `ConfigurationError` for an unknown rule or level.
    """
    given = nearest_project().get("rules") or {}
    if given:
        _refuse_unknown(given)
    return cast("Levels", {rule.upper(): level for rule, level in given.items()})


def _refuse_unknown(given: dict[str, str]) -> None:
    from choreo.verify.rules import RULES

    known = [rule.id for rule in RULES]
    for rule, level in given.items():
        if rule.upper() not in known:
            close = get_close_matches(rule.upper(), known, 1)
            hint = f"did you mean {close[0]}?" if close else "`choreo rule` lists all"
            raise ConfigurationError(f"[tool.choreo.rules] {rule}: there is no such rule", hint=hint)
        if level not in LEVELS:
            raise ConfigurationError(
                f"[tool.choreo.rules] {rule}: {level!r} is no level", hint=f"one of {', '.join(LEVELS)}"
            )
