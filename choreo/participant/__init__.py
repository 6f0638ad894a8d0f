"""How a service declares its part in a saga: a `Participant` and its decorators. No I/O here."""

from choreo.participant.connection import Connection, Status, Transaction, Wait
from choreo.participant.context import Context, NoDatabase
from choreo.participant.external import External
from choreo.participant.handler import Handler, Parameter, Place
from choreo.participant.participant import Participant
from choreo.participant.triggers import all_of

__all__ = [
    "Connection",
    "Context",
    "External",
    "Handler",
    "NoDatabase",
    "Parameter",
    "Participant",
    "Place",
    "Status",
    "Transaction",
    "Wait",
    "all_of",
]
