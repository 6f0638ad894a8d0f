"""Three retriable steps in a ring, into which the shipment leads."""

from choreo import Context, Participant
from tests.verify.corpus.contract import Invoiced, InvoiceVoided, Mailed, Shipped, order
from tests.verify.corpus.parts import mail, orders, payments, shipping, stock  # noqa: F401

billing = Participant("billing", sagas=[order])
letters = Participant("letters", sagas=[order])
archive = Participant("archive", sagas=[order])


@archive.action(kind="retriable")
def keep(event: Mailed, ctx: Context) -> InvoiceVoided: ...


@billing.action(kind="retriable")  # expect: CHO107
def invoice(event: Shipped | InvoiceVoided, ctx: Context) -> Invoiced: ...


@letters.action(kind="retriable")
def write(event: Invoiced, ctx: Context) -> Mailed: ...
