"""``choreo run --replicas``, as far as it needs no cluster: what is refused, and what a supervisor does."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from choreo.cli import main
from choreo.cli.supervisor import REPLICA, Replica, Supervisor, number_of_this

RUN = ("run", "tests.scenarios.replicated:payee", "--bootstrap", "127.0.0.1:1")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--replicas", "2"), "--replicas 2: the SQLite store {store} serves one worker"),
        (("--instance", "a"), "--instance a: the SQLite store {store} serves one worker"),
        (("--replicas", "0"), "Invalid value for '--replicas'"),
        (("--replicas", "many"), "Invalid value for '--replicas'"),
    ],
)
def test_replicas_that_can_not_be_are_refused_in_one_line(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    """Before anything is opened or started."""
    store = tmp_path / "payments.db"
    done = CliRunner().invoke(main, [*RUN, "--store", str(store), *options])
    assert done.exit_code == 2
    assert said.format(store=store) in done.output
    assert not store.exists()


def test_replicas_on_a_broker_inside_of_each_are_refused() -> None:
    """They would be replicas of nothing."""
    address = "postgresql:///none?host=/nowhere"
    done = CliRunner().invoke(main, [*RUN[:2], "--embedded", "--store", address, "--replicas", "2"])
    assert done.exit_code == 2
    assert "--replicas: an embedded broker is inside of one process" in done.output


def _supervisor(code: str, monkeypatch: pytest.MonkeyPatch, count: int = 2) -> Supervisor:
    supervisor = Supervisor("shop", count)
    for each in supervisor._replicas:
        monkeypatch.setattr(each, "_command", [sys.executable, "-c", code])
    return supervisor


def test_a_replica_that_is_refused_at_its_first_start_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its exit code; the other one is stopped, and was not refused."""
    code = f"""
import os, sys
sys.exit(2) if os.environ[{REPLICA!r}] == "2" else sys.stdin.read()
"""
    assert _supervisor(code, monkeypatch).run() == 2


def test_a_replica_that_ends_is_started_again_later_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its exit code is, once it was not refused at its first start."""
    code = f"""
import os, sys
with open({str(tmp_path / "starts")!r}, "a") as file:
    file.write("start\\n")
sys.exit(2 if os.path.getsize({str(tmp_path / "starts")!r}) > 6 else 1)
"""
    supervisor = _supervisor(code, monkeypatch, 1)
    pauses: list[float] = []
    put_off: Callable[[Replica], float] = Replica.put_off

    def noted(replica: Replica) -> float:
        pauses.append(put_off(replica))
        replica.is_due_at = time.monotonic()
        if len(pauses) == 9:
            supervisor._stopping.set()
        return pauses[-1]

    monkeypatch.setattr(Replica, "put_off", noted)
    assert supervisor.run() == 0
    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]


def test_what_a_replica_starts_is_no_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told once."""
    monkeypatch.setenv(REPLICA, "3")
    assert number_of_this() == 3
    assert number_of_this() == 0
