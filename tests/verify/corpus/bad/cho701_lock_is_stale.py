"""Payments has a second answer since the choreography was locked."""

from choreo import Context, Participant
from choreo.graph import choreography_of, lock_of
from choreo.project.manifests import manifest_from
from tests.verify.corpus import parts
from tests.verify.corpus.contract import (
    Backordered,
    Charged,
    Declined,
    NotShipped,
    Refunded,
    Reserved,
    Shipped,
    order,
)
from tests.verify.corpus.parts import mail, orders, stock

payments = Participant("payments", sagas=[order])
shipping = Participant("shipping", sagas=[order])


@payments.action(fails=Declined)  # expect: CHO701
def charge(event: Reserved, ctx: Context) -> Charged | Backordered: ...


@payments.compensation(of=charge)
def refund(event: NotShipped, done: Charged | Backordered, ctx: Context) -> Refunded: ...


@shipping.action(kind="pivot", fails=NotShipped)  # expect: CHO701
def ship(event: Charged | Backordered, ctx: Context) -> Shipped: ...


lock = lock_of(
    choreography_of(manifest_from(each) for each in (orders, stock, parts.payments, parts.shipping, mail))
)
