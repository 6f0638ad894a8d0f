"""The ledger between the banks: records transfers, and settles them for good."""

from datetime import timedelta

from sqlite_utils import Database

from choreo import Context, Participant, Permanent, Retry

from .contract import (
    CreditRefused,
    CreditTimedOut,
    DestinationCredited,
    DestinationDebitedBack,
    RecordRefused,
    SettlementRefused,
    SourceDebited,
    TransferDone,
    TransferRecorded,
    TransferSettled,
    TransferVoided,
    bank_transfer,
)

LIMIT = 1_000_000
"""The largest transfer, in cents."""


def prepare(db: Database) -> None:
    db.execute(
        "create table if not exists transfers"
        " (transfer_id text primary key, amount integer not null, status text not null)"
    )
    db.execute("create table if not exists frozen (account text primary key)")
    db.execute("insert or ignore into frozen values ('mallory')")


ledger = Participant("ledger", sagas=[bank_transfer], prepare=prepare)


# choreo: ignore[CHO301] a transfer waits until the service is up again: nobody gives up on it
@ledger.action(fails=RecordRefused)
def create_transfer_record(event: SourceDebited, ctx: Context) -> TransferRecorded:
    if event.amount > LIMIT:
        raise Permanent("the amount is over the limit")
    ctx.db.execute("insert into transfers values (?, ?, 'recorded')", [event.transfer_id, event.amount])
    return TransferRecorded(event.transfer_id, event.destination, event.amount)


@ledger.compensation(of=create_transfer_record)
def void_transfer(
    event: CreditRefused | DestinationDebitedBack, recorded: TransferRecorded, ctx: Context
) -> TransferVoided:
    _mark(ctx.db, recorded.transfer_id, "void")
    return TransferVoided(recorded.transfer_id)


@ledger.deadline(of="destination.credit_destination", within=timedelta(minutes=5))
def credit_is_late(event: TransferRecorded, ctx: Context) -> CreditTimedOut:
    return CreditTimedOut(event.transfer_id)


@ledger.action(fails=SettlementRefused, kind="pivot")
def settle(event: DestinationCredited, ctx: Context) -> TransferSettled:
    if ctx.db.execute("select 1 from frozen where account = ?", [event.destination]).fetchone():
        raise Permanent(f"the account of {event.destination} is frozen")
    _mark(ctx.db, event.transfer_id, "settled")
    return TransferSettled(event.transfer_id)


@ledger.action(kind="retriable", retry=Retry(delay=timedelta(milliseconds=50)))
def notify_parties(event: TransferSettled, ctx: Context) -> TransferDone:
    if event.transfer_id.endswith("-slow") and ctx.attempt < 3:
        raise ConnectionError("the mail server is busy")
    _mark(ctx.db, event.transfer_id, "done")
    return TransferDone(event.transfer_id)


def _mark(db: Database, transfer_id: str, status: str) -> None:
    db.execute("update transfers set status = ? where transfer_id = ?", [status, transfer_id])
