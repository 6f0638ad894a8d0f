"""``choreo run`` in processes of its own, on the embedded broker."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from choreo import connect
from choreo.project.modules import load_participant
from choreo.store.sqlite.store import SQLiteStore
from tests.cli.command import Running, execute
from tests.cli.conftest import WriteModule, quiz


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_ends_it_gracefully(
    write_module: WriteModule, folder: Path, number: signal.Signals
) -> None:
    with Running("run", f"{write_module(quiz())}:sage", "--embedded", folder=folder) as run:
        run.wait_for("sage is live")
        run.signal(number)
        assert run.exit_code() == 0
        assert "sage: stopped" in run.stdout
        assert f"{number.name}: finishing the turn" in run.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_it_at_once(
    write_module: WriteModule, folder: Path, number: signal.Signals
) -> None:
    stuck = "print('stuck', flush=True); __import__('threading').Event().wait()"
    target = f"{write_module(quiz(prepare=stuck))}:sage"
    with Running("run", target, "--embedded", folder=folder) as run:
        run.wait_for("stuck")
        run.signal(number)
        run.wait_for("once more to stop at once")
        assert run.is_running()
        run.signal(number)
        assert run.exit_code() == 128 + number
        assert f"{number.name} again: stopped at once" in run.stderr


def test_the_start_says_what_is_used(write_module: WriteModule, folder: Path) -> None:
    target = f"{write_module(quiz('riddles'))}:sage"
    with Running("run", target, "--embedded", folder=folder) as run:
        run.wait_for("sage is live")
        line = re.search(r"sage: store sage\.db, cluster (\S+) at 127.*, topics riddles", run.stdout)
        assert line, run.stdout


def test_the_start_says_that_no_saga_is_started(write_module: WriteModule, folder: Path) -> None:
    """In one line, beside the line of what is used."""
    with Running(
        "run", f"{write_module(quiz())}:sage", "--embedded", "--no-starts", folder=folder, name="draining"
    ) as run:
        run.wait_for("sage is live")
        assert run.stdout.splitlines()[-1] == "sage: starts no sagas (--no-starts)"


def test_others_can_join_an_embedded_broker(folder: Path) -> None:
    """Two participants in two processes: the second joins the broker of the first.

    There is no lock: what calls the compensations is read from the modules of the project.
    """
    (folder / "pyproject.toml").write_text('[tool.choreo]\nmodules = ["examples.orders"]\n')
    with Running(
        "run", "examples.orders.inventory:inventory", "--embedded", folder=folder, name="first"
    ) as first:
        first.wait_for("inventory is live")
        found = re.search(r"--bootstrap (\S+)", first.stdout)
        assert found
        target = "examples.orders.orders:orders"
        options = ("--embedded", "--bootstrap", found[1])
        with Running("run", target, *options, folder=folder, name="second") as second:
            second.wait_for("orders is live")
            orders = load_participant(target)
            connect(orders, folder / "orders.db")
            from examples.orders.contract import OrderCreated
            from examples.orders.orders import place_order

            place_order(OrderCreated("o-1", "ada", "pear", 50, 500, "12 Elm Street"))
            store = SQLiteStore(folder / "orders.db")
            while not any(entry.saga_state == "failed" for entry in store.history("o-1")):
                assert second.is_running()
            store.close()
            for run in (second, first):
                run.signal(signal.SIGTERM)
                assert run.exit_code() == 0


def test_a_defect_keeps_its_traceback(write_module: WriteModule, folder: Path) -> None:
    target = f"{write_module(quiz(prepare='raise ZeroDivisionError'))}:sage"
    done = execute("run", target, "--embedded", folder=folder)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert "Traceback" in done.stderr
