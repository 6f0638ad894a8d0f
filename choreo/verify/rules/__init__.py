"""The rules, one a file; a rule's docstring is the page that ``choreo rule`` prints."""

from __future__ import annotations

from choreo.verify.rule import Check, Rule
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
    cho110,
    cho111,
    cho112,
    cho113,
    cho114,
    cho201,
    cho202,
    cho203,
    cho204,
    cho205,
    cho206,
    cho207,
    cho208,
    cho209,
    cho210,
    cho211,
    cho212,
    cho301,
    cho302,
    cho303,
    cho304,
    cho401,
    cho501,
    cho502,
    cho503,
    cho505,
    cho601,
    cho602,
    cho603,
    cho604,
    cho605,
    cho606,
    cho701,
    cho702,
    cho901,
    cho902,
    cho903,
)

_GRAPH = (
    cho112,
    cho702,
    cho101,
    cho102,
    cho109,
    cho107,
    cho401,
    cho104,
    cho108,
    cho105,
    cho113,
    cho201,
    cho202,
    cho208,
    cho210,
    cho203,
    cho204,
    cho209,
    cho211,
    cho212,
    cho301,
    cho302,
    cho303,
    cho304,
    cho501,
    cho502,
    cho503,
    cho505,
    cho601,
    cho602,
    cho603,
    cho604,
    cho605,
    cho606,
    cho701,
)
_RUNS = (cho106, cho103, cho110, cho111, cho114, cho205, cho206, cho207)
_VERDICT = (cho901, cho902, cho903)

CHECKS: tuple[tuple[Rule, Check], ...] = tuple((rule.RULE, rule.check) for rule in (*_GRAPH, *_RUNS))
"""Every rule that looks at a saga, in the order in which they are asked: what explains comes before what it
explains."""

RULES: tuple[Rule, ...] = tuple(
    sorted((*(rule for rule, _ in CHECKS), *(rule.RULE for rule in _VERDICT)), key=lambda rule: rule.id)
)
"""Every rule there is, by its id."""

OF_PROPERTY: dict[str, Rule] = {
    "P6": cho106.RULE,
    "P9": cho203.RULE,
    "P10": cho204.RULE,
    "P15": cho111.RULE,
    "P16": cho106.RULE,
    "P29": cho106.RULE,
}
"""The rule that reports a property which some order of events breaks, by VERIFY's number."""
