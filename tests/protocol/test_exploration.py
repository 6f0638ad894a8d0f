"""Every interleaving of small sagas, with every check on every path; the number of states is asserted."""

from __future__ import annotations

import itertools
import os
from typing import Any

import pytest

from choreo.envelope import Envelope
from choreo.outcome import COMPENSATABLE, COMPENSATED, FAILED
from choreo.protocol import Instance, Role, Trigger, events, steps
from choreo.protocol.decisions import Answer

from . import sagas
from .explore import Budget, Machine, Violation, explore
from .sagas import Saga, chain

SHAPES = {
    saga.name: saga
    for saga in (
        chain(1),
        chain(2),
        chain(3),
        sagas.JOIN,
        sagas.LEAF,
        sagas.PIVOT_LAST,
        sagas.PIVOT_MIDDLE,
        sagas.RETRIABLE_TAIL,
        sagas.RETRIABLE_FORK,
        sagas.CHOICE,
        sagas.BYPASS,
        sagas.MERGE,
        sagas.SHORTCUT,
        sagas.CHOICE_INTO_JOINS,
        sagas.IMPORT_IN_JOIN,
        sagas.IMPORT_BRANCH,
        sagas.IMPORT_ROW,
        sagas.IMPORT_LEAF,
    )
}

TROUBLES = {
    "nothing": Budget(),
    "failure": Budget(failures=1),
    "deadline": Budget(deadlines=1),
    "cancellation": Budget(cancellations=1),
    "partial": Budget(failures=1, pauses=1),
    "dead letter": Budget(failures=1, dead_letters=1),
}

# For each trouble, in that order: states with the handlers inside the local transaction, and outside it.
COUNTS = {
    "chain-1": ((9, 10), (17, 19), (90, 112), (45, 51), (56, 68), (40, 45)),
    "chain-2": ((16, 18), (41, 46), (370, 454), (104, 120), (162, 195), (108, 121)),
    "chain-3": ((25, 28), (79, 88), (968, 1175), (195, 225), (334, 395), (217, 241)),
    "join": ((54, 71), (308, 381), (7713, 11780), (1551, 2278), (1587, 2122), (996, 1208)),
    "leaf": ((83, 121), (580, 809), (12699, 21339), (1314, 1914), (3329, 5090), (2055, 2756)),
    "pivot-last": ((16, 18), (41, 46), (178, 220), (104, 120), (111, 132), (108, 121)),
    "pivot-middle": ((25, 28), (55, 61), (308, 380), (155, 180), (144, 168), (142, 157)),
    "retriable-tail": ((16, 18), (26, 29), (178, 220), (81, 94), (79, 94), (61, 68)),
    "retriable-fork": ((70, 90), (84, 105), (0, 0), (396, 540), (180, 245), (213, 260)),
    "choice": ((50, 55), (162, 178), (2716, 3232), (401, 458), (692, 802), (449, 492)),
    "bypass": ((37, 41), (109, 121), (1468, 1767), (272, 312), (457, 539), (299, 331)),
    "merge": ((124, 183), (872, 1247), (16533, 27282), (1934, 2906), (5475, 8544), (3152, 4312)),
    "shortcut": ((25, 28), (84, 93), (1320, 1626), (290, 341), (359, 420), (232, 256)),
    "choice-into-joins": (
        (159, 194),
        (1882, 2387),
        (66786, 96477),
        (11147, 15481),
        (10030, 13693),
        (6059, 7585),
    ),
    "import-in-join": ((38, 45), (147, 175), (2072, 2684), (604, 745), (659, 833), (428, 505)),
    "import-branch": ((94, 126), (729, 1003), (15994, 25470), (3402, 5297), (3998, 6042), (2454, 3294)),
    "import-row": ((181, 254), (2758, 4042), (44712, 72264), (13300, 20741), (12998, 20727), (9699, 13755)),
    "import-leaf": ((167, 246), (1653, 2553), (30419, 52888), (3178, 4954), (9982, 16986), (6055, 8908)),
}


