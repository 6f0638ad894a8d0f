"""The failure matrix: what is in it, how it is called, and that a case that shows nothing says so."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from choreo import Aborted, Context, Participant, Saga, event
from choreo.errors import ConfigurationError
from choreo.testing import Violation, failure_matrix
from choreo.testing.cells import cells_of
from choreo.testing.faults import FAULTS
from examples.orders.contract import OrderCreated
from examples.orders.inventory import inventory
from examples.orders.orders import orders, place_order
from examples.scenarios.bank import scenario as bank
from examples.scenarios.orders import scenario

ROOT = Path(__file__).parents[2]
ORDER = OrderCreated("o-1", "ada", "apple", 2, 500, "12 Elm Street")


def kinds(names: list[str], handler: str) -> list[str]:
    """Return what can go wrong with a handler."""
    return [name.removeprefix(f"{handler}-") for name in names if name.startswith(f"{handler}-")]


def cell_named(matrix: Any, name: str) -> Any:
    """Return one of a matrix's cells."""
    return next(cell for cell in matrix.pytestmark[0].args[1] if cell.name == name)


def test_every_handler_of_order_fulfilment_meets_every_fault_that_makes_sense() -> None:
    """Step by step: what is missing makes no sense."""
    names = [cell.name for cell in cells_of(scenario.participants) if not cell.is_release]
    every = [kind for kind in FAULTS if kind != "lost_reply"]  # none of them has effects outside
    for step in ("reserve_inventory", "process_payment", "create_shipment"):
        assert kinds(names, step) == every
    no_time = [kind for kind in every if kind not in ("timeout", "late_reply", "late_timeout")]
    assert kinds(names, "send_confirmation") == no_time  # it is retriable
    for undo in ("release_reservation", "refund_payment", "fail_order"):
        assert kinds(names, undo) == no_time
    no_event = [kind for kind in no_time if kind not in ("takeover", "duplicate", "poison")]
    assert kinds(names, "cancel_shipment") == no_event  # called by a deadline, and no event of a step
    silent = [kind for kind in no_time if kind != "crash_before_publish"]
    for observer in ("close_order", "send_cancellation_notice"):
        assert kinds(names, observer) == silent


def test_a_step_whose_compensation_admits_no_deadline_is_never_late() -> None:
    """Nobody could set one on it: credit_back has no `Aborted` in its annotations; debit_back has."""
    names = [cell.name for cell in cells_of(bank.participants)]
    assert "debit_source-late_reply" not in names
    assert "credit_destination-late_reply" in names
    assert "credit_is_late-crash_before_commit" in names
    assert "settle-late_reply" not in names  # a pivot


def test_a_case_is_chosen_by_its_name() -> None:
    """`pytest -k reserve_inventory-timeout` runs one."""
    command = [sys.executable, "-m", "pytest", "-q", "tests/examples", "-k", "reserve_inventory-timeout"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert "1 passed" in run.stdout, run.stdout + run.stderr


def test_what_is_never_reached_is_skipped_and_says_so() -> None:
    """Who orders too many pears never gets to the shipment."""

    @failure_matrix(*scenario.participants)
    def pears() -> None:
        place_order(OrderCreated("o-1", "ada", "pear", 50, 500, "12 Elm Street"))

    with pytest.raises(pytest.skip.Exception, match=r"^this saga never calls shipping\.create_shipment$"):
        pears(choreo_cell=cell_named(pears, "create_shipment-crash_before_commit"))  # type: ignore[call-arg]


def test_an_invariant_that_is_hurt_fails_the_case() -> None:
    """By raising, or by giving False; it may take fixtures, which the test then has."""

    def never(databases: Mapping[str, Any], tmp_path: Path) -> bool:
        return tmp_path != Path() if not databases else False

    @failure_matrix(orders, inventory, invariant=never, faults=["permanent"])
    def order(harness: Any) -> None:
        harness.start(ORDER, "o-1")

    assert list(order.__signature__.parameters) == ["choreo_cell", "tmp_path"]  # type: ignore[attr-defined]
    with pytest.raises(Violation, match="never does not hold"):
        order(choreo_cell=cell_named(order, "fail_order-permanent"), tmp_path=Path())  # type: ignore[call-arg]


def test_a_function_that_starts_no_saga_is_refused() -> None:
    """It would pass for ever, and show nothing."""

    @failure_matrix(orders, inventory)
    def nothing() -> None: ...

    with pytest.raises(ConfigurationError, match="nothing has started no saga"):
        nothing(choreo_cell=cell_named(nothing, "calm"))  # type: ignore[call-arg]


def test_an_unknown_fault_is_refused() -> None:
    """The hint says which there are."""
    with pytest.raises(ConfigurationError, match="one of permanent, transient"):
        failure_matrix(orders, faults=["earthquake"])


def test_a_case_may_go_a_random_way() -> None:
    """The same each time."""

    @failure_matrix(*scenario.participants, seed=7)
    def order() -> None:
        place_order(ORDER)

    order(choreo_cell=cell_named(order, "process_payment-duplicate"))  # type: ignore[call-arg]


@event(namespace="kiosk")
class Asked:
    what: str


@event(namespace="kiosk")
class Sold:
    what: str


@event(namespace="kiosk")
class NotSold:
    what: str
    reason: str


@event(namespace="kiosk")
class TakenBack:
    what: str


@event(namespace="kiosk")
class Served:
    what: str


@event(namespace="kiosk")
class NotServed:
    what: str


def kiosk(compensation_works: bool = True, counts: list[str] | None = None) -> Participant:
    """Make a participant that does the whole saga, well or badly."""
    sale = Saga("sale", starts=Asked, completes=Served, fails=NotServed)
    made = Participant(
        "kiosk", sagas=[sale], prepare=lambda db: db.execute("create table if not exists sold (x)")
    )

    @made.action(fails=NotSold, timeout=timedelta(minutes=1))
    def sell(event: Asked, ctx: Context) -> Sold:
        ctx.db.execute("insert into sold values (?)", [event.what])
        return Sold(event.what)

    @made.compensation(of=sell)
    def take_back(event: Aborted, sold: Sold, ctx: Context) -> TakenBack:
        if compensation_works:
            ctx.db.execute("delete from sold")
        return TakenBack(sold.what)

    @made.action(kind="retriable")
    def serve(event: Sold, ctx: Context) -> Served:
        if counts is not None:
            counts.append(event.what)
        return Served(event.what)

    @made.compensation(of=sale.start)
    def apologize(event: NotSold | TakenBack, asked: Asked, ctx: Context) -> NotServed:
        return NotServed(asked.what)

    return made


def sold_is_served(databases: Mapping[str, Any]) -> bool:
    db = databases["kiosk"]
    served = db.execute("select count(*) from saga_log where event_type = 'kiosk.Served'").fetchone()[0]
    return db.execute("select count(*) from sold").fetchone()[0] == bool(served)


@pytest.mark.parametrize("works", [True, False])
def test_a_compensation_that_undoes_nothing_is_found(works: bool) -> None:
    """By the service's own invariant, in the cases in which it is called."""
    made = kiosk(works)

    @failure_matrix(made, invariant=sold_is_served)
    def sale(harness: Any) -> None:
        harness.start(Asked("tea"), "s-1")

    broken = []
    for cell in sale.pytestmark[0].args[1]:  # type: ignore[attr-defined]
        try:
            sale(choreo_cell=cell)  # type: ignore[call-arg]
        except Violation:
            broken.append(cell.name)
    assert ("sell-late_reply" in broken, bool(broken)) == (not works, not works)
