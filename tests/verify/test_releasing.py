"""`choreo verify --against` and the real worker agree on random pairs; `make releases` takes many more."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.verify.pairs import MUTATIONS, pairs
from tests.verify.releasing import judge_seed


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


def test_every_mutation_makes_pairs() -> None:
    """Of a few hundred seeds; some kinds need what few choreographies have."""
    made = {kind for seed in range(40) for pair in pairs(seed, lambda _: True) for kind in pair.kinds}
    assert {each.__name__.replace("_", " ") for each in MUTATIONS} <= made
