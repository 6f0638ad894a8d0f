"""Reading a saga log: its rows as the protocol's inputs, and the saga that they give. Pure: no I/O.

Nobody acts on what is replayed here: who does is `choreo.worker`, and the floors above it.
"""

from choreo.replay.entries import INPUT_NAMES, envelope_of, input_of, local_fields
from choreo.replay.rebuild import rebuild

__all__ = ["INPUT_NAMES", "envelope_of", "input_of", "local_fields", "rebuild"]
