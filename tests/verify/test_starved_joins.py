"""CHO108 asks for an alternative without rivals slot by slot, not of every combination."""

from __future__ import annotations

from functools import cache
from itertools import combinations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from choreo.graph import choreography_of
from choreo.protocol import Trigger
from choreo.verify.case import Case
from choreo.verify.rules.starved_join import _is_fed
from tests.protocol.test_trigger import BOTH, EVENTS, Options
from tests.verify.growth import grow

PAIRS = [frozenset(pair) for pair in combinations(EVENTS, 2)]


@cache
def any_case() -> Any:
    choreography = choreography_of(grow(1))
    return Case(choreography, choreography.sagas[0])


@given(BOTH, st.sets(st.sampled_from(PAIRS)))
def test_it_is_fed_where_an_alternative_has_no_rivals(
    both: tuple[Trigger, Options], rivals: set[frozenset[str]]
) -> None:
    trigger, options = both
    fed = any(not any(pair <= option for pair in rivals) for option in options)
    assert _is_fed(any_case(), trigger, rivals) == fed


def test_a_wide_join_with_one_pair_of_rivals_is_looked_at_once() -> None:
    """The other branches have choices of their own; no combination of these is tried."""
    slots = [Trigger.of(f"A{number}", f"B{number}") for number in range(40)]
    own = {frozenset((f"A{number}", f"B{number}")) for number in range(40)}
    apart = {frozenset((one, other)) for one in ("A7", "B7") for other in ("A9", "B9")}

    assert _is_fed(any_case(), Trigger.all_of(*slots), own)
    assert not _is_fed(any_case(), Trigger.all_of(*slots), own | apart)
