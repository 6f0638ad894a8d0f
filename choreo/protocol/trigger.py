"""``Trigger``: the condition that calls a handler, over the types of the saga's events so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
E = TypeVar("E")

MOST_ALTERNATIVES = 64
"""Up to so many alternatives, a trigger that names an event type more than once is simplified by them."""

_MOST_NAMES = 256
"""A trigger that names more events, some of them more than once, is not simplified."""


class Slot(NamedTuple):
    """A part of a trigger, which any one of its alternatives fills: an event type, or a join of several."""

    types: frozenset[str]
    joins: tuple[Trigger, ...] = ()

    @property
    def all_types(self) -> frozenset[str]:
        """The event types of all alternatives."""
        return self.types.union(*(join.types for join in self.joins))

    def is_filled(self, seen: Set[str]) -> bool:
        """Whether an event of it, or a whole join, has come."""
        return not self.types.isdisjoint(seen) or self.is_joined(seen)

    def is_joined(self, seen: Set[str]) -> bool:
        """Whether all events of one of its joins have come."""
        return any(join.satisfied(seen) for join in self.joins)

    def is_touched(self, seen: Set[str]) -> bool:
        """Whether any event of one of its joins has come."""
        return any(join.touched(seen) for join in self.joins)


class Trigger(NamedTuple):
    """A conjunction of slots, each filled by any one of several alternatives; without slots it is never met.

    It is never multiplied out: a join of 20 branches with two ends each has 20 slots, and would have a
    million alternatives. It is in a normal form, so triggers that mean the same are equal: slots and joins
    are sorted, no alternative contains another, and where an event type is named more than once the form
    follows from the shortest alternatives (up to `MOST_ALTERNATIVES` of them).

    >>> either = Trigger.any_of(Trigger.of("PaymentFailed"), Trigger.of("PaymentRefunded"))
    >>> either.satisfied({"PaymentRefunded"})
    True
    >>> both = Trigger.all_of(either, Trigger.of("FlightCancelled"))
    >>> both.satisfied({"PaymentRefunded"}), both.touched({"PaymentRefunded"})
    (False, True)
    >>> print(both)
    FlightCancelled & (PaymentFailed | PaymentRefunded)
    """

    slots: tuple[Slot, ...] = ()

    @classmethod
    def of(cls, *types: str) -> Trigger:
        """Return the trigger that any one of these event types satisfies."""
        return cls((Slot(frozenset(types)),)) if types else cls()

    @classmethod
    def any_of(cls, *parts: Trigger) -> Trigger:
        """Return the trigger that any one of these triggers satisfies."""
        some = [part for part in parts if part]
        return some[0] if len(some) == 1 else _simplified(_union(some))

    @classmethod
    def all_of(cls, *parts: Trigger) -> Trigger:
        """Return the join of these triggers: all of them, in any order."""
        if not all(parts):
            return cls()
        return (
            parts[0] if len(parts) == 1 else _simplified(_join(slot for part in parts for slot in part.slots))
        )

    @classmethod
    def of_alternatives(cls, options: Iterable[Set[str]]) -> Trigger:
        """Return the trigger that any one of these sets of event types satisfies."""
        return _factored(_minimal(map(frozenset, options)))

    def __bool__(self) -> bool:
        return bool(self.slots)

    def __str__(self) -> str:
        return self.written()

    @property
    def types(self) -> frozenset[str]:
        """The event types of all slots."""
        return frozenset[str]().union(*(slot.all_types for slot in self.slots))

    @property
    def is_join(self) -> bool:
        """Whether it may need more than one event."""
        return len(self.slots) > 1 or any(slot.joins for slot in self.slots)

    @property
    def longest(self) -> int:
        """The number of events of its longest alternative."""
        return self.fold(lambda _: 1, lambda parts: max(parts), _sum)

    def satisfied(self, seen: Set[str]) -> bool:
        """Whether every slot is filled."""
        slots = self.slots
        for slot in slots:
            if slot.types.isdisjoint(seen) and not (slot.joins and slot.is_joined(seen)):
                return False
        return slots != ()

    def touched(self, seen: Set[str]) -> bool:
        """Whether any event type of any slot has come."""
        for slot in self.slots:
            if not slot.types.isdisjoint(seen) or (slot.joins and slot.is_touched(seen)):
                return True
        return False

    def awaited(self, seen: Set[str]) -> frozenset[str]:
        """Return the event types that would still fill a slot."""
        waiting = (slot for slot in self.slots if not slot.is_filled(seen))
        return frozenset[str]().union(*(slot.all_types for slot in waiting)) - seen

    def alternative(self, among: Set[str], key: Callable[[Set[str]], Any] = len) -> frozenset[str]:
        """Return one alternative, all of whose events are in a set; empty where there is none.

        For each slot it has the events that fill it for which ``key`` is least.
        """
        found = frozenset[str]()
        for types, joins in self.slots:
            fitting = [frozenset((name,)) for name in sorted(types & among)]
            fitting += [each for join in joins if (each := join.alternative(among, key))]
            if not fitting:
                return frozenset()
            found |= min(fitting, key=key)
        return found

    def clauses(self, keep: Callable[[frozenset[str]], bool] = bool) -> Iterator[frozenset[str]]:
        """Return sets of event types: it is satisfied exactly when some event of each of them has come.

        Those are left out that contain a set, not empty, which ``keep`` rejects.
        """
        for types, joins in self.slots:
            found = {types} if not types or keep(types) else set()
            for join in joins:
                further = list(join.clauses(keep))
                found = {more for known in found for more in _further(known, further) if keep(more)}
            yield from sorted(found, key=sorted)

    def fold(
        self, event: Callable[[str], T], any_of: Callable[[list[T]], T], all_of: Callable[[list[T]], T]
    ) -> T:
        """Return the value of it, from those of its event types, of each slot, and of each join."""
        return all_of(
            [
                any_of(
                    [
                        *(event(name) for name in sorted(types)),
                        *(join.fold(event, any_of, all_of) for join in joins),
                    ]
                )
                for types, joins in self.slots
            ]
        )

    def written(self, name: Callable[[str], str] = str) -> str:
        """Return it as text, with this name for each event type."""
        parts = [slot_written(slot, name) for slot in self.slots]
        if len(parts) == 1:
            return parts[0]
        several = [len(slot.types) + len(slot.joins) > 1 for slot in self.slots]
        return " & ".join(f"({part})" if more else part for part, more in zip(parts, several, strict=True))

    def alternatives(self, most: int) -> tuple[frozenset[str], ...] | None:
        """Return its shortest alternatives, sorted; None where they exceed ``most``."""
        options = _multiplied(self, most)
        return None if options is None else tuple(sorted(options, key=sorted))


def _further(known: frozenset[str], clauses: list[frozenset[str]]) -> Iterable[frozenset[str]]:
    """Return a clause of some alternatives with each of those of one more."""
    return (known,) if any(each <= known for each in clauses) else (known | each for each in clauses)


def slot_written(slot: Slot, name: Callable[[str], str] = str) -> str:
    """Return a slot as text, with this name for each event type."""
    names = sorted(map(name, slot.types))
    return " | ".join([*names, *(join.written(name) for join in slot.joins)])


NEVER = Trigger()
"""The trigger that no event satisfies."""

# The normal form


def _union(parts: Sequence[Trigger]) -> Trigger:
    """Return a trigger of one slot, or, where it is a join, of several."""
    alone = [part.slots[0] for part in parts if len(part.slots) == 1]
    joins = {part for part in parts if len(part.slots) > 1}.union(*(slot.joins for slot in alone))
    types = frozenset[str]().union(*(slot.types for slot in alone))
    return _join((Slot(types, tuple(sorted(joins, key=_order))),)) if types or joins else Trigger()


def _join(slots: Iterable[Slot]) -> Trigger:
    """Return a trigger of these slots without those that another one implies."""
    flat = set[Slot]()
    for slot in slots:
        flat.update((slot,) if slot.types or len(slot.joins) != 1 else slot.joins[0].slots)
    if not _are_apart(slot.all_types for slot in flat):
        filling = {frozenset[object]((*slot.types, *slot.joins)): slot for slot in flat}
        flat = {filling[each] for each in _minimal(filling)}
    return Trigger(tuple(sorted(flat, key=_slot_order)))


def _are_apart(several: Iterable[frozenset[str]]) -> bool:
    """Whether no two of these sets have an element in common."""
    known = set[str]()
    for each in several:
        if not known.isdisjoint(each):
            return False
        known |= each
    return True


def _order(trigger: Trigger) -> tuple[Any, ...]:
    return tuple(map(_slot_order, trigger.slots))


def _slot_order(slot: Slot) -> tuple[Any, ...]:
    return tuple(sorted(slot.types)), tuple(map(_order, slot.joins))


def _sum(parts: list[int]) -> int:
    return sum(parts)


def _simplified(trigger: Trigger) -> Trigger:
    """Return an equivalent trigger that follows from its shortest alternatives, if it names a type twice."""
    names = trigger.fold(lambda _: 1, _sum, _sum)
    if names == len(trigger.types) or names > _MOST_NAMES:
        return trigger
    options = _multiplied(trigger, MOST_ALTERNATIVES)
    return trigger if options is None else _factored(options)


def _multiplied(trigger: Trigger, most: int) -> list[frozenset[str]] | None:
    """Return the shortest alternatives of a trigger; None where they exceed ``most``."""
    found = [frozenset[str]()]
    known: frozenset[str] = frozenset()
    for slot in trigger.slots:
        options = _filling(slot, most)
        if options is None or len(found) * len(options) > 16 * most:
            return None
        found = [one | other for one in found for other in options]
        if not known.isdisjoint(slot.all_types):
            found = _minimal(found)
        known |= slot.all_types
        if len(found) > most:
            return None
    return found if trigger else []


def _filling(slot: Slot, most: int) -> list[frozenset[str]] | None:
    options = [frozenset((name,)) for name in slot.types]
    for join in slot.joins:
        more = _multiplied(join, most)
        if more is None:
            return None
        options += more
    if len(options) > 16 * most:
        return None
    minimal = _minimal(options) if slot.joins else options
    return minimal if len(minimal) <= most else None


def _minimal(options: Iterable[frozenset[E]]) -> list[frozenset[E]]:
    """Return the options, none of them empty, that contain no other one."""
    unique = set(options)
    lengths = sorted({len(option) for option in unique})
    if len(lengths) < 2:
        return list(unique)
    often = Counter(each for option in unique for each in option)
    kept: list[frozenset[E]] = []
    shorter: dict[E, list[frozenset[E]]] = {}
    for length in lengths:
        same = [option for option in unique if len(option) == length]
        new = [o for o in same if not any(other <= o for name in o for other in shorter.get(name, ()))]
        for option in new:
            shorter.setdefault(min(option, key=often.__getitem__), []).append(option)
        kept += new
    return kept


MOST_LEVELS = 64
"""Joins are nested in each other up to so many levels."""

_MOST_PAIRS = 4_000_000
"""Alternatives that name more pairs of event types are not looked at for a shorter form."""


def _factored(options: list[frozenset[str]], levels: int = MOST_LEVELS) -> Trigger:
    """Return the trigger with these alternatives, of which none contains another, as slots and joins.

    Types that are alternatives to each other are never together in one option, and types of different slots
    always are: so slots are the parts that the options fall apart into, where each part's options come
    with each of the others'. For a trigger that names no type twice this finds the only such form.

    Source: Golumbic, Mintz and Rotics, *Factoring and recognition of read-once functions using cographs and
    normality* (2001).
    """
    pairs = sum(len(option) ** 2 for option in options)
    if len(options) == 1 or not levels or pairs > _MOST_PAIRS:
        return _union([_joined(option) for option in options])
    beside: dict[str, set[str]] = {}
    for option in options:
        for name in option:
            beside.setdefault(name, set()).update(option)
    apart = _components(beside, lambda name, left: left & beside[name])
    if len(apart) > 1:
        part_of = {name: number for number, part in enumerate(apart) for name in part}
        groups: list[list[frozenset[str]]] = [[] for _ in apart]
        for option in options:
            groups[part_of[next(iter(option))]].append(option)
        return _union([_factored(group, levels - 1) for group in groups])
    together = _components(beside, lambda name, left: left - beside[name])
    parts = [list({option & part for option in options}) for part in together]
    count = 1
    for part in parts:
        count *= len(part)
    if len(parts) > 1 and count == len(options):
        return _join(slot for part in parts for slot in _factored(part, levels - 1).slots)
    return _union([_joined(option) for option in options])


def _joined(option: frozenset[str]) -> Trigger:
    return _join(Slot(frozenset((name,))) for name in option)


def _components(
    names: Iterable[str], neighbours: Callable[[str, set[str]], set[str]]
) -> list[frozenset[str]]:
    """Return the connected parts of a graph; ``neighbours`` are those of a name that are left."""
    left = set(names)
    found = []
    while left:
        part, waiting = set[str](), [left.pop()]
        while waiting:
            name = waiting.pop()
            part.add(name)
            more = neighbours(name, left)
            left -= more
            waiting += more
        found.append(frozenset(part))
    return found
