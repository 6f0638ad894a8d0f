"""A copy of the end goes to another topic, for who takes no part in the saga."""

from choreo import Context, External, Participant, Saga, event


@event(namespace="billing")
class InvoiceAsked:
    invoice: str


@event(namespace="billing")
class NumberGiven:
    invoice: str


@event(namespace="billing")
class LedgerLocked:
    invoice: str
    reason: str = ""


@event(namespace="billing")
class NumberVoid:
    invoice: str


@event(namespace="billing")
class InvoiceSent:
    invoice: str


@event(namespace="billing")
class NotSent:
    invoice: str
    reason: str = ""


@event(namespace="billing")
class InvoiceVoid:
    invoice: str
    reason: str = ""


invoice = Saga("invoice", starts=InvoiceAsked, completes=InvoiceSent, fails=InvoiceVoid)

ledger = Participant("ledger", sagas=[invoice])


@ledger.action(fails=LedgerLocked)
def number(event: InvoiceAsked, ctx: Context) -> NumberGiven:
    return NumberGiven(event.invoice)


@ledger.compensation(of=number)
def void(event: NotSent, done: NumberGiven, ctx: Context) -> NumberVoid:
    return NumberVoid(done.invoice)


@ledger.compensation(of=invoice.start)
def fail(event: LedgerLocked | NumberVoid, asked: InvoiceAsked, ctx: Context) -> InvoiceVoid:
    return InvoiceVoid(asked.invoice)


mailer = Participant("mailer", sagas=[invoice], external=[External(InvoiceSent, topic="accounting")])


@mailer.action(kind="pivot", fails=NotSent)
def send(event: NumberGiven, ctx: Context) -> InvoiceSent:
    return InvoiceSent(event.invoice)
