"""``judge``: what a rollout breaks, whatever the order of upgrades, or only in some orders."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice, permutations
from math import factorial
from typing import NamedTuple

from choreo.verify.engine.budget import Meter
from choreo.verify.rollout.mixture import Rollout, Upgraded
from choreo.verify.rollout.search import Break, RolloutSearch, Signature

MOST_ORDERS = 24
"""So many orders are tried alone, at most, where some break."""

_MOST_COMPARED = 5_040

Order = tuple[str, ...]
Breaks = dict[Signature, Break]


class Judgement(NamedTuple):
    """What a rollout of one saga breaks.

    ``certain`` are breaks that no order of upgrades avoids. ``others`` are those that some orders avoid:
    ``order`` is one that avoids all of them, None where each order has some. ``orders`` is how many orders
    were looked at, of ``possible``; ``moments`` at how many moments a participant was upgraded.
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
    old, new = (RolloutSearch(Rollout(each, each), troubles, ()) for each in (rollout.old, rollout.new))
    known = {**old.breaks(meter), **new.breaks(meter)}
    always = (old.done or frozenset()) & (new.done or frozenset())
    mixed = RolloutSearch(rollout, troubles, always=always)
    found = _others(mixed.breaks(meter), known)
    possible = factorial(len(rollout.changed))
    judgement = Judgement((), (), None, mixed.moments, possible, possible, mixed.is_cut)
    if not found or possible == 1:
        return judgement._replace(certain=_sorted(found.values()))
    by_order: dict[Order, Breaks] = {}
    for order in _orders(rollout, found.values()):
        search = RolloutSearch(rollout, troubles, order, always=always)
        breaks = _others(search.breaks(meter), known)
        if meter.exhausted:
            break
        by_order[order] = breaks
        judgement = judgement._replace(moments=judgement.moments + search.moments)
    return _classified(judgement, found, by_order)


def _others(breaks: Breaks, known: Breaks) -> Breaks:
    return {signature: each for signature, each in breaks.items() if signature not in known}


def _orders(rollout: Rollout, breaks: Iterable[Break]) -> list[Order]:
    """Return all orders, or those first in which the fewest breaks come by the same participants first."""
    sets = [each.upgraded for each in breaks]

    def passes(order: Order) -> int:
        prefixes = {Upgraded(order[:length]) for length in range(1, len(order))}
        return sum(each in prefixes for each in sets)

    orders = islice(permutations(rollout.changed), _MOST_COMPARED)
    return sorted(orders, key=passes)[:MOST_ORDERS]


def _classified(judgement: Judgement, found: Breaks, by_order: dict[Order, Breaks]) -> Judgement:
    if not by_order:
        return judgement._replace(certain=_sorted(found.values()))
    judgement = judgement._replace(orders=len(by_order))
    clean = [order for order, breaks in by_order.items() if not breaks]
    everywhere = set(found).intersection(*by_order.values())
    if not clean and not everywhere:
        hows = [{each.how for each in breaks} for breaks in by_order.values()]
        alike = set.intersection(*hows)
        everywhere = {each for each in found if each.how in alike}
    certain = {each: found[each] for each in found if each in everywhere}
    rest = {each: found[each] for each in found if each not in everywhere}
    order = next((o for o, breaks in by_order.items() if not (breaks.keys() & rest.keys())), None)
    return judgement._replace(certain=_sorted(certain.values()), others=_sorted(rest.values()), order=order)


def _sorted(breaks: Iterable[Break]) -> tuple[Break, ...]:
    return tuple(sorted(breaks, key=lambda each: (*each.length, each.signature)))
