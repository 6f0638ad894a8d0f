"""choreo: sagas by choreography over Kafka.

One saga, one topic, one order: participants decorate event handlers, share nothing but the saga's
topic, and whatever has to be agreed is decided by the order of its events.
"""

from typing import TYPE_CHECKING, Any

from choreo.errors import ChoreoError, DeclarationError, Permanent
from choreo.event import Aborted, Earlier, event
from choreo.participant import Context, External, Participant, all_of
from choreo.retry import Retry
from choreo.saga import Saga
from choreo.version import __version__

if TYPE_CHECKING:
    from choreo.worker.connect import connect

__all__ = [
    "Aborted",
    "ChoreoError",
    "Context",
    "DeclarationError",
    "Earlier",
    "External",
    "Participant",
    "Permanent",
    "Retry",
    "Saga",
    "__version__",
    "all_of",
    "connect",
    "event",
]


def __getattr__(name: str) -> Any:
    # `connect` needs the store and Avro; a module that only declares handlers should not load them.
    if name == "connect":
        from choreo.worker.connect import connect

        return connect
    raise AttributeError(f"module 'choreo' has no attribute {name!r}")
