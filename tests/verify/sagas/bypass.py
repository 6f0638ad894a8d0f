"""A choice: the one way has a step more."""

from choreo import Context, Participant, Saga, event


@event(namespace="insurance")
class ClaimFiled:
    claim: str


@event(namespace="insurance")
class ClaimDoubtful:
    claim: str


@event(namespace="insurance")
class ClaimClear:
    claim: str


@event(namespace="insurance")
class ClaimIllegible:
    claim: str
    reason: str = ""


@event(namespace="insurance")
class DoubtClosed:
    claim: str


@event(namespace="insurance")
class ClearClosed:
    claim: str


@event(namespace="insurance")
class DamageSeen:
    claim: str


@event(namespace="insurance")
class ExpertRefuses:
    claim: str
    reason: str = ""


@event(namespace="insurance")
class ReportWithdrawn:
    claim: str


@event(namespace="insurance")
class ClaimPaid:
    claim: str


@event(namespace="insurance")
class NotPaid:
    claim: str
    reason: str = ""


@event(namespace="insurance")
class ClaimRejected:
    claim: str
    reason: str = ""


claim = Saga("claim", starts=ClaimFiled, completes=ClaimPaid, fails=ClaimRejected)

desk = Participant("desk", sagas=[claim])


@desk.action(fails=ClaimIllegible)
def read(event: ClaimFiled, ctx: Context) -> ClaimDoubtful | ClaimClear:
    if event.claim.startswith("a"):
        return ClaimDoubtful(event.claim)
    return ClaimClear(event.claim)


@desk.compensation(of=read)
def close_doubtful(event: ExpertRefuses | ReportWithdrawn, done: ClaimDoubtful, ctx: Context) -> DoubtClosed:
    return DoubtClosed(done.claim)


@desk.compensation(of=read)
def close_clear(event: NotPaid, done: ClaimClear, ctx: Context) -> ClearClosed:
    return ClearClosed(done.claim)


@desk.compensation(of=claim.start)
def reject(
    event: ClaimIllegible | DoubtClosed | ClearClosed, asked: ClaimFiled, ctx: Context
) -> ClaimRejected:
    return ClaimRejected(asked.claim)


expert = Participant("expert", sagas=[claim])


@expert.action(fails=ExpertRefuses)
def look(event: ClaimDoubtful, ctx: Context) -> DamageSeen:
    return DamageSeen(event.claim)


@expert.compensation(of=look)
def withdraw(event: NotPaid, done: DamageSeen, ctx: Context) -> ReportWithdrawn:
    return ReportWithdrawn(done.claim)


cashier = Participant("cashier", sagas=[claim])


@cashier.action(kind="pivot", fails=NotPaid)
def pay(event: ClaimClear | DamageSeen, ctx: Context) -> ClaimPaid:
    return ClaimPaid(event.claim)
