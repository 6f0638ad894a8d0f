"""Two participants wait for Invoiced; the step that emitted it was removed."""

from choreo import Context, Participant
from tests.verify.corpus.contract import Invoiced, order
from tests.verify.corpus.parts import mail, orders, payments, shipping, stock  # noqa: F401

ledger = Participant("ledger", sagas=[order])
reporting = Participant("reporting", sagas=[order])


@ledger.observer  # expect: CHO102
def book(event: Invoiced, ctx: Context) -> None: ...


@reporting.observer  # expect: CHO102
def count(event: Invoiced, ctx: Context) -> None: ...
