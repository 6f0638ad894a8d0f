"""What comes from outside comes in `explore`, and what it alone calls is undone (R8)."""

from __future__ import annotations

import pytest

from choreo import Context, External, Participant, Permanent, Saga, event
from choreo.testing import Budget, Violation, explore


@event(namespace="loan")
class LoanAsked:
    loan_id: str
    name: str


@event(namespace="loan")
class LoanRefused:
    loan_id: str


@event(namespace="loan")
class MoneyReserved:
    loan_id: str


@event(namespace="loan")
class NoMoney:
    loan_id: str
    reason: str = ""


@event(namespace="loan")
class MoneyFreed:
    loan_id: str


@event(namespace="loan")
class IdentityConfirmed:
    loan_id: str
    name: str


@event(namespace="loan")
class FileOpened:
    loan_id: str


@event(namespace="loan")
class FileRefused:
    loan_id: str
    reason: str = ""


@event(namespace="loan")
class FileClosed:
    loan_id: str


@event(namespace="loan")
class LoanPaid:
    loan_id: str


@event(namespace="loan")
class PayoutRefused:
    loan_id: str
    reason: str = ""


loan = Saga("loan", starts=LoanAsked, completes=LoanPaid, fails=LoanRefused)
bank = Participant("bank", sagas=[loan])
till = Participant("till", sagas=[loan])
desk = Participant(
    "desk",
    sagas=[loan],
    external=[External(IdentityConfirmed, topic="registry", saga_id=lambda confirmed: confirmed.loan_id)],
)


@bank.compensation(of=loan.start)
def refuse(event: NoMoney | MoneyFreed, asked: LoanAsked, ctx: Context) -> LoanRefused:
    return LoanRefused(asked.loan_id)


@till.action(fails=NoMoney)
def reserve(event: LoanAsked, ctx: Context) -> MoneyReserved:
    return MoneyReserved(event.loan_id)


@till.compensation(of=reserve)
def free(event: PayoutRefused, reserved: MoneyReserved, ctx: Context) -> MoneyFreed:
    return MoneyFreed(reserved.loan_id)


@desk.action(fails=FileRefused)
def open_file(event: IdentityConfirmed, ctx: Context) -> FileOpened:
    if event.name != "ada":
        raise Permanent(f"nobody asked for {event.name}")
    return FileOpened(event.loan_id)


@desk.compensation(of=open_file)
def close_file(event: PayoutRefused, opened: FileOpened, ctx: Context) -> FileClosed:
    return FileClosed(opened.loan_id)


@bank.action(kind="pivot", fails=PayoutRefused)
def pay(reserved: MoneyReserved, opened: FileOpened, ctx: Context) -> LoanPaid:
    return LoanPaid(reserved.loan_id)


def ask() -> None:
    with bank.transaction() as tx:
        tx.start(LoanAsked("l-1", "ada"), "l-1")


def test_a_branch_that_an_import_alone_calls_is_undone_whenever_it_came() -> None:
    """Whatever fails, and whoever is slow: the file is closed, also where the loan was refused before."""
    found = explore(bank, till, desk, begin=ask, budget=Budget(failures=1), seeds=25)
    assert set(found.ends) == {"completed", "failed"}


def test_an_import_comes_once_with_what_the_start_says() -> None:
    """In every order in which it may come; the name is that of the start, and the file is opened."""
    found = explore(bank, till, desk, begin=ask)
    assert set(found.ends) == {"completed"}


audited = Participant("audited", sagas=[loan])
opened_accounts: list[str] = []


@audited.compensation(of=loan.start)
def give_up(event: NoMoney | MoneyFreed, asked: LoanAsked, ctx: Context) -> LoanRefused:
    return LoanRefused(asked.loan_id)


@audited.action(fails=NoMoney, partial=False, blocking=True)
def open_account(event: LoanAsked, ctx: Context) -> LoanPaid:
    opened_accounts.append(event.loan_id)
    return LoanPaid(event.loan_id)


@audited.compensation(of=open_account)
def close_account(event: PayoutRefused, paid: LoanPaid, ctx: Context) -> MoneyFreed:
    opened_accounts.remove(paid.loan_id)
    return MoneyFreed(paid.loan_id)


def test_a_call_without_partial_effects_fails_before_it_has_any() -> None:
    """``partial=False`` promises that a failed attempt leaves nothing: chance keeps the promise."""

    def begin() -> None:
        opened_accounts.clear()
        with audited.transaction() as tx:
            tx.start(LoanAsked("l-1", "ada"), "l-1")

    def kept() -> bool:
        (state,) = {audited.status("l-1").state}  # type: ignore[union-attr]
        return len(opened_accounts) == (state == "completed")

    found = explore(audited, begin=begin, budget=Budget(failures=1), invariant=lambda databases: kept())
    assert set(found.ends) == {"completed", "failed"}


def test_an_import_that_no_handler_reads_as_it_should_fails_the_run() -> None:
    """A handler that can't do with what comes is found."""

    def ask_for_bob() -> None:
        with bank.transaction() as tx:
            tx.start(LoanAsked("l-1", "bob"), "l-1")

    def never_refused(databases: object) -> bool:
        return bank.status("l-1").state == "completed"  # type: ignore[union-attr]

    with pytest.raises(Violation, match="the invariant does not hold"):
        explore(bank, till, desk, begin=ask_for_bob, invariant=never_refused, seeds=1)
