"""``choreo verify``: proves properties of a choreography before it is deployed. Pure; no I/O here.

The graph of a choreography is built from manifests. Rules examine the graph and its runs, in which events
are folded by the same `choreo.protocol.fold` as in the worker. The caller passes the comparison of Avro
schemas and the clock.

The guarantees of choreo's runtime are assumed here, and tested by fault injection: an atomic local
transaction, dedupe by event id, a relay that publishes in the end. Under these a crash, a restart and a
repeated delivery add no state, so only failures, orders, deadlines, cancellations and dead letters are
explored.
"""

from choreo.verify.analysis.schemas import Compare, Unreadable
from choreo.verify.engine.budget import Budget
from choreo.verify.engine.run import RunLine
from choreo.verify.finding import Finding, Level
from choreo.verify.policy import Levels
from choreo.verify.scope import Scope, Unfinished
from choreo.verify.verdict import Verdict, verify

__all__ = [
    "Budget",
    "Compare",
    "Finding",
    "Level",
    "Levels",
    "RunLine",
    "Scope",
    "Unfinished",
    "Unreadable",
    "Verdict",
    "verify",
]
