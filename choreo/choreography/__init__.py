"""A choreography: the whole event graph of each saga, put together from manifests. Pure; no I/O here."""

from choreo.choreography.choreography import Choreography, choreography_of
from choreo.choreography.derivation import derive, derive_from
from choreo.choreography.graph import SagaGraph
from choreo.choreography.lock import Lock, LockedSaga, lock_of
from choreo.choreography.locking import read_lock, write_lock
from choreo.choreography.reverse import Slots, Wanted, reverse_edges, trigger_of, wanted
from choreo.choreography.roles import role_of, role_of_all, roles_of
from choreo.choreography.step import Step

__all__ = [
    "Choreography",
    "Lock",
    "LockedSaga",
    "SagaGraph",
    "Slots",
    "Step",
    "Wanted",
    "choreography_of",
    "derive",
    "derive_from",
    "lock_of",
    "read_lock",
    "reverse_edges",
    "role_of",
    "role_of_all",
    "roles_of",
    "trigger_of",
    "wanted",
    "write_lock",
]
