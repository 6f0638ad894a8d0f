"""The receiver's bank: puts the money on the account, and takes it off again."""

from choreo import Aborted, Context, Participant, Permanent

from .accounts import balance_of, move, opening
from .contract import (
    CreditRefused,
    DestinationCredited,
    DestinationDebitedBack,
    SettlementRefused,
    TransferRecorded,
    bank_transfer,
)

destination = Participant("destination", sagas=[bank_transfer], prepare=opening(carol=0, dave=0, mallory=0))


@destination.action(fails=CreditRefused)
def credit_destination(event: TransferRecorded, ctx: Context) -> DestinationCredited:
    if balance_of(ctx.db, event.destination) is None:
        raise Permanent(f"no account {event.destination}")
    move(ctx.db, event.transfer_id, event.destination, event.amount)
    return DestinationCredited(event.transfer_id, event.destination, event.amount)


@destination.compensation(of=credit_destination)
def debit_back(
    event: SettlementRefused | Aborted, credited: DestinationCredited, ctx: Context
) -> DestinationDebitedBack:
    move(ctx.db, credited.transfer_id, credited.destination, -credited.amount)
    return DestinationDebitedBack(credited.transfer_id)
