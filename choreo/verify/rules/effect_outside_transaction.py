"""CHO605 effect-outside-transaction: a handler that runs inside its local transaction has effects outside of
it.

Why it is bad: a plain `def` runs inside the transaction, for which every other saga waits. What it does
outside (a call, a message, a file) stays when the transaction is rolled back, is done again when it is
repeated, and holds the database meanwhile. A commit of its own splits what choreo commits as one.

For example:

    @payments.action(fails=PaymentFailed)
    def charge(event: Reserved, ctx: Context) -> PaymentProcessed:
        requests.post("https://bank.example/charges", json=...)

How to fix it: make it `async def`, or give `blocking=True`: then it runs outside any transaction, and its
result is committed afterwards. To send a message, return an event: it goes through the outbox.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.manifest import HandlerEntry
from choreo.verify.case import Case
from choreo.verify.finding import Finding
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule(
    "CHO605", "effect-outside-transaction", __doc__, "error", properties=(Property.TRANSACTIONAL_EFFECTS,)
)


def check(case: Case) -> Iterator[Finding]:
    """Find calls in handlers, and in what they call, that do something outside."""
    for remark, handler in RULE.remarks(case):
        plain = remark.about.replace("()", "")
        yield RULE.finding(
            case.graph.name,
            f"`{handler.name}` {remark.what} inside its transaction: {plain}",
            remark.where,
            why="what it does there is not rolled back, may be done again, and holds the database meanwhile",
            help=_fix(handler, remark.what),
            steps=(handler.name, plain),
            related=remark.chain,
        )


def _fix(handler: HandlerEntry, what: str) -> str:
    if "transaction" in what:
        return "leave the transaction to choreo, and use ctx.db"
    if handler.task in ("observer", "deadline"):
        return f"{handler.task}s run inside: do that in an action, with blocking=True"
    return "make it `async def`, or give blocking=True: then it runs outside, with ctx.idempotency_key"
