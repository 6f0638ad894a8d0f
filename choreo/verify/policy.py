"""``Policy``: what of the findings is reported, and at which level: by the project's settings and the
source's comments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from choreo.manifest import Manifest, Suppression
from choreo.manifest.manifest import Link
from choreo.verify.finding import Finding, at
from choreo.verify.rules import reasonless_suppression, unused_suppression

Levels = Mapping[str, Literal["error", "warning", "off"]]
"""The level of rules that have another one than their own, by id: ``[tool.choreo.rules]``."""

_OF_BODIES = "CHO6"


class Policy:
    """Judges findings; afterwards it says which suppressions had no effect."""

    def __init__(self, manifests: Sequence[Manifest], levels: Levels) -> None:
        self._levels = levels
        self._handlers = {
            handler.place: at(handler) for manifest in manifests for handler in manifest.handlers
        }
        self._names = {handler.name: handler.place for m in manifests for handler in m.handlers}
        self._suppressions = [each for manifest in manifests for each in manifest.suppressions]
        self._used: set[Suppression] = set()

    def judged(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Give what is to be reported, at its level."""
        for finding in findings:
            level = self._levels.get(finding.rule, finding.level)
            if level != "off" and not self._is_suppressed(finding):
                yield finding._replace(level=level)

    def leftovers(self) -> Iterator[Finding]:
        """Give what is wrong with the suppressions themselves."""
        for each in self._suppressions:
            if each not in self._used:
                yield from self._reported(self._unused(each))
            elif not each.reason:
                yield from self._reported(self._reasonless(each))

    def _is_suppressed(self, finding: Finding) -> bool:
        found = [
            each for each in self._suppressions if each.rule == finding.rule and self._is_of(finding, each)
        ]
        self._used.update(found)
        return bool(found)

    def _is_of(self, finding: Finding, suppression: Suppression) -> bool:
        """Say whether a suppression stands where the finding is; what is about a body is its handler's."""
        if finding.place == suppression.place:
            return True
        handler = finding.steps[0] if finding.rule.startswith(_OF_BODIES) and finding.steps else ""
        return self._names.get(handler) == suppression.place

    def _reported(self, finding: Finding) -> Iterator[Finding]:
        level = self._levels.get(finding.rule, finding.level)
        if level != "off":
            yield finding._replace(level=level)

    def _unused(self, each: Suppression) -> Finding:
        what = f"ignore[{each.rule}]" if each.rule else "a suppression that names no rule"
        return unused_suppression.RULE.finding(
            "",
            f"{what} has no effect",
            self._where(each),
            why=f"{each.rule} finds nothing here"
            if each.rule
            else "it must name the rules: ignore[CHO204] reason",
            help="delete it",
            steps=(each.rule, each.place.rpartition(":")[0]),
        )

    def _reasonless(self, each: Suppression) -> Finding:
        return reasonless_suppression.RULE.finding(
            "",
            f"ignore[{each.rule}] gives no reason",
            self._where(each),
            why="in a year nobody knows whether it still holds",
            help=f"# choreo: ignore[{each.rule}] because …",
            steps=(each.rule, each.place.rpartition(":")[0]),
        )

    def _where(self, each: Suppression) -> Link:
        return self._handlers.get(each.place, Link(each.place, ""))
