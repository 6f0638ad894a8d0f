"""``Trigger``: the condition that calls a handler, over the types of the saga's events so far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from itertools import product
from math import prod
from typing import NamedTuple

from choreo.errors import DeclarationError

MOST_ALTERNATIVES = 100_000
"""The largest number of alternatives of a trigger: a join of 16 branches with two ends each has 65,536."""


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
        options = (option for part in parts for option in part.alternatives)
        return cls(tuple(options) if _are_apart(parts) else _minimal(options))

    @classmethod
    def all_of(cls, *parts: Trigger) -> Trigger:
        """Return the join of these triggers: all of them, in any order.

        Raises `DeclarationError` where it would have more than `MOST_ALTERNATIVES`.
        """
        ways = prod(len(part.alternatives) for part in parts)
        if ways > MOST_ALTERNATIVES:
            raise DeclarationError(
                f"a join of {len(parts)} conditions can be met in {ways:,} ways, of at most "
                f"{MOST_ALTERNATIVES:,}",
                hint="join some of the branches in a step of their own, and go on from its event",
            )
        options = (frozenset().union(*way) for way in product(*(part.alternatives for part in parts)))
        return cls(tuple(options) if _are_apart(parts) else _minimal(options))

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


def _are_apart(parts: Sequence[Trigger]) -> bool:
    """Whether no event type is in two triggers: then none of their alternatives contains another."""
    return sum(len(part.types) for part in parts) == len(frozenset().union(*(part.types for part in parts)))


def _minimal(options: Iterable[frozenset[str]]) -> tuple[frozenset[str], ...]:
    unique = list(dict.fromkeys(options))
    shortest, longest = (which(map(len, unique), default=0) for which in (min, max))
    smaller = [option for option in unique if len(option) < longest]
    return tuple(
        option for option in unique if len(option) == shortest or not any(other < option for other in smaller)
    )
