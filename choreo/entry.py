"""A row of a participant's saga log: what happened to a saga, in the order in which it was folded."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One row of ``saga_log``: one step's transition ``old_state → new_state``, and what caused it.

    ``input`` names what the protocol was told (``event`` for an event of the log, else a local
    command); an entry whose ``input`` is empty is a consequence of the entry before it. Folding the
    entries that have an input, in order, gives the state of the saga: that is what replay does.
    ``offset`` is -1 for what happened locally. ``note`` is ``void`` where the event changed nothing
    (see `choreo.ports.Store.payload`), else free text; ``traceparent`` is that of an event of the log.
    Times are in milliseconds since the epoch.
    """

    saga_id: str
    saga_type: str
    saga_version: int
    saga_state: str
    recorded_at: int
    input: str
    step: str
    old_state: str
    new_state: str
    event_id: str = ""
    event_type: str = ""
    outcome: str = ""
    kind: str = ""
    source: str = ""
    causation_id: str = ""
    topic: str = ""
    partition: int = -1
    offset: int = -1
    event_time: int = 0
    payload: bytes | None = None
    note: str = ""
    traceparent: str = ""