LARGE = [
    *(("choice-into-joins", trouble) for trouble in ("deadline", "cancellation", "partial")),
    *((shape, "deadline") for shape in ("import-branch", "merge", "leaf")),
    *(("import-row", trouble) for trouble in ("deadline", "cancellation", "partial", "dead letter")),
    *(("import-leaf", trouble) for trouble in ("deadline", "partial", "dead letter")),
]
"""What takes most of the time of this file: explored with ``CHOREO_FUZZ=1`` only."""


def compensatable(saga: Saga) -> list[str]:
    return [step.name for step in saga.steps if step.kind == COMPENSATABLE]


def variants(saga: Saga, trouble: str) -> list[Saga]:
    """Return what is explored: with deadlines, the saga once for each, near and far, that it may have."""
    if trouble == "deadline":
        return [saga.with_watch(name, far) for name in compensatable(saga) for far in (False, True)]
    if trouble == "partial":
        return [saga.with_partial(*compensatable(saga))]
    return [saga]


@pytest.mark.parametrize(
    ("name", "trouble"),
    [
        pair
        for pair in itertools.product(SHAPES, TROUBLES)
        if pair not in LARGE or os.environ.get("CHOREO_FUZZ")
    ],
)
def test_every_interleaving_ends_well(name: str, trouble: str) -> None:
    """Whatever goes wrong, and whenever: one end, agreed by all, and what was done is undone in order."""
    sagas_now = variants(SHAPES[name], trouble)
    found = tuple(
        sum(explore(Machine(saga, outside=outside), TROUBLES[trouble]).states for saga in sagas_now)
        for outside in (False, True)
    )
    assert found == COUNTS[name][list(TROUBLES).index(trouble)]


DEEPER = [
    (chain(2).with_partial("A", "B"), Budget(failures=2, cancellations=1, pauses=1), 1036),
    (chain(2).with_watch("B").with_watch("A", far=True), Budget(failures=1, deadlines=2), 862),
    (chain(2).with_watch("B", far=True), Budget(1, 1, 1, 1, 1), 13437),
    (sagas.JOIN, Budget(failures=2, cancellations=1), 4502),
    (sagas.JOIN.with_watch("C", far=True), Budget(failures=1, deadlines=1), 5611),
    (sagas.PIVOT_MIDDLE.with_watch("A"), Budget(failures=1, deadlines=1, cancellations=1), 2454),
    (chain(2).with_watch("B"), Budget(deadlines=1, repeats=2), 10433),
]


@pytest.mark.parametrize(("saga", "budget", "states"), DEEPER, ids=lambda value: getattr(value, "name", None))
def test_several_troubles_at_once_end_well(saga: Saga, budget: Budget, states: int) -> None:
    """Two failures, deadlines and cancellations together, dead letters, and a second relay."""
    assert explore(Machine(saga, outside=True), budget).states == states


