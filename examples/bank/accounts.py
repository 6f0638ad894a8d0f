"""The accounts of both banks: their balances, and the movements on them."""

from collections.abc import Callable

from sqlite_utils import Database


def opening(**balances: int) -> Callable[[Database], None]:
    """Return the function that opens a bank's accounts, with these balances in cents."""

    def prepare(db: Database) -> None:
        db.execute("create table if not exists accounts (name text primary key, balance integer not null)")
        # The key ensures that no transfer moves the same amount twice in the same direction.
        db.execute(
            "create table if not exists movements"
            " (transfer_id text, amount integer, account text, primary key (transfer_id, amount))"
        )
        for account in balances.items():
            db.execute("insert or ignore into accounts values (?, ?)", account)

    return prepare


def balance_of(db: Database, account: str) -> int | None:
    """Return the balance of an account; None where there is no such account."""
    row = db.execute("select balance from accounts where name = ?", [account]).fetchone()
    return row[0] if row else None


def move(db: Database, transfer_id: str, account: str, amount: int) -> None:
    """Add an amount, which may be negative, to an account."""
    db.execute("update accounts set balance = balance + ? where name = ?", [amount, account])
    db.execute("insert into movements values (?, ?, ?)", [transfer_id, amount, account])
