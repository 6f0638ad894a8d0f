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

`Worker` (``loop``) owns what is between the log and the store: the records not yet processed, the
publications in flight, when something is due. `Partitions` owns the assignment, the positions, and whether
the worker is live. `Processor` owns nothing: it takes an item and completes it, the follow-ups first that
this item itself has brought. `Decisions` owns the sagas in memory (`Instances`), `Calls` the handlers that
run outside of the transaction. Everything else is in the store. Only ``composition`` knows which store, log
and codec these are.
"""

from choreo.worker.loop import Options, Worker

__all__ = ["Options", "Worker"]
