"""``choreo dashboard``: what it refuses to serve, and that it ends at once."""

from __future__ import annotations

import signal
import socket
import sqlite3
import sys
import urllib.request
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from choreo.store.opening import open_store
from tests.cli.command import Running, assert_refused, invoke

TOKEN = "0123456789abcdef"


@pytest.fixture
def store(folder: Path) -> Path:
    open_store(folder / "one.db").close()
    return folder / "one.db"


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "10.0.0.1:9470", "shop.example:9470"])
def test_an_open_page_needs_a_token(store: Path, address: str) -> None:
    result = invoke("dashboard", "--listen", address)
    assert_refused(result.exit_code, result.stderr, "not of the loopback", "--token")


@pytest.mark.parametrize("token", [TOKEN[1:], f"{TOKEN}\n", f" {TOKEN}", f"{TOKEN}ß", "\t" * 20])
def test_a_token_that_nobody_could_give_is_refused(store: Path, token: str) -> None:
    """It is too short or, as one from a file with a line end, nothing that a field or a header can hold."""
    result = invoke("dashboard", "--token", token)
    assert_refused(result.exit_code, result.stderr, "16 characters")


def test_no_store_is_refused(folder: Path) -> None:
    result = invoke("dashboard")
    assert_refused(result.exit_code, result.stderr, "there is no store")
    result = invoke("dashboard", "--store", "none.db")
    assert_refused(result.exit_code, result.stderr, "there is no file none.db")


def test_a_module_that_is_none_is_refused(store: Path) -> None:
    result = invoke("dashboard", "no_such_module")
    assert_refused(result.exit_code, result.stderr, "no_such_module")


def test_an_address_in_use_is_refused(store: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = invoke("dashboard", "--listen", str(taken.getsockname()[1]))
    assert_refused(result.exit_code, result.stderr, "can't listen on 127.0.0.1", "--listen")


def test_a_missing_library_is_said(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "choreo.dashboard.server", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = invoke("dashboard")
    assert_refused(result.exit_code, result.stderr, "choreo-saga[dashboard]")


def test_it_ends_though_a_store_is_waited_for(store: Path, folder: Path) -> None:
    """One that somebody has locked: a view that waits for it is not waited for, and no error is told."""
    with Running("dashboard", "--listen", "0", folder=folder) as running, ExitStack() as stack:
        running.wait_for("end it with Ctrl-C")
        address = running.stdout.split()[0]
        locking = stack.enter_context(closing(sqlite3.connect(store, isolation_level=None)))
        locking.execute("PRAGMA locking_mode = EXCLUSIVE")
        locking.execute("BEGIN EXCLUSIVE")
        host, _, port = address.split("/")[2].partition(":")
        waiting = stack.enter_context(socket.create_connection((host, int(port))))
        waiting.sendall(f"GET /sagas HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        with urllib.request.urlopen(f"{address}dashboard.css", timeout=20) as answer:
            assert answer.status == 200
        running.signal(signal.SIGTERM)
        assert running.exit_code() == 0
        assert waiting.recv(1) == b""
        assert "Traceback" not in running.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_with_open_streams(store: Path, folder: Path, number: signal.Signals) -> None:
    """In order, however many browsers are told of changes."""
    with Running("dashboard", "--listen", "0", folder=folder) as running, ExitStack() as open_streams:
        running.wait_for("end it with Ctrl-C")
        address = running.stdout.split()[0]
        with urllib.request.urlopen(f"{address}participants", timeout=20) as answer:
            assert answer.status == 200
            assert "server" not in {name.lower() for name in answer.headers}
        for _ in range(3):
            stream = open_streams.enter_context(urllib.request.urlopen(f"{address}changes", timeout=20))
            assert stream.readline() == b"retry: 1000\n"
        running.signal(number)
        assert running.exit_code() == 0
        assert "Traceback" not in running.stderr
