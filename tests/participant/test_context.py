"""The context: keys for external APIs, the time, and a log that says which saga it is about."""

import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from choreo import Context


def context(**changes: Any) -> Context:
    """Return a context, with some of its fields changed."""
    given = {
        "saga_id": "s-1", "step": "inventory.reserve", "task": "action",
        "db": None, "attempt": 1, "time_ms": 0,
    }  # fmt: skip
    return Context(**{**given, **changes})


@pytest.mark.parametrize("change", [{}, {"attempt": 9}, {"time_ms": 1}, {"db": "another"}])
def test_the_idempotency_key_is_stable(change: dict[str, Any]) -> None:
    """Another attempt, another day, another process: the same work, the same key."""
    assert context(**change).idempotency_key == context().idempotency_key


def test_the_idempotency_key_never_changes_between_releases() -> None:
    """An API may be asked again after an upgrade."""
    assert context().idempotency_key == "2828568d3d14df33e5071bb767f3ea4d"


@pytest.mark.parametrize(
    "change", [{"saga_id": "s-2"}, {"step": "inventory.release"}, {"task": "compensation"}]
)
def test_the_idempotency_key_differs_by_saga_step_and_task(change: dict[str, Any]) -> None:
    """To undo is not to do again."""
    assert context(**change).idempotency_key != context().idempotency_key


def test_now_is_the_runtimes_clock() -> None:
    """In UTC, so that a replay sees the same time."""
    assert context(time_ms=1_500).now == datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)


def test_every_log_line_carries_saga_and_step(caplog: pytest.LogCaptureFixture) -> None:
    """As text for people, and as fields for machines, beside the caller's own."""
    with caplog.at_level(logging.INFO, logger="choreo.handler"):
        context().log.info("took %d", 3, extra={"shelf": "a"})
    (record,) = caplog.records
    assert record.getMessage() == "saga_id=s-1 step=inventory.reserve took 3"
    assert vars(record).items() >= {"saga_id": "s-1", "step": "inventory.reserve", "shelf": "a"}.items()
