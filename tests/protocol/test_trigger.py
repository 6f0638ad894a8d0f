"""A trigger is kept as slots, and means what it would mean multiplied out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo.protocol import NEVER, Slot, Trigger
from choreo.protocol.trigger import MOST_ALTERNATIVES
from tests.protocol.triggers import alternatives, renamed

Options = frozenset[frozenset[str]]
"""A trigger multiplied out: the shortest sets of events that satisfy it."""

EVENTS = "ABCDEF"


def shortest(options: Iterable[frozenset[str]]) -> Options:
    every = set(options)
    return frozenset(each for each in every if not any(other < each for other in every))


def any_of(parts: list[tuple[Trigger, Options]]) -> tuple[Trigger, Options]:
    together = shortest(option for _, options in parts for option in options)
    return Trigger.any_of(*(trigger for trigger, _ in parts)), together


def all_of(parts: list[tuple[Trigger, Options]]) -> tuple[Trigger, Options]:
    joined: Options = frozenset((frozenset(),))
    for _, options in parts:
        joined = shortest(one | other for one in joined for other in options)
    return Trigger.all_of(*(trigger for trigger, _ in parts)), joined


def alone(names: list[str]) -> tuple[Trigger, Options]:
    return Trigger.of(*names), frozenset(frozenset((name,)) for name in names)


BOTH = st.recursive(
    st.lists(st.sampled_from(EVENTS), min_size=1, max_size=3, unique=True).map(alone),
    lambda parts: st.lists(parts, min_size=1, max_size=3).flatmap(
        lambda some: st.sampled_from((any_of, all_of)).map(lambda together: together(some))
    ),
    max_leaves=8,
)
"""A trigger as conditions may nest it, and the same multiplied out."""

SEEN = st.sets(st.sampled_from(EVENTS))


@given(BOTH, SEEN)
def test_it_is_met_as_it_would_be_multiplied_out(both: tuple[Trigger, Options], seen: set[str]) -> None:
    """Also which event types it names, what of it has come, and what one alternative is."""
    trigger, options = both

    assert trigger.types == frozenset().union(*options)
    assert trigger.satisfied(seen) == any(option <= seen for option in options)
    assert trigger.touched(seen) == any(option & seen for option in options)
    assert trigger.is_join == any(len(option) > 1 for option in options)
    assert trigger.longest >= max(map(len, options))
    assert trigger.satisfied(seen) == all(clause & seen for clause in trigger.clauses())
    alternative = trigger.alternative(seen)
    assert alternative in options if trigger.satisfied(seen) else not alternative
    assert set(alternatives(trigger)) == options
    assert bool(trigger.awaited(seen)) != trigger.satisfied(seen)
    assert trigger.awaited(seen) <= trigger.types - seen


@given(BOTH, BOTH)
def test_triggers_that_mean_the_same_are_equal(
    one: tuple[Trigger, Options], other: tuple[Trigger, Options]
) -> None:
    """However they were put together: also from their alternatives, as the former manifests have them."""
    assert (one[0] == other[0]) == (one[1] == other[1])
    assert Trigger.of_alternatives(one[1]) == one[0]
    assert renamed(renamed(one[0], str.lower), str.upper) == one[0]
    assert Trigger.any_of(one[0], other[0]) == Trigger.any_of(other[0], one[0])
    assert Trigger.all_of(one[0], Trigger.any_of(one[0], other[0])) == one[0]
    assert Trigger.any_of(one[0], Trigger.all_of(one[0], other[0])) == one[0]


@given(BOTH)
def test_it_reads_as_a_person_would_write_it(both: tuple[Trigger, Options]) -> None:
    """``&`` binds closer than ``|``, as in Python, which reads it as sets of the worlds that satisfy it."""
    trigger, _ = both
    worlds = list(product((False, True), repeat=len(EVENTS)))
    names = {
        name: frozenset(number for number, world in enumerate(worlds) if world[at])
        for at, name in enumerate(EVENTS)
    }
    come = [{name for name, has_come in zip(EVENTS, world, strict=True) if has_come} for world in worlds]

    assert eval(str(trigger), {}, names) == {n for n, seen in enumerate(come) if trigger.satisfied(seen)}


def ends(branch: int, several: int) -> list[str]:
    return [f"End{branch:03}x{way}" for way in range(several)]


@pytest.mark.parametrize("several", [1, 2, 3])
@pytest.mark.parametrize("width", [2, 12, 14, 16, 17, 20, 30, 300])
def test_a_join_has_a_slot_for_each_branch(width: int, several: int) -> None:
    """However many ways there are to meet it."""
    branches = [Trigger.of(*ends(branch, several)) for branch in range(width)]
    trigger = Trigger.all_of(*branches)

    assert trigger.slots == tuple(Slot(frozenset(ends(branch, several))) for branch in range(width))
    assert Trigger.all_of(*reversed(branches)) == trigger
    halves = Trigger.all_of(*branches[: width // 2]), Trigger.all_of(*branches[width // 2 :])
    assert Trigger.all_of(*halves) == trigger
    firsts = {f"End{branch:03}x0" for branch in range(width)}
    assert trigger.satisfied(firsts)
    assert not trigger.satisfied(firsts - {"End001x0"})
    assert trigger.touched({"End000x0"})
    assert trigger.longest == width


def parts_of(trigger: Trigger) -> int:
    """Return the number of slots and event types of which a trigger consists."""
    return sum(1 + len(types) + sum(map(parts_of, joins)) for types, joins in trigger.slots)


def shapes(width: int) -> dict[str, Trigger]:
    """Return conditions that get larger with a number, in which every event type is named once or often."""

    def of(name: str) -> list[Trigger]:
        return [Trigger.of(f"{name}{number}") for number in range(width)]

    pairs = list(map(Trigger.all_of, of("A"), of("B")))
    either = list(map(Trigger.any_of, of("C"), pairs))
    return {
        "a union of joins": Trigger.any_of(*pairs),
        "a join of unions of joins": Trigger.all_of(*either),
        "a join or another": Trigger.any_of(Trigger.all_of(*of("A")), Trigger.all_of(*of("B"))),
        "a join of which each branch may end in one event": Trigger.all_of(
            *(Trigger.any_of(each, Trigger.of("X")) for each in of("A"))
        ),
        "a join of branches with an end in common": Trigger.all_of(
            *map(Trigger.any_of, of("A"), of("A")[1:])
        ),
        "a join of joins that share branches": Trigger.all_of(
            Trigger.all_of(*of("A")), Trigger.all_of(*of("A"), *of("B"))
        ),
    }


@pytest.mark.parametrize("shape", shapes(2))
def test_what_grows_by_a_branch_grows_by_as_much(shape: str) -> None:
    """Twice the branches make a trigger of twice the size."""
    small, large = (parts_of(shapes(width)[shape]) for width in (20, 40))
    assert large <= small * 2.2


def test_beyond_what_is_multiplied_out_it_means_the_same() -> None:
    """Of a type in two slots, where the shortest alternatives are too many to be looked at."""
    chain = [Trigger.of(f"A{number}", f"A{number + 1}") for number in range(30)]
    trigger = Trigger.all_of(*chain)

    assert trigger.alternatives(MOST_ALTERNATIVES) is None
    assert trigger.satisfied({f"A{number}" for number in range(1, 31, 2)} | {"A30"})
    assert not trigger.satisfied({f"A{number}" for number in range(3, 31)})
    assert Trigger.all_of(*reversed(chain), chain[3]) == trigger
    assert Trigger.all_of(trigger, Trigger.of("A3")).satisfied({f"A{n}" for n in range(1, 31, 2)} | {"A30"})


def test_nothing_satisfies_the_empty_trigger() -> None:
    """It is what calls a leaf's compensation: no event of another step."""
    assert Trigger() == NEVER == Trigger.any_of() == Trigger.all_of() == Trigger.of()
    assert Trigger.all_of(Trigger.of("A"), NEVER) == NEVER
    assert Trigger.any_of(Trigger.of("A"), NEVER) == Trigger.of("A")
    assert not NEVER
    assert not NEVER.satisfied({"A"})
    assert not NEVER.touched({"A"})


_WRITE = """
from choreo.manifest.writing import _slots
from choreo.protocol import Trigger
of, join, union = Trigger.of, Trigger.all_of, Trigger.any_of
some = [of(f"E{n}", f"E{n + 3}") for n in range(9)]
trigger = union(join(of("Z", "Y", "X"), of("W", "V")), join(*some[:4]), of("U"), join(*some[2:]))
print(trigger, _slots(trigger), list(map(sorted, join(*some).clauses())))
print(sorted(trigger.alternative(trigger.types)), trigger.types >= trigger.awaited({"U"}))
"""


def test_its_form_is_independent_of_the_hash_seed() -> None:
    """Manifests and locks are compared byte for byte."""
    written = {
        subprocess.run(
            [sys.executable, "-c", _WRITE],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(written) == 1
