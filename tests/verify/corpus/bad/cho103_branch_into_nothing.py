"""Mailing the customer is a branch of its own, and nobody looks at its event."""

from choreo import Context, Participant
from tests.verify.corpus.contract import Mailed, OrderFulfilled, Shipped, order
from tests.verify.corpus.parts import orders, payments, shipping, stock  # noqa: F401

mail = Participant("mail", sagas=[order])


@mail.action(kind="retriable")
def confirm(event: Shipped, ctx: Context) -> OrderFulfilled: ...


@mail.action(kind="retriable")  # expect: CHO103
def write(event: Shipped, ctx: Context) -> Mailed: ...
