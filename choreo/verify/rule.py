"""``Rule``: what every rule has: an id, a name, a page, a level, and what makes it superfluous."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from choreo.manifest.manifest import Link
from choreo.verify.case import Case
from choreo.verify.finding import NOWHERE, Finding, Level

Check = Callable[[Case], Iterator[Finding]]
"""Gives what a rule finds in one saga."""

UNCLEAR = ("CHO101", "CHO102", "CHO104", "CHO107", "CHO109", "CHO112", "CHO702")
"""What makes a graph another one than was meant: rules that compare its parts would only repeat it."""


@dataclass(frozen=True)
class Rule:
    """One rule. Its module's name is its id, and its module's docstring its page, which begins with its name.

    ``unless`` names the rules whose findings, in the same saga, explain what this one would say: one cause,
    one finding. ``of_runs``: it looks at runs, which say nothing new of a graph in which there is an error.
    """

    module: str
    page: str
    level: Level
    unless: tuple[str, ...] = ()
    of_runs: bool = field(default=False, kw_only=True)

    @property
    def id(self) -> str:
        """``CHO204``."""
        return self.module.rpartition(".")[2].upper()

    @property
    def name(self) -> str:
        """``compensation-order``."""
        return self.page.partition(":")[0]

    @property
    def summary(self) -> str:
        """What it finds, in one sentence."""
        return " ".join(self.page.partition("\n\n")[0].partition(":")[2].split())

    def is_silenced(self, found: Iterable[Finding], kept: Iterable[Finding]) -> bool:
        """Say whether what was found already makes asking superfluous; ``kept`` is what of it will be
        reported."""
        if self.of_runs and any(each.level == "error" for each in kept):
            return True
        return any(each.rule in self.unless for each in found)

    def finding(
        self, saga: str, message: str, where: Link = NOWHERE, *, why: str, help: str, **more: Any
    ) -> Finding:
        """Make a finding of this rule."""
        return Finding(self.id, self.name, self.level, saga, message, where, why, help, **more)
