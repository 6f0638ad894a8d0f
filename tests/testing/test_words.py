"""What a test that fails, or shows nothing, says: the user's words, and the timeline of the saga."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from choreo.store.sqlite.store import SQLiteStore
from choreo.testing import Simulation, Violation, explore, failure_matrix, saga_machine
from choreo.testing.faults import FAULTS
from examples.orders.contract import OrderCreated
from examples.orders.orders import place_order
from examples.scenarios.orders import scenario
from tests.testing.test_matrix import Asked, kiosk

ORDER = OrderCreated("o-1", "ada", "apple", 2, 500, "12 Elm Street")
PEARS = OrderCreated("o-1", "ada", "pear", 50, 500, "12 Elm Street")
TIMELINE = re.compile(
    r"^order-fulfilment  \S+  (completed|failed|pending)[^\n]*\n\n *\+0 ms +orders ", re.MULTILINE
)


REASON = (
    r"this saga never calls [\w.]+(, so [\w.]+ has no cause)?"
    r"|[\w.]+ raises by itself in this saga, so nothing else can happen to it"
)


def place() -> None:
    place_order(ORDER)


def is_false(databases: Mapping[str, Any]) -> bool:
    return False


def asserts(databases: Mapping[str, Any]) -> None:
    assert len(databases) == 7


def raises(databases: Mapping[str, Any]) -> Any:
    return databases["nobody"]


def fails_at_once(harness: Any) -> None:
    place()
    harness.run()
    assert harness.ends() == ["failed"]


def ends_otherwise(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("choreo.testing.matrix._HARMLESS", ())
    patch.setattr("choreo.testing.matrix._FAIL", tuple(FAULTS))
    patch.setattr("choreo.testing.matrix._ends", lambda harness: ["pending"])


def outbox_stays(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SQLiteStore, "acknowledge", lambda store, seqs: None)


def never_rests(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("choreo.testing.simulation.Simulation.__init__", impatient(Simulation.__init__))


def impatient(init: Any) -> Any:
    return lambda *given, **named: init(*given, **named, most_moves=20)


def untouched(patch: pytest.MonkeyPatch) -> None:
    pass


WAYS_TO_FAIL: list[tuple[Callable[..., Any], Callable[..., Any] | None, Callable[..., None]]] = [
    (place, is_false, untouched),
    (place, asserts, untouched),
    (place, raises, untouched),
    (fails_at_once, None, untouched),
    (place, None, ends_otherwise),
    (place, None, outbox_stays),
    (place, None, never_rests),
]


@pytest.mark.parametrize(("begin", "invariant", "breaks"), WAYS_TO_FAIL)
def test_whatever_fails_in_a_matrix_shows_the_timeline_once(
    begin: Any, invariant: Any, breaks: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the first line says what is wrong."""
    breaks(monkeypatch)
    matrix: Any = failure_matrix(*scenario.participants, invariant=invariant)(begin)
    (cell,) = [each for each in matrix.pytestmark[0].args[1] if each.name == "reserve_inventory-transient"]
    with pytest.raises((AssertionError, KeyError)) as raised:
        matrix(choreo_cell=cell)
    told = "".join(traceback.format_exception_only(raised.value))
    assert len(TIMELINE.findall(told)) == 1, told
    assert "inventory.reserve_inventory raises once" in told
    assert "order-fulfilment  " not in told.splitlines()[0]


@pytest.mark.parametrize("invariant", [is_false, asserts])
def test_an_exploration_and_a_machine_show_it_too(invariant: Any) -> None:
    """With the schedule, or the steps, that lead there; an invariant may assert as well."""
    with pytest.raises(Violation) as raised:
        explore(*scenario.participants, begin=place, invariant=invariant)
    assert len(TIMELINE.findall(str(raised.value))) == 1
    assert 'schedule="' in str(raised.value)
    machine: Any = saga_machine(*scenario.participants, invariant=invariant)()
    machine.harness.start(ORDER)
    with pytest.raises(AssertionError) as failed:
        machine.teardown()
    assert len(TIMELINE.findall("".join(traceback.format_exception_only(failed.value)))) == 1


def test_a_skip_says_which_handler_is_not_called() -> None:
    """Never a name of the kit's own, and never just that there is nothing."""
    classes = "|".join(fault.__name__ for fault in FAULTS.values())

    @failure_matrix(*scenario.participants)
    def pears() -> None:
        place_order(PEARS)

    reasons = []
    for cell in pears.pytestmark[0].args[1]:  # type: ignore[attr-defined]
        try:
            pears(choreo_cell=cell)  # type: ignore[call-arg]
        except pytest.skip.Exception as skipped:
            reasons.append(str(skipped))
    assert len(reasons) > 20
    for reason in reasons:
        assert re.fullmatch(REASON, reason), reason
        assert not re.search(rf"({classes})\(", reason)


def test_every_fault_has_words_of_its_own() -> None:
    assert len({fault.words for fault in FAULTS.values()} - {""}) == len(FAULTS)


def test_a_violation_names_steps_and_not_tables() -> None:
    """A service that undoes nothing: the first line is a sentence on it."""
    made = kiosk(compensation_works=False)

    @failure_matrix(
        made, invariant=lambda databases: not databases["kiosk"].execute("select 1 from sold").fetchall()
    )
    def sale(harness: Any) -> None:
        harness.start(Asked("tea"), "s-1")

    with pytest.raises(Violation, match=r"^<lambda> does not hold\n") as raised:
        sale(choreo_cell=sale.pytestmark[0].args[1][0])  # type: ignore[attr-defined, call-arg]
    assert "sell" in str(raised.value)
