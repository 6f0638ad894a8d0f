"""Transfers between two banks, each of which has several replicas on a database in PostgreSQL.

payer  TransferAsked  ......  reject  Rejected
payer  debit   Debited        refund  Refunded
payee  check   Checked        (outside of the transaction)  Unchecked
payee  credit  Credited       (the pivot)
"""

from __future__ import annotations

import asyncio
from typing import Any

from choreo import Context, Participant, Saga, event


@event(namespace="transfers")
class TransferAsked:
    transfer: str
    amount: int
    limit: int


@event(namespace="transfers")
class Debited:
    transfer: str
    amount: int
    limit: int


@event(namespace="transfers")
class NotDebited:
    transfer: str
    reason: str


@event(namespace="transfers")
class Refunded:
    transfer: str


@event(namespace="transfers")
class Checked:
    transfer: str
    amount: int
    limit: int


@event(namespace="transfers")
class NotChecked:
    transfer: str
    reason: str


@event(namespace="transfers")
class Unchecked:
    transfer: str


@event(namespace="transfers")
class Credited:
    transfer: str


@event(namespace="transfers")
class NotCredited:
    transfer: str
    reason: str


@event(namespace="transfers")
class Rejected:
    transfer: str


transfers = Saga("transfers", starts=TransferAsked, completes=Credited, fails=Rejected)


def _prepare(db: Any) -> None:
    """Make the ledger: a row for each movement, which may be there once."""
    db.execute("CREATE TABLE IF NOT EXISTS ledger (transfer text, what text, amount bigint, by_process int)")


def _book(ctx: Context, transfer: str, what: str, amount: int) -> None:
    ctx.db.execute(
        "INSERT INTO ledger VALUES (%s, %s, %s, pg_backend_pid())",
        (transfer, what, amount),
    )


payer = Participant("payer", sagas=[transfers], prepare=_prepare)
payee = Participant("payee", sagas=[transfers], prepare=_prepare)


@payer.action(fails=NotDebited)
def debit(event: TransferAsked, ctx: Context) -> Debited | NotDebited:
    """Take the amount; nothing of none."""
    if not event.amount:
        return NotDebited(event.transfer, "nothing")
    _book(ctx, event.transfer, "debit", -event.amount)
    return Debited(event.transfer, event.amount, event.limit)


@payer.compensation(of=debit)
def refund(event: NotChecked | Unchecked, debited: Debited, ctx: Context) -> Refunded:
    """Give it back."""
    _book(ctx, debited.transfer, "refund", debited.amount)
    return Refunded(debited.transfer)


@payer.compensation(of=transfers.start)
def reject(event: NotDebited | Refunded, asked: TransferAsked) -> Rejected:
    """End the transfer."""
    return Rejected(asked.transfer)


@payee.action(fails=NotChecked, partial=False)
async def check(event: Debited) -> Checked | NotChecked:
    """Ask somebody who takes a while."""
    await asyncio.sleep(0.02)
    if event.limit < 0:
        return NotChecked(event.transfer, "unknown")
    return Checked(event.transfer, event.amount, event.limit)


@payee.compensation(of=check)
async def uncheck(event: NotCredited, checked: Checked) -> Unchecked:
    """Tell them."""
    return Unchecked(checked.transfer)


@payee.action(kind="pivot", fails=NotCredited)
def credit(event: Checked, ctx: Context) -> Credited | NotCredited:
    """Give the amount, unless it is beyond the limit."""
    if event.amount > event.limit:
        return NotCredited(event.transfer, "too much")
    _book(ctx, event.transfer, "credit", event.amount)
    return Credited(event.transfer)
