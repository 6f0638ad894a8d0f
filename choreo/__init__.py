"""choreo: sagas by choreography over Kafka.

One saga, one topic, one order: participants decorate event handlers, share nothing but the saga's
topic, and whatever has to be agreed is decided by the order of its events.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from choreo.errors import ChoreoError, DeclarationError, Permanent
from choreo.events import Aborted, DecimalOf, Earlier, event
from choreo.version import __version__

if TYPE_CHECKING:
    from choreo.client.connection import connect
    from choreo.participant import Context, External, Participant, all_of
    from choreo.retry import Retry
    from choreo.saga import Saga

__all__ = [
    "Aborted",
    "ChoreoError",
    "Context",
    "DecimalOf",
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


# Imported at their first use: a module that only declares handlers needs no store, and a run of pytest
# that only finds our plugin needs nothing.
_HOMES = {
    "Context": "choreo.participant",
    "External": "choreo.participant",
    "Participant": "choreo.participant",
    "Retry": "choreo.retry",
    "Saga": "choreo.saga",
    "all_of": "choreo.participant",
    "connect": "choreo.client.connection",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'choreo' has no attribute {name!r}")
