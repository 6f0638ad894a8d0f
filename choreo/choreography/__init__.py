"""A choreography: the whole event graph of each saga, put together from manifests. Pure; no I/O here."""

from choreo.choreography.choreography import Choreography, choreography_of
from choreo.choreography.graph import SagaGraph
from choreo.choreography.reverse import Wanted, wanted
from choreo.choreography.roles import role_of, role_of_all, roles_of
from choreo.choreography.step import Step

__all__ = [
    "Choreography",
    "SagaGraph",
    "Step",
    "Wanted",
    "choreography_of",
    "role_of",
    "role_of_all",
    "roles_of",
    "wanted",
]
