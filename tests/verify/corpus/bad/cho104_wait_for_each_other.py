"""The invoice waits for the mail, and the mail for the invoice."""

from choreo import Context, Participant
from tests.verify.corpus.contract import Invoiced, Mailed, order
from tests.verify.corpus.parts import mail, orders, payments, shipping, stock  # noqa: F401

billing = Participant("billing", sagas=[order])
letters = Participant("letters", sagas=[order])


@billing.action(kind="retriable")  # expect: CHO104
def invoice(event: Mailed, ctx: Context) -> Invoiced: ...


@letters.action(kind="retriable")
def write(event: Invoiced, ctx: Context) -> Mailed: ...
