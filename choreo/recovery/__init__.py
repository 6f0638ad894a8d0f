"""Acting on a saga log: resuming a saga, running tomorrow's code on it, rebuilding a lost store.

A floor of its own above `choreo.worker`, whose parts it uses; the pure reading and comparing is
`choreo.replay`. Nothing here does a saga's work: what is asked for is written into the store in one
transaction, and the worker acts on it.
"""

from choreo.recovery.resume import Resumed, resume
from choreo.recovery.sagas import Remembered, remembered

__all__ = ["Remembered", "Resumed", "remembered", "resume"]
