"""One choreography gets one verdict, whatever the order of hashes, and however slow the machine is."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from choreo.graph import choreography_of
from choreo.manifest import Manifest
from choreo.verify import Budget, Verdict, verify
from choreo.verify.report import FORMATS
from tests.verify import large
from tests.verify.choreography_text import read_choreography
from tests.verify.growth import grow

BESIDE = """
    p1 imports X
    p1.s1 < Started > S1A S1B / S1Failed
    p1.undo1a of p1.s1 result=S1A < S2Failed | S2Undone > S1AUndone
    p1.undo1b of p1.s1 result=S1B < S2Failed > S1BUndone
    p2.s2 < S1A > S2 / S2Failed
    p2.late late p2.s2 < Started > S2Late
    p2.undo2 of p2.s2 derived < > S2Undone
    p3.s3 < X > S3 / S3Failed
    p3.undo3 of p3.s3 result=S3 < S4Failed > S3Undone
    p4.s4 pivot < S2 & S3 | S1B & S3 > Completed / S4Failed
    p4.s5 retriable < S4Failed > S5
    p1.give_up of start < S1Failed | S1AUndone | S1BUndone > Failed
"""
CHOREOGRAPHIES: dict[str, Callable[[], list[Manifest]]] = {
    "errors of the graph": lambda: read_choreography(BESIDE),
    "an order that breaks it": lambda: read_choreography(
        BESIDE.replace("p4.s5 retriable < S4Failed > S5", "").replace(
            "p2.late late p2.s2 < Started > S2Late", ""
        )
    ),
    "nothing wrong": lambda: grow(7, room=12),
    "more than is looked at": lambda: list(large.manifests(large.diamonds(60))),
}


def written(verdict: Verdict) -> dict[str, str]:
    """Return a verdict in every format, without the time that it took."""
    verdict = verdict._replace(scope=verdict.scope._replace(seconds=0.0))
    return {name: write(verdict) for name, write in FORMATS.items()}


def digests(states: int) -> dict[str, str]:
    """Return a digest of what every format says of every choreography."""
    found = {}
    for title, manifests in CHOREOGRAPHIES.items():
        verdict = verify(choreography_of(manifests()), budget=Budget(states=states))
        for name, text in written(verdict).items():
            found[f"{title}, {name}"] = hashlib.sha256(text.encode()).hexdigest()
    return found


def test_it_is_the_same_under_every_hash_seed() -> None:
    """Byte for byte, in each format, also where the budget runs out."""
    script = (
        "import json; from tests.verify.test_same_verdict import digests; print(json.dumps(digests(400)))"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            stdout=subprocess.PIPE,
        )
        for seed in range(5)
    ]
    first, *others = (json.loads(run.communicate(timeout=300)[0]) for run in runs)

    assert first
    for other in others:
        assert other == first


def clock(seconds: float) -> Callable[[], float]:
    """Return a clock that goes on by so many seconds whenever it is read."""
    now = 0.0

    def read() -> float:
        nonlocal now
        now += seconds
        return now

    return read


@pytest.mark.parametrize("title", CHOREOGRAPHIES)
def test_it_is_the_same_on_a_machine_that_is_a_thousand_times_as_slow(title: str) -> None:
    """The budget is one of states: it is not the clock that ends a verification."""
    manifests = CHOREOGRAPHIES[title]()
    idle, loaded = (
        verify(choreography_of(manifests), budget=Budget(states=400), clock=clock(seconds))
        for seconds in (1e-6, 1e-3)
    )
    assert written(idle) == written(loaded)


def test_what_takes_too_long_is_inconclusive() -> None:
    """The bound in seconds is only that: it never makes a clean verdict, nor an error."""
    manifests = CHOREOGRAPHIES["nothing wrong"]()
    verdict = verify(choreography_of(manifests), budget=Budget(seconds=1), clock=clock(1e-2))

    assert [finding.rule for finding in verdict.findings if finding.level == "error"] == []
    assert verdict.scope.unfinished
    assert "inconclusive" in str(verdict.scope)
