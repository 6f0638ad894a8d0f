"""``Scope``: how much of a choreography was examined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from choreo.verify.case import Case
from choreo.verify.engine.budget import Budget


class Unfinished(NamedTuple):
    """A saga that was not examined to the end, the limit that was reached, and what was being done then."""

    saga: str
    limit: str
    phase: str = ""

    def __str__(self) -> str:
        return f"{self.saga} stopped at {self.limit}{f' in {self.phase}' if self.phase else ''}"


class OfRelease(NamedTuple):
    """How much of a release was examined: the states that sagas may be in while it is rolled out.

    Of ``participants``, ``changed`` take part in another way than before; at ``moments`` one of them was
    upgraded, in ``orders`` of ``possible`` orders. ``cut``: of long sagas, runs in which more than one
    step is held up were left out. ``unsearched`` are the sagas of which none of that was run, as errors come
    first. ``reason`` says why nothing but schemas was compared.
    """

    changed: int = 0
    participants: int = 0
    states: int = 0
    moments: int = 0
    orders: int = 0
    possible: int = 0
    cut: bool = False
    unsearched: tuple[str, ...] = ()
    reason: str = ""

    def __str__(self) -> str:
        if self.reason:
            return f"the release not run, only schemas compared: {self.reason}"
        if self.unsearched and not self.participants:
            return "the release not run: the errors come first"
        orders = _count(self.orders, "order")
        if self.orders < self.possible:
            orders = f"{self.orders:,} of {self.possible:,} orders"
        cut = ", one step held up at a time" if self.cut else ""
        left = f"; not run of {', '.join(self.unsearched)}, as errors come first" if self.unsearched else ""
        return (
            f"the release: {self.changed} of {_count(self.participants, 'participant')} changed, "
            f"{_count(self.states, 'state')}, {_count(self.moments, 'moment')}, {orders}{cut}{left}"
        )


_CHOICES = {"all": "", "pairs": ", two choices at a time", "single": ", one choice at a time"}


class Scope(NamedTuple):
    """The scope of a verdict: outside of it, and in ``unfinished`` sagas, nothing is proved.

    ``choices`` says whether all combinations of what steps may answer were run, all pairs, or each alone;
    ``delays`` is how many steps were held up in one run, at most, where it was not any number.
    ``unsearched`` are the sagas of which not every order of events was looked at, as an error comes first;
    of those that are ``unexplored``, too, nothing was run. ``release`` is how much of a release was examined.
    ``versions`` counts the versions that differ.
    """

    participants: int
    sagas: int
    scenarios: int
    states: int
    seconds: float
    troubles: int = 1
    cancellable: bool = False
    unfinished: tuple[Unfinished, ...] = ()
    choices: str = "all"
    delays: int | None = None
    unsearched: tuple[str, ...] = ()
    unexplored: tuple[str, ...] = ()
    release: OfRelease | None = None
    versions: int = 0

    def __str__(self) -> str:
        looked = (
            f"{_count(self.participants, 'participant')}, {_count(self.sagas, 'saga')}{self._versions()}: "
            f"{_count(self.scenarios, 'scenario')}, {_count(self.states, 'state')}, {self.seconds:.2f} s"
        )
        release = f"; {self.release}" if self.release else ""
        return f"{looked}; {self._completeness()}{release}"

    def _versions(self) -> str:
        return f" in {_count(self.versions, 'version')}" if self.versions > self.sagas else ""

    def _completeness(self) -> str:
        if self.unfinished:
            return f"inconclusive: {', '.join(map(str, self.unfinished))}"
        if len(self.unexplored) == self._all() > 0:
            return "not searched: the errors come first"
        return f"{self._troubles()}{self._left_out()}"

    def _all(self) -> int:
        return max(self.sagas, self.versions)

    def _left_out(self) -> str:
        """Return what was not searched, of which nothing is claimed."""
        if self.unexplored:
            return f"; not searched, as errors come first: {', '.join(self.unexplored)}"
        if self.unsearched:
            which = "" if len(self.unsearched) == self._all() else f" of {', '.join(self.unsearched)}"
            return f"; other orders of events{which} not searched: the errors come first"
        return ""

    def _troubles(self) -> str:
        kinds = ("failure", "deadline", "cancellation") if self.cancellable else ("failure", "deadline")
        troubles = ", ".join(_count(self.troubles, kind) for kind in kinds)
        cancelled = "" if self.cancellable else ", no cancellation"
        delays = "" if self.delays is None else f", {_count(self.delays, 'delay')}"
        return f"complete for {troubles}{cancelled}{delays}{_CHOICES[self.choices]}"


def scope_of(cases: Sequence[Case], budget: Budget, seconds: float, unread: str = "") -> Scope:
    """Return the scope in which these sagas were examined."""
    return Scope(
        len(cases[0].choreography.manifests) if cases else 0,
        len({case.graph.name for case in cases}),
        sum(len(case.runs) for case in cases if "runs" in vars(case)),
        sum(case.meter.states for case in cases),
        seconds,
        budget.troubles,
        any(case.graph.contract.aborts for case in cases),
        tuple(
            Unfinished(case.graph.title, meter.exhausted, meter.stopped_in)
            for case in cases
            for meter in (case.meter, case.meter_of_release)
            if meter.exhausted
        ),
        max(map(_choices, cases), key=tuple(_CHOICES).index, default="all"),
        min((each for each in _delays(cases) if each is not None), default=None),
        tuple(case.graph.title for case in cases if not case.is_searched),
        tuple(case.graph.title for case in cases if not case.is_searched and "runs" not in vars(case)),
        OfRelease(reason=unread) if unread else _of_release(cases),
        len(cases),
    )


def _of_release(cases: Sequence[Case]) -> OfRelease | None:
    released = [case for case in cases if case.rollout]
    run = [case for case in released if "judgement" in vars(case)]
    rollouts = [case.rollout for case in run if case.rollout]
    judged = [case.judgement for case in run if case.rollout and case.rollout.changed]
    if not released:
        return None
    return OfRelease(
        len({name for each in rollouts for name in each.changed}),
        len({name for each in rollouts for graph in (each.old, each.new) for name in graph.participants}),
        sum(case.meter_of_release.states for case in run),
        sum(each.moments for each in judged),
        sum(each.orders for each in judged),
        sum(each.possible for each in judged),
        any(each.is_cut for each in judged),
        tuple(case.graph.name for case in released if case not in run),
    )


def _choices(case: Case) -> str:
    """Return how many choices were taken together: the search takes two, but in a large saga."""
    if not case.model.leaves_choices_out:
        return "all"
    return "pairs" if case.is_searched and not case.search.is_large else "single"


def _delays(cases: Iterable[Case]) -> Iterator[int | None]:
    return (case.search.delays for case in cases if case.is_searched)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
