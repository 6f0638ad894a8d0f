"""Wrong input: one clear line with a hint, exit code 2, no traceback."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
from pathlib import Path

import pytest

from choreo.kafka import EmbeddedBroker
from choreo.store.sqlite.store import SQLiteStore
from tests.cli.command import Running, assert_refused, execute, invoke
from tests.cli.conftest import WriteModule, quiz


def refused(*arguments: str, words: tuple[str, ...] = ()) -> None:
    result = invoke(*arguments)
    assert_refused(result.exit_code, result.stderr, *words)


def test_a_module_that_does_not_exist() -> None:
    refused("run", "nosuch.shop:orders", "--embedded", words=("there is no module nosuch",))


def test_a_module_given_as_a_path() -> None:
    refused("run", "shop/orders.py:orders", "--embedded", words=("shop.orders",))


def test_no_module_at_all() -> None:
    refused("run", ":orders", "--embedded", words=("no module is named",))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise ValueError('boom')", "ValueError: boom"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def (", "SyntaxError"),
        ("import nothing_of_the_kind", "No module named 'nothing_of_the_kind'"),
        ("raise BaseException", "BaseException"),
    ],
)
def test_a_module_that_can_not_be_imported(write_module: WriteModule, source: str, said: str) -> None:
    name = write_module(f"'''A module.'''\n{source}\n")
    refused("run", f"{name}:orders", "--embedded", words=(f"importing {name} failed", said, f"{name}.py:2"))


def test_a_declaration_that_is_refused(write_module: WriteModule) -> None:
    name = write_module("from choreo import Participant\np = Participant('p', sagas=[])\n")
    refused("run", f"{name}:p", "--embedded", words=("takes part in no saga",))


def test_an_attribute_that_does_not_exist(write_module: WriteModule) -> None:
    name = write_module(quiz())
    refused("run", f"{name}:sag", "--embedded", words=(f"did you mean {name}:sage?",))
    refused("run", f"{name}:zzzzzz", "--embedded", words=(f"it has {name}:sage",))


def test_a_target_without_a_participant(write_module: WriteModule) -> None:
    name = write_module(quiz())
    refused("run", name, "--embedded", words=(f"it has {name}:sage",))


def test_something_that_is_no_participant(write_module: WriteModule) -> None:
    name = write_module(quiz())
    refused("run", f"{name}:ponder", "--embedded", words=("is a function, not a Participant",))


def test_no_cluster(write_module: WriteModule) -> None:
    refused("run", f"{write_module(quiz())}:sage", words=("no Kafka cluster is named", "--bootstrap"))


def test_a_time_that_is_none(write_module: WriteModule) -> None:
    refused("run", f"{write_module(quiz())}:sage", "--embedded", "--from", "now", words=("--from", "'now'"))


def test_a_folder_of_schemas_that_does_not_exist(write_module: WriteModule) -> None:
    target = f"{write_module(quiz())}:sage"
    refused("run", target, "--embedded", "--schemas", "nowhere", words=("no folder nowhere",))


def test_a_kafka_setting_that_is_no_pair(write_module: WriteModule) -> None:
    target = f"{write_module(quiz())}:sage"
    refused("run", target, "--embedded", "--kafka", "acks", words=("KEY=VALUE",))


def test_a_kafka_setting_that_the_promise_depends_on(write_module: WriteModule) -> None:
    target = f"{write_module(quiz())}:sage"
    refused("run", target, "--embedded", "--kafka", "acks=1", words=("acks",))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("rum",), "run"),
        (("run",), "MODULE:PARTICIPANT"),
        (("run", "x:y", "--embeded"), "--embedded"),
        (("topics", "create"), "MODULE:PARTICIPANT"),
        (("topics", "create", "x:y", "--partitions", "0"), "--partitions"),
        (("demo", "order"), "'orders'"),
        (("schemas", "write"), "modules"),
    ],
)
def test_a_command_line_that_is_wrong(arguments: tuple[str, ...], word: str) -> None:
    refused(*arguments, words=(word,))


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
    return port


def test_a_broker_that_does_not_answer(write_module: WriteModule, folder: Path) -> None:
    target = f"{write_module(quiz())}:sage"
    done = execute("run", target, "--bootstrap", f"127.0.0.1:{free_port()}", folder=folder)
    assert_refused(done.returncode, done.stderr, "does not answer")


def run_on(broker: EmbeddedBroker, target: str, folder: Path, store: str = "sage.db") -> str:
    """Run a participant that must be refused, in a process of its own; give the line."""
    options = ("--embedded", "--bootstrap", broker.bootstrap, "--store", store)
    done = execute("run", target, *options, folder=folder)
    assert_refused(done.returncode, done.stderr)
    return done.stderr


def test_a_topic_that_does_not_exist(
    kafka_bootstrap: str, write_module: WriteModule, folder: Path, topic: str
) -> None:
    target = f"{write_module(quiz(topic))}:sage"
    done = execute("run", target, "--bootstrap", kafka_bootstrap, folder=folder)
    assert_refused(done.returncode, done.stderr, topic, "choreo topics create")


def test_a_database_that_is_locked_is_waited_for(
    embedded_broker: EmbeddedBroker, write_module: WriteModule, folder: Path
) -> None:
    """It says so, goes on once the database is free, and ends in order."""
    locked = sqlite3.connect(folder / "sage.db", isolation_level=None)
    locked.execute("begin exclusive")
    target = f"{write_module(quiz())}:sage"
    arguments = ["run", target, "--embedded", "--bootstrap", embedded_broker.bootstrap, "--store", "sage.db"]
    with Running(*arguments, folder=folder) as worker:
        worker.wait_for("sage.db is locked")
        locked.close()
        worker.wait_for("sage is live")
        worker.signal(signal.SIGTERM)
        assert worker.exit_code() == 0


def test_a_database_that_can_not_be_written(
    embedded_broker: EmbeddedBroker,
    write_module: WriteModule,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Root may write everything, so the system's answer is given here."""
    SQLiteStore(folder / "sage.db").close()
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    address = embedded_broker.bootstrap
    refused(
        *("run", f"{write_module(quiz())}:sage", "--embedded", "--bootstrap", address),
        words=("sage.db can't be written",),
    )


