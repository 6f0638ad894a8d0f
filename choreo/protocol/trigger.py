"""``Trigger``: the condition that calls a handler, over the types of the saga's events so far."""

from __future__ import annotations

from collections.abc import Iterable, Set
from itertools import product
from typing import NamedTuple


class Trigger(NamedTuple):
    """A disjunction of alternatives, each a set of event types that must all have come.

    >>> either = Trigger.any_of(Trigger.of("PaymentFailed"), Trigger.of("PaymentRefunded"))
    >>> either.satisfied({"PaymentRefunded"})
    True
    >>> both = Trigger.all_of(either, Trigger.of("FlightCancelled"))
    >>> both.satisfied({"PaymentRefunded"}), both.touched({"PaymentRefunded"})
    (False, True)
    """

    alternatives: tuple[frozenset[str], ...] = ()

    @classmethod
    def of(cls, *types: str) -> Trigger:
        """Return the trigger that any one of these event types satisfies."""
        return cls(tuple(frozenset((name,)) for name in types))

    @classmethod
    def any_of(cls, *parts: Trigger) -> Trigger:
        """Return the trigger that any one of these triggers satisfies."""
        return cls(_minimal(option for part in parts for option in part.alternatives))

    @classmethod
    def all_of(cls, *parts: Trigger) -> Trigger:
        """Return the join of these triggers: all of them, in any order."""
        choices = product(*(part.alternatives for part in parts))
        return cls(_minimal(frozenset().union(*choice) for choice in choices))

    @property
    def types(self) -> frozenset[str]:
        """The event types of all alternatives."""
        return frozenset().union(*self.alternatives)

    def satisfied(self, seen: Set[str]) -> bool:
        """Whether all event types of one alternative have come."""
        for option in self.alternatives:  # noqa: SIM110 (asked several times an event: a loop is faster)
            if option <= seen:
                return True
        return False

    def touched(self, seen: Set[str]) -> bool:
        """Whether any event type of any alternative has come."""
        return any(not option.isdisjoint(seen) for option in self.alternatives)


def _minimal(options: Iterable[frozenset[str]]) -> tuple[frozenset[str], ...]:
    unique = list(dict.fromkeys(options))
    shortest = min(map(len, unique), default=0)
    smaller = [option for option in unique if len(option) < max(map(len, unique))]
    return tuple(
        option for option in unique if len(option) == shortest or not any(other < option for other in smaller)
    )
