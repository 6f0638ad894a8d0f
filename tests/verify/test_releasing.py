"""`choreo verify --against` and the real worker agree on random pairs; `make releases` takes many more."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.verify.choreography_text import COMPLETED, STARTED, read_choreography
from tests.verify.pairs import MUTATIONS, pairs
from tests.verify.releasing import awaited, judge_seed


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Leave out what workers log of dead letters."""
    log = logging.getLogger("choreo")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    yield
    log.setLevel(level)


@pytest.mark.parametrize(("seed", "breaks"), [(1003, False), (1004, False), (1006, True), (1010, True)])
def test_both_say_the_same_of_a_release(seed: int, breaks: bool) -> None:
    """Of a rename that is said, a new version, a rename that is not said, and a split."""
    both = judge_seed(seed, 2)
    assert both
    assert both.agrees, str(both)
    assert both.alarms == breaks


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        ("S1", "S1"),
        ("S1 | S2", ""),
        ("S1 | S2 & S3", ""),
        ("(S1 | S2) & S3", "S3"),
        ("(S1 | S3) & S3", "S3"),
        ("S1 & S4", "S1 S2 S4"),
        ("S1 & S5 | S2 & S5", "S5"),
    ],
)
def test_an_event_always_comes_where_no_saga_completes_without_it(trigger: str, expected: str) -> None:
    """Another one may come first, and what comes after it counts no more."""
    manifests = read_choreography(f"""
        p.s1 < Started > S1 / S1Failed
        p.s2 < Started > S2 / S2Failed
        q.s3 < Started > S3 / S3Failed
        q.s4 < S2 > S4 / S4Failed
        q imports S5
        p.last < {trigger} > Completed / LastFailed
        p.fail of start derived <> Failed
    """)

    assert awaited(manifests) == {STARTED, COMPLETED, *(f"g.{each}" for each in expected.split())}


def test_every_mutation_makes_pairs() -> None:
    """Of a few hundred seeds; some kinds need what few choreographies have."""
    made = {kind for seed in range(40) for pair in pairs(seed, lambda _: True) for kind in pair.kinds}
    assert {each.__name__.replace("_", " ") for each in MUTATIONS} <= made
