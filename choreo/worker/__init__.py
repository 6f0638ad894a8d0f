"""The worker: one loop, one writer, one transaction a turn.

The way of an event, from the log to the handler and back to the log::

    log ── records ──> loop ── record, due row, result of a call ──> processor
                                                                      │      ^
                                                                input │      │ follow-ups:
                                                                      v      │ handlers to run,
    protocol <── folds ── decisions ──────────────────────────────────┼──────┘ dead letters
                              │                                       │
                              │ saga log, outbox, schedule            │ attempt: the handler,
                              v                                       v in a savepoint
                            store ── committed ──> loop ── outbox rows ──> log

`Worker` (``loop``) goes round: it takes, lets `Turns` process what is there, or `CarefulTurns` after a turn
that was lost, and publishes. `Uncommitted` owns what was taken and isn't committed yet, `DueRows` which rows
of the schedule may run and when the next will, `Claim` the hold on the store, `Partitions` the assignment,
the positions, and whether the worker is live. `Processor` has no state: it processes an item with all its
follow-ups before the next item. `Decisions` owns the sagas in memory (`Instances`), `Calls` the handlers that
run outside of the transaction. Everything else is in the store. Only ``composition`` imports the store, the
log and the codec.
"""

from choreo.worker.loop import Worker
from choreo.worker.options import Options

__all__ = ["Options", "Worker"]
