"""The pages of a worker over HTTP: what is asked in any way is answered, and nothing keeps others waiting."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection

import pytest

from choreo.errors import ConfigurationError
from choreo.monitor import admin
from choreo.monitor.admin import Page, health, serving
from choreo.monitor.health import Answer


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    """Serve two pages, and return where."""
    pages = {"/livez": health(lambda: Answer(True, "fine")), "/readyz": health(lambda: Answer(False, "no"))}
    with serving("127.0.0.1", 0, pages) as where:
        host, _, port = where.rpartition(":")
        yield host, int(port)


def ask(address: tuple[str, int], path: str, method: str = "GET") -> tuple[int, str]:
    """Return the status and the body of an answer."""
    with closing(HTTPConnection(*address, timeout=10)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/livez", 200, "fine\n"),
        ("GET", "/livez?verbose", 200, "fine\n"),
        ("GET", "/readyz", 503, "no\n"),
        ("HEAD", "/livez", 200, ""),
        ("GET", "/", 404, "there are /livez, /readyz\n"),
        ("GET", "/../livez", 404, "there are /livez, /readyz\n"),
    ],
)
def test_pages(address: tuple[str, int], method: str, path: str, status: int, body: str) -> None:
    assert ask(address, path, method) == (status, body)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE"])
def test_nothing_can_be_changed(address: tuple[str, int], method: str) -> None:
    assert ask(address, "/livez", method)[0] == 501


def test_clients_that_say_nothing_do_not_keep_a_probe_waiting(address: tuple[str, int]) -> None:
    """Up to the number that is answered at the same time; beyond it, a client is turned away at once."""
    with ExitStack() as stack:
        for _ in range(15):
            stack.enter_context(closing(socket.create_connection(address)))
        assert ask(address, "/livez") == (200, "fine\n")
    with ExitStack() as stack:
        for _ in range(32):
            stack.enter_context(closing(socket.create_connection(address)))
        turned_away = stack.enter_context(closing(socket.create_connection(address, timeout=4)))
        assert turned_away.recv(1) == b""


def test_a_page_that_fails_ends_its_request_alone(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Page:
        raise RuntimeError("broken")

    with serving("127.0.0.1", 0, {"/a": broken, "/b": lambda: Page(200, "b")}) as where:
        host, _, port = where.rpartition(":")
        address = (host, int(port))
        assert ask(address, "/a")[0] == 500
        assert ask(address, "/b") == (200, "b")
    assert "broken" in caplog.text


def test_an_address_in_use_is_refused(address: tuple[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="can't listen on 127"), serving(*address, {}):
        pass


def test_the_port_is_free_afterwards() -> None:
    with serving("127.0.0.1", 0, {}) as where:
        port = int(where.rpartition(":")[2])
    with serving("127.0.0.1", port, {}) as where:
        assert where == f"127.0.0.1:{port}"


@pytest.mark.parametrize("host", ["::1", "::ffff:127.0.0.1"])
def test_an_address_may_be_one_of_ipv6(host: str) -> None:
    """And is told as a URL takes it."""
    if not has_ipv6():
        pytest.skip("this machine has no ::1")
    with serving(host, 0, {"/livez": lambda: Page(200, "x")}) as where:
        port = where.removeprefix(f"[{host}]:")
        assert ask((host, int(port)), "/livez") == (200, "x")


def has_ipv6() -> bool:
    """Whether the machine has addresses of IPv6."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 65_536), ("x" * 64 + "é", 0)])
def test_what_is_no_address_is_refused(host: str, port: int) -> None:
    """The ports of replicas follow the one that is given, and may be more than there are."""
    with pytest.raises(ConfigurationError, match="can't listen on"), serving(host, port, {}):
        pass


def test_no_name_is_looked_up_for_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the server of names is away, that would take half a minute."""
    monkeypatch.setattr(socket, "gethostbyaddr", lambda _: pytest.fail("a name is looked up"))
    with serving("127.0.0.1", 0, {}):
        pass


def test_a_request_may_not_come_bit_by_bit(address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is that of the whole request: else some clients would keep all others out, for as long."""
    monkeypatch.setattr(admin, "_REQUEST_SECONDS", 0.2)
    with closing(socket.create_connection(address, timeout=0.05)) as slow:
        for _ in range(200):
            try:
                slow.sendall(b"G")
                assert slow.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                pass
            break
        else:
            pytest.fail("it is still waited for")
