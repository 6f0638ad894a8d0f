"""``Policy``: which findings are reported, and at which level, by the project's settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Literal

from choreo.manifest import Manifest, Suppression
from choreo.manifest.manifest import Link
from choreo.verify.finding import Finding, at
from choreo.verify.rules import RULES
from choreo.verify.rules.reasonless_suppression import reasonless
from choreo.verify.rules.unused_suppression import unused

Levels = Mapping[str, Literal["error", "warning", "off"]]
"""The levels of rules that differ from their own, by id: ``[tool.choreo.rules]``."""

_OF_BODIES = "CHO6"


class Policy:
    """Applies levels and suppressions to findings, and records which suppressions had an effect."""

    def __init__(self, manifests: Sequence[Manifest], levels: Levels) -> None:
        handlers = [handler for manifest in manifests for handler in manifest.handlers]
        self._levels = levels
        self._lines = {handler.place: at(handler) for handler in handlers}
        self._places = {handler.name: handler.place for handler in handlers}
        self._suppressions = list(dict.fromkeys(each for m in manifests for each in m.suppressions))
        self._by_place: dict[tuple[str, str], list[Suppression]] = {}
        for each in self._suppressions:
            self._by_place.setdefault((each.rule, each.place), []).append(each)
        self._used: set[Suppression] = set()

    @property
    def off(self) -> frozenset[str]:
        """The rules that are switched off."""
        return frozenset(rule for rule, level in self._levels.items() if level == "off")

    def reported(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Return the findings that are neither off nor suppressed, at their levels."""
        for finding in self._at_levels(findings):
            if not self._is_suppressed(finding):
                yield finding

    def on_suppressions(self, applied: Set[str]) -> Iterator[Finding]:
        """Return the findings on suppressions themselves, once all others have been reported.

        One of a rule that was not ``applied`` to every saga is not called unused.
        """
        return self._at_levels(filter(None, (self._on(each, applied) for each in self._suppressions)))

    def _on(self, suppression: Suppression, applied: Set[str]) -> Finding | None:
        where = self._lines.get(suppression.place, Link(suppression.place, ""))
        is_decided = suppression.rule in applied or all(rule.id != suppression.rule for rule in RULES)
        if suppression not in self._used and is_decided:
            return unused(suppression, where)
        return None if suppression.reason else reasonless(suppression, where)

    def _at_levels(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        for finding in findings:
            level = self._levels.get(finding.rule, finding.level)
            if level != "off":
                yield finding._replace(level=level)

    def _is_suppressed(self, finding: Finding) -> bool:
        places = (finding.place, self._handler_place(finding))
        found = [each for place in places for each in self._by_place.get((finding.rule, place), ())]
        self._used.update(found)
        return bool(found)

    def _handler_place(self, finding: Finding) -> str:
        """Return, for a finding on a body, the place of its handler."""
        handler = finding.steps[0] if finding.rule.startswith(_OF_BODIES) and finding.steps else ""
        return self._places.get(handler, finding.place)
