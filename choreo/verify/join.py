"""The join that was meant where a step waits for any of several branches: ``A & B`` for ``A | B``."""

from __future__ import annotations

from typing import NamedTuple

from choreo.events import short_name
from choreo.graph import Step
from choreo.verify.case import Case
from choreo.verify.code import Code
from choreo.verify.suggestion import joined


class Join(NamedTuple):
    """A join that was meant: of which step, what to do, and the code for it."""

    step: Step
    help: str
    code: Code


def join_meant(case: Case, step: Step) -> Join | None:
    """Return the join of the events that call a step one by one; None where no two of them come both.

    Events that exclude each other stay alternatives.
    """
    slots: list[list[str]] = []
    if step.trigger.is_join:
        return None
    for name in sorted(step.trigger.types):
        slot = next((slot for slot in slots if all(_exclude(case, name, other) for other in slot)), None)
        if slot is None:
            slots.append([name])
        else:
            slot.append(name)
    if len(slots) < 2 or step.handler is None:
        return None
    events = " & ".join(" | ".join(map(short_name, names)) for names in slots)
    help = f"let `{step.function}` wait for {events}, each by a parameter of its own"
    return Join(step, help, joined(case, step.handler, slots))


def _exclude(case: Case, one: str, other: str) -> bool:
    """Whether two success events never come in the same saga."""
    if not {one, other} <= case.graph.outcome.keys():
        return False
    return other not in case.order.possible(one) or one not in case.order.possible(other)
