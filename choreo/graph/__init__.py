"""A choreography: the whole event graph of each saga, built from manifests. Pure; no I/O here."""

from choreo.graph.choreography import Choreography, choreography_of
from choreo.graph.lock import Lock, derive, derive_from, lock_of, read_lock, write_lock
from choreo.graph.reverse_edges import RequiredTrigger, required_trigger, reverse_edges, trigger_of
from choreo.graph.roles import role_of, role_of_all, roles_of
from choreo.graph.saga_graph import SagaGraph, Step

__all__ = [
    "Choreography",
    "Lock",
    "RequiredTrigger",
    "SagaGraph",
    "Step",
    "choreography_of",
    "derive",
    "derive_from",
    "lock_of",
    "read_lock",
    "required_trigger",
    "reverse_edges",
    "role_of",
    "role_of_all",
    "roles_of",
    "trigger_of",
    "write_lock",
]
