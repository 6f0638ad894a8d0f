"""Fixtures of all tests: brokers, and names that nobody else uses."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once

from choreo.kafka import EmbeddedBroker
from tests.broker.any_broker import AnyBroker, broker_of, unique
from tests.broker.kafka import Broker, BrokerFailed
from tests.broker.kafka_jars import Unavailable
from tests.broker.shared import shared_broker
from tests.postgresql.databases import empty, new_database, session_server
from tests.postgresql.pooler import Pooler
from tests.postgresql.server import ServerFailed
from tests.postgresql.server import Unavailable as NoPostgreSQL
from tests.stores import SEARCHED, in_postgresql

BROKERS = ("memory", "embedded", pytest.param("kafka", marks=pytest.mark.kafka))


@pytest.fixture(autouse=True)
def default_interrupt() -> None:
    """Let an interrupt interrupt, though the shell that runs the tests ignores it, as for a job behind."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def unavailable(error: Exception, what: str = "Kafka") -> None:
    """Skip loudly; on CI a missing server is a failure, or nobody would notice."""
    reason = f"no real {what} here: {error}"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a real Kafka: ``CHOREO_TEST_BOOTSTRAP``, or one broker for the whole session."""
    if given := os.environ.get("CHOREO_TEST_BOOTSTRAP"):
        yield given
        return
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    session = shared_broker(shared / "kafka")
    try:
        address = session.__enter__()
    except (Unavailable, BrokerFailed) as error:
        unavailable(error)
    try:
        yield address
    finally:
        session.__exit__(None, None, None)


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a PostgreSQL: ``CHOREO_TEST_POSTGRESQL``, or one server for the whole session."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    session = session_server(folder / "postgresql")
    try:
        address = session.__enter__()
    except (NoPostgreSQL, ServerFailed) as error:
        unavailable(error, "PostgreSQL")
    try:
        yield address
    finally:
        session.__exit__(None, None, None)


@pytest.fixture(scope="session", autouse=in_postgresql())
def stores_server(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tell `tests.stores`, in this process and those that it starts, where the session's PostgreSQL is."""
    address = request.getfixturevalue("postgresql")
    with pytest.MonkeyPatch.context() as patched, ExitStack() as stack:
        patched.setenv("CHOREO_TEST_POSTGRESQL", address)
        if os.environ.get("POOLER") == "pgbouncer":
            pooler = Pooler(address, size=5, first=SEARCHED)
            stack.callback(pooler.stop)
            patched.setenv("CHOREO_TEST_POOLER", pooler.before("/"))
        yield


@pytest.fixture(params=["sqlite", "postgresql"])
def each_store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with its stores in either database, as `tests.stores` opens them."""
    if request.param == "postgresql":
        request.getfixturevalue("stores_server")
    monkeypatch.setenv("STORE", request.param)
    return str(request.param)


@pytest.fixture(scope="session")
def postgresql_database(postgresql: str) -> Iterator[str]:
    """Return the address of this process's own database, which `empty_store` empties."""
    with new_database(postgresql) as address:
        yield address


@pytest.fixture
def empty_store(postgresql_database: str) -> str:
    """Return the address of a database with the tables of a new store, and nothing else."""
    return empty(postgresql_database)


@contextmanager
def own_broker(home: Path) -> Iterator[Broker]:
    """Start a real broker, which may be stopped, killed, paused and started again."""
    broker = Broker(home)
    try:
        broker.start()
    except (Unavailable, BrokerFailed) as error:
        unavailable(error)
    yield broker
    broker.kill()


@pytest.fixture
def kafka_broker(tmp_path: Path) -> Iterator[Broker]:
    """Return a real broker of the test's own, which may be stopped, killed, paused and started again."""
    with own_broker(tmp_path / "kafka") as broker:
        yield broker


@pytest.fixture(scope="module")
def kafka_broker_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Return a real broker of the module's own; its tests leave it as they found it."""
    with own_broker(tmp_path_factory.mktemp("kafka") / "broker") as broker:
        yield broker


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[EmbeddedBroker]:
    """Return librdkafka's mock cluster, one for the session."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(params=BROKERS)
def any_broker(request: pytest.FixtureRequest) -> Iterator[AnyBroker]:
    """Run a test on each broker: in memory, embedded, a real Kafka."""
    any_broker = broker_of(
        request.param,
        kafka_bootstrap=lambda: request.getfixturevalue("kafka_bootstrap"),
        embedded=lambda: request.getfixturevalue("embedded_broker"),
    )
    yield any_broker
    any_broker.close()


@pytest.fixture
def topic() -> str:
    """Return a name for a topic that no other test uses."""
    return unique("topic")


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Set an SDK up, as `choreo run` does, for one test."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr(random, "getrandbits", random.SystemRandom().getrandbits)
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    yield exporter
    provider.shutdown()
