"""The scenario of `choreo demo bank`: transfers that succeed, and one that fails at each step that can."""

from collections.abc import Callable, Iterator, Mapping

from sqlite_utils import Database

from ..bank.contract import TransferRequested
from ..bank.destination import destination
from ..bank.ledger import LIMIT, ledger
from ..bank.source import request_transfer, source
from . import Case, Check, Scenario

MONEY = 20_000_000_100
"""What is on all accounts together, in cents, whatever happens."""


def transfer(
    transfer_id: str, sender: str = "alice", receiver: str = "carol", amount: int = 12_345
) -> Callable[[], str]:
    return lambda: request_transfer(TransferRequested(transfer_id, sender, receiver, amount))


def balance(databases: Mapping[str, Database]) -> Iterator[Check]:
    """Compare what the two banks and the ledger have in their tables."""
    sent, received = _total(databases["source"]), _total(databases["destination"])
    yield Check(
        "money: the accounts of both banks have together what they had",
        f"{sent:,} + {received:,} = {sent + received:,} cents",
        sent + received == MONEY,
    )
    done = _done(databases["ledger"])
    yield Check(
        "the sender's bank has let go of what is done, and of nothing else",
        f"{sum(done.values()):,} cents",
        _moved(databases["source"]) == {each: -amount for each, amount in done.items()},
    )
    yield Check(
        "the receiver's bank has got what is done, and nothing else",
        f"{sum(done.values()):,} cents",
        _moved(databases["destination"]) == done,
    )
    yield Check("no transfer is half done", _statuses(databases["ledger"]), _is_settled(databases["ledger"]))


def _total(db: Database) -> int:
    (total,) = db.execute("select sum(balance) from accounts").fetchone()
    return int(total)


def _done(db: Database) -> dict[str, int]:
    return dict(db.execute("select transfer_id, amount from transfers where status = 'done'").fetchall())


def _moved(db: Database) -> dict[str, int]:
    """Return the sum that each transfer has moved, without those that moved nothing."""
    sums = "select transfer_id, sum(amount) from movements group by transfer_id having sum(amount) <> 0"
    return dict(db.execute(sums).fetchall())


def _statuses(db: Database) -> str:
    counts = db.execute("select status, count(*) from transfers group by status order by status").fetchall()
    return ", ".join(f"{count} {status}" for status, count in counts)


def _is_settled(db: Database) -> bool:
    (open_,) = db.execute("select count(*) from transfers where status not in ('done', 'void')").fetchone()
    return bool(open_ == 0)


scenario = Scenario(
    participants=[source, ledger, destination],
    cases=[
        Case("A transfer that succeeds", transfer("transfer-1"), "completed"),
        Case("Not enough money on the account", transfer("transfer-2", sender="zoe"), "failed"),
        Case("More than the ledger takes", transfer("transfer-3", amount=LIMIT + 1), "failed"),
        Case("The receiver has no account", transfer("transfer-4", receiver="nobody"), "failed"),
        Case("The receiver's account is frozen", transfer("transfer-5", receiver="mallory"), "failed"),
        Case("The mail server is busy for a moment", transfer("transfer-6-slow"), "completed"),
    ],
    balance=balance,
)
