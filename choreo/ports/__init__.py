"""What the worker needs from outside, as Protocols: a log, a store, a codec, a clock.

This package and all below it cannot do any I/O; a contract of import-linter makes sure of it.
"""

from choreo.ports.clock import Clock
from choreo.ports.codec import Codec
from choreo.ports.log import Assignment, Log, Publication, Taken
from choreo.ports.saga_log import SagaLog
from choreo.ports.store import Store

__all__ = ["Assignment", "Clock", "Codec", "Log", "Publication", "SagaLog", "Store", "Taken"]
