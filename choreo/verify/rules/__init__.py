"""The rules of ``choreo verify``, one a module that has the rule's name.

The docstring of a module begins with the rule's id and is the page that ``choreo rule`` prints.

A module holds ``RULE`` and, if the rule examines sagas, its ``check``. Every module of this package is
loaded: a new rule is one new file.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

from choreo.verify.properties import Property
from choreo.verify.rule import Check, Rule


def _in_order(rules: dict[str, Rule]) -> Iterator[Rule]:
    """Return rules by id, but each after the rules that make it superfluous, and those on runs last."""
    pending = sorted(rules.values(), key=lambda rule: (rule.of_runs, rule.id))
    done: set[str] = set()
    while pending:
        rule = next(each for each in pending if done.issuperset(rules.keys() & each.unless))
        pending.remove(rule)
        done.add(rule.id)
        yield rule


_MODULES = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
_CHECKS: dict[str, Check] = {each.RULE.id: each.check for each in _MODULES if hasattr(each, "check")}

RULES: tuple[Rule, ...] = tuple(sorted((each.RULE for each in _MODULES), key=lambda rule: rule.id))
"""Every rule, by its id."""

CHECKS: tuple[tuple[Rule, Check], ...] = tuple(
    (rule, _CHECKS[rule.id]) for rule in _in_order({each.id: each for each in RULES if each.id in _CHECKS})
)
"""Every rule that looks at a saga, in the order in which they look: a cause before its consequences."""

OF_PROPERTY: dict[Property, Rule] = {name: rule for rule in reversed(RULES) for name in rule.properties}
"""The rule that reports a violation which a run, or the search, shows: of several the first."""