@pytest.mark.parametrize(
    ("saga", "budget", "states"),
    [
        (chain(1), Budget(failures=1, cancellations=1), 189),
        (chain(2), Budget(failures=1), 212),
        (chain(1).with_watch("A"), Budget(deadlines=1), 94),
        (chain(2).with_watch("B", far=True), Budget(deadlines=1), 797),
        (sagas.RETRIABLE_TAIL, Budget(cancellations=1), 582),
        (sagas.MERGE, Budget(), 2398),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_the_reduction_loses_nothing(saga: Saga, budget: Budget, states: int) -> None:
    """Without any reduction the worlds where all is over are the same: the same logs, the same effects."""
    naive = explore(Machine(saga, reduce=False), budget)
    reduced = explore(Machine(saga), budget)
    assert naive.states == states
    assert naive.last == reduced.last
    assert set(naive.ends) == set(reduced.ends)


def test_who_starts_and_is_refused_at_once_still_ends() -> None:
    """The first step fails: the saga is over, and not compensating for ever."""
    assert explore(Machine(chain(1)), Budget(failures=1)).ends == {"completed": 1, "failed": 1}


def test_with_nothing_wrong_every_saga_completes() -> None:
    """No interleaving of a good run fails."""
    for saga in SHAPES.values():
        assert set(explore(Machine(saga), Budget()).ends) == {"completed"}


# Each rule is needed: without it, the explorer finds what goes wrong.


def finds(saga: Saga, budget: Budget, complaint: str) -> None:
    with pytest.raises(Violation, match=complaint):
        explore(Machine(saga, outside=True), budget)


def test_without_the_first_outcome_a_late_success_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """R3 off: the saga is failed, and the step after the one that was too late runs all the same."""

    def every_outcome_counts(role: Role, saga: Instance, event: Envelope) -> bool:
        return not saga.end

    monkeypatch.setattr(events, "_counts", every_outcome_counts)
    finds(
        chain(2).with_watch("A"),
        Budget(deadlines=1),
        "R3|complete-rollback|reverse-order|disagree|is published twice",
    )


def test_without_the_abort_a_step_runs_beside_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """R4 off: nobody is refused, so a join waits for ever for its other half."""
    monkeypatch.setattr(Instance, "aborted", property(lambda saga: False))
    finds(sagas.JOIN, Budget(failures=1), "termination|R5")


def test_without_refused_joins_a_branch_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """R4 half off: a join that was half filled at the abort never answers the branch that filled it."""
    monkeypatch.setattr(steps, "refuse_waiting", lambda role, saga, out: None)
    finds(sagas.JOIN, Budget(failures=1), "termination")


def test_without_an_answer_the_rollback_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """R5 off: a refused step says nothing, and the step before it is never compensated."""
    monkeypatch.setattr(steps, "answer", lambda saga, action, out, reason: None)
    finds(chain(2), Budget(cancellations=1), "termination")


def test_without_confirming_a_timeout_the_rollback_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """R5 half off: who is refused after its timeout answers with a failure, and that is void."""

    def always_failed(saga: Instance, action: Any, out: list[Any], reason: str) -> None:
        out.append(Answer(action.step, FAILED, action.failure, reason))

    monkeypatch.setattr(steps, "answer", always_failed)
    finds(chain(2).with_watch("B"), Budget(deadlines=1), "termination|published twice")


def test_without_dedupe_a_repeated_event_is_answered_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """R2 off, with R3's word for it (an outcome that is there already is void): a second relay shows."""

    class Forgetful(dict[str | tuple[str, int], int]):
        def __setitem__(self, key: str | tuple[str, int], value: int) -> None: ...

        def copy(self) -> Forgetful:
            return self

    def forget(saga: Instance) -> Instance:
        twin = copy(saga)
        twin.seen = Forgetful()
        return twin

    def repeats_count(role: Role, saga: Instance, event: Envelope) -> bool:
        known = saga.compensated if event.outcome == COMPENSATED else saga.outcomes
        return not saga.end and (event.step not in known or event.type in saga.types)

    copy = Instance.copy
    monkeypatch.setattr(Instance, "copy", forget)
    monkeypatch.setattr(events, "_counts", repeats_count)
    finds(chain(2).with_watch("B"), Budget(deadlines=1, repeats=1), "published twice")


def test_without_the_vain_end_a_leaf_failure_completes(monkeypatch: pytest.MonkeyPatch) -> None:
    """R8 off: the saga completes although a branch beside it failed, and something was undone."""

    def every_end_counts(contract: Any, saga: Instance, event_type: str) -> bool:
        ends = {contract.completes: "completed", contract.fails: "failed"}
        saga.end = ends.get(event_type, saga.end)
        return True

    monkeypatch.setattr(events, "_ends_validly", every_end_counts)
    finds(sagas.LEAF, Budget(failures=1), "one-end|complete-rollback|reverse-order")


def test_without_reverse_edges_the_order_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """R7 off: every compensation is called by any failure, as textbook code does."""

    def any_failure(saga: Saga, result: str) -> Trigger:
        return Trigger.of(*(step.failure for step in saga.steps if step.can_fail))

    monkeypatch.setattr(Saga, "reverse_edges", any_failure)
    fresh = Saga("eager", chain(3).steps)
    finds(fresh, Budget(failures=1), "reverse-order")


def test_without_waiting_for_all_branches_the_order_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """R7 half off: one confirmed successor is enough, and the other branch is still to be undone."""

    def first_one(saga: Saga, result: str) -> Trigger:
        return Trigger.any_of(*(step.confirmed for step in saga.steps if result in step.on.types))

    monkeypatch.setattr(Saga, "reverse_edges", first_one)
    fresh = Saga("hasty", sagas.JOIN.steps)
    finds(fresh, Budget(failures=1), "reverse-order")