def test_a_file_that_is_no_database(
    embedded_broker: EmbeddedBroker, write_module: WriteModule, folder: Path
) -> None:
    (folder / "notes.txt").write_text("not a database, " * 100)
    said = run_on(embedded_broker, f"{write_module(quiz())}:sage", folder, "notes.txt")
    assert "is not an SQLite database" in said


def test_a_store_of_a_newer_choreo(
    embedded_broker: EmbeddedBroker, write_module: WriteModule, folder: Path
) -> None:
    store = SQLiteStore(folder / "sage.db")
    store.db.table("_sqlite_migrations").insert(
        {"migration_set": "choreo", "name": "9999_later", "applied_at": "2036-01-01"}
    )
    store.close()
    assert "a newer choreo" in run_on(embedded_broker, f"{write_module(quiz())}:sage", folder)


@pytest.mark.parametrize(
    ("cluster", "participant", "said"),
    [("another", "sage", "the cluster 'another'"), ("", "fool", "the participant 'fool'")],
)
def test_a_store_of_somebody_else(
    embedded_broker: EmbeddedBroker,
    write_module: WriteModule,
    folder: Path,
    cluster: str,
    participant: str,
    said: str,
) -> None:
    from choreo.kafka import KafkaLog

    if not cluster:
        log = KafkaLog(embedded_broker.bootstrap, "test", embedded=True)
        cluster = log.cluster_id()
        log.close()
    store = SQLiteStore(folder / "sage.db")
    store.bind(cluster, participant)
    store.close()
    assert said in run_on(embedded_broker, f"{write_module(quiz())}:sage", folder)


def test_a_store_of_an_embedded_broker_that_is_gone(write_module: WriteModule, folder: Path) -> None:
    store = SQLiteStore(folder / "sage.db")
    store.bind("mockClusterOfBefore", "sage")
    store.close()
    done = execute("run", f"{write_module(quiz())}:sage", "--embedded", folder=folder)
    assert_refused(done.returncode, done.stderr, "forgets all when it ends", "sage.db")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[tool.choreo]\nbotstrap = 'x:1'", ("botstrap", "did you mean 'bootstrap'?")),
        ("[tool.choreo.tables]\na = 1", ("tables", "known keys")),
        ("[tool.choreo.rules]\na = 1", ("rules must be a table of levels", "{'a': 1}")),
        ("[tool.choreo]\npartitions = 'many'", ("partitions must be a whole number",)),
        ("[tool.choreo]\npartitions = true", ("partitions must be a whole number",)),
        ("[tool.choreo]\nmodules = [1]", ("modules must be a list of texts",)),
        ("[tool.choreo]\nkafka = {a = [1]}", ("kafka must be a table",)),
        ("[tool.choreo]\nfrom = 'yesterday'", ("--from", "'yesterday'")),
        ("[tool]\nchoreo = 1", ("must be a table",)),
        ("[tool.choreo", ("can't be read",)),
    ],
)
def test_a_project_file_that_is_wrong(
    write_module: WriteModule, folder: Path, content: str, words: tuple[str, ...]
) -> None:
    (folder / "pyproject.toml").write_text(content)
    refused("run", f"{write_module(quiz())}:sage", "--embedded", words=words)


@pytest.mark.parametrize(
    "command",
    [("run", "examples.bank.source:source", "--bootstrap", "127.0.0.1:1"), ("sagas",), ("dlq", "list")],
    ids=["run", "sagas", "dlq"],
)
def test_a_path_that_is_too_long(command: tuple[str, ...]) -> None:
    """What the system says of a path, it says to the user."""
    refused(*command, "--store", f"{'x' * 300}.db", words=("File name too long", "xxx.db"))
