"""The inputs of the protocol: an event of the topic (`choreo.envelope.Envelope`), or a local command."""

from __future__ import annotations

from typing import Literal, NamedTuple

from choreo.envelope import Envelope
from choreo.outcome import Outcome


class Begin(NamedTuple):
    """A queued step, or one whose pause is over, is about to run.

    ``joining``: its trigger was in the topic before this participant first joined it.
    """

    step: str
    joining: bool = False


class Ended(NamedTuple):
    """A handler of a step ended, and is not attempted again.

    ``how``: it ``returned`` the event ``type``; it ``raised`` a permanent error, or in its last attempt, so
    that the runtime builds the answer; or it raised and may have had ``partial`` effects outside.
    """

    step: str
    outcome: Outcome
    type: str
    how: Literal["returned", "raised", "partial"] = "returned"
    reason: str = ""


class Deferred(NamedTuple):
    """An attempt failed and will be repeated after a pause; ``name`` is a step's or an observer's.

    Where it waits for a schema the handler was not called, so it is no ``is_attempt``.
    """

    name: str
    reason: str = ""
    is_attempt: bool = True


class Buried(NamedTuple):
    """A step or an observer became a dead letter."""

    name: str
    reason: str = ""


class Requeued(NamedTuple):
    """A dead letter is tried again, against the current state of the saga.

    ``name`` is a step's, a deadline's or an observer's; ``event_id`` is the event for an observer.
    """

    name: str
    event_id: str = ""


class Discarded(NamedTuple):
    """A dead letter was settled by hand: the step's answer is published without an attempt."""

    name: str
    reason: str = ""


class Observed(NamedTuple):
    """An observer has handled the oldest of its waiting events."""

    name: str


class Due(NamedTuple):
    """The time of a deadline has come."""

    deadline: str


class Pruned(NamedTuple):
    """The rows of a saga at rest were pruned from the saga log."""

    end: Literal["completed", "failed"]


Input = Envelope | Begin | Ended | Deferred | Buried | Requeued | Discarded | Observed | Due | Pruned
