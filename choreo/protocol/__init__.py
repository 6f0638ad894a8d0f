"""The protocol: what the order of a saga's events decides. Pure: this package cannot do any I/O.

One function, `fold`, takes the state of a saga as one participant knows it and the next input, and returns
the new state and the decisions. The worker, the simulator of the test kit and the model checker of
``choreo verify`` all call it, so what is verified is what runs. It keeps these rules:

- **R1 order**: a participant folds all events of a saga in the order of the topic, its own too, by their
  headers; a body that can't be used makes a dead letter of the handler that needs it, and of nothing else.
- **R2 once**: an event whose id was folded before changes nothing, unless its step, outcome or type differ;
  the id is derived from saga, step, outcome and event type, so a retry, a restart or a replay repeats it.
- **R3 first outcome**: the first of a step's ``succeeded``, ``failed`` and ``timed_out`` in the topic is its
  outcome, and a later one is void: recorded, and dispatched to nobody.
- **R4 abort**: after a failure, a timeout or a cancellation, an action that can fail is refused, and answers
  with its failure event, when its trigger comes, while queued or backing off, or if it is a join of which
  a part has come; a participant folds to the end of the topic before it acts.
  A saga of a version that this release does not know is folded and not acted on: what its events call for is
  held until the version is known, and then done in their order, against the state of the saga of that day.
- **R5 answer**: a step answers exactly when it was triggered: a compensation called before that bars its
  action, one called while the action executes waits for the result, and where the step's outcome is
  ``timed_out`` the answer is the compensated event, as a failure would be void.
  A failure that a handler returns says that nothing was done by that attempt: where an earlier one may have
  had effects, the step is compensated before its failure is published.
- **R6 at most once**: each action and each compensation takes effect at most once in a saga.
- **R7 reverse edges**: a step is compensated when every step that its success event triggers, and that can
  fail, has failed or is compensated, a step without such successors at the saga's first failure or timeout;
  its own timeout calls the compensation too.
- **R8 end**: the first ``completes`` or ``fails`` event ends the saga (after a failure, ``completes`` does so
  only if a pivot has succeeded); later outcomes are void, and compensations that were called still run. A
  branch that an import alone calls hangs on no step, so where an import has come the rollback may go on after
  ``fails``: failures, compensations and successes to be undone count, and the saga is failed when all is
  undone. An import that
  comes while the saga is rolled back calls nothing alone.
- **R9 facts stay facts**: what a participant did is read from the rows of its saga log, never decided anew by
  the declarations of today, which act on what is folded from then on; rows of a step that is not declared any
  more are passed over.
- **R10 one item, one blame**: what a handler or a record raises is undone alone, and becomes a failed attempt
  or a dead letter of its own saga; a turn that is lost as a whole is done again item by item.

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

A step that runs inside the local transaction goes from ``pending`` to ``completed`` or ``failed`` in one row.

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
    Held,
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
from choreo.protocol.role import (
    Action,
    Compensation,
    Contract,
    Deadline,
    Observer,
    Role,
    compensation_for,
    serves,
)
from choreo.protocol.trigger import NEVER, Slot, Trigger

__all__ = [
    "NEVER",
    "Action",
    "Answer",
    "Arm",
    "Begin",
    "Buried",
    "Bury",
    "Compensation",
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
    "Held",
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
    "Slot",
    "Trigger",
    "Unowned",
    "compensation_for",
    "fold",
    "fold_into",
    "serves",
]
