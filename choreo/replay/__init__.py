"""Reading a saga log: its rows as the protocol's inputs, and the saga that they give. Pure: no I/O.

`rebuild` is the fast way to the saga of today. `Replay` goes there row by row, and compares each row with
what the fold gives. `choreo.replay.monitor` says whether all participants' logs are a run of the model;
it alone needs graphs, so it is imported by itself.
`lost_work` and `unconfirmed` say what the log asks for and the store does not hold.
Nobody acts on what is replayed here: who does is `choreo.worker`, and the floors above it.
"""

from choreo.replay.difference import Difference
from choreo.replay.entries import INPUT_NAMES, envelope_of, input_of, local_fields
from choreo.replay.rebuild import rebuild
from choreo.replay.replay import Replay
from choreo.replay.standing import Kept, Work, lost_work, missing, unconfirmed, work_of

__all__ = [
    "INPUT_NAMES",
    "Difference",
    "Kept",
    "Replay",
    "Work",
    "envelope_of",
    "input_of",
    "local_fields",
    "lost_work",
    "missing",
    "rebuild",
    "unconfirmed",
    "work_of",
]
