"""``failure_matrix``: a test case for every handler of a saga and each of its possible faults."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any
from unittest import SkipTest, TestCase

import pytest

from choreo.errors import ConfigurationError
from choreo.participant import Participant
from choreo.testing.account import telling
from choreo.testing.cells import KINDS, Cell, cells_of, is_watched, watcher
from choreo.testing.faults import Fault
from choreo.testing.harness import Harness
from choreo.testing.invariants import check, require
from choreo.testing.plain import call, refuse_async, refuse_unplain
from choreo.testing.releases import Go, moments, restarted
from choreo.testing.schedule import Seeded
from choreo.testing.simulation import Violation

Invariant = Callable[..., object]
"""A function of all participants' databases by name, and of fixtures by name, that is called at rest. It
raises or returns False where it does not hold."""

_FAIL = ("permanent", "lost_reply", "timeout", "late_reply")
_HARMLESS = (
    "late_timeout",
    "crash_before_commit",
    "crash_before_publish",
    "takeover",
    "duplicate",
    "store_error",
)


def failure_matrix(
    *participants: Participant,
    invariant: Invariant | None = None,
    faults: Sequence[str] = KINDS,
    seed: int | None = None,
    releases: Sequence[Participant] = (),
) -> Callable[[Callable[..., object]], Callable[..., None]]:
    """Return a decorator that makes a test case for each handler of the participants and each possible fault.

    The decorated function starts one or more sagas, and may take ``harness`` and fixtures. Each case runs it
    in memory with the fault until nothing is left to do, and checks the invariants of `choreo.testing.check`,
    and ``invariant``, that of the service. A case is named after its handler and its fault, so that
    ``pytest -k reserve_inventory-timeout`` runs one. The faults:

    ``permanent``, ``transient`` (the handler raises), ``lost_reply`` (an attempt with effects outside raises,
    the next one returns the failure), ``timeout`` (its own timeout passes),
    ``late_reply`` (its success comes after a deadline), ``late_timeout`` (a deadline passes after it),
    ``crash_before_commit``, ``crash_before_publish``, ``takeover`` (it stalls, another process takes over, it
    continues), ``duplicate``, ``poison`` (the event that calls it is unreadable), ``store_error``. The case
    ``calm`` has no fault. Dead letters are requeued. A case whose handler is never called is skipped.
    In the cases ``release``, nothing fails (``calm-release``) or the handler does, and the participants are
    replaced meanwhile: by themselves after each event, or by ``releases``, the next releases of some of them.
    Then the function is run once for each moment at which one of these may start.

    ``faults`` chooses some of these; with ``seed``, each case makes random moves instead of the calm ones.
    The function may be a method. In a `unittest.TestCase` the cases are subtests of one test, without
    fixtures. Raises `ConfigurationError` for an unknown fault, and for an ``async def``: handlers may be
    coroutines, but sagas are started by a plain function.

    >>> from choreo.testing import failure_matrix
    >>> from examples.orders.contract import OrderCreated
    >>> from examples.orders.orders import orders, place_order
    >>> from examples.orders.inventory import inventory
    >>> @failure_matrix(orders, inventory)
    ... def test_order():
    ...     place_order(OrderCreated("o-1", "ada", "apple", 1, 100, "12 Elm Street"))
    >>> [case.name for case in test_order.pytestmark[0].args[1]][1:4]
    ['reserve_inventory-permanent', 'reserve_inventory-transient', 'reserve_inventory-timeout']
    """
    _refuse_unknown(faults)
    refuse_async(invariant, "the invariant")
    cells = [cell for cell in cells_of(participants) if cell.kind in ("", *faults)]

    def decorate(begin: Any) -> Any:
        if isinstance(begin, (staticmethod, classmethod)):
            return type(begin)(decorate(begin.__func__))
        refuse_unplain(begin, "failure_matrix")
        run = _Runs(participants, begin, invariant, seed, releases)

        @wraps(begin)
        def test(*own: Any, choreo_cell: Cell | None = None, **fixtures: Any) -> None:
            if choreo_cell is not None:
                run.cell(choreo_cell, own, fixtures)
            elif own and isinstance(own[0], TestCase):
                _run_as_subtests(run, own[0], cells)
            else:
                raise ConfigurationError(
                    f"{begin.__name__} is called without one of its cases", hint="run it with pytest"
                )

        test.__signature__ = _signature(begin, invariant)  # type: ignore[attr-defined]
        mark = pytest.mark.parametrize("choreo_cell", cells, ids=[cell.name for cell in cells])
        # Applied to a lambda, which a name may be given to, the mark itself would do nothing.
        test.pytestmark = [mark.mark, *getattr(begin, "pytestmark", ())]  # type: ignore[attr-defined]
        return test

    return decorate


def _signature(begin: Callable[..., object], invariant: Invariant | None) -> inspect.Signature:
    """Return the parameters that pytest supplies: those of both functions but the harness, and the cell.

    They keep their kinds, as pytest leaves out the first one of a method.
    """
    kept = {name: each for name, each in inspect.signature(begin).parameters.items() if name != "harness"}
    for name in ("choreo_cell", *_parameters(invariant)[1:]):
        kept.setdefault(name, inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY))
    return inspect.Signature(sorted(kept.values(), key=lambda each: each.kind))


def _run_as_subtests(run: _Runs, case: TestCase, cells: Sequence[Cell]) -> None:
    """Run the cells as subtests of a `unittest.TestCase`, whose methods pytest parametrizes with nothing."""
    for cell in cells:
        with case.subTest(cell.name):
            try:
                run.cell(cell, (case,), {})
            except pytest.skip.Exception as skipped:
                raise SkipTest(str(skipped)) from None


class _Runs:
    """Runs the cells of one matrix; ``own`` is the object of a method."""

    def __init__(
        self,
        participants: Sequence[Participant],
        begin: Callable[..., object],
        invariant: Invariant | None,
        seed: int | None,
        releases: Sequence[Participant],
    ) -> None:
        self._participants = participants
        self._releases = releases
        self._begin = begin
        self._invariant = invariant
        self._seed = seed
        self._parameters = _parameters(begin)
        self._invariant_parameters = _parameters(invariant)[1:]
        self._calm: list[str] | None = None

    def cell(self, cell: Cell, own: Sequence[Any], fixtures: Mapping[str, Any]) -> None:
        """Run one cell, and check everything. Raises `Violation`."""
        if not cell.is_release:
            self._play(cell, Harness.run, own, fixtures)
        elif not self._releases:
            self._play(cell, restarted, own, fixtures)
        else:
            for go in moments(self._releases):
                self._play(cell, go, own, fixtures)

    def _play(self, cell: Cell, go: Go, own: Sequence[Any], fixtures: Mapping[str, Any]) -> None:
        watchers = [watcher(each) for each in cell.watched if not is_watched(each, self._handlers())]
        chooser = None if self._seed is None else Seeded(self._seed)
        releases = self._releases if cell.is_release else ()
        everybody = [*self._participants, *watchers]
        harness = Harness(everybody, faults=cell.faults(), chooser=chooser, releases=releases)
        with harness, telling(harness):
            self._run(harness, go, own, fixtures)
            missed = [fault for fault in harness.faults if not fault.has_struck]
            if missed and not releases:
                pytest.skip(_why_missed(missed[0], cell, harness))
            check(harness)
            require(not harness.refused, f"a release is refused: {', '.join(harness.refused)}")
            if not releases:
                self._check_ends(cell, harness, own, fixtures)
            self._check_invariant(harness, fixtures)

    def _handlers(self) -> list[Any]:
        return [handler for each in self._participants for handler in each.handlers]

    def _run(self, harness: Harness, go: Go, own: Sequence[Any], fixtures: Mapping[str, Any]) -> None:
        given = {**fixtures, "harness": harness}
        named = {name: given[name] for name in self._parameters if name in given}
        call(self._begin, "the function of failure_matrix", *own, **named)
        go(harness)
        if not harness.sagas():
            where = Path(inspect.getfile(self._begin)).name
            raise ConfigurationError(
                f"{where}: {self._begin.__name__} has started no saga", hint="start one in it: tx.start(…)"
            )

    def _check_ends(
        self, cell: Cell, harness: Harness, own: Sequence[Any], fixtures: Mapping[str, Any]
    ) -> None:
        """Check the end of a saga, where the fault alone decides it."""
        ends = _ends(harness)
        if len(ends) > 1 or not cell.strikes:
            return
        first = cell.strikes[0]
        fails = first.target.task == "action" and first.target.kind != "retriable"
        if fails and first.fault.kind in _FAIL:
            require(ends == ["failed"], f"{first.target.name} failed, and the saga is {ends[0]}")
        elif cell.kind in _HARMLESS and not fixtures:  # the calm run could change the state of fixtures
            calm, struck = self._calm_ends(own), cell.strikes[-1]
            changed = f"the saga is {ends[0]} where {struck.target.name} {struck.fault.words}"
            require(ends == calm, f"{changed}, and {', '.join(calm)} where nothing happens to it")

    def _calm_ends(self, own: Sequence[Any]) -> list[str]:
        """Return the ends of the sagas in a run without faults."""
        if self._calm is None:
            with Harness(self._participants) as harness:
                self._run(harness, Harness.run, own, {})
                self._calm = _ends(harness)
        return self._calm

    def _check_invariant(self, harness: Harness, fixtures: Mapping[str, Any]) -> None:
        if self._invariant is None:
            return
        given = {name: fixtures[name] for name in self._invariant_parameters}
        if call(self._invariant, "the invariant", harness.databases, **given) is False:
            raise Violation(f"{getattr(self._invariant, '__name__', 'the invariant')} does not hold")


def _why_missed(fault: Fault, cell: Cell, harness: Harness) -> str:
    """Return, in words, why a fault of a cell has not struck."""
    name, target = fault.target.name, cell.target
    if name in harness.called:
        if not any(effect.handler == name for each in harness.effects.values() for effect in each):
            return f"{name} raises by itself in this saga, so nothing else can happen to it"
        return f"{name} is called by this saga, but it never happens that it {fault.words}"
    leads = f", so {target.name} has no cause" if target and target.name != name else ""
    return f"this saga never calls {name}{leads}"


def _parameters(function: Callable[..., object] | None) -> list[str]:
    return list(inspect.signature(function).parameters) if function else []


def _ends(harness: Harness) -> list[str]:
    return harness.ends()


def _refuse_unknown(faults: Sequence[str]) -> None:
    for fault in faults:
        if fault not in KINDS:
            raise ConfigurationError(f"{fault!r} is no fault", hint=f"one of {', '.join(KINDS)}")
