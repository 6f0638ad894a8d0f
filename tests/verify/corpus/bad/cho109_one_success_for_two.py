"""Two participants answer the shipment with the same event."""

from choreo import Context, Participant
from tests.verify.corpus.contract import Mailed, Shipped, order
from tests.verify.corpus.parts import mail, orders, payments, shipping, stock  # noqa: F401

letters = Participant("letters", sagas=[order])
texts = Participant("texts", sagas=[order])


@letters.action(kind="retriable")  # expect: CHO109
def write(event: Shipped, ctx: Context) -> Mailed: ...


@texts.action(kind="retriable")
def send(event: Shipped, ctx: Context) -> Mailed: ...
