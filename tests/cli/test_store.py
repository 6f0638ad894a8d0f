"""``choreo store claim``, and the one store of a participant, in processes on a real Kafka."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.broker.any_broker import unique
from tests.cli.command import Running, assert_refused, execute, invoke
from tests.cli.conftest import WriteModule, quiz

pytestmark = pytest.mark.kafka


@pytest.fixture
def target(write_module: WriteModule, folder: Path, kafka_bootstrap: str) -> str:
    """Return a participant whose name, and so its group, nobody else has; its topic is there."""
    name = unique("sage")
    module = write_module(
        quiz(unique("riddles")).replace("'sage'", f"'{name}'").replace('"sage"', f'"{name}"')
    )
    made = execute("topics", "create", f"{module}:sage", "--bootstrap", kafka_bootstrap, folder=folder)
    assert made.returncode == 0, made.stderr
    return f"{module}:sage"


def test_a_second_store_is_refused_until_it_is_said_to_replace_the_first(
    target: str, folder: Path, kafka_bootstrap: str
) -> None:
    """While the first worker runs, when it has stopped, and again once the other way round."""
    soon = ("--kafka", "session.timeout.ms=2000", "--kafka", "heartbeat.interval.ms=400")
    cluster = ("--bootstrap", kafka_bootstrap, *soon)

    def refused(store: str) -> None:
        done = execute("run", target, *cluster, "--store", store, folder=folder)
        assert_refused(
            done.returncode, done.stderr.splitlines()[-1], "belongs to the store", "choreo store claim"
        )

    with Running("run", target, *cluster, "--store", "first.db", folder=folder) as first:
        first.wait_for("is live")
        refused("second.db")
        first.process.terminate()
        assert first.exit_code() == 0
    refused("second.db")
    claimed = execute("store", "claim", target, *cluster, "--store", "second.db", folder=folder)
    assert claimed.returncode == 0, claimed.stderr
    assert "in place of" in claimed.stdout
    with Running("run", target, *cluster, "--store", "second.db", folder=folder, name="other") as second:
        second.wait_for("is live")
        refused("first.db")


def test_a_store_that_is_not_there_claims_nothing(target: str, kafka_bootstrap: str) -> None:
    """A typo must not make a store."""
    done = invoke("store", "claim", target, "--bootstrap", kafka_bootstrap, "--store", "typo.db")
    assert_refused(done.exit_code, done.stderr, "there is no file typo.db")
