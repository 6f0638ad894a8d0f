"""``choreo demo``: the whole example, and its timelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from choreo.cli.demo import command
from choreo.cli.demo.stage import DemoFailed, Stage
from choreo.cli.demo.timeline import Line, timeline
from choreo.cli.scenario import Check, Scenario, Story
from choreo.kafka import EmbeddedBroker
from choreo.ports import Entry
from examples.orders.scenario import scenario
from tests.cli.command import execute


def test_the_demo_tells_every_saga_and_balances(folder: Path) -> None:
    done = execute("demo", folder=folder, env={"TMPDIR": str(folder)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "✗" not in done.stdout
    for told in (
        "saga order-1 completed",
        "InventoryUnavailable (not enough pear in stock)",
        "PaymentFailed (insufficient funds)",
        "ShipmentFailed (no carrier goes there)",
        "ConnectionError: will be tried again",
        "saga order-5-slow completed",
        "money: ada, bob and the shop have together what they had",
    ):
        assert told in done.stdout
    assert list(folder.iterdir()) == [], "the demo leaves nothing behind"


def test_the_demo_undoes_in_reverse_order(folder: Path) -> None:
    told = execute("demo", "orders", folder=folder).stdout
    saga = told[told.index("No carrier goes there") : told.index("saga order-4")]
    undone = [line.split()[2] for line in saga.splitlines() if "compensated" in line]
    assert undone == ["payments", "inventory", "orders"]


def test_the_demo_of_a_trip_tells_of_what_runs_in_parallel(folder: Path) -> None:
    done = execute("demo", "travel", folder=folder, env={"TMPDIR": str(folder)})
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "✗" not in done.stdout
    for told in (
        "saga trip-1 completed",
        "RoomUnavailable (no room free in the Seaview)",
        "TripNotPaid (not enough money)",
        "SeatTimedOut",
        "gave up after 3 attempts: ConnectionError",
        "TripCancelled",
        "the airline keeps seats for booked trips only: 1 seats",
    ):
        assert told in done.stdout
    assert list(folder.iterdir()) == [], "the demo leaves nothing behind"


def test_the_demo_of_a_bank_transfer_comes_to_the_point_of_no_return(folder: Path) -> None:
    done = execute("demo", "bank", folder=folder)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "✗" not in done.stdout
    for told in (
        "SettlementRefused (the account of mallory is frozen)",
        "19,999,975,410 + 24,690 = 20,000,000,100 cents",
        "no transfer is half done: 2 done, 2 void",
    ):
        assert told in done.stdout


def test_a_saga_that_ends_otherwise_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    story = Story("An order that succeeds", scenario.stories[0].begin, "failed")
    wrong = Check("something balances", "it does not", False)
    shown = scenario._replace(stories=[story], balance=lambda databases: [wrong])
    assert command._show(shown) is False
    told = capsys.readouterr().out
    assert "✗ saga order-1 completed" in told
    assert "but should have failed" in told
    assert "✗ something balances: it does not" in told


def test_a_saga_that_does_not_end_is_an_error(embedded_broker: EmbeddedBroker, folder: Path) -> None:
    inventory = Scenario([scenario.participants[1]], [], lambda databases: [])
    with Stage(inventory.participants, embedded_broker.bootstrap, folder, deadline=5) as stage:
        stage._deadline = 0.1
        with pytest.raises(DemoFailed, match="has not ended") as caught:
            stage.wait_for_end("nobody-started-it")
    assert caught.value.exit_code == 1


def entry(at: int, step: str, told: str = "", **fields: Any) -> Entry:
    return Entry("s-1", "quiz", 1, "started", at, told, step, "pending", "completed", **fields)


def test_a_timeline_tells_each_step_once_by_its_owner() -> None:
    start: dict[str, Any] = {"event_id": "e1", "event_type": "quiz.Asked", "offset": 0}
    answer: dict[str, Any] = {"event_id": "e2", "event_type": "quiz.Answered", "offset": 1}
    histories = {
        "sage": [
            entry(1003, "start", "event", **start),
            entry(1003, "sage.ponder", "begin")._replace(new_state="pending"),
            entry(1004, "sage.ponder", "deferred", note="TimeoutError"),
            entry(1005, "sage.ponder", "ended", **{**answer, "offset": -1}, causation_id="e1"),
            entry(1007, "sage.ponder", "event", **answer),
        ],
        "host": [
            entry(1000, "start", "ended", **{**start, "offset": -1}),
            entry(1002, "start", "event", **start),
            entry(1008, "sage.ponder", "event", **answer),
            entry(1008, "host.applaud", "observed"),
        ],
    }
    moves = ("pending", "completed")
    assert timeline(histories) == [
        Line(0, "host", "start", *moves, "Asked"),
        Line(4, "sage", "ponder", *moves, "TimeoutError: will be tried again"),
        Line(5, "sage", "ponder", *moves, "Answered"),
        Line(8, "host", "applaud", *moves, "on Answered"),
    ]
