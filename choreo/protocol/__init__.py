"""The protocol: what the log decides. Pure; this package cannot do any I/O.

One function, `fold`, takes what a participant knows of a saga and the next thing it is told, and
gives what it knows then and what is to be done. The worker, the simulator of the test kit and the model
checker of ``choreo verify`` all run it, so what is verified is what runs.

The life of a step, as its owner sees it::

                      abort (R4): queued, backing off, or a half-filled join
            ┌────────────────────────────────────────────────────────────► refused
            │                                                              answers failed (R5)
         pending ──trigger──► executing ──returned──► completed ──called (R7)──► compensating
                              │  ▲   │                                            │  ▲    │
                     backoff  └──┘   ├──failed────► failed  answers failed        └──┘    │
                                     │                ▲                          backoff  │
                                     └──raised, partial effects──► compensating ──done────┤
                                                                                          ▼
                                                                     compensated  confirms it

A step that runs inside the local transaction goes from ``pending`` to ``completed`` or ``failed`` in one
row. Where the log says ``timed_out`` of a step, its owner answers with the compensated event where it
would have answered with the failure, as a second outcome would be void (R3).

Ideas: Garcia-Molina and Salem, *Sagas* (SIGMOD 1987); Richardson, *Microservices Patterns* (2018),
chapter 4, for compensatable, pivot and retriable steps.
"""

from choreo.protocol.decisions import (
    Answer,
    Arm,
    Bury,
    Decision,
    Disarm,
    Drop,
    Expire,
    Ignored,
    Moved,
    Publish,
    Queue,
    Run,
    Unowned,
)
from choreo.protocol.fold import fold, fold_into
from choreo.protocol.inputs import (
    Begin,
    Buried,
    Deferred,
    Discarded,
    Due,
    Ended,
    Input,
    Observed,
    Pruned,
    Requeued,
)
from choreo.protocol.instance import Instance, Progress
from choreo.protocol.role import Action, Contract, Deadline, Observer, Role, Undo
from choreo.protocol.trigger import Trigger

__all__ = [
    "Action",
    "Answer",
    "Arm",
    "Begin",
    "Buried",
    "Bury",
    "Contract",
    "Deadline",
    "Decision",
    "Deferred",
    "Disarm",
    "Discarded",
    "Drop",
    "Due",
    "Ended",
    "Expire",
    "Ignored",
    "Input",
    "Instance",
    "Moved",
    "Observed",
    "Observer",
    "Progress",
    "Pruned",
    "Publish",
    "Queue",
    "Requeued",
    "Role",
    "Run",
    "Trigger",
    "Undo",
    "Unowned",
    "fold",
    "fold_into",
]
