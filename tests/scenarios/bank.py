"""A bank transfer: four services, a pivot, and money that must never grow or shrink."""

from __future__ import annotations

from sqlite_utils import Database

from choreo import Aborted, Context, Participant, Permanent, Saga, event


@event(namespace="bank")
class TransferAsked:
    transfer: str
    amount: int
    fails_at: str = ""


@event(namespace="bank")
class SourceDebited:
    transfer: str
    amount: int
    fails_at: str = ""


@event(namespace="bank")
class DebitRefused:
    transfer: str
    reason: str


@event(namespace="bank")
class SourceCreditedBack:
    transfer: str


@event(namespace="bank")
class TransferRecorded:
    transfer: str
    amount: int
    fails_at: str = ""


@event(namespace="bank")
class RecordRefused:
    transfer: str
    reason: str


@event(namespace="bank")
class TransferVoided:
    transfer: str


@event(namespace="bank")
class DestinationCredited:
    transfer: str
    amount: int
    account: str
    fails_at: str = ""


@event(namespace="bank")
class CreditRefused:
    transfer: str
    reason: str


@event(namespace="bank")
class DestinationDebitedBack:
    transfer: str


@event(namespace="bank")
class TransferSettled:
    transfer: str


@event(namespace="bank")
class SettlementRefused:
    transfer: str
    reason: str


@event(namespace="bank")
class TransferDone:
    transfer: str


@event(namespace="bank")
class TransferFailed:
    transfer: str
    reason: str


transfer = Saga("bank-transfer", starts=TransferAsked, completes=TransferDone, fails=TransferFailed)

BALANCE = 1_000


def _one_account(name: str) -> object:
    def prepare(db: Database) -> None:
        db.execute("create table if not exists account (name text primary key, balance integer not null)")
        db.execute("create table if not exists movements (transfer text, amount integer)")
        db.execute("insert or ignore into account values (?, ?)", [name, BALANCE])

    return prepare


def _move(db: Database, transfer_id: str, amount: int) -> None:
    db.execute("update account set balance = balance + ?", [amount])
    db.execute("insert into movements values (?, ?)", [transfer_id, amount])


def _fail(asked: str, step: str) -> None:
    if asked == step:
        raise Permanent(f"{step} fails")


source = Participant("source", sagas=[transfer], prepare=_one_account("source"))  # type: ignore[arg-type]
ledger = Participant("ledger", sagas=[transfer])
destination = Participant("destination", sagas=[transfer], prepare=_one_account("destination"))  # type: ignore[arg-type]
PARTICIPANTS = (source, ledger, destination)


@source.action(fails=DebitRefused)
def debit_source(event: TransferAsked, ctx: Context) -> SourceDebited:
    _fail(event.fails_at, "debit_source")
    _move(ctx.db, event.transfer, -event.amount)
    return SourceDebited(event.transfer, event.amount, event.fails_at)


@source.compensation(of=debit_source)
def credit_back(
    event: RecordRefused | TransferVoided | Aborted, debited: SourceDebited, ctx: Context
) -> SourceCreditedBack:
    _move(ctx.db, debited.transfer, debited.amount)
    return SourceCreditedBack(debited.transfer)


@source.compensation(of=transfer.start)
def fail_transfer(
    event: DebitRefused | SourceCreditedBack, asked: TransferAsked, ctx: Context
) -> TransferFailed:
    return TransferFailed(asked.transfer, getattr(event, "reason", "undone"))


@ledger.action(fails=RecordRefused)
def create_transfer_record(event: SourceDebited, ctx: Context) -> TransferRecorded:
    _fail(event.fails_at, "create_transfer_record")
    return TransferRecorded(event.transfer, event.amount, event.fails_at)


@ledger.compensation(of=create_transfer_record)
def void_transfer(
    event: CreditRefused | DestinationDebitedBack | Aborted, recorded: TransferRecorded, ctx: Context
) -> TransferVoided:
    return TransferVoided(recorded.transfer)


@destination.action(fails=CreditRefused)
def credit_destination(event: TransferRecorded, ctx: Context) -> DestinationCredited:
    _fail(event.fails_at, "credit_destination")
    _move(ctx.db, event.transfer, event.amount)
    return DestinationCredited(event.transfer, event.amount, "destination", event.fails_at)


@destination.compensation(of=credit_destination)
def debit_back(
    event: SettlementRefused | Aborted, credited: DestinationCredited, ctx: Context
) -> DestinationDebitedBack:
    assert credited.account == ctx.db.execute("select name from account").fetchone()[0]
    _move(ctx.db, credited.transfer, -credited.amount)
    return DestinationDebitedBack(credited.transfer)


@ledger.action(fails=SettlementRefused, kind="pivot")
def settle(event: DestinationCredited, ctx: Context) -> TransferSettled:
    _fail(event.fails_at, "settle")
    return TransferSettled(event.transfer)


@ledger.action(kind="retriable")
def notify_parties(event: TransferSettled, ctx: Context) -> TransferDone:
    return TransferDone(event.transfer)


def ask(asked: TransferAsked) -> str:
    """Start a transfer; its name is the saga's id."""
    with source.transaction() as tx:
        return tx.start(asked, saga_id=asked.transfer)
