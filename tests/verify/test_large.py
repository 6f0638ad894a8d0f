"""A verification ends when its time is over, whatever the choreography is like, and says where it stopped."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from choreo.graph import choreography_of
from choreo.manifest import HandlerEntry, Manifest, write_manifest
from choreo.verify import Budget, Verdict, verify
from tests.cli.command import execute
from tests.verify import large
from tests.verify.growth import grow

FUZZ = bool(os.environ.get("CHOREO_FUZZ"))
SECONDS = 2.0 if FUZZ else 0.4
LARGE = tuple(large.SHAPES) if FUZZ else ("one_beside_many",)
BOUND = 2.5
"""The processor time that starting, reading 2,000 handlers and printing may take on a slow machine."""


def declared(handlers: list[HandlerEntry]) -> list[HandlerEntry]:
    """Return handlers whose compensations name the events that call them."""
    graphs = choreography_of(large.manifests(handlers)).sagas
    return [replace(handler, derived=False) for graph in graphs for handler in graph.handlers]


@pytest.mark.parametrize("shape", LARGE)
def test_2000_handlers_take_no_longer_than_they_may(shape: str, tmp_path: Path) -> None:
    """In a process of its own; measured in the time of the processor, since others use the machine, too."""
    for manifest in large.manifests(declared(large.SHAPES[shape](2000))):
        (tmp_path / f"{manifest.participant}.choreo.json").write_text(write_manifest(manifest))

    begun = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = execute("verify", ".", "--seconds", str(SECONDS), folder=tmp_path)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)

    assert "Traceback" not in result.stderr
    assert ended.ru_utime - begun.ru_utime < SECONDS + BOUND
    assert result.returncode in (0, 3), result.stdout + result.stderr
    assert (result.returncode == 3) == ("inconclusive: " in result.stdout)


def ticking() -> Callable[[], float]:
    """Return a clock that goes on by one whenever it is read."""
    ticks = count()
    return lambda: float(next(ticks))


def looked_at(manifests: list[Manifest], seconds: float) -> Verdict:
    return verify(choreography_of(manifests), budget=Budget(seconds=seconds), clock=ticking())


@settings(deadline=None, max_examples=200 if FUZZ else 10)
@given(st.integers(0, 300), st.integers(1, 3000), st.booleans())
def test_what_is_found_before_the_end_is_what_is_found_anyway(seed: int, ticks: int, broken: bool) -> None:
    """Cut off anywhere: nothing else is reported, and the rule or the pass where it stopped is named."""
    manifests = grow(seed, room=6)
    if broken:
        manifests = [replace(each, handlers=each.handlers[:-1]) for each in manifests]
    whole = verify(choreography_of(manifests))
    cut = looked_at(manifests, ticks)

    found = [finding for finding in cut.findings if finding.rule != "CHO901"]
    assert {(each.rule, each.message) for each in found} <= {(e.rule, e.message) for e in whole.findings}
    if cut.scope.unfinished:
        (unfinished,) = cut.scope.unfinished
        assert unfinished.phase.startswith(("rule CHO", "the search of every order"))
        (said,) = (finding for finding in cut.findings if finding.rule == "CHO901")
        assert said.message.endswith(f": {ticks} s were reached in {unfinished.phase}")
    else:
        assert cut.findings == whole.findings


def test_a_huge_saga_takes_no_time_from_small_ones() -> None:
    """They are verified first, and none of them is left unfinished."""
    verdict = looked_at(list(large.manifests(large.one_beside_many(600))), seconds=4000)

    assert [each.saga for each in verdict.scope.unfinished] == ["grown"]
