"""``judge``: what a rollout breaks, whatever the order of upgrades, or only in some orders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice, permutations
from math import factorial
from typing import NamedTuple

from choreo.verify.engine.budget import Meter
from choreo.verify.rollout.mixture import Rollout
from choreo.verify.rollout.search import REFUSED, REPEATED, STRANDED, Break, RolloutSearch, Signature

MOST_ORDERS = 720
"""So many orders are told apart, at most: all of those of six participants."""

MOST_TRIED = 24
"""So many orders in which no break is known are tried, at most, where others have some."""

Order = tuple[str, ...]


class Judgement(NamedTuple):
    """What a rollout of one saga breaks.

    ``certain`` are breaks that no order of upgrades avoids. ``others`` are those that some orders avoid:
    ``order`` is one that avoids all of them, None where each order has some. ``orders`` is how many orders
    were told apart, of ``possible``; ``moments`` at how many moments a participant was upgraded.
    """

    certain: tuple[Break, ...] = ()
    others: tuple[Break, ...] = ()
    order: Order | None = None
    moments: int = 0
    orders: int = 1
    possible: int = 1
    is_cut: bool = False


def judge(rollout: Rollout, troubles: int, meter: Meter) -> Judgement:
    """Return what a rollout breaks; what either choreography breaks alone is left out."""
    if not rollout.changed:
        return Judgement()
    alone = [Rollout(graph, graph) for graph in (rollout.old, rollout.new)]
    always = frozenset.intersection(*(_always_done(each, meter) for each in alone))
    found = _Found(rollout)
    search = RolloutSearch(rollout, troubles, always=always)
    found.add(search.breaks(meter))
    if found.shortest:
        found.forget(each for one in alone for each in RolloutSearch(one, troubles, ()).breaks(meter))
    order = _order(found, lambda order: RolloutSearch(rollout, troubles, order, always).breaks(meter))
    certain = found.certain()
    others = [each for name, each in found.shortest.items() if name not in certain]
    return Judgement(
        _sorted(found.shortest[name] for name in certain),
        _sorted(others),
        order if others else None,
        search.moments,
        len(found.orders),
        factorial(len(rollout.changed)),
        search.is_cut,
    )


def _always_done(alone: Rollout, meter: Meter) -> frozenset[str]:
    """Return what is done in every saga of one choreography that completes without any trouble."""
    search = RolloutSearch(alone, 0, ())
    for _ in search.breaks(meter):
        pass
    return search.done or frozenset()


class _Found:
    """The breaks that were found: of each the shortest run, and the orders, as bits, in which it comes."""

    def __init__(self, rollout: Rollout) -> None:
        self.orders = list(islice(permutations(rollout.changed), MOST_ORDERS))
        self.all = (1 << len(self.orders)) - 1
        self.shortest: dict[Signature, Break] = {}
        self.bad: dict[Signature, int] = {}
        self._known: dict[tuple[int, ...], int] = {}

    def add(self, breaks: Iterable[Break], among: frozenset[Signature] | None = None) -> bool:
        """Add breaks, and return whether there were any."""
        some = False
        for each in breaks:
            name = each.signature
            if among is not None and name in among:
                continue
            some = True
            shortest = self.shortest.setdefault(name, each)
            if each.length < shortest.length:
                self.shortest[name] = each
            if self.bad.get(name) != self.all:
                self.bad[name] = self.bad.get(name, 0) | self._orders_of(each.moments)
        return some

    def forget(self, breaks: Iterable[Break]) -> None:
        """Leave out what breaks in another way than by the release, too."""
        for each in breaks:
            self.shortest.pop(each.signature, None)
            self.bad.pop(each.signature, None)

    def first(self, bad: int) -> Order | None:
        """Return the first order that is none of these."""
        return next((each for number, each in enumerate(self.orders) if not bad >> number & 1), None)

    def certain(self) -> frozenset[Signature]:
        """Return the breaks that no order avoids: each alone, or all of one kind together."""
        kinds: dict[str, int] = {}
        for name, orders in self.bad.items():
            kinds[_kind(name)] = kinds.get(_kind(name), 0) | orders
        alone = {name for name, orders in self.bad.items() if orders == self.all}
        whole = {kind for kind, orders in kinds.items() if orders == self.all}
        return frozenset(alone or (name for name in self.bad if _kind(name) in whole))

    def _orders_of(self, moments: Mapping[str, tuple[int, int]]) -> int:
        """Return the orders in which everybody may be upgraded at one of these moments."""
        numbers = {
            at: rank for rank, at in enumerate(sorted({at for pair in moments.values() for at in pair}))
        }
        pattern = tuple(numbers[at] for name in sorted(moments) for at in moments[name])
        if pattern not in self._known:
            fitting = (number for number, order in enumerate(self.orders) if _fits(order, moments))
            self._known[pattern] = sum(1 << number for number in fitting)
        return self._known[pattern]


def _fits(order: Order, moments: Mapping[str, tuple[int, int]]) -> bool:
    at = 0
    for name in order:
        first, last = moments[name]
        at = max(at, first)
        if at > last:
            return False
    return True


def _kind(name: Signature) -> str:
    return name.how if name.how in (STRANDED, REPEATED, REFUSED) else "lost"


def _order(found: _Found, breaks: Callable[[Order], Iterable[Break]]) -> Order | None:
    """Return an order in which nothing breaks but what no order avoids, None where none is known.

    ``breaks`` returns what breaks in one order.
    """
    for _ in range(MOST_TRIED):
        certain = found.certain()
        bad = 0
        for name, orders in found.bad.items():
            bad |= 0 if name in certain else orders
        order = found.first(bad)
        if order is None and not certain:
            _try_everywhere(found, breaks)
            return None
        if order is None or not bad or not found.add(breaks(order), certain):
            return order
    return None


def _try_everywhere(found: _Found, breaks: Callable[[Order], Iterable[Break]]) -> None:
    """Look whether what breaks in the most orders breaks in the others, too."""
    most = max(found.bad, key=lambda name: (found.bad[name].bit_count(), name))
    for _ in range(MOST_TRIED):
        order = found.first(found.bad[most])
        if order is None or not found.add(breaks(order), frozenset(found.bad) - {most}):
            return


def _sorted(breaks: Iterable[Break]) -> tuple[Break, ...]:
    return tuple(sorted(breaks, key=lambda each: (*each.length, each.signature)))
