"""What a server refuses, or is not fit for: one clear line, exit code 2, and no password in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from choreo.store.opening import open_store
from tests.cli.command import assert_refused, invoke
from tests.cli.conftest import WriteModule, quiz
from tests.conftest import unavailable
from tests.postgresql.server import Server, ServerFailed, Unavailable

# In one process, which makes once what all of them use.
pytestmark = pytest.mark.xdist_group("refused")

PASSWORD = "s3cr3t-4711"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Start a server that asks some roles for a password."""
    try:
        server = Server()
        server.start()
    except (Unavailable, ServerFailed) as error:
        unavailable(error, "PostgreSQL")
    hba = server.home / "data" / "pg_hba.conf"
    hba.write_text(f"local all guarded scram-sha-256\nlocal all barred reject\n{hba.read_text()}")
    with admin(server) as connection:
        connection.execute("SELECT pg_reload_conf()")
        for role in (f"guarded LOGIN PASSWORD '{PASSWORD}'", "barred LOGIN", "choreo LOGIN", "reader LOGIN"):
            connection.execute(f"CREATE ROLE {role}".encode())
    yield server
    server.remove()


def admin(server: Server, database: str = "postgres") -> psycopg.Connection:
    return psycopg.connect(server.address(database), autocommit=True)


@pytest.fixture
def shop(server: Server) -> Iterator[str]:
    """Return the name of a database with the tables of a store."""
    with admin(server) as connection:
        connection.execute("CREATE DATABASE shop")
    assert invoke("store", "migrate", "--store", server.address("shop")).exit_code == 0
    yield "shop"
    with admin(server) as connection:
        connection.execute("DROP DATABASE shop WITH (FORCE)")


def with_password(address: str, password: str) -> str:
    return address.replace("@", f":{password}@", 1)


COMMANDS = (("store", "check"), ("sagas",), ("dlq", "list"), ("log", "verify"))


def assert_all_refuse(address: str, said: str) -> None:
    """Every command says so, in one line."""
    for command in COMMANDS:
        done = invoke(*command, "--store", address)
        assert_refused(done.exit_code, done.stderr, said)
        assert len(done.stderr.splitlines()) == 1
        assert PASSWORD not in done.output + done.stderr
        assert "wrong" not in done.output + done.stderr


def assert_is_read(address: str) -> None:
    """What only shows sagas needs no right to write."""
    assert invoke("sagas", "--store", address).exit_code == 0
    done = invoke("deadlines", "list", "s1", "--store", address)
    assert_refused(done.exit_code, done.stderr, "there is no saga s1")


def test_a_wrong_password_is_not_shown(server: Server, shop: str) -> None:
    address = server.address(shop, "guarded")
    assert_all_refuse(with_password(address, "wrong"), "refuses the user or its password")
    assert_all_refuse(address, "asks for a password")
    assert_all_refuse(server.address(shop, "barred"), "admits no such connection")


def test_a_role_without_rights_is_told_what_it_lacks(server: Server, shop: str) -> None:
    """Also where it may read, and a worker would write."""
    address = server.address(shop, "reader")
    assert_all_refuse(address, "refuses this role")
    with admin(server, shop) as connection:
        connection.execute("GRANT USAGE ON SCHEMA choreo TO reader")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA choreo TO reader")
    assert_is_read(address)
    with closing(open_store(address)) as store, pytest.raises(Exception, match="refuses this role"):
        store.turn().__enter__()


def test_a_role_called_like_our_schema_is_refused(server: Server, shop: str) -> None:
    """Its own tables would be made among ours, as PostgreSQL looks for a schema of the role's name first."""
    address = server.address(shop, "choreo")
    with admin(server, shop) as connection:
        connection.execute("GRANT ALL ON SCHEMA choreo, public TO choreo")
        connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA choreo TO choreo")
        done = invoke("store", "check", "--store", address)
        assert_refused(
            done.exit_code, done.stderr, "own tables into the schema choreo", "search_path = public"
        )
        connection.execute("ALTER ROLE choreo SET search_path = public")
        assert invoke("store", "check", "--store", address).exit_code == 0
        connection.execute("ALTER ROLE choreo RESET search_path")


def test_a_standby_can_be_read_and_not_run_on(server: Server, shop: str) -> None:
    server.stop()
    (server.home / "data" / "standby.signal").touch()
    server.start()
    try:
        address = server.address(shop)
        assert_is_read(address)
        done = invoke("store", "check", "--store", address)
        assert_refused(done.exit_code, done.stderr, "is a read-only standby", "the primary")
    finally:
        with admin(server) as connection:
            connection.execute("SELECT pg_promote(true, 30)")


def test_a_store_of_another_participant_is_refused(
    server: Server, shop: str, write_module: WriteModule, folder: Path
) -> None:
    """By the worker and its check, and by replay."""
    del folder
    address = server.address(shop)
    with closing(open_store(address)) as store:
        store.bind("cluster", "stock")
    target = f"{write_module(quiz())}:sage"
    for command in (("run", target, "--check"), ("replay", "fold", target, "s1")):
        done = invoke(*command, "--store", address)
        assert_refused(done.exit_code, done.stderr, "belongs to", "'stock'", "'sage'")
