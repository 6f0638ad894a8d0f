"""``Property``: what ``choreo verify`` proves of a saga, each by the name under which the code cites it."""

from __future__ import annotations

from enum import StrEnum


class Property(StrEnum):
    """A property that every saga must have; the rules name the ones that they check.

    Those of the graph are read off it, those of runs hold in every run that the scope covers: whatever
    fails, however the steps of parallel branches interleave, whenever a deadline passes or a cancellation
    comes.
    """

    # Of the graph

    ONE_CONTRACT = "one-contract"
    """All participants declare the saga alike: its start, its ends, its topic, its version."""

    EMITTED_TRIGGERS = "emitted-triggers"
    """Every event that a handler waits for is emitted by a step of the saga, starts it, cancels it or is
    imported."""

    CONSUMED_EVENTS = "consumed-events"
    """Every event that is emitted calls a handler, ends the saga or is exported."""

    REACHABLE_HANDLERS = "reachable-handlers"
    """Every handler can be called in some run."""

    REACHABLE_END = "reachable-end"
    """The event that completes the saga can come in some run."""

    ONE_OWNER = "one-owner"
    """An outcome event belongs to one step."""

    ACYCLIC = "acyclic"
    """No step is triggered by a consequence of its own success."""

    ONE_COMPENSATION = "one-compensation"
    """Each success event of a compensatable step, and the start, has exactly one compensation, in the
    participant that owns the step."""

    INFALLIBLE_COMPENSATION = "infallible-compensation"
    """A compensation has no failing outcome."""

    NO_FAILURE_AFTER_PIVOT = "no-failure-after-pivot"
    """After a pivot or a retriable step, and beside one, nothing can fail or be late."""

    WATCHED_STEPS = "watched-steps"
    """On a step that another participant waits for, or on one after it, somebody else sets a deadline."""

    WATCHED_COMPENSATABLE = "watched-compensatable"
    """A deadline watches a compensatable action or an import."""

    SUFFICIENT_DEADLINE = "sufficient-deadline"
    """A deadline is no shorter than the timeouts of the steps under it."""

    ONE_TOPIC = "one-topic"
    """Events whose order a handler relies on are ordered by the saga's topic or by causality."""

    READABLE_EVENTS = "readable-events"
    """Every reader of an event can read every version that its writer publishes or the topic still holds."""

    # Of the handlers' source

    DECLARED_EMISSIONS = "declared-emissions"
    """A handler returns the events that it declares, and no others."""

    TRANSACTIONAL_EFFECTS = "transactional-effects"
    """A handler that runs in the local transaction has no effect outside of it."""

    # Of runs

    TERMINATION = "termination"
    """A run in which nothing more can happen has reached an end of the saga."""

    QUIESCENCE = "quiescence"
    """Where nothing more can happen, no step is queued, waiting or executing."""

    NO_DEAD_LETTER = "no-dead-letter"
    """Nothing becomes a dead letter in a run in which no handler fails unexpectedly."""

    FED_JOINS = "fed-joins"
    """Every slot of a join can be filled in one and the same run."""

    DONE_ONCE = "done-once"
    """A step succeeds at most once."""

    COMPENSATED_ONCE = "compensated-once"
    """A step is compensated at most once."""

    ACTION_FIRST = "action-first"
    """A step is compensated only after it has succeeded, failed or timed out."""

    NO_LATE_ACTION = "no-late-action"
    """A step does not succeed after it has failed or been compensated."""

    REVERSE_ORDER = "reverse-order"
    """Where the success of one step led to that of another and both are compensated, the later step's
    compensation comes first."""

    COMPLETE_ROLLBACK = "complete-rollback"
    """In a saga that ends in failure, every step that succeeded is compensated."""

    ADMITTED_TIMEOUT = "admitted-timeout"
    """The compensation of a watched step admits that its deadline calls it."""

    ONE_END = "one-end"
    """Only one end of a saga counts, and in a saga that completes nothing is compensated."""
