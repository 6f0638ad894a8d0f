"""``[tool.choreo.rules]``: the levels that a project sets for the rules of ``choreo verify``."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import cast

from choreo.errors import ConfigurationError
from choreo.project.pyproject import nearest_project
from choreo.verify import Levels
from choreo.verify.rules import RULES

LEVELS = ("error", "warning", "off")


def levels_set() -> Levels:
    """Return the levels that the project sets, by the rule's id.

    Raises `ConfigurationError` for an unknown rule or level.
    """
    given = nearest_project().get("rules") or {}
    _refuse_unknown(given)
    return cast(Levels, {rule.upper(): level for rule, level in given.items()})


def _refuse_unknown(given: Mapping[str, str]) -> None:
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
