"""A saga's story, told by all its participants: pure, no I/O.

The accounts of several stores are merged by the order of the saga's topic; clocks only arrange what that
order leaves open. `choreo.canvas` draws what is told here.
"""

from choreo.story.account import Account, Letter, Planned
from choreo.story.head import Head, Source
from choreo.story.moment import Message, Moment, Place
from choreo.story.owing import Debt
from choreo.story.story import Story, tell

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
