"""One random choreography, judged twice: by `choreo verify`, and by the oracles. They must agree.

Where it has few states the naive search visits all of them; where it has more, many random runs go through
them, and each error needs one that shows it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from choreo.errors import DeclarationError
from choreo.graph import choreography_of
from choreo.manifest import Manifest
from choreo.project.manifests import compare
from choreo.verify import Finding, Verdict, verify
from choreo.verify.engine.budget import Budget
from tests.verify.choreography_text import write_choreography
from tests.verify.graph_oracle import broken_properties

from . import naive
from .growth import grow
from .mutants import OPERATORS
from .random_runs import random_runs

STATES = 6_000
"""The naive search visits a choreography of so many states; a larger one is run at random."""

RUNS = 200
"""The random runs of a choreography that is too large for the search."""

_MORE_RUNS = 2_000
_MORE_STATES = 200_000
"""So much is looked at before an error counts as one that nothing confirms."""

MADE_UP = "made up "
"""The kind of a difference begins so where nothing confirms an error; its rules follow."""

VERIFIED = 40_000
"""The states of a saga that `choreo verify` may visit."""


class Question(NamedTuple):
    """A choreography to judge: how it is spoilt, and how many things may go wrong in a run of it."""

    seed: int
    spoilt: str
    manifests: tuple[Manifest, ...]
    troubles: int = 1

    @property
    def steps(self) -> int:
        """The number of its steps."""
        return sum(handler.task == "action" for each in self.manifests for handler in each.handlers)


class Judged(NamedTuple):
    """What both say of one choreography; ``whole``: the search has seen every run of it."""

    question: Question
    searched: naive.Verdict
    graph: frozenset[str]
    verdict: Verdict
    whole: bool = True

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The errors that `choreo verify` finds."""
        return errors_in(self.verdict)

    @property
    def is_wrong(self) -> bool:
        """Whether the oracles find anything wrong."""
        never = self.whole and not self.searched.wrong and "completed" not in self.searched.ends
        return bool(self.searched.wrong or self.graph) or never  # reachable-end

    @property
    def is_inconclusive(self) -> bool:
        """Whether `choreo verify` says that it has not seen everything."""
        return any(finding.rule == "CHO901" for finding in self.verdict.findings)

    @property
    def is_missed(self) -> bool:
        """Whether something is wrong, and `choreo verify` calls it clean."""
        return self.is_wrong and not self.errors and not self.is_inconclusive

    @property
    def is_made_up(self) -> bool:
        """Whether `choreo verify` finds an error that nothing confirms."""
        return bool(self.errors) and not self.is_wrong

    @property
    def agrees(self) -> bool:
        """Whether both say the same, or `choreo verify` doesn't say."""
        return not self.is_missed and not self.is_made_up

    @property
    def kind(self) -> str:
        """What the difference is about, in a few words: differences of one kind have one cause, often."""
        if self.agrees:
            return "both say the same"
        if self.is_missed:
            broken = self.searched.property or ", ".join(sorted(self.graph)) or "reachable-end"
            return f"missed {broken}"
        return f"{MADE_UP}{', '.join(sorted({finding.rule for finding in self.errors}))}"

    def __str__(self) -> str:
        seed, spoilt, manifests, troubles = self.question
        how = "every run" if self.whole else "random runs"
        lines = [f"seed {seed}: {spoilt or 'as it grew'}; {self.question.steps} steps, troubles: {troubles}"]
        lines += [f"{self.kind} ({how})", write_choreography(manifests), "the oracles say:"]
        lines += [f"  {each} (graph)" for each in sorted(self.graph)]
        lines += [f"  {self.searched.wrong or 'nothing in any run'}"]
        lines += [f"    {line}" for line in self.searched.path]
        lines += ["verify says:"] + [f"  {each.rule} {each.message}" for each in self.verdict.findings]
        return "\n".join(lines)


def random_choreography(seed: int, room: int = 0) -> Question:
    """Grow a choreography, and spoil every other one; without ``room`` it is a small one."""
    chance = random.Random(seed * 2 + 1)
    grown = tuple(grow(seed, room=room or (3 if seed % 3 else 4)))
    if chance.random() < 0.5:
        return Question(seed, "", grown)
    while True:
        mutants = list(chance.choice(OPERATORS)(grown))
        if mutants:
            mutant = chance.choice(mutants)
            return Question(seed, mutant.name, mutant.manifests)


