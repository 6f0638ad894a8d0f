"""What the worker needs from the outside, as Protocols: a log, a store, a codec, a clock.

This floor and all below it cannot do any I/O; `import-linter` holds them to it.
"""

from choreo.entry import Entry
from choreo.ports.clock import Clock
from choreo.ports.codec import Codec
from choreo.ports.log import Assignment, Log, Partition, Publication, Record, Taken
from choreo.ports.saga_log import SagaLog
from choreo.ports.store import (
    DeadLetter,
    Lane,
    LetterState,
    Scheduled,
    Store,
    Unpublished,
)

__all__ = [
    "Assignment",
    "Clock",
    "Codec",
    "DeadLetter",
    "Entry",
    "Lane",
    "LetterState",
    "Log",
    "Partition",
    "Publication",
    "Record",
    "SagaLog",
    "Scheduled",
    "Store",
    "Taken",
    "Unpublished",
]
