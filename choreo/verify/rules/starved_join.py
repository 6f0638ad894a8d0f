"""CHO108 starved-join: a join waits for events that never come in the same run.

Why it is bad: the handler is never called, and the saga stops before it.

For example, where `charge` returns either `PaymentProcessed` or `PaymentDeferred`:

    @shipping.action(fails=ShipmentFailed)
    def create(paid: PaymentProcessed, deferred: PaymentDeferred, ctx: Context) -> ShipmentCreated: ...

How to fix it: join the outcomes of steps that all run; where either event is enough, write `A | B`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import combinations

from choreo.events import short_name
from choreo.manifest import HandlerEntry
from choreo.outcome import COMPENSATED, SUCCEEDED, TIMED_OUT
from choreo.protocol import Slot, Trigger
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule(
    "CHO108",
    "starved-join",
    __doc__,
    "error",
    unless=("CHO101", "CHO102", "CHO107", "CHO109", "CHO112", "CHO401"),
    properties=(Property.FED_JOINS,),
)


def check(case: Case) -> Iterator[Finding]:
    """Find joins of which every alternative needs two outcomes that exclude each other."""
    for handler in case.graph.handlers:
        if handler.task != "compensation" and handler.trigger.is_join:
            rivals = {
                frozenset((first, second)): why
                for first, second in combinations(sorted(handler.trigger.types), 2)
                if (why := _rivalry(case, first, second))
            }
            if rivals and not _is_fed(case, handler.trigger, rivals):
                yield _finding(case, handler, rivals)


def _finding(case: Case, handler: HandlerEntry, rivals: Mapping[frozenset[str], str]) -> Finding:
    shortest = handler.trigger.alternative(handler.trigger.types)
    pair = next((each for each in rivals if each <= shortest), next(iter(rivals)))
    first, second = sorted(map(short_name, pair))
    return RULE.finding(
        case.graph.name,
        f"`{handler.name}` waits for {first} and {second}, which never both come",
        at(handler),
        why=rivals[pair],
        help=f"write {first} | {second} for the one or the other",
        steps=(handler.name,),
    )


def _is_fed(case: Case, trigger: Trigger, rivals: Iterable[frozenset[str]]) -> bool:
    """Whether some alternative has no two rivals; slots without rivals in each other are looked at apart."""
    slots = {slot: {pair for pair in rivals if pair & slot.all_types} for slot in trigger.slots}
    while slots:
        case.meter.check()
        slot, pairs = slots.popitem()
        together = [slot]
        for _ in together:
            near = [other for other, theirs in slots.items() if not theirs.isdisjoint(pairs)]
            together += near
            pairs |= {pair for other in near for pair in slots.pop(other)}
        if (len(together) > 1 or slot.joins) and not _has_alternative(case, together, pairs):
            return False
    return True


def _has_alternative(case: Case, slots: Sequence[Slot], rivals: Set[frozenset[str]]) -> bool:
    waiting: list[tuple[frozenset[str], tuple[Slot, ...]]] = [(frozenset(), tuple(slots))]
    while waiting:
        case.meter.check()
        chosen, still_open = waiting.pop()
        if not still_open:
            return True
        (types, joins), *others = still_open
        for name in sorted(types, reverse=True):
            if not any(frozenset((name, other)) in rivals for other in chosen):
                waiting.append((chosen | {name}, tuple(others)))
        waiting += [(chosen, (*join.slots, *others)) for join in joins]
    return False


def _rivalry(case: Case, first: str, second: str) -> str:
    """Return why two events exclude each other; empty where they don't."""
    (one, how), (other, otherwise) = (case.graph.outcome.get(name, ("", "")) for name in (first, second))
    if not one or not other or {how, otherwise} & {COMPENSATED, TIMED_OUT}:
        return ""
    if one == other:
        return f"they are two outcomes of `{one}`, which has one"
    if not {first, second} <= case.order.reachable:
        return ""
    if how == otherwise == SUCCEEDED:
        exclusive = second not in case.order.possible(first) or first not in case.order.possible(second)
    else:
        exclusive = not {one, other} & (case.order.after[one] | case.order.after[other]) and (
            case.order.are_exclusive(case.graph.steps[one], case.graph.steps[other])
        )
    return f"a choice before them leads to `{one}` or to `{other}`" if exclusive else ""
