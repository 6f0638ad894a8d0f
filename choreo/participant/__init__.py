"""`Participant` and its decorators, with which a service declares its part in a saga. No I/O here."""

from choreo.participant.connection import Status, Transaction, Wait
from choreo.participant.context import NOTHING_SHARED, Context, NoDatabase, NoSessions, Sessions
from choreo.participant.external import External
from choreo.participant.handler import Handler, Parameter
from choreo.participant.participant import Participant
from choreo.participant.roles import Roles
from choreo.participant.triggers import all_of

__all__ = [
    "NOTHING_SHARED",
    "Context",
    "External",
    "Handler",
    "NoDatabase",
    "NoSessions",
    "Parameter",
    "Participant",
    "Roles",
    "Sessions",
    "Status",
    "Transaction",
    "Wait",
    "all_of",
]
