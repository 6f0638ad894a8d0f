"""``Rule``: the id, name, page and level of a rule, and what makes it superfluous."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from textwrap import fill
from typing import Any

from choreo.manifest import HandlerEntry
from choreo.manifest.manifest import Link, Remark
from choreo.verify.case import Case
from choreo.verify.code import NO_CODE, Code
from choreo.verify.finding import NOWHERE, Finding, Level
from choreo.verify.properties import Property

Check = Callable[[Case], Iterator[Finding]]
"""Return what a rule finds in one saga."""

UNCLEAR = ("CHO101", "CHO102", "CHO104", "CHO107", "CHO109", "CHO112", "CHO401", "CHO702")
"""Rules whose findings say that the graph is not what was meant: rules that compare its parts would repeat
them."""


@dataclass(frozen=True)
class Rule:
    """One rule. ``doc`` is the docstring of its module, which begins with the rule's id and name.

    ``unless`` are rules whose findings, in the same saga, explain what this one would find: one cause, one
    finding. ``of_runs`` means that it examines runs, which show nothing new if the graph has an error.
    ``properties`` are those whose violations it reports.
    """

    id: str
    name: str
    doc: str | None
    level: Level
    unless: tuple[str, ...] = ()
    of_runs: bool = field(default=False, kw_only=True)
    properties: tuple[Property, ...] = field(default=(), kw_only=True)

    @property
    def page(self) -> str:
        """What it finds, why that is bad, an example, and how to fix it: its docstring without the id."""
        head, _, rest = (self.doc or "").strip().partition("\n\n")
        return f"{fill(head.removeprefix(f'{self.id} '), 110)}\n\n{rest}"

    @property
    def summary(self) -> str:
        """What it finds, in one sentence."""
        return " ".join(self.page.partition("\n\n")[0].partition(":")[2].split())

    def is_superfluous(self, found: Iterable[Finding], reported: Iterable[Finding]) -> bool:
        """Whether earlier findings explain what this rule would find.

        ``reported`` are those of them that are neither switched off nor suppressed.
        """
        if self.of_runs and any(each.level == "error" for each in reported):
            return True
        return any(each.rule in self.unless for each in found)

    def remarks(self, case: Case) -> Iterator[tuple[Remark, HandlerEntry]]:
        """Return what the manifests say, under this rule, of the bodies of a saga's handlers."""
        handlers = {handler.name: handler for handler in case.graph.handlers}
        for manifest in case.choreography.manifests:
            for remark in manifest.remarks:
                if remark.rule == self.id and remark.handler in handlers:
                    yield remark, handlers[remark.handler]

    def finding(
        self,
        saga: str,
        message: str,
        where: Link = NOWHERE,
        *,
        why: str,
        help: str,
        code: Code = NO_CODE,
        **more: Any,
    ) -> Finding:
        """Return a finding of this rule; ``code`` is to be pasted."""
        return Finding(self.id, self.name, self.level, saga, message, where, why, help, *code, **more)
