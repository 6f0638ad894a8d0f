"""The sender's bank: takes the request, takes the money, and gives it back."""

from choreo import Context, Participant, Permanent

from .accounts import balance_of, move, opening
from .contract import (
    DebitRefused,
    RecordRefused,
    SourceCreditedBack,
    SourceDebited,
    TransferFailed,
    TransferRequested,
    TransferVoided,
    bank_transfer,
)

source = Participant(
    "source", sagas=[bank_transfer], prepare=opening(alice=10_000_000_000, bob=10_000_000_000, zoe=100)
)


def request_transfer(transfer: TransferRequested) -> str:
    """Start the saga of a transfer; the transfer's id is the saga's."""
    with source.transaction() as tx:
        return tx.start(transfer, saga_id=transfer.transfer_id)


# choreo: ignore[CHO301] a transfer waits until the service is up again: nobody gives up on it
@source.action(fails=DebitRefused)
def debit_source(event: TransferRequested, ctx: Context) -> SourceDebited:
    balance = balance_of(ctx.db, event.source)
    if balance is None or balance < event.amount:
        raise Permanent("insufficient funds" if balance is not None else f"no account {event.source}")
    move(ctx.db, event.transfer_id, event.source, -event.amount)
    return SourceDebited(event.transfer_id, event.source, event.destination, event.amount)


@source.compensation(of=debit_source)
def credit_back(
    event: RecordRefused | TransferVoided, debited: SourceDebited, ctx: Context
) -> SourceCreditedBack:
    move(ctx.db, debited.transfer_id, debited.source, debited.amount)
    return SourceCreditedBack(debited.transfer_id)


@source.compensation(of=bank_transfer.start)
def fail_transfer(
    event: DebitRefused | SourceCreditedBack, requested: TransferRequested, ctx: Context
) -> TransferFailed:
    return TransferFailed(requested.transfer_id, getattr(event, "reason", "a later step failed"))
