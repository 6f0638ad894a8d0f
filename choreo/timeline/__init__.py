"""A saga's story, told by all its participants: pure, no I/O.

The accounts of several stores are merged by the order of the saga's topic; clocks only arrange what that
order leaves open. `choreo.render` draws what is told here.
"""

from choreo.timeline.account import Account, Letter, Planned
from choreo.timeline.debts import Debt
from choreo.timeline.messages import Message, Moment, Place
from choreo.timeline.source import Head, Source
from choreo.timeline.timeline import Story, tell

__all__ = [
    "Account",
    "Debt",
    "Head",
    "Letter",
    "Message",
    "Moment",
    "Place",
    "Planned",
    "Source",
    "Story",
    "tell",
]
