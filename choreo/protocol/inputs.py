"""The inputs of the protocol: an event of the topic (`choreo.envelope.Envelope`), or a local command."""

from __future__ import annotations

from typing import Literal, NamedTuple

from choreo.envelope import Envelope
from choreo.outcome import FAILED, Outcome
from choreo.protocol.instance import Progress
from choreo.protocol.role import Action


class Begin(NamedTuple):
    """A queued step, or one whose pause is over, is about to run.

    ``joining``: its trigger was in the topic before this participant first joined it.
    """

    step: str
    joining: bool = False


class Ended(NamedTuple):
    """A handler of a step ended, and is not attempted again.

    ``how``: it ``returned`` the event ``type``; it ``raised`` a permanent error, or in its last attempt, so
    that the runtime builds the answer; or it raised and may have had ``partial`` effects outside, where
    ``type`` is the failure that a later attempt returned, if one did (see `after_attempts`).
    """

    step: str
    outcome: Outcome
    type: str
    how: Literal["returned", "raised", "partial"] = "returned"
    reason: str = ""

    def after_attempts(self, action: Action, progress: Progress) -> Ended:
        """Return the end of a step whose earlier attempts may have had effects: those are undone first.

        A returned failure says that nothing was done by that attempt; it says nothing of one before it that
        raised, was cut off, or was under way when the process ended.
        """
        tried = action.partial and progress.attempt > 0
        if tried and self.outcome == FAILED and self.how == "returned":
            return self._replace(how="partial", reason=self.reason or EARLIER)
        return self


EARLIER = "an earlier attempt may have had effects"
"""The reason why a step is compensated that returned its failure."""


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

    ``name`` is a step's, a deadline's or an observer's; ``event_id`` is the event for an observer, or the
    event that was held.
    """

    name: str
    event_id: str = ""


class Discarded(NamedTuple):
    """A dead letter was settled by hand: the step's answer is published without an attempt.

    ``event_id`` is the event that was held, and that calls for nothing now.
    """

    name: str
    reason: str = ""
    event_id: str = ""


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
