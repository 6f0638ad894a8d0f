"""Whether the mail is counted depends on whether it is faster than the end."""

from choreo import Context, Participant
from tests.verify.corpus.contract import Mailed, OrderFulfilled, Shipped, order
from tests.verify.corpus.parts import orders, payments, shipping, stock  # noqa: F401

mail = Participant("mail", sagas=[order])
reporting = Participant("reporting", sagas=[order])


@mail.action(kind="retriable")
def confirm(event: Shipped, ctx: Context) -> OrderFulfilled: ...


@mail.action(kind="retriable")  # expect: CHO110
def write(event: Shipped, ctx: Context) -> Mailed: ...


@reporting.observer
def count(event: Mailed, ctx: Context) -> None: ...
