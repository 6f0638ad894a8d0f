"""The rules, one a file; a rule's docstring is the page that ``choreo rule`` prints."""

from __future__ import annotations

from types import ModuleType

from choreo.verify.rules import (
    cho101,
    cho102,
    cho103,
    cho104,
    cho105,
    cho106,
    cho107,
    cho108,
    cho109,
    cho111,
    cho112,
    cho113,
    cho114,
    cho201,
    cho202,
    cho203,
    cho204,
    cho208,
    cho209,
    cho212,
    cho301,
    cho302,
    cho303,
    cho304,
    cho501,
    cho701,
)

RULES: tuple[ModuleType, ...] = (
    cho101,
    cho102,
    cho103,
    cho104,
    cho105,
    cho107,
    cho108,
    cho109,
    cho112,
    cho113,
    cho201,
    cho202,
    cho203,
    cho204,
    cho208,
    cho209,
    cho212,
    cho301,
    cho302,
    cho303,
    cho304,
    cho501,
    cho701,
    # What looks at runs comes last: where the graph itself is wrong, they would only repeat it.
    cho106,
    cho111,
    cho114,
)
"""Every rule, in the order in which they are asked."""

OF_RUNS = frozenset({"CHO106", "CHO111", "CHO114"})
"""The rules that look at runs; they are not asked where the graph has an error."""


def id_of(rule: ModuleType) -> str:
    """Give a rule's id: CHO204."""
    return rule.__name__.rpartition(".")[2].upper()


def name_of(rule: ModuleType) -> str:
    """Give a rule's name: compensation-order."""
    return (rule.__doc__ or "").partition(":")[0]


def page_of(rule: ModuleType) -> str:
    """Give a rule's page: what it does, why it matters, how to mend it."""
    return (rule.__doc__ or "").strip()
