"""The interfaces of the worker to the outside, as Protocols: a log, a store, a codec, a clock.

This package and all below it cannot do any I/O, which a contract of import-linter ensures.
"""

from choreo.ports.clock import Clock
from choreo.ports.codec import Codec
from choreo.ports.joined import JoinedStore, OpenTransaction
from choreo.ports.log import Assignment, Log, Publication, Refusal, Taken
from choreo.ports.saga_log import SagaLog
from choreo.ports.store import Store, Stores
from choreo.ports.topics import TopicState

__all__ = [
    "Assignment",
    "Clock",
    "Codec",
    "JoinedStore",
    "Log",
    "OpenTransaction",
    "Publication",
    "Refusal",
    "SagaLog",
    "Store",
    "Stores",
    "Taken",
    "TopicState",
]