def question(seed: int) -> Question:
    """Return what a seed asks: from 2 steps to 12, one trouble or, now and then, two of each kind."""
    chance = random.Random(f"question {seed}")
    asked = random_choreography(seed, room=chance.choice((2, 3, 4, 5, 6, 8, 10, 12)))
    return asked._replace(troubles=1 if chance.random() < 0.8 else 2)


def large_and_sound(seed: int) -> Question | None:
    """Return a choreography of 9 to 40 steps as it grew; None where the seed's has fewer or more."""
    try:
        asked = Question(seed, "", tuple(grow(seed, room=38, least=8, sound=True)))
    except DeclarationError:
        return None
    return asked if 9 <= asked.steps <= 40 else None


def judge(asked: Question, runs: int = RUNS, states: int = VERIFIED) -> Judged:
    """Judge a choreography by every run that it may have or, where it is too large, by random ones."""
    saga = asked.manifests[0].sagas[0]
    search = naive.Search(asked.manifests, saga)
    graph = frozenset(broken_properties(asked.manifests, saga))
    verdict = verified(asked.manifests, asked.troubles, states)
    budget = naive.Budget(*(asked.troubles,) * 3)
    found, whole = _searched(asked, search, budget)
    if not whole and not graph:
        found = random_runs(search, budget, runs, asked.seed)
    errors = errors_in(verdict)
    if errors and not graph and not found.wrong:
        found = _confirmed(asked, search, budget, errors) or found
    search.forget()
    return Judged(asked, found, graph, verdict, whole)


def _searched(asked: Question, search: naive.Search, budget: naive.Budget) -> tuple[naive.Verdict, bool]:
    """Return what the naive search finds, and whether it has visited every state."""
    if asked.steps <= 6:
        with suppress(naive.TooLarge):
            return search.run(budget, STATES, foresees=True), True
    return naive.Verdict("", 0), False


def _confirmed(
    asked: Question, search: naive.Search, budget: naive.Budget, errors: Sequence[Finding]
) -> naive.Verdict | None:
    """Return what shows one of some errors, None where nothing does.

    It may take runs that go near what the errors name, or one trouble more than was asked for: the rules on
    the graph count none. That a step is never called takes no run: none calls it.
    """
    handlers = [handler for manifest in asked.manifests for handler in manifest.handlers]
    named = {name for each in errors for name in each.steps}
    aim = frozenset(
        name
        for handler in handlers
        if named & {handler.name, handler.step, *handler.emits.successes, *handler.emits.failures}
        for name in (handler.name, handler.step)
    )
    found = random_runs(search, budget, _MORE_RUNS, ~asked.seed, aim)
    if not found.wrong:
        with suppress(naive.TooLarge):
            found = naive.Search(asked.manifests, search.saga).run(budget, _MORE_STATES)
    if not found.wrong:
        more = naive.Budget(*(asked.troubles + 1,) * 3)
        found = random_runs(search, more, _MORE_RUNS, ~asked.seed, aim)
    if not found.wrong:
        done = {each.step for past in search.pasts for each in past.done}
        never = [e.steps[0] for e in errors if e.rule in ("CHO104", "CHO108") and e.steps[0] not in done]
        found = found._replace(wrong=f"fed-joins: {never[0]} is never called") if never else found
    return found if found.wrong else None


def verified(manifests: Sequence[Manifest], troubles: int = 1, states: int = VERIFIED) -> Verdict:
    """Return the verdict of `choreo verify`, for so many troubles and so many states."""
    return verify(choreography_of(manifests), compare=compare, budget=Budget(troubles, states))


def errors_of(manifests: Sequence[Manifest]) -> tuple[Finding, ...]:
    """Return the errors that `choreo verify` finds."""
    return errors_in(verified(manifests))


def errors_in(verdict: Verdict) -> tuple[Finding, ...]:
    """Return the errors of a verdict."""
    return tuple(each for each in verdict.findings if each.level == "error")
