"""How a service declares its part in a saga: a `Participant` and its decorators. No I/O here."""

from choreo.participant.condition import all_of
from choreo.participant.context import Context, NoDatabase
from choreo.participant.handler import Handler, Parameter, Place
from choreo.participant.participant import Participant
from choreo.participant.transaction import Transaction

__all__ = ["Context", "Handler", "NoDatabase", "Parameter", "Participant", "Place", "Transaction", "all_of"]
