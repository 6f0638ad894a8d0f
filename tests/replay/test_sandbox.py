"""What is seen of a handler is its own doing."""

import gc
import time
from typing import Any

import pytest

from choreo.replay.sandbox import sandbox


@pytest.fixture
def collecting() -> Any:
    """Hang on the collector, which asks for the time, and collects at every opportunity."""

    def on_collection(phase: str, info: dict[str, int]) -> None:
        time.perf_counter()

    thresholds = gc.get_threshold()
    gc.callbacks.append(on_collection)
    gc.set_threshold(1)
    yield
    gc.set_threshold(*thresholds)
    gc.callbacks.remove(on_collection)


def test_what_hangs_on_the_collector_is_not_the_handlers_doing(collecting: None) -> None:
    """A profiler or a test's library may measure collections, whenever they come."""
    with sandbox() as seen:
        kept = [[number] for number in range(1000)]
    assert (len(kept), list(seen.nondeterministic)) == (1000, [])
    assert gc.isenabled()


def test_what_the_handler_asks_for_is_seen() -> None:
    """By name, with its place."""
    with sandbox() as seen:
        time.perf_counter()
    (place,) = seen.nondeterministic
    assert place.startswith(f"time.perf_counter at {__file__}:")
