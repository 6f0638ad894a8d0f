"""``choreo demo``: the whole example, and its timelines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from choreo.cli.demo import command
from choreo.cli.demo.runner import DemoFailed, Runner
from choreo.kafka import EmbeddedBroker
from examples.scenarios import Case, Check, Scenario
from examples.scenarios.orders import scenario
from tests.cli.command import execute


def test_the_demo_shows_every_saga_and_balances(folder: Path) -> None:
    done = execute("demo", folder=folder, env={"TMPDIR": str(folder)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "✗" not in done.stdout
    for result in (
        "saga order-1 completed",
        "not enough pear in stock",
        "insufficient funds",
        "no carrier goes there",
        "attempt 2 failed: ConnectionError",
        "saga order-5-slow completed",
        "money: ada, bob and the shop have together what they had",
    ):
        assert result in done.stdout
    assert list(folder.iterdir()) == [], "the demo leaves nothing behind"


def test_the_demo_runs_on_postgresql(folder: Path, postgresql: str) -> None:
    """Each participant has a database there, which is dropped at the end."""
    done = execute("demo", "orders", "--store", postgresql, folder=folder, env={"TMPDIR": str(folder)})
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "✗" not in done.stdout
    assert "saga order-5-slow completed" in done.stdout
    with psycopg.connect(postgresql) as server:
        found = server.execute("select datname from pg_database where datname like 'choreo_notifications_%'")
        assert found.fetchall() == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("orders", "--store", "here"), "--store here is no address of a PostgreSQL server"),
        (("bank", "--store", "postgresql://db"), "the participants of bank write the SQL of SQLite"),
        (("orders", "--store", "postgresql://127.0.0.1:1/x"), "can't be reached"),
    ],
)
def test_a_store_that_is_not_for_the_demo_is_refused(folder: Path, words: tuple[str, ...], said: str) -> None:
    done = execute("demo", *words, folder=folder)
    assert done.returncode == 2
    assert said in done.stderr


def test_the_demo_undoes_in_reverse_order(folder: Path) -> None:
    result = execute("demo", "orders", folder=folder).stdout
    saga = result[result.index("No carrier goes there") : result.index("saga order-4")]
    undone = [line for line in saga.splitlines() if "→ compensated" in line]
    for line, participant in zip(undone, ["payments", "inventory", "orders"], strict=True):
        assert f"  {participant}  " in line


def test_the_demo_of_a_trip_shows_what_runs_in_parallel(folder: Path) -> None:
    done = execute("demo", "travel", folder=folder, env={"TMPDIR": str(folder)})
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "✗" not in done.stdout
    for result in (
        "saga trip-1 completed",
        "no room free in the Seaview",
        "not enough money",
        "SeatTimedOut",
        "gave up after 3 attempts: ConnectionError",
        "TripCancelled",
        "the airline keeps seats for booked trips only: 1 seats",
    ):
        assert result in done.stdout
    assert list(folder.iterdir()) == [], "the demo leaves nothing behind"


def test_the_demo_of_a_bank_transfer_comes_to_the_point_of_no_return(folder: Path) -> None:
    done = execute("demo", "bank", folder=folder)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "✗" not in done.stdout
    for result in (
        "the account of mallory is frozen",
        "19,999,975,410 + 24,690 = 20,000,000,100 cents",
        "no transfer is half done: 2 done, 2 void",
    ):
        assert result in done.stdout


def test_a_saga_that_ends_otherwise_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    case = Case("An order that succeeds", scenario.cases[0].begin, "failed")
    wrong = Check("something balances", "it does not", False)
    shown = replace(scenario, cases=[case], balance=lambda databases: [wrong])
    assert command._show(shown) is False
    result = capsys.readouterr().out
    assert "✗ saga order-1 completed" in result
    assert "but should have failed" in result
    assert "✗ something balances: it does not" in result


def test_a_saga_that_does_not_end_is_an_error(embedded_broker: EmbeddedBroker, folder: Path) -> None:
    inventory = Scenario([scenario.participants[1]], [], lambda databases: [])
    places = {each.name: folder / f"{each.name}.db" for each in inventory.participants}
    with Runner(inventory.participants, embedded_broker.bootstrap, places, deadline=5) as runner:
        runner._deadline = 0.1
        with pytest.raises(DemoFailed, match="has not ended") as caught:
            runner.wait_for_end("nobody-started-it")
    assert caught.value.exit_code == 1
