"""One random choreography, judged twice: by `choreo verify`, and by the oracles. They must agree."""

from __future__ import annotations

import random
from typing import NamedTuple

from choreo.graph import choreography_of
from choreo.manifest import Manifest
from choreo.project.manifests import compare
from choreo.verify import Finding, verify
from tests.verify.choreography_text import write_choreography
from tests.verify.graph_oracle import broken_properties

from . import naive
from .growth import grow
from .mutants import mutants

STATES = 6_000
"""A choreography with more states than this is left out: another seed gives a smaller one."""


class Judged(NamedTuple):
    """What both say of one choreography; ``spoilt`` names the mutation, if any."""

    seed: int
    spoilt: str
    manifests: tuple[Manifest, ...]
    searched: naive.Verdict
    graph: frozenset[str]
    errors: tuple[Finding, ...]

    @property
    def is_wrong(self) -> bool:
        """Whether the oracles find anything wrong."""
        never = not self.searched.wrong and "completed" not in self.searched.ends  # reachable-end
        return bool(self.searched.wrong or self.graph) or never

    @property
    def agrees(self) -> bool:
        """Whether both say the same."""
        return self.is_wrong == bool(self.errors)

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {self.spoilt or 'as it grew'}", write_choreography(self.manifests)]
        lines += ["the oracles say:"]
        lines += [f"  {each} (graph)" for each in sorted(self.graph)]
        lines += [f"  {self.searched.wrong or 'nothing in any run'}"]
        lines += [f"    {line}" for line in self.searched.path]
        lines += ["verify says:"] + [f"  {each.rule} {each.message}" for each in self.errors]
        return "\n".join(lines)


def random_choreography(seed: int) -> tuple[str, tuple[Manifest, ...]]:
    """Grow a choreography, and spoil every other one; give the mutation's name, too."""
    chance = random.Random(seed * 2 + 1)
    grown = tuple(grow(seed, room=3 if seed % 3 else 4))
    if chance.random() < 0.5:
        return "", grown
    every = list(mutants(grown))
    operator = chance.choice(sorted({mutant.operator for mutant in every}))
    mutant = chance.choice([mutant for mutant in every if mutant.operator == operator])
    return mutant.name, mutant.manifests


def judge(seed: int) -> Judged:
    """Judge the choreography of a seed. Raises `naive.TooLarge` where it has more than `STATES` states."""
    spoilt, manifests = random_choreography(seed)
    saga = manifests[0].sagas[0]
    searched = naive.Search(manifests, saga).run(naive.Budget(), STATES)
    return Judged(
        seed, spoilt, manifests, searched, frozenset(broken_properties(manifests, saga)), errors_of(manifests)
    )


def errors_of(manifests: tuple[Manifest, ...]) -> tuple[Finding, ...]:
    """Return the errors that `choreo verify` finds."""
    findings = verify(choreography_of(manifests), compare=compare).findings
    return tuple(finding for finding in findings if finding.level == "error")
