"""A choreography: the whole event graph of each saga, put together from manifests. Pure; no I/O here."""

from choreo.graph.choreography import Choreography, choreography_of
from choreo.graph.derivation import derive, derive_from
from choreo.graph.lock import Lock, LockedSaga, lock_of, read_lock, write_lock
from choreo.graph.reverse_edges import Slots, Wanted, reverse_edges, trigger_of, wanted
from choreo.graph.roles import role_of, role_of_all, roles_of
from choreo.graph.saga_graph import SagaGraph, Step

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
